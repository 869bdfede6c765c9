// Package proxies holds the rules for the paper of a proxy (decree art. 10): what the table looks at before
// anybody's right is used.
//
// The reasons and what proves them are those of the Brussels electoral code's article on proxies; their
// numbers are ours, for ever. On 19 November 2024 the election of Saint-Josse-ten-Noode was annulled over 359 proxies
// that these rules refuse.
package proxies

import (
	"fmt"
	"slices"
	"time"

	"pointage/ledger"
)

// Reason is why the principal does not come; its number stands in the statement.
type Reason uint8

// The reasons.
const (
	Illness    Reason = 1 // of the elector, a relative or somebody of the household
	WorkAbroad Reason = 2 // professional or service reasons, and the household that is along
	WorkHere   Reason = 3 // professional or service reasons within the Kingdom
	Itinerant  Reason = 4 // boatman, itinerant trader, showman, and their household
	Detained   Reason = 5 // deprived of liberty by a judicial measure
	Religion   Reason = 6
	Studies    Reason = 7
	StayAbroad Reason = 8 // a temporary stay abroad for other reasons
)

// Evidence is what was attached to the form; its number stands in the statement.
type Evidence uint8

// The kinds of evidence.
const (
	Medical     Evidence = 1 // certificate of a physician
	Employer    Evidence = 2 // certificate of the employer or the authority
	Honour      Evidence = 3 // declaration on honour of a self-employed person, made at the commune
	Mayor       Evidence = 4 // certificate of the mayor or the mayor's delegate
	Institution Evidence = 5 // of the management of the place of detention
	Clergy      Evidence = 6 // of the religious authorities
	School      Evidence = 7 // of the management of the school
)

// fits lists what proves each reason.
var fits = map[Reason][]Evidence{
	Illness: {Medical}, WorkAbroad: {Employer, Honour}, WorkHere: {Employer, Honour}, Itinerant: {Mayor},
	Detained: {Institution}, Religion: {Clergy}, Studies: {School}, StayAbroad: {Mayor},
}

// Reasons are all of them, in their order.
func Reasons() []Reason {
	return []Reason{Illness, WorkAbroad, WorkHere, Itinerant, Detained, Religion, Studies, StayAbroad}
}

// Fits lists the kinds of evidence that prove a reason; none for an unknown one.
func (r Reason) Fits() []Evidence { return slices.Clone(fits[r]) }

// Date is a day of the calendar, year-month-day in digits; dates in order are strings in order.
type Date string

// ParseDate reads a day as 2024-10-12.
func ParseDate(text string) (Date, error) {
	if len(text) > len(time.DateOnly) {
		return "", fmt.Errorf("a date has the form 2024-10-12")
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return "", fmt.Errorf("%q is no date of the form 2024-10-12", text)
	}
	return Date(text), nil
}

// Paper is what somebody at the table has seen on the form and what is attached to it.
type Paper struct {
	// Form is the number on the form.
	Form     string
	Reason   Reason
	Evidence Evidence // 0: nothing is attached
	// PrincipalSigned and HolderSigned: the signature stands on the form.
	PrincipalSigned, HolderSigned bool
	// PrincipalNumber and HolderNumber: the national number stands on the form.
	PrincipalNumber, HolderNumber bool
	// MayorOn is the date beside the mayor's or the delegate's signature, empty without one.
	MayorOn Date
	// SamePerson: holder and principal are one elector.
	SamePerson bool
}

// Rule is what a paper breaks; its numbers are for ever, screens translate them.
type Rule uint8

