package rights

import (
	"slices"

	"pointage/ledger"
)

// What is worked out once from the tables, by what it is worked out from.
type work uint64

const (
	ofUnion work = iota + 1
	ofWrite
	ofChain
	ofRecovery
	ofBatch
	ofHalf
	ofDurable
	ofLength
	ofPost
	ofSent
	ofOpening
	ofShared
	ofWhole
)

// once remembers f's answer under a key of 60 bits.
func (m *mediaModel) once(w work, key uint64, f func() num) num {
	k := uint64(w)<<60 | key
	if v, ok := m.done.get(k); ok {
		return *v
	}
	m.u.mu.Lock()
	defer m.u.mu.Unlock()
	if v, ok := m.done.get(k); ok {
		return *v
	}
	return *m.done.put(k, f())
}

// union is what two media hold together.
func (m *mediaModel) union(a, b num) num {
	return m.once(ofUnion, uint64(a)<<16|uint64(b), func() num {
		for _, last := range m.logs.values[b] {
			a = m.join(a, last)
		}
		return a
	})
}

// whole is a chain, whose last batch plus 1 is end, as a medium has it to which it is copied.
func (m *mediaModel) whole(end num) num {
	if end == 0 {
		return 0
	}
	return m.once(ofWhole, uint64(end), func() num { return m.join(0, end-1) })
}

// shared is what two media both hold.
func (m *mediaModel) shared(a, b num) num {
	return m.once(ofShared, uint64(a)<<16|uint64(b), func() num {
		both := num(0)
		for _, last := range m.logs.values[a] {
			for _, n := range m.path(last + 1) {
				if m.holds(b, n) {
					both = m.join(both, n)
				}
			}
		}
		return both
	})
}

// written is a medium's log with a chain, whose last batch plus 1 is end. What one session writes comes onto
// each medium in order; where a mutant has not copied what was before, it can't be read.
func (m *mediaModel) written(i int, log, end num) num {
	if end == 0 {
		return log
	}
	isNew := num(0)
	if m.without&emptyNew != 0 && i == blankMedium {
		isNew = 1
	}
	return m.once(ofWrite, uint64(isNew)<<40|uint64(log)<<16|uint64(end), func() num {
		before := m.batches.values[end-1].parent
		for m.without&noLevel != 0 && before > 0 && m.batches.values[before-1].round == m.batches.values[end-1].round {
			before = m.batches.values[before-1].parent
		}
		if (m.without&noLevel != 0 || isNew == 1) && before > 0 && !m.holds(log, before-1) {
			return log
		}
		return m.join(log, end-1)
	})
}

// chain is the end of the chain in a log, plus 1: the last batch of the newest round.
func (m *mediaModel) chain(log num) num {
	return m.once(ofChain, uint64(log), func() num { return m.end(log) })
}

// recovered is the unit of a machine that has read a log, in a session.
func (m *mediaModel) recovered(log num, session uint8) num {
	return m.once(ofRecovery, uint64(log)<<8|uint64(session), func() num { return m.recover(log, session) })
}

// opens is the session's first batch, plus 1.
func (m *mediaModel) opens(x *machine) num {
	return m.once(ofOpening, uint64(x.log)<<8|uint64(x.unit)<<4|uint64(x.round), func() num {
		return m.add(batch{parent: m.end(x.log), session: uint8(x.unit), round: x.round})
	})
}

// add numbers a batch. The caller holds u.mu.
func (m *mediaModel) add(b batch) num {
	if b.parent > 0 {
		b.height = m.batches.values[b.parent-1].height + 1
	}
	return m.batches.intern(numbers(append([]num{b.parent, num(b.session), num(b.round)}, b.said...)), b) + 1
}

// sign is the batch of all that waits, plus 1: it goes on from the chain's end.
func (m *mediaModel) sign(x *machine) num {
	return m.once(ofBatch, uint64(x.unit)<<20|uint64(x.log)<<4|uint64(x.round), func() num {
		u := m.u.node(x.unit).unit
		var said []num
		for i, k := range m.u.slots[0].rights {
			if p := m.u.states.values[u.parts[i].now].Pending; p != nil && ledger.Touches(p)[0] == m.u.rights[k] {
				said = append(said, m.u.sign(&u, i))
			}
		}
		return m.add(batch{parent: x.log, session: u.opened, round: x.round, said: said})
	})
}

