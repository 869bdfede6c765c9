package pollbook

import (
	"context"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// row is one right at this bureau and who waits for it. Pollbook.mu guards it.
type row struct {
	ctx   *rights.Context
	state rights.State
	// deferred events wait for the pending statement.
	deferred []rights.Event
	// waiters get the next answer to the desk. A second tap waits with the first.
	waiters []chan Receipt
	// barrier ends the wait for the group, ask the wait for a release.
	barrier, ask *time.Timer
}

// row finds or makes the right's row. The roll must have the elector.
func (p *Pollbook) row(x ledger.Right) *row {
	r := p.rows[x]
	if r == nil {
		home, ok := p.cfg.Group.Home(x.Elector)
		if !ok {
			panic("row of an elector who is not on the roll")
		}
		c := &rights.Context{
			Group: p.cfg.Group, Right: x, Home: home, Away: p.cfg.Away,
			Standing: ledger.Standing{Author: p.cfg.Journal.Author(), Unfenced: p.cfg.Unfenced},
		}
		r = &row{ctx: c, state: c.Start()}
		p.rows[x] = r
	}
	return r
}

func (r *row) tell(a Receipt) {
	for _, w := range r.waiters {
		w <- a // each has room for its one answer
	}
	r.waiters = nil
}

// step runs the protocol on one right and carries the effects out.
func (p *Pollbook) step(x ledger.Right, e rights.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stepLocked(p.row(x), e)
}

func (p *Pollbook) stepLocked(r *row, e rights.Event) {
	before := r.state
	next, effects := rights.Step(r.ctx, r.state, e)
	r.state = next
	if next.Desk != rights.Asking && r.ask != nil {
		r.ask.Stop()
		r.ask = nil
	}
	p.count(r, before.Record.State, next.Record.State)
	for _, f := range effects {
		p.carryOut(r, f)
	}
	if before.Pending != nil && next.Pending == nil {
		p.undefer(r)
	}
}

// undefer gives the row the events that waited, until one begins a new statement.
func (p *Pollbook) undefer(r *row) {
	for len(r.deferred) > 0 && r.state.Pending == nil {
		e := r.deferred[0]
		r.deferred = r.deferred[1:]
		p.stepLocked(r, e)
	}
}

// count keeps the tally along with a record's change.
func (p *Pollbook) count(r *row, before, after ledger.State) {
	if r.ctx.Right.Kind != ledger.Admit || before == after {
		return
	}
	used := func(s ledger.State) bool { return s == ledger.Admitted || s == ledger.Provisioned }
	d := 0
	switch {
	case used(after) && !used(before):
		d = 1
	case used(before) && !used(after):
		d = -1
	}
	p.tally.Admitted += d
	if r.ctx.Home != p.self {
		p.tally.Away += d
	}
}

func (p *Pollbook) carryOut(r *row, f rights.Effect) {
	x := r.ctx.Right
	switch f := f.(type) {
	case rights.Write:
		p.work.Go(func() { p.write(x, f.Body) })
	case rights.Note:
		p.tally.Refused++
		p.work.Go(func() { p.note(f.Body) })
	case rights.AwaitGroup:
		p.await(r, f.ID)
	case rights.Send:
		p.send(f)
	case rights.Tell:
		if f.Refusal == ledger.InProgress {
			return // the second tap waits with the first
		}
		if f.Refusal == ledger.ConflictFound || f.Refusal == ledger.Withdrawn {
			p.tally.Voided++
		}
		r.tell(Receipt{Refusal: f.Refusal, At: f.At, Record: f.Record, Recorded: f.Refusal == ledger.NotRefused, Replicated: f.Group})
	case rights.Defer:
		if len(r.deferred) >= maxDeferred {
			r.tell(Receipt{Refusal: ledger.InProgress})
			return
		}
		r.deferred = append(r.deferred, f.Event)
	case rights.Alarm:
		p.tally.Alarms++
		p.cfg.Logger.Error("the group reports a conflict for an admission that was handed over", "entry", f.Verdict.Against, "class", f.Verdict.Class.String())
	}
}

// write makes the pending statement durable.
func (p *Pollbook) write(x ledger.Right, body ledger.Body) {
	d, err := p.cfg.Journal.Append(p.ctx, body)
	if err != nil {
		if p.ctx.Err() != nil {
			return // Close: the statement may be durable; the next start reads the chain
		}
		p.cfg.Logger.Error("a statement could not be recorded", "err", err)
		p.step(x, rights.Lost{})
		return
	}
	e := d.Batch.Extract(d.First)
	enc, err := e.Encode()
	if err != nil {
		panic("extract of a statement within its limits: " + err.Error())
	}
	p.step(x, rights.Written{ID: e.ID(), Extract: enc})
}

func (p *Pollbook) note(body ledger.Body) {
	if _, err := p.cfg.Journal.Append(p.ctx, body); err != nil && p.ctx.Err() == nil {
		p.cfg.Logger.Error("a refused attempt could not be recorded", "error", err)
	}
}

// await begins the barrier: the group's answer or its absence lets the light go on.
func (p *Pollbook) await(r *row, id ledger.StatementID) {
	x := r.ctx.Right
	if p.closed || p.alone || !p.cfg.Proposer.Linked() {
		p.stepLocked(r, rights.Expired{})
		p.awaited[id] = x // a conflict reported later raises the alarm
		return
	}
	p.awaited[id] = x
	r.barrier = time.AfterFunc(p.cfg.Barrier, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed && r.state.Desk == rights.Awaiting && r.state.Record.By == id {
			p.alone = true
			p.stepLocked(r, rights.Expired{})
		}
	})
}

// send passes a message on; when too many are on their way it is dropped, since
// whoever needs it asks again.
func (p *Pollbook) send(s rights.Send) {
	if p.closed {
		return
	}
	select {
	case p.sending <- struct{}{}:
	default:
		return
	}
	p.work.Go(func() {
		defer func() { <-p.sending }()
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.AskTimeout)
		defer cancel()
		// A lost message is the protocol's normal case, not a fault.
		_ = p.cfg.Peers.Send(ctx, s.To, s.Message)
	})
}

// Receive takes a message from another bureau.
func (p *Pollbook) Receive(m rights.Message) {
	if _, ok := p.cfg.Group.Home(m.Right.Elector); !ok {
		return
	}
	e := m.Event()
	if e == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.stepLocked(p.row(m.Right), e)
	}
}
