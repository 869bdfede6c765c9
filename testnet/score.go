package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pointage/testnet/score"
)

const scoreUsage = `testnet score measures what the project promises, by the commands that it prints, and writes the two tables:
reliability and security (Q1-Q18), speed and scale (P1-P10). The quick profile takes at most 20 minutes on two cores.
It exits with 1 when a promise is broken or a figure fell behind what it has been; a target that is not reached is told.

Examples:  go run ./testnet score
           go run ./testnet score --full --json score.json
           go run ./testnet score --only Q1,Q5,P1

Flags:`

// scored is what --json writes.
type scored struct {
	Date    string         `json:"date"`
	Machine string         `json:"machine"`
	Full    bool           `json:"full"`
	Rows    []score.Result `json:"rows"`
}

func scoreboard(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("testnet score", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	full := fs.Bool("full", false, "everything, which takes hours, instead of the quick profile")
	only := fs.String("only", "", "these rows alone, with commas")
	file := fs.String("json", "", "write the results to this file too")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, scoreUsage)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return exitHeld
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected word %q", fs.Arg(0))
	}
	rows := slices.Concat(score.Promises, score.Speeds)
	if err == nil {
		rows, err = chosen(rows, *only)
	}
	var dir string
	if err == nil {
		dir, err = module()
	}
	if err != nil {
		fmt.Fprintf(errs, "testnet score: %v; see testnet score --help\n", err)
		return exitUsage
	}
	profile := score.Quick
	if *full {
		profile = score.Full
	}
	all, err := score.Run(ctx, rows, profile, score.In(dir),
		func(r score.Row) { fmt.Fprintf(errs, "%-4s %s\n", r.ID, r.What) },
		func(r score.Result) { fmt.Fprintln(errs, r.Line()) })
	if err != nil {
		fmt.Fprintln(errs, "testnet score: interrupted; nothing is left running")
		return exitInterrupted
	}
	machine := fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	date := time.Now().UTC().Format(time.DateOnly)
	fmt.Fprintf(out, "# Scoreboard\n\n%s; %s; every command's seeds are its own defaults or stand in it.\n\n", date, machine)
	score.Table(out, "Reliability and security", 'Q', all)
	score.Table(out, "Speed and scale", 'P', all)
	if *file != "" {
		b, err := json.MarshalIndent(scored{date, machine, *full, all}, "", "\t")
		if err == nil {
			err = os.WriteFile(*file, append(b, '\n'), 0o644)
		}
		if err != nil {
			fmt.Fprintf(errs, "testnet score: %v\n", err)
			return exitBroken
		}
	}
	if err := score.Bad(all); err != nil {
		fmt.Fprintf(errs, "testnet score: %v\n", err)
		return exitBroken
	}
	return exitHeld
}

// chosen are the rows that --only names, all for none.
func chosen(rows []score.Row, only string) (out []score.Row, err error) {
	if only == "" {
		return rows, nil
	}
	for _, id := range strings.Split(only, ",") {
		i := slices.IndexFunc(rows, func(r score.Row) bool { return slices.Contains(strings.Split(r.ID, ", "), id) })
		if i < 0 {
			return nil, fmt.Errorf("--only %q: the rows are Q1 to Q18 and P1 to P10, with commas", only)
		}
		out = append(out, rows[i])
	}
	return out, nil
}

// module is the directory of this module, above the one that the program runs in: the measures are tests of its source.
func module() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module pointage\n") {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("run it inside the project's source, of which the measures are tests")
		}
		dir = above
	}
}

const fuzzUsage = `testnet fuzz runs every fuzz target of packages for a number of executions, one after the other.

Example:  go run ./testnet fuzz --times 1000000 ./...

Flags:`

func fuzz(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("testnet fuzz", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	times := fs.Int("times", 50_000, "executions of each")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, fuzzUsage)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return exitHeld
	}
	var dir string
	switch {
	case err != nil:
	case fs.NArg() == 0:
		err = errors.New("which packages? ./... for all")
	case *times < 1:
		err = fmt.Errorf("--times %d: 1 or more", *times)
	default:
		dir, err = module()
	}
	if err != nil {
		fmt.Fprintf(errs, "testnet fuzz: %v; see testnet fuzz --help\n", err)
		return exitUsage
	}
	err = score.Fuzz(ctx, score.In(dir), fs.Args(), *times, out)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "testnet fuzz: interrupted; nothing is left running")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(errs, "testnet fuzz: %v\n", err)
		return exitBroken
	}
	return exitHeld
}
