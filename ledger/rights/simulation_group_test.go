package rights

import "pointage/ledger"

// The group is an abstract one: a total order of statements that never loses one, a leader
// that may be lost or cut off, answers that are clean or conflicts, late, or never come. The
// classes are those of the ledger's placing.

// simLive is a live admission in the group's order.
type simLive struct {
	id     ledger.StatementID
	bureau int
	placed int32
}

type simGroup struct {
	order []*simStatement
	// live is by right; arena backs the first of each.
	live  [][]simLive
	arena []simLive
	// leader is a machine, -1 when there is none; before mute there will be none.
	leader  int
	mute    int64
	seeking bool
	// times is when each statement was placed.
	times []int64
}

const (
	simBarrierWait = 1000 // D
	simVoting      = 7
	simBelief      = 2000 // how long a machine believes in a leader that it does not hear
)

// reach says that the machine and the leader hear each other.
func (d *simDay) reach(m *simMachine) bool {
	l := d.members.leader
	return l >= 0 && m.up && (m.index == l || d.connected(m.index, l) && d.connected(l, m.index))
}

// linked says that the machine believes to know a leader.
func (m *simMachine) linked() bool {
	return m.d.reach(m) || m.lastLed > 0 && m.d.now-m.lastLed < simBelief
}

// leads says that a member could lead: it and three others of the seven hear each other.
func (d *simDay) leads(l int) bool {
	n := 0
	for v := range simVoting {
		if d.machines[v].up && (v == l || d.connected(v, l) && d.connected(l, v)) {
			n++
		}
	}
	return d.machines[l].up && n > simVoting/2
}

// rewire follows a change of what is up or connected; the machines' replicas were brought up
// to it by settleReplicas.
func (d *simDay) rewire() {
	g := &d.members
	if g.leader >= 0 && (d.now < g.mute || !d.leads(g.leader)) {
		g.leader = -1
	}
	if g.leader < 0 && !g.seeking {
		g.seeking = true
		d.queue.push(simEvent{at: max(d.now, g.mute) + 1500 + d.rnd.Int64N(3000), kind: simLeader})
	}
	for _, m := range d.machines {
		switch r := d.reach(m); {
		case r && m.linkedAt == 0:
			m.linkedAt = d.now + d.rnd.Int64N(2000)
			m.lastLed = 0
			d.readLedger(m)
		case !r && m.linkedAt != 0:
			m.linkedAt, m.lastLed = 0, d.now
		}
		if m.linkedAt != 0 && m.stalled {
			m.stalled = false
			d.queue.push(simEvent{at: d.now + d.rnd.Int64N(1000), kind: simPropose, machine: uint8(m.index), opening: m.opening})
		}
	}
}

// findLeader chooses one, the principal bureau when it can be.
func (d *simDay) findLeader() {
	g := &d.members
	g.seeking = false
	if g.leader >= 0 || d.now < g.mute {
		d.rewire()
		return
	}
	for l := range simVoting {
		if d.leads(l) {
			d.settleReplicas()
			g.leader = l
			d.rewire()
			return
		}
	}
}

// settleReplicas brings every replica up to what it has heard so far; whoever is about to
// change the network calls it first.
func (d *simDay) settleReplicas() {
	for _, m := range d.machines {
		m.replica()
	}
}

const simReplicaLag = 200

// replica is how many statements of the group's order this machine has.
func (m *simMachine) replica() int {
	g := &m.d.members
	if m.linkedAt != 0 && m.d.now >= m.linkedAt && m.d.reach(m) {
		n := len(g.order)
		for n > m.applied && g.times[n-1] > m.d.now-simReplicaLag {
			n--
		}
		m.applied = n
	}
	return m.applied
}

// knownElsewhere says that the machine's replica has the elector admitted at another bureau.
func (m *simMachine) knownElsewhere(e int32) bool {
	n := m.replica()
	for _, a := range m.d.members.live[e] {
		if a.bureau != m.bureau && int(a.placed) < n {
			return true
		}
	}
	return false
}

