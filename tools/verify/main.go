// Command verify replays the export of a commune's ledger and says whether it holds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/reconciliation"
	"pointage/node/provenance"
)

const usage = `verify replays the export of one commune's ledger, every signature, link, outcome and
tile of it, and says whether it holds. It needs nothing but the directory.

  verify [--manifest-hash HEX] [--json] DIR

  --manifest-hash HEX  the SHA-256 of the manifest that you trust (made public before the
                       day); without it the export is judged by the manifest that it brings,
                       whose hash is printed with "not compared"
  --json               one JSON object on one line instead of text
  --version            what this program is, with its SHA-256

The verdict is the last line. Exit code 0: it holds; 1: it does not, and the last line is the
first offence; 2: wrong arguments, or DIR can't be read; 130: Ctrl-C.

Example:
  go run ./tools/verify --manifest-hash 5f1c… testnet-out/export/21014
`

// Exit codes.
const (
	exitHolds       = 0
	exitOffence     = 1
	exitUnreadable  = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return command(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// options are what was asked on the command line.
type options struct {
	dir     string
	trusted *ledger.Hash
	json    bool
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("verify", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	hash := f.String("manifest-hash", "", "")
	f.BoolVar(&o.json, "json", false, "")
	var dirs []string
	// Flags may stand after the directory too.
	for {
		if err := f.Parse(args); err != nil {
			return o, err
		}
		if f.NArg() == 0 {
			break
		}
		dirs, args = append(dirs, f.Arg(0)), f.Args()[1:]
	}
	if len(dirs) != 1 {
		return o, fmt.Errorf("give one export directory, not %d; see --help", len(dirs))
	}
	o.dir = dirs[0]
	given := false
	f.Visit(func(f *flag.Flag) { given = given || f.Name == "manifest-hash" })
	if given {
		h, err := ledger.ParseHash(*hash)
		if err != nil {
			return o, fmt.Errorf("--manifest-hash: %w", err)
		}
		o.trusted = &h
	}
	return o, nil
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "--version" {
		if err := provenance.Print(stdout, "verify"); err != nil {
			fmt.Fprintf(stderr, "verify: %v\n", err)
			return exitUnreadable
		}
		return exitHolds
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitHolds
	}
	if err == nil {
		err = readable(o.dir)
	}
	if err != nil {
		fmt.Fprintf(stderr, "verify: %v\n", err)
		return exitUnreadable
	}
	r := verify(ctx, o, stderr)
	var offended *ledger.Offended
	code := exitHolds
	switch {
	case r.err == nil:
	case errors.Is(r.err, context.Canceled):
		fmt.Fprintln(stderr, "verify: interrupted; nothing is said about the export")
		return exitInterrupted
	case errors.As(r.err, &offended):
		code = exitOffence
	default:
		fmt.Fprintf(stderr, "verify: %v\n", r.err)
		return exitUnreadable
	}
	if o.json {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeText(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "verify: write the result: %v\n", err)
		return exitUnreadable
	}
	return code
}

// readable says why a directory can't be read at all.
func readable(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%w; give the directory of an export", err)
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s can't be read as a directory; give the directory of an export", dir)
	}
	return nil
}

// verify does the work; what it says is in the result, an offence as its err.
func verify(ctx context.Context, o options, stderr io.Writer) *result {
	dir := os.DirFS(o.dir)
	x, err := election.OpenExport(dir)
	r := &result{export: x, err: err, compared: o.trusted != nil, identified: identified{cards: map[admission]bool{}}}
	if x != nil && o.trusted != nil && x.Hash != *o.trusted {
		r.err = &ledger.Offended{Where: "file " + ledger.ManifestFile, Err: fmt.Errorf("its SHA-256 is %v, not the one that you trust", x.Hash)}
	}
	if r.err != nil {
		return r
	}
	progress, finish := bar(stderr)
	started, chains := time.Now(), reconciliation.NewUnion(x.Group)
	r.report, r.err = ledger.Verify(ctx, dir, x.Group, x.Epoch, ledger.Options{
		Workers: runtime.GOMAXPROCS(0), Progress: progress, Entry: func(ref uint64, e *ledger.Entry, b *ledger.Batch) {
			chains.Entry(ref, e, b)
			r.identified.entry(ref, e, b)
		},
	})
	if r.err == nil {
		r.err = emptyDirectory(dir)
	}
	if r.err == nil {
		r.chains = chains.Report()
	}
	r.took = time.Since(started)
	finish()
	return r
}

// emptyDirectory is the offence of a directory without a file: an export has none, and its files
// are known by then.
func emptyDirectory(dir fs.FS) error {
	found := ""
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		inside, err := fs.ReadDir(dir, name)
		if err == nil && len(inside) == 0 {
			found = name
			return fs.SkipAll
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list export: %w", err)
	}
	if found != "" {
		return &ledger.Offended{Where: "directory " + found, Err: errors.New("does not belong in an export: it is empty")}
	}
	return nil
}

// bar shows progress on a terminal, and nothing elsewhere or under NO_COLOR.
func bar(w io.Writer) (progress func(done, total uint64), finish func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("NO_COLOR") != "" {
		return nil, func() {}
	}
	var b *progressbar.ProgressBar
	progress = func(done, total uint64) {
		if b == nil {
			b = progressbar.NewOptions64(int64(total), progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("entries"),
				progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		}
		if b.GetMax64() != int64(total) {
			b.ChangeMax64(int64(total)) // the next epoch's
		}
		// A bar that can't be drawn is no reason to stop verifying.
		_ = b.Set64(int64(done))
	}
	return progress, func() {
		if b != nil {
			_ = b.Clear()
		}
	}
}
