package journal

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// history1 reads disks, and wants nothing to be written.
func history1(tb testing.TB, d *disks, o Options, places ...int) *History {
	tb.Helper()
	before := d.at()
	o.Key = nil // reading needs none
	protect := func(on bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.readOnly = on
	}
	protect(true)
	h, err := Read(d.on(o, places...))
	protect(false)
	if err != nil {
		tb.Fatal(err)
	}
	if d.at() != before {
		tb.Errorf("reading made %d operations", d.at()-before)
	}
	tb.Cleanup(func() { h.Close() })
	return h
}

func countsIn(tb testing.TB, each func(func(*ledger.Batch, []ledger.Instant) error) error) (out []int) {
	tb.Helper()
	err := each(func(b *ledger.Batch, exact []ledger.Instant) error {
		if len(exact) != len(b.Statements) {
			tb.Errorf("%d exact times for %d statements", len(exact), len(b.Statements))
		}
		out = append(out, countsOf(b)...)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// found are the findings of a kind.
func (h *History) found(kind FindingKind) (out []Finding) {
	for _, f := range h.Findings {
		if f.Kind == kind {
			out = append(out, f)
		}
	}
	return out
}

func TestReadingGivesTheUnionAndWritesNothing(t *testing.T) {
	h := newHand(t, 210)
	head := h.session(nil, 1, 1, all3, all3)
	head = h.batch(head, 1, count(1), 0, 1)
	head = h.batch(head, 1, count(2), 1, 2)
	tail := h.batch(head, 1, count(3), 0) // its author went on without it
	later := h.session(head, 2, 2, []int{1, 2}, []int{1, 2})
	later = h.batch(later, 2, count(4), 1, 2)
	for _, places := range [][]int{{0, 1, 2}, {0, 1}, {0, 2}} {
		x := history1(t, h.d, h.o, places...)
		if got := countsIn(t, x.Replay); !slices.Equal(got, []int{1, 2, 4}) {
			t.Errorf("%v: the chain has %v", places, got)
		}
		if got := countsIn(t, x.Beside); !slices.Equal(got, []int{3}) {
			t.Errorf("%v: beside it %v", places, got)
		}
		if f := x.found(Orphaned); len(f) != 1 || f[0].Tail.Head != *tail {
			t.Errorf("%v: %+v", places, x.Findings)
		}
		if err := x.Complete(); err != nil || *x.Head() != *later || x.Generation != 1 {
			t.Errorf("%v: %v, head %v", places, err, x.Head())
		}
	}
}

func TestOneMediumIsReadButIsNotComplete(t *testing.T) {
	h := newHand(t, 211)
	head := h.session(nil, 1, 1, all3, all3)
	h.batch(head, 1, count(1), all3...)
	for p := range members {
		x := history1(t, h.d, h.o, p)
		if got := countsIn(t, x.Replay); !slices.Equal(got, []int{1}) || x.Media != 1<<p {
			t.Errorf("medium %d: %v, media %b", p, got, x.Media)
		}
		var few *TooFewError
		if err := x.Complete(); !errors.As(err, &few) || few.Usable != 1 {
			t.Errorf("medium %d: %v", p, err)
		}
	}
	x := history1(t, newDisks2(t, h), h.o, 0)
	if x.Head() != nil {
		t.Errorf("an unused set has head %v", x.Head())
	}
}

// newDisks2 is a set that was made and never opened.
func newDisks2(t *testing.T, h *hand) *disks {
	t.Helper()
	d := newDisks()
	create(t, d.on(h.o, 0, 1, 2))
	return d
}

// In the evening a clone's work comes in as well: both histories are read, with the evidence.
func TestReadingAForkGivesBothHistories(t *testing.T) {
	h := newHand(t, 212)
	head := h.session(nil, 1, 1, all3, all3)
	h.batch(head, 1, count(2), two...)
	h.batch(head, 1, count(3), 2)
	x := history1(t, h.d, h.o, 0, 1, 2)
	f := x.found(Forked)
	if len(f) != 1 {
		t.Fatalf("%+v", x.Findings)
	}
	both := append(countsIn(t, x.Replay), countsIn(t, x.Beside)...)
	slices.Sort(both)
	if !slices.Equal(both, []int{2, 3}) {
		t.Errorf("read %v", both)
	}
	var fork *ForkError
	if err := x.Complete(); !errors.As(err, &fork) {
		t.Errorf("complete: %v", err)
	}
	c := ledgertest.NewDay(t, 3, 12, nil).Started(1)
	if ans := c.Put(&ledger.Evidence{First: f[0].Headers[0], Second: f[0].Headers[1]}); !ans.Verdicts[0].Clean() {
		t.Errorf("the headers are no evidence: %+v", ans)
	}
}

// Batches that are missing accuse nobody: what stood between may explain how the rest lies.
func TestReadingWithAGapGivesTheRestAndAccusesNobody(t *testing.T) {
	h := newHand(t, 213)
	head := h.session(nil, 1, 1, all3, all3)
	h.session(head, 2, 2, []int{0, 2}, []int{2}) // an opening that was cut
	head = h.batch(head, 1, count(1), 2)
	gone := h.batch(head, 1, count(2), 1)
	last := h.batch(gone, 1, count(3), all3...)
	h.session(last, 3, 3, all3, all3)
	x := history1(t, h.d, h.o, 0, 2)
	all := append(countsIn(t, x.Replay), countsIn(t, x.Beside)...)
	slices.Sort(all)
	if !slices.Equal(all, []int{1, 3}) {
		t.Errorf("read %v", all)
	}
	if len(x.found(Missing)) != 1 || len(x.found(Forked)) != 0 {
		t.Errorf("%+v", x.Findings)
	}
	if err := x.Complete(); !errors.Is(err, ErrGap) {
		t.Errorf("complete: %v", err)
	}
	x = history1(t, h.d, h.o, 0, 1, 2)
	if err := x.Complete(); err != nil || len(x.found(Orphaned)) != 1 {
		t.Errorf("with the third: %v, %+v", err, x.Findings)
	}
	// Two batches of one session at one place are a clone's whatever else is missing.
	h.batch(head, 1, count(9), 0)
	if x := history1(t, h.d, h.o, 0, 2); len(x.found(Forked)) != 0 { // the other is the missing one
		t.Errorf("%+v", x.Findings)
	}
	h.batch(&ledger.Head{Session: head.Session, Next: head.Next, Hash: head.Hash}, 1, count(10), 2)
	if x := history1(t, h.d, h.o, 0, 2); len(x.found(Forked)) != 1 || len(x.found(Missing)) != 1 {
		t.Errorf("%+v", x.Findings)
	}
}

// A medium that does not count is named; its batches are read all the same if they are the bureau's.
func TestReadingNamesWhatDoesNotCount(t *testing.T) {
	h := newHand(t, 214)
	head := h.session(nil, 1, 1, all3, all3)
	head = h.batch(head, 1, count(1), all3...)
	h.batch(head, 1, count(2), 2)
	rewritten := func(change func(o *Options, h *header)) map[string][]byte {
		files := h.d.read(t, 2)
		x, problem := h.o.readHeader(2)
		if problem != nil {
			t.Fatal(problem)
		}
		o := h.o
		change(&o, x)
		files[headerFile] = x.encode(o.JournalKey)
		return files
	}
	good := h.d.read(t, 2)
	given := rewritten(func(_ *Options, h *header) { h.generation, h.hardware[2] = 0, "x" })
	given[hardwareFile] = []byte("x")
	for name, c := range map[string]struct {
		files   map[string][]byte
		problem Problem
		want    []int
	}{
		"another bureau's":  {rewritten(func(_ *Options, h *header) { h.binding.bureau++ }), OtherBureau, []int{1}},
		"another set":       {rewritten(func(_ *Options, h *header) { h.set[0] ^= 1 }), OtherSet, []int{1}}, // its records don't open
		"older generation":  {given, OldGeneration, []int{1, 2}},
		"wrong key":         {rewritten(func(o *Options, _ *header) { o.JournalKey[0] ^= 1 }), WrongKey, []int{1}},
		"blank":             {nil, NoJournal, []int{1}},
		"the same as 1":     {h.d.read(t, 1), Twin, []int{1}},
		"a record too many": {withRecord(t, h, good, []byte{9}), Damaged, []int{1}},
	} {
		h.d.set(2, c.files)
		x := history1(t, h.d, h.o, 0, 1, 2)
		if got := countsIn(t, x.Replay); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
		if !slices.ContainsFunc(x.Problems, func(e *MediumError) bool { return e.Place == 2 && e.Problem == c.problem }) {
			t.Errorf("%s: %v", name, x.Problems)
		}
		if err := x.Complete(); (err == nil) != (c.problem != Twin) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.d.set(2, good)
	h.d.unplug(0)
	_, err := Read(h.d.on(h.o, 0))
	var problem *MediumError
	if !errors.As(err, &problem) || problem.Problem != Absent || strings.Contains(err.Error(), "\n") {
		t.Errorf("read nothing: %v", err)
	}
}

// withRecord appends a record that opens to a medium's files.
func withRecord(t *testing.T, h *hand, files map[string][]byte, plain []byte) map[string][]byte {
	t.Helper()
	head, problem := h.o.readHeader(2)
	if problem != nil {
		t.Fatal(problem)
	}
	s := newSealer(h.o.JournalKey, head.set)
	out := map[string][]byte{headerFile: files[headerFile], hardwareFile: files[hardwareFile]}
	out[recordsFile] = s.appendFrame(bytes.Clone(files[recordsFile]), 100, nonce{}, plain)
	return out
}

// next are options for the incarnation after, on disks of its own.
func next(o Options, incarnation ledger.Incarnation) (*disks, Options) {
	d := newDisks()
	o.Incarnation, o.Key = incarnation, ledgertest.Key(ledgertest.DeviceName(bureau, incarnation))
	o.JournalKey[31] = byte(incarnation)
	return d, d.on(o, 0, 1, 2)
}

// opening is what the newest session's first statement says.
func opening(tb testing.TB, j *Journal) (s *ledger.SessionOpened) {
	tb.Helper()
	err := j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		if b.Header.First == 0 {
			s = b.Statements[0].Body.(*ledger.SessionOpened)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// The machine and a key died. The next incarnation is unfenced, whatever happens to it, until two
// of the old media have been read; then it knows what they held, with none of them attached.
func TestTheNextIncarnationIsUnfencedUntilItIsSettled(t *testing.T) {
	h := newHand(t, 215)
	j := reopen(t, h.o)
	if j.Unfenced() || opening(t, j).Unfenced {
		t.Error("the first incarnation is unfenced")
	}
	for i := range 5 {
		appended1(t, j, count(i))
	}
	closed(t, j)
	old := h.d

	d, o := next(h.o, 1)
	create(t, o)
	for range 2 {
		j = reopen(t, o)
		if !j.Unfenced() || j.Settled() || !opening(t, j).Unfenced {
			t.Error("it is fenced")
		}
		appended1(t, j, count(10))
		closed(t, j)
	}
	j = reopen(t, o)
	if err := j.Settle(context.Background(), history1(t, old, h.o, 1)); !errors.As(err, new(*TooFewError)) {
		t.Errorf("settled by one medium: %v", err)
	}
	level(t, j)
	if err := j.Settle(context.Background(), history1(t, d, o, 0, 1)); err == nil || !strings.Contains(err.Error(), "incarnation 1") {
		t.Errorf("settled by its own media: %v", err)
	}
	if j.Settled() {
		t.Fatal("settled")
	}
	if err := j.SetNote(context.Background(), settledNote(0), nil); err == nil {
		t.Error("anybody may settle")
	}
	closed(t, j)
	// The third session is settled while a key is away, which then comes back.
	j = reopen(t, o)
	lost(t, d, j, 2)
	if err := j.Settle(context.Background(), history1(t, old, h.o, 0, 2)); err != nil {
		t.Fatal(err)
	}
	if !j.Settled() || !j.Unfenced() {
		t.Error("a session became fenced while it was at work")
	}
	attach(t, j, 2)
	if err := j.Settle(context.Background(), history1(t, old, h.o, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if got := countsIn(t, j.Inherited); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("settled again, it inherited %v", got)
	}
	closed(t, j)
	for _, places := range anyTwo {
		j = reopen(t, d.on(o, places...))
		if j.Unfenced() || opening(t, j).Unfenced || !j.Settled() {
			t.Errorf("%v: it is unfenced", places)
		}
		if got := countsIn(t, j.Inherited); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
			t.Errorf("%v: inherited %v", places, got)
		}
		if got := counts(t, j); !slices.Equal(got, []int{10, 10, 102}) {
			t.Errorf("%v: its own %v", places, got)
		}
		wellChained(t, j, h.o.Group)
		closed(t, j)
	}
}

// Only batches of incarnations before are inherited: another one there is not this program's work.
func TestABatchThatIsNotInheritedDoesNotPassForIt(t *testing.T) {
	h := newHand(t, 218)
	h.session(nil, 1, 1, all3, all3)
	files := h.d.read(t, 2)
	x := history1(t, h.d, h.o, 0, 1)
	own, err := load(x.readers, x.h.chain[0].held.at)
	if err != nil {
		t.Fatal(err)
	}
	h.d.set(2, withRecord(t, h, files, own.encode(inheritedRecord)))
	j := reopen(t, h.o)
	var problem *MediumError
	if !errors.As(j.Status()[2].Fault, &problem) || problem.Problem != Damaged {
		t.Errorf("status %+v", j.Status()[2])
	}
	closed(t, j)
}

// The third incarnation needs both before it, and may have the first from the second's media.
func TestTheThirdIncarnationSettlesBothBeforeIt(t *testing.T) {
	h := newHand(t, 216)
	j := reopen(t, h.o)
	appended1(t, j, count(1))
	closed(t, j)
	second, o := next(h.o, 1)
	create(t, o)
	j = reopen(t, o)
	appended1(t, j, count(2))
	closed(t, j)
	unsettled, _ := second.cut(second.at(), [drives]outcome{})
	j = reopen(t, o)
	if err := j.Settle(context.Background(), history1(t, h.d, h.o, 0, 1)); err != nil {
		t.Fatal(err)
	}
	closed(t, j)

	_, o2 := next(h.o, 2)
	create(t, o2)
	j = reopen(t, o2)
	if err := j.Settle(context.Background(), history1(t, unsettled, o, 1, 2)); err != nil || j.Settled() {
		t.Fatalf("settled without the first: %v, %v", j.Settled(), err)
	}
	if err := j.Settle(context.Background(), history1(t, second, o, 1, 2)); err != nil || !j.Settled() {
		t.Fatalf("not settled: %v", err)
	}
	closed(t, j)
	j = reopen(t, o2)
	got := countsIn(t, j.Inherited)
	slices.Sort(got)
	if j.Unfenced() || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("unfenced %v, inherited %v", j.Unfenced(), got)
	}
	wellChained(t, j, h.o.Group)
	closed(t, j)
}

// Wherever settling is cut, an opening is either unfenced or has all.
func TestAPowerCutWhileSettlingLeavesItUnfencedOrWhole(t *testing.T) {
	h := newHand(t, 217)
	j := reopen(t, h.o)
	for i := range 3 {
		appended1(t, j, count(i))
	}
	closed(t, j)
	d, o := next(h.o, 1)
	create(t, o)
	j = reopen(t, o)
	level(t, j)
	from := d.at()
	if err := j.Settle(context.Background(), history1(t, h.d, h.o, 0, 1)); err != nil {
		t.Fatal(err)
	}
	done := d.at()
	closed(t, j)
	fenced, open := 0, 0
	everyCut(d, from, func(n int, how [drives]outcome, image func() *disks) {
		for _, places := range anyTwo {
			imagesOpened.Add(1)
			j := reopen(t, image().on(o, places...))
			all := slices.Equal(countsIn(t, j.Inherited), []int{0, 1, 2})
			switch {
			case j.Unfenced() && n >= done:
				t.Errorf("cut before operation %d, opened with %v: the mark is lost", n, places)
			case j.Unfenced():
				open++
			case !all:
				t.Errorf("cut before operation %d, opened with %v: fenced without all", n, places)
			default:
				fenced++
			}
			closed(t, j)
		}
	})
	if fenced == 0 || open == 0 {
		t.Errorf("%d fenced, %d unfenced: the enumeration is broken", fenced, open)
	}
}
