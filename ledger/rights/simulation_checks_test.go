package rights

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"pointage/ledger"
)

// double: an elector holds two ballots. On a clean day that breaks S1; where the assumptions
// were broken it must be found in the evening (S3).
func (d *simDay) double(e int32) {
	if d.fault == simClean {
		d.fail(e, "S1: two ballots, at bureaux %d and %d", number(d.lit[e][0].bureau), number(d.lit[e][1].bureau))
		return
	}
	if !slices.Contains(d.doubleVoters, e) {
		d.doubleVoters = append(d.doubleVoters, e)
	}
}

// simWrites is how long a check-in may wait for the media: for the write under way, its own,
// and those of a void.
const simWrites = 4 * simSlowest

// answered: the desk was told something. An elector whose right lay here must be answered
// within D, in whatever state the network is (L1).
func (d *simDay) answered(m *simMachine, e int32, r *simRow) {
	if r.asked == 0 {
		return
	}
	took := d.now - r.asked + 1
	r.asked = 0
	if !r.owed {
		return
	}
	d.tally.longest = max(d.tally.longest, took)
	if took > simBarrierWait+simWrites {
		d.fail(e, "L1: answered after %d ms at home", took)
	}
}

// mustBeLevel: a minute after the healing everything that was durable then is everywhere (L2).
func (d *simDay) mustBeLevel() {
	for _, m := range d.machines {
		if d.isolated[m.index] {
			continue // a clone that never had a network
		}
		if !m.up {
			d.fail(-1, "L2: bureau %d is down a minute after the healing", number(m.bureau))
			return
		}
		for n, st := range m.log {
			if st.at > d.healed {
				break
			}
			if st.placed < 0 || n >= m.heard {
				d.fail(st.elector, "L2: a minute after the healing %d of bureau %d's %d statements are not in the group's order, or it has not heard so", len(m.log)-n, number(m.bureau), len(m.log))
				return
			}
		}
	}
	d.mustBeEverywhere()
}

func (d *simDay) mustBeEverywhere() {
	g, last := &d.members, 0
	for i := range g.order {
		if g.times[i] <= d.now-2*simReplicaLag {
			last = i + 1
		}
	}
	for _, m := range d.machines {
		if !d.isolated[m.index] && m.replica() < last {
			d.fail(-1, "L2: a minute after the healing bureau %d has %d of %d entries", number(m.bureau), m.replica(), last)
		}
	}
}

// settle lets everything happen that is under way.
func (d *simDay) settle() {
	for d.broken == "" && len(d.queue.heap) > 0 {
		d.happen(d.queue.pop())
	}
}

// evening brings everybody home who has no ballot: nobody is stuck (L3). Then the day is judged.
func (d *simDay) evening() {
	d.ended = true
	for _, m := range d.machines {
		m.rows(func(e int32, r *simRow) {
			if d.broken != "" {
				return
			}
			if r.asked != 0 && r.s.Desk != Idle {
				d.fail(e, "L1: nobody was answered at bureau %d", number(m.bureau))
			}
			if r.s.Record.State == ledger.Admitted && !d.isLit(e, r.s.Record.By) {
				d.annul(m, e, r)
			}
		})
	}
	d.settle()
	d.carryHome()
	for range 3 {
		for e := range int32(d.electors) {
			if home := d.machines[int(e)%simBureaux]; d.broken == "" && d.tries[e] > 0 && len(d.lit[e]) == 0 {
				d.ask(home, e, true)
			}
		}
		d.settle()
	}
	if d.broken != "" {
		return
	}
	if d.fault == simClean {
		d.mustAllHaveVoted()
	}
	if d.judged && d.broken == "" {
		d.judge()
	}
}

func (d *simDay) mustAllHaveVoted() {
	for e := range int32(d.electors) {
		if d.tries[e] > 0 && len(d.lit[e]) != 1 {
			home := d.machines[int(e)%simBureaux]
			d.fail(e, "L3: he is stuck; at home his right is %v", home.row(e).s.Record.State)
			return
		}
	}
	for _, m := range d.machines {
		m.rows(func(e int32, r *simRow) {
			s := r.s.Record.State
			if int(e) >= d.electors && len(d.lit[e]) == 0 && r.s.Pending == nil {
				return // his principals have voted (carryHome)
			}
			if s == ledger.Released && (len(d.lit[e]) != 1 || d.lit[e][0].bureau == m.bureau) || s == ledger.Held || r.s.Pending != nil {
				d.fail(e, "L3: in the evening his right is %v at bureau %d", s, number(m.bureau))
			}
		})
	}
}

