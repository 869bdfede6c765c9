package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"pointage/testnet/simulation"
)

const benchUsage = `testnet bench measures committed check-ins a second at three bureaux, signed, chained and verified at
each, beside etcd and PostgreSQL at insert-if-absent of 310 bytes in the same run; only the ratios mean anything.
Then what the tables see while the leader is killed, and while no majority is left.

Example:  go run ./testnet bench --clients 1,64,256 --duration 5s --rounds 3

Flags:`

// bench measures and prints figures and ratios.
func bench(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var p simulation.BenchPlan
	clients := fs.String("clients", "1,64,256", "numbers of concurrent clients")
	fs.DurationVar(&p.Duration, "duration", 5*time.Second, "of one measurement")
	fs.IntVar(&p.Rounds, "rounds", 3, "how often all are measured, in turn")
	fs.StringVar(&p.Out, "out", "testnet-out", "directory for the bureaux")
	fs.BoolVar(&p.Baselines, "baselines", true, "measure etcd and PostgreSQL too")
	parts := fs.String("parts", "rates,outage", "what to measure, with commas")
	asJSON := fs.Bool("json", false, "a JSON line for each measurement, and nothing else")
	fs.StringVar(&p.Profile, "cpuprofile", "", "write a CPU profile of each measurement of ours to files that begin so")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, benchUsage)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return exitHeld
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected word %q", fs.Arg(0))
	}
	if err == nil {
		p.Clients, err = numbers(*clients)
	}
	if err == nil && (p.Duration < 100*time.Millisecond || p.Duration > time.Minute || p.Rounds < 1 || p.Rounds > 100) {
		err = errors.New("--duration is 100ms to 1m, --rounds 1 to 100")
	}
	measures := map[string]func(context.Context, simulation.BenchPlan, bool, io.Writer, io.Writer) int{"rates": measureRates, "outage": measureOutage}
	var chosen []string
	for _, part := range strings.Split(*parts, ",") {
		if measures[part] == nil && err == nil {
			err = fmt.Errorf("--parts %q: rates, outage or both", *parts)
		}
		chosen = append(chosen, part)
	}
	if err != nil {
		fmt.Fprintf(errs, "testnet bench: %v; see testnet bench --help\n", err)
		return exitUsage
	}
	if !*asJSON {
		p.Text = errs
	}
	for _, part := range chosen {
		if code := measures[part](ctx, p, *asJSON, out, errs); code != exitHeld {
			return code
		}
	}
	return exitHeld
}

func numbers(list string) (out []int, err error) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 512 {
			return nil, fmt.Errorf("--clients %q: numbers from 1 to 512 with commas", list)
		}
		out = append(out, n)
	}
	return out, nil
}

func measureRates(ctx context.Context, p simulation.BenchPlan, asJSON bool, out, errs io.Writer) int {
	var all []simulation.Rate
	err := simulation.Bench(ctx, p, func(r simulation.Rate) {
		all = append(all, r)
		if asJSON {
			_ = json.NewEncoder(out).Encode(r)
			return
		}
		fmt.Fprintln(errs, rateLine(r))
	})
	if code := ended(ctx, err, errs); code != exitHeld {
		return code
	}
	if !asJSON {
		table(out, all)
	}
	return exitHeld
}

// ended says how a measurement went.
func ended(ctx context.Context, err error, errs io.Writer) int {
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "testnet bench: interrupted; nothing is left running")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(errs, "testnet bench: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		if errors.As(err, new(simulation.InputError)) {
			return exitUsage
		}
		return exitBroken
	}
	return exitHeld
}

