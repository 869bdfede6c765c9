// Package score runs what measures the project's promises, each by the command that a person would type, and says in two
// tables what came out.
package score

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Row is one line of a table: a promise, what it must reach, and what shows it.
type Row struct {
	ID     string // Q1 to Q18, P1 to P10
	What   string
	Target string
	Parts  []Part
}

// Part is one command with what is read from what it prints.
type Part struct {
	// Quick is the command's words in the quick profile, nil for left out there; Full in the full one, nil for the same.
	Quick, Full []string
	Figures     []Figure
}

// Figure is a number among what a command prints: a ratio or a count, or a time that a target is about.
type Figure struct {
	Name string
	// Pattern has one group, the number, or none: then each match is one. Several matches are folded into one.
	Pattern *regexp.Regexp
	Fold    func([]float64) float64
	// Reach is what the target asks for, and Keep, if not nil, what the quick profile must not fall back behind, with room
	// for a busy machine: a target that is not reached is told, a figure that fell back fails the run.
	Reach, Keep Bound
	// InFull is what the target asks of the full profile alone: the quick one does a share.
	InFull Bound
}

// Bound says whether a figure is on the right side.
type Bound interface {
	Holds(float64) bool
	String() string
}

type (
	// AtLeast and AtMost are the two kinds of bound.
	AtLeast float64
	AtMost  float64
)

// Holds implements Bound.
func (b AtLeast) Holds(x float64) bool { return x >= float64(b) }

// Holds implements Bound.
func (b AtMost) Holds(x float64) bool { return x <= float64(b) }

func (b AtLeast) String() string { return ">= " + number(float64(b)) }
func (b AtMost) String() string  { return "<= " + number(float64(b)) }

// The folds.
var (
	Sum = func(xs []float64) (sum float64) {
		for _, x := range xs {
			sum += x
		}
		return sum
	}
	Largest  = func(xs []float64) float64 { return slices.Max(xs) }
	Smallest = func(xs []float64) float64 { return slices.Min(xs) }
	Last     = func(xs []float64) float64 { return xs[len(xs)-1] }
	Count    = func(xs []float64) float64 { return float64(len(xs)) }
)

// Profile is how much is run.
type Profile int

// The profiles: at most 20 minutes on two cores, or everything.
const (
	Quick Profile = iota
	Full
)

func (p Part) words(profile Profile) []string {
	if profile == Full && p.Full != nil {
		return p.Full
	}
	return p.Quick
}

// Result is what one row came to.
type Result struct {
	ID       string    `json:"id"`
	What     string    `json:"what"`
	Target   string    `json:"target"`
	Verdict  Verdict   `json:"verdict"`
	Figures  []Reading `json:"figures,omitempty"`
	Commands []string  `json:"commands,omitempty"`
	Seconds  float64   `json:"seconds"`
	// Fault is why a row is broken: the first line that a failing command printed.
	Fault string `json:"fault,omitempty"`
	// Again is why a measurement was made once more: what the first had come to.
	Again string `json:"again,omitempty"`
}

// Reading is a figure that was read.
type Reading struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Reach  string  `json:"reach,omitempty"`
	Short  bool    `json:"short,omitempty"`
	Behind string  `json:"fell_behind,omitempty"`
	// Whole is what the full profile must reach, of which this is a share.
	Whole string `json:"in_full,omitempty"`
}

// Verdict is what one word says of a row.
type Verdict string

// The verdicts, from good to bad.
const (
	Held       Verdict = "held"
	NotReached Verdict = "not reached" // every command passed; a figure is short of its target
	NotRun     Verdict = "not run"     // left out of this profile
	Fell       Verdict = "fell back"   // a figure is behind what it has been
	Broken     Verdict = "broken"      // a command failed, or printed no figure
)

// Runner runs a command and returns what it printed on both streams; the error is a command that failed.
type Runner func(ctx context.Context, words []string) (printed string, err error)

