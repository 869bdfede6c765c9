package rights

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"pointage/ledger"
)

// TestDayReplayedShuffledGivesTheSameRights: the rights view is a function of all chains, in
// whatever order they arrived; and a whole day's messages, come again in any order, change
// nothing any more.
func TestDayReplayedShuffledGivesTheSameRights(t *testing.T) {
	type day struct {
		electors int
		cfg      simConfig
	}
	days := []day{{simFewElectors, simWild(0)}, {simFewElectors, simWith(simWild(0), simCloned)}}
	if *full {
		days = append(days, day{simElectors, simOf(1)}, day{simFewElectors, simWith(simWild(0), simRolledBack)}, day{simElectors, simWith(simOf(1), simCloned)})
	}
	for _, x := range days {
		t.Run(fmt.Sprintf("%d electors, %s", x.electors, simFaultNames[x.cfg.fault]), func(t *testing.T) {
			t.Parallel()
			d := newSimDay(newSimCommune(t, x.electors), x.cfg, 5)
			if why := d.run(); why != "" {
				t.Fatal(why)
			}
			simSameView(t, d)
			if x.cfg.fault == simClean {
				simSameRows(t, d)
			}
		})
	}
}

func simWith(c simConfig, f simFault) simConfig {
	c.fault = f
	return c
}

// simView is what a ledger says of rights: each bureau's record, who admitted, and whether each
// statement was valid.
type simView struct {
	records    map[string]ledger.Record
	admissions map[string]bool
	validities map[string]ledger.Validity
	// undone are admissions that their own bureau has taken back, or says so.
	undone map[string]bool
}

func newSimView(t *testing.T, d *simDay, batches []*ledger.Batch) simView {
	t.Helper()
	v, entries, err := simPlace(d.group, batches)
	if err != nil {
		t.Fatal(err)
	}
	name := func(x ledger.Right, n ledger.BureauNumber, id ledger.StatementID) string {
		return fmt.Sprintf("%d at %d by %x %d", d.of(x), n, id.Session, id.Sequence)
	}
	out := simView{map[string]ledger.Record{}, map[string]bool{}, map[string]ledger.Validity{}, map[string]bool{}}
	for _, e := range entries {
		for i, w := range e.Entry.Verdicts {
			h := &e.Batch.Header
			out.validities[fmt.Sprintf("%d %x %d", h.Author.Bureau, h.Author.Session, h.First+uint64(i))] = w.Validity
			body := e.Batch.Statements[i].Body
			for _, x := range ledger.Touches(body) {
				out.records[fmt.Sprintf("%d %d", h.Author.Bureau, d.of(x))] = d.group.ReadRecord(v, h.Author.Bureau, x)
				switch b := body.(type) {
				case *ledger.Void:
					out.undone[name(x, h.Author.Bureau, ledger.StatementID{Session: h.Author.Session, Sequence: b.Sequence})] = true
				case *ledger.Annulment:
					out.undone[name(x, h.Author.Bureau, b.Record)] = true
				}
			}
		}
	}
	ledger.RangeAdmissions(v, func(x ledger.Right, as []ledger.LiveAdmission) bool {
		for _, a := range as {
			out.admissions[name(x, a.Bureau, a.ID)] = true
		}
		return true
	})
	return out
}

// simSameView places the day's batches in several orders, one of which is any order at all. Where
// one bureau's chain is two, its records are those of both in turn: then whether a statement was
// valid, and with it whether an admission is undone, does depend on the order. What nobody has
// undone stands in every order all the same.
func simSameView(t *testing.T, d *simDay) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(10, 10))
	want := newSimView(t, d, d.union(rnd))
	if len(want.records) < d.electors/2 || len(want.admissions) < d.electors/2 {
		t.Fatalf("a day of %d records and %d admissions", len(want.records), len(want.admissions))
	}
	orders := [][]*ledger.Batch{d.union(rnd)}
	if d.electors == simFewElectors { // parking has room for these
		all := d.union(rnd)
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		orders = append(orders, all)
	}
	undone := func(k string, _ bool) bool { return d.fault != simClean && want.undone[k] }
	maps.DeleteFunc(want.admissions, undone)
	for i, o := range orders {
		got := newSimView(t, d, o)
		if d.fault == simClean && (!maps.Equal(got.records, want.records) || !maps.Equal(got.validities, want.validities)) {
			t.Errorf("order %d: other records or validities", i)
		}
		all := len(got.admissions)
		maps.DeleteFunc(got.admissions, undone)
		if !maps.Equal(got.admissions, want.admissions) {
			t.Errorf("order %d: %d live admissions that nobody has undone, not the same as the %d before", i, len(got.admissions), len(want.admissions))
		}
		if n := all - len(got.admissions); n > 0 {
			t.Logf("order %d: %d admissions stand although the bureau that is two has undone them", i, n)
		}
	}
	t.Logf("%d statements, %d records, %d live admissions, the same in %d orders", len(want.validities), len(want.records), len(want.admissions), 1+len(orders))
}

// simSameRows brings every message of the day again, shuffled, each twice. A right that nobody has used
// may be asked for once more, and come back; it is not used for that.
func simSameRows(t *testing.T, d *simDay) {
	t.Helper()
	before, ballots := simRows(d), d.tally.admitted
	all := append(d.rnd.Perm(len(d.messages)), d.rnd.Perm(len(d.messages))...)
	for _, n := range all {
		msg := &d.messages[n]
		d.machines[msg.to].receive(msg.elector, msg.Message)
		d.settle()
	}
	if d.broken != "" {
		t.Error(d.broken)
	}
	after := simRows(d)
	for k, r := range before {
		unused := len(d.lit[k[1]]) == 0 && after[k].State != ledger.Admitted
		if after[k] != r && !unused {
			t.Errorf("bureau and elector %v: %+v before, %+v after", k, r, after[k])
		}
	}
	if d.tally.admitted != ballots {
		t.Errorf("%d ballots before, %d after", ballots, d.tally.admitted)
	}
	t.Logf("%d messages came again, %d rows did not change", len(all), len(before))
}

// simRows is every machine's record of every right that is more than the roll.
func simRows(d *simDay) map[[2]int32]ledger.Record {
	out := map[[2]int32]ledger.Record{}
	for _, m := range d.machines {
		m.rows(func(e int32, r *simRow) { out[[2]int32{int32(m.bureau), e}] = r.s.Record })
	}
	return out
}
