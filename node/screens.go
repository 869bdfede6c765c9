package node

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/plaintext"
	"pointage/ledger/rights"
	"pointage/node/machine"
	"pointage/node/pollbook"
	"pointage/node/register"
	"pointage/node/web"
)

// mediaFresh is how long what was seen of the media is shown: asking takes their file systems a moment.
const mediaFresh = 2 * time.Second

// screens is the bureau as its screens see it.
type screens struct {
	*Node
	facts web.Facts

	mu sync.Mutex
	// names are members' by their code; media is what was seen of the media at looked.
	names  map[uint16]string
	media  [3]web.Medium
	looked time.Time
}

// opener tells the passphrase that opened the keys without keeping it: its HMAC under a key that no start has twice. A
// passphrase has 80 random bits, so that nothing slower is needed.
type opener struct{ key, sum []byte }

func newOpener(passphrase string) opener {
	o := opener{key: make([]byte, sha256.Size)}
	rand.Read(o.key)
	o.sum = o.of(passphrase)
	return o
}

func (o opener) of(passphrase string) []byte {
	if drawn, err := register.ParsePassphrase(passphrase); err == nil {
		passphrase = drawn
	}
	h := hmac.New(sha256.New, o.key)
	h.Write([]byte(passphrase))
	return h.Sum(nil)
}

func (o opener) opens(passphrase string) bool { return hmac.Equal(o.of(passphrase), o.sum) }

// listenScreens takes the screens' addresses; nobody is answered before serveScreens.
func (n *Node) listenScreens(Options) error {
	for _, l := range []struct {
		key, at string
		taken   *net.Listener
	}{{"screens", n.cfg.Screens, &n.screensAt}, {"tablets", n.cfg.Tablets, &n.tabletsAt}} {
		if l.at == "" {
			continue
		}
		var err error
		if *l.taken, err = net.Listen("tcp", l.at); machine.IsTaken(err) {
			return fmt.Errorf("the screens' address %s is taken: stop what uses it or change %q", l.at, l.key)
		} else if err != nil {
			return fmt.Errorf("listen at %q: %w", l.key, err)
		}
	}
	return nil
}

// serveScreens shows the screens, last of all.
func (n *Node) serveScreens(Options) error {
	if n.screensAt == nil && n.tabletsAt == nil {
		return nil
	}
	b, err := n.Table()
	if err != nil {
		return err
	}
	var cards <-chan web.Card
	cards, n.stopCards = n.screenCards()
	if n.screens, err = web.New(web.Config{Bureau: b, Cards: cards, Logger: n.log}); err != nil {
		return err
	}
	n.work.Go(n.register.IndexNames)
	if n.screensAt != nil {
		n.screens.Serve(n.screensAt)
	}
	if n.tabletsAt != nil {
		n.fingerprint, err = n.screens.ServeTablets(context.Background(), n.tabletsAt)
	}
	return err
}

// Table is the bureau as its screens see it.
func (n *Node) Table() (web.Bureau, error) {
	facts, err := n.screenFacts()
	if err != nil {
		return nil, err
	}
	return &screens{Node: n, facts: facts, names: map[uint16]string{}}, nil
}

