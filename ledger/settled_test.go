package ledger_test

import (
	"maps"
	"math/rand/v2"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// second is the next incarnation of the chain's bureau, at work unfenced.
func second(d *ledgertest.Day, n ledger.BureauNumber, i ledger.Incarnation, session byte) *ledgertest.Chain {
	c := d.Session(n, session)
	c.Author.Incarnation = i
	c.Put(&ledger.SessionOpened{Generation: 1, Media: 3, Unfenced: true})
	return c
}

func settles(i ledger.Incarnation, old *ledgertest.Chain) *ledger.Settled {
	return &ledger.Settled{Incarnation: i, Head: old.Head(), Generation: 1, Media: 5}
}

func TestNextIncarnationMovesRightsOnlyOnceSettled(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	old := d.Started(1)
	old.Put(ledgertest.Admission(0))
	c := second(d, 1, 1, 11)
	validity := func(what string, want ledger.Validity, b ...ledger.Body) {
		t.Helper()
		for i, v := range c.Put(b...).Verdicts {
			if v.Validity != want {
				t.Errorf("%s: statement %d: %v, want %v", what, i, v, want)
			}
		}
	}
	validity("unfenced", ledger.PolicyForbids, ledgertest.Admission(2))
	bold := next(d, c, 12)
	bold.Put(&ledger.SessionOpened{Continues: c.Head(), Generation: 1, Media: 3})
	c = bold
	validity("not unfenced by its own word", ledger.PolicyForbids, ledgertest.Admission(2))
	validity("settled with its own media", ledger.PolicyForbids, settles(1, c))
	wrong := settles(0, old)
	wrong.Head.Hash[0] ^= 1
	validity("a head that is not", ledger.BadEmbedding, wrong)
	validity("still", ledger.PolicyForbids, ledgertest.Admission(2))
	validity("settled", ledger.Valid, settles(0, old))
	validity("from here on", ledger.Valid, ledgertest.Admission(2))
	validity("what the old one admitted", ledger.NotHeld, ledgertest.Admission(0))
	after := next(d, c, 13)
	after.Put(continues(c))
	c = after
	validity("in the next session too", ledger.Valid, ledgertest.Admission(4))
	mustClass(t, "the old machine goes on", old.Put(ledgertest.Admission(6)), ledger.Forked)
	if _, offence := verifyFiles(t, d.Export()); offence != "" {
		t.Error(offence)
	}
}

func TestUnfencedSessionStaysSoThoughItIsSettled(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	old := d.Started(1)
	c := second(d, 1, 1, 11)
	if v := c.Put(settles(0, old), ledgertest.Admission(2)).Verdicts; v[0].Validity != ledger.Valid || v[1].Validity != ledger.PolicyForbids {
		t.Errorf("%v", v)
	}
}

func TestSettlingWaitsForTheChainThatItTakesOver(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	old := d.Started(1)
	last := old.Sign(ledgertest.Admission(0))
	c := second(d, 1, 1, 11)
	s := c.Sign(settles(0, old))
	if ans := d.Place(s); ans.Status != ledger.Parked {
		t.Fatalf("%+v", ans)
	}
	d.Place(last)
	if ans := d.Place(s); ans.Status != ledger.Placed || !ans.Verdicts[0].Clean() {
		t.Errorf("%+v", ans)
	}
	// Of a machine whose media have been imported nothing more will come.
	gone := *old
	gone.Sign(ledgertest.Admission(8))
	third := second(d, 1, 2, 21)
	d.Started(2).Put(&ledger.Imported{Bureau: 1, Generation: 1, Media: 3})
	if ans := third.Put(settles(0, &gone)); ans.Verdicts[0].Validity != ledger.BadEmbedding {
		t.Errorf("%+v", ans)
	}
}

func TestThirdIncarnationSettlesBothBeforeItOrOneThatWasSettled(t *testing.T) {
	for _, before := range []bool{true, false} {
		d := ledgertest.NewDay(t, 2, 30, nil)
		old := d.Started(1)
		mid := second(d, 1, 1, 11)
		if before {
			mid.Put(settles(0, old))
		}
		c := second(d, 1, 2, 21)
		c.Put(settles(1, mid))
		after := next(d, c, 22)
		v := after.Put(continues(c), ledgertest.Admission(2)).Verdicts[1]
		if (v.Validity == ledger.Valid) != before {
			t.Errorf("the one before settled %v: %v", before, v)
		}
		after.Put(settles(0, old))
		if v := after.Put(ledgertest.Admission(4)).Verdicts[0]; v.Validity != ledger.Valid {
			t.Errorf("both: %v", v)
		}
	}
}

func TestMachineThatNeverSpokeIsSettledWithoutAHead(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	c := second(d, 1, 1, 11)
	c.Put(&ledger.Settled{Generation: 1, Media: 3})
	after := next(d, c, 12)
	if v := after.Put(continues(c), ledgertest.Admission(2)).Verdicts[1]; !v.Clean() {
		t.Errorf("%v", v)
	}
	mustClass(t, "it speaks all the same", d.Session(1, 1).Put(media), ledger.Forked)
}

// Whoever's batches come first: a machine that has taken another over is judged as its chains say.
func TestValiditiesOfASettledMachineDoNotDependOnTheOrderOfArrival(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 30, nil)
	old := d.Session(1, 1)
	release := func(i int) *ledger.Release {
		return &ledger.Release{Right: ledger.Touches(ledgertest.Admission(i))[0], To: 2}
	}
	all := []*ledger.Batch{old.Sign(media), old.Sign(ledgertest.Admission(0)), old.Sign(release(2), release(4))}
	heir := d.Session(1, 11)
	heir.Author.Incarnation = 1
	all = append(all, heir.Sign(&ledger.SessionOpened{Generation: 1, Media: 3, Unfenced: true}), heir.Sign(&ledger.Provisional{Elector: ledgertest.Elector(6), Means: ledger.ByCard}, release(8)))
	all = append(all, heir.Sign(settles(0, old)))
	after := next(d, heir, 12)
	all = append(all, after.Sign(continues(heir)), after.Sign(ledgertest.Admission(0), ledgertest.Admission(2), ledgertest.Admission(8), release(10)))
	var want map[string]ledger.Validity
	rnd := rand.New(rand.NewPCG(1, 8))
	for range 40 {
		v := ledger.NewMemoryView()
		entries := []ledger.PlacedEntry{ledger.Begin(d.Group, v)}
		for _, b := range all {
			_, placed := ledger.Place(d.Group, v, b)
			entries = append(entries, placed...)
		}
		got := validities(entries)
		if want == nil {
			want = got
		}
		if len(got) != 13 || !maps.Equal(got, want) {
			t.Fatalf("%d statements: %v, want %v", len(got), got, want)
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	seen := map[ledger.Validity]int{}
	for _, v := range want {
		seen[v]++
	}
	if seen[ledger.NotHeld] != 2 || seen[ledger.PolicyForbids] != 1 {
		t.Errorf("%v", seen)
	}
}
