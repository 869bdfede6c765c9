package reconciliation_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/reconciliation"
)

func right(i int) ledger.Right {
	return ledger.Right{Elector: ledgertest.Elector(i), Kind: ledger.Admit}
}

func next(d *ledgertest.Day, c *ledgertest.Chain, session byte) *ledgertest.Chain {
	n := d.Session(c.Author.Bureau, session)
	n.Author.Incarnation, n.At.Previous = c.Author.Incarnation, c.At.Previous
	return n
}

func continues(c *ledgertest.Chain) *ledger.SessionOpened {
	return &ledger.SessionOpened{Continues: c.Head(), Generation: 1, Media: 3}
}

func extract(t *testing.T, b *ledger.Batch) []byte {
	t.Helper()
	x, err := b.Extract(0).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// union is the day's entries with batches beside them.
func union(d *ledgertest.Day, beside ...*ledger.Batch) *reconciliation.Union {
	u := reconciliation.NewUnion(d.Group)
	for _, e := range d.Entries {
		u.Entry(ledger.Reference(d.Epoch, e.Entry.Position), e.Entry, e.Batch)
	}
	for _, b := range beside {
		u.Add(b)
	}
	return u
}

// troubles is a day of three bureaux that release, hold, give back, lose batches, are cloned and
// list orphans. What of it is placed is the day's, the rest comes beside.
func troubles(t *testing.T, rnd *rand.Rand) (d *ledgertest.Day, beside []*ledger.Batch) {
	t.Helper()
	d = ledgertest.NewDay(t, 3, 18, func(m *election.Manifest) { m.Policy = election.ProvisionalAdmit })
	var lines []*ledgertest.Chain
	var extracts [][]byte
	for n := ledger.BureauNumber(1); n <= 3; n++ {
		lines = append(lines, d.Started(n))
	}
	session := byte(20)
	out := func(b *ledger.Batch) {
		switch rnd.IntN(6) {
		case 0:
			beside = append(beside, b)
		case 1: // on no medium
		default:
			d.Place(b)
		}
		for i, s := range b.Statements {
			if k := s.Body.Kind(); k == ledger.KindRelease || k == ledger.KindReturn {
				x, err := b.Extract(i).Encode()
				if err != nil {
					t.Fatal(err)
				}
				extracts = append(extracts, x)
			}
		}
	}
	for range 70 {
		i := rnd.IntN(len(lines))
		c := lines[i]
		switch rnd.IntN(12) {
		case 0:
			if len(lines) < 6 {
				clone := *c
				lines = append(lines, &clone)
			}
		case 1:
			session++
			after, from := next(d, c, session), *c
			out(c.Sign(ledgertest.Admission(rnd.IntN(18))))
			after.At.Previous = from.At.Previous
			out(after.Sign(continues(&from), &ledger.Orphan{Head: *c.Head(), From: from.At.Next}))
			lines[i] = after
		case 2:
			if c.Author.Incarnation == 0 {
				session++
				heir := d.Session(c.Author.Bureau, session)
				heir.Author.Incarnation = 1
				out(heir.Sign(&ledger.SessionOpened{Generation: 1, Media: 3, Unfenced: rnd.IntN(2) == 0}, &ledger.Settled{Head: c.Head(), Generation: 1, Media: 3}))
				lines[i] = heir
			}
		default:
			out(c.Sign(body(rnd, c, extracts)))
		}
	}
	d.Place(lines[0].Sign(d.Amend(ledger.Amendment{Number: 1, Act: ledger.Retire, Bureau: 3})))
	return d, beside
}

func body(rnd *rand.Rand, c *ledgertest.Chain, extracts [][]byte) ledger.Body {
	e, nonce := rnd.IntN(18), uint32(rnd.IntN(2))
	if n := len(extracts); n > 0 && rnd.IntN(2) == 0 {
		raw := extracts[n-1-rnd.IntN(min(n, 4))]
		x, err := ledger.DecodeExtract(raw)
		if err != nil {
			panic(err)
		}
		switch b := x.Statement.Body.(type) {
		case *ledger.Release:
			if rnd.IntN(2) == 0 {
				return &ledger.Hold{Right: b.Right, Nonce: b.Nonce, Release: raw}
			}
			return &ledger.Return{Right: b.Right, Nonce: b.Nonce, Release: raw}
		case *ledger.Return:
			return &ledger.Restored{Right: b.Right, Nonce: b.Nonce, Return: raw}
		}
	}
	switch rnd.IntN(5) {
	case 0:
		return &ledger.Release{Right: right(e), Nonce: nonce, To: ledger.BureauNumber(rnd.IntN(3) + 1)}
	case 1:
		return &ledger.Void{Sequence: c.At.Next - 1, Rights: []ledger.Right{right(e)}}
	case 2:
		return &ledger.Provisional{Elector: ledgertest.Elector(e), Means: ledger.ByCard}
	}
	return &ledger.Admission{Elector: ledgertest.Elector(e), Nonce: nonce, Means: ledger.ByCard}
}

func TestReportDoesNotDependOnTheOrderInWhichTheUnionWasGiven(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		d, beside := troubles(t, rnd)
		var steps []func(*reconciliation.Union)
		for _, e := range d.Entries {
			steps = append(steps, func(u *reconciliation.Union) { u.Entry(e.Entry.Position, e.Entry, e.Batch) })
		}
		for i, b := range beside {
			h := b.Signed()
			steps = append(steps, func(u *reconciliation.Union) { u.Show(&h) })
			if i%3 > 0 {
				steps = append(steps, func(u *reconciliation.Union) { u.Add(b) }, func(u *reconciliation.Union) { u.Add(b) })
			}
		}
		var want *reconciliation.Report
		for range 4 {
			u := reconciliation.NewUnion(d.Group)
			for _, f := range steps {
				f(u)
			}
			got := u.Report()
			if want == nil {
				want = got
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d:\n got %+v\nwant %+v", seed, got, want)
			}
			if again := u.Report(); !reflect.DeepEqual(again, want) {
				t.Fatalf("seed %d: another report from the same union", seed)
			}
			rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		}
		for what, n := range map[string]int{
			"double": len(want.Double), "forks": len(want.Forks), "orphans": len(want.Orphans), "misconduct": len(want.Misconduct),
			"omissions": len(want.Omissions), "missing": len(want.Missing), "provisionals": len(want.Provisionals), "retired": len(want.Retired),
			"activations": len(want.Activations),
		} {
			seen[what] += n
		}
	}
	for what, n := range seen {
		if n == 0 {
			t.Errorf("no %s in any day", what)
		}
	}
}

