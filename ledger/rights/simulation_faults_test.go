package rights

import "pointage/ledger"

// begin draws the day's weather and its troubles.
func (d *simDay) begin() {
	f := d.rnd.Float64
	d.weather = simWeather{loss: f() * f() * 0.3, double: f() * 0.1, echo: f() * d.echo, late: f() * 0.1}
	d.queue.push(simEvent{at: d.rnd.Int64N(10 * simMinute), kind: simTrouble})
	d.healed = simCloses - simHour/4 - d.rnd.Int64N(2*simHour)
	d.queue.push(simEvent{at: d.healed, kind: simHeal})
	if d.rnd.IntN(4) == 0 { // one bureau has no network all day
		d.isolated[d.rnd.IntN(simBureaux)] = true
	}
	if d.fault != simClean {
		d.queue.push(simEvent{at: simHour + d.rnd.Int64N(4*simHour), kind: simTamper})
	}
}

// crashesAt says that the machine dies during or after a write; statements that move a right
// are the interesting ones.
func (d *simDay) crashesAt(ws []simWrite) bool {
	if d.calm {
		return false
	}
	p := d.fragile
	for _, w := range ws {
		switch w.body.(type) {
		case *ledger.Release, *ledger.Return:
			p = max(p, 100*d.fragile)
		case *ledger.Hold, *ledger.Restored, *ledger.Void, *ledger.Annulment:
			p = max(p, 10*d.fragile)
		}
	}
	return d.rnd.Float64() < p
}

// fsync is how long one medium takes for one write.
func (d *simDay) fsync() int64 {
	if d.rnd.IntN(100) == 0 && !d.calm {
		return d.rnd.Int64N(simSlowest)
	}
	return 2 + d.rnd.Int64N(8)
}

// simSlowest is the longest write on one medium.
const simSlowest = 300

// shake carries out what befalls machines and network.
func (d *simDay) shake(m *simMachine, e simEvent) {
	switch e.kind {
	case simCrash:
		if m.up && !d.calm {
			d.stop(m)
		}
	case simRestart:
		if !m.up {
			m.restart()
		}
	case simLeader:
		d.findLeader()
	case simTrouble:
		if !d.calm {
			d.trouble()
			d.queue.push(simEvent{at: d.now + d.rnd.Int64N(12*simMinute), kind: simTrouble})
		}
	case simMend:
		if !d.calm {
			d.settleReplicas()
			d.mend(m, int(e.arg))
			d.rewire()
		}
	case simTamper:
		d.tamper()
	case simHeal:
		d.heal()
	case simLevel:
		d.mustBeLevel()
	}
}

// stop crashes a machine; it is up again after a while.
func (d *simDay) stop(m *simMachine) {
	m.crash()
	in := d.rnd.Int64N(20_000)
	if d.rnd.IntN(3) == 0 {
		in = d.rnd.Int64N(10 * simMinute)
	}
	d.queue.push(simEvent{at: d.now + 5000 + in, kind: simRestart, machine: uint8(m.index), opening: m.opening})
}

// What is mended at the end of a trouble.
const (
	simSplit = iota
	simIsolated
	simMediumOut
	simCut // and above: to or from the machine, by the lowest bit
)

// trouble is one fault, and when it ends.
func (d *simDay) trouble() {
	d.tally.troubles++
	d.settleReplicas()
	b := d.rnd.IntN(simBureaux)
	m := d.machines[b]
	minutes := func(n int64) int64 { return d.now + simMinute + d.rnd.Int64N(n*simMinute) }
	mend := func(what int, at int64) {
		d.queue.push(simEvent{at: at, kind: simMend, machine: uint8(b), arg: int32(what)})
	}
	switch d.rnd.IntN(9) {
	case 0, 1:
		parts := 2 + d.rnd.IntN(2)
		for i := range simBureaux {
			d.side[i] = uint8(d.rnd.IntN(parts))
		}
		mend(simSplit, minutes(40))
	case 2:
		d.isolated[b] = true
		mend(simIsolated, minutes(180))
	case 3, 4:
		way := d.rnd.IntN(2)
		d.cutOff(b, way, 1)
		mend(simCut+way, minutes(60))
	case 5:
		if m.up {
			d.stop(m)
		}
	case 6:
		d.members.leader, d.members.mute = -1, d.now+d.rnd.Int64N(simMinute)
	case 7:
		d.members.leader, d.members.mute = -1, minutes(20) // the majority is gone
	case 8:
		d.pull(m)
		mend(simMediumOut, minutes(60))
	}
	d.rewire()
}

