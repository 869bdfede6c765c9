package reconciliation

import (
	"bytes"
	"cmp"
	"slices"

	"pointage/ledger"
)

// Report makes the report. More may be added afterwards, for another.
func (u *Union) Report() *Report {
	x := u.newGraph()
	x.link()
	x.orphans()
	x.split()
	x.judge()
	r := x.report
	r.Batches = len(x.order)
	for _, n := range x.order {
		if n.placed {
			r.Placed++
		}
	}
	x.doubles()
	for m := range x.missing {
		if m.Signed || !x.missing[Missing{m.Span, true}] {
			r.Missing = append(r.Missing, m)
		}
	}
	changed := x.amendments()
	r.Orphans = x.spans(func(n *node) bool { return n.orphan })
	r.Gaps = x.spans(func(n *node) bool { return hasClass(n, ledger.Gap) })
	r.Omissions = x.spans(func(n *node) bool { return x.entries && !n.placed })
	r.Retired = x.spans(func(n *node) bool {
		return hasClass(n, ledger.AfterRetirement) || !n.placed && changed[amended{machine(n), ledger.Retire}]
	})
	x.provisionals()
	x.activations(changed)
	r.sort()
	return r
}

func machine(n *node) ledger.Member {
	a := n.header().Author
	return ledger.Member{Bureau: a.Bureau, Incarnation: a.Incarnation}
}

func hasClass(n *node, c ledger.Class) bool {
	return slices.ContainsFunc(n.verdicts, func(v ledger.Verdict) bool { return v.Class == c })
}

// doubles lists the rights with more than one admission that was not taken back.
func (x *graph) doubles() {
	for right, all := range x.admissions {
		d := Double{Right: right}
		for _, a := range all {
			if !a.back {
				d.Records = append(d.Records, a.node.record(a.index, a.body.Kind()))
			}
		}
		if len(d.Records) > 0 && right.Kind == ledger.Admit {
			x.report.Admitted++
		}
		if len(d.Records) > 1 {
			slices.SortFunc(d.Records, compareRecords)
			x.report.Double = append(x.report.Double, d)
		}
	}
}

// spans joins the neighbouring batches of each author that something holds of.
func (x *graph) spans(of func(*node) bool) (out []Span) {
	for _, n := range x.order {
		if !of(n) {
			continue
		}
		h := n.header()
		if i := len(out) - 1; i >= 0 && out[i].Author == h.Author && h.First <= out[i].To {
			out[i].To = max(out[i].To, h.Next())
		} else {
			out = append(out, Span{h.Author, h.First, h.Next()})
		}
	}
	return out
}

type amended struct {
	machine ledger.Member
	act     ledger.Act
}

// amendments are those that took effect in the ledger; it also lists what proves equivocation.
func (x *graph) amendments() map[amended]bool {
	out := map[amended]bool{}
	for _, n := range x.order {
		for _, e := range n.events {
			clean := e.index < len(n.verdicts) && n.verdicts[e.index].Validity == ledger.Valid && n.verdicts[e.index].Class != ledger.OutOfTurn
			switch b := e.body.(type) {
			case *ledger.Amendment:
				if clean {
					out[amended{ledger.Member{Bureau: b.Bureau, Incarnation: b.Incarnation}, b.Act}] = true
				}
			case *ledger.Equivocation:
				if x.equivocal(b) {
					x.report.Equivocations = append(x.report.Equivocations, n.record(e.index, b.Kind()))
				}
			}
		}
	}
	return out
}

func (x *graph) equivocal(e *ledger.Equivocation) bool {
	a, err := ledger.DecodeWord(e.First)
	if err != nil {
		return false
	}
	b, err := ledger.DecodeWord(e.Second)
	if err != nil {
		return false
	}
	_, ok := x.g.Contradiction(a, b)
	return ok
}

