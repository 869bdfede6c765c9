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
	chains *reconciliation.Report
	// identified is how electors were, as far as was read.
	identified identified
	err        error
	compared   bool
	took       time.Duration
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
	r.identified.say(out)
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
	r.chains.Say(out, maxListed)
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
