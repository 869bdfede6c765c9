package pollbook

import (
	"context"
	"slices"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// CheckIn asks to admit an elector, and waits for the answer: the green light or the
// reason why not. A second tap on the same elector by the same member gets the same answer;
// another member at the same moment hears that he is admitted already. The error is a
// fault of the machine or ctx's; the admission may then be recorded all the same, and
// asking again tells. While another bureau's release is awaited, ctx's end leaves the
// right where it is.
//
// A reason other than 0 is the president's: to admit provisionally when the right can't be had,
// where that is provided for. A right that is here is used as ever.
func (p *Pollbook) CheckIn(ctx context.Context, e ledger.ElectorToken, how rights.Ask, reason uint8) (Receipt, error) {
	if _, ok := p.cfg.Group.Home(e); !ok {
		return Receipt{Refusal: ledger.NotOnTheRoll}, nil
	}
	x := ledger.Right{Elector: e, Kind: ledger.Admit}
	if r, known, err := p.knownElsewhere(x, how); known {
		return r, err
	}
	if reason != 0 {
		return p.desk(ctx, rights.AskProvisional{Ask: how, Reason: reason}, rights.CheckIn, x)
	}
	return p.desk(ctx, how, rights.CheckIn, x)
}

// isHere says that a right is at home here and was not given away.
func (p *Pollbook) isHere(x ledger.Right) bool {
	if home, ok := p.cfg.Group.Home(x.Elector); !ok || home != p.self {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rows[x]
	return r == nil || r.state.Record.State != ledger.Released
}

// knownElsewhere refuses by the ledger alone a right that has been used at another
// bureau: early warning, and no right is moved for nothing; where the right is here, the
// barrier decides instead. An admission of this bureau that its own chain does not have was
// made by a machine before, or by media that were put back.
func (p *Pollbook) knownElsewhere(x ledger.Right, how rights.Ask) (Receipt, bool, error) {
	here, why := p.isHere(x), ledger.AlreadyAdmitted
	if x.Kind == ledger.Carry {
		why = ledger.ProxyAlreadyHeld
	}
	as := slices.DeleteFunc(p.cfg.View.Admissions(x), func(a ledger.LiveAdmission) bool {
		if a.Bureau == p.self {
			return p.Knows(a.ID.Session, a.ID.Sequence+1)
		}
		return here
	})
	if len(as) == 0 {
		return Receipt{}, false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Receipt{}, true, ErrClosed
	}
	if !p.open {
		return Receipt{Refusal: ledger.BureauNotOpen}, true, nil
	}
	p.noteLocked(&ledger.AttemptRefused{Elector: x.Elector, Refusal: why, Means: how.Means, Attester: how.Attester})
	return Receipt{Refusal: why, At: as[0].Bureau}, true, nil
}

// desk steps a right, or a proxy's two, with an event of the desk and waits for what it is told.
func (p *Pollbook) desk(ctx context.Context, e rights.Event, acts rights.Acts, xs ...ledger.Right) (Receipt, error) {
	w := &waiter{acts: acts, answer: make(chan Receipt, 1)}
	switch e := e.(type) {
	case rights.Ask:
		w.how = e
	case rights.AskProvisional:
		w.how = e.Ask
	case rights.AskProxy:
		w.how = rights.Ask{Means: e.Proxy.Means, Attester: e.Proxy.Attester}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return Receipt{}, ErrClosed
	}
	if !p.open {
		p.mu.Unlock()
		return Receipt{Refusal: ledger.BureauNotOpen}, nil
	}
	w.at = p.row(xs[0])
	if len(xs) == 2 {
		w.with = p.row(xs[1])
	}
	p.desks++
	w.at.waiters = append(w.at.waiters, w)
	p.stepLocked(w.at, e, w)
	p.mu.Unlock()
	defer p.leave(w)
	select {
	case a, ok := <-w.answer:
		if !ok {
			return Receipt{}, ErrClosed
		}
		return a, nil
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

// leave ends an act of the desk. When the last one who waited for a release goes away
// without an answer, it is no longer waited for.
func (p *Pollbook) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range []*row{w.at, w.with} {
		if r == nil {
			continue
		}
		r.forget(w)
		if !p.closed && p.deserted(r) {
			p.stepLocked(r, rights.Leave{}, nil)
		}
	}
	p.desks--
	close(p.left)
	p.left = make(chan struct{})
}

// Undo takes an admission back before its light: a wrong row, noticed while the group's
// answer is awaited.
func (p *Pollbook) Undo(ctx context.Context, e ledger.ElectorToken, reason uint8) (Receipt, error) {
	return p.correct(ctx, e, rights.Undo{Reason: reason})
}

// Annul undoes an admission after its light: two different persons attest that the
// elector got no ballot.
func (p *Pollbook) Annul(ctx context.Context, e ledger.ElectorToken, how rights.Annul) (Receipt, error) {
	return p.correct(ctx, e, how)
}

func (p *Pollbook) correct(ctx context.Context, e ledger.ElectorToken, how rights.Event) (Receipt, error) {
	if _, ok := p.cfg.Group.Home(e); !ok {
		return Receipt{Refusal: ledger.NotOnTheRoll}, nil
	}
	return p.desk(ctx, how, rights.Correction, ledger.Right{Elector: e, Kind: ledger.Admit})
}
