package rights

import (
	"fmt"

	"pointage/ledger"
)

// start begins a session and reads the chain (R13).
func (m *simMachine) start() {
	m.opening++
	m.d.openings[m.bureau]++
	m.open(m.d.openings[m.bureau], m.d.now)
	m.ctx = Context{
		Group: m.d.group, Away: true, dropped: m.d.dropped,
		Standing: ledger.Standing{Author: ledger.Author{Bureau: number(m.bureau), Session: m.session.id}},
	}
	if m.d.dropped != 0 {
		m.ctx.lax = lax
	}
	clear(m.home)
	clear(m.others)
	m.touched = m.touched[:0]
	m.queue, m.writing, m.uploading, m.stalled, m.link = m.queue[:0], 0, false, false, simAlone
	for n, st := range m.log {
		for at, right := range ledger.Touches(st.body) {
			if at == Principal || m.d.sabotage != simForgetsHolder {
				m.recover(m.commune.of(right), n)
			}
		}
	}
	for i := range m.media {
		m.media[i] = simMedium{out: m.media[i].out, len: len(m.log), next: len(m.log)}
	}
	m.up, m.lastLed, m.linkedAt = true, 0, 0
}

// recover reads the n-th statement into one of the rights that it touches.
func (m *simMachine) recover(x int32, n int) {
	st, r := m.log[n], m.row(x)
	next, why := m.context(x).Recover(r.s, st.id(), st.body, m.name(n))
	if why != ledger.Valid && m.d.dropped == 0 && m.d.sabotage != simForgetsHolder {
		m.d.fail(x, "bureau %d reads its own chain: %v from %v: %v", number(m.bureau), st.body.Kind(), r.s.Record.State, why)
	}
	r.s = next
}

// crash loses what is volatile. What was being written may be on some of the media, in part.
func (m *simMachine) crash() {
	d := m.d
	d.settleReplicas()
	m.up = false
	for i := range m.media {
		x := &m.media[i]
		m.had[i] = x.has(d.now)
		if m.had[i] < x.next {
			m.had[i] += d.rnd.IntN(x.next - m.had[i] + 1)
		}
	}
	for _, w := range m.queue {
		if form := m.formFor(w.elector); form >= 0 || w.elector >= 0 && int(w.elector) < d.electors {
			m.waiting = append(m.waiting, simWaiter{w.elector, form}) // he stands at the table and asks again
		}
		if w.elector >= 0 && int(w.elector) < d.electors && d.rnd.IntN(4) > 0 {
			d.askAt(w.elector, int(w.elector)%simBureaux, 2000+d.rnd.Int64N(20_000)) // or goes home
		}
	}
	d.tally.crashes++
	d.rewire()
}

// restart opens two media or three: their union counts.
func (m *simMachine) restart() {
	d := m.d
	unread := -1
	for i := range m.media {
		if m.media[i].out {
			unread = i
		}
	}
	if unread < 0 && d.rnd.IntN(3) == 0 {
		unread = d.rnd.IntN(3)
	}
	found := 0
	for i := range m.media {
		if i != unread {
			found = max(found, m.had[i])
		}
	}
	if found -= len(m.log); found < 0 {
		panic(fmt.Sprintf("bureau %d: %d durable statements are on neither of two media", number(m.bureau), -found))
	}
	orphan := 0
	if unread >= 0 {
		orphan = max(0, m.had[unread]-len(m.log)-found)
	}
	m.flush++
	for _, w := range m.queue[:found] {
		m.record(w)
	}
	d.tally.adopted += found
	var tail *ledger.Batch
	if orphan > 0 {
		tail = m.orphan(m.queue[found : found+orphan])
	}
	m.start()
	if tail != nil {
		h := &tail.Header
		m.queue = append(m.queue, simWrite{body: &ledger.Orphan{Head: ledger.Head{Session: h.Author.Session, Next: h.Next(), Hash: h.Identity()}, From: h.First}, elector: -1, note: true})
		d.tally.orphans++
		m.write()
	}
	d.rewire()
	m.takeUp()
	m.upload()
}

// orphan is the batch that one medium alone has, and that was not read.
func (m *simMachine) orphan(tail []simWrite) *ledger.Batch {
	m.seal(len(m.log))
	log := make([]*simStatement, len(tail))
	for i, w := range tail {
		log[i] = &simStatement{body: w.body, at: m.d.now}
	}
	return m.sign(m.session, m.session.at, log)
}

// takeUp begins the work again: electors who stood at the table ask again, rights that
// are held for nobody go back, hand-overs are confirmed.
func (m *simMachine) takeUp() {
	d := m.d
	at := func(kind simKind, e int32, within int64) {
		d.queue.push(simEvent{at: d.now + d.rnd.Int64N(within), kind: kind, machine: uint8(m.index), elector: e, opening: m.opening})
	}
	for _, w := range m.waiting {
		switch {
		case d.rnd.IntN(5) == 0: // he has gone
		case w.form >= 0:
			d.queue.push(simEvent{at: d.now + d.rnd.Int64N(3000), kind: simAskProxy, machine: uint8(m.index), elector: w.elector, arg: w.form, opening: m.opening})
		default:
			at(simAsk, w.elector, 3000)
		}
	}
	m.waiting = m.waiting[:0]
	m.rows(func(e int32, r *simRow) {
		switch r.s.Record.State {
		case ledger.Held:
			if d.rnd.IntN(2) == 0 && int(e) < d.electors {
				at(simAsk, e, 500) // he is still there, and quicker than the desk
			}
			at(simGiveBack, e, 2000)
		case ledger.Admitted:
			if !d.isLit(e, r.s.Record.By) {
				at(simAnnul, e, 60_000)
			}
		}
	})
}
