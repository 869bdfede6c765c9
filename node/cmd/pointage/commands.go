package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"pointage/ledger"
	"pointage/node"
	"pointage/node/machine"
	"pointage/node/provenance"
)

// initialise formats the media and writes the configuration.
func initialise(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("init", flag.ContinueOnError)
	var cfg node.Config
	dir := fs.String("dir", ".", "the bureau's directory, made if missing")
	fs.StringVar(&cfg.Election, "election", "", "directory of the prepared election")
	commune := fs.Uint("commune", 0, "INS code of the commune")
	bureau := fs.Uint("bureau", 0, "number of the bureau")
	fs.StringVar(&cfg.Keys, "keys", "", "the bureau's sealed keys file")
	fs.StringVar(&cfg.PassphraseFile, "passphrase-file", "", "file with the passphrase; asked for when absent")
	media := fs.String("media", "disk,key1,key2", "the disk's and the two keys' directories, under --dir when relative")
	listen := fs.String("listen", "0.0.0.0:4001", "address to be reached at, host:port")
	fs.StringVar(&cfg.API, "api", "127.0.0.1:8001", "loopback address of the bureau's own interface")
	fs.StringVar(&cfg.Screens, "screens", "127.0.0.1:8002", "loopback address of the bureau's screens; empty for none")
	fs.BoolVar(&cfg.MDNS, "mdns", true, "look for the other bureaux on the same site")
	if err := parse(fs, args, "pointage init --election out/election --commune 21014 --bureau 1 --keys keys.age --dir bureau-001"); err != nil {
		return err
	}
	if cfg.Election == "" || *commune == 0 || *bureau == 0 || cfg.Keys == "" {
		return usageError{errors.New("--election, --commune, --bureau and --keys are needed")}
	}
	if *commune > math.MaxUint32 || *bureau > math.MaxUint16 {
		return usageError{fmt.Errorf("no election has bureau %d of commune %d", *bureau, *commune)}
	}
	for _, p := range []*string{&cfg.Election, &cfg.Keys, &cfg.PassphraseFile} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	cfg.Commune, cfg.Bureau = ledger.Commune(*commune), ledger.BureauNumber(*bureau)
	cfg.Media, cfg.Listen, cfg.Data = strings.Split(*media, ","), []string{*listen}, "data"
	pass, err := passphrase(ctx, cfg.PassphraseFile)
	if err != nil {
		return err
	}
	if err := node.Init(*dir, cfg, pass, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	fmt.Fprintf(out, "bureau %d of commune %d is ready: pointage run --config %s\n", cfg.Bureau, cfg.Commune, filepath.Join(*dir, node.ConfigFile))
	return nil
}

// maxPassphrase is the length of a passphrase with the white space around it, in bytes.
const maxPassphrase = 4096

// credential is the file of the passphrase that systemd hands to a service (systemd.exec, "Credentials"); "" when it hands none.
func credential() string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	file := filepath.Join(dir, "passphrase")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return ""
	}
	return file
}

// passphrase reads the file or systemd's credential, or asks at the terminal without showing what is typed.
func passphrase(ctx context.Context, file string) (string, error) {
	if file = cmp.Or(file, credential()); file != "" {
		b, err := os.ReadFile(file)
		if err == nil && len(b) > maxPassphrase {
			err = fmt.Errorf("%s has %d bytes, a passphrase has at most %d", file, len(b), maxPassphrase)
		}
		if err != nil {
			return "", node.InputError{Err: fmt.Errorf("read the passphrase: %w", err)}
		}
		return strings.TrimSpace(string(b)), nil
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, maxPassphrase)).ReadString('\n')
		if err != nil && line == "" {
			return "", node.InputError{Err: errors.New("no passphrase: type it, or name its file with passphrase_file")}
		}
		return strings.TrimSpace(line), nil
	}
	was, err := term.GetState(stdin)
	if err != nil {
		return "", fmt.Errorf("ask for the passphrase: %w", err)
	}
	fmt.Fprint(os.Stderr, "Passphrase of the president: ")
	defer fmt.Fprintln(os.Stderr)
	typed := make(chan error, 1)
	var b []byte
	go func() { // ends with the program: nothing ends a read at a terminal
		var err error
		b, err = term.ReadPassword(stdin)
		typed <- err
	}()
	select {
	case err := <-typed:
		return strings.TrimSpace(string(b)), err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(stdin, was))
	}
}

// configured reads --config, and whatever other flags the subcommand has.
func configured(fs *flag.FlagSet, args []string, example string) (node.Config, error) {
	file := fs.String("config", node.ConfigFile, "the bureau's configuration")
	if err := parse(fs, args, example); err != nil {
		return node.Config{}, err
	}
	return node.LoadConfig(*file)
}

