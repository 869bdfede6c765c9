package pollbook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// ErrProxyForm is the fault of a proxy that no statement can hold.
var ErrProxyForm = errors.New("this proxy can't be recorded")

// CheckInProxy admits the principal by the holder, who stands at the table with the form (decree
// art. 10), and waits for the answer as CheckIn does. It uses the principal's right to be admitted
// and the holder's to carry one proxy; the holder's own vote is a check-in of its own. The nonces
// are filled in here. A refusal says in Of which of the two rights could not be had; the other one
// is where it was then, or on its way there. ErrProxyForm is wrapped for a form that is wrong.
//
// The end of ctx is as in CheckIn: when nobody waits any longer for a right of another bureau,
// what came here for the proxy goes back.
func (p *Pollbook) CheckInProxy(ctx context.Context, proxy *ledger.ProxyAdmission) (Receipt, error) {
	if err := checkProxy(proxy); err != nil {
		return Receipt{}, err
	}
	own, how := *proxy, rights.Ask{Means: proxy.Means, Attester: proxy.Attester}
	own.Form = slices.Clone(proxy.Form)
	both := ledger.Touches(&own)
	for _, x := range both {
		if _, ok := p.cfg.Group.Home(x.Elector); !ok {
			return Receipt{Refusal: ledger.NotOnTheRoll, Of: x.Kind}, nil
		}
	}
	for _, x := range both {
		if r, known, err := p.knownElsewhere(x, how); known {
			if r.Refusal != ledger.BureauNotOpen {
				r.Of = x.Kind
			}
			return r, err
		}
	}
	return p.desk(ctx, rights.AskProxy{Proxy: &own}, rights.ByProxy, both...)
}

// checkProxy says why no statement can hold a proxy (SPEC 5, statement 7).
func checkProxy(x *ledger.ProxyAdmission) error {
	switch {
	case x.Holder == x.Principal:
		return fmt.Errorf("%w: holder and principal are one elector", ErrProxyForm)
	case len(x.Form) == 0 || len(x.Form) > ledger.MaxFormNumber:
		return fmt.Errorf("%w: a form's number has 1 to %d characters", ErrProxyForm, ledger.MaxFormNumber)
	case slices.ContainsFunc(x.Form, func(c byte) bool { return c < 0x20 || c > 0x7e }):
		return fmt.Errorf("%w: a form's number has letters without accents, digits and signs only", ErrProxyForm)
	case x.Means < ledger.ByCard || x.Means > ledger.ByName:
		return fmt.Errorf("%w: means of identification %d is unknown", ErrProxyForm, x.Means)
	}
	return nil
}

// joined are the rows that an event steps: the right's own, or both of the proxy that has taken or
// used it, the principal's first; at is which of them it happened to.
func (p *Pollbook) joined(r *row, e rights.Event) (rows []*row, at int) {
	if ask, ok := e.(rights.AskProxy); ok {
		both := ledger.Touches(ask.Proxy)
		return []*row{p.row(both[rights.Principal]), p.row(both[rights.Holder])}, rights.Principal
	}
	other, ok := r.state.Other(r.ctx.Right)
	switch {
	case !ok:
		return []*row{r}, 0
	case r.ctx.Right.Kind == ledger.Carry:
		return []*row{p.row(other), r}, rights.Holder
	}
	return []*row{r, p.row(other)}, rights.Principal
}

// underWay says that what occupies the rights of an act of the desk is that very act, which another
// desk, or another tap, asked for before.
func (w *waiter) underWay() bool {
	if w.acts != rights.ByProxy {
		return w.at.state.Pair == nil
	}
	for _, r := range []*row{w.at, w.with} {
		x := r.state.Pair
		if x != nil && r.state.Desk != rights.Idle && x.Principal == w.at.ctx.Right.Elector && x.Holder == w.with.ctx.Right.Elector {
			return true
		}
	}
	return false
}

// deserted says that a right is waited for, or kept for a proxy that waits for its other one, and
// that nobody at the desk waits for it any longer.
func (p *Pollbook) deserted(r *row) bool {
	if r.state.Desk != rights.Asking && r.state.Desk != rights.Joining {
		return false
	}
	if r.state.Pair == nil {
		return !slices.ContainsFunc(r.waiters, func(w *waiter) bool { return w.acts == rights.CheckIn })
	}
	rows, _ := p.joined(r, rights.Leave{})
	return !slices.ContainsFunc(rows[rights.Principal].waiters, func(w *waiter) bool {
		return w.acts == rights.ByProxy && w.with == rows[rights.Holder]
	})
}