func TestCleanDayAccusesNobody(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(d)
	r := union(d).Report()
	want := &reconciliation.Report{Batches: len(d.Entries) - 1, Placed: len(d.Entries) - 1, Admitted: 6}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v", r)
	}
}

// In a day without forks the report judges as the ledger does.
func TestReportAgreesWithTheLedgerWhereNothingForks(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		d := ledgertest.NewDay(t, 3, 18, nil)
		chains := []*ledgertest.Chain{d.Started(1), d.Started(2), d.Started(3)}
		var extracts [][]byte
		for range 60 {
			b := chains[rnd.IntN(3)].Sign(body(rnd, chains[0], extracts))
			d.Place(b)
			if k := b.Statements[0].Body.Kind(); k == ledger.KindRelease || k == ledger.KindReturn {
				extracts = append(extracts, extract(t, b))
			}
		}
		r := union(d).Report()
		invalid, double := 0, 0
		for _, e := range d.Entries {
			for _, v := range e.Entry.Verdicts {
				if v.Validity != ledger.Valid {
					invalid++
				}
			}
		}
		ledger.RangeAdmissions(d.View, func(x ledger.Right, as []ledger.LiveAdmission) bool {
			if len(as) > 1 {
				double++
				i := slices.IndexFunc(r.Double, func(d reconciliation.Double) bool { return d.Right == x })
				if i < 0 || len(r.Double[i].Records) != len(as) {
					t.Errorf("seed %d: the ledger lists %d admissions", seed, len(as))
				}
			}
			return true
		})
		if len(r.Misconduct) != invalid || len(r.Double) != double || len(r.Forks)+len(r.Missing)+len(r.Omissions) > 0 {
			t.Errorf("seed %d: %d invalid, %d double in the ledger; %+v", seed, invalid, double, r)
		}
	}
}

