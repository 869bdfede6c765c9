package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
	"pointage/ledger/election"
)

// The offices through which a USB key goes (decree, art. 7 §1, §3), in this order, and which a
// hand-over names. A key may go back one step: the wrong pouch was opened.
var custodyOffices = []string{"administration", "commune", "bureau", "principal-bureau", "college", "destruction"}

// custodyHours is within how long after the poll the principal bureau sends the keys to the
// juridictional college (art. 7 §3).
const custodyHours = 24

var keyNumber = regexp.MustCompile(`^([0-9]{5})-([0-9]{3})-([12])$`)

// A HandOver is one line of the custody of a USB key. The persons' names lie sealed; what the log
// shows is the key's number and the offices.
type HandOver struct {
	Key string `json:"key"` // as on its receipt: <INS>-<bureau>-<1 or 2>
	// Digest is the receipt's SHA-256 of the key's signed list, hex; the same at every hand-over.
	Digest     string    `json:"digest"`
	From       string    `json:"from"` // an office
	To         string    `json:"to"`
	FromPerson string    `json:"from_person"`
	ToPerson   string    `json:"to_person"`
	At         time.Time `json:"at"`
	// Recorded is when, and By who wrote it down.
	Recorded time.Time `json:"recorded,omitzero"`
	By       string    `json:"by,omitempty"`
}

func custodyKey(key string, n int) []byte {
	return append(append([]byte{regionPrefix, 'o'}, key...), byte(n))
}

// communeOf is whose key it is, by its number.
func (rg *Region) communeOf(key string) (ledger.Commune, error) {
	m := keyNumber.FindStringSubmatch(key)
	if m == nil {
		return 0, fmt.Errorf("key: a number as on its receipt, 21014-003-1")
	}
	ins, _ := strconv.Atoi(m[1]) // digits by the pattern
	bureau, _ := strconv.Atoi(m[2])
	l := rg.communes[ledger.Commune(ins)]
	if l == nil || l.group.Bureaux[ledger.BureauNumber(bureau)] == nil {
		return 0, fmt.Errorf("key: the election has no such bureau")
	}
	return ledger.Commune(ins), nil
}

// check says what is wrong with a hand-over by itself.
func (h *HandOver) check(now time.Time) error {
	from, to := slices.Index(custodyOffices, h.From), slices.Index(custodyOffices, h.To)
	digest, err := ledger.ParseHash(h.Digest)
	switch {
	case err != nil || digest == ledger.Hash{}:
		return fmt.Errorf("digest: the 64 digits of the key's receipt")
	case from < 0 || to < 0:
		return fmt.Errorf("from, to: one of %v", custodyOffices)
	case to != from+1 && to != from-1:
		return fmt.Errorf("from, to: a key goes from one office to the next of %v", custodyOffices)
	case h.FromPerson == "" || h.ToPerson == "" || len(h.FromPerson) > MaxPersonName || len(h.ToPerson) > MaxPersonName:
		return fmt.Errorf("from_person, to_person: two names of 1 to %d bytes", MaxPersonName)
	case h.At.IsZero() || h.At.After(now.Add(time.Hour)):
		return fmt.Errorf("at: when it was handed over, not later than now")
	}
	return nil
}

// keptHandOver is a hand-over as it lies in the database: the offices stay when the persons' names
// have gone with their key, since who has a USB key still is to be known then.
type keptHandOver struct {
	HandOver
	Persons []byte `json:"persons"` // both names, sealed
}

// keep is the hand-over for its place in the database.
func (h HandOver) keep(seal *communeKey, at []byte) ([]byte, error) {
	names, err := json.Marshal([2]string{h.FromPerson, h.ToPerson})
	if err != nil {
		return nil, err
	}
	h.FromPerson, h.ToPerson = "", ""
	return json.Marshal(keptHandOver{h, seal.lock(at, names)})
}

// history is what is recorded of one key, oldest first.
func (rg *Region) history(key string) ([]HandOver, error) {
	seal, err := rg.vault.of(regionVault)
	if err != nil && !errors.Is(err, ErrDestroyed) {
		return nil, err
	}
	done, err := rg.readDestruction()
	if err != nil {
		return nil, err
	}
	var out []HandOver
	err = rg.st.scan(append([]byte{regionPrefix, 'o'}, key...), func(at, raw []byte) error {
		var k keptHandOver
		if err := json.Unmarshal(raw, &k); err != nil {
			return fmt.Errorf("read hand-over: %w", err)
		}
		if seal != nil {
			var names [2]string
			plain, err := seal.unlock(at, k.Persons)
			if err == nil {
				err = json.Unmarshal(plain, &names)
			}
			if err != nil && done == nil {
				return fmt.Errorf("open hand-over: %w", err)
			}
			k.FromPerson, k.ToPerson = names[0], names[1]
		}
		out = append(out, k.HandOver)
		return nil
	})
	return out, err
}

