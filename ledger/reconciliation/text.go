package reconciliation

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"pointage/ledger"
)

// Say writes the findings for people, a line each and at most so many of a kind; nothing when there
// are none. An error of the writer's is the writer's to keep.
func (r *Report) Say(w io.Writer, most int) {
	out := &lines{w, most}
	out.listed(len(r.Double), "double admissions", func(i int) {
		fmt.Fprintf(w, "double      one %v right, %d admissions:", r.Double[i].Right.Kind, len(r.Double[i].Records))
		for _, a := range slices.SortedStableFunc(slices.Values(r.Double[i].Records), func(a, b Record) int { return cmp.Compare(a.Entry, b.Entry) }) {
			where := "not in the ledger"
			if a.InLedger {
				where = ledger.EntryName(a.Entry)
			}
			fmt.Fprintf(w, " %s (bureau %d, session %x, statement %d)", where, a.Author.Bureau, a.Author.Session[:4], a.Sequence)
		}
		fmt.Fprintln(w)
	})
	out.listed(len(r.Forks), "forks", func(i int) {
		f := r.Forks[i]
		proof := "shown by the chains"
		if f.Proved {
			proof = "proved by two signatures"
		}
		a, b := f.First.Header, f.Second.Header
		fmt.Fprintf(w, "fork        %v statement %d (batch %x) and %v statement %d (batch %x): %s\n", a.Author, a.First, short(a), b.Author, b.First, short(b), proof)
	})
	out.spans("orphan      %v statements %d to %d: recorded, hand-over to be confirmed\n", "orphaned tails", r.Orphans)
	out.listed(len(r.Misconduct), "statements that a chain does not allow", func(i int) {
		m := r.Misconduct[i]
		fmt.Fprintf(w, "misconduct  %v statement %d, %v: %v (its right stood at %q)\n", m.Record.Author, m.Record.Sequence, m.Record.Kind, m.Validity, m.State)
	})
	out.listed(len(r.Missing), "missing stretches", func(i int) {
		m, how := r.Missing[i], "something goes on from it"
		if m.Signed {
			how = "others show its signature"
		}
		fmt.Fprintf(w, "missing     %v statements %d to %d: %s\n", m.Author, m.From, m.To-1, how)
	})
	out.spans("omission    %v statements %d to %d are not in the ledger\n", "omissions", r.Omissions)
	out.spans("gap         %v statements %d to %d were placed although some before are missing\n", "gaps", r.Gaps)
	out.spans("retired     %v statements %d to %d came after the retirement of its key\n", "stretches after a retirement", r.Retired)
	out.listed(len(r.Provisionals), "provisional admissions", func(i int) {
		p := r.Provisionals[i]
		fmt.Fprintf(w, "provisional %v statement %d: %v\n", p.Record.Author, p.Record.Sequence, p.Outcome)
	})
	out.listed(len(r.Activations), "next incarnations", func(i int) {
		a := r.Activations[i]
		by := "the code of its envelope"
		if a.Enrolled {
			by = "an amendment"
		}
		fmt.Fprintf(w, "incarnation %d of bureau %d was activated by %s; it took over the ones before: %s\n", a.Incarnation, a.Bureau, by, yesNo(a.Settled))
	})
	out.listed(len(r.Equivocations), "equivocations", func(i int) {
		fmt.Fprintf(w, "equivocates %v statement %d shows two words of one member that contradict\n", r.Equivocations[i].Author, r.Equivocations[i].Sequence)
	})
}

// lines are what is said, at most so many of a kind.
type lines struct {
	w    io.Writer
	most int
}

func (l *lines) spans(format, what string, all []Span) {
	l.listed(len(all), what, func(i int) { fmt.Fprintf(l.w, format, all[i].Author, all[i].From, all[i].To-1) })
}

func (l *lines) listed(n int, what string, say func(i int)) {
	for i := range min(n, l.most) {
		say(i)
	}
	if n > l.most {
		fmt.Fprintf(l.w, "            and %d more %s: --json lists all\n", n-l.most, what)
	}
}

func short(h ledger.Header) []byte {
	id := h.Identity()
	return id[:4]
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
