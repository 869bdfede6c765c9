// Command release builds all programs of this repository for the systems that they are meant for, such that anybody gets
// the same bytes, and packs the bureau's program for Debian.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pointage/node/provenance"
)

const usage = `release builds every program of this repository for every system, and writes their SHA-256.

  go run ./tools/release --out DIR [flags]        in the repository's directory, or in a source archive of it

  --out DIR        where to: made anew; an earlier release there is replaced, anything else is left alone
  --targets LIST   systems, with commas between; without it: ` + allTargets + `
  --check          build everything a second time, elsewhere and with an empty build cache, and compare
  --deb            Debian packages of the bureau's program too, for the Linux targets

In a repository the last commit is built, whatever was changed since. The same sources and the same
Go (named in DIR/BUILD) give the same bytes on every machine: compare SHA256SUMS.

Exit code 0: built, and with --check the same twice; 1: not; 2: wrong words or a missing tool; 130: Ctrl-C.

Example:  go run ./tools/release --out dist --targets linux/amd64 --check --deb
`

// Exit codes.
const (
	exitDone        = 0
	exitFault       = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is what whoever typed the command can put right.
type usageError struct{ error }

func main() { os.Exit(answer(os.Args[1:], os.Stdout, os.Stderr)) }

func answer(args []string, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return exitDone
	}
	if err == nil {
		err = release(ctx, w, out)
	}
	var wrong usageError
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "release: interrupted; nothing is left behind")
		return exitInterrupted
	case errors.As(err, &wrong):
		fmt.Fprintf(errs, "release: %v; see --help\n", err)
		return exitUsage
	}
	fmt.Fprintf(errs, "release: %s\n", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	return exitFault
}

// words are what was asked on the command line.
type words struct {
	out        string
	targets    []target
	check, deb bool
}

func parse(args []string) (w words, err error) {
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&w.out, "out", "", "")
	targets := f.String("targets", allTargets, "")
	f.BoolVar(&w.check, "check", false, "")
	f.BoolVar(&w.deb, "deb", false, "")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return w, err
		}
		return w, usageError{err}
	}
	switch {
	case f.NArg() > 0:
		return w, usageError{fmt.Errorf("unexpected word %q", f.Arg(0))}
	case w.out == "":
		return w, usageError{errors.New("--out is needed: a directory to be made")}
	}
	for t := range strings.SplitSeq(*targets, ",") {
		if !slices.Contains(strings.Split(allTargets, ","), t) {
			return w, usageError{fmt.Errorf("--targets has %q; these are built: %s", t, allTargets)}
		}
		w.targets = append(w.targets, target(t))
	}
	if w.deb && !slices.ContainsFunc(w.targets, target.linux) {
		return w, usageError{errors.New("--deb needs a Linux target")}
	}
	w.out, err = filepath.Abs(w.out)
	return w, err
}

// release builds into a directory beside w.out, which takes its place at the end: an interrupted run leaves nothing.
func release(ctx context.Context, w words, out io.Writer) error {
	if err := mayReplace(w.out); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pointage-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	src, err := takeSources(ctx, ".", filepath.Join(work, "first"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "version %s, sources %s (%s)\n", provenance.Version, src.hash, src.from)
	staged := w.out + ".new"
	if err := os.RemoveAll(staged); err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	b := builder{src: src, targets: w.targets, deb: w.deb, say: out}
	if err := b.all(ctx, src.dir, staged, ""); err != nil {
		return err
	}
	if w.check {
		again, elsewhere := filepath.Join(work, "again"), filepath.Join(work, "elsewhere", "second")
		if err := copyTree(src.dir, elsewhere); err != nil {
			return err
		}
		fmt.Fprintln(out, "once more, elsewhere and with an empty build cache")
		if err := b.all(ctx, elsewhere, again, filepath.Join(work, "cache")); err != nil {
			return err
		}
		if err := same(staged, again); err != nil {
			return err
		}
		fmt.Fprintln(out, "both are the same, byte for byte")
	}
	sums, err := b.write(ctx, staged)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(w.out), os.Rename(staged, w.out)); err != nil {
		return err
	}
	_, err = io.WriteString(out, sums)
	return err
}

// mayReplace says whether a release may stand at dir: nothing does, or an earlier one.
func mayReplace(dir string) error {
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && len(names) == 0:
		return nil
	case err != nil:
		return usageError{fmt.Errorf("--out: %w", err)}
	}
	if _, err := os.Stat(filepath.Join(dir, buildFile)); err != nil {
		return usageError{fmt.Errorf("--out %s holds something that is no release: name another directory", dir)}
	}
	return nil
}
