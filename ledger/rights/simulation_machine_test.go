package rights

import (
	"fmt"
	"math"

	"pointage/ledger"
)

// simRow is one right at one machine, and who waits for it.
type simRow struct {
	s        State
	deferred []Event
	// early is an answer of the group that overtook Written.
	early Answered
	// asked is since when somebody waits for a light, plus 1; 0 when nobody does. owed: the
	// right lay here unreleased then, so that he must be answered within D (L1).
	asked int64
	owed  bool
	// until is when the desk gives up waiting for the home bureau; 0 when it does not wait.
	until int64
	// mistake: the wrong row was tapped, the elector does not stand there.
	mistake bool
}

// simWaiter is an elector who stands at a table, for himself or, with a form, for another.
type simWaiter struct{ elector, form int32 }

// simWrite is a statement on its way to the media.
type simWrite struct {
	body    ledger.Body
	elector int32
	note    bool
}

// simMedium is one of a bureau's three media: how much of the chain it has, and when the newest
// write will be on it too.
type simMedium struct {
	out       bool
	len, next int
	due       int64
}

func (x *simMedium) has(now int64) int {
	if now >= x.due {
		return x.next
	}
	return x.len
}

// simMachine is a bureau's machine: the driver of Step, with its journal.
type simMachine struct {
	d *simDay
	// index is its number in the day, bureau that of its bureau: a clone has another index.
	index, bureau int
	up            bool
	opening       int32
	ctx           Context
	home          []simRow          // the admit rights that are at home here
	others        map[int32]*simRow // those of other bureaux, and all carry rights
	touched       []int32           // keys of others, in order of their coming
	pair          [2]Context
	simChain
	// the journal
	queue   []simWrite
	writing int
	flush   int32
	media   [3]simMedium
	had     [3]int // how much of the chain each medium had at the crash
	// the group, as this machine sees it
	link      simLink
	uploading bool
	stalled   bool
	heard     int
	lastLed   int64 // when the leader was last in reach, while it is not
	linkedAt  int64 // since when it is in reach
	applied   int
	inbox     []*simStatement
	reading   bool
	waiting   []simWaiter // at the table of a machine that is down
}

// simLink is how a machine stands with its group, as in the node.
type simLink uint8

const (
	simLinked simLink = iota
	simAlone
	simCatchingUp
)

func (d *simDay) newMachine(bureau int) *simMachine {
	m := &simMachine{d: d, index: len(d.machines), bureau: bureau, others: map[int32]*simRow{}, link: simAlone}
	m.commune, m.simChain.bureau = d.simCommune, bureau
	m.home = make([]simRow, (d.electors+simBureaux-1-bureau)/simBureaux)
	d.machines = append(d.machines, m)
	return m
}

// row is the right's row, made when there is none.
func (m *simMachine) row(e int32) *simRow {
	home := int(e)%simBureaux == m.bureau
	if home && int(e) < m.d.electors {
		r := &m.home[int(e)/simBureaux]
		if r.s.Record.State == ledger.None {
			r.s = State{Record: ledger.InitialRecord(true)}
		}
		return r
	}
	r := m.others[e]
	if r == nil {
		r = &simRow{s: State{Record: ledger.InitialRecord(home)}}
		m.others[e] = r
		m.touched = append(m.touched, e)
	}
	return r
}

// rows calls f for every row that is more than the roll.
func (m *simMachine) rows(f func(e int32, r *simRow)) {
	for i := range m.home {
		if m.home[i].s.Record.State != ledger.None {
			f(int32(i*simBureaux+m.bureau), &m.home[i])
		}
	}
	for _, e := range m.touched {
		f(e, m.others[e])
	}
}

// context is the elector's; it holds until the next one is asked for.
func (m *simMachine) context(e int32) *Context {
	m.ctx.Right, m.ctx.Home = m.commune.rights[e], number(int(e)%simBureaux)
	return &m.ctx
}

// step runs the protocol on one right and carries the effects out.
func (m *simMachine) step(e int32, ev Event) {
	r := m.row(e)
	if ask, ok := ev.(AskProxy); ok || r.s.Pair != nil {
		m.stepPair(e, r, ev, ask.Proxy)
		return
	}
	pending := r.s.Pending != nil
	next, effects := Step(m.context(e), r.s, ev)
	m.d.steps++
	r.s = next
	if m.d.watch == e {
		m.d.note("bureau %d.%d %T -> %v %d pending %T desk %d, effects %+v", number(m.bureau), m.index, ev, next.Record.State, next.Record.Nonce, next.Pending, next.Desk, simEffects(effects))
	}
	for _, f := range effects {
		m.carryOut(e, r, f)
	}
	m.keepAsking(e, r)
	if pending {
		m.undefer(e, r)
	}
}

