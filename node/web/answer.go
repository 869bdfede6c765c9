package web

import (
	"fmt"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/pollbook"
)

// look asks to look again: nothing was decided about anybody.
func (v *visit) look(what, do string) *answer {
	return &answer{Class: "look", Sign: "?", Title: v.lang.say(what), Do: v.lang.say(do)}
}

func (v *visit) notOnTheList() *answer {
	return &answer{
		Class: "refuse", Sign: "✖", Title: v.lang.say(refusalKey(ledger.NotOnTheRoll, "what")), Do: v.lang.say(refusalKey(ledger.NotOnTheRoll, "do")),
	}
}

// answer says what the bureau decided.
func (v *visit) answer(e Elector, d Desk, got Answer) *answer {
	if got.Refusal == ledger.NotRefused {
		a := &answer{Class: "admit", Sign: "✔", Title: v.lang.say("check-in.admit"), Do: v.lang.say("check-in.admit-do"), Elector: &e, Row: rowKey(got.Record)}
		if e.Home != v.bureau.Facts().Bureau {
			a.Lines = append(a.Lines, v.lang.say("check-in.away", e.Home))
		}
		if d.Provisional != 0 {
			a.Lines = append(a.Lines, v.lang.say("check-in.provisional"))
		}
		if !got.Replicated && v.bureau.State().Link != pollbook.Linked {
			a.Lines = append(a.Lines, v.lang.say("check-in.alone"))
		}
		return a
	}
	a := v.refusal(e, got.Refusal, got.At)
	f := v.bureau.Facts()
	switch got.Refusal {
	case ledger.AlreadyAdmitted, ledger.ConflictFound:
		a.Lines = append(a.Lines, v.earlier(got)...)
		a.Contest = true
		if got.At == f.Bureau && got.Record != (ledger.StatementID{}) {
			a.Row = rowKey(got.Record)
		}
	case ledger.HomeUnreachable, ledger.ReleasedElsewhere, ledger.UnfencedOnly:
		a.Provisional = v.who.President && f.Policy == election.ProvisionalAdmit
		a.Means, a.ChipNotProven = d.Means, d.ChipNotProven
	}
	return a
}

// refusal is a refusal's words, sign and colour; at is the bureau that it points to.
func (v *visit) refusal(e Elector, r ledger.Refusal, at ledger.BureauNumber) *answer {
	a := &answer{Class: "refuse", Sign: "✖", Elector: &e, At: at}
	switch r {
	case ledger.OtherBureau, ledger.ReleasedElsewhere, ledger.HomeUnreachable:
		a.Class, a.Sign = "elsewhere", "➜"
	case ledger.Withdrawn: // by this very table
		a.Class, a.Sign = "elsewhere", "↩"
	case ledger.BureauNotOpen, ledger.InProgress, ledger.UnfencedOnly:
		a.Class, a.Sign = "wait", "…"
	}
	if at == 0 {
		at = e.Home
	}
	a.Title = v.lang.say(refusalKey(r, "what"), at)
	a.Do = v.lang.say(refusalKey(r, "do"), at, v.bureau.Place(at))
	return a
}

// earlier says who was admitted where, when, by whom and under which entry, as far as it is known here.
func (v *visit) earlier(got Answer) (out []string) {
	u := got.Earlier
	place := v.bureau.Place(got.At)
	switch {
	case got.At != 0 && !u.When.IsZero() && got.At == v.bureau.Facts().Bureau:
		out = append(out, v.lang.say("earlier.here", clockText(u.When)))
	case got.At != 0 && !u.When.IsZero():
		out = append(out, v.lang.say("earlier.there", got.At, place, minuteText(u.When)))
	case got.At != 0:
		out = append(out, v.lang.say("earlier.place", got.At, place))
	}
	if u.Attester != 0 {
		out = append(out, v.lang.say("earlier.by", v.personText(u.Attester), v.lang.say(meansKey(u.Means))))
	}
	if u.Entry != "" {
		out = append(out, v.lang.say("earlier.entry", v.lang.entryText(u.Entry)))
	}
	return out
}

// personText is a member by name and number.
func (v *visit) personText(code uint16) string {
	if name := v.nameOf(code); name != "" {
		return fmt.Sprintf("%s (%d)", name, code)
	}
	return v.lang.say("person.code", code)
}

func linkKeys() []string {
	return []string{linkKey(pollbook.Linked), linkKey(pollbook.Alone), linkKey(pollbook.CatchingUp)}
}

func linkKey(l pollbook.Link) string { return fmt.Sprintf("link.%d", l) }
