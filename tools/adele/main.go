// Command adele is the reference regional platform: it cosigns the communes'
// checkpoints and keeps them.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pointage/node/machine"
	"pointage/node/provenance"
	"pointage/tools/adele/platform"
)

const usage = `adele is the reference regional platform: a witness (C2SP tlog-witness v1.0.0)
that cosigns the communes' checkpoints, refuses forks and keeps what it was shown.

  adele keygen --name NAME --key FILE
        make a witness key: the secret one in FILE, the public one in FILE.vkey
  adele serve --listen 127.0.0.1:8460 --dir DIR --key FILE --logs FILE…
        answer on POST /add-checkpoint until Ctrl-C

--logs names prepared elections (directories with log.vkey files) or lists with one
vkey a line; it may be repeated, and may name several. An origin that ends in
/epoch-<n> stands for all ten epochs under its key.

With --election DIR (a prepared election) and --api 127.0.0.1:8461 serve is the regional
platform too: an HTTPS API for the roles of the decree (API.md); --backups DIR lets the
administration make copies there. The other commands work while it is stopped, and take
--dir, --key, --logs and --election as serve does:

  adele code --role ROLE --person NAME [--commune INS] [--days 30] [--national-number N] …
        give an access code: the administration's first one, which then gives the others
  adele backup --out DIR …           copy the platform, keys included
  adele restore --from BACKUP --dir DIR --key FILE --logs FILE… [--seen PATH…]
        put a copy back; --seen names checkpoints that were cosigned since (exports,
        anchors): the witness takes none back
  adele export --commune INS --out DIR …   a commune's ledger, for tools/verify
  adele log --out DIR …              the access log, as C2SP tlog-tiles
  adele log [--vkey VKEY] DIR        verify such a log and print it
  adele version                      what this program is, with its SHA-256

What it holds can be read: GET /logs, /checkpoint/<origin>, /checkpoints/<origin>,
/unsigned, /witness.vkey, /health.

Example:
  adele keygen --name adele.example/witness --key adele.key
  adele serve --dir adele-data --key adele.key --logs testnet-out/election
`

// maxKeyFile is the length of a file that holds one key, in bytes.
const maxKeyFile = 4 << 10

// errUsage marks what the person at the terminal can put right: exit code 2.
var errUsage = errors.New("wrong use")

func main() { os.Exit(run()) }

func run() int {
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, stopInterrupt := signal.NotifyContext(terminated, os.Interrupt)
	defer stopInterrupt()
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		if ctx.Err() != nil && terminated.Err() == nil {
			return 130 // Ctrl-C
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "adele:", strings.ReplaceAll(strings.TrimSuffix(err.Error(), ": "+errUsage.Error()), "\n", "; "))
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func command(ctx context.Context, args []string, out, errs io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("name a command, serve or keygen (adele --help): %w", errUsage)
	}
	switch args[0] {
	case "serve":
		return serve(ctx, args[1:], out, errs)
	case "keygen":
		return keygen(args[1:], out)
	case "code", "backup", "restore", "export", "log":
		return regional(args[0], args[1:], out, errs)
	case "version", "--version":
		return provenance.Print(out, "adele")
	case "help", "--help", "-help", "-h":
		_, err := io.WriteString(out, usage)
		return err
	default:
		return fmt.Errorf("unknown command %q: use serve or keygen (adele --help): %w", args[0], errUsage)
	}
}

// parse reads the flags of one command; done means that help was asked for and given.
func parse(set *flag.FlagSet, args []string, out io.Writer) (done bool, err error) {
	set.SetOutput(io.Discard)
	err = set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(out, usage)
		return true, err
	}
	if err != nil {
		return false, fmt.Errorf("%w (adele --help): %w", err, errUsage)
	}
	return false, nil
}

func keygen(args []string, out io.Writer) error {
	set := flag.NewFlagSet("keygen", flag.ContinueOnError)
	name := set.String("name", "", "")
	path := set.String("key", "", "")
	if done, err := parse(set, args, out); done || err != nil {
		return err
	}
	if *name == "" || *path == "" || set.NArg() > 0 {
		return fmt.Errorf("keygen needs --name NAME and --key FILE, nothing else: %w", errUsage)
	}
	skey, vkey, err := platform.GenerateKey(rand.Reader, *name)
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if err := writeNew(*path, skey+"\n", 0o600); err != nil {
		return err
	}
	if err := writeNew(*path+".vkey", vkey+"\n", 0o644); err != nil {
		// The public key can be had from the secret one, but a pair is what was asked for.
		return errors.Join(err, os.Remove(*path))
	}
	_, err = fmt.Fprintln(out, vkey)
	return err
}

// writeNew never overwrites: a lost key can't be made again.
func writeNew(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already, a key is never overwritten: name another file: %w", path, errUsage)
	}
	if err != nil {
		return fmt.Errorf("write key: %w: %w", err, errUsage)
	}
	_, err = io.WriteString(f, text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write key: %w", err), os.Remove(path))
	}
	return nil
}

// paths is a flag that may be repeated.
type paths []string

func (p *paths) String() string { return strings.Join(*p, " ") }

func (p *paths) Set(path string) error {
	*p = append(*p, path)
	return nil
}

func serve(ctx context.Context, args []string, out, errs io.Writer) error {
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	var logs paths
	listen := set.String("listen", "127.0.0.1:8460", "")
	dir := set.String("dir", "", "")
	key := set.String("key", "", "")
	verbose := set.Bool("verbose", false, "")
	set.Var(&logs, "logs", "")
	region := regionFlags(set)
	if done, err := parse(set, args, out); done || err != nil {
		return err
	}
	logs = append(logs, set.Args()...)
	if *dir == "" || *key == "" || len(logs) == 0 {
		return fmt.Errorf("serve needs --dir DIR, --key FILE and --logs FILE…: %w", errUsage)
	}
	for _, path := range logs {
		if strings.HasPrefix(path, "-") {
			return fmt.Errorf("%s stands after the files of --logs: put it before them: %w", path, errUsage)
		}
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	options := platform.Options{Now: time.Now, Logger: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))}
	var err error
	if options.Key, err = readKey(*key); err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if options.Logs, err = platform.ReadLogs(logs...); err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if err := region.check(); err != nil {
		return err
	}
	return answer(ctx, *listen, *dir, options, region, out)
}

// answer opens the port before the directory: a wrong address leaves nothing behind.
func answer(ctx context.Context, listen, dir string, options platform.Options, region *regionOrder, out io.Writer) error {
	listener, err := net.Listen("tcp", listen)
	if machine.IsTaken(err) {
		return fmt.Errorf("another program listens on %s: stop it or name another port with --listen: %w", listen, errUsage)
	}
	if err != nil {
		return fmt.Errorf("--listen %s: %w: %w", listen, err, errUsage)
	}
	server, err := platform.Open(dir, options)
	if err != nil {
		return errors.Join(fmt.Errorf("--dir %s: %w: %w", dir, err, errUsage), listener.Close())
	}
	fmt.Fprintf(out, "adele answers on http://%s for %d origins\nwitness key %s\n", listener.Addr(), len(options.Logs), server.VKey())
	err = region.serve(ctx, server, dir, listener, out)
	if err = errors.Join(err, server.Close()); err != nil {
		return err
	}
	fmt.Fprintln(out, "adele stopped")
	return nil
}

func readKey(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	if _, err := platform.VKey(string(raw)); err != nil {
		return "", fmt.Errorf("%s is %w", filepath.Base(path), err)
	}
	return string(raw), nil
}
