package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pointage/node/provenance"
	"pointage/testnet/report"
	"pointage/testnet/simulation"
	"pointage/testnet/watch"
)

// stage is where a day is shown: drawn on a terminal, or told in lines.
type stage interface {
	simulation.Live
	// Write takes lines of text.
	io.Writer
	// End leaves the lines, and a terminal as it was.
	End()
}

// newStage draws where everything is a terminal and nothing speaks against it; interrupt is what a key calls that ends the run.
func newStage(ctx context.Context, interrupt func(), plain bool, out, errs io.Writer) stage {
	if plain || !isTerminal(os.Stdin) || !isTerminal(out) || !isTerminal(errs) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return newShow(errs, plain)
	}
	return watch.Start(ctx, os.Stdin, errs.(*os.File), interrupt)
}

// audience is all who are shown a day.
type audience []simulation.Live

// Progress implements simulation.Live.
func (a audience) Progress(p simulation.Progress) {
	for _, l := range a {
		l.Progress(p)
	}
}

// Sample implements simulation.Live.
func (a audience) Sample(s simulation.Sample) {
	for _, l := range a {
		l.Sample(s)
	}
}

// unrepeated are the flags that say where a day's results go: whoever plays it again chooses his own.
var unrepeated = map[string]bool{"report": true, "plain": true, "out": true, "serve": true, "seed": true}

// again is the command that plays the day again.
func again(fs *flag.FlagSet, seed uint64) string {
	words := []string{"go run ./testnet"}
	fs.Visit(func(f *flag.Flag) {
		if unrepeated[f.Name] {
			return
		}
		value := f.Value.String()
		if value == "true" {
			words = append(words, "--"+f.Name)
			return
		}
		if strings.ContainsAny(value, " \t'\"$&;|<>()*?`\\") {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		words = append(words, "--"+f.Name, value)
	})
	return strings.Join(append(words, fmt.Sprint("--seed ", seed)), " ")
}

// checkReport says what is wrong with where the report should go, before the day is played.
func checkReport(w words) error {
	if w.PrepareOnly || w.ByHand {
		return errors.New("--report: no day is played, there is nothing to report")
	}
	if st, err := os.Stat(w.report); err == nil && st.IsDir() {
		return fmt.Errorf("--report %s is a directory: name a file in it", w.report)
	}
	dir := filepath.Dir(w.report)
	if st, err := os.Stat(dir); (err != nil || !st.IsDir()) && filepath.Clean(w.Out) != dir {
		return fmt.Errorf("--report %s: there is no directory %s: make it first", w.report, dir)
	}
	return nil
}

// watched is what is kept of a day for its report.
type watched struct {
	words  words
	record *report.Record
	began  time.Time
}

func newWatched(w words) *watched {
	return &watched{words: w, record: new(report.Record), began: time.Now()}
}

// with is who is shown the day: who watches it, and the record if there will be a report.
func (w *watched) with(l simulation.Live) simulation.Live {
	if w.words.report == "" {
		return l
	}
	return audience{l, w.record}
}

// report writes the page of a day that was played, if one was asked for; false when that failed.
func (w *watched) report(s *simulation.Summary, errs io.Writer) bool {
	if w.words.report == "" {
		return true
	}
	if err := w.write(s); err != nil {
		fmt.Fprintf(errs, "testnet: %v\n", err)
		return false
	}
	fmt.Fprintf(errs, "report: %s\n", w.words.report)
	return true
}

func (w *watched) write(s *simulation.Summary) error {
	program, err := provenance.Running()
	if err != nil {
		return err
	}
	b, err := report.Page(report.Run{
		Summary: s, Record: w.record, Place: simulation.PlaceName(s.Commune), Command: w.words.again,
		Verify:  "go run ./tools/verify " + exportOf(w.words.Plan, s),
		Program: strings.ReplaceAll(strings.TrimSpace(program.Text("testnet")), "\n", ", "), Machine: report.Machine(), Began: w.began,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.words.report, b, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// exportOf is the export of a day.
func exportOf(p simulation.Plan, s *simulation.Summary) string {
	return filepath.Join(p.Out, "export", fmt.Sprint(s.Commune))
}
