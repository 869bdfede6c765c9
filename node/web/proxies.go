package web

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/proxies"
)

// proxiesPage walks through a proxy (decree art. 10): holder, principal, form, signatures, answer. Each step is one
// form and carries what was said before; nothing is recorded before the last, and the last one sent twice is the
// same check-in. So a session that ends in the middle loses nothing but what was typed.
var proxiesPage = page{
	name: "proxies", who: assessor, nav: true, show: showProxies,
	acts: map[string]act{"holder": proxyHolder, "principal": proxyPrincipal, "form": proxyForm, "admit": proxyAdmit},
}

// The wizard's steps.
const (
	stepHolder = 1 + iota
	stepPrincipal
	stepForm
	stepSignatures
	stepAnswer
)

// wizard is a proxy as far as it has been said.
type wizard struct {
	Step int
	// Holder and Principal are known from their step on.
	Holder, Principal *Elector
	Means             ledger.Means
	ChipNotProven     bool
	Paper             proxies.Paper
	// Card lies in the reader while the holder is asked for.
	Card *cardView
	// Wrong is what is wrong with what was typed, nil when nothing is.
	Wrong *answer
	// Answer is the last step's; Rules, instead, those that the paper breaks.
	Answer *answer
	Rules  []proxies.Rule
	Here   proxies.Share
	Whole  proxies.Share
	// LastDay is the last on which the mayor may have signed.
	LastDay string
}

// Steps is how many there are before the answer.
func (wizard) Steps() int { return stepAnswer - 1 }

// Reasons are those of the law; Evidences all kinds, and none.
func (wizard) Reasons() []proxies.Reason { return proxies.Reasons() }

// Evidences are all kinds, none first.
func (wizard) Evidences() (out []proxies.Evidence) {
	for e := proxies.Evidence(0); e <= proxies.School; e++ {
		out = append(out, e)
	}
	return out
}

// ReasonKey, EvidenceKey and RuleKey name them.
func (wizard) ReasonKey(r proxies.Reason) string { return reasonKey(r) }

// EvidenceKey names a kind of evidence.
func (wizard) EvidenceKey(e proxies.Evidence) string { return evidenceKey(e) }

// RuleKey names a rule.
func (wizard) RuleKey(r proxies.Rule) string { return ruleKey(r) }

func reasonKey(r proxies.Reason) string     { return fmt.Sprintf("proxies.reason-%d", r) }
func evidenceKey(e proxies.Evidence) string { return fmt.Sprintf("proxies.evidence-%d", e) }
func ruleKey(r proxies.Rule) string         { return fmt.Sprintf("proxies.rule-%d", r) }

// showProxies begins, or goes on where the table was locked: what had been typed is there, and nothing was recorded.
func showProxies(v *visit) (any, error) {
	draft := v.takeDraft()
	if draft == nil {
		return v.wizard(stepHolder)
	}
	step := stepHolder
	switch {
	case draft.Get("reason") != "" && draft.Get("principal") != "":
		step = stepSignatures
	case draft.Get("principal") != "":
		step = stepForm
	case draft.Get("holder") != "":
		step = stepPrincipal
	}
	v.r.PostForm = draft
	w, err := v.wizard(step)
	if err != nil { // no form of ours: from the beginning
		v.r.PostForm = nil
		return v.wizard(stepHolder)
	}
	v.said(false, "proxies.resumed")
	return w, nil
}