// undefer gives a row the events that waited, until one begins a new statement.
func (m *simMachine) undefer(e int32, r *simRow) {
	for r.s.Pending == nil && len(r.deferred) > 0 {
		later := r.deferred[0]
		r.deferred = r.deferred[1:]
		m.step(e, later)
	}
}

// simEffects names effects for a watched elector's story.
func simEffects(effects []Effect) (out []string) {
	for _, f := range effects {
		if t, ok := f.(Tell); ok {
			out = append(out, fmt.Sprintf("%+v", t))
			continue
		}
		out = append(out, fmt.Sprintf("%T", f))
	}
	return out
}

// simDeferred is how many messages wait for one right's statement, as in the node.
const simDeferred = 64

func (m *simMachine) carryOut(e int32, r *simRow, f Effect) {
	switch f := f.(type) {
	case Write:
		m.queue = append(m.queue, simWrite{body: f.Body, elector: e})
		m.write()
	case Note:
		m.queue = append(m.queue, simWrite{body: f.Body, elector: e, note: true})
		m.write()
	case AwaitGroup:
		m.await(e, r, f.ID)
	case Send:
		m.d.send(m, e, f)
	case Tell:
		m.told(e, r, f)
	case Defer:
		if len(r.deferred) < simDeferred {
			r.deferred = append(r.deferred, f.Event)
		}
	case Alarm:
		m.d.tally.alarms++
	}
}

const (
	simAskTimeout = 5000
	simAskEvery   = 500
)

// keepAsking repeats the request for a release while the desk waits for it.
func (m *simMachine) keepAsking(e int32, r *simRow) {
	switch waits := r.s.Desk == Asking; {
	case !waits:
		r.until = 0
	case r.until == 0:
		r.until = m.d.now + simAskTimeout
		m.d.queue.push(simEvent{at: m.d.now + simAskEvery, kind: simAgain, machine: uint8(m.index), elector: e, opening: m.opening})
	}
}

func (m *simMachine) askAgain(e int32) {
	switch r := m.row(e); {
	case r.until == 0:
	case m.d.now < r.until:
		m.d.send(m, e, m.context(e).Request(r.s))
		m.d.queue.push(simEvent{at: m.d.now + simAskEvery, kind: simAgain, machine: uint8(m.index), elector: e, opening: m.opening})
	default:
		r.until = math.MaxInt64 // with a hold on its way into the journal the desk waits on
		m.step(e, Unreachable{})
	}
}

// write gives the media what waits, all of it at once, when they are free.
func (m *simMachine) write() {
	if m.writing > 0 || len(m.queue) == 0 || !m.up {
		return
	}
	d := m.d
	m.writing = min(len(m.queue), ledger.MaxStatements)
	first, second := int64(math.MaxInt64), int64(math.MaxInt64)
	for i := range m.media {
		x := &m.media[i]
		if x.out {
			continue
		}
		x.len, x.next = x.has(d.now), len(m.log)+m.writing
		x.due = max(d.now, x.due) + d.fsync()
		switch {
		case x.due < first:
			first, second = x.due, first
		case x.due < second:
			second = x.due
		}
	}
	if second == math.MaxInt64 {
		panic(fmt.Sprintf("bureau %d writes with fewer than two media", number(m.bureau)))
	}
	d.queue.push(simEvent{at: second, kind: simFlushed, machine: uint8(m.index), opening: m.opening})
	if d.crashesAt(m.queue[:m.writing]) {
		at := d.now + d.rnd.Int64N(2+(second-d.now)*4/3)
		d.queue.push(simEvent{at: at, kind: simCrash, machine: uint8(m.index), opening: m.opening})
	}
}

// flushed: the write is durable.
func (m *simMachine) flushed() {
	n, first := m.writing, len(m.log)
	done := append([]simWrite(nil), m.queue[:n]...)
	m.queue = append(m.queue[:0], m.queue[n:]...)
	m.writing = 0
	m.flush++
	for _, w := range done {
		m.record(w)
	}
	for i, w := range done {
		if !w.note {
			m.step(w.elector, Written{ID: m.log[first+i].id(), Extract: m.name(first + i)})
		}
	}
	m.write()
	m.upload()
}

// record joins a durable statement to the chain; what travels ends a batch.
func (m *simMachine) record(w simWrite) {
	m.add(w.body, w.elector, m.flush, m.d.now)
	switch w.body.(type) {
	case *ledger.Release, *ledger.Return:
		m.seal(len(m.log))
	}
}
