// Package report writes what a simulated day was like as one page that opens from disk: plots, promises,
// figures, and how to play it again.
package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"time"

	"pointage/testnet/simulation"
)

// Run is all that a page is made of: the same run gives the same bytes.
type Run struct {
	Summary *simulation.Summary
	Record  *Record
	// Place is the commune's name; Command plays the day again; Verify is what an expert does with its export.
	Place, Command, Verify string
	// Program and Machine say in a line each what ran, and where.
	Program, Machine string
	// Began is when the run did.
	Began time.Time
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// errNothing: a day without samples has nothing to draw.
var errNothing = errors.New("write report: the day was not watched")

// Page is the whole file, as HTML that is XML too.
func Page(r Run) ([]byte, error) {
	last, day := r.Record.end(), r.Record.Intervals()
	if len(day) == 0 {
		return nil, errNothing
	}
	s := &scene{day: day, clock: clockFor(last.At), faults: last.Faults, last: last}
	figures, err := s.figures()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{
		"Run": r, "Summary": r.Summary, "Figures": figures, "Facts": facts(r.Summary), "Promises": promises(r.Summary), "Waits": s.waitTable(),
		"Bureaux": s.bureauTable(), "Faults": s.faultTable(), "Began": r.Began.UTC().Format("2006-01-02 15:04:05 UTC"), "Held": len(r.Summary.Broken) == 0,
		"Series": len(seriesPaints),
	})
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return b.Bytes(), nil
}

// fact is one figure with its name.
type fact struct{ Name, Value string }

func facts(s *simulation.Summary) []fact {
	n := func(x any) string { return fmt.Sprint(x) }
	return []fact{
		{"check-ins", n(s.CheckIns)},
		{"away from home", n(s.AwayCheckIns)},
		{"by proxy", n(s.Proxies)},
		{"second attempts refused", n(s.SecondAttemptsRefused)},
		{"double admissions", fmt.Sprintf("%d (%d reported)", s.DoubleAdmissions, s.DoubleAdmissionsReported)},
		{"acknowledged and lost", n(s.AcknowledgedLost)},
		{"home electors refused", n(s.HomeRefused)},
		{"never admitted", n(s.NeverAdmitted)},
		{"leader changes", n(s.LeaderChanges)},
		{"longest wait", fmt.Sprintf("%d ms", s.LongestWaitMillis)},
		{"longest wait at home", fmt.Sprintf("%d ms", s.LongestHomeWaitMillis)},
		{"entries", n(s.LedgerSize)},
		{"anchored", n(s.AnchoredSize)},
		{"the export verifies", map[bool]string{true: "yes", false: "no"}[s.Verified]},
		{"took", fmt.Sprintf("%.1f s", s.TookSeconds)},
	}
}

// verdict is one promise as the page tells it.
type verdict struct{ Name, Class, Word, Sign, Seen string }

func promises(s *simulation.Summary) (out []verdict) {
	for _, p := range s.Promises {
		v := verdict{p.Name, "held", "held", "✓", p.Seen}
		switch {
		case p.Held:
		case p.Asked:
			v.Class, v.Word, v.Sign = "broken", "broken", "✗"
		default:
			v.Class, v.Word, v.Sign = "unasked", "not promised under these faults", "–"
		}
		out = append(out, v)
	}
	return out
}

// waitTable is all waits of the day: where, how many, p50, p90, p99, the longest, in milliseconds.
func (s *scene) waitTable() (out [][]string) {
	var home, away simulation.Waits
	for _, i := range s.day {
		home.Join(i.Home)
		away.Join(i.Away)
	}
	for _, w := range []struct {
		where string
		waits simulation.Waits
	}{{"at the elector's own bureau", home}, {"elsewhere", away}} {
		cells := []string{w.where, fmt.Sprint(w.waits.Len())}
		for _, q := range []float64{half, 0.9, most99, 1} {
			cells = append(cells, inMillis(w.waits, q))
		}
		out = append(out, cells)
	}
	return out
}

// bureauTable has each bureau's check-ins, the most it was behind, the most it had to hand in, and whether it was ever down.
func (s *scene) bureauTable() (out [][]string) {
	for b, x := range s.last.Bureaux {
		var behind uint64
		backlog, down := 0, "–"
		for _, i := range s.day {
			behind, backlog = max(behind, i.Behind[b]), max(backlog, i.Backlog[b])
			if i.Down[b] {
				down = "yes"
			}
		}
		out = append(out, []string{fmt.Sprint(x.Bureau), fmt.Sprint(x.CheckIns), fmt.Sprint(behind), fmt.Sprint(backlog), down})
	}
	return out
}

// faultTable has each fault's number in the plots, name, meaning, beginning and end.
func (s *scene) faultTable() (out [][]string) {
	for n, f := range s.faults {
		what, ended := "", "–"
		for _, known := range simulation.Scenarios {
			if known.Name == f.Name {
				what = known.What
			}
		}
		if f.Over {
			ended = fmt.Sprintf("%.1f", f.Ended.Seconds())
		}
		out = append(out, []string{fmt.Sprint(n + 1), f.Name, what, fmt.Sprintf("%.1f", f.Began.Seconds()), ended})
	}
	return out
}
