package node

import (
	"context"
	"time"

	"pointage/ledger"
	"pointage/node/web"
)

// AdmitByProxy implements web.Acts.
func (s *screens) AdmitByProxy(ctx context.Context, x web.Proxy) (web.ProxyAnswer, error) {
	if err := s.enter(); err != nil {
		return web.ProxyAnswer{}, err
	}
	defer s.acts.RUnlock()
	paper := x.Paper
	paper.SamePerson = x.Holder == x.Principal
	form := &ledger.ProxyAdmission{
		Form: []byte(paper.Form), Reason: uint8(paper.Reason), Evidence: uint8(paper.Evidence), Means: x.Means, Attester: x.Attester,
	}
	for _, p := range []struct {
		number int
		to     *ledger.ElectorToken
		kind   ledger.RightKind
	}{{x.Principal, &form.Principal, ledger.Admit}, {x.Holder, &form.Holder, ledger.Carry}} {
		if p.number < 0 || p.number >= s.register.Len() {
			var out web.ProxyAnswer
			out.Refusal, out.Of = ledger.NotOnTheRoll, p.kind
			return out, nil
		}
		*p.to = s.register.Token(p.number)
	}
	broken, err := s.refusesPaper(ctx, form, paper)
	if err != nil || len(broken) > 0 {
		return web.ProxyAnswer{Rules: broken}, err
	}
	r, err := s.bookProxy(ctx, form)
	if err == nil && x.ChipNotProven {
		err = s.chipNotProven(ctx, r, form.Principal)
	}
	if err != nil {
		return web.ProxyAnswer{}, err
	}
	out := web.ProxyAnswer{Answer: web.Answer{Receipt: r}}
	switch r.Refusal {
	case ledger.AlreadyAdmitted, ledger.ConflictFound:
		out.Earlier, err = s.used(form.Principal, r)
	case ledger.ProxyAlreadyHeld:
		out.Earlier, err = s.carried(form.Holder, r.At)
	}
	return out, err
}

// carried is when a holder carried a proxy at a bureau, as far as the ledger here has it.
func (s *screens) carried(e ledger.ElectorToken, at ledger.BureauNumber) (out web.Use, err error) {
	for _, a := range s.store.Admissions(ledger.Right{Elector: e, Kind: ledger.Carry}) {
		if a.Bureau != at {
			continue
		}
		x, err := s.statement(a)
		if err != nil {
			return out, err
		}
		out.Entry, out.When = ledger.EntryName(a.Position), time.UnixMilli(int64(x.Time))
		out.Attester, out.Means = attesterOf(x.Body)
		return out, nil
	}
	return out, nil
}
