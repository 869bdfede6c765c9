package score

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// number writes a figure as people read it.
func number(x float64) string {
	switch a := math.Abs(x); {
	case a >= 1e6:
		return strconv.FormatFloat(x/1e6, 'f', 1, 64) + " million"
	case a >= 100 || x == math.Trunc(x):
		return strconv.FormatFloat(x, 'f', 0, 64)
	default:
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
}

// quoted are words as a shell takes them.
func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		if strings.ContainsAny(w, " |$*^'\"()<>&;") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		out[i] = w
	}
	return out
}

// Line is a result in one line, for whoever waits.
func (r Result) Line() string {
	s := fmt.Sprintf("%-4s %-11s %6s  %s", r.ID, r.Verdict, time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), r.figures())
	if r.Fault != "" {
		s += "  " + r.Fault
	}
	if r.Again != "" {
		s += "  (measured again after: " + r.Again + ")"
	}
	return strings.TrimRight(s, " ")
}

// said is what a result came to, without its name.
func (r Result) said() string {
	if r.Fault != "" {
		return r.Fault
	}
	return r.figures()
}

func (r Result) figures() string {
	var all []string
	for _, f := range r.Figures {
		s := number(f.Value) + " " + f.Name
		switch {
		case f.Behind != "":
			s += " (has been " + f.Behind + ")"
		case f.Short:
			s += " (to reach: " + f.Reach + ")"
		case f.Whole != "":
			s += " (a share; in full " + f.Whole + ")"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

// Table writes the results whose names begin with a letter as one table, with the commands below it.
func Table(out io.Writer, title string, letter byte, all []Result) {
	fmt.Fprintf(out, "## %s\n\n| # | what is promised | to reach | seen | |\n|---|---|---|---|---|\n", title)
	for _, r := range all {
		if r.ID[0] == letter {
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", r.ID, cell(r.What), cell(r.Target), cell(r.figures()), r.Verdict)
		}
	}
	fmt.Fprintf(out, "\n```\n")
	for _, r := range all {
		if r.ID[0] != letter {
			continue
		}
		for _, c := range r.Commands {
			fmt.Fprintf(out, "%-4s %s\n", r.ID, c)
		}
		if r.Fault != "" {
			fmt.Fprintf(out, "%-4s failed: %s\n", r.ID, r.Fault)
		}
		if r.Again != "" {
			fmt.Fprintf(out, "%-4s measured again after: %s\n", r.ID, r.Again)
		}
	}
	fmt.Fprintf(out, "```\n\n")
}

// cell keeps a text from ending its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