// complete are the bureaux all of whose chains are there to their ends: each machine that spoke,
// and the first in any case, has closed, was imported or was taken over, and nothing is missing.
func (x *graph) complete() map[ledger.BureauNumber]bool {
	spoke, ended := map[ledger.Member]bool{}, map[ledger.Member]bool{}
	for n := range x.g.Bureaux {
		spoke[ledger.Member{Bureau: n}] = true
	}
	for _, n := range x.order {
		m := machine(n)
		spoke[m] = true
		for _, e := range n.events {
			switch b := e.body.(type) {
			case *ledger.Imported:
				if m.Bureau == x.g.Principal || m.Bureau == x.g.Deputy {
					ended[ledger.Member{Bureau: b.Bureau, Incarnation: b.Incarnation}] = true
				}
			case *ledger.BureauClosed:
				ended[m] = true
			case *ledger.Settled:
				if b.Incarnation < m.Incarnation {
					ended[ledger.Member{Bureau: m.Bureau, Incarnation: b.Incarnation}] = true
				}
			}
		}
	}
	out := map[ledger.BureauNumber]bool{}
	for n := range x.g.Bureaux {
		out[n] = true
	}
	for m := range spoke {
		out[m.Bureau] = out[m.Bureau] && ended[m]
	}
	for m := range x.missing {
		out[m.Author.Bureau] = false
	}
	return out
}

// provisionals says what became of each.
func (x *graph) provisionals() {
	complete, released := x.complete(), map[ledger.Right][]ledger.BureauNumber{}
	for _, n := range x.order {
		for _, e := range n.events {
			if m, ok := e.body.(*ledger.Release); ok {
				released[m.Right] = append(released[m.Right], m.To)
			}
		}
	}
	for right, all := range x.admissions {
		live := 0
		for _, a := range all {
			if !a.back {
				live++
			}
		}
		// Who can have admitted this elector: the home bureau, and those that it released to.
		home, whole := x.g.Home(right.Elector)
		for _, b := range append(released[right], home) {
			whole = whole && complete[b]
		}
		for _, a := range all {
			if a.body.Kind() != ledger.KindProvisional {
				continue
			}
			p := Provisional{a.node.record(a.index, ledger.KindProvisional), Open}
			switch {
			case a.back:
				p.Outcome = Withdrawn
			case live > 1:
				p.Outcome = DoubleAdmitted
			case whole:
				p.Outcome = Confirmed
			}
			x.report.Provisionals = append(x.report.Provisionals, p)
		}
	}
}

// activations lists the next incarnations that spoke.
func (x *graph) activations(changed map[amended]bool) {
	seen := map[ledger.Member]int{}
	for _, n := range x.order {
		m := machine(n)
		if m.Incarnation == 0 {
			continue
		}
		i, ok := seen[m]
		if !ok {
			i, seen[m] = len(x.report.Activations), len(x.report.Activations)
			x.report.Activations = append(x.report.Activations, Activation{Bureau: m.Bureau, Incarnation: m.Incarnation, Enrolled: changed[amended{m, ledger.Enrol}]})
		}
		if n.way != nil && n.way.taken == 1<<m.Incarnation-1 {
			x.report.Activations[i].Settled = true
		}
	}
}

func compareRecords(a, b Record) int {
	return cmp.Or(compareAuthors(a.Author, b.Author), cmp.Compare(a.Sequence, b.Sequence), bytes.Compare(a.Batch[:], b.Batch[:]))
}

func compareSpans(a, b Span) int {
	return cmp.Or(compareAuthors(a.Author, b.Author), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}

// sort gives the lists that maps were read for their order.
func (r *Report) sort() {
	slices.SortFunc(r.Double, func(a, b Double) int {
		return cmp.Or(bytes.Compare(a.Right.Elector[:], b.Right.Elector[:]), cmp.Compare(a.Right.Kind, b.Right.Kind))
	})
	slices.SortFunc(r.Forks, func(a, b Fork) int {
		x, y := a.First.Header.Identity(), b.First.Header.Identity()
		u, v := a.Second.Header.Identity(), b.Second.Header.Identity()
		return cmp.Or(compareAuthors(a.First.Header.Author, b.First.Header.Author), cmp.Compare(a.First.Header.First, b.First.Header.First), bytes.Compare(x[:], y[:]), bytes.Compare(u[:], v[:]))
	})
	slices.SortFunc(r.Misconduct, func(a, b Misconduct) int { return compareRecords(a.Record, b.Record) })
	slices.SortFunc(r.Missing, func(a, b Missing) int { return compareSpans(a.Span, b.Span) })
	slices.SortFunc(r.Provisionals, func(a, b Provisional) int { return compareRecords(a.Record, b.Record) })
}