// closeScreens ends what listenScreens and serveScreens began.
func (n *Node) closeScreens() error {
	var errs []error
	if n.screens != nil {
		errs = append(errs, n.screens.Close())
	}
	if n.stopCards != nil {
		n.stopCards()
	}
	for _, l := range []net.Listener{n.screensAt, n.tabletsAt} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, fmt.Errorf("close the screens: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// Screens is where the screens are shown on this machine, empty for nowhere.
func (n *Node) Screens() string {
	if n.screensAt == nil {
		return ""
	}
	return "http://" + n.screensAt.Addr().String() + "/"
}

// Tablets is where they are shown on the bureau's own network, and the fingerprint of the certificate there.
func (n *Node) Tablets() (addr, fingerprint string) {
	if n.tabletsAt == nil {
		return "", ""
	}
	return "https://" + n.tabletsAt.Addr().String() + "/", n.fingerprint
}

func (n *Node) screenFacts() (web.Facts, error) {
	m, c := n.prepared.Manifest, n.prepared.Commune
	f := web.Facts{
		Election: m.Election, Live: m.Kind == election.Live, Commune: n.cfg.Commune, NameFR: c.NameFR, NameNL: c.NameNL, Bureau: n.cfg.Bureau,
		Principal: c.Principal, Deputy: c.Deputy, Opens: time.UnixMilli(int64(m.Opens)), Closes: time.UnixMilli(int64(m.Closes)), Where: m.Where,
		Policy: m.Policy, Method: n.register.Method(), Electors: n.register.Len(), Home: n.homes()[n.cfg.Bureau],
		Manifest: n.prepared.Group.Manifest, Register: c.Register, Program: n.program, Communes: map[uint32][2]string{},
		KeyPlace: c.Bureau(n.cfg.Bureau).Place,
	}
	for i := range m.Communes {
		o := &m.Communes[i]
		f.Communes[uint32(o.INS)%100] = [2]string{o.NameFR, o.NameNL}
	}
	st, err := os.Stat(filepath.Join(n.cfg.Election, fmt.Sprint(n.cfg.Commune), "register"))
	if err != nil {
		return f, fmt.Errorf("look at the register: %w", err)
	}
	f.RegisterOn = st.ModTime()
	return f, nil
}

// Facts implements web.Bureau.
func (s *screens) Facts() web.Facts { return s.facts }

// State implements web.Bureau.
func (s *screens) State() web.State {
	if err := s.enter(); err != nil {
		return web.State{Link: pollbook.Alone, Fault: err.Error()}
	}
	defer s.acts.RUnlock()
	b, h, others := s.book.Status(), s.store.Head(), s.connected()
	out := web.State{
		Open: b.Open, Link: b.Link, Backlog: b.Backlog, Connected: len(others), Others: len(s.prepared.Commune.Bureaux) - 1,
		Admitted: b.Tally.Admitted, Away: b.Tally.Away, Proxies: b.Tally.Proxies, Alarms: b.Tally.Alarms, LedgerSize: h.Size, LedgerHead: h.Last,
		Media: s.seenMedia(), Fault: s.fault(), Retired: s.retired(ledger.Member{Bureau: s.cfg.Bureau, Incarnation: s.keys.Incarnation}),
	}
	if h := s.heads.Load(); h != nil {
		a := h.Alarms()
		out.InDoubt = a.RolledBack || a.LeftOut || a.Differs
	}
	r := &s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.readLocked(r); err != nil && out.Fault == "" {
		out.Fault = inLine(err).Error()
	}
	out.Own, out.Done, out.Closed = r.statements, r.done, r.opened && r.closed && !b.Open
	return out
}

func (s *screens) seenMedia() [3]web.Medium {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < mediaFresh {
		return s.media
	}
	s.looked, s.media = time.Now(), [3]web.Medium{}
	for _, m := range s.journal.Status() {
		x := web.Medium{Attached: m.Attached}
		if m.Fault != nil {
			x.Fault = inLine(m.Fault).Error()
		}
		s.media[m.Member] = x
	}
	return s.media
}

// Place implements web.Bureau.
func (s *screens) Place(b ledger.BureauNumber) string {
	if s.prepared.Commune.Bureau(b) == nil {
		return ""
	}
	return s.placeOf(b)
}

// OpensKey implements web.Bureau.
func (s *screens) OpensKey(passphrase string) bool { return s.opener.opens(passphrase) }

// Keep implements web.Bureau.
func (s *screens) Keep(ctx context.Context, key string, value []byte) error {
	return s.journal.SetNote(ctx, key, value)
}

// Kept implements web.Bureau.
func (s *screens) Kept(key string) []byte {
	value, _ := s.journal.Note(key)
	return value
}

// Find implements web.Bureau.
func (s *screens) Find(means ledger.Means, number string) (e web.Elector, found bool, err error) {
	var i int
	if means == ledger.ByConvocationNumber {
		c, err := ledger.ParseConvocationNumber(number, s.register.Method())
		if err != nil {
			return e, false, err
		}
		i, found = s.register.FindConvocationNumber(c)
	} else {
		c, err := ledger.ParseNationalNumber(number)
		if err != nil {
			return e, false, err
		}
		i, found = s.register.FindNationalNumber(c)
	}
	if !found {
		return e, false, nil
	}
	return s.webElector(i), true, nil
}

// Elector implements web.Bureau.
func (s *screens) Elector(i int) (web.Elector, bool) {
	if i < 0 || i >= s.register.Len() {
		return web.Elector{}, false
	}
	return s.webElector(i), true
}

// Search implements web.Bureau.
func (s *screens) Search(query string, most int) (out []web.Elector, total int) {
	found, total := s.register.Search(query, most)
	for _, f := range found {
		out = append(out, s.webElector(f.Number))
	}
	return out, total
}

// token finds the elector of an act of the screens.
func (s *screens) token(d web.Desk) func() (ledger.ElectorToken, rights.Ask, bool, error) {
	return func() (e ledger.ElectorToken, how rights.Ask, ok bool, err error) {
		if d.Elector < 0 || d.Elector >= s.register.Len() {
			return e, how, false, nil
		}
		return s.register.Token(d.Elector), rights.Ask{Attester: d.Attester, Means: d.Means}, true, nil
	}
}

// CheckIn implements web.Bureau.
func (s *screens) CheckIn(ctx context.Context, d web.Desk) (web.Answer, error) {
	r, err := s.actOn(s.token(d), func(e ledger.ElectorToken, how rights.Ask) (pollbook.Receipt, error) {
		r, err := s.checkIn(ctx, e, how, d.Provisional)
		if err == nil && d.ChipNotProven {
			err = s.chipNotProven(ctx, r, e)
		}
		return r, err
	})
	if err != nil {
		return web.Answer{}, err
	}
	out := web.Answer{Receipt: r}
	if r.Refusal == ledger.AlreadyAdmitted || r.Refusal == ledger.ConflictFound {
		out.Earlier, err = s.used(s.register.Token(d.Elector), r)
	}
	return out, err
}

// Undo implements web.Bureau.
func (s *screens) Undo(ctx context.Context, d web.Desk, reason uint8) (web.Answer, error) {
	r, err := s.actOn(s.token(d), func(e ledger.ElectorToken, _ rights.Ask) (pollbook.Receipt, error) {
		return s.book.Undo(ctx, e, reason)
	})
	return web.Answer{Receipt: r}, err
}

// Annul implements web.Bureau.
func (s *screens) Annul(ctx context.Context, d web.Desk, reason uint8, second uint16) (web.Answer, error) {
	r, err := s.actOn(s.token(d), func(e ledger.ElectorToken, _ rights.Ask) (pollbook.Receipt, error) {
		return s.book.Annul(ctx, e, rights.Annul{Reason: reason, Attesters: [2]uint16{d.Attester, second}})
	})
	return web.Answer{Receipt: r}, err
}

// used says how an elector's right was used at the bureau that a refusal names, as far as it is known here.
func (s *screens) used(e ledger.ElectorToken, r pollbook.Receipt) (out web.Use, err error) {
	if r.Record != (ledger.StatementID{}) {
		own, err := s.row(r.Record)
		if err != nil {
			return out, err
		}
		if own != nil {
			out = web.Use{When: own.At, Attester: own.Attester, Means: own.Means}
		}
	}
	for _, a := range s.store.Admissions(ledger.Right{Elector: e, Kind: ledger.Admit}) {
		if a.Bureau != r.At {
			continue
		}
		x, err := s.statement(a)
		if err != nil {
			return out, err
		}
		out.Entry = ledger.EntryName(a.Position)
		if out.When.IsZero() {
			out.When = time.UnixMilli(int64(x.Time))
			out.Attester, out.Means = attesterOf(x.Body)
		}
		return out, nil
	}
	return out, nil
}

// attesterOf is who made an admission, and by what means the elector was identified.
func attesterOf(b ledger.Body) (uint16, ledger.Means) {
	switch x := b.(type) {
	case *ledger.Admission:
		return x.Attester, x.Means
	case *ledger.ProxyAdmission:
		return x.Attester, x.Means
	case *ledger.Provisional:
		return x.Attester, x.Means
	}
	return 0, 0
}

// Marked implements web.Bureau.
func (s *screens) Marked(elector int) (out web.Answer, err error) {
	if err := s.enter(); err != nil {
		return out, err
	}
	defer s.acts.RUnlock()
	e := s.register.Token(elector)
	all := (known{s.Node}).Admissions(ledger.Right{Elector: e, Kind: ledger.Admit})
	if len(all) == 0 {
		return out, nil
	}
	first := all[0]
	out.Receipt = pollbook.Receipt{Refusal: ledger.AlreadyAdmitted, At: first.Bureau}
	if first.Bureau == s.cfg.Bureau {
		out.Record = first.ID
	}
	out.Earlier, err = s.used(e, out.Receipt)
	return out, err
}

// Contest implements web.Bureau: the statement is in the bureau's chain, its text sealed.
func (s *screens) Contest(ctx context.Context, c web.Contest) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.acts.RUnlock()
	if err := s.journal.Err(); err != nil {
		return err
	}
	code := plaintext.IncidentContested
	if c.Redirected {
		code = plaintext.IncidentRedirected
	}
	x := plaintext.Remark{Bureau: s.cfg.Bureau, Elector: s.register.Token(c.Elector), At: c.At, Attester: c.Attester, Text: c.Text}
	if err := plaintext.CheckRemark(c.Text); err != nil {
		return err
	}
	sealed, err := s.register.SealText(x.Encode())
	if err != nil {
		return err
	}
	return s.book.Record(ctx, &ledger.Incident{Code: code, Sealed: sealed})
}

// MemberName implements web.Bureau.
func (s *screens) MemberName(code uint16) string {
	s.mu.Lock()
	name, known := s.names[code]
	s.mu.Unlock()
	if known {
		return name
	}
	a, err := s.Attendance(context.Background())
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range a.Members {
		s.names[m.Number] = m.Surname + " " + m.FirstNames
	}
	for _, m := range s.members { // those of other bureaux, whose marks are shown here
		if i, ok := s.register.FindNationalNumber(m.NationalNumber); ok && s.names[m.Number] == "" {
			e := s.register.At(i)
			s.names[m.Number] = e.Surname + " " + e.FirstNames
		}
	}
	return s.names[code]
}