// handOver is POST /custody: who hands a key over or receives it writes it down.
func (rg *Region) handOver(c *call) (*outcome, error) {
	var h HandOver
	if out := c.json(&h); out != nil {
		return out, nil
	}
	ins, err := rg.communeOf(h.Key)
	if err == nil {
		err = h.check(rg.now())
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "malformed", err.Error()), nil
	}
	if c.scope != Everywhere && !c.who.covers([]ledger.Commune{ins}) {
		out := refuse(http.StatusForbidden, "other commune", "your access is to the keys of your own commune")
		out.commune = ins
		return out, nil
	}
	c.commune = ins
	if !c.who.role.records(&h) {
		return refuse(http.StatusForbidden, "other office", "who receives a key writes it down, and for a bureau's president who gives it"), nil
	}
	c.lock()
	before, err := rg.history(h.Key)
	if err != nil {
		return nil, err
	}
	if out := follows(before, &h); out != nil {
		return out, nil
	}
	h.Recorded, h.By = rg.now().UTC().Truncate(time.Second), c.who.actor()
	seal, err := rg.vault.of(regionVault)
	if err != nil {
		return nil, err
	}
	at := custodyKey(h.Key, len(before))
	raw, err := h.keep(seal, at)
	if err != nil {
		return nil, err
	}
	out := answerJSON(http.StatusCreated, h)
	out.content, out.why = h.Key+" "+h.Digest, h.From+" to "+h.To
	out.change = func(b *pebble.Batch) error { return b.Set(at, raw, nil) }
	return out, nil
}

// follows says why a hand-over can't come after those before.
func follows(before []HandOver, h *HandOver) *outcome {
	if len(before) == 0 {
		return nil
	}
	last := before[len(before)-1]
	switch {
	case len(before) >= MaxHandOvers:
		return refuse(http.StatusConflict, "full", fmt.Sprintf("a key has at most %d hand-overs", MaxHandOvers))
	case last.Digest != h.Digest:
		return refuse(http.StatusConflict, "another key", "the digest is not the one of this key's hand-overs before: it is another key, keep both and report it")
	case last.To != h.From:
		return refuse(http.StatusConflict, "custody gap", fmt.Sprintf("the key was last handed to %q, it can't come from %q", last.To, h.From))
	case h.At.Before(last.At):
		return refuse(http.StatusConflict, "custody order", "the hand-over is older than the one before")
	}
	return nil
}

// records says whether a role writes a hand-over down: who receives does, so that nobody says of a key that another has
// it; the president of a bureau receives and gives against the paper receipt. The administration enters what the
// register of custody says (prepare custody --json).
func (r Role) records(h *HandOver) bool {
	by := h.To
	if by == "bureau" {
		by = h.From
	}
	switch r {
	case Administration:
		return true
	case Officer, OfficerDelegate:
		return by == "commune"
	case PrincipalPresident, PrincipalDelegate:
		return by == "principal-bureau"
	case College:
		return by == "college"
	}
	return false
}

// custody is GET /custody: all hand-overs of the keys that one may see.
func (rg *Region) custody(c *call) (*outcome, error) {
	all := []HandOver{}
	for _, key := range rg.keyNumbers(c) {
		h, err := rg.history(key)
		if err != nil {
			return nil, err
		}
		all = append(all, h...)
	}
	out := answerJSON(http.StatusOK, all)
	out.count = len(all)
	return out, nil
}

// keyNumbers are the keys of the communes that the caller may see: two a bureau.
func (rg *Region) keyNumbers(c *call) []string {
	var out []string
	for _, ins := range rg.communeList() {
		if c.scope != Everywhere && !c.who.covers([]ledger.Commune{ins}) {
			continue
		}
		m, err := rg.manifest.Commune(ins)
		if err != nil {
			panic(fmt.Sprintf("commune %d was opened from the manifest: %v", ins, err))
		}
		out = append(out, numbersOf(m)...)
	}
	return out
}

func numbersOf(m *election.Commune) []string {
	var out []string
	for _, b := range m.Bureaux {
		for which := 1; which <= 2; which++ {
			out = append(out, fmt.Sprintf("%05d-%03d-%d", m.INS, b.Number, which))
		}
	}
	return out
}

// destroyedKeys counts the keys of the election that were handed over for destruction, and the others.
func (rg *Region) destroyedKeys() (done, others int, err error) {
	for _, ins := range rg.communeList() {
		m, err := rg.manifest.Commune(ins)
		if err != nil {
			return 0, 0, err
		}
		for _, key := range numbersOf(m) {
			h, err := rg.history(key)
			if err != nil {
				return 0, 0, err
			}
			if len(h) > 0 && h[len(h)-1].To == custodyOffices[len(custodyOffices)-1] {
				done++
			} else {
				others++
			}
		}
	}
	return done, others, nil
}

// An OverdueKey is one that is not where it should be 24 hours after the poll.
type OverdueKey struct {
	Key string `json:"key"`
	// Last is the office that has it by the register, "" when nothing was recorded.
	Last  string    `json:"last,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Due   time.Time `json:"due"`
}

// overdue is GET /custody/overdue: from 24 hours after the poll has closed, each key that the
// juridictional college has not received.
func (rg *Region) overdue(c *call) (*outcome, error) {
	due := time.UnixMilli(int64(rg.manifest.Closes)).UTC().Add(custodyHours * time.Hour)
	list := []OverdueKey{}
	if !rg.now().Before(due) {
		for _, key := range rg.keyNumbers(c) {
			h, err := rg.history(key)
			if err != nil {
				return nil, err
			}
			late := OverdueKey{Key: key, Due: due}
			if len(h) > 0 {
				late.Last, late.Since = h[len(h)-1].To, h[len(h)-1].At
			}
			if slices.Index(custodyOffices, late.Last) < slices.Index(custodyOffices, "college") {
				list = append(list, late)
			}
		}
	}
	out := answerJSON(http.StatusOK, list)
	out.count = len(list)
	return out, nil
}
