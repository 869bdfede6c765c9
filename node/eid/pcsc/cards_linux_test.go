package pcsc

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ElMostafaIdrassi/goscard"

	"pointage/node/eid"
	"pointage/node/eid/eidtest"
)

// The two virtual readers, and where a card is put into them.
const (
	left1, left1At   = "Virtual PCD 00 00", "127.0.0.1:35963"
	right2, right2At = "Virtual PCD 00 01", "127.0.0.1:35964"
)

var holder = eidtest.Holder{Number: "80010100008", Surname: "Élève-d'Essai", FirstNames: "Zoë Renée", From: "01.02.2022", Until: "01.02.2032"}

// realProgram names the built card program to the test that runs on a machine of its own.
const realProgram = "POINTAGE_CARD_TEST_PROGRAM"

// scenario is one evening with cards, on a machine of its own.
type scenario struct {
	name string
	// wants says which cards are made; without says that there is no service to begin with.
	wants   []eidtest.Generation
	without bool
	play    func(*wallet, *testing.T)
}

var (
	one   = []eidtest.Generation{eidtest.ECDSA}
	three = []eidtest.Generation{eidtest.ECDSA, eidtest.RSASHA256, eidtest.RSASHA1}
)

var scenarios = []scenario{
	{name: "ServiceAndReadersComeAndGo", wants: one, without: true, play: (*wallet).serviceAndReadersComeAndGo},
	{name: "GenuineCardsAreRead", wants: three, play: (*wallet).genuineCardsAreRead},
	{name: "ForgedCardsAreRefused", wants: three, play: (*wallet).forgedCardsAreRefused},
	{name: "ForeignCardsAreRefused", wants: one, play: (*wallet).foreignCardsAreRefused},
	{name: "CardPulledOutEarlyGivesNobody", wants: one, play: (*wallet).cardPulledOutEarlyGivesNobody},
	{name: "SlowCardIsGivenUpAndTheNextIsRead", wants: one, play: (*wallet).slowCardIsGivenUpAndTheNextIsRead},
	{name: "TwoReadersAreReadAtOnce", wants: three, play: (*wallet).twoReadersAreReadAtOnce},
	{name: "CardThatIsInAlreadyIsRead", wants: one, play: (*wallet).cardThatIsInAlreadyIsRead},
	{name: "CardHeldByAnotherProgramIsInUse", wants: one, play: (*wallet).cardHeldByAnotherProgramIsInUse},
	{name: "TheRealProgramBelievesOnlyTheState", wants: three, play: (*wallet).theRealProgramBelievesOnlyTheState},
}

// TestCardsThroughRealPCSC reads simulated cards through pcscd, its virtual reader and the card program: every scenario
// on a machine of its own, all at once, since most of it is waiting for readers.
func TestCardsThroughRealPCSC(t *testing.T) {
	if os.Getenv(inside) != "" {
		here(t)
		return
	}
	if lacks := missing(); lacks != "" {
		t.Skip("left out, cards through PC/SC: this machine lacks " + lacks)
	}
	built := filepath.Join(t.TempDir(), "pointage-card")
	if out, err := exec.Command("go", "build", "-o", built, "pointage/node/cmd/pointage-card").CombinedOutput(); err != nil {
		t.Fatalf("build the card program: %v\n%s", err, out)
	}
	outcomes := make([]outcome, len(scenarios))
	var all sync.WaitGroup
	for i, s := range scenarios {
		all.Go(func() { outcomes[i] = onAMachineOfItsOwn(t.Name()+"/"+s.name, realProgram+"="+built) })
	}
	all.Wait()
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if t.Log(outcomes[i].said); outcomes[i].err != nil {
				t.Error(outcomes[i].err)
			}
		})
	}
}

// here plays the scenario that was asked for.
func here(t *testing.T) {
	if err := furnish(); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if !s.without {
				startService(t, true)
			}
			s.play(newWallet(t, s.wants), t)
		})
	}
}

// wallet is the cards, and the file with the roots that vouch for them.
type wallet struct {
	roots             string
	good, sha2, sha1  *eidtest.Card
	expired, stranger *eidtest.Card
}

