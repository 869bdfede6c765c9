// Command testnet simulates a commune's polling day on this machine: bureaux, electors,
// faults, and a verdict.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pointage/ledger"
	"pointage/node/provenance"
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
  go run ./testnet --serve --by-hand --bureaux 3 --electors 600    no simulated day: three bureaux for you to open, with their screens
  go run ./testnet --report day.html                  a page of the day beside it: plots, promises, faults
  go run ./testnet --faults list                      the faults by name
  go run ./testnet --version                          what this program is, with its SHA-256
  go run ./testnet bench                              our speed beside etcd and PostgreSQL
  go run ./testnet score                              all that is promised, measured, in two tables
  go run ./testnet fuzz ./ledger                      every decoder of a package, fuzzed`

// commands are what testnet does beside playing a day.
var commands = map[string]func(ctx context.Context, args []string, out, errs io.Writer) int{
	"bench": bench, "scale": scale, "score": scoreboard, "fuzz": fuzz,
}

func main() { os.Exit(answer(os.Args[1:], os.Stdout, os.Stderr)) }

func answer(args []string, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if len(args) > 0 {
		if command := commands[args[0]]; command != nil {
			return command(ctx, args[1:], out, errs)
		}
	}
	if len(args) == 1 && args[0] == "--version" {
		if err := provenance.Print(out, "testnet"); err != nil {
			return failed(err, errs)
		}
		return exitHeld
	}
	w, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitHeld
	case err != nil:
		fmt.Fprintf(errs, "testnet: %v; see --help\n", err)
		return exitUsage
	case w.list:
		for _, s := range simulation.Scenarios {
			fmt.Fprintf(out, "%-20s %s\n", s.Name, s.What)
		}
		return exitHeld
	}
	return play(ctx, stop, w, out, errs)
}

// play plays the day; interrupt ends it as Ctrl-C does.
func play(ctx context.Context, interrupt func(), w words, out, errs io.Writer) int {
	show := newStage(ctx, interrupt, w.plain, out, errs)
	plan, told := w.Plan, false
	watched := newWatched(w)
	plan.Live, plan.Text = watched.with(show), show
	if w.serve {
		plan.Serve = func(s *simulation.Summary, at []simulation.Served) {
			show.End()
			served(out, at)
			if s != nil {
				watched.report(s, errs)
				verdict(out, plan, s)
			}
			told = true
			fmt.Fprintln(errs, "serving until Ctrl-C")
		}
	}
	summary, err := simulation.Run(ctx, plan)
	show.End()
	switch {
	case told && summary == nil && err == nil:
		return exitInterrupted // a day by hand has no verdict
	case ctx.Err() != nil && summary == nil:
		fmt.Fprintln(errs, "testnet: interrupted; nothing is left running, nothing of this run is kept")
		return exitInterrupted
	case err != nil:
		return failed(err, errs)
	case plan.PrepareOnly:
		fmt.Fprintf(out, "prepared in %[1]s: go run ./testnet --election %[1]s\n", filepath.Join(plan.Out, "election"))
		return exitHeld
	case told && len(summary.Broken) == 0:
		return exitInterrupted // Ctrl-C is what ends the serving
	case told:
		return exitBroken
	}
	written := watched.report(summary, errs)
	if code := verdict(out, plan, summary); written {
		return code
	}
	return exitBroken
}

// failed says in one line what kept the day from being played.
func failed(err error, errs io.Writer) int {
	fmt.Fprintf(errs, "testnet: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.As(err, new(simulation.InputError)) {
		return exitUsage
	}
	return exitBroken
}

// served prints where the bureaux are and what opens them.
func served(out io.Writer, at []simulation.Served) {
	for _, u := range at {
		fmt.Fprintf(out, "bureau %-3d sign in at %s  passphrase %s  electors to try: %s\n", u.Bureau, u.Screens, u.Passphrase, strings.Join(u.Try, " "))
	}
	for _, u := range at {
		fmt.Fprintf(out, "bureau %-3d %s  secret in %s\n", u.Bureau, u.URL, u.Secret)
	}
	if len(at) > 0 {
		fmt.Fprintf(out, "try one:   curl -H \"Authorization: Bearer $(cat '%s')\" %s/status\n", at[0].Secret, at[0].URL)
		fmt.Fprintln(out, "           its acts are in node/RUNBOOK.md")
	}
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
	fmt.Fprintf(out, "verify it yourself      go run ./tools/verify %s\n", exportOf(plan, s))
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

// words are what was typed: a plan, or the wish to see the faults' names.
type words struct {
	simulation.Plan
	list, serve, plain bool
	// report is the file of the day's page, empty for none; again is the command that plays the day again.
	report, again string
}

// parse reads the flags.
func parse(args []string, out io.Writer) (w words, err error) {
	fs := flag.NewFlagSet("testnet", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	p := &w.Plan
	commune := fs.Uint("commune", 0, "INS code of the commune (default: 21014, or that of --election)")
	fs.IntVar(&p.Bureaux, "bureaux", 0, "number of bureaux (default: the commune's)")
	fs.IntVar(&p.Electors, "electors", 0, "number of synthetic electors (default: the commune's)")
	fs.StringVar(&p.Register, "register", "", "CSV list of electors instead of synthetic ones")
	fs.StringVar(&p.Election, "election", "", "directory of an election prepared before")
	fs.DurationVar(&p.Day, "day", 45*time.Second, "wall time of the compressed poll")
	fs.Float64Var(&p.Turnout, "turnout", 0.8, "share of the electors who come")
	fs.Uint64Var(&p.Seed, "seed", 0, "replays arrivals, choices and faults (default: drawn, and printed)")
	faults := fs.String("faults", "default", "default, none, or names with commas; list prints them")
	weather(fs, p)
	fs.StringVar(&p.Anchor, "anchor", "", "URL of a C2SP tlog-witness instead of the built-in ADELE")
	fs.StringVar(&p.AnchorKey, "anchor-key", "", "its verifier key")
	fs.StringVar(&p.Out, "out", "testnet-out", "directory for summary.json, export and logs")
	fs.BoolVar(&p.PrepareOnly, "prepare-only", false, "make OUT/election and stop")
	fs.BoolVar(&w.serve, "serve", false, "keep the bureaux up after the day until Ctrl-C, and print their addresses and sign-in links")
	fs.BoolVar(&p.ByHand, "by-hand", false, "with --serve: no simulated day; the bureaux wait, unopened, at their screens")
	fs.BoolVar(&p.Processes, "processes", false, "every bureau its own operating-system process")
	fs.BoolVar(&w.plain, "plain", false, "plain lines on a terminal too, neither drawn nor coloured")
	fs.StringVar(&w.report, "report", "", "write a page with plots of the day to this HTML file")
	fs.StringVar(&p.Program, "program", "", "with --processes: the bureaux' built program (default: built from its source)")
	err = fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, "testnet plays a commune's polling day on this machine.\n\nFlags:")
		fs.SetOutput(out)
		fs.PrintDefaults()
		fmt.Fprintln(out, "\n"+examples)
		return w, err
	}
	if err != nil {
		return w, err
	}
	if fs.NArg() > 0 {
		return w, fmt.Errorf("unexpected word %q", fs.Arg(0))
	}
	if *faults == "list" {
		w.list = true
		return w, nil
	}
	given := map[string]string{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	for _, name := range []string{"commune", "bureaux", "electors", "register", "election", "anchor", "anchor-key", "out", "program", "report"} {
		if text, ok := given[name]; ok && (text == "" || text == "0") {
			return w, fmt.Errorf("--%s %q: give a value, or leave the flag out", name, text)
		}
	}
	if *commune > math.MaxUint32 {
		return w, fmt.Errorf("--commune %d: no commune of the Region has this INS code", *commune)
	}
	p.Commune = ledger.Commune(*commune)
	if _, ok := given["seed"]; !ok {
		p.Seed = 1 + rand.Uint64N(1<<31)
	}
	if p.Faults, err = simulation.FindScenarios(*faults); err != nil {
		return w, err
	}
	if w.serve {
		p.Serve = func(*simulation.Summary, []simulation.Served) {}
	}
	if w.again = again(fs, p.Seed); w.report != "" {
		if err := checkReport(w); err != nil {
			return w, err
		}
	}
	return w, p.Check()
}
