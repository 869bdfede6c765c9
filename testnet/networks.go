package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"pointage/testnet/simulation"
)

const networksExamples = `Examples:
  go run ./testnet networks                                 7 bureaux behind NATs, 40-160 ms each way, 1% lost
  go run ./testnet networks --bureaux 12 --electors 3000 --day 60s
  go run ./testnet networks --delay 10ms --loss 0

It needs root on Linux, /dev/net/tun and the program ip. Nothing of it is left when it ends.`

func init() { commands["networks"] = playNetworks }

// playNetworks plays a day of bureaux that stand in networks of their own.
func playNetworks(ctx context.Context, args []string, out, errs io.Writer) int {
	w, err := parseNetworks(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitHeld
	case err != nil:
		fmt.Fprintf(errs, "testnet networks: %v; see --help\n", err)
		return exitUsage
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return play(ctx, stop, w, out, errs)
}

func parseNetworks(args []string, out io.Writer) (w words, err error) {
	fs := flag.NewFlagSet("testnet networks", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	p := &w.Plan
	p.Networks, p.Turnout = true, 0.8
	fs.IntVar(&p.Bureaux, "bureaux", 7, "number of bureaux")
	fs.IntVar(&p.Electors, "electors", 1500, "number of synthetic electors")
	fs.DurationVar(&p.Day, "day", 60*time.Second, "wall time of the compressed poll")
	fs.Uint64Var(&p.Seed, "seed", 0, "replays arrivals, choices and faults (default: drawn, and printed)")
	fs.StringVar(&p.Out, "out", "testnet-out", "directory for summary.json, export and logs")
	fs.StringVar(&p.Program, "program", "", "the bureaux' built program (default: built from its source)")
	faults := fs.Bool("faults", true, "an address change, a pulled cable, and the relay's death, in mid-day")
	delay := fs.String("delay", "40ms-160ms", "one-way delay between sites, each packet its own")
	loss := fs.String("loss", "1%", "share of the packets between sites that are lost")
	err = fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, "testnet networks plays a day of bureaux behind NATs, in network namespaces.\n\nFlags:")
		fs.SetOutput(out)
		fs.PrintDefaults()
		fmt.Fprintln(out, "\n"+networksExamples)
		return w, err
	}
	if err != nil {
		return w, err
	}
	if fs.NArg() > 0 {
		return w, fmt.Errorf("unexpected word %q", fs.Arg(0))
	}
	if err := p.Delay(*delay); err != nil {
		return w, fmt.Errorf("--delay %w", err)
	}
	if err := p.Lose(*loss); err != nil {
		return w, fmt.Errorf("--loss %w", err)
	}
	if p.Seed == 0 {
		p.Seed = 1 + rand.Uint64N(1<<31)
	}
	if *faults {
		p.Faults = simulation.NetworkFaults
	}
	return w, p.Check()
}
