package ledger_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// randomDay signs batches of a few bureaux, good and bad statements mixed, each bureau's
// sessions going on from one another; every batch is placed as it is signed.
func randomDay(t *testing.T, rnd *rand.Rand) (*ledgertest.Day, []*ledger.Batch) {
	t.Helper()
	const bureaux, electors = 3, 9
	d := ledgertest.NewDay(t, bureaux, electors, nil)
	var all []*ledger.Batch
	var extracts [][]byte
	chains := map[int]*ledgertest.Chain{}
	for step := range 60 {
		n := rnd.IntN(bureaux) + 1
		var b *ledger.Batch
		if c := chains[n]; c == nil || rnd.IntN(12) == 0 {
			next := d.Session(ledger.BureauNumber(n), byte(step+1))
			open := &ledger.SessionOpened{Generation: 1, Media: 3}
			if c != nil {
				open.Continues, next.At.Previous = c.Head(), c.At.Previous
			}
			chains[n] = next
			b = next.Sign(open)
		} else {
			bodies := make([]ledger.Body, rnd.IntN(3)+1)
			for i := range bodies {
				bodies[i] = randomBody(rnd, d, c, extracts)
			}
			b = c.Sign(bodies...)
		}
		d.Place(b)
		all = append(all, b)
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
	return d, all
}

func randomBody(rnd *rand.Rand, d *ledgertest.Day, c *ledgertest.Chain, extracts [][]byte) ledger.Body {
	e, nonce := ledgertest.Elector(rnd.IntN(10)), uint32(rnd.IntN(2))
	right := ledger.Right{Elector: e, Kind: ledger.Admit}
	if n := len(extracts); n > 0 && rnd.IntN(2) == 0 {
		x := extracts[n-1-rnd.IntN(min(n, 4))]
		got, err := ledger.DecodeExtract(x)
		if err != nil {
			panic(err)
		}
		switch b := got.Statement.Body.(type) {
		case *ledger.Release:
			if rnd.IntN(2) == 0 {
				return &ledger.Hold{Right: b.Right, Nonce: b.Nonce, Release: x}
			}
			return &ledger.Return{Right: b.Right, Nonce: b.Nonce, Release: x}
		case *ledger.Return:
			return &ledger.Restored{Right: b.Right, Nonce: b.Nonce, Return: x}
		}
	}
	switch rnd.IntN(7) {
	case 0:
		return &ledger.Release{Right: right, Nonce: nonce, To: ledger.BureauNumber(rnd.IntN(4) + 1)}
	case 1:
		return &ledger.Void{Sequence: c.At.Next - uint64(rnd.IntN(2)), Rights: []ledger.Right{right}}
	case 2:
		return &ledger.Annulment{Record: ledger.StatementID{Session: c.Author.Session, Sequence: c.At.Next - 1}, Rights: []ledger.Right{right}, Attesters: [2]uint16{1, 2}}
	case 3:
		return &ledger.Provisional{Elector: e, Means: ledger.ByCard}
	case 4:
		return &ledger.ProxyAdmission{Holder: ledgertest.Elector(rnd.IntN(4)), Principal: ledgertest.Elector(4 + rnd.IntN(5)), Form: []byte("1"), Means: ledger.ByCard}
	case 5:
		return d.Amend(ledger.Amendment{Number: uint16(rnd.IntN(3) + 1), Act: ledger.Enrol, Bureau: 2})
	}
	return &ledger.Admission{Elector: e, Nonce: nonce, Means: ledger.ByCard}
}

// validities lists what each statement was judged to be by its own chain.
func validities(entries []ledger.PlacedEntry) map[string]ledger.Validity {
	out := map[string]ledger.Validity{}
	for _, e := range entries {
		for i, v := range e.Entry.Verdicts {
			h := e.Batch.Header
			out[fmt.Sprintf("%x/%d", h.Author.Session, h.First+uint64(i))] = v.Validity
		}
	}
	return out
}

func TestValiditiesDoNotDependOnTheOrderOfArrival(t *testing.T) {
	seen := map[ledger.Validity]int{}
	for seed := range uint64(25) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		d, all := randomDay(t, rnd)
		want := validities(d.Entries)
		for _, v := range want {
			seen[v]++
		}
		for round := range 3 {
			again := ledger.NewMemoryView()
			entries := []ledger.PlacedEntry{ledger.Begin(d.Group, again)}
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, b := range all {
				_, out := ledger.Place(d.Group, again, b)
				entries = append(entries, out...)
			}
			got := validities(entries)
			if len(got) != len(want) {
				t.Fatalf("seed %d round %d: %d statements placed, want %d", seed, round, len(got), len(want))
			}
			for id, v := range want {
				if got[id] != v {
					t.Fatalf("seed %d round %d: statement %s is %v, and %v in the other order", seed, round, id, v, got[id])
				}
			}
		}
	}
	for v := ledger.Valid; v <= ledger.Unauthorised; v++ {
		if seen[v] == 0 && v != ledger.Unauthorised {
			t.Errorf("the days hold no statement that is %v", v)
		}
	}
}

func TestProposingEverythingAgainChangesNothing(t *testing.T) {
	d, all := randomDay(t, rand.New(rand.NewPCG(7, 7)))
	before := ledger.ReadHead(d.View)
	for _, b := range all {
		if ans, out := ledger.Place(d.Group, d.View, b); ans.Status != ledger.Placed || len(out) != 0 {
			t.Fatalf("batch at %d again: %+v, %d entries", b.Header.First, ans, len(out))
		}
	}
	if ledger.ReadHead(d.View) != before {
		t.Error("the chain grew")
	}
}

func TestMembersThatApplyAlikeHaveTheSameEntriesToTheByte(t *testing.T) {
	a, all := randomDay(t, rand.New(rand.NewPCG(9, 9)))
	v := ledger.NewMemoryView()
	out := []ledger.PlacedEntry{ledger.Begin(a.Group, v)}
	for _, b := range all {
		_, more := ledger.Place(a.Group, v, b)
		out = append(out, more...)
	}
	for i, e := range a.Entries {
		if !bytes.Equal(out[i].Encoded, e.Encoded) {
			t.Fatalf("entry %d differs", i)
		}
	}
}