// measures says that a row is of speed: what else the machine does at that moment is in its figures, so that it is
// measured once more before it is called behind. A promise is held the first time.
func (row Row) measures() bool { return strings.HasPrefix(row.ID, "P") }

// Run measures rows one after the other. The error is ctx's alone: a row that fails is in its result.
func Run(ctx context.Context, rows []Row, profile Profile, run Runner, begun func(Row), done func(Result)) ([]Result, error) {
	var all []Result
	for _, row := range rows {
		begun(row)
		r := row.run(ctx, profile, run)
		if row.measures() && (r.Verdict == Broken || r.Verdict == Fell) && ctx.Err() == nil {
			first := r
			r = row.run(ctx, profile, run)
			r.Again, r.Seconds = first.said(), r.Seconds+first.Seconds
		}
		if err := ctx.Err(); err != nil {
			return all, err
		}
		all = append(all, r)
		done(r)
	}
	return all, nil
}

func (row Row) run(ctx context.Context, profile Profile, run Runner) Result {
	r := Result{ID: row.ID, What: row.What, Target: row.Target, Verdict: NotRun}
	began := time.Now()
	for _, p := range row.Parts {
		words := p.words(profile)
		if words == nil {
			continue
		}
		r.Commands = append(r.Commands, strings.Join(quoted(words), " "))
		printed, err := run(ctx, words)
		if err != nil {
			r.worsen(Broken)
			r.Fault = firstFault(printed, err)
			continue
		}
		r.worsen(Held)
		for _, f := range p.Figures {
			r.read(f, printed, profile)
		}
	}
	r.Seconds = time.Since(began).Seconds()
	return r
}

// read takes a figure out of what was printed.
func (r *Result) read(f Figure, printed string, profile Profile) {
	var found []float64
	for _, m := range f.Pattern.FindAllStringSubmatch(printed, -1) {
		if len(m) == 1 {
			found = append(found, 1)
			continue
		}
		x, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			r.worsen(Broken)
			r.Fault = fmt.Sprintf("%s: %q is no number", f.Name, m[1])
			return
		}
		found = append(found, x)
	}
	if len(found) == 0 {
		r.worsen(Broken)
		r.Fault = fmt.Sprintf("the command printed no %q", f.Name)
		return
	}
	x := Reading{Name: f.Name, Value: f.Fold(found)}
	reach := f.Reach
	switch {
	case f.InFull != nil && profile == Full:
		reach = f.InFull
	case f.InFull != nil:
		x.Whole = f.InFull.String()
	}
	if reach != nil {
		x.Reach = reach.String()
		if x.Short = !reach.Holds(x.Value); x.Short {
			r.worsen(NotReached)
		}
	}
	if f.Keep != nil && profile == Quick && !f.Keep.Holds(x.Value) {
		x.Behind = f.Keep.String()
		r.worsen(Fell)
	}
	r.Figures = append(r.Figures, x)
}

var order = []Verdict{NotRun, Held, NotReached, Fell, Broken}

func (r *Result) worsen(v Verdict) {
	if slices.Index(order, v) > slices.Index(order, r.Verdict) {
		r.Verdict = v
	}
}

// firstFault is the line of a failing command that says most: a test's own, or the last.
func firstFault(printed string, err error) string {
	last := ""
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "not held") {
			return line
		}
		if line != "" && line != "FAIL" && !strings.HasPrefix(line, "exit status ") { // go run's own
			last = line
		}
	}
	if last == "" {
		return err.Error()
	}
	return last
}

// Bad returns an error that names the rows which are broken or fell back, and nil for none.
func Bad(all []Result) error {
	var names []string
	for _, r := range all {
		if r.Verdict == Broken || r.Verdict == Fell {
			names = append(names, fmt.Sprintf("%s %s", r.ID, r.Verdict))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return errors.New(strings.Join(names, ", "))
}