func TestClonesAreReportedWithBothRecords(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	one := d.Started(1)
	clone := *one
	a, b := one.Sign(ledgertest.Admission(0)), clone.Sign(&ledger.Admission{Elector: ledgertest.Elector(0), Means: ledger.ByName})
	d.Place(a)
	after := clone.Sign(ledgertest.Admission(2))
	r := union(d, b, after).Report()
	if len(r.Double) != 1 || len(r.Double[0].Records) != 2 || len(r.Forks) != 1 || !r.Forks[0].Proved {
		t.Fatalf("%+v", r)
	}
	got := []ledger.Hash{r.Double[0].Records[0].Batch, r.Double[0].Records[1].Batch}
	if !slices.Contains(got, a.Header.Identity()) || !slices.Contains(got, b.Header.Identity()) {
		t.Errorf("records %v", got)
	}
	if len(r.Misconduct) != 0 {
		t.Errorf("either side is right by its own chain: %+v", r.Misconduct)
	}
	if want := []reconciliation.Span{{Author: one.Author, From: 1, To: 3}}; !slices.Equal(r.Omissions, want) {
		t.Errorf("omissions %v", r.Omissions)
	}
	if _, ok := d.Group.Fork(&r.Forks[0].First, &r.Forks[0].Second); !ok {
		t.Error("the fork's two headers prove nothing")
	}
}

func TestRolledBackJournalIsSeenByWhatOthersEmbed(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	one, two := d.Started(1), d.Started(2)
	before := *one
	rel := one.Sign(&ledger.Release{Right: right(0), To: 2})
	two.Put(&ledger.Hold{Right: right(0), Release: extract(t, rel)})
	r := union(d).Report()
	want := []reconciliation.Missing{{Span: reconciliation.Span{Author: one.Author, From: 1, To: 2}, Signed: true}}
	if !slices.Equal(r.Missing, want) || len(r.Forks) != 0 {
		t.Fatalf("%+v", r)
	}
	// The machine goes on from before it.
	d.Place(before.Sign(ledgertest.Admission(0)))
	r = union(d).Report()
	if len(r.Forks) != 1 || !r.Forks[0].Proved {
		t.Errorf("%+v", r)
	}
}

func TestOrphanIsAskedAboutUnlessItWasGivenAway(t *testing.T) {
	for _, given := range []bool{false, true} {
		d := ledgertest.NewDay(t, 2, 6, nil)
		one, two := d.Started(1), d.Started(2)
		head := *one
		tail := one.Sign(&ledger.Release{Right: right(0), To: 2}, ledgertest.Admission(2))
		after := next(d, &head, 9)
		after.Put(continues(&head), &ledger.Orphan{Head: *one.Head(), From: head.At.Next})
		after.Put(ledgertest.Admission(2))
		if given {
			two.Put(&ledger.Hold{Right: right(0), Release: extract(t, tail)})
		}
		r := union(d, tail).Report()
		if (len(r.Orphans) == 1) == given || (len(r.Forks) == 1) != given || (len(r.Double) == 1) != given || len(r.Misconduct) != 0 {
			t.Errorf("given away %v: %+v", given, r)
		}
	}
}

