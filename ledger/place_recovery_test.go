package ledger_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

var media = &ledger.SessionOpened{Generation: 1, Media: 3}

// next is a session of the chain's bureau that goes on from its end.
func next(d *ledgertest.Day, c *ledgertest.Chain, session byte) *ledgertest.Chain {
	n := d.Session(c.Author.Bureau, session)
	n.Author.Incarnation, n.At.Previous = c.Author.Incarnation, c.At.Previous
	return n
}

func continues(c *ledgertest.Chain) *ledger.SessionOpened {
	return &ledger.SessionOpened{Continues: c.Head(), Generation: 1, Media: 3}
}

func mustClass(t *testing.T, what string, ans ledger.Answer, want ...ledger.Class) {
	t.Helper()
	var got []ledger.Class
	for _, v := range ans.Verdicts {
		got = append(got, v.Class)
	}
	if ans.Status != ledger.Placed || !slices.Equal(got, want) {
		t.Errorf("%s: %+v, want classes %v", what, ans, want)
	}
}

func TestWhatWaitsIsPlacedAcrossTheGapOnceItsMediaAreImported(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 30, nil)
	one, two := d.Started(1), d.Started(2)
	two.Put(ledgertest.Admission(1))
	lost := two.Sign(ledgertest.Admission(4))
	waiting := []*ledger.Batch{two.Sign(ledgertest.Admission(7)), two.Sign(ledgertest.Admission(10))}
	after := next(d, two, 22)
	opening := after.Sign(continues(two))
	for _, b := range append([]*ledger.Batch{opening}, waiting...) {
		if ans := d.Place(b); ans.Status != ledger.Parked {
			t.Fatalf("%+v", ans)
		}
	}
	if ans := d.Session(3, 3).Put(media, &ledger.Imported{Bureau: 2, Generation: 1, Media: 1}); ans.Verdicts[1].Validity != ledger.Unauthorised {
		t.Fatalf("bureau 3 imports: %+v", ans)
	}
	if n := len(d.Entries); d.Place(opening).Status != ledger.Parked || len(d.Entries) != n {
		t.Fatal("placed without an import")
	}
	if ans := one.Put(&ledger.Imported{Bureau: 2, Incarnation: 1, Generation: 1, Media: 1}); !ans.Verdicts[0].Clean() || d.Place(opening).Status != ledger.Parked {
		t.Fatalf("the import of another machine: %+v", ans)
	}
	one.Put(&ledger.Imported{Bureau: 2, Generation: 1, Media: 1})
	mustClass(t, "across the gap", d.Place(waiting[0]), ledger.Gap)
	mustClass(t, "behind it", d.Place(waiting[1]), ledger.Accepted)
	mustClass(t, "the next session", d.Place(opening), ledger.Accepted)
	if _, ok := ledger.ImportedAt(d.View, 2, 0); !ok {
		t.Error("the import is not noted")
	}
	// From here on nothing of this machine waits, and what fills the gap is placed late.
	missing := after.Sign(ledgertest.Admission(13))
	mustClass(t, "at once", d.Place(after.Sign(ledgertest.Admission(16))), ledger.Gap)
	mustClass(t, "late", d.Place(missing), ledger.Gap)
	mustClass(t, "late", d.Place(lost), ledger.Gap)
	if ans := d.Place(lost); ans.Status != ledger.Placed {
		t.Errorf("again: %+v", ans)
	}
	for _, e := range []int{1, 4, 7, 10, 13, 16} {
		if got := ledger.Admissions(d.View, ledger.Touches(ledgertest.Admission(e))[0]); len(got) != 1 {
			t.Errorf("elector %d: %v", e, got)
		}
	}
	if _, offence := verifyFiles(t, d.Export()); offence != "" {
		t.Error(offence)
	}
}

