package node

import (
	"context"
	"errors"
	"net/http"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// Person is how one of a proxy's two electors is named.
type Person struct {
	// By is card, convocation, national.
	By string `json:"by"`
	// Number is the convocation or national number, as typed.
	Number string `json:"number"`
}

// Proxy is one elector who votes for another, as the desk has it from the form (decree art. 10).
type Proxy struct {
	// Holder stands at the table, Principal is named on the form.
	Holder    Person `json:"holder"`
	Principal Person `json:"principal"`
	// Form is the form's number: 1 to 32 characters without accents.
	Form string `json:"form"`
	// Reason is the code, 1 to 255, of why the principal does not come, Evidence that of what was
	// attached.
	Reason   uint8 `json:"reason"`
	Evidence uint8 `json:"evidence"`
	// Attester is the code of the member who acts.
	Attester uint16 `json:"attester"`
}

// ProxyAnswer is the answer to a proxy: the principal is admitted by it, or why not.
type ProxyAnswer struct {
	Answer
	// Of is whose right could not be had, principal or holder; empty where it is neither's.
	Of string `json:"of,omitempty"`
}

// whose names a proxy's rights.
var whose = map[ledger.RightKind]string{ledger.Admit: "principal", ledger.Carry: "holder"}

// CheckInProxy admits the principal by the holder, or says why not. The holder's own vote is a
// check-in of its own.
func (n *Node) CheckInProxy(ctx context.Context, x Proxy) (ProxyAnswer, error) {
	if err := n.enter(); err != nil {
		return ProxyAnswer{}, err
	}
	defer n.acts.RUnlock()
	form, unknown, err := n.proxyOf(x)
	if err != nil {
		return ProxyAnswer{}, err
	}
	if err := n.journal.Err(); err != nil {
		return ProxyAnswer{}, err
	}
	if unknown != 0 {
		return proxyAnswerOf(pollbook.Receipt{Refusal: ledger.NotOnTheRoll, Of: unknown}), nil
	}
	r, err := n.book.CheckInProxy(ctx, form)
	if errors.Is(err, pollbook.ErrProxyForm) {
		return ProxyAnswer{}, badRequest(err.Error())
	}
	if err == nil && r.Refusal == ledger.BureauNotOpen { // it may have stopped under this very act
		err = n.journal.Err()
	}
	if err != nil {
		return ProxyAnswer{}, err
	}
	a := proxyAnswerOf(r)
	switch r.Refusal {
	case ledger.AlreadyAdmitted:
		a.When = n.usedWhen(ledger.Right{Elector: form.Principal, Kind: ledger.Admit}, r.At)
	case ledger.ProxyAlreadyHeld:
		a.When = n.usedWhen(ledger.Right{Elector: form.Holder, Kind: ledger.Carry}, r.At)
	}
	return a, nil
}

// proxyOf reads what was typed; unknown is whose number is not on the roll, 0 for nobody's.
func (n *Node) proxyOf(x Proxy) (form *ledger.ProxyAdmission, unknown ledger.RightKind, err error) {
	switch {
	case x.Reason == 0:
		return nil, 0, badRequest(`"reason" is missing: the code of why the principal does not come, 1 to 255`)
	case x.Evidence == 0:
		return nil, 0, badRequest(`"evidence" is missing: the code of what was attached to the form, 1 to 255`)
	}
	form = &ledger.ProxyAdmission{Form: []byte(x.Form), Reason: x.Reason, Evidence: x.Evidence, Attester: x.Attester}
	for _, kind := range []ledger.RightKind{ledger.Admit, ledger.Carry} {
		p, to := x.Principal, &form.Principal
		if kind == ledger.Carry {
			p, to = x.Holder, &form.Holder
		}
		e, how, ok, err := n.find(Identification{By: p.By, Number: p.Number, Attester: x.Attester})
		var bad badRequest
		switch {
		case errors.As(err, &bad):
			return nil, 0, badRequest(whose[kind] + ": " + string(bad))
		case err != nil:
			return nil, 0, err
		case !ok && unknown == 0:
			unknown = kind
		}
		*to, form.Means = e, how.Means // the holder's, who comes last, is who was identified here
	}
	return form, unknown, nil
}

// proxyAnswerOf says of a refusal whose right it concerns.
func proxyAnswerOf(r pollbook.Receipt) ProxyAnswer {
	a := ProxyAnswer{Answer: answerOf(r), Of: whose[r.Of]}
	if a.Of != "" {
		a.Reason = a.Of + ": " + a.Reason
	}
	if r.Refusal == ledger.ProxyAlreadyHeld {
		a.Reason += " (one for each holder, in the whole commune)"
	}
	return a
}

func (a *api) checkInProxy(r *http.Request) (any, error) {
	var in Proxy
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return a.node.CheckInProxy(r.Context(), in)
}