// cutOff cuts (or, by -1, mends) every way to a machine, or every way from it.
func (d *simDay) cutOff(b, way, by int) {
	for i := range simBureaux {
		if way == 0 {
			d.cut[i][b] += uint8(by)
		} else {
			d.cut[b][i] += uint8(by)
		}
	}
}

func (d *simDay) mend(m *simMachine, what int) {
	switch what {
	case simSplit:
		d.side = [simBureaux + 1]uint8{}
	case simIsolated:
		d.isolated[m.index] = false
	case simMediumOut:
		m.putBack()
	default:
		d.cutOff(m.index, what-simCut, -1)
	}
}

// pull takes a medium out of a running machine. Two of three are enough; with one the machine
// stops at once, and what was being written is lost for this run.
func (d *simDay) pull(m *simMachine) {
	if !m.up {
		return
	}
	second := d.rnd.IntN(3) == 0 // both keys are in one hub
	for i := range m.media {
		second = second || m.media[i].out
	}
	if second {
		d.tally.stops++
		m.lose()
		d.stop(m)
		m.putBack()
		return
	}
	if m.writing == 0 {
		x := &m.media[d.rnd.IntN(3)]
		n := x.has(d.now)
		*x = simMedium{out: true, len: n, next: n}
	}
}

// putBack attaches all media again; a running machine brings them up first.
func (m *simMachine) putBack() {
	for i := range m.media {
		x := &m.media[i]
		if x.out && m.up {
			*x = simMedium{len: len(m.log), next: len(m.log)}
		}
		x.out = false
	}
}

// lose tells every row that its statement will not be durable.
func (m *simMachine) lose() {
	m.up = false
	m.rows(func(e int32, r *simRow) {
		if r.s.Pending != nil {
			m.step(e, Lost{})
		}
	})
	m.up = true
}

// heal ends all faults.
func (d *simDay) heal() {
	d.settleReplicas()
	d.calm, d.weather = true, simWeather{}
	d.side = [simBureaux + 1]uint8{}
	d.cut = [simBureaux + 1][simBureaux + 1]uint8{}
	offline := d.isolated[simBureaux]
	d.isolated = [simBureaux + 1]bool{simBureaux: offline}
	d.members.mute, d.members.seeking = d.now, false
	for _, m := range d.machines {
		m.putBack()
		if !m.up {
			d.queue.push(simEvent{at: d.now + d.rnd.Int64N(5000), kind: simRestart, machine: uint8(m.index), opening: m.opening})
		}
	}
	d.rewire()
	d.level = d.now + simMinute
	d.queue.push(simEvent{at: d.level, kind: simLevel})
}

// tamper makes a clone of the victim's machine, or puts its media back to an older state.
func (d *simDay) tamper() {
	m := d.machines[d.victim]
	if !m.up || m.writing > 0 || len(m.log) < 50 {
		d.queue.push(simEvent{at: d.now + 500, kind: simTamper})
		return
	}
	d.settleReplicas()
	if d.fault == simCloned {
		c := d.newMachine(d.victim)
		c.simChain, c.heard, c.applied = m.fork(), m.heard, m.applied
		d.clone, d.isolated[c.index] = c, d.rnd.IntN(2) == 0
		c.start()
		d.rewire()
		c.takeUp()
		c.upload()
		return
	}
	d.stop(m)
	before := m.log
	d.lost = m.cutBack(20 + d.rnd.IntN(150))
	for _, st := range before[len(m.log):] {
		if st.elector >= 0 && int(st.elector) < d.electors && d.rnd.IntN(3) == 0 { // he has heard that it is worth a try
			d.askAt(st.elector, d.anywhere(d.victim), d.rnd.Int64N(simHour))
		}
	}
	m.queue, m.writing, m.heard = m.queue[:0], 0, min(m.heard, len(m.log))
	for i := range m.had {
		m.had[i] = len(m.log)
	}
}
