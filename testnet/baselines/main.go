// Command baselines measures what etcd and PostgreSQL, three replicas each,
// make of the ledger's work: insertions of small values, fsync on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pointage/testnet/baselines/load"
	"pointage/testnet/baselines/systems"
)

// Exit codes; an interrupted command's is exitSignal plus the signal's number.
const (
	exitOK     = 0
	exitFault  = 1
	exitUsage  = 2
	exitSignal = 128
)

// maxRounds bounds the repetitions of run.
const maxRounds = 100

const usage = `baselines measures etcd and PostgreSQL, three replicas each, on this machine's loopback.

  baselines run     each system with each number of clients, in turn
  baselines outage  the leader or primary is killed under load: the longest gap in service
  baselines serve   one system, measured whenever standard input says so: "run CLIENTS SECONDS" a line; "quit" or its end ends

Example:  baselines run --clients 1,64,256 --duration 5s --json
Flags:    baselines run --help
`

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return "interrupted: " + i.signal.String() }

// usageError is a mistake in what was typed.
type usageError struct{ error }

func main() {
	systems.RunMember(os.Args)
	os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// command runs one command line to its end and returns its exit code.
func command(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	err := dispatch(ctx, args, stdin, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	var by interrupted
	if errors.As(context.Cause(ctx), &by) {
		err = by
	}
	fmt.Fprintln(stderr, "baselines: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	switch {
	case errors.As(err, &by):
		return exitSignal + int(by.signal)
	case errors.As(err, new(usageError)):
		return exitUsage
	}
	return exitFault
}

// untilSignal returns a context that the first signal cancels, with an
// interrupted as its cause.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// Taken and left unread: a broken standard output must fail a write, not end
	// this process with its children running. A killed server's connections
	// raise it too, so it interrupts nothing.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			cancel(interrupted{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		cancel(nil)
		<-done
	}
}

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError{errors.New("say what to do: run, outage or serve (baselines --help shows an example)")}
	}
	switch args[0] {
	case "run", "outage", "serve":
	case "-h", "-help", "--help", "help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return usageError{fmt.Errorf("unknown command %q: give run, outage or serve", args[0])}
	}
	o, err := parse(args[0], args[1:], stdout)
	if err != nil {
		return err
	}
	if systems.InMemory(o.dir) {
		fmt.Fprintf(stderr, "baselines: %s lies in memory, where fsync costs nothing: give --dir on a disk for figures that mean something\n", o.dir)
	}
	out := &printer{out: stdout, json: o.json}
	switch args[0] {
	case "run":
		return runAll(ctx, o, out)
	case "outage":
		return outageAll(ctx, o, out)
	default:
		return serve(ctx, o, stdin, out)
	}
}

// options are what the flags say; each command has its own part of them.
type options struct {
	only      string
	dir       string
	json      bool
	clients   []int
	duration  time.Duration
	rounds    int
	killAfter time.Duration
}

func parse(name string, args []string, stdout io.Writer) (options, error) {
	o := options{clients: []int{64}, rounds: 1}
	flags := flag.NewFlagSet("baselines "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.only, "only", "", "measure this system only: "+strings.Join(systems.Names(), " or "))
	flags.StringVar(&o.dir, "dir", os.TempDir(), "directory on the disk to measure; what is made in it is removed")
	flags.BoolVar(&o.json, "json", false, "print one JSON object a line")
	setClients := func(s string) (err error) { o.clients, err = parseClients(s); return err }
	switch name {
	case "run":
		o.clients = []int{1, 64, 256}
		flags.Func("clients", "numbers of concurrent clients (default 1,64,256)", setClients)
		flags.DurationVar(&o.duration, "duration", 5*time.Second, "length of each measurement")
		flags.IntVar(&o.rounds, "rounds", 1, "how often everything is measured, the systems taking turns")
	case "outage":
		flags.Func("clients", "numbers of concurrent clients (default 64)", setClients)
		flags.DurationVar(&o.duration, "duration", 15*time.Second, "length of the window, measured from the first insertion")
		flags.DurationVar(&o.killAfter, "kill-after", 5*time.Second, "when the leader is killed")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, "%s\nbaselines %s:\n", usage, name)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return options{}, err
	} else if err != nil {
		return options{}, usageError{fmt.Errorf("%w (baselines %s --help lists the flags)", err, name)}
	}
	if flags.NArg() > 0 {
		return options{}, usageError{fmt.Errorf("%q is no flag of %s (baselines %s --help lists them)", flags.Arg(0), name, name)}
	}
	if err := o.check(name); err != nil {
		return options{}, usageError{err}
	}
	return o, nil
}