func TestGapIsFilledOnlyByWhatFits(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	one, two := d.Started(1), d.Started(2)
	one.Put(&ledger.Imported{Bureau: 2, Generation: 1, Media: 1})
	before := *two
	fits := two.Sign(ledgertest.Admission(11), ledgertest.Admission(13))
	two.Put(ledgertest.Admission(5))
	other, long := before, before
	for what, b := range map[string]*ledger.Batch{
		"not what the one behind it goes on from": other.Sign(ledgertest.Admission(1), ledgertest.Admission(7)),
		"over the one behind it":                  long.Sign(ledgertest.Admission(1), ledgertest.Admission(3), ledgertest.Admission(5)),
	} {
		if ans := d.Place(b); ans.Status != ledger.Contradicted {
			t.Errorf("%s: %+v", what, ans)
		}
	}
	stray := before
	stray.At.Previous = ledger.Hash{9}
	if ans := d.Place(stray.Sign(ledgertest.Admission(1))); ans.Status != ledger.Contradicted {
		t.Errorf("not going on from the one before: %+v", ans)
	}
	mustClass(t, "what fits", d.Place(fits), ledger.Gap, ledger.Gap)
	if _, offence := verifyFiles(t, d.Export()); offence != "" {
		t.Error(offence)
	}
}

func TestSessionsAcrossAGapAreImportedInTheirOrder(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	one, lost := d.Started(1), d.Session(2, 200)
	lost.Sign(media)
	// The sessions' names are in the wrong order.
	middle := next(d, lost, 100)
	opening := middle.Sign(continues(lost))
	last := next(d, middle, 50)
	final := last.Sign(continues(middle))
	d.Place(final)
	d.Place(opening)
	one.Put(&ledger.Imported{Bureau: 2, Generation: 1, Media: 1})
	a, b := d.Place(opening), d.Place(final)
	mustClass(t, "behind the gap", a, ledger.Gap)
	mustClass(t, "behind that", b, ledger.Accepted)
	if a.Position > b.Position {
		t.Errorf("at %d and %d", a.Position, b.Position)
	}
}

func TestIsolatedBureausWholeDayIsPlacedInOrderWithoutAGap(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 120, nil)
	one, two := d.Started(1), d.Session(2, 2)
	day := []*ledger.Batch{two.Sign(media)}
	for i := 1; i < 100; i += 2 {
		day = append(day, two.Sign(ledgertest.Admission(i)))
		if i%30 == 1 {
			two2 := next(d, two, byte(100+i))
			day = append(day, two2.Sign(continues(two)))
			two = two2
		}
	}
	for _, b := range day {
		mustClass(t, "imported", d.Place(b), ledger.Accepted)
	}
	one.Put(&ledger.Imported{Bureau: 2, Generation: 1, Media: 6})
	r, offence := verifyFiles(t, d.Export())
	if offence != "" || len(r.Conflicts) != 0 || r.Admitted != 50 {
		t.Errorf("%s, %+v", offence, r)
	}
}

func TestWhatComesAfterEvidenceIsNotLost(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 30, nil)
	one := d.Started(1)
	clone := *one
	one.Put(ledgertest.Admission(0))
	twin := clone.Sign(ledgertest.Admission(3))
	first := d.Place(twin)
	if first.Status != ledger.Contradicted {
		t.Fatal(first)
	}
	// The ledger's line goes on, the other one stands as evidence batch after batch.
	mustClass(t, "the ledger's line", one.Put(ledgertest.Admission(6)), ledger.Accepted)
	later := clone.Sign(ledgertest.Admission(0), ledgertest.Admission(9))
	early := clone.Sign(ledgertest.Admission(12))
	if ans := d.Place(early); ans.Status != ledger.Parked {
		t.Fatalf("ahead of its line: %+v", ans)
	}
	size := len(d.Entries)
	if ans := d.Place(later); ans.Status != ledger.Contradicted || len(d.Entries) != size+2 {
		t.Fatalf("%+v, %d entries: what waited for evidence follows it", ans, len(d.Entries)-size)
	}
	again := next(d, &clone, 99)
	opening := again.Sign(continues(&clone))
	for what, b := range map[string]*ledger.Batch{"waited": early, "a session from there": opening, "and on": again.Sign(ledgertest.Admission(15))} {
		if ans := d.Place(b); what != "and on" && ans.Status != ledger.Contradicted {
			t.Errorf("%s: %+v", what, ans)
		}
	}
	n := len(d.Entries)
	if ans := d.Place(twin); ans.Status != ledger.Contradicted || ans.Position != first.Position || len(d.Entries) != n {
		t.Errorf("again: %+v", ans)
	}
	if got := ledger.Reanswer(d.View, twin); got.Status != ledger.Contradicted || got.Position != first.Position {
		t.Errorf("reanswered: %+v", got)
	}
	for e, want := range map[int]int{0: 2, 3: 1, 6: 1, 9: 1, 12: 1, 15: 1} {
		if got := ledger.Admissions(d.View, ledger.Touches(ledgertest.Admission(e))[0]); len(got) != want {
			t.Errorf("elector %d: %v", e, got)
		}
	}
	r, offence := verifyFiles(t, d.Export())
	if offence != "" || len(r.Double) != 1 || len(r.Evidence) != 5 {
		t.Errorf("%s, %+v", offence, r)
	}
}