// The rules.
const (
	FormNumber       Rule = 1  // the form's number is missing, or is not 1 to 32 characters without accents
	KnownReason      Rule = 2  // no reason, or none that the law knows
	EvidenceAttached Rule = 3  // nothing proves the reason
	EvidenceFits     Rule = 4  // what is attached does not prove this reason
	PrincipalSigns   Rule = 5  // the principal has not signed
	HolderSigns      Rule = 6  // the holder has not signed
	PrincipalNamed   Rule = 7  // the principal's national number is missing on the form
	HolderNamed      Rule = 8  // the holder's national number is missing on the form
	MayorSigns       Rule = 9  // the mayor's certificate bears no date and signature
	MayorInTime      Rule = 10 // the mayor signed later than the day before election day
	TwoPersons       Rule = 11 // holder and principal are one elector
)

var rules = [...]string{
	FormNumber: "the form's number is missing or not readable", KnownReason: "the reason is missing or unknown",
	EvidenceAttached: "no evidence is attached", EvidenceFits: "the evidence does not prove this reason",
	PrincipalSigns: "the principal has not signed", HolderSigns: "the holder has not signed",
	PrincipalNamed: "the principal's national number is missing on the form", HolderNamed: "the holder's national number is missing on the form",
	MayorSigns: "the mayor's certificate is not signed and dated", MayorInTime: "the mayor signed later than the day before the election",
	TwoPersons: "holder and principal are one elector",
}

// Rules are all of them, in their order.
func Rules() (out []Rule) {
	for r := FormNumber; int(r) < len(rules); r++ {
		out = append(out, r)
	}
	return out
}

// Known says that the number is a rule's.
func (r Rule) Known() bool { return r >= FormNumber && int(r) < len(rules) }

// String says what is wrong.
func (r Rule) String() string {
	if !r.Known() {
		return fmt.Sprintf("rule %d", uint8(r))
	}
	return rules[r]
}

// Check lists the rules that a paper breaks on the day of the election, in their order; none when the
// holder may go on to the register.
func Check(p Paper, electionDay Date) (broken []Rule) {
	add := func(bad bool, r Rule) {
		if bad {
			broken = append(broken, r)
		}
	}
	known := fits[p.Reason] != nil
	add(!readable(p.Form), FormNumber)
	add(!known, KnownReason)
	add(p.Evidence == 0, EvidenceAttached)
	add(known && p.Evidence != 0 && !slices.Contains(fits[p.Reason], p.Evidence), EvidenceFits)
	add(!p.PrincipalSigned, PrincipalSigns)
	add(!p.HolderSigned, HolderSigns)
	add(!p.PrincipalNumber, PrincipalNamed)
	add(!p.HolderNumber, HolderNamed)
	add(p.Evidence == Mayor && p.MayorOn == "", MayorSigns)
	add(p.MayorOn != "" && p.MayorOn >= electionDay, MayorInTime)
	add(p.SamePerson, TwoPersons)
	return broken
}

// readable is the form's number as a statement holds it (SPEC 2, kind 7).
func readable(form string) bool {
	if len(form) == 0 || len(form) > ledger.MaxFormNumber {
		return false
	}
	for _, c := range []byte(form) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

const (
	// UsualPerMille is the share of proxies among the votes of the Region's other communes on 13
	// October 2024, in thousandths; in Saint-Josse-ten-Noode, annulled, it was 63.7.
	UsualPerMille = 15
	// AlertPerMille is the share from which people are told: twice the usual one.
	AlertPerMille = 2 * UsualPerMille
	// AlertFrom is how many proxies there must be: one of the first ten check-ins says nothing.
	AlertFrom = 5
)

// Share is how many of a bureau's or a commune's check-ins were made by proxy.
type Share struct {
	// Proxies are those of CheckIns that a holder made for a principal.
	Proxies  int `json:"proxies"`
	CheckIns int `json:"check_ins"`
}

// PerMille is the share in thousandths, 0 without check-ins.
func (s Share) PerMille() int {
	if s.CheckIns == 0 {
		return 0
	}
	return s.Proxies * 1000 / s.CheckIns
}

// Alert says that the share is one to look into.
func (s Share) Alert() bool { return s.Proxies >= AlertFrom && s.PerMille() >= AlertPerMille }
