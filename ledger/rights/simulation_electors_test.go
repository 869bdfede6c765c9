package rights

import (
	"math"
	"slices"

	"pointage/ledger"
)

// Who an elector is, drawn when he first comes.
type simHabit uint8

const (
	simHonest simHabit = iota + 1
	// simRestless asks here and there, leaves, comes back, and comes again with his ballot.
	simRestless
)

const (
	simHour    = 3600 * 1000
	simMinute  = 60 * 1000
	simCloses  = 8 * simHour
	simTurnout = 0.88
	simTries   = 9 // how often one elector asks in a day
)

// arrivals draws who comes when: a morning's crowd, a lull, a smaller crowd at noon.
func (d *simDay) arrivals() {
	d.coming = d.coming[:0]
	for e := range d.electors {
		if d.rnd.Float64() >= simTurnout {
			continue
		}
		var at float64
		switch f := d.rnd.Float64(); {
		case f < 0.45:
			at = 2.2*simHour + d.rnd.NormFloat64()*0.9*simHour
		case f < 0.65:
			at = 4.5*simHour + d.rnd.NormFloat64()*0.8*simHour
		default:
			at = d.rnd.Float64() * simCloses
		}
		ms := uint64(math.Abs(math.Mod(at, simCloses-1000)))
		d.coming = append(d.coming, ms<<20|uint64(e))
	}
	slices.Sort(d.coming)
}

// come is an elector's first coming.
func (d *simDay) come(e int32) {
	home := int(e) % simBureaux
	if d.habit[e] == 0 {
		d.habit[e] = simHonest
		if p := d.rnd.Float64(); p < d.restless || d.fault != simClean && home == d.victim && p < 0.3 {
			d.habit[e] = simRestless
		}
	}
	switch f := d.rnd.Float64(); {
	case d.habit[e] == simRestless:
		d.comeTwice(e, home)
	case f < 0.05:
		d.askAt(e, d.elsewhere(home), 0)
		if d.rnd.IntN(20) == 0 {
			d.later(simLeave, e, d.lastAt, d.rnd.Int64N(400))
		}
	case f < 0.053:
		d.tapWrong(home)
		d.askAt(e, home, 10_000)
	default:
		d.ask(d.table(home), e, false)
	}
}

// comeTwice: the same elector, or somebody with his convocation, at two tables at once.
func (d *simDay) comeTwice(e int32, home int) {
	a, b := d.anywhere(home), d.anywhere(home)
	d.askAt(e, a, 0)
	if d.rnd.IntN(2) == 0 {
		d.later(simLeave, e, a, d.rnd.Int64N(60))
	}
	if d.rnd.IntN(3) > 0 {
		d.askAt(e, b, d.rnd.Int64N(40))
	}
	if d.rnd.IntN(2) == 0 {
		d.askAt(e, d.anywhere(home), d.rnd.Int64N(simHour))
	}
}

// table is the machine at which an elector of this bureau stands.
func (d *simDay) table(bureau int) *simMachine {
	if d.clone != nil && d.clone.bureau == bureau && d.rnd.IntN(2) == 0 {
		return d.clone
	}
	return d.machines[bureau]
}

// elsewhere is a bureau near by: neighbours share a building, and a language.
func (d *simDay) elsewhere(home int) int { return (home + 1 + d.rnd.IntN(simBureaux-1)) % simBureaux }

// anywhere is home, or one of two others, so that who comes again comes to the same ones.
func (d *simDay) anywhere(home int) int {
	return (home + []int{0, 0, 1, 1, 2}[d.rnd.IntN(5)]) % simBureaux
}

// askAt has the elector come to a bureau's table.
func (d *simDay) askAt(e int32, bureau int, in int64) {
	d.lastAt = bureau
	d.later(simAsk, e, bureau, in)
}

// later is an act at a bureau's table, whatever machine stands there then.
func (d *simDay) later(kind simKind, e int32, bureau int, in int64) {
	d.queue.push(simEvent{at: d.now + in, kind: kind, machine: uint8(d.table(bureau).index), elector: e})
}

// tapWrong marks the row of somebody who is not there.
func (d *simDay) tapWrong(home int) {
	e := int32(d.rnd.IntN(d.electors/simBureaux)*simBureaux + home)
	m := d.table(home)
	if !m.up || m.row(e).s.Desk != Idle || m.row(e).s.Record.State != ledger.Own {
		return
	}
	m.row(e).mistake = true
	d.tally.mistakes++
	if d.rnd.IntN(3) > 0 {
		d.later(simUndo, e, home, d.rnd.Int64N(120))
	}
	d.ask(m, e, true)
}

