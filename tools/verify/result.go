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
)

// maxListed is how many conflicts, evidence entries and double admissions the text lists of
// each; JSON lists all.
const maxListed = 100

// result is a verification with all that is said of it.
type result struct {
	// export is nil when there is no manifest at all, its group nil when nothing could be judged.
	export *election.Export
	// report is what was seen up to the first offence, nil when it came before the entries.
	report   *ledger.Report
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
	fmt.Fprintf(out, "entries     %d, each replayed: form, signature, both chains, outcome by the rules; head %v\n", p.Entries, p.Head)
	fmt.Fprintf(out, "tree        root %v, as in the checkpoint; every tile as the entries give it\n", p.Root)
	fmt.Fprintf(out, "checkpoint  cosigned by %d bureaux; a majority of the voting bureaux: %s\n", p.Cosigners, yesNo(p.Certificate))
	fmt.Fprintf(out, "anchors     %d cosigned by a witness; the newest covers %d of %d entries\n", p.Anchors, p.Anchored, p.Entries)
	fmt.Fprintf(out, "signatures  %d checked in %v\n", p.Signatures, r.took.Round(time.Millisecond))
	fmt.Fprintf(out, "statements  %d of %d bureaux:", total(p.Statements), p.Bureaux)
	for i, k := range slices.Sorted(maps.Keys(p.Statements)) {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, " %d %v", p.Statements[k], k)
	}
	fmt.Fprintf(out, "\nadmitted    %d electors\n", p.Admitted)
	listed(out, len(p.Conflicts), "conflicts", func(i int) {
		c := p.Conflicts[i]
		fmt.Fprintf(out, "conflict    entry %d statement %d, %v of %v: %s\n", c.Position, c.Index, c.Kind, c.Author, c.Verdict)
	})
	listed(out, len(p.Evidence), "evidence entries", func(i int) {
		fmt.Fprintf(out, "evidence    entry %d holds a batch that can't stand beside an earlier one of its author\n", p.Evidence[i])
	})
	listed(out, len(p.Double), "double admissions", func(i int) {
		fmt.Fprintf(out, "double      one %v right, %d admissions:", p.Double[i].Kind, len(p.Double[i].Records))
		for _, a := range p.Double[i].Records {
			fmt.Fprintf(out, " entry %d (bureau %d, session %x, statement %d)", a.Position, a.Bureau, a.ID.Session[:4], a.ID.Sequence)
		}
		fmt.Fprintln(out)
	})
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
