package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	_ "time/tzdata" // Brussels' days, on a machine without zones

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/ledger/proxies"
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
	// Paper is what the table has seen on the form; nil where somebody else has looked at it.
	Paper *Paper `json:"paper,omitempty"`
}

// Paper is what the table has seen on a proxy's form: the rules of ledger/proxies judge it before anybody's
// right is used.
type Paper struct {
	// PrincipalSigned and HolderSigned: the signatures; PrincipalNumber and HolderNumber: the national numbers.
	PrincipalSigned bool `json:"principal_signed"`
	HolderSigned    bool `json:"holder_signed"`
	PrincipalNumber bool `json:"principal_number"`
	HolderNumber    bool `json:"holder_number"`
	// MayorOn is the date beside the mayor's signature, as 2024-10-12; empty without one.
	MayorOn string `json:"mayor_on"`
}

// BrokenRule is a rule that a proxy's paper breaks.
type BrokenRule struct {
	Rule   proxies.Rule `json:"rule"`
	Reason string       `json:"reason"`
}

// ProxyAnswer is the answer to a proxy: the principal is admitted by it, or why not.
type ProxyAnswer struct {
	Answer
	// Of is whose right could not be had, principal or holder; empty where it is neither's.
	Of string `json:"of,omitempty"`
	// Rules are those that the paper breaks, if any: nobody's right was used, Refusal is 0, and the refused
	// proxy is recorded.
	Rules []BrokenRule `json:"rules,omitempty"`
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
	if x.Paper != nil {
		broken, err := n.refusesPaper(ctx, form, x.Paper.judged(x, form))
		if err != nil || len(broken) > 0 {
			return ProxyAnswer{Rules: rulesOf(broken), Answer: Answer{Reason: said(broken)}}, err
		}
	}
	if unknown != 0 {
		return proxyAnswerOf(pollbook.Receipt{Refusal: ledger.NotOnTheRoll, Of: unknown}), n.journal.Err()
	}
	r, err := n.bookProxy(ctx, form)
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

// bookProxy asks the table for a proxy whose electors are found.
func (n *Node) bookProxy(ctx context.Context, form *ledger.ProxyAdmission) (pollbook.Receipt, error) {
	if err := n.journal.Err(); err != nil {
		return pollbook.Receipt{}, err
	}
	r, err := n.book.CheckInProxy(ctx, form)
	if errors.Is(err, pollbook.ErrProxyForm) {
		return r, badRequest(err.Error())
	}
	if err == nil && r.Refusal == ledger.BureauNotOpen { // it may have stopped under this very act
		err = n.journal.Err()
	}
	return r, err
}

// judged is the paper as the rules see it.
func (p *Paper) judged(x Proxy, form *ledger.ProxyAdmission) proxies.Paper {
	return proxies.Paper{
		Form: x.Form, Reason: proxies.Reason(x.Reason), Evidence: proxies.Evidence(x.Evidence),
		PrincipalSigned: p.PrincipalSigned, HolderSigned: p.HolderSigned, PrincipalNumber: p.PrincipalNumber, HolderNumber: p.HolderNumber,
		MayorOn: proxies.Date(p.MayorOn), SamePerson: form.Holder == form.Principal && form.Holder != ledger.ElectorToken{},
	}
}

// ElectionDay is the day of the poll by Brussels' calendar.
func (n *Node) ElectionDay() proxies.Date {
	opens := time.UnixMilli(int64(n.prepared.Manifest.Opens)).In(brussels)
	return proxies.Date(opens.Format(time.DateOnly))
}

// brussels is the place whose days count; its zone is in the program, whatever the machine has.
var brussels = func() *time.Location {
	l, err := time.LoadLocation("Europe/Brussels")
	if err != nil {
		panic(fmt.Sprintf("the program has no zone of Brussels: %v", err))
	}
	return l
}()

// refusesPaper lists the rules that a proxy's paper breaks, and records that the table refused it. An open bureau
// alone has proxies to refuse; a closed one says so afterwards.
func (n *Node) refusesPaper(ctx context.Context, form *ledger.ProxyAdmission, paper proxies.Paper) ([]proxies.Rule, error) {
	broken := proxies.Check(paper, n.ElectionDay())
	if len(broken) == 0 || !n.book.Status().Open {
		return nil, n.journal.Err()
	}
	refused := plaintext.RefusedProxy{
		Bureau: n.cfg.Bureau, Rules: broken, Form: paper.Form, Holder: form.Holder, Principal: form.Principal, Attester: form.Attester,
	}
	sealed, err := n.register.SealText(refused.Encode())
	if err != nil {
		return nil, err
	}
	return broken, n.book.Record(ctx, &ledger.Incident{Code: plaintext.IncidentProxyRefused, Sealed: sealed})
}

func rulesOf(broken []proxies.Rule) (out []BrokenRule) {
	for _, r := range broken {
		out = append(out, BrokenRule{r, r.String()})
	}
	return out
}

// said puts the rules into one line.
func said(broken []proxies.Rule) string {
	var out []string
	for _, r := range broken {
		out = append(out, r.String())
	}
	return strings.Join(out, "; ")
}

// proxyOf reads what was typed; unknown is whose number is not on the roll, 0 for nobody's.
func (n *Node) proxyOf(x Proxy) (form *ledger.ProxyAdmission, unknown ledger.RightKind, err error) {
	switch {
	case x.Paper != nil:
		// The rules judge it; a date is none of theirs when it is no date.
		if _, err := proxies.ParseDate(x.Paper.MayorOn); err != nil && x.Paper.MayorOn != "" {
			return nil, 0, badRequest(`"mayor_on": ` + err.Error())
		}
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