// ask: an elector stands at the table; absent says that he does not.
func (d *simDay) ask(m *simMachine, e int32, absent bool) {
	if !absent {
		if d.tries[e]++; d.tries[e] > simTries {
			return
		}
	}
	if !m.up {
		m.waiting = append(m.waiting, simWaiter{e, -1})
		return
	}
	r := m.row(e)
	if !absent && r.mistake && r.s.Desk != Idle {
		r.mistake = false // he came while his row was marked: the ballot is his
	}
	home := int(e)%simBureaux == m.bureau
	if (!home || r.s.Record.State == ledger.Released) && d.rnd.IntN(2) == 0 && m.knownElsewhere(e) {
		m.queue = append(m.queue, simWrite{body: &ledger.AttemptRefused{Elector: m.commune.rights[e].Elector, Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Attester: 1}, elector: e, note: true})
		m.write()
		d.refused(m, e, ledger.AlreadyAdmitted)
		return
	}
	if r.asked == 0 {
		r.asked = d.now + 1
		r.owed = home && r.s.Record.State == ledger.Own && r.s.Pending == nil && r.s.Desk == Idle
	}
	d.tally.asked++
	m.step(e, Ask{Means: ledger.ByCard, Attester: 1})
}

// told is the desk's side of Tell: what it is told is what counts (S1).
func (m *simMachine) told(e int32, r *simRow, t Tell) {
	d := m.d
	if t.Refusal == ledger.InProgress {
		if r.s.Pair != nil { // another stands there for him
			r.asked = 0
			d.later(simAsk, e, m.bureau, 500+d.rnd.Int64N(10_000))
		}
		return // the second tap waits with the first
	}
	green := t.Refusal == ledger.NotRefused
	if t.Answers&CheckIn != 0 {
		d.answered(m, e, r)
		if green {
			d.handOver(m, e, r, t)
		}
	}
	switch {
	case green && t.Answers == Correction:
		d.tally.annulled++
		r.mistake = false
	case t.Answers == Correction:
		if r.mistake && t.Refusal == ledger.NothingToCorrect && r.s.Record.State == ledger.Admitted {
			d.later(simAnnul, e, m.bureau, 5000+d.rnd.Int64N(simMinute))
		}
	case !green:
		if t.Refusal == ledger.Withdrawn || t.Refusal == ledger.ConflictFound {
			d.tally.voided++
		}
		r.mistake = false
		d.refused(m, e, t.Refusal)
	}
}

// handOver is a ballot in an elector's hands.
func (d *simDay) handOver(m *simMachine, e int32, r *simRow, t Tell) {
	d.tally.admitted++
	if int(e)%simBureaux != m.bureau {
		d.tally.away++
	}
	d.lit[e] = append(d.lit[e], simLight{t.Record, m.bureau})
	if len(d.lit[e]) > 1 {
		d.double(e)
	}
	home := int(e) % simBureaux
	switch {
	case r.mistake:
		d.later(simAnnul, e, m.bureau, 5000+d.rnd.Int64N(simMinute))
	case d.habit[e] == simRestless:
		if d.rnd.IntN(3) == 0 {
			d.later(simLeave, e, m.bureau, d.rnd.Int64N(simMinute))
		}
		if d.rnd.IntN(3) == 0 {
			d.later(simUndo, e, m.bureau, d.rnd.Int64N(simMinute))
		}
		if d.rnd.IntN(2) == 0 {
			d.askAt(e, d.anywhere(home), d.rnd.Int64N(20*simMinute))
		}
	case d.rnd.IntN(400) == 0:
		d.later(simUndo, e, m.bureau, d.rnd.Int64N(simMinute))
	}
}

// refused is what an elector does who was told no.
func (d *simDay) refused(m *simMachine, e int32, why ledger.Refusal) {
	d.tally.refused++
	home := int(e) % simBureaux
	if d.fault == simClean && d.sabotage == simNone && d.now > d.level+simAskTimeout+simMinute/6 && why == ledger.HomeUnreachable {
		d.fail(e, "home can't be reached in a network that is whole")
	}
	if why == ledger.ReleasedElsewhere && d.rnd.IntN(2) == 0 {
		d.later(simStray, e, home, d.rnd.Int64N(simMinute))
	}
	if len(d.lit[e]) > 0 {
		return
	}
	switch d.rnd.IntN(3) {
	case 0:
		d.askAt(e, home, d.rnd.Int64N(20*simMinute))
	case 1:
		d.askAt(e, m.bureau, d.rnd.Int64N(10*simMinute))
	default:
		if d.habit[e] == simRestless {
			d.askAt(e, d.anywhere(home), d.rnd.Int64N(2*simMinute))
		}
	}
}
