package pollbook

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/ledger/reconciliation"
	"pointage/node/journal"
	"pointage/node/store"
)

// malice is what a leader does with what it is given.
type malice string

const (
	omits       malice = "omits"       // keeps batches back, and says that they are placed, or nothing
	reorders    malice = "reorders"    // places them later, in another order
	duplicates  malice = "duplicates"  // places them again and again
	equivocates malice = "equivocates" // shows each bureau another ledger
)

// crookSeeds is how many days each kind of leader has.
const crookSeeds = 20

// crook is a leader that follows no rule, from the beginning of the day to its end: the machine of bureau 3. It signs what it
// answers, lies included.
type crook struct {
	c    *commune
	kind malice

	mu    sync.Mutex
	rnd   *rand.Rand
	logs  map[ledger.BureauNumber][][]byte // what each bureau sees
	held  [][]byte                         // taken, and in no log yet
	words []*ledger.Word
	kept  map[ledger.Hash]bool // batches that are kept back for good
}

var crookMember = ledger.Member{Bureau: 3}

func newCrook(c *commune, kind malice, seed uint64) *crook {
	return &crook{
		c: c, kind: kind, rnd: rand.New(rand.NewPCG(seed, 12)), logs: map[ledger.BureauNumber][][]byte{}, kept: map[ledger.Hash]bool{},
	}
}

// led is the crook as one bureau has it.
type led struct {
	k *crook
	b *bureau
}

func (l led) Linked() bool { return true }

func (l led) Propose(_ context.Context, raw []byte) (*ledger.Answer, error) {
	k := l.k
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := ledger.DecodeBatch(raw)
	if err != nil {
		return nil, err
	}
	lie := k.deal(l.b.number, b, bytes.Clone(raw))
	k.apply()
	if ans, placed := l.b.store.Answer(b); placed {
		return k.say(b, ans), nil
	}
	if !lie {
		return nil, errSilent
	}
	return k.say(b, k.invent(b)), nil
}

// deal gives a batch whatever places the crook likes, and says whether to lie about it.
func (k *crook) deal(from ledger.BureauNumber, b *ledger.Batch, raw []byte) (lie bool) {
	some := func(n int) bool { return k.rnd.IntN(n) == 0 }
	switch k.kind {
	case omits:
		if id := b.Header.Identity(); k.kept[id] || some(3) {
			k.kept[id] = true
			return some(2)
		}
		k.put(raw)
	case reorders:
		k.held = append(k.held, raw)
		if some(3) {
			k.rnd.Shuffle(len(k.held), func(i, j int) { k.held[i], k.held[j] = k.held[j], k.held[i] })
			n := k.rnd.IntN(len(k.held)) + 1
			k.put(k.held[:n]...)
			k.held = slices.Clone(k.held[n:])
		}
		return some(4)
	case duplicates:
		for range 1 + k.rnd.IntN(3) {
			k.put(raw)
		}
		if log := k.logs[from]; some(2) {
			k.put(log[k.rnd.IntN(len(log))])
		}
	case equivocates:
		k.logs[from] = append(k.logs[from], raw)
		for n := range k.c.bureaux {
			if n != from && some(3) {
				k.logs[n] = append(k.logs[n], raw)
			}
		}
	}
	return false
}

func (k *crook) put(raw ...[]byte) {
	for n := range k.c.bureaux {
		k.logs[n] = append(k.logs[n], raw...)
	}
}

func (k *crook) apply() {
	for n, b := range k.c.bureaux {
		if from := b.store.Applied(); from < uint64(len(k.logs[n])) {
			b.store.Apply(from+1, k.logs[n][from:])
		}
	}
}

// invent is an answer for a batch that has no place: all is well, or now and then a conflict that isn't.
func (k *crook) invent(b *ledger.Batch) ledger.Answer {
	ans := ledger.Answer{Status: ledger.Placed, Position: 1 + k.rnd.Uint64N(50), Verdicts: make([]ledger.Verdict, len(b.Statements))}
	if k.rnd.IntN(6) == 0 {
		ans.Verdicts[0] = ledger.Verdict{Class: ledger.AlreadyAdmittedClass, Against: 1}
	}
	return ans
}

func (k *crook) say(b *ledger.Batch, ans ledger.Answer) *ledger.Answer {
	g := k.c.day.Group
	if ans.Status == ledger.Placed {
		k.words = append(k.words, ledger.SignAnswered(ledgertest.Key(ledgertest.DeviceName(crookMember.Bureau, 0)), g, crookMember, 0, b, ans))
	}
	return &ans
}