func parseClients(s string) ([]int, error) {
	var numbers []int
	for field := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > load.MaxClients {
			return nil, fmt.Errorf("%q is no number from 1 to %d", field, load.MaxClients)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func (o options) check(name string) error {
	if o.only != "" && o.only != systems.Etcd && o.only != systems.PostgreSQL {
		return fmt.Errorf("--only %s: give %s", o.only, strings.Join(systems.Names(), " or "))
	}
	if info, err := os.Stat(o.dir); err != nil || !info.IsDir() {
		return fmt.Errorf("--dir %s is no directory: make it or give another", o.dir)
	}
	if name == "serve" {
		if o.only == "" {
			return fmt.Errorf("serve keeps one system: give --only %s", strings.Join(systems.Names(), " or --only "))
		}
		return nil
	}
	if o.duration <= 0 || o.duration > load.MaxDuration {
		return fmt.Errorf("--duration %s: give more than 0 and at most %s", o.duration, load.MaxDuration)
	}
	if o.rounds < 1 || o.rounds > maxRounds {
		return fmt.Errorf("--rounds %d: give 1 to %d", o.rounds, maxRounds)
	}
	if name == "outage" && (o.killAfter <= 0 || o.killAfter >= o.duration) {
		return fmt.Errorf("--kill-after %s lies outside the window of %s", o.killAfter, o.duration)
	}
	return nil
}

// The kinds of lines that are printed.
type (
	runLine struct {
		System  string `json:"system"`
		Version string `json:"version"`
		load.Result
	}
	outageLine struct {
		System  string `json:"system"`
		Version string `json:"version"`
		load.Outage
	}
	missingLine struct {
		System  string `json:"system"`
		Missing string `json:"missing"`
	}
	readyLine struct {
		System  string `json:"system"`
		Version string `json:"version"`
		Ready   bool   `json:"ready"`
	}
	errorLine struct {
		System string `json:"system"`
		Error  string `json:"error"`
	}
)

func (l runLine) String() string {
	return fmt.Sprintf("%-10s %-8s %3d clients: %7.0f insertions/s (%d in %.2f s); p50 %.2f ms, p99 %.2f ms, longest %.2f ms",
		l.System, l.Version, l.Clients, l.PerSecond, l.Ops, l.Seconds, l.P50, l.P99, l.Max)
}

func (l outageLine) String() string {
	end := "served again"
	if !l.Recovered {
		end = "nobody served until the end"
	}
	return fmt.Sprintf("%-10s %-8s %3d clients, killed at %.1f s of %.1f s: nobody served for %.0f ms, one client waited %.0f ms; %s (%d insertions)",
		l.System, l.Version, l.Clients, l.Killed, l.Seconds, l.LongestGap, l.LongestWait, end, l.Ops)
}

func (l missingLine) String() string { return fmt.Sprintf("%-10s missing: %s", l.System, l.Missing) }

func (l readyLine) String() string { return fmt.Sprintf("%-10s %-8s ready", l.System, l.Version) }

func (l errorLine) String() string { return fmt.Sprintf("%-10s error: %s", l.System, l.Error) }

// printer writes one line a result, as JSON or for people.
type printer struct {
	out  io.Writer
	json bool
}

func (p *printer) print(line fmt.Stringer) error {
	text := []byte(line.String())
	if p.json {
		var err error
		if text, err = json.Marshal(line); err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
	}
	if _, err := p.out.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}
