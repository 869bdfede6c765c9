package pollbook

import (
	"context"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// row is one right at this bureau and who waits for it. Pollbook.mu guards it.
type row struct {
	ctx   *rights.Context
	state rights.State
	// deferred events wait for the pending statement.
	deferred []deferred
	// waiters get the next answer to what they asked. A second tap waits with the first.
	waiters []*waiter
	// barrier ends the wait for the group.
	barrier *time.Timer
	// early is an answer of the group that overtook Written: the uploader and the writer of a
	// statement are two goroutines.
	early *rights.Answered
	// asking repeats the request for a release while the desk waits for it.
	asking *asking
}

// waiter is one act of the desk that waits for its answer.
type waiter struct {
	acts   rights.Acts
	answer chan Receipt // has room for its one answer; closed by Close
	// how says who asks, and by what means, for a check-in.
	how rights.Ask
	// at is the row whose answers it gets, for a proxy the principal's, and with the holder's;
	// nil for others.
	at, with *row
}

// deferred is an event that waits; waiter is nil for messages.
type deferred struct {
	event  rights.Event
	waiter *waiter
}

// asking is one wait for a release.
type asking struct {
	timer *time.Timer
	until time.Time
}

// row finds or makes the right's row. The roll must have the elector.
func (p *Pollbook) row(x ledger.Right) *row {
	r := p.rows[x]
	if r == nil {
		r = p.newRow(x)
		p.rows[x] = r
	}
	return r
}

// newRow is the row of a right of which this bureau's chain says nothing; it is not kept.
func (p *Pollbook) newRow(x ledger.Right) *row {
	home, ok := p.cfg.Group.Home(x.Elector)
	if !ok {
		panic("row of an elector who is not on the roll")
	}
	c := &rights.Context{
		Group: p.cfg.Group, Right: x, Home: home, Away: p.cfg.Away,
		Standing: ledger.Standing{Author: p.cfg.Journal.Author(), Unfenced: p.cfg.Unfenced},
	}
	return &row{ctx: c, state: c.Start()}
}

// untouched says that a row knows no more than the roll.
func (r *row) untouched() bool {
	return r.state.Record == r.ctx.Start().Record && r.state.Pending == nil && r.state.Desk == rights.Idle && len(r.deferred) == 0
}

// tell answers acts of the desk; with is the holder's row when they concern a proxy. A correction
// that is refused at once is refused to its own waiter alone; what ends a check-in ends those too
// that wait for their turn. The green light is for the member who asked first, whose second tap it
// may be: another one has another elector, or the same, before him, and hears that he is admitted
// already; those are returned.
func (r *row) tell(own *waiter, with *row, answers rights.Acts, a Receipt) (late []rights.Ask) {
	if own != nil && own.acts == rights.Correction && answers == rights.Correction {
		r.tellAlone(own, a)
		return nil
	}
	green := a.Refusal == ledger.NotRefused && answers&(rights.CheckIn|rights.ByProxy) != 0
	give := func(w *waiter) {
		if green && w.acts != rights.Correction && w.how.Attester != r.state.Asked.Attester {
			late = append(late, w.how)
			w.answer <- Receipt{Refusal: ledger.AlreadyAdmitted, At: a.At, Record: a.Record}
			return
		}
		w.answer <- a
	}
	r.waiters = slices.DeleteFunc(r.waiters, func(w *waiter) bool {
		if w.acts&answers == 0 || w.acts == rights.ByProxy && w.with != with {
			return false
		}
		give(w)
		return true
	})
	r.deferred = slices.DeleteFunc(r.deferred, func(d deferred) bool {
		if d.waiter == nil || d.waiter.acts&answers&rights.CheckIn == 0 {
			return false
		}
		give(d.waiter)
		return true
	})
	return late
}

// tellAlone answers one act of the desk.
func (r *row) tellAlone(w *waiter, a Receipt) {
	r.forget(w)
	w.answer <- a
}

// forget takes a waiter out who goes away.
func (r *row) forget(w *waiter) {
	r.waiters = slices.DeleteFunc(r.waiters, func(o *waiter) bool { return o == w })
	r.deferred = slices.DeleteFunc(r.deferred, func(d deferred) bool { return d.waiter == w })
}

// end stops the row for good: who waits gets ErrClosed.
func (r *row) end() {
	if r.barrier != nil {
		r.barrier.Stop()
	}
	if r.asking != nil {
		r.asking.timer.Stop()
	}
	for _, d := range r.deferred {
		if d.waiter != nil {
			close(d.waiter.answer)
		}
	}
	for _, w := range r.waiters {
		close(w.answer)
	}
	r.deferred, r.waiters = nil, nil
}

// step runs the protocol on one right and carries the effects out.
func (p *Pollbook) step(x ledger.Right, e rights.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stepLocked(p.row(x), e, nil)
}

// stepLocked is step under mu; own is who asked for it, nil when nobody at the desk did. What
// happens to one right of a proxy is stepped with the other one.
func (p *Pollbook) stepLocked(r *row, e rights.Event, own *waiter) {
	rows, at := p.joined(r, e)
	var before, next [2]rights.State
	for i, r := range rows {
		before[i] = r.state
	}
	var effects []rights.PairEffect
	if len(rows) == 2 {
		next, effects = rights.StepPair([2]*rights.Context{rows[0].ctx, rows[1].ctx}, before, at, e)
	} else {
		var own []rights.Effect
		next[0], own = rights.Step(r.ctx, r.state, e)
		for _, f := range own {
			effects = append(effects, rights.PairEffect{Effect: f})
		}
	}
	for i, r := range rows {
		r.state = next[i]
		p.count(r, before[i], next[i])
	}
	for _, f := range effects {
		p.carryOut(rows, f, own)
	}
	for _, r := range rows {
		p.ask(r)
	}
	for i, r := range rows {
		if before[i].Pending != nil && next[i].Pending == nil {
			p.undefer(r)
		}
	}
}

// undefer gives the row the events that waited, until one begins a new statement.
func (p *Pollbook) undefer(r *row) {
	for len(r.deferred) > 0 && r.state.Pending == nil {
		d := r.deferred[0]
		r.deferred = r.deferred[1:]
		if d.waiter != nil {
			d.waiter.at.waiters = append(d.waiter.at.waiters, d.waiter)
		}
		p.stepLocked(r, d.event, d.waiter)
	}
}

// count keeps the tally, and what lies at other bureaux, along with a right's change.
func (p *Pollbook) count(r *row, before, after rights.State) {
	if was, is := releasedTo(before), releasedTo(after); was != is {
		delete(p.out[was], r.ctx.Right)
		if is != 0 && p.out[is] == nil {
			p.out[is] = map[ledger.Right]bool{}
		}
		if is != 0 {
			p.out[is][r.ctx.Right] = true
		}
	}
	used := func(s rights.State) (admitted, byProxy int) {
		if r.ctx.Right.Kind != ledger.Admit || s.Record.State != ledger.Admitted && s.Record.State != ledger.Provisioned {
			return 0, 0
		}
		if s.Record.Proxy {
			return 1, 1
		}
		return 1, 0
	}
	was, wasByProxy := used(before)
	is, isByProxy := used(after)
	p.tally.Admitted += is - was
	p.tally.Proxies += isByProxy - wasByProxy
	if r.ctx.Home != p.self {
		p.tally.Away += is - was
	}
}

// releasedTo is the bureau that a home right is at, or on its way to; 0 for none.
func releasedTo(s rights.State) ledger.BureauNumber {
	if b, ok := s.Pending.(*ledger.Release); ok {
		return b.To
	}
	if s.Record.State == ledger.Released {
		return s.Record.To
	}
	return 0
}

// carryOut does what a step of one row, or of a proxy's two, asks for.
func (p *Pollbook) carryOut(rows []*row, effect rights.PairEffect, own *waiter) {
	r := rows[effect.At]
	x := r.ctx.Right
	switch f := effect.Effect.(type) {
	case rights.Write:
		p.work.Go(func() { p.write(x, f.Body) })
	case rights.Note:
		p.noteLocked(f.Body)
	case rights.AwaitGroup:
		p.await(r, f.ID)
	case rights.Send:
		p.send(f)
	case rights.Tell:
		p.tell(rows, f, own)
	case rights.Defer:
		p.deferEvent(r, f.Event, own)
	case rights.Alarm:
		p.tally.Alarms++
		p.cfg.Logger.Error("the group reports a conflict for an admission that was handed over", "entry", f.Verdict.Against, "class", f.Verdict.Class.String())
	}
}

// tell answers the desk.
func (p *Pollbook) tell(rows []*row, f rights.Tell, own *waiter) {
	r, with := rows[0], (*row)(nil)
	if len(rows) == 2 {
		with = rows[rights.Holder]
	}
	a := Receipt{Refusal: f.Refusal, Of: f.Of, At: f.At, Record: f.Record, Recorded: f.Refusal == ledger.NotRefused, Replicated: f.Group}
	switch {
	case f.Refusal == ledger.InProgress && own != nil:
		if !own.underWay() { // a second tap waits with the first
			r.tellAlone(own, a)
		}
		return
	case f.Refusal == ledger.ConflictFound || f.Refusal == ledger.Withdrawn:
		p.tally.Voided++
	case f.Refusal == ledger.NotRefused && f.Answers == rights.Correction:
		p.tally.Annulled++
	}
	for _, how := range r.tell(own, with, f.Answers, a) {
		p.noteLocked(&ledger.AttemptRefused{Elector: r.ctx.Right.Elector, Refusal: ledger.AlreadyAdmitted, Means: how.Means, Attester: how.Attester})
	}
}

// deferEvent keeps an event until the pending statement is durable. The desk's are as many
// as wait for their answer; messages have a bound, since nobody waits for them here.
func (p *Pollbook) deferEvent(r *row, e rights.Event, own *waiter) {
	if own != nil {
		own.at.forget(own)
		r.deferred = append(r.deferred, deferred{e, own})
		return
	}
	messages := 0
	for _, d := range r.deferred {
		if d.waiter == nil {
			messages++
		}
	}
	if messages < maxDeferred {
		r.deferred = append(r.deferred, deferred{event: e})
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

// noteLocked counts a refused attempt and puts it into the chain; nobody waits for that.
func (p *Pollbook) noteLocked(body ledger.Body) {
	p.tally.Refused++
	if p.noting >= maxNoting {
		p.cfg.Logger.Error("a refused attempt is not recorded: too many wait", "max", maxNoting)
		return
	}
	p.noting++
	p.work.Go(func() {
		if _, err := p.cfg.Journal.Append(p.ctx, body); err != nil && p.ctx.Err() == nil {
			p.cfg.Logger.Error("a refused attempt could not be recorded", "err", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.noting--
	})
}

// await begins the barrier: the group's answer or its absence lets the light go on.
func (p *Pollbook) await(r *row, id ledger.StatementID) {
	early := r.early
	r.early = nil
	switch {
	case early != nil && early.ID == id:
		p.stepLocked(r, *early, nil)
		return
	case !p.cfg.Proposer.Linked():
		p.link = Alone
	}
	if p.closed || p.link != Linked {
		p.stepLocked(r, rights.Expired{}, nil)
		return
	}
	r.barrier = time.AfterFunc(p.cfg.Barrier, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed && r.state.Desk == rights.Awaiting && r.state.Record.By == id {
			p.link = Alone
			p.stepLocked(r, rights.Expired{}, nil)
		}
	})
}

// ask keeps the request for a release going while the desk waits for it, and no longer.
func (p *Pollbook) ask(r *row) {
	switch waits := r.state.Desk == rights.Asking; {
	case !waits && r.asking != nil:
		r.asking.timer.Stop()
		r.asking = nil
	case waits && r.asking == nil:
		a := &asking{until: time.Now().Add(p.cfg.AskTimeout)}
		a.timer = time.AfterFunc(requestEvery, func() { p.askAgain(r, a) })
		r.asking = a
	}
}

// askAgain repeats the request until it is answered or the time is up.
func (p *Pollbook) askAgain(r *row, a *asking) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || r.asking != a {
		return
	}
	if time.Now().Before(a.until) {
		p.send(r.ctx.Request(r.state))
		a.timer.Reset(requestEvery)
		return
	}
	r.asking = nil // with a hold on its way into the journal the desk waits on
	p.stepLocked(r, rights.Unreachable{}, nil)
}

// send passes a message on; when too many are on their way it is dropped, since
// whoever needs it asks again.
func (p *Pollbook) send(s rights.Send) {
	if p.closed || p.sending >= maxSending || p.sendingTo[s.To] >= maxSendingTo {
		return
	}
	p.sending++
	p.sendingTo[s.To]++
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.AskTimeout)
		defer cancel()
		// A lost message is the protocol's normal case, not a fault.
		_ = p.cfg.Peers.Send(ctx, s.To, s.Message)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sending--
		p.sendingTo[s.To]--
	})
}