// measureOutage prints what the tables saw, and the longest gaps side by side.
func measureOutage(ctx context.Context, p simulation.BenchPlan, asJSON bool, out, errs io.Writer) int {
	line := func(v any, text string) {
		if asJSON {
			_ = json.NewEncoder(out).Encode(v)
			return
		}
		fmt.Fprintln(out, text)
	}
	var ours simulation.Outage
	err := simulation.BenchOutage(ctx, p, func(s simulation.Stage) {
		line(s, fmt.Sprintf("%-24s %6d check-ins  p50 %.2f ms  p99 %.2f ms  the longest %.0f ms  %d refused", s.Name, s.Ops, s.P50, s.P99, s.Longest, s.Refused))
	}, func(o simulation.Outage) {
		text := fmt.Sprintf("%-24s nobody served for %.0f ms, one client waited %.0f ms", o.System, o.LongestGap, o.LongestWait)
		switch {
		case o.Missing != "":
			text = fmt.Sprintf("%-24s missing: %s", o.System, o.Missing)
		case o.System == simulation.Ours:
			ours = o
		default:
			text += fmt.Sprintf(": %.0f x pointage's gap", o.LongestGap/ours.LongestGap)
			if !o.Recovered {
				text += ", nobody served until the end"
			}
		}
		line(o, text)
	})
	return ended(ctx, err, errs)
}

func rateLine(r simulation.Rate) string {
	if r.Missing != "" {
		return fmt.Sprintf("%-24s missing: %s", r.System, r.Missing)
	}
	s := fmt.Sprintf("%-24s %3d clients  %8.0f/s  p50 %.2f ms  p99 %.2f ms", r.System, r.Clients, r.PerSecond, r.P50, r.P99)
	if r.PerBatch > 0 {
		s += fmt.Sprintf("  %.1f statements a signature", r.PerBatch)
	}
	if r.Processor > 0 {
		s += fmt.Sprintf("  %.0f µs of the processors each", r.Processor)
	}
	if r.NotReplicated > 0 {
		s += fmt.Sprintf("  (%d more went on alone)", r.NotReplicated)
	}
	return s
}

// table prints the medians and their ratios to the others.
func table(out io.Writer, all []simulation.Rate) {
	type key struct {
		system  string
		clients int
	}
	rates := map[key][]float64{}
	var order []key
	for _, r := range all {
		k := key{r.System, r.Clients}
		if r.Missing != "" {
			fmt.Fprintln(out, rateLine(r))
			continue
		}
		if rates[k] == nil {
			order = append(order, k)
		}
		rates[k] = append(rates[k], r.PerSecond)
	}
	median := func(k key) float64 {
		v := slices.Sorted(slices.Values(rates[k]))
		if len(v) == 0 {
			return 0
		}
		return v[len(v)/2]
	}
	fmt.Fprintf(out, "%-24s %7s %10s %10s %12s\n", "median", "clients", "a second", "x etcd", "x PostgreSQL")
	for _, k := range order {
		fmt.Fprintf(out, "%-24s %7d %10.0f", k.system, k.clients, median(k))
		for _, other := range []string{"etcd", "postgresql"} {
			o := median(key{other, k.clients})
			if o == 0 || k.system == "etcd" || k.system == "postgresql" {
				fmt.Fprintf(out, " %10s", "-")
				continue
			}
			fmt.Fprintf(out, " %10.2f", median(k)/o)
		}
		fmt.Fprintln(out)
	}
	parts(out, all)
}

// parts prints the ratios of single parts to what they can't do without.
func parts(out io.Writer, all []simulation.Rate) {
	median := func(system string, of func(simulation.Rate) float64) float64 {
		var v []float64
		for _, r := range all {
			if r.System == system {
				v = append(v, of(r))
			}
		}
		if len(v) == 0 {
			return 0
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	p99 := func(r simulation.Rate) float64 { return r.P99 }
	rate := func(r simulation.Rate) float64 { return r.PerSecond }
	if bare := median(simulation.BareAppend, p99); bare > 0 {
		own := median(simulation.OursAlone, p99)
		fmt.Fprintf(out, "the bureau's own part of a check-in, p99: %.2f x bare append and fsync in two places on one disk (%.2f ms / %.2f ms)\n", own/bare, own, bare)
	}
	if bare := median(simulation.BareVerify, rate); bare > 0 {
		fmt.Fprintf(out, "verifying an export: %.2f x bare ed25519 on the same cores\n", median(simulation.VerifyRate, rate)/bare)
	}
}