func TestMisconductNamesTheStatementAndWhereTheRightStood(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 12, nil)
	one, two := d.Started(1), d.Started(2)
	rel := one.Sign(&ledger.Release{Right: right(0), To: 2})
	d.Place(rel)
	x := extract(t, rel)
	two.Put(&ledger.Hold{Right: right(0), Release: x}, ledgertest.Admission(0), &ledger.Return{Right: right(0), Release: x})
	one.Put(&ledger.Release{Right: right(0), To: 2})
	r := union(d).Report()
	if len(r.Misconduct) != 2 {
		t.Fatalf("%+v", r.Misconduct)
	}
	for i, want := range []reconciliation.Misconduct{
		{Record: reconciliation.Record{Kind: ledger.KindRelease, Sequence: 2}, Validity: ledger.NotHeld, State: ledger.Released},
		{Record: reconciliation.Record{Kind: ledger.KindReturn, Sequence: 3}, Validity: ledger.NotHeld, State: ledger.Admitted},
	} {
		got := r.Misconduct[i]
		if got.Record.Kind != want.Record.Kind || got.Record.Sequence != want.Record.Sequence || got.Validity != want.Validity || got.State != want.State {
			t.Errorf("%+v", got)
		}
	}
}

func TestNobodyIsAccusedForWhatIsMissing(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 12, nil)
	one, two := d.Started(1), d.Started(2)
	rel := one.Sign(&ledger.Release{Right: right(0), To: 2})
	d.Place(rel)
	two.Sign(&ledger.Hold{Right: right(0), Release: extract(t, rel)}) // lost
	used := two.Sign(ledgertest.Admission(0))
	r := union(d, used).Report()
	if len(r.Misconduct) != 0 || len(r.Missing) != 1 || r.Missing[0].Span != (reconciliation.Span{Author: two.Author, From: 1, To: 2}) {
		t.Errorf("%+v", r)
	}
	one.Put(&ledger.Imported{Bureau: 2, Generation: 1, Media: 1})
	d.Place(used)
	r = union(d).Report()
	if want := []reconciliation.Span{{Author: two.Author, From: 2, To: 3}}; !slices.Equal(r.Gaps, want) {
		t.Errorf("gaps %v", r.Gaps)
	}
}