// run is a bureau's day.
func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	tablets := fs.String("listen", "", "address on the bureau's own network at which tablets get the screens, encrypted: host:port")
	cfg, err := configured(fs, args, "pointage run --config bureau-001/bureau.toml --listen 192.168.1.10:8443")
	if err != nil {
		return err
	}
	if *tablets != "" {
		if _, _, err := net.SplitHostPort(*tablets); err != nil {
			return usageError{fmt.Errorf("--listen %q is not host:port", *tablets)}
		}
		cfg.Tablets = *tablets
	}
	if err := node.CheckData(cfg); err != nil {
		return err
	}
	pass, err := passphrase(ctx, cfg.PassphraseFile)
	if err != nil {
		return err
	}
	program, err := provenance.Running()
	if err != nil {
		return err
	}
	// A station shares its machine with a browser: memory counts more than the last core.
	debug.SetGCPercent(50)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	n, err := node.Start(cfg, node.Options{Passphrase: pass, Program: program.SHA256, Logger: log})
	if err != nil {
		return whenFull(cfg, err)
	}
	addr, _ := n.API()
	// What opening took (scrypt, the register's decoding) goes back to the system.
	debug.FreeOSMemory()
	fmt.Fprintf(out, "bureau %d of commune %d serves at http://%s\n", cfg.Bureau, cfg.Commune, addr)
	if at := n.Screens(); at != "" {
		fmt.Fprintf(out, "sign in at %s\n", at)
	}
	if at, fingerprint := n.Tablets(); at != "" {
		fmt.Fprintf(out, "tablets sign in at %s  accept its certificate only with this SHA-256 fingerprint: %s\n", at, fingerprint)
	}
	<-ctx.Done()
	if err := n.Close(); err != nil {
		return fmt.Errorf("close the bureau: %w", whenFull(cfg, err))
	}
	fmt.Fprintln(out, "closed cleanly")
	return nil
}

// whenFull says where to free space when a full disk is behind err.
func whenFull(cfg node.Config, err error) error {
	if !machine.IsFull(err) {
		return err
	}
	var full []string
	for _, dir := range append([]string{filepath.Dir(cfg.Data)}, cfg.Media...) {
		if free, err := machine.Free(dir); err == nil && free < littleSpace {
			full = append(full, dir)
		}
	}
	if len(full) == 0 {
		full = []string{"the data or of a medium"}
	}
	return fmt.Errorf("the disk of %s is full: free some space there and start again; what had a light is recorded (%w)", strings.Join(full, ", "), syscall.ENOSPC)
}

// littleSpace is what a disk has left that is as good as full, in bytes.
const littleSpace = 16 << 20

// answerWithin is longer than any act of the interface takes.
const answerWithin = 11 * time.Minute

// maxReply is the length of an answer, in bytes: a report names every finding.
const maxReply = 64 << 20

// ask sends one act to the running bureau.
func ask(ctx context.Context, cfg node.Config, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	reply, err := request(ctx, cfg, method, path, body, maxReply)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply, out)
}

// request sends something to the running bureau and reads an answer of at most a length; a refusal is an error.
func request(ctx context.Context, cfg node.Config, method, path string, body []byte, most int64) ([]byte, error) {
	token, err := os.ReadFile(filepath.Join(cfg.Data, node.TokenFile))
	if err != nil {
		return nil, errNotRunning
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+cfg.API+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	client := http.Client{Timeout: answerWithin}
	resp, err := client.Do(req)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, errNotRunning
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(reply)) > most {
		err = fmt.Errorf("the bureau's answer has more than %d bytes", most)
	}
	if resp.StatusCode != http.StatusOK {
		var p struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(reply, &p) != nil || p.Error == "" {
			p.Error = resp.Status
		}
		return nil, errors.New(p.Error)
	}
	return reply, err
}

var errNotRunning = errors.New("the bureau does not run: start it with pointage run")

func status(ctx context.Context, args []string, out io.Writer) error {
	cfg, err := configured(flag.NewFlagSet("status", flag.ContinueOnError), args, "pointage status --config bureau-001/bureau.toml")
	if err != nil {
		return err
	}
	var s node.Status
	if err := ask(ctx, cfg, http.MethodGet, "/status", struct{}{}, &s); err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// export asks the running bureau, or reads the directories of one that is stopped.
func export(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("export", flag.ContinueOnError)
	dir := fs.String("out", "", "directory to write the export to, new or an older export")
	cfg, err := configured(fs, args, "pointage export --config bureau-001/bureau.toml --out export/21014")
	if err != nil {
		return err
	}
	if *dir == "" {
		return usageError{errors.New("--out is needed")}
	}
	abs, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	if err := node.CheckData(cfg); err != nil {
		return err
	}
	err = ask(ctx, cfg, http.MethodPost, "/export", map[string]string{"dir": abs}, &struct{}{})
	if errors.Is(err, errNotRunning) {
		err = node.ExportStopped(cfg, abs)
	}
	if err != nil {
		return unwritable(abs, err)
	}
	fmt.Fprintf(out, "exported to %s: go run ./tools/verify %s\n", abs, abs)
	return nil
}

// unwritable names the directory that was asked for in place of the one beside it, in which an
// export is written before it gets its name.
func unwritable(dir string, err error) error {
	text := err.Error()
	if !strings.Contains(text, "/.export-") {
		return err
	}
	return fmt.Errorf("%s can't be written: name another directory with --out (%s)", dir, text[strings.LastIndex(text, ": ")+2:])
}

// doctor looks at a stopped machine; anything unfit is exit 1.
func doctor(ctx context.Context, args []string, out io.Writer) error {
	cfg, err := configured(flag.NewFlagSet("doctor", flag.ContinueOnError), args, "pointage doctor --config bureau-001/bureau.toml")
	if err != nil {
		return err
	}
	pass, err := passphrase(ctx, cfg.PassphraseFile)
	if err != nil {
		return err
	}
	unfit := 0
	for _, f := range node.Doctor(ctx, cfg, pass) {
		mark := "ok  "
		if !f.OK {
			mark, unfit = "BAD ", unfit+1
		}
		fmt.Fprintln(out, mark, f.What)
	}
	if unfit > 0 {
		return fmt.Errorf("%d things to put right before the poll", unfit)
	}
	fmt.Fprintln(out, "fit for the poll")
	return nil
}

func version(_ context.Context, args []string, out io.Writer) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args, "pointage version"); err != nil {
		return err
	}
	return provenance.Print(out, "pointage")
}
