package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/tools/prepare/preparation"
)

// asProgram makes the test binary the program itself.
const asProgram = "POINTAGE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	c.Stdin = strings.NewReader("")
	return c
}

// said runs the program to its end.
func said(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	c := program(args...)
	c.Stdout, c.Stderr = &o, &e
	_ = c.Run() // the exit code is what counts
	return c.ProcessState.ExitCode(), o.String(), e.String()
}

// oneLine is what people read when something is wrong.
func oneLine(t *testing.T, wantCode int, wants string, args ...string) {
	t.Helper()
	code, _, errs := said(args...)
	if code != wantCode || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, wants) {
		t.Errorf("pointage %v: exit %d, %q; want exit %d and one line with %q", args, code, errs, wantCode, wants)
	}
}

func TestWrongWordsGetOneLineAndExitTwo(t *testing.T) {
	dir := t.TempDir()
	unknown := filepath.Join(dir, "unknown.toml")
	broken := filepath.Join(dir, "broken.toml")
	for name, text := range map[string]string{unknown: "election = \"x\"\ncolour = \"red\"\n", broken: "election = \n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	oneLine(t, exitUsage, "unknown subcommand", "fly")
	oneLine(t, exitUsage, "not defined", "run", "--nope")
	oneLine(t, exitUsage, "unexpected word", "version", "now")
	oneLine(t, exitUsage, "no configuration file", "run", "--config", filepath.Join(dir, "none.toml"))
	oneLine(t, exitUsage, `unknown key "colour"`, "run", "--config", unknown)
	oneLine(t, exitUsage, "line 1", "status", "--config", broken)
	oneLine(t, exitUsage, "are needed", "init", "--dir", dir)
	for _, sub := range []string{"init", "run", "status", "export", "doctor", "version"} {
		if code, out, _ := said(sub, "--help"); code != exitDone || !strings.Contains(out, "Example:") {
			t.Errorf("%s --help: exit %d, %q", sub, code, out)
		}
	}
}

// prepared is a rehearsal of three bureaux, and bureau 1's flags for init.
func prepared(t *testing.T) (initFlags []string, dir string) {
	t.Helper()
	root := t.TempDir()
	var csv bytes.Buffer
	if err := preparation.Synthetic(&csv, 1, 21014, 60); err != nil {
		t.Fatal(err)
	}
	list, bad, err := preparation.Import(t.Context(), &csv, preparation.Rules{Commune: 21014})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if err := list.Divide(3); err != nil {
		t.Fatal(err)
	}
	if err := list.Number(ledger.Complement); err != nil {
		t.Fatal(err)
	}
	witness, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	vkey := ledger.CosignerVKey("adele.test/witness", witness)
	e := filepath.Join(root, "election")
	if _, err := preparation.Make(t.Context(), e, preparation.Order{
		Election: "test-2024", Policy: election.Strict, Where: election.FreeChoice, Method: ledger.Complement, Opens: 1, Closes: 2, Barrier: time.Second,
		Witnesses: []election.Witness{{VKey: vkey, URL: "http://127.0.0.1:1"}}, Groups: []preparation.Group{{List: list}}, Simulation: true,
	}); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(e, filepath.FromSlash(preparation.BureauDir(21014, 1)))
	dir = filepath.Join(root, "bureau")
	for _, m := range []string{"disk", "key1", "key2"} {
		if err := os.MkdirAll(filepath.Join(dir, m), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"init", "--election", e, "--commune", "21014", "--bureau", "1", "--keys", filepath.Join(keys, preparation.KeysFile),
		"--passphrase-file", filepath.Join(keys, preparation.PassphraseFile), "--dir", dir, "--listen", free(t), "--api", free(t), "--mdns=false",
	}, dir
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the bureau until it serves.
func start(t *testing.T, config string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	c := program("run", "--config", config)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "serves at") {
		t.Fatalf("run: %q, %v", line, err)
	}
	return c, lines
}

func TestABureauIsInitialisedRunKilledAndRunAgain(t *testing.T) {
	flags, dir := prepared(t)
	config := filepath.Join(dir, "bureau.toml")
	if code, _, errs := said(flags...); code != exitDone {
		t.Fatalf("init: exit %d, %s", code, errs)
	}
	oneLine(t, exitUsage, "initialised already", flags...)
	if code, out, errs := said("doctor", "--config", config); code != exitDone || !strings.Contains(out, "fit for the poll") {
		t.Errorf("doctor: exit %d, %s %s", code, out, errs)
	}
	oneLine(t, exitFault, "does not run", "status", "--config", config)

	c, _ := start(t, config)
	if code, out, errs := said("status", "--config", config); code != exitDone || !strings.Contains(out, `"bureau": 1`) {
		t.Errorf("status: exit %d, %s %s", code, out, errs)
	}
	oneLine(t, exitFault, "in use", "run", "--config", config)
	oneLine(t, exitFault, "nothing is anchored", "export", "--config", config, "--out", filepath.Join(dir, "export"))
	if err := c.Process.Kill(); err != nil { // kill -9
		t.Fatal(err)
	}
	_ = c.Wait()

	c, lines := start(t, config)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "closed cleanly") {
		t.Errorf("after SIGTERM: %q, %v", line, err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}

	c, _ = start(t, config)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("Ctrl-C: exit %d, want %d", code, exitInterrupted)
	}
}

func TestADataDirectoryOfANewerProgramIsRefused(t *testing.T) {
	flags, dir := prepared(t)
	if code, _, errs := said(flags...); code != exitDone {
		t.Fatalf("init: %s", errs)
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "version"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	oneLine(t, exitFault, "use the program that wrote it", "run", "--config", filepath.Join(dir, "bureau.toml"))
}
