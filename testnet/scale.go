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
	"slices"
	"strings"
	"time"

	"pointage/testnet/report"
	"pointage/testnet/simulation"
)

const scaleUsage = `testnet scale measures communes of several sizes in this process: what they cost idle and with electors at every
table, and how soon they heal. With --results it writes a page with tables and plots.

Example:  go run ./testnet scale --sizes 3,12,25,60,120 --results testnet/RESULTS.md

Flags:`

func scale(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("testnet scale", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	p := simulation.ScalePlan{}
	sizes := fs.String("sizes", "3,12,25", "numbers of bureaux, ascending, with commas")
	fs.DurationVar(&p.Idle, "idle", 10*time.Second, "how long a group is watched that does nothing")
	fs.DurationVar(&p.Load, "load", 20*time.Second, "how long electors come")
	fs.IntVar(&p.PerSecond, "rate", 100, "how many come in a second, over all bureaux")
	fs.Uint64Var(&p.Missed, "missed", 3000, "entries that a bureau of three misses before it comes back; 0 leaves it out")
	fs.StringVar(&p.Out, "out", "testnet-out", "directory for the bureaux")
	asJSON := fs.Bool("json", false, "a JSON line for each size, and nothing else")
	results := fs.String("results", "", "write a page with tables to this file, and its plots beside it")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, scaleUsage)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return exitHeld
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected word %q", fs.Arg(0))
	}
	if err == nil {
		p.Sizes, err = numbers(*sizes)
	}
	switch {
	case err != nil:
	case !slices.IsSorted(p.Sizes) || p.Sizes[0] < 3 || p.Sizes[len(p.Sizes)-1] > 150:
		err = fmt.Errorf("--sizes %q: 3 to 150, ascending", *sizes)
	case p.Idle < time.Second || p.Load < time.Second || p.Idle > time.Hour || p.Load > time.Hour:
		err = errors.New("--idle and --load are 1s to 1h")
	case p.PerSecond < 1 || p.PerSecond > 5000 || p.Missed > 100_000:
		err = errors.New("--rate is 1 to 5000, --missed at most 100000")
	}
	if err != nil {
		fmt.Fprintf(errs, "testnet scale: %v; see testnet scale --help\n", err)
		return exitUsage
	}
	if !*asJSON {
		p.Text = errs
	}
	var all []simulation.Cost
	err = simulation.Scale(ctx, p, func(c simulation.Cost) {
		all = append(all, c)
		if *asJSON {
			_ = json.NewEncoder(out).Encode(c)
			return
		}
		fmt.Fprintln(out, costLine(c))
	})
	if err == nil && *results != "" {
		err = writeResults(*results, report.Costs{Date: time.Now().UTC(), Machine: report.Machine(), Command: "go run ./testnet scale " + strings.Join(args, " "), Plan: p, All: all})
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "testnet scale: interrupted; nothing is left running")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(errs, "testnet scale: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return exitBroken
	}
	return exitHeld
}

func costLine(c simulation.Cost) string {
	s := fmt.Sprintf("%3d bureaux  idle %.3f cores, %.0f B/s  %.1f check-ins/s of %.1f  p50 %.1f ms  p99 %.1f ms  %d alone  %.0f µs of the processors each  %.0f entries a processor second  %.0f B wire  %.0f B disk  %.0f MiB  next leader %.1f s  principal leads again %.1f s",
		c.Bureaux, c.IdleCores, c.IdleBytes, c.PerSecond, c.Asked, c.P50, c.P99, c.Alone, c.Processor, c.Entries, c.WireBytes, c.DiskBytes, c.Resident, c.NextLeader, c.PrincipalBack)
	if c.Missed > 0 {
		s += fmt.Sprintf("  %d missed entries level in %.1f s", c.Missed, c.Level)
	}
	return s
}

// writeResults writes the page, and its plots into a folder of its name.
func writeResults(file string, c report.Costs) error {
	folder := strings.ToLower(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	page, plots, err := c.Page(folder)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(file), folder), 0o755); err != nil {
		return err
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), folder, name), svg, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(file, page, 0o644)
}