// place gives a statement its place and class.
func (g *simGroup) place(d *simDay, m *simMachine, st *simStatement) {
	if st.placed >= 0 {
		return
	}
	st.placed = int32(len(g.order))
	g.order, g.times = append(g.order, st), append(g.times, d.now)
	st.verdict.Class = st.session.stand(st)
	e := st.elector
	switch b := st.body.(type) {
	case *ledger.Admission, *ledger.Provisional:
		if len(g.live[e]) > 0 {
			st.verdict.Class = ledger.AlreadyAdmittedClass
		}
		g.live[e] = append(g.live[e], simLive{st.id(), m.bureau, st.placed})
	case *ledger.ProxyAdmission:
		both := ledger.Touches(b)
		for _, x := range both {
			if len(g.live[d.of(x)]) > 0 {
				st.verdict.Class = ledger.AlreadyAdmittedClass
			}
		}
		for _, x := range both {
			g.live[d.of(x)] = append(g.live[d.of(x)], simLive{st.id(), m.bureau, st.placed})
		}
	case *ledger.Void:
		for _, x := range b.Rights {
			g.undo(d.of(x), ledger.StatementID{Session: st.session.id, Sequence: b.Sequence})
		}
	case *ledger.Annulment:
		for _, x := range b.Rights {
			g.undo(d.of(x), b.Record)
		}
	case *ledger.Release:
		d.tellOf(st, int(b.To)-1)
	case *ledger.Return:
		d.tellOf(st, int(e)%simBureaux)
	}
}

func (g *simGroup) undo(e int32, id ledger.StatementID) {
	kept := g.live[e][:0]
	for _, a := range g.live[e] {
		if a.id != id {
			kept = append(kept, a)
		}
	}
	g.live[e] = kept
}

// stand is the class by the session's standing, as the ledger's placing has it.
func (s *simSession) stand(st *simStatement) ledger.Class {
	s.placed = max(s.placed, st.sequence+1)
	if st.sequence > 0 {
		if s.continued {
			return ledger.Forked
		}
		return ledger.Accepted
	}
	p := s.parent
	if p == nil {
		return ledger.Accepted
	}
	forked := p.continued || p.placed > s.opening.Continues.Next
	p.continued = true
	if forked {
		return ledger.Forked
	}
	return ledger.Accepted
}

// tellOf has the ledger carry a release or a return to whom it is for.
func (d *simDay) tellOf(st *simStatement, to int) {
	for _, m := range d.machines {
		if m.bureau == to {
			m.inbox = append(m.inbox, st)
			d.readLedger(m)
		}
	}
}

func (d *simDay) readLedger(m *simMachine) {
	if len(m.inbox) > 0 && !m.reading && m.linkedAt != 0 {
		m.reading = true
		d.queue.push(simEvent{at: max(d.now, m.linkedAt) + simReplicaLag + d.rnd.Int64N(300), kind: simPlaced, machine: uint8(m.index)})
	}
}

// placed hands over what the machine's replica has of releases and returns for it.
func (m *simMachine) placed() {
	m.reading = false
	n, d := m.replica(), m.d
	if !m.up || d.sabotage == simForgetful {
		return
	}
	box := m.inbox
	m.inbox = nil
	for i, st := range box {
		if int(st.placed) >= n {
			m.inbox = append(m.inbox, box[i])
			continue
		}
		kind, state := ReleaseMessage, m.row(st.elector).s.Record.State
		awaited := state == ledger.None
		if _, ok := st.body.(*ledger.Return); ok {
			kind, awaited = ReturnMessage, state == ledger.Released
		}
		// A message that came by itself comes again here; a machine that stopped in between
		// never hears of it from its replica. Both are left to chance.
		if (d.rnd.IntN(8) > 0) == awaited {
			m.receive(st.elector, Message{Kind: kind, Extract: st.encoded()})
		}
	}
	d.readLedger(m)
}