// union is all batches that were found in the evening, shuffled as far as a group's
// parking allows: none comes before more than half as many of its author's as may wait.
func (d *simDay) union(rnd *rand.Rand) []*ledger.Batch {
	type keyed struct {
		key   float64
		batch *ledger.Batch
	}
	var all []keyed
	add := func(bs []*ledger.Batch, span float64) {
		for i, b := range bs {
			k := (float64(i) + rnd.Float64()*ledger.MaxParkedBatches/2) / span
			all = append(all, keyed{k, b})
			if rnd.IntN(20) == 0 {
				all = append(all, keyed{k + rnd.Float64()/8, b})
			}
		}
	}
	for _, m := range d.machines {
		m.seal(len(m.log))
		if d.sabotage == simBlind && m == d.clone {
			continue
		}
		if d.sabotage == simSlanderous && m.index == 0 {
			d.lost = append(d.lost, m.slander())
			add(d.lost, 1)
		}
		add(m.batches, float64(len(m.batches)))
	}
	switch d.fault {
	case simRolledBack:
		add(d.lost, float64(len(d.lost)))
	case simErased:
		for _, b := range d.lost {
			if d.groupHas(b) {
				add([]*ledger.Batch{b}, 1)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
	out := make([]*ledger.Batch, len(all))
	for i, k := range all {
		out[i] = k.batch
	}
	return out
}

// groupHas says that the group placed the batch's first statement, at least.
func (d *simDay) groupHas(b *ledger.Batch) bool {
	for _, st := range d.members.order {
		if st.in == b {
			return true
		}
	}
	return false
}

// simPlace places all batches, those that were refused for want of room again.
func simPlace(g *ledger.Group, batches []*ledger.Batch) (*ledger.MemoryView, []ledger.PlacedEntry, error) {
	v := ledger.NewMemoryView()
	entries := []ledger.PlacedEntry{ledger.Begin(g, v)}
	for len(batches) > 0 {
		var again []*ledger.Batch
		for _, b := range batches {
			ans, placed := ledger.Place(g, v, b)
			entries = append(entries, placed...)
			if ans.Status == ledger.Rejected && ans.Reason == ledger.ParkingFull {
				again = append(again, b)
			}
		}
		if len(again) == len(batches) {
			return nil, nil, fmt.Errorf("%d batches can't be placed", len(again))
		}
		batches = again
	}
	return v, entries, nil
}

// judge places the union of all chains, and compares what the ledger says with what the desks
// were told (S3).
func (d *simDay) judge() {
	v, entries, err := simPlace(d.group, d.union(d.rnd))
	if err != nil {
		d.fail(-1, "%v", err)
		return
	}
	accused := map[int]bool{}
	d.tally.batches = len(entries)
	for _, e := range entries {
		if e.Entry.Kind == ledger.EvidenceEntry {
			accused[int(e.Batch.Header.Author.Bureau)-1] = true
		}
		for _, w := range e.Entry.Verdicts {
			d.tally.statements++
			if w.Class == ledger.Forked {
				accused[int(e.Batch.Header.Author.Bureau)-1] = true
			}
			if by := int(e.Batch.Header.Author.Bureau) - 1; w.Validity != ledger.Valid {
				// Its own chains contradict each other, under its own signature.
				accused[by] = true
			}
		}
	}
	d.tally.accused = len(accused)
	if d.fault == simClean {
		d.mustAccuseNobody(v, accused)
		return
	}
	d.mustFindAll(v, accused)
}

// mustAccuseNobody: on a clean day there are no forks and no doubles, each ballot stands in
// the ledger and nothing else does, and every bureau's rows are what the ledger has.
func (d *simDay) mustAccuseNobody(v *ledger.MemoryView, accused map[int]bool) {
	for b := range accused {
		d.fail(-1, "S3: bureau %d is accused, falsely", number(b))
	}
	for e := range int32(len(d.rights)) {
		live := ledger.Admissions(v, d.rights[e])
		if len(live) != len(d.lit[e]) || len(live) == 1 && live[0].ID != d.lit[e][0].record {
			d.fail(e, "S3: the ledger has %d admissions, he has %d ballots", len(live), len(d.lit[e]))
		}
	}
	for _, m := range d.machines {
		m.rows(func(e int32, r *simRow) {
			if rec := d.group.ReadRecord(v, number(m.bureau), d.rights[e]); rec != r.s.Record {
				d.fail(e, "bureau %d has %+v, the ledger %+v", number(m.bureau), r.s.Record, rec)
			}
		})
	}
}

// mustFindAll: every double is found with both records, and nobody but the victim is accused.
// Of a record that is on no medium and in no ledger nothing can be found.
func (d *simDay) mustFindAll(v *ledger.MemoryView, accused map[int]bool) {
	d.tally.doubles = len(d.doubleVoters)
	for _, e := range d.doubleVoters {
		if len(d.lit[e]) < 2 {
			continue // one was annulled since
		}
		live := ledger.Admissions(v, d.rights[e])
		for _, l := range d.lit[e] {
			found := slices.ContainsFunc(live, func(a ledger.LiveAdmission) bool { return a.ID == l.record })
			switch {
			case !found && d.fault != simErased:
				d.fail(e, "S3: of two ballots the record at bureau %d is not found", number(l.bureau))
			case !found:
				d.tally.unfound++
			default:
				d.tally.found++
			}
		}
	}
	for b := range accused {
		if b != d.victim {
			d.fail(-1, "S3: bureau %d is accused instead of %d", number(b), number(d.victim))
		}
	}
	if len(d.doubleVoters) > 0 && d.fault != simErased && !accused[d.victim] {
		d.fail(-1, "S3: bureau %d went on from one head twice and is not accused", number(d.victim))
	}
}
