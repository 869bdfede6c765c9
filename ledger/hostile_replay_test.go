package ledger_test

import (
	"math/rand/v2"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// rightsOf lists where every right stands at every bureau.
func rightsOf(d *ledgertest.Day, v ledger.View, bureaux, electors int) map[string]ledger.Record {
	out := map[string]ledger.Record{}
	for n := range bureaux {
		for e := range electors {
			for _, kind := range []ledger.RightKind{ledger.Admit, ledger.Carry} {
				x := ledger.Right{Elector: ledgertest.Elector(e), Kind: kind}
				out[string(x.Elector[:])+string(rune(kind))+string(rune(n))] = d.Group.ReadRecord(v, ledger.BureauNumber(n+1), x)
			}
		}
	}
	return out
}

// Where a right stands is a function of the chains, not of when and how often they came: a day's batches, each some times
// over and in any order, give the rights that they gave in the order in which they were made, and again nothing.
func TestADaysBatchesReplayedInAnyOrderMoveNoRight(t *testing.T) {
	states := map[ledger.State]int{}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 21))
		d, all := randomDay(t, rnd)
		want := rightsOf(d, d.View, 3, 9)
		for _, r := range want {
			states[r.State]++
		}
		fresh := ledger.NewMemoryView()
		ledger.Begin(d.Group, fresh)
		var messages []*ledger.Batch
		for _, b := range all {
			for range 1 + rnd.IntN(3) {
				messages = append(messages, b)
			}
		}
		// What finds no room is proposed again, as its author would.
		for round := 0; len(messages) > 0; round++ {
			if round > 100 {
				t.Fatalf("seed %d: %d batches never find a place", seed, len(messages))
			}
			rnd.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
			var left []*ledger.Batch
			for _, b := range messages {
				if ans, _ := ledger.Place(d.Group, fresh, b); ans.Status != ledger.Placed {
					left = append(left, b)
				}
			}
			messages = left
		}
		sameRights(t, seed, "in another order", want, rightsOf(d, fresh, 3, 9))
		// And once more, to whom has it all.
		before := ledger.ReadHead(fresh)
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, b := range all {
			ledger.Place(d.Group, fresh, b)
		}
		sameRights(t, seed, "again", want, rightsOf(d, fresh, 3, 9))
		if after := ledger.ReadHead(fresh); after != before {
			t.Errorf("seed %d: the chain grew from %d to %d entries", seed, before.Size, after.Size)
		}
	}
	for _, s := range []ledger.State{ledger.Own, ledger.None, ledger.Held, ledger.Admitted, ledger.Released} {
		if states[s] == 0 {
			t.Errorf("no right of these days is %v", s)
		}
	}
}

func sameRights(t *testing.T, seed uint64, how string, want, got map[string]ledger.Record) {
	t.Helper()
	for x, r := range want {
		if got[x] != r {
			t.Fatalf("seed %d, %s: a right stands at %+v, and at %+v in the first order", seed, how, got[x], r)
		}
	}
}