// upload proposes the durable statements in order, those of one write at a time.
func (m *simMachine) upload() {
	if !m.uploading && m.up && m.heard < len(m.log) {
		m.uploading = true
		m.propose()
	}
}

func (m *simMachine) propose() {
	d := m.d
	if !d.reach(m) {
		m.silent()
		m.stalled = d.sabotage != simResigned
		return
	}
	end := m.heard + 1
	for end < len(m.log) && m.log[end].flush == m.log[m.heard].flush && m.log[end].session == m.log[m.heard].session {
		end++
	}
	d.queue.push(simEvent{at: d.now + d.hop() + 2 + d.rnd.Int64N(12), kind: simCommit, machine: uint8(m.index), arg: int32(end), opening: m.opening})
}

// silent notes that the group gave no answer, as the node does.
func (m *simMachine) silent() {
	if m.link == simCatchingUp || !m.linked() {
		m.link = simAlone
	}
}

// commit: the proposal is at the leader, if there still is one.
func (m *simMachine) commit(end int) {
	d := m.d
	again := func(in int64) {
		d.queue.push(simEvent{at: d.now + in, kind: simPropose, machine: uint8(m.index), opening: m.opening})
	}
	if !d.reach(m) {
		m.silent()
		again(20 + d.rnd.Int64N(1000))
		return
	}
	for _, st := range m.log[m.heard:end] {
		d.members.place(d, m, st)
	}
	in := d.hop()
	switch {
	case d.weather.loss > 0 && d.rnd.Float64() < d.weather.loss:
		again(5000) // the outcome is unknown: the same bytes again
		return
	case !d.calm && d.rnd.IntN(100) == 0:
		in += d.rnd.Int64N(4000) // late, for the barrier
	}
	d.queue.push(simEvent{at: d.now + in, kind: simReply, machine: uint8(m.index), arg: int32(end), opening: m.opening})
}

// reply: the group's answer is there.
func (m *simMachine) reply(end int) {
	first := m.heard
	m.heard, m.uploading = end, false
	if m.link != simLinked && len(m.log)-end > 1 {
		m.link = simCatchingUp
	} else {
		m.link = simLinked
	}
	for _, st := range m.log[first:end] {
		if st.elector < 0 || len(ledger.Touches(st.body)) == 0 {
			continue
		}
		r, e := m.row(st.elector), Answered{ID: st.id(), Verdict: st.verdict}
		if r.s.Record.By != e.ID {
			r.early = e
			continue
		}
		m.step(st.elector, e)
	}
	m.upload()
}

// await begins the barrier.
func (m *simMachine) await(e int32, r *simRow, id ledger.StatementID) {
	early := r.early
	r.early = Answered{}
	if early.ID == id {
		m.step(e, early)
		return
	}
	if !m.linked() {
		m.link = simAlone
	}
	if m.link != simLinked {
		m.step(e, Expired{})
		return
	}
	if m.d.habit[e] == simRestless && !m.d.ended && m.d.rnd.IntN(3) == 0 {
		m.d.queue.push(simEvent{at: m.d.now + m.d.rnd.Int64N(40), kind: simUndo, machine: uint8(m.index), elector: e})
	}
	m.d.queue.push(simEvent{at: m.d.now + simBarrierWait, kind: simBarrier, machine: uint8(m.index), elector: e, arg: int32(id.Sequence), opening: m.opening})
}

// waited: D is over.
func (m *simMachine) waited(e, sequence int32) {
	if m.d.sabotage == simPatient {
		return
	}
	if r := m.row(e); r.s.Desk == Awaiting && r.s.Record.By == (ledger.StatementID{Session: m.session.id, Sequence: uint64(sequence)}) {
		m.link = simAlone
		m.step(e, Expired{})
	}
}
