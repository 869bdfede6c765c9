package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/crypto/scrypt"

	"pointage/ledger"
	"pointage/node/daybook"
)

const (
	// minPIN and maxPIN are how many digits a PIN has.
	minPIN, maxPIN = 6, 12
	// maxTeam is how many people have a PIN at a time: what is kept must fit a note of the journal.
	maxTeam = 20
	// maxName is the length of a name that the president types where the election has no list of members, in bytes.
	maxName = 60
	// pinNote is the journal's note of the PINs.
	pinNote = "screens/pins"
	// pinCost is scrypt's N: a try costs 16 MiB and some tens of milliseconds. pinSalt and pinKey are lengths in bytes.
	pinCost         = 1 << 14
	pinSalt, pinKey = 12, 24
)

// team is who may sign in beside the president. PINs are kept as scrypt's digests in a note of the journal: encrypted
// under the bureau's journal key, on its media, so that they are there after a restart and on a spare machine to which
// the keys were carried, and nowhere else. In a file of the data directory six digits would be guessed in minutes,
// and stay behind when the keys go.
type team struct {
	bureau Bureau

	mu      sync.Mutex
	members []teammate
	// guessing is held by the one check of a PIN at a time, which bounds memory.
	guessing sync.Mutex
}

// teammate is one person with a PIN.
type teammate struct {
	Code uint16 `json:"code"`
	// Name is only kept for who is on no list.
	Name string `json:"name,omitempty"`
	Salt []byte `json:"salt"`
	Key  []byte `json:"key"`
}

func openTeam(b Bureau) (*team, error) {
	t := &team{bureau: b}
	if kept := b.Kept(pinNote); kept != nil {
		if err := json.Unmarshal(kept, &t.members); err != nil {
			return nil, fmt.Errorf("read the PINs: %w", err)
		}
	}
	return t, nil
}

func (t *team) list() []teammate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.members)
}

// set gives a person a PIN, or takes it away when pin is empty. It is durable when it returns.
func (t *team) set(ctx context.Context, code uint16, name, pin string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(t.members), func(m teammate) bool { return m.Code == code })
	if pin != "" {
		m := teammate{Code: code, Name: name, Salt: make([]byte, pinSalt)}
		rand.Read(m.Salt)
		m.Key = pinDigest(m.Salt, pin)
		next = append(next, m)
	}
	slices.SortFunc(next, func(a, b teammate) int { return int(a.Code) - int(b.Code) })
	kept, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("keep the PINs: %w", err)
	}
	if err := t.bureau.Keep(ctx, pinNote, kept); err != nil {
		return fmt.Errorf("keep the PINs: %w", err)
	}
	t.members = next
	return nil
}

// right says whether a PIN is the person's.
func (t *team) right(code uint16, pin string) bool {
	i := slices.IndexFunc(t.list(), func(m teammate) bool { return m.Code == code })
	if i < 0 || len(pin) > maxPIN {
		return false
	}
	t.guessing.Lock()
	defer t.guessing.Unlock()
	m := t.list()
	i = slices.IndexFunc(m, func(m teammate) bool { return m.Code == code })
	return i >= 0 && subtle.ConstantTimeCompare(pinDigest(m[i].Salt, pin), m[i].Key) == 1
}

func pinDigest(salt []byte, pin string) []byte {
	key, err := scrypt.Key([]byte(pin), salt, pinCost, 8, 1, pinKey)
	if err != nil {
		panic("scrypt's constants: " + err.Error())
	}
	return key
}

// nameOf is who a code is: the register's name, or the one that the president typed.
func (s *Server) nameOf(code uint16) string {
	if name := s.bureau.MemberName(code); name != "" {
		return name
	}
	for _, m := range s.team.list() {
		if m.Code == code {
			return m.Name
		}
	}
	return ""
}

// initials is what a sign-in page shows of a name before anybody has signed in.
func initials(name string) string {
	var out []string
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '-' }) {
		out = append(out, string([]rune(w)[:1])+".")
	}
	return strings.Join(out[:min(len(out), 4)], " ")
}

// presidentNow is who signs in with the passphrase: the president, or the deputy when the president is not active.
func (s *Server) presidentNow(ctx context.Context) (person, error) {
	a, err := s.bureau.Attendance(ctx)
	if err != nil {
		return person{}, err
	}
	best, rank := person{Code: 1, President: true}, 0
	for _, m := range a.Members {
		r := 0
		switch m.Function {
		case "president":
			r = 2
		case "deputy":
			r = 1
		default:
			continue
		}
		switch m.Presence {
		case ledger.Active:
			r += 4
		case 0:
			r += 2
		}
		if r > rank {
			best, rank = person{m.Number, true, fullName(m), m.Function}, r
		}
	}
	return best, nil
}

func fullName(m daybook.Member) string { return strings.TrimSpace(m.Surname + " " + m.FirstNames) }