// durable is the unit after the batch is.
func (m *mediaModel) durable(unit, end num) num {
	return m.once(ofDurable, uint64(unit)<<16|uint64(end), func() num {
		for _, n := range m.batches.values[end-1].said {
			for i, k := range m.u.slots[0].rights {
				if ledger.Touches(m.u.said.values[n].body)[0] == m.u.rights[k] {
					unit = m.u.take(unit, happens(doWrite, i, 0), true).to
				}
			}
		}
		return unit
	})
}

// holds says whether a medium's log has a batch.
func (m *mediaModel) holds(log, n num) bool {
	for _, last := range m.logs.values[log] {
		for at := last; ; at = m.batches.values[at].parent - 1 {
			if at == n {
				return true
			}
			if m.batches.values[at].parent == 0 {
				break
			}
		}
	}
	return false
}

// join adds a batch, with all that it goes on from, to a log. The caller holds the lock.
func (m *mediaModel) join(log, n num) num {
	if m.holds(log, n) {
		return log
	}
	last := []num{}
	for _, o := range m.logs.values[log] {
		if !m.goesOnFrom(n, o) {
			last = append(last, o)
		}
	}
	at := 0
	for at < len(last) && last[at] < n {
		at++
	}
	last = append(last[:at], append([]num{n}, last[at:]...)...)
	return m.logs.intern(numbers(last), last)
}

func (m *mediaModel) goesOnFrom(n, o num) bool {
	for at := n; ; at = m.batches.values[at].parent - 1 {
		if at == o {
			return true
		}
		if m.batches.values[at].parent == 0 {
			return false
		}
	}
}

// The rest is called with u.mu held.

func (m *mediaModel) end(log num) num {
	best := num(0)
	for _, n := range m.logs.values[log] {
		if best == 0 || m.newer(n, best-1) {
			best = n + 1
		}
	}
	return best
}

func (m *mediaModel) newer(a, b num) bool {
	x, y := &m.batches.values[a], &m.batches.values[b]
	switch {
	case m.without&byLength == 0 && x.round != y.round:
		return x.round > y.round
	case x.height != y.height:
		return x.height > y.height
	}
	return a < b // a session signs a batch when the one before is durable: any order will do
}

// path lists the batches to the end of a chain, oldest first.
func (m *mediaModel) path(end num) (out []num) {
	for at := end; at > 0; at = m.batches.values[at-1].parent {
		out = append([]num{at - 1}, out...)
	}
	return out
}

func (m *mediaModel) recover(log num, session uint8) num {
	u := unit{slot: 0, opened: session}
	for i, k := range m.u.slots[0].rights {
		n := m.u.internState(m.u.context(&u, k).Start())
		u.parts[i] = part{now: n, durable: n}
	}
	batches := m.path(m.end(log))
	if m.without&orphansCount != 0 {
		batches = nil
		for _, last := range m.logs.values[log] {
			batches = append(batches, m.path(last+1)...)
		}
	}
	for _, n := range batches {
		for _, s := range m.batches.values[n].said {
			m.u.record(&u, s)
		}
	}
	for i := range u.parts {
		u.parts[i].now = u.parts[i].durable
	}
	return m.u.internUnit(u)
}

// half is the batch with its last statement torn off, plus 1; 0 when it has but one.
func (m *mediaModel) half(end num) num {
	return m.once(ofHalf, uint64(end), func() num {
		b := m.batches.values[end-1]
		if len(b.said) < 2 {
			return 0
		}
		b.said = b.said[:1]
		return m.add(b)
	})
}

// length is how many batches a log's longest history has.
func (m *mediaModel) length(log num) num {
	return m.once(ofLength, uint64(log), func() num {
		n := 0
		for _, last := range m.logs.values[log] {
			n = max(n, m.batches.values[last].height+1)
		}
		return num(n)
	})
}

// post is the union of two sets of statements.
func (m *mediaModel) post(a, b num) num {
	if b == 0 || a == b {
		return a
	}
	return m.once(ofPost, uint64(a)<<20|uint64(b), func() num {
		for _, s := range m.u.sets.values[b] {
			a = m.u.post(a, s)
		}
		return a
	})
}

// tells says whether the chain in a log has all the statements of a set.
func (m *mediaModel) tells(log, set num) bool {
	return m.once(ofSent, uint64(log)<<20|uint64(set), func() num {
		var said []num
		for _, n := range m.path(m.end(log)) {
			said = append(said, m.batches.values[n].said...)
		}
		for _, s := range m.u.sets.values[set] {
			if !slices.Contains(said, s) {
				return 0
			}
		}
		return 1
	}) == 1
}

// pending says whether a statement of the i-th right waits for the journal.
func (x *units) pending(n num, i int) bool {
	return x.node(n).rights[x.slots[x.node(n).slot].rights[i]].pending
}
