package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/reconciliation"
)

// maxListed is how many conflicts, evidence entries and double admissions the text lists of
// each; JSON lists all.
const maxListed = 100

// result is a verification with all that is said of it.
type result struct {
	// export is nil when there is no manifest at all, its group nil when nothing could be judged.
	export *election.Export
	// report is what was seen up to the first offence, nil when it came before the entries.
	report *ledger.Report
	// chains is what the authors' chains show, nil unless the export holds.
	chains   *reconciliation.Report
	err      error
	compared bool
	took     time.Duration
}

func (r *result) writeText(w io.Writer) error {
	out := bufio.NewWriter(w)
	if r.export != nil {
		r.sayManifest(out)
	}
	if r.report != nil && r.err == nil {
		r.sayReport(out)
	}
	fmt.Fprintln(out, r.verdict())
	return out.Flush()
}

// verdict is the last line.
func (r *result) verdict() string {
	if r.err != nil {
		return r.err.Error()
	}
	v := fmt.Sprintf("holds: %d entries of %s", r.report.Entries, r.report.Origin)
	if n := len(r.report.Double); n > 0 {
		v += fmt.Sprintf("; %d double admission(s), all records above", n)
	}
	if n := len(r.report.Earlier); n > 0 {
		v += fmt.Sprintf("; after %d earlier epoch(s)", n)
	}
	if n := len(r.report.Evidence); n > 0 {
		v += fmt.Sprintf("; %d batch(es) stand as evidence against their bureau", n)
	}
	if !r.compared {
		v += "; manifest not compared"
	}
	return v
}

func (r *result) sayManifest(out io.Writer) {
	how := "compared with --manifest-hash"
	if !r.compared {
		how = "not compared: check it, or give it as --manifest-hash"
	}
	fmt.Fprintf(out, "manifest    SHA-256 %v (%s)\n", r.export.Hash, how)
	if m := r.export.Manifest; m != nil && r.export.Group != nil {
		kind := "live"
		if m.Kind == election.Rehearsal {
			kind = "rehearsal"
		}
		fmt.Fprintf(out, "election    %s (%s), commune %d of %d in the manifest: %d bureaux, %d electors on the roll\n",
			m.Election, kind, r.export.Group.Commune, len(m.Communes), len(r.export.Group.Bureaux), r.export.Group.Roll.Len())
	}
}

func (r *result) sayReport(out io.Writer) {
	p := r.report
	for _, e := range p.Earlier {
		sayEpoch(out, e)
	}
	sayEpoch(out, p.EpochReport)
	fmt.Fprintf(out, "signatures  %d checked in %v\n", p.Signatures, r.took.Round(time.Millisecond))
	fmt.Fprintf(out, "statements  %d of %d bureaux:", total(p.Statements), p.Bureaux)
	for i, k := range slices.Sorted(maps.Keys(p.Statements)) {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, " %d %v", p.Statements[k], k)
	}
	fmt.Fprintf(out, "\nadmitted    %d electors\n", p.Admitted)
	for _, n := range slices.Sorted(maps.Keys(p.Places)) {
		fmt.Fprintf(out, "place       bureau %d is at %q by an amendment\n", n, p.Places[n])
	}
	listed(out, len(p.Conflicts), "conflicts", func(i int) {
		c := p.Conflicts[i]
		fmt.Fprintf(out, "conflict    %s statement %d, %v of %v: %s\n", ledger.EntryName(c.Position), c.Index, c.Kind, c.Author, c.Verdict)
	})
	listed(out, len(p.Evidence), "evidence entries", func(i int) {
		fmt.Fprintf(out, "evidence    %s holds a batch that can't stand beside an earlier one of its author\n", ledger.EntryName(p.Evidence[i]))
	})
	listed(out, len(p.Double), "double admissions", func(i int) {
		fmt.Fprintf(out, "double      one %v right, %d admissions:", p.Double[i].Kind, len(p.Double[i].Records))
		for _, a := range p.Double[i].Records {
			fmt.Fprintf(out, " %s (bureau %d, session %x, statement %d)", ledger.EntryName(a.Position), a.Bureau, a.ID.Session[:4], a.ID.Sequence)
		}
		fmt.Fprintln(out)
	})
	sayChains(out, r.chains)
}