// weakPIN says that a PIN is among the first that somebody would try.
func weakPIN(pin string) bool {
	same, up, down := true, true, true
	for i := 1; i < len(pin); i++ {
		d := int(pin[i]) - int(pin[i-1])
		same, up, down = same && d == 0, up && (d == 1 || d == -9), down && (d == -1 || d == 9)
	}
	return same || up || down
}

var teamPage = page{name: "team", who: president, nav: true, show: showTeam, acts: map[string]act{"pin": setPIN, "remove": removePIN}}

// teamView is what the page of the team shows.
type teamView struct {
	Members []teamRow
	// Free: the election has no list of members, so that the president types code and name.
	Free bool
	// Fingerprints are those of the certificate that tablets must show; empty without tablets.
	Addresses   []string
	Fingerprint string
}

type teamRow struct {
	Code     uint16
	Name     string
	Function string
	HasPIN   bool
}

func showTeam(v *visit) (any, error) {
	a, err := v.bureau.Attendance(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := teamView{Free: len(a.Members) == 0, Addresses: v.addresses(), Fingerprint: v.fingerprint}
	with := map[uint16]bool{}
	for _, m := range v.team.list() {
		with[m.Code] = true
	}
	for _, m := range a.Members {
		if notHere(m.Presence) {
			continue
		}
		out.Members = append(out.Members, teamRow{m.Number, fullName(m), m.Function, with[m.Number]})
		delete(with, m.Number)
	}
	for _, m := range v.team.list() {
		if with[m.Code] {
			out.Members = append(out.Members, teamRow{m.Code, v.nameOf(m.Code), "", true})
		}
	}
	return out, nil
}

func setPIN(v *visit) (reply, error) {
	again := reply{to: "/team"}
	code, name, ok, err := v.teammate()
	if err != nil || !ok {
		return again, err
	}
	pin, err := v.field("pin", 64)
	if err != nil {
		return again, err
	}
	digits := strings.IndexFunc(pin, func(r rune) bool { return r < '0' || r > '9' }) < 0
	_, has := slices.BinarySearchFunc(v.team.list(), code, func(m teammate, c uint16) int { return int(m.Code) - int(c) })
	switch {
	case !digits || len(pin) < minPIN || len(pin) > maxPIN || weakPIN(pin):
		v.said(false, "team.pin-form", minPIN, maxPIN)
		return again, nil
	case !has && len(v.team.list()) >= maxTeam:
		v.said(false, "team.full", maxTeam)
		return again, nil
	}
	if err := v.team.set(v.r.Context(), code, name, pin); err != nil {
		return again, err
	}
	v.sessions.endOf(code)
	v.tries.said(code, true)
	v.said(true, "team.pin-set", code)
	return again, nil
}

func removePIN(v *visit) (reply, error) {
	code, err := v.number("code", 1<<16-1)
	if err != nil {
		return reply{}, err
	}
	if err := v.team.set(v.r.Context(), uint16(code), "", ""); err != nil {
		return reply{}, err
	}
	v.sessions.endOf(uint16(code))
	v.said(true, "team.pin-gone", code)
	return reply{to: "/team"}, nil
}

// notHere says of somebody convened that he does not serve: he has no PIN.
func notHere(p ledger.Presence) bool { return p == ledger.Absent || p == ledger.NotRetained }

// gone takes the PIN of somebody who does not serve after all, and ends his sessions.
func (v *visit) gone(code uint16) error {
	if !slices.ContainsFunc(v.team.list(), func(m teammate) bool { return m.Code == code }) {
		return nil
	}
	if err := v.team.set(v.r.Context(), code, "", ""); err != nil {
		return err
	}
	v.sessions.endOf(code)
	v.said(true, "team.pin-gone", code)
	return nil
}

// teammate reads who shall have a PIN. Where there is a list of members nobody else can.
func (v *visit) teammate() (code uint16, name string, ok bool, err error) {
	n, err := v.number("code", 1<<16-1)
	if err != nil {
		return 0, "", false, err
	}
	name, err = v.field("name", maxName)
	if err != nil {
		v.said(false, "team.name-form", maxName)
		return 0, "", false, nil
	}
	a, err := v.bureau.Attendance(v.r.Context())
	if err != nil {
		return 0, "", false, err
	}
	code = uint16(n)
	at := slices.IndexFunc(a.Members, func(m daybook.Member) bool { return m.Number == code })
	switch {
	case at >= 0 && notHere(a.Members[at].Presence):
		v.said(false, "team.not-here", code)
		return 0, "", false, nil
	case at >= 0:
		name = ""
	case len(a.Members) > 0:
		v.said(false, "team.not-listed")
		return 0, "", false, nil
	case code < 2: // 1 is the president's own
		v.said(false, "team.code-form")
		return 0, "", false, nil
	case name == "" || strings.ContainsFunc(name, unicode.IsControl):
		v.said(false, "team.name-form", maxName)
		return 0, "", false, nil
	}
	return code, name, true, nil
}

// number is a form's field that one of our pages fills in, from 0 to most.
func (v *visit) number(name string, most uint64) (uint64, error) {
	text, err := v.field(name, 20)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > most {
		return 0, errField(name)
	}
	return n, nil
}