func TestProvisionalIsOpenUntilWhoeverElseCouldAdmitIsComplete(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, func(m *election.Manifest) { m.Policy = election.ProvisionalAdmit })
	one, two, three := d.Started(1), d.Started(2), d.Started(3)
	outcomes := func(want ...reconciliation.Outcome) {
		t.Helper()
		var got []reconciliation.Outcome
		for _, p := range union(d).Report().Provisionals {
			got = append(got, p.Outcome)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	provisional := func(i int) *ledger.Provisional {
		return &ledger.Provisional{Elector: ledgertest.Elector(i), Means: ledger.ByCard}
	}
	one.Put(&ledger.Release{Right: right(0), To: 3})
	two.Put(provisional(0), provisional(3), provisional(6))
	at := two.At.Next - 1
	two.Put(&ledger.Void{Sequence: at, Rights: []ledger.Right{right(6)}})
	outcomes(reconciliation.Open, reconciliation.Open, reconciliation.Withdrawn)
	one.Put(&ledger.BureauClosed{})
	outcomes(reconciliation.Open, reconciliation.Confirmed, reconciliation.Withdrawn)
	two.Put(&ledger.Imported{Bureau: 3, Generation: 1, Media: 7})
	outcomes(reconciliation.Confirmed, reconciliation.Confirmed, reconciliation.Withdrawn)
	three.Put(ledgertest.Admission(0))
	outcomes(reconciliation.DoubleAdmitted, reconciliation.Confirmed, reconciliation.Withdrawn)
}

func TestNextIncarnationsAndRetiredKeysAreListed(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, old := d.Started(1), d.Started(2)
	old.Put(&ledger.Release{Right: right(1), To: 1})
	heir := d.Session(2, 22)
	heir.Author.Incarnation = 1
	heir.Put(&ledger.SessionOpened{Generation: 1, Media: 3, Unfenced: true})
	if got := union(d).Report().Activations; !slices.Equal(got, []reconciliation.Activation{{Bureau: 2, Incarnation: 1}}) {
		t.Errorf("%+v", got)
	}
	one.Put(d.Amend(ledger.Amendment{Number: 1, Act: ledger.Enrol, Bureau: 2, Incarnation: 1}), d.Amend(ledger.Amendment{Number: 2, Act: ledger.Retire, Bureau: 2}))
	heir.Put(&ledger.Settled{Head: old.Head(), Generation: 1, Media: 3})
	fenced := next(d, heir, 23)
	fenced.Put(continues(heir), ledgertest.Admission(4), ledgertest.Admission(1))
	r := union(d, old.Sign(ledgertest.Admission(7))).Report()
	if !slices.Equal(r.Activations, []reconciliation.Activation{{Bureau: 2, Incarnation: 1, Enrolled: true, Settled: true}}) {
		t.Errorf("%+v", r.Activations)
	}
	// What the old machine released the next one can't admit; the old one, which went on, stands apart.
	if len(r.Misconduct) != 1 || r.Misconduct[0].State != ledger.Released || len(r.Forks) != 1 || r.Forks[0].Proved {
		t.Errorf("%+v", r)
	}
	if want := []reconciliation.Span{{Author: old.Author, From: 0, To: 3}}; len(r.Retired) != 1 || r.Retired[0].Author != want[0].Author || r.Retired[0].To != 3 {
		t.Errorf("retired %+v", r.Retired)
	}
}

func TestWordsThatContradictAreListed(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	one := d.Started(1)
	key := ledgertest.Key(ledgertest.DeviceName(2, 0))
	h := ledger.ReadHead(d.View)
	a := ledger.SignApplied(key, d.Group, ledger.Member{Bureau: 2}, h)
	h.Last[0] ^= 1
	e, ok := d.Group.Contradiction(a, ledger.SignApplied(key, d.Group, ledger.Member{Bureau: 2}, h))
	if !ok {
		t.Fatal("no contradiction")
	}
	one.Put(e, &ledger.Equivocation{First: a.Encode(), Second: a.Encode()})
	if r := union(d).Report(); len(r.Equivocations) != 1 || r.Equivocations[0].Sequence != 1 {
		t.Errorf("%+v", r.Equivocations)
	}
}

// A bureau whose every batch parts from the one before must not make the report cost the square.
func TestManyForksAndSessionsAreReportedInTime(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 600, nil)
	c := d.Session(1, 1)
	u := reconciliation.NewUnion(d.Group)
	u.Add(c.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}))
	const forks = 250
	for i := range forks {
		clone := *c
		u.Add(clone.Sign(&ledger.Incident{Code: uint16(i)}))
		u.Add(c.Sign(ledgertest.Admission(2 * i)))
	}
	u.Add(c.Sign(ledgertest.Admission(0), ledgertest.Admission(2*forks-2), ledgertest.Admission(2*forks)))
	r := u.Report()
	if len(r.Forks) != forks || len(r.Double) != 2 || len(r.Misconduct) != 2 || r.Admitted != forks+1 {
		t.Errorf("%d forks, %d double, %d of misconduct, %d admitted", len(r.Forks), len(r.Double), len(r.Misconduct), r.Admitted)
	}
}

func TestEmbeddingsAreFollowedToTheirEnd(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	one, two := d.Started(1), d.Started(2)
	rel := one.Sign(&ledger.Release{Right: right(0), To: 2})
	ret := two.Sign(&ledger.Return{Right: right(0), Release: extract(t, rel)})
	back := one.Sign(&ledger.Restored{Right: right(0), Return: extract(t, ret)})
	u := union(d)
	u.Add(back)
	signed := 0
	for _, m := range u.Report().Missing {
		if m.Signed {
			signed++
		}
	}
	if signed != 2 {
		t.Errorf("%+v", u.Report().Missing)
	}
}