func sayEpoch(out io.Writer, e ledger.EpochReport) {
	fmt.Fprintf(out, "entries     %d of %s, each replayed: form, signature, both chains, outcome by the rules; head %v\n", e.Entries, e.Origin, e.Head)
	fmt.Fprintf(out, "tree        root %v, as in the checkpoint; every tile as the entries give it\n", e.Root)
	fmt.Fprintf(out, "checkpoint  cosigned by %d bureaux; a majority of the voting bureaux: %s\n", e.Cosigners, yesNo(e.Certificate))
	if e.Anchored > e.Entries {
		fmt.Fprintf(out, "anchors     %d cosigned by a witness; the newest covers %d entries, of which this epoch lost %d\n", e.Anchors, e.Anchored, e.Anchored-e.Entries)
		return
	}
	fmt.Fprintf(out, "anchors     %d cosigned by a witness; the newest covers %d of %d entries\n", e.Anchors, e.Anchored, e.Entries)
}

// sayChains is what the authors' chains show beyond the ledger's own verdicts.
func sayChains(out io.Writer, c *reconciliation.Report) {
	listed(out, len(c.Forks), "forks", func(i int) {
		f := c.Forks[i]
		proof := "shown by the chains"
		if f.Proved {
			proof = "proved by two signatures"
		}
		a, b := f.First.Header, f.Second.Header
		fmt.Fprintf(out, "fork        %v statement %d (batch %x) and %v statement %d (batch %x): %s\n", a.Author, a.First, short(a), b.Author, b.First, short(b), proof)
	})
	spans(out, "orphan      %v statements %d to %d: recorded, hand-over to be confirmed\n", "orphaned tails", c.Orphans)
	listed(out, len(c.Misconduct), "statements that a chain does not allow", func(i int) {
		m := c.Misconduct[i]
		fmt.Fprintf(out, "misconduct  %v statement %d, %v: %v (its right stood at %q)\n", m.Record.Author, m.Record.Sequence, m.Record.Kind, m.Validity, m.State)
	})
	listed(out, len(c.Missing), "missing stretches", func(i int) {
		m, how := c.Missing[i], "something goes on from it"
		if m.Signed {
			how = "others show its signature"
		}
		fmt.Fprintf(out, "missing     %v statements %d to %d: %s\n", m.Author, m.From, m.To-1, how)
	})
	spans(out, "gap         %v statements %d to %d were placed although some before are missing\n", "gaps", c.Gaps)
	spans(out, "retired     %v statements %d to %d came after the retirement of its key\n", "stretches after a retirement", c.Retired)
	listed(out, len(c.Provisionals), "provisional admissions", func(i int) {
		p := c.Provisionals[i]
		fmt.Fprintf(out, "provisional %v statement %d: %v\n", p.Record.Author, p.Record.Sequence, p.Outcome)
	})
	listed(out, len(c.Activations), "next incarnations", func(i int) {
		a := c.Activations[i]
		by := "the code of its envelope"
		if a.Enrolled {
			by = "an amendment"
		}
		fmt.Fprintf(out, "incarnation %d of bureau %d was activated by %s; it took over the ones before: %s\n", a.Incarnation, a.Bureau, by, yesNo(a.Settled))
	})
	listed(out, len(c.Equivocations), "equivocations", func(i int) {
		fmt.Fprintf(out, "equivocates %v statement %d shows two words of one member that contradict\n", c.Equivocations[i].Author, c.Equivocations[i].Sequence)
	})
}

func spans(out io.Writer, format, what string, all []reconciliation.Span) {
	listed(out, len(all), what, func(i int) { fmt.Fprintf(out, format, all[i].Author, all[i].From, all[i].To-1) })
}

func short(h ledger.Header) []byte {
	id := h.Identity()
	return id[:4]
}

func listed(out io.Writer, n int, what string, say func(i int)) {
	for i := range min(n, maxListed) {
		say(i)
	}
	if n > maxListed {
		fmt.Fprintf(out, "            and %d more %s: --json lists all\n", n-maxListed, what)
	}
}

func total(counts map[ledger.Kind]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
