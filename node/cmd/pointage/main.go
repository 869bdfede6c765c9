// Command pointage is one bureau: it prepares its machine, runs the day, shows its
// state and exports what experts verify.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"pointage/node"
)

// The exit codes: done; a fault; wrong words or files; Ctrl-C.
const (
	exitDone        = 0
	exitFault       = 1
	exitUsage       = 2
	exitInterrupted = 130
)

const usage = `pointage is one polling station's electronic check-in.

  pointage init    --election DIR --commune 21014 --bureau 1 --keys FILE --dir DIR   prepare this machine
  pointage run     --config bureau.toml       open the media and serve the bureau until Ctrl-C
  pointage status  --config bureau.toml       how the running bureau stands
  pointage export  --config bureau.toml --out DIR   what experts verify (principal bureau or deputy)
  pointage replace --config bureau.toml --medium 2  a blank medium takes the place of a lost one
  pointage import  --config bureau.toml --bureau 12 --keys FILE --media A,B   the evening's keys (principal bureau or deputy)
  pointage settle  --config bureau.toml --keys FILE --media A,B   the media of the machine before were found
  pointage report  --config bureau.toml       double admissions, forks, gaps, with their records: the evening's reconciliation
  pointage minutes --config bureau.toml --record --out DIR   the minutes in both languages, recorded once the bureau is closed
  pointage lists   --config bureau.toml --absent --out DIR   the paper list; at the principal bureau the absent electors and members
  pointage paper   --config bureau.toml --out DIR   the paper list that lies on the media, when no machine serves any more
  pointage restore --config bureau.toml --from DIR   a machine that lost its ledger gets that of a backup or an export
  pointage amend   --config bureau.toml --act relabel --bureau 3 --place P --signatory A --signatory B   a change that two persons sign
  pointage recover --config bureau.toml --signatory A --signatory B   a group that lost its majority for good begins a new epoch
  pointage doctor  --config bureau.toml       is this machine fit for tomorrow?
  pointage version                            this program and its hash

Example:  pointage run --config bureau-001/bureau.toml
Each subcommand has --help.`

type command func(ctx context.Context, args []string, out io.Writer) error

var commands = map[string]command{
	"init": initialise, "run": run, "status": status, "export": export, "doctor": doctor, "version": version,
	"replace": replace, "import": importMedia, "settle": settle, "amend": amend, "report": report, "minutes": drawMinutes, "lists": drawLists, "paper": paper, "restore": restore, "recover": recoverGroup,
}

func main() { os.Exit(answer(os.Args[1:])) }

// answer runs one subcommand; whatever goes wrong is one line.
func answer(args []string) int {
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, usage)
		return exitUsage
	}
	if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
		fmt.Println(usage)
		return exitDone
	}
	c, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "pointage: unknown subcommand %q; see pointage --help\n", args[0])
		return exitUsage
	}
	ctx, stop := signalled()
	defer stop()
	err := c(ctx, args[1:], os.Stdout)
	var wrong usageError
	var input node.InputError
	switch {
	case errors.Is(context.Cause(ctx), errInterrupted) && (err == nil || errors.Is(err, context.Canceled)):
		return exitInterrupted
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "pointage %s: %v; see pointage %s --help\n", args[0], err, args[0])
		return exitUsage
	case errors.As(err, &input):
		fmt.Fprintf(os.Stderr, "pointage %s: %v\n", args[0], err)
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "pointage %s: %v\n", args[0], err)
	return exitFault
}

// errInterrupted is the cause of a context that Ctrl-C ended.
var errInterrupted = errors.New("interrupted")

// signalled is a context that SIGTERM or Ctrl-C ends; a second one ends the program at once.
func signalled() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == os.Interrupt {
				cancel(errInterrupted)
			}
			cancel(nil)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// usageError is a wrong word on the command line.
type usageError struct{ error }

// parse reads flags; it prints help itself and turns what is wrong into one line.
func parse(fs *flag.FlagSet, args []string, example string) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Printf("Usage of pointage %s:\n", fs.Name())
		fs.SetOutput(os.Stdout)
		fs.PrintDefaults()
		fmt.Println("Example:  " + example)
		return err
	}
	if err != nil {
		return usageError{err}
	}
	if fs.NArg() > 0 {
		return usageError{fmt.Errorf("unexpected word %q", fs.Arg(0))}
	}
	return nil
}