func TestEachSideOfAForkTakesBackItsOwnRecord(t *testing.T) {
	for _, onLine := range []bool{true, false} {
		d := ledgertest.NewDay(t, 2, 6, nil)
		one := d.Started(1)
		clone := *one
		at := one.At.Next
		void := &ledger.Void{Sequence: at, Rights: ledger.Touches(ledgertest.Admission(0)), Reason: 1}
		one.Put(ledgertest.Admission(0))
		d.Place(clone.Sign(ledgertest.Admission(0), ledgertest.Admission(2)))
		// Both records are statement 1 of the session.
		if got := ledger.Admissions(d.View, void.Rights[0]); len(got) != 2 {
			t.Fatalf("%v", got)
		}
		want := uint64(2)
		if onLine {
			one.Put(void)
			want = 3
		} else {
			d.Place(clone.Sign(void))
		}
		if got := ledger.Admissions(d.View, void.Rights[0]); len(got) != 1 || got[0].Position != want {
			t.Errorf("taken back on the line %v: %v", onLine, got)
		}
	}
}

func TestListedOrphanIsShownWithoutEffect(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	one := d.Started(1)
	head := *one
	tail := one.Sign(ledgertest.Admission(0), &ledger.Release{Right: ledger.Right{Elector: ledgertest.Elector(2), Kind: ledger.Admit}, To: 2})
	after := next(d, &head, 9)
	after.Put(continues(&head))
	listed := after.Put(&ledger.Orphan{Head: *one.Head(), From: head.At.Next})
	ans := d.Place(tail)
	mustClass(t, "orphan", ans, ledger.Orphaned, ledger.Orphaned)
	if ans.Verdicts[0].Against != listed.Position || ans.Verdicts[0].Clean() {
		t.Errorf("%+v", ans)
	}
	if got := ledger.Admissions(d.View, ledger.Touches(ledgertest.Admission(0))[0]); len(got) != 0 {
		t.Errorf("it admits: %v", got)
	}
	mustClass(t, "admitted all the same", after.Put(ledgertest.Admission(0), ledgertest.Admission(2)), ledger.Accepted, ledger.Accepted)
	// What the listing does not cover is a fork, and a session can't list what it goes on with.
	mustClass(t, "beyond the listing", one.Put(ledgertest.Admission(4)), ledger.Forked)
	after.Put(&ledger.Orphan{Head: ledger.Head{Session: after.Author.Session, Next: 99, Hash: ledger.Hash{1}}, From: 1})
	mustClass(t, "its own future", after.Put(ledgertest.Admission(6)), ledger.Accepted)
	if _, offence := verifyFiles(t, d.Export()); offence != "" {
		t.Error(offence)
	}
}

func TestOrphanBeginsWhereItIsListed(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	one := d.Started(1)
	head := *one
	before, listed := one.Sign(ledgertest.Admission(0)), one.At.Next
	tail := one.Sign(ledgertest.Admission(2))
	after := next(d, &head, 9)
	after.Put(continues(&head), &ledger.Orphan{Head: *one.Head(), From: listed})
	mustClass(t, "before it", d.Place(before), ledger.Forked)
	mustClass(t, "listed", d.Place(tail), ledger.Orphaned)
}

