// Command testnet simulates a commune's polling day on this machine: bureaux, electors,
// faults, and a verdict.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pointage/ledger"
	"pointage/testnet/simulation"
)

// The exit codes: every promise held; one was not, or the day could not be played; wrong
// words; Ctrl-C.
const (
	exitHeld        = 0
	exitBroken      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

const examples = `Examples:
  go run ./testnet                                    a day of Saint-Josse-ten-Noode, with faults
  go run ./testnet --faults none --day 20s --bureaux 5 --electors 2000
  go run ./testnet --register list.csv --turnout 0.1  a day of a list of electors
  go run ./testnet --faults list                      the faults by name
  go run ./testnet bench                              our speed beside etcd and PostgreSQL`

func main() { os.Exit(answer(os.Args[1:], os.Stdout, os.Stderr)) }

func answer(args []string, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == "bench" {
		return bench(ctx, args[1:], out, errs)
	}
	plan, list, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitHeld
	case err != nil:
		fmt.Fprintf(errs, "testnet: %v; see --help\n", err)
		return exitUsage
	case list:
		for _, s := range simulation.Scenarios {
			fmt.Fprintf(out, "%-15s %s\n", s.Name, s.What)
		}
		return exitHeld
	}
	show := newShow(errs)
	plan.Live, plan.Text = show, show
	summary, err := simulation.Run(ctx, plan)
	show.end()
	switch {
	case ctx.Err() != nil && summary == nil:
		fmt.Fprintln(errs, "testnet: interrupted; nothing is left running")
		return exitInterrupted
	case errors.As(err, new(simulation.InputError)):
		fmt.Fprintf(errs, "testnet: %v\n", err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(errs, "testnet: %v\n", err)
		return exitBroken
	case plan.PrepareOnly:
		fmt.Fprintf(out, "prepared in %s/election: go run ./testnet --election %s/election\n", plan.Out, plan.Out)
		return exitHeld
	}
	code := verdict(out, plan, summary)
	if plan.Serve && code == exitHeld {
		return exitInterrupted // Ctrl-C is what ends the serving
	}
	return code
}

// verdict prints what was seen; its last line says whether every promise held.
func verdict(out io.Writer, plan simulation.Plan, s *simulation.Summary) int {
	fmt.Fprintf(out, "commune %d, %d bureaux, %d electors, seed %d, %.1f s\n", s.Commune, s.Bureaux, s.Electors, s.Seed, s.TookSeconds)
	fmt.Fprintf(out, "check-ins               %d (%d away from home, %d by proxy)\n", s.CheckIns, s.AwayCheckIns, s.Proxies)
	fmt.Fprintf(out, "second attempts refused %d\n", s.SecondAttemptsRefused)
	fmt.Fprintf(out, "double admissions       %d (%d reported)\n", s.DoubleAdmissions, s.DoubleAdmissionsReported)
	fmt.Fprintf(out, "acknowledged and lost   %d\n", s.AcknowledgedLost)
	fmt.Fprintf(out, "home electors refused   %d\n", s.HomeRefused)
	fmt.Fprintf(out, "leader changes          %d\n", s.LeaderChanges)
	fmt.Fprintf(out, "longest wait            %d ms, at the elector's own bureau %d ms\n", s.LongestWaitMillis, s.LongestHomeWaitMillis)
	fmt.Fprintf(out, "ledger                  %d entries, %d anchored, root %s\n", s.LedgerSize, s.AnchoredSize, s.Root)
	fmt.Fprintf(out, "verify it yourself      go run ./tools/verify %s/export/%d\n", plan.Out, s.Commune)
	if len(s.Broken) > 0 {
		for _, b := range s.Broken {
			fmt.Fprintln(out, "BROKEN:", b)
		}
		fmt.Fprintf(out, "not held: %s\n", s.Broken[0])
		return exitBroken
	}
	fmt.Fprintln(out, "every promise held")
	return exitHeld
}

// parse reads the flags into a plan; list asks for the names of the faults.
func parse(args []string, out io.Writer) (p simulation.Plan, list bool, err error) {
	fs := flag.NewFlagSet("testnet", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	commune := fs.Uint("commune", 21014, "INS code of the commune")
	fs.IntVar(&p.Bureaux, "bureaux", 0, "number of bureaux (default: the commune's)")
	fs.IntVar(&p.Electors, "electors", 0, "number of synthetic electors (default: the commune's)")
	fs.StringVar(&p.Register, "register", "", "CSV list of electors instead of synthetic ones")
	fs.StringVar(&p.Election, "election", "", "directory of an election prepared before")
	fs.DurationVar(&p.Day, "day", 45*time.Second, "wall time of the compressed poll")
	fs.Float64Var(&p.Turnout, "turnout", 0.8, "share of the electors who come")
	fs.Uint64Var(&p.Seed, "seed", 0, "replays arrivals, choices and faults (default: drawn, and printed)")
	faults := fs.String("faults", "default", "default, none, or names with commas; list prints them")
	fs.StringVar(&p.Anchor, "anchor", "", "URL of a C2SP tlog-witness instead of the built-in ADELE")
	fs.StringVar(&p.AnchorKey, "anchor-key", "", "its verifier key")
	fs.StringVar(&p.Out, "out", "testnet-out", "directory for summary.json, export and logs")
	fs.BoolVar(&p.PrepareOnly, "prepare-only", false, "make OUT/election and stop")
	fs.BoolVar(&p.Serve, "serve", false, "keep the bureaux up after the day until Ctrl-C")
	fs.BoolVar(&p.Processes, "processes", false, "every bureau its own operating-system process")
	err = fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, "testnet plays a commune's polling day on this machine.\n\nFlags:")
		fs.SetOutput(out)
		fs.PrintDefaults()
		fmt.Fprintln(out, "\n"+examples)
		return p, false, err
	}
	if err != nil {
		return p, false, err
	}
	if fs.NArg() > 0 {
		return p, false, fmt.Errorf("unexpected word %q", fs.Arg(0))
	}
	if *faults == "list" {
		return p, true, nil
	}
	p.Commune = ledger.Commune(*commune)
	for p.Seed == 0 {
		p.Seed = rand.Uint64N(1 << 31)
	}
	if p.Faults, err = simulation.FindScenarios(*faults); err != nil {
		return p, false, err
	}
	return p, false, p.Check()
}
