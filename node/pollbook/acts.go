package pollbook

import (
	"context"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// CheckIn asks to admit an elector, and waits for the answer: the green light or the
// reason why not. A second tap on the same elector gets the same answer. The error is a
// fault of the machine or ctx's; the admission may then be recorded all the same, and
// asking again tells.
func (p *Pollbook) CheckIn(ctx context.Context, e ledger.ElectorToken, how rights.Ask) (Receipt, error) {
	home, ok := p.cfg.Group.Home(e)
	if !ok {
		return Receipt{Refusal: ledger.NotOnTheRoll}, nil
	}
	x := ledger.Right{Elector: e, Kind: ledger.Admit}
	if home != p.self {
		if r, known := p.knownElsewhere(x, how); known {
			return r, nil
		}
	}
	return p.desk(ctx, x, how)
}

// knownElsewhere refuses by the ledger alone an elector who has been admitted at
// another bureau: early warning, and no right is moved for nothing.
func (p *Pollbook) knownElsewhere(x ledger.Right, how rights.Ask) (Receipt, bool) {
	as := p.cfg.View.Admissions(x)
	if len(as) == 0 || as[0].Bureau == p.self {
		return Receipt{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open || p.closed {
		return Receipt{Refusal: ledger.BureauNotOpen}, true
	}
	p.tally.Refused++
	body := &ledger.AttemptRefused{Elector: x.Elector, Refusal: ledger.AlreadyAdmitted, Means: how.Means, Attester: how.Attester}
	p.work.Go(func() { p.note(body) })
	return Receipt{Refusal: ledger.AlreadyAdmitted, At: as[0].Bureau}, true
}

// desk steps the right with an event of the desk and waits for what it is told.
func (p *Pollbook) desk(ctx context.Context, x ledger.Right, e rights.Event) (Receipt, error) {
	answer := make(chan Receipt, 1)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return Receipt{}, ErrClosed
	}
	if !p.open {
		p.mu.Unlock()
		return Receipt{Refusal: ledger.BureauNotOpen}, nil
	}
	r := p.row(x)
	r.waiters = append(r.waiters, answer)
	p.stepLocked(r, e)
	p.askAgain(r, time.Now().Add(p.cfg.AskTimeout))
	p.mu.Unlock()
	select {
	case a, ok := <-answer:
		if !ok {
			return Receipt{}, ErrClosed
		}
		return a, nil
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

// askAgain repeats the request for a release until it is answered or the time is up.
func (p *Pollbook) askAgain(r *row, until time.Time) {
	if r.state.Desk != rights.Asking || r.ask != nil {
		return
	}
	r.ask = time.AfterFunc(requestEvery, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if r.state.Desk != rights.Asking || p.closed {
			return
		}
		r.ask = nil
		if time.Now().After(until) {
			p.stepLocked(r, rights.Unreachable{})
			return
		}
		p.send(rights.Send{To: r.ctx.Home, Message: rights.Message{Kind: rights.RequestMessage, Right: r.ctx.Right, By: p.self}})
		p.askAgain(r, until)
	})
}

// Undo takes an admission back before its light: a wrong row, noticed while the group's
// answer is awaited.
func (p *Pollbook) Undo(ctx context.Context, e ledger.ElectorToken, reason uint8) (Receipt, error) {
	return p.correct(ctx, e, rights.Undo{Reason: reason})
}

// Annul undoes an admission after its light: two different persons attest that the
// elector got no ballot.
func (p *Pollbook) Annul(ctx context.Context, e ledger.ElectorToken, how rights.Annul) (Receipt, error) {
	r, err := p.correct(ctx, e, how)
	if err == nil && r.Refusal == ledger.NotRefused {
		p.mu.Lock()
		p.tally.Annulled++
		p.mu.Unlock()
	}
	return r, err
}

// GiveBack returns a right that lies here unused, so that the elector can be admitted at
// home.
func (p *Pollbook) GiveBack(e ledger.ElectorToken) {
	if _, ok := p.cfg.Group.Home(e); !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.rows[ledger.Right{Elector: e, Kind: ledger.Admit}]; r != nil && !p.closed {
		p.stepLocked(r, rights.Leave{})
	}
}

func (p *Pollbook) correct(ctx context.Context, e ledger.ElectorToken, how rights.Event) (Receipt, error) {
	if _, ok := p.cfg.Group.Home(e); !ok {
		return Receipt{Refusal: ledger.NotOnTheRoll}, nil
	}
	return p.desk(ctx, ledger.Right{Elector: e, Kind: ledger.Admit}, how)
}

// Standing is where a right stands at this bureau, for the screens.
func (p *Pollbook) Standing(x ledger.Right) (rec ledger.Record, replicated bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	home, ok := p.cfg.Group.Home(x.Elector)
	if !ok {
		return ledger.Record{}, false
	}
	r := p.rows[x]
	if r == nil {
		return ledger.InitialRecord(home == p.self), true
	}
	rec = r.state.Record
	a := p.cfg.Journal.Author()
	return rec, rec.By.Session != a.Session || rec.By.Sequence < p.placedTo
}