// wizard reads what the earlier steps have said, which the form carries.
func (v *visit) wizard(step int) (*wizard, error) {
	w := &wizard{Step: step, Card: v.cardView()}
	if err := v.shares(w); err != nil {
		return nil, err
	}
	var err error
	if day, err := time.Parse(time.DateOnly, string(v.bureau.ElectionDay())); err == nil {
		w.LastDay = day.AddDate(0, 0, -1).Format("02.01.2006")
	}
	if step > stepHolder {
		if w.Holder, err = v.carried("holder"); err != nil {
			return nil, err
		}
		means, ok, err := v.typed("means", 8)
		if err != nil || !ok || means < uint64(ledger.ByCard) || means > uint64(ledger.ByName) {
			return nil, errField("means")
		}
		w.Means = ledger.Means(means)
		w.ChipNotProven = v.chipNotProven(w.Means)
	}
	if step > stepPrincipal {
		if w.Principal, err = v.carried("principal"); err != nil {
			return nil, err
		}
	}
	if step > stepForm {
		if err := v.formOf(&w.Paper); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// shares are this bureau's and the commune's proxies among their check-ins, as they stand now.
func (v *visit) shares(w *wizard) error {
	f, err := v.bureau.Flow(v.r.Context())
	if err != nil {
		return err
	}
	w.Whole = proxies.Share{}
	for _, b := range f.Bureaux {
		w.Whole.Proxies, w.Whole.CheckIns = w.Whole.Proxies+b.Proxies, w.Whole.CheckIns+b.CheckIns
		if b.Here {
			w.Here = shareOf(b.Proxies, b.CheckIns)
		}
	}
	return nil
}

// carried is an elector whom an earlier step has found.
func (v *visit) carried(name string) (*Elector, error) {
	n, ok, err := v.typed(name, 31)
	if err != nil || !ok {
		return nil, errField(name)
	}
	e, ok := v.bureau.Elector(int(n))
	if !ok {
		return nil, errField(name)
	}
	return &e, nil
}

// formOf reads number, reason and evidence.
func (v *visit) formOf(p *proxies.Paper) error {
	form, err := v.field("form", maxNumberField)
	if err != nil {
		return err
	}
	reason, _, err := v.typed("reason", 8)
	if err != nil {
		return err
	}
	evidence, _, err := v.typed("evidence", 8)
	if err != nil {
		return err
	}
	p.Form, p.Reason, p.Evidence = form, proxies.Reason(reason), proxies.Evidence(evidence)
	return nil
}

func proxyHolder(v *visit) (reply, error) {
	w, err := v.wizard(stepHolder)
	if err != nil {
		return reply{}, err
	}
	e, means, wrong, err := v.named()
	if err != nil {
		return reply{}, err
	}
	if w.Wrong = wrong; wrong == nil {
		w.Step, w.Holder, w.Means = stepPrincipal, &e, means
		w.ChipNotProven = v.chipNotProven(means)
	}
	return reply{data: w}, nil
}

func proxyPrincipal(v *visit) (reply, error) {
	w, err := v.wizard(stepPrincipal)
	if err != nil {
		return reply{}, err
	}
	text, err := v.field("number", maxTextField)
	if err != nil {
		return reply{}, err
	}
	e, _, wrong, err := v.byNumber(text)
	if err != nil {
		return reply{}, err
	}
	switch {
	case wrong != nil:
		w.Wrong = wrong
	case e.Number == w.Holder.Number:
		w.Wrong = v.wrong(ruleKey(proxies.TwoPersons))
	default:
		w.Step, w.Principal = stepForm, &e
	}
	return reply{data: w}, nil
}

// wrong asks to look again at what was typed.
func (v *visit) wrong(key string) *answer {
	return &answer{Class: "look", Sign: "?", Title: v.lang.say(key)}
}

// proxyForm goes on whatever the form says: what it breaks is refused, and recorded, at the end.
func proxyForm(v *visit) (reply, error) {
	w, err := v.wizard(stepForm)
	if err != nil {
		return reply{}, err
	}
	if err := v.formOf(&w.Paper); err != nil {
		return reply{}, err
	}
	if w.Paper.Form == "" || w.Paper.Reason == 0 {
		w.Wrong = v.wrong("proxies.incomplete")
		return reply{data: w}, nil
	}
	w.Step = stepSignatures
	return reply{data: w}, nil
}

func proxyAdmit(v *visit) (reply, error) {
	w, err := v.wizard(stepSignatures)
	if err != nil {
		return reply{}, err
	}
	for name, to := range map[string]*bool{
		"principal-signed": &w.Paper.PrincipalSigned, "holder-signed": &w.Paper.HolderSigned,
		"principal-number": &w.Paper.PrincipalNumber, "holder-number": &w.Paper.HolderNumber,
	} {
		text, err := v.field(name, maxChoice)
		if err != nil {
			return reply{}, err
		}
		*to = text != ""
	}
	day, err := v.field("mayor-on", maxChoice)
	if err != nil {
		return reply{}, err
	}
	if day != "" {
		if w.Paper.MayorOn, err = dateOf(day); err != nil {
			w.Wrong = v.wrong("proxies.date")
			return reply{data: w}, nil
		}
	}
	a, err := v.bureau.AdmitByProxy(v.r.Context(), Proxy{Holder: w.Holder.Number, Principal: w.Principal.Number, Means: w.Means, Attester: v.who.Code, ChipNotProven: w.ChipNotProven, Paper: w.Paper})
	if err != nil {
		return reply{}, err
	}
	w.Step, w.Rules = stepAnswer, a.Rules
	if len(a.Rules) == 0 {
		w.Answer = v.byProxy(w, a.Answer)
	}
	if err := v.shares(w); err != nil { // the answer is told all the same
		v.log.Error("the shares of proxies could not be read", "err", err)
	}
	return reply{data: w}, nil
}

// byProxy says what the bureau decided: about the principal, or about the holder's right to carry one proxy.
func (v *visit) byProxy(w *wizard, got Answer) *answer {
	if got.Refusal == ledger.NotRefused {
		return &answer{Class: "admit", Sign: "✔", Title: v.lang.say("proxies.done"), Do: v.lang.say("proxies.done-next"), Elector: w.Principal, Row: rowKey(got.Record)}
	}
	about, of := w.Principal, "proxies.of-principal"
	if got.Of == ledger.Carry {
		about, of = w.Holder, "proxies.of-holder"
	}
	a := v.refusal(*about, got.Refusal, got.At)
	a.Lines = append([]string{v.lang.say(of)}, v.earlier(got)...)
	return a
}

var errDate = errors.New("no date")

// firstYear tells a year in full from one of two digits.
const firstYear = 2000

// dateOf reads a day as browsers send it (2024-10-12) or as people write it here (12/10/2024, 12.10.2024).
func dateOf(text string) (proxies.Date, error) {
	if d, err := proxies.ParseDate(text); err == nil {
		return d, nil
	}
	parts := strings.FieldsFunc(text, func(c rune) bool { return c == '/' || c == '.' || c == '-' || c == ' ' })
	if len(parts) != 3 {
		return "", errDate
	}
	slices.Reverse(parts)
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil {
			return "", errDate
		}
	}
	if n[0] < firstYear {
		return "", errDate
	}
	return proxies.ParseDate(fmt.Sprintf("%04d-%02d-%02d", n[0], n[1], n[2]))
}
