package pollbook

import (
	"context"
	"slices"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// CheckIn asks to admit an elector, and waits for the answer: the green light or the
// reason why not. A second tap on the same elector gets the same answer. The error is a
// fault of the machine or ctx's; the admission may then be recorded all the same, and
// asking again tells. While another bureau's release is awaited, ctx's end leaves the
// right where it is.
func (p *Pollbook) CheckIn(ctx context.Context, e ledger.ElectorToken, how rights.Ask) (Receipt, error) {
	home, ok := p.cfg.Group.Home(e)
	if !ok {
		return Receipt{Refusal: ledger.NotOnTheRoll}, nil
	}
	x := ledger.Right{Elector: e, Kind: ledger.Admit}
	if r, known, err := p.knownElsewhere(x, how, home == p.self && !p.gaveAway(x)); known {
		return r, err
	}
	return p.desk(ctx, x, how, rights.CheckIn)
}

// gaveAway says that a right which is at home here lies at another bureau.
func (p *Pollbook) gaveAway(x ledger.Right) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rows[x]
	return r != nil && r.state.Record.State == ledger.Released
}

// knownElsewhere refuses by the ledger alone an elector who has been admitted at another
// bureau: early warning, and no right is moved for nothing; where the right is here, the
// barrier decides instead. An admission of this bureau that its own chain does not have was
// made by a machine before, or by media that were put back.
func (p *Pollbook) knownElsewhere(x ledger.Right, how rights.Ask, here bool) (Receipt, bool, error) {
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
	p.noteLocked(&ledger.AttemptRefused{Elector: x.Elector, Refusal: ledger.AlreadyAdmitted, Means: how.Means, Attester: how.Attester})
	return Receipt{Refusal: ledger.AlreadyAdmitted, At: as[0].Bureau}, true, nil
}

// desk steps the right with an event of the desk and waits for what it is told.
func (p *Pollbook) desk(ctx context.Context, x ledger.Right, e rights.Event, acts rights.Acts) (Receipt, error) {
	w := &waiter{acts: acts, answer: make(chan Receipt, 1)}
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
	p.desks++
	r.waiters = append(r.waiters, w)
	p.stepLocked(r, e, w)
	p.mu.Unlock()
	defer p.leave(r, w)
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
func (p *Pollbook) leave(r *row, w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.forget(w)
	if !p.closed && r.state.Desk == rights.Asking && r.deserted() {
		p.stepLocked(r, rights.Leave{}, nil)
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
	return p.desk(ctx, ledger.Right{Elector: e, Kind: ledger.Admit}, how, rights.Correction)
}