func TestTailThatTheLedgerHadBeforeItWasListedIsAFork(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	one := d.Started(1)
	head := *one
	one.Put(ledgertest.Admission(0))
	after := next(d, &head, 9)
	after.Put(continues(&head), &ledger.Orphan{Head: *one.Head(), From: head.At.Next})
	if r := union(d).Report(); len(r.Orphans) != 0 || len(r.Forks) != 1 || r.Admitted != 1 {
		t.Errorf("%+v", r)
	}
}

func TestNobodyListsWhatHeGoesOnFrom(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	one := d.Session(1, 1)
	all := []*ledger.Batch{one.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}), one.Sign(ledgertest.Admission(0))}
	after := next(d, one, 9)
	all = append(all, after.Sign(continues(one), &ledger.Orphan{Head: *one.Head(), From: 1}))
	if r := union(d, all...).Report(); len(r.Orphans) != 0 || r.Admitted != 1 {
		t.Errorf("%+v", r)
	}
}

func TestSessionsThatNameEachOtherAreJudged(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 6, nil)
	var all []*ledger.Batch
	for i, session := range []byte{3, 4} {
		c := d.Session(1, session)
		h := ledger.Head{Session: ledger.SessionID{7 - session}, Next: 9, Hash: ledger.Hash{session}}
		c.At.Previous = h.Hash
		all = append(all, c.Sign(&ledger.SessionOpened{Continues: &h, Generation: 1, Media: 3}), c.Sign(ledgertest.Admission(2*i)))
	}
	if r := union(d, all...).Report(); r.Admitted != 2 || len(r.Missing) != 2 || len(r.Misconduct) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTakingOverKeepsWhatCanLeastBeTakenBack(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 24, nil)
	old := d.Started(1)
	at := old.At.Next
	old.Put(ledgertest.Admission(0), &ledger.Void{Sequence: at, Rights: []ledger.Right{right(0)}}, ledgertest.Admission(2))
	heirs := func(i ledger.Incarnation, session byte, bodies ...ledger.Body) *ledgertest.Chain {
		c := d.Session(1, session)
		c.Author.Incarnation = i
		c.Put(append([]ledger.Body{&ledger.SessionOpened{Generation: 1, Media: 3, Unfenced: true}}, bodies...)...)
		return c
	}
	mid := heirs(1, 11, &ledger.Provisional{Elector: ledgertest.Elector(0), Means: ledger.ByCard}, &ledger.Settled{Head: old.Head(), Generation: 1, Media: 3})
	c := heirs(2, 21, &ledger.Settled{Incarnation: 1, Head: mid.Head(), Generation: 1, Media: 3})
	after := next(d, c, 22)
	after.Put(continues(c), ledgertest.Admission(0), ledgertest.Admission(2), ledgertest.Admission(4))
	r := union(d).Report()
	if len(r.Misconduct) != 2 || r.Misconduct[0].State != ledger.Provisioned || r.Misconduct[1].State != ledger.Admitted || r.Misconduct[1].Validity != ledger.NotHeld {
		t.Errorf("%+v", r.Misconduct)
	}
}

func TestBureauWithSomethingMissingIsNotComplete(t *testing.T) {
	for _, lost := range []bool{false, true} {
		d := ledgertest.NewDay(t, 3, 12, func(m *election.Manifest) { m.Policy = election.ProvisionalAdmit })
		three, two := d.Started(3), d.Started(2)
		two.Put(&ledger.Provisional{Elector: ledgertest.Elector(2), Means: ledger.ByCard})
		if lost {
			three.Sign(ledgertest.Admission(2))
		}
		closed := three.Sign(&ledger.BureauClosed{})
		want := map[bool]reconciliation.Outcome{false: reconciliation.Confirmed, true: reconciliation.Open}[lost]
		if p := union(d, closed).Report().Provisionals; len(p) != 1 || p[0].Outcome != want {
			t.Errorf("lost %v: %+v", lost, p)
		}
	}
}