// under is a bureau at work under the crook; it has declared itself open.
func (c *commune) under(k *crook, n ledger.BureauNumber) *bureau {
	c.t.Helper()
	b := &bureau{c: c, number: n, dir: c.t.TempDir()}
	for _, m := range []string{"disk", "key"} {
		if err := os.Mkdir(filepath.Join(b.dir, m), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	err := journal.Create(b.journalOptions())
	if err == nil {
		b.journal, err = journal.Open(b.journalOptions())
	}
	if err != nil {
		c.t.Fatal(err)
	}
	b.store, err = store.Open(filepath.Join(b.dir, "ledger"), c.day.Group, store.Options{OnPlaced: func(es []ledger.PlacedEntry) {
		if p := b.feed.Load(); p != nil {
			p.Placed(es)
		}
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	k.mu.Lock()
	c.mu.Lock()
	c.bureaux[n] = b
	c.mu.Unlock()
	k.logs[n] = nil
	k.mu.Unlock()
	b.book, err = Open(Config{
		Group: c.day.Group, Journal: b.journal, Peers: peers{b}, Proposer: led{k, b}, View: b.store,
		Away: c.away, Barrier: c.barrier, AskTimeout: c.asking,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	b.feed.Store(b.book)
	c.t.Cleanup(b.stop)
	b.open()
	return b
}

// inTurn runs a test for each seed, some at a time: they wait for disks and clocks rather than for the processor.
func inTurn(t *testing.T, seeds uint64, test func(t *testing.T, seed uint64)) {
	t.Helper()
	const atOnce = 10
	var next atomic.Uint64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for seed := next.Add(1) - 1; seed < seeds; seed = next.Add(1) - 1 {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { test(t, seed) })
			}
		})
	}
	all.Wait()
}

// light is one green light.
type light struct {
	at ledger.BureauNumber
	e  ledger.ElectorToken
}

// crowd asks for each of a few electors at two bureaux at once, and again at all of them, and returns the lights that went on.
func crowd(t *testing.T, bureaux []*bureau, rnd *rand.Rand) map[light]int {
	var mu sync.Mutex
	lights := map[light]int{}
	ask := func(b *bureau, e ledger.ElectorToken, wait time.Duration) {
		<-time.After(wait)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		switch r, err := b.book.CheckIn(ctx, e, asked, 0); {
		case err != nil:
			t.Errorf("bureau %d: %v", b.number, err)
		case r.Refusal == ledger.NotRefused:
			mu.Lock()
			lights[light{b.number, e}]++
			mu.Unlock()
		}
	}
	for round := range 2 {
		var desks sync.WaitGroup
		for i := range 6 {
			e := home(ledger.BureauNumber(1+i%3), i)
			for j, b := range bureaux {
				if round == 0 && j == rnd.IntN(len(bureaux)) {
					continue
				}
				wait := time.Duration(rnd.IntN(20)) * time.Millisecond
				desks.Go(func() { ask(b, e, wait) })
			}
		}
		desks.Wait()
	}
	return lights
}

// evening is the union of all media, with the ledger that one bureau has.
func (c *commune) evening(ledgerOf *bureau, more ...*ledger.Batch) *reconciliation.Report {
	c.t.Helper()
	u := reconciliation.NewUnion(c.day.Group)
	for at := range ledgerOf.store.Size() {
		raw, err := ledgerOf.store.Entry(at)
		if err != nil {
			c.t.Fatal(err)
		}
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			c.t.Fatal(err)
		}
		var b *ledger.Batch
		if e.Batch != nil {
			if b, err = ledger.DecodeBatch(e.Batch); err != nil {
				c.t.Fatal(err)
			}
		}
		u.Entry(at, e, b)
	}
	for _, n := range []ledger.BureauNumber{1, 2, 3} {
		b := c.bureaux[n]
		if b == nil || b.journal == nil {
			continue
		}
		if err := b.journal.Replay(func(b *ledger.Batch, _ []ledger.Instant) error { u.Add(b); return nil }); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, b := range more {
		u.Add(b)
	}
	return u.Report()
}

// S1 rests on no leader: whatever it does with the batches and whatever it answers, nobody is admitted twice, no light goes
// unrecorded, and nobody who kept to the rules is accused.
func TestNoMaliciousLeaderAdmitsAnybodyTwice(t *testing.T) {
	for _, kind := range []malice{omits, reorders, duplicates, equivocates} {
		t.Run(string(kind), func(t *testing.T) {
			inTurn(t, crookSeeds, func(t *testing.T, seed uint64) {
				c := newCommune(t, func(c *commune) { c.barrier, c.asking = 10*time.Millisecond, 60*time.Millisecond })
				k := newCrook(c, kind, seed)
				var bureaux []*bureau
				for n := ledger.BureauNumber(1); n <= 3; n++ {
					bureaux = append(bureaux, c.under(k, n))
				}
				lights := crowd(t, bureaux, rand.New(rand.NewPCG(seed, 13)))
				for _, b := range bureaux {
					b.book.Close()
				}
				k.judge(t, bureaux[0], lights)
			})
		})
	}
}

func (k *crook) judge(t *testing.T, author *bureau, lights map[light]int) {
	t.Helper()
	by := map[ledger.ElectorToken]int{}
	for l, n := range lights {
		if by[l.e] += n; by[l.e] > 1 {
			t.Errorf("elector %x has %d green lights, one of them at bureau %d", l.e[:4], by[l.e], l.at)
		}
	}
	if len(by) == 0 {
		t.Error("nobody was admitted: nothing was tried")
	}
	r := k.c.evening(author)
	if len(r.Double) > 0 || len(r.Forks) > 0 || len(r.Misconduct) > 0 || r.Admitted != len(by) {
		t.Errorf("%d lights for %d electors; the report: %d admitted, double %v, forks %d, misconduct %v",
			len(lights), len(by), r.Admitted, r.Double, len(r.Forks), r.Misconduct)
	}
	if missing := len(r.Omissions) > 0; k.kind == omits && len(k.kept) > 0 && !missing {
		t.Errorf("%d batches were kept back, and the report names none", len(k.kept))
	}
	if k.kind == equivocates {
		k.prove(t, author)
	}
}

// prove finds what the crook signed to one bureau and unsaid to another, and has it reported from the two words alone.
func (k *crook) prove(t *testing.T, author *bureau) {
	t.Helper()
	g := k.c.day.Group
	for i, a := range k.words {
		for _, b := range k.words[:i] {
			proof, ok := g.Contradiction(b, a)
			if !ok {
				continue
			}
			chain := k.c.day.Session(1, 99)
			r := k.c.evening(author, chain.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}), chain.Sign(proof))
			if len(r.Equivocations) != 1 {
				t.Errorf("%d equivocations in the report, want the one that was recorded", len(r.Equivocations))
			}
			return
		}
	}
	t.Errorf("no two of %d signed answers contradict each other", len(k.words))
}