func newWallet(t *testing.T, wants []eidtest.Generation) *wallet {
	w := &wallet{roots: filepath.Join(t.TempDir(), "roots.pem")}
	var roots []byte
	for _, g := range wants {
		a, err := eidtest.NewAuthority(g)
		if err != nil {
			t.Fatal(err)
		}
		*map[eidtest.Generation]**eidtest.Card{eidtest.ECDSA: &w.good, eidtest.RSASHA256: &w.sha2, eidtest.RSASHA1: &w.sha1}[g] = issued(t, a, holder)
		roots = append(roots, a.Root()...)
		if g == eidtest.ECDSA {
			old := holder
			old.From, old.Until = "01.02.2015", "01.02.2025"
			w.expired = issued(t, a, old)
		}
	}
	if err := os.WriteFile(w.roots, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := eidtest.NewAuthority(eidtest.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	w.stranger = issued(t, a, holder)
	return w
}

func issued(t *testing.T, a *eidtest.Authority, h eidtest.Holder) *eidtest.Card {
	t.Helper()
	c, err := a.Issue(h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// listen starts the card program with this wallet's roots.
func (w *wallet) listen(t *testing.T, limit string) *screen {
	t.Helper()
	return listen(t, os.Args[0], asProgram, w.roots, limit)
}

// put puts a card into a reader.
func put(t *testing.T, c *eidtest.Card, at string) *eidtest.Slot {
	t.Helper()
	s, err := eidtest.Insert(t.Context(), c, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	return s
}

func at(kind eid.Kind, reader string) eid.Event { return eid.Event{Kind: kind, Reader: reader} }

func because(reader string, trouble eid.Trouble) eid.Event {
	return eid.Event{Kind: eid.Troubled, Reader: reader, Trouble: trouble}
}

// empty starts the card program with this wallet's roots at two empty readers.
func (w *wallet) empty(t *testing.T, limit string) *screen {
	t.Helper()
	settled(t, false)
	s := w.listen(t, limit)
	s.readers(t)
	return s
}

// readers is both being there.
func (s *screen) readers(t *testing.T) {
	t.Helper()
	s.expect(t, at(eid.ReaderPresent, left1), at(eid.ReaderPresent, right2))
}

func (w *wallet) serviceAndReadersComeAndGo(t *testing.T) {
	s := w.listen(t, "20s")
	s.expect(t, because("", eid.NoService))
	none := startService(t, false)
	s.expect(t, because("", eid.NoReader))
	none.end()
	s.expect(t, because("", eid.NoService))
	both := startService(t, true)
	s.readers(t)
	put(t, w.good.Twin(), left1At)
	s.expect(t, at(eid.CardInserted, left1), at(eid.CardRead, left1))
	both.end()
	s.expect(t, at(eid.CardRemoved, left1), at(eid.ReaderGone, left1), at(eid.ReaderGone, right2), because("", eid.NoService))
	startService(t, true)
	s.readers(t)
	put(t, w.good.Twin(), right2At)
	s.expect(t, at(eid.CardInserted, right2), at(eid.CardRead, right2))
}

func (w *wallet) genuineCardsAreRead(t *testing.T) {
	s := w.empty(t, "20s")
	for _, c := range []struct {
		name      string
		card      *eidtest.Card
		signature eid.Signature
		chip      eid.Chip
		expired   bool
	}{
		{"applet 1.8", w.good, eid.ECDSAP384, eid.ChipProven, false},
		{"applet 1.7, SHA-256", w.sha2, eid.RSASHA256, eid.ChipNotProven, false},
		{"applet 1.7, SHA-1", w.sha1, eid.RSASHA1, eid.ChipNotProven, false},
		{"expired", w.expired, eid.ECDSAP384, eid.ChipProven, true},
		{"the first one again", w.good, eid.ECDSAP384, eid.ChipProven, false},
	} {
		slot := put(t, c.card, left1At)
		s.expect(t, at(eid.CardInserted, left1))
		began := time.Now()
		id := s.expect(t, at(eid.CardRead, left1)).Identity
		t.Logf("%s: read %v after it was noticed", c.name, time.Since(began).Round(time.Millisecond))
		if id.Number.Digits() != holder.Number || id.Surname != holder.Surname || id.FirstNames != holder.FirstNames {
			t.Errorf("%s: not its holder", c.name)
		}
		if id.Signature != c.signature || id.Chip != c.chip || id.Expired(time.Date(2026, 10, 11, 9, 0, 0, 0, time.UTC)) != c.expired {
			t.Errorf("%s: signature %d, chip %d, until %v", c.name, id.Signature, id.Chip, id.ValidUntil)
		}
		slot.Remove()
		s.expect(t, at(eid.CardRemoved, left1))
		if opened := c.card.Opened(); slices.Contains(opened, eidtest.Address) || slices.Contains(opened, eidtest.Photo) {
			t.Errorf("%s: opened %v", c.name, opened)
		}
	}
}

// refusal is a card that must give a trouble.
type refusal struct {
	name    string
	card    *eidtest.Card
	trouble eid.Trouble
}

func (w *wallet) refused(t *testing.T, all ...refusal) {
	t.Helper()
	s := w.empty(t, "20s")
	for _, c := range all {
		t.Log(c.name)
		slot := put(t, c.card, left1At)
		s.expect(t, at(eid.CardInserted, left1), because(left1, c.trouble))
		slot.Remove()
		s.expect(t, at(eid.CardRemoved, left1))
	}
}

func (w *wallet) foreignCardsAreRefused(t *testing.T) {
	w.refused(t, refusal{"another country's", eidtest.Foreign(), eid.NotBelgian}, refusal{"signed by somebody else", w.stranger, eid.UnknownRegister})
}

func (w *wallet) forgedCardsAreRefused(t *testing.T) {
	copied, err := w.good.WithWrongKey()
	if err != nil {
		t.Fatal(err)
	}
	w.refused(
		t,
		refusal{"another number written into it", w.good.With(holder.Number, "80010199976"), eid.Altered},
		refusal{"another validity written into it", w.sha1.With("2032", "2042"), eid.Altered},
		refusal{"copied, with another key", copied, eid.ChipCopied},
		refusal{"copied, without a key", w.good.WithoutKey(), eid.ChipSilent},
	)
}

func (w *wallet) cardPulledOutEarlyGivesNobody(t *testing.T) {
	s := w.empty(t, "20s")
	for _, n := range []int{1, 4, 9, 12} {
		c := w.good.Twin()
		c.PullAfter = n
		put(t, c, left1At)
		s.expect(t, at(eid.CardInserted, left1), because(left1, eid.PulledOut), at(eid.CardRemoved, left1))
	}
	put(t, w.good.Twin(), left1At)
	s.expect(t, at(eid.CardInserted, left1), at(eid.CardRead, left1))
}

func (w *wallet) slowCardIsGivenUpAndTheNextIsRead(t *testing.T) {
	s := w.empty(t, "3s")
	slow := w.good.Twin()
	slow.Delay = 400 * time.Millisecond // some 6 s in all
	slot := put(t, slow, left1At)
	s.expect(t, at(eid.CardInserted, left1), because(left1, eid.TooSlow))
	slot.Remove()
	s.expect(t, at(eid.CardRemoved, left1)) // and nobody is read meanwhile
	put(t, w.good.Twin(), left1At)
	s.expect(t, at(eid.CardInserted, left1), at(eid.CardRead, left1))
}

func (w *wallet) twoReadersAreReadAtOnce(t *testing.T) {
	s := w.empty(t, "20s")
	slow := w.sha2.Twin()
	slow.Delay = 200 * time.Millisecond
	put(t, slow, left1At)
	s.expect(t, at(eid.CardInserted, left1))
	put(t, w.good.Twin(), right2At)
	// The second does not wait for the first.
	s.expect(t, at(eid.CardInserted, right2), at(eid.CardRead, right2))
	if id := s.expect(t, at(eid.CardRead, left1)).Identity; id.Signature != eid.RSASHA256 {
		t.Error("the cards were mixed up")
	}
}

func (w *wallet) cardThatIsInAlreadyIsRead(t *testing.T) {
	settled(t, false)
	put(t, w.good.Twin(), left1At)
	settled(t, true)
	s := w.listen(t, "20s")
	s.expect(t, at(eid.ReaderPresent, left1), at(eid.CardInserted, left1))
	for read, present := false, false; !read || !present; {
		switch e := s.next(t); e {
		case at(eid.ReaderPresent, right2):
			present = true
		default:
			if e.Kind != eid.CardRead || e.Reader != left1 {
				t.Fatalf("%v %q, trouble %d", e.Kind, e.Reader, e.Trouble)
			}
			read = true
		}
	}
}

// settled waits until PC/SC knows that only the first reader has a card, or none has.
func settled(t *testing.T, present bool) goscard.Context {
	t.Helper()
	if err := load(); err != nil {
		t.Fatal(err)
	}
	pc, ret, err := goscard.NewContext(goscard.SCardScopeSystem, nil, nil)
	if err := failed(ret, err); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Release() })
	eventually(t, "PC/SC knows of the card", func() bool {
		all, err := observe(pc, []string{left1, right2}, map[string]goscard.SCardState{})
		return err == nil && len(all) == 2 && all[0].present == present && !all[1].present
	})
	return pc
}

func (w *wallet) cardHeldByAnotherProgramIsInUse(t *testing.T) {
	settled(t, false)
	slot := put(t, w.good.Twin(), left1At)
	pc := settled(t, true)
	held, ret, err := pc.Connect(left1, goscard.SCardShareExclusive, goscard.SCardProtocolAny)
	if err := failed(ret, err); err != nil {
		t.Fatal(err)
	}
	s := w.listen(t, "20s")
	s.expect(t, at(eid.ReaderPresent, left1), at(eid.CardInserted, left1), at(eid.ReaderPresent, right2), because(left1, eid.InUse))
	if ret, err := held.Disconnect(goscard.SCardLeaveCard); failed(ret, err) != nil {
		t.Fatal(failed(ret, err))
	}
	slot.Remove()
	s.expect(t, at(eid.CardRemoved, left1))
	put(t, w.good.Twin(), left1At)
	s.expect(t, at(eid.CardInserted, left1), at(eid.CardRead, left1))
}

func (w *wallet) theRealProgramBelievesOnlyTheState(t *testing.T) {
	settled(t, false)
	s := listen(t, os.Getenv(realProgram))
	s.readers(t)
	for _, c := range []*eidtest.Card{w.good, w.sha1} {
		slot := put(t, c.Twin(), left1At)
		s.expect(t, at(eid.CardInserted, left1), because(left1, eid.UnknownRegister))
		slot.Remove()
		s.expect(t, at(eid.CardRemoved, left1))
	}
	put(t, eidtest.Foreign(), left1At)
	s.expect(t, at(eid.CardInserted, left1), because(left1, eid.NotBelgian))
}
