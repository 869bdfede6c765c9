package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/tools/adele/platform"
)

// regionOrder is what the command line says of the regional platform.
type regionOrder struct{ election, api, backups string }

func regionFlags(set *flag.FlagSet) *regionOrder {
	r := new(regionOrder)
	set.StringVar(&r.election, "election", "", "")
	set.StringVar(&r.api, "api", "", "")
	set.StringVar(&r.backups, "backups", "", "")
	return r
}

func (r *regionOrder) check() error {
	if (r.election == "") != (r.api == "") || r.backups != "" && r.api == "" {
		return fmt.Errorf("the regional platform needs both --election DIR and --api ADDRESS: %w", errUsage)
	}
	return nil
}

// serve serves the witness on its listener and, when asked for, the API beside it; the first of
// the two that ends ends the other.
func (r *regionOrder) serve(ctx context.Context, server *platform.Server, dir string, witness net.Listener, out io.Writer) error {
	if r.api == "" {
		return server.Serve(ctx, witness)
	}
	region, err := platform.OpenRegion(server, dir, platform.RegionOptions{Election: r.election, Backups: r.backups})
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", err, errUsage), witness.Close())
	}
	api, err := net.Listen("tcp", r.api)
	if err != nil {
		return errors.Join(fmt.Errorf("--api %s: %w: %w", r.api, err, errUsage), witness.Close())
	}
	fmt.Fprintf(out, "the regional platform answers on https://%s\npin %s\naccess log key %s\n", api.Addr(), region.Pin(), region.LogVKey())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- region.Serve(ctx, api)
	}()
	err = server.Serve(ctx, witness)
	stop()
	return errors.Join(err, <-ended)
}

// act is one command that works on a platform that is stopped.
type act struct {
	set           *flag.FlagSet
	dir, key      *string
	logs          paths
	region        *regionOrder
	out           string
	role, person  string
	number, vkey  string
	from          string
	seen          paths
	commune, days int
}

func newAct(name string) *act {
	a := &act{set: flag.NewFlagSet(name, flag.ContinueOnError)}
	a.dir, a.key = a.set.String("dir", "", ""), a.set.String("key", "", "")
	a.set.Var(&a.logs, "logs", "")
	a.region = regionFlags(a.set)
	switch name {
	case "code":
		a.set.StringVar(&a.role, "role", "", "")
		a.set.StringVar(&a.person, "person", "", "")
		a.set.StringVar(&a.number, "national-number", "", "")
		a.set.IntVar(&a.commune, "commune", 0, "")
		a.set.IntVar(&a.days, "days", 30, "")
	case "restore":
		a.set.StringVar(&a.from, "from", "", "")
		a.set.Var(&a.seen, "seen", "")
	case "export":
		a.set.IntVar(&a.commune, "commune", 0, "")
	case "log":
		a.set.StringVar(&a.vkey, "vkey", "", "")
	}
	if name != "code" && name != "restore" {
		a.set.StringVar(&a.out, "out", "", "")
	}
	return a
}

// regional runs code, backup, restore, export and log.
func regional(name string, args []string, out, errs io.Writer) error {
	a := newAct(name)
	if done, err := parse(a.set, args, out); done || err != nil {
		return err
	}
	if name == "log" && a.out == "" {
		return a.showLog(out)
	}
	if a.set.NArg() > 0 {
		return fmt.Errorf("%s is too much (adele --help): %w", a.set.Arg(0), errUsage)
	}
	if *a.dir == "" || *a.key == "" || len(a.logs) == 0 || a.region.election == "" && name != "restore" {
		return fmt.Errorf("%s needs --dir, --key, --logs and --election as serve has them: %w", name, errUsage)
	}
	options := platform.Options{Now: time.Now, Logger: slog.New(slog.NewTextHandler(errs, nil))}
	var err error
	if options.Key, err = readKey(*a.key); err == nil {
		options.Logs, err = platform.ReadLogs(a.logs...)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if name == "restore" {
		return a.restore(options, out)
	}
	return a.opened(options, func(region *platform.Region) error {
		switch name {
		case "code":
			return a.issue(region, out)
		case "backup":
			return a.made(out, region.Backup(a.out))
		case "export":
			return a.made(out, region.ExportLedger(ledger.Commune(a.commune), a.out))
		default:
			return a.made(out, region.ExportLog(a.out))
		}
	})
}

// opened opens the platform for one act, and nobody else.
func (a *act) opened(options platform.Options, do func(*platform.Region) error) error {
	server, err := platform.Open(*a.dir, options)
	if err != nil {
		return fmt.Errorf("--dir %s: %w: %w", *a.dir, err, errUsage)
	}
	region, err := platform.OpenRegion(server, *a.dir, platform.RegionOptions{Election: a.region.election})
	if err != nil {
		err = fmt.Errorf("%w: %w", err, errUsage)
	} else {
		err = do(region)
	}
	return errors.Join(err, server.Close())
}

func (a *act) made(out io.Writer, err error) error {
	if a.out == "" {
		return fmt.Errorf("name the new directory with --out DIR: %w", errUsage)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "written: %s\n", a.out)
	return err
}

func (a *act) issue(region *platform.Region, out io.Writer) error {
	order := platform.CodeOrder{Role: platform.Role(a.role), Person: a.person, Days: a.days, NationalNumber: a.number}
	if a.commune != 0 {
		order.Communes = []ledger.Commune{ledger.Commune(a.commune)}
	}
	code, err := region.IssueCode(order)
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	_, err = fmt.Fprintf(out, "%s\nvalid until %s; it is shown this once, for one person\n", code.Code, code.Expires.Format(time.DateOnly))
	return err
}

func (a *act) showLog(out io.Writer) error {
	if a.set.NArg() != 1 {
		return fmt.Errorf("log needs --out DIR and a platform, or the directory of a log: %w", errUsage)
	}
	dir := a.set.Arg(0)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	c, err := platform.VerifyLog(os.DirFS(dir), a.vkey, func(e *platform.LogEntry) {
		fmt.Fprintf(out, "%d %s %s %s %s %s\n", e.Position, e.At.Format(time.RFC3339), e.Actor, e.Act, e.Outcome, strings.TrimSpace(detail(e)))
	})
	if err != nil {
		return err
	}
	compared := "its key not compared"
	if a.vkey != "" {
		compared = "its key as given"
	}
	_, err = fmt.Fprintf(out, "holds: %d entries, root %v, %s\n", c.Size, c.Root, compared)
	return err
}

// detail is what an entry says beside who, when and what.
func detail(e *platform.LogEntry) string {
	var b strings.Builder
	if e.Commune != 0 {
		fmt.Fprintf(&b, " commune %d", e.Commune)
	}
	for _, part := range []string{string(e.Role), e.Why, e.Content} {
		if part != "" {
			b.WriteString(" " + part)
		}
	}
	if e.Count > 0 {
		fmt.Fprintf(&b, " count %d", e.Count)
	}
	return b.String()
}