func TestTailThatStoodBeforeItWasListedIsAFork(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	one := d.Started(1)
	head := *one
	one.Put(ledgertest.Admission(0))
	after := next(d, &head, 9)
	mustClass(t, "going on from before it", after.Put(continues(&head), &ledger.Orphan{Head: *one.Head(), From: head.At.Next}), ledger.Forked, ledger.Forked)
	if got := ledger.Admissions(d.View, ledger.Touches(ledgertest.Admission(0))[0]); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestAmendmentsAreNotedForWhoeverAsks(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 6, nil)
	one := d.Started(1)
	if ledger.LastAmendment(d.View) != 0 {
		t.Fatal("amended before the first")
	}
	for i, a := range []ledger.Amendment{
		{Act: ledger.Enrol, Bureau: 2, Incarnation: 1},
		{Act: ledger.Retire, Bureau: 2},
		{Act: ledger.Relabel, Bureau: 3, Place: []byte("Gemeentehuis")},
		{Act: ledger.Relabel, Bureau: 3, Place: []byte("École 9")},
		{Act: ledger.Enrol, Bureau: 2, Incarnation: 1},
	} {
		a.Number = uint16(i + 1)
		mustClass(t, "amendment", one.Put(d.Amend(a)), ledger.Accepted)
	}
	enrolled, ok := ledger.Enrolled(d.View, 2, 1)
	if _, first := ledger.Enrolled(d.View, 2, 0); !ok || first || enrolled != 2 {
		t.Errorf("enrolled %d, %v, %v", enrolled, ok, first)
	}
	retired, ok := ledger.Retired(d.View, 2, 0)
	if _, other := ledger.Retired(d.View, 2, 1); !ok || other || retired != 3 {
		t.Errorf("retired %d, %v, %v", retired, ok, other)
	}
	if place, ok := ledger.Relabelled(d.View, 3); !ok || place != "École 9" || ledger.LastAmendment(d.View) != 5 {
		t.Errorf("%q, %v", place, ok)
	}
	mustClass(t, "a retired key", d.Session(2, 2).Put(media), ledger.AfterRetirement)
	r, offence := verifyFiles(t, d.Export())
	if offence != "" || len(r.Places) != 1 || r.Places[3] != "École 9" {
		t.Errorf("%s, %+v", offence, r.Places)
	}
}

// Whatever order a day with clones, gaps and imports arrives in, each placing of it can be replayed
// and loses nothing: what is proposed again after the imports is there.
func TestNothingOfATroubledDayIsLostInAnyOrder(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		d := ledgertest.NewDay(t, 3, 30, nil)
		all := troubledDay(d, rnd)
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		one := d.Started(1)
		for _, b := range all {
			d.Place(b)
		}
		for n := ledger.BureauNumber(2); n <= 3; n++ {
			one.Put(&ledger.Imported{Bureau: n, Generation: 1, Media: 7})
		}
		// Of two that wait at one place the second was not kept: it is proposed again, as always.
		for _, b := range all {
			d.Place(b)
		}
		size := len(d.Entries)
		for i, b := range all {
			if ans := d.Place(b); ans.Status != ledger.Placed && ans.Status != ledger.Contradicted {
				t.Fatalf("seed %d: batch %d of %d: %+v", seed, i, len(all), ans)
			}
		}
		if len(d.Entries) != size {
			t.Errorf("seed %d: %d more are placed in the end", seed, len(d.Entries)-size)
		}
		if _, offence := verifyFiles(t, d.Export()); offence != "" {
			t.Fatalf("seed %d: %s", seed, offence)
		}
	}
}

// troubledDay signs the batches of bureaux 2 and 3, which lose some, are cloned, and open sessions
// here and there; nothing is placed.
func troubledDay(d *ledgertest.Day, rnd *rand.Rand) (all []*ledger.Batch) {
	session := byte(10)
	for n := ledger.BureauNumber(2); n <= 3; n++ {
		session++
		c := d.Session(n, session)
		all = append(all, c.Sign(media))
		lines := []*ledgertest.Chain{c}
		for range 25 {
			c := lines[rnd.IntN(len(lines))]
			switch rnd.IntN(8) {
			case 0:
				if len(lines) < 3 {
					clone := *c
					lines = append(lines, &clone)
				}
			case 1:
				session++
				after := next(d, c, session)
				all = append(all, after.Sign(continues(c)))
				*c = *after
			case 2:
				c.Sign(&ledger.Incident{Code: 1}) // on no medium
			default:
				e := rnd.IntN(30)
				void := &ledger.Void{Sequence: c.At.Next - uint64(rnd.IntN(2)), Rights: ledger.Touches(ledgertest.Admission(e))}
				all = append(all, c.Sign(ledgertest.Admission(e), void, &ledger.Incident{Code: uint16(rnd.IntN(3))}))
			}
		}
	}
	return all
}
