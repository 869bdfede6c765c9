package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node"
	"pointage/node/provenance"
	"pointage/tools/prepare/preparation"
)

// asProgram makes the test binary the program itself.
const asProgram = "POINTAGE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	switch program := os.Getenv(asProgram); program {
	case "":
		os.Exit(m.Run())
	case "prepare", "adele":
		os.Exit(other(program, os.Args[1:]))
	}
	main()
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
	if code, out, errs := said(); code != exitUsage || out != "" || !strings.Contains(errs, "pointage init") {
		t.Errorf("without a word: exit %d, %q, %q", code, out, errs)
	}
	oneLine(t, exitUsage, "unknown subcommand", "fly")
	oneLine(t, exitUsage, "not defined", "run", "--nope")
	oneLine(t, exitUsage, "unexpected word", "version", "now")
	oneLine(t, exitUsage, "no configuration file", "run", "--config", filepath.Join(dir, "none.toml"))
	oneLine(t, exitUsage, `unknown key "colour"`, "run", "--config", unknown)
	oneLine(t, exitUsage, "line 1", "status", "--config", broken)
	oneLine(t, exitUsage, "are needed", "init", "--dir", dir)
	if code, out, _ := said("version"); code != exitDone || !strings.HasPrefix(out, "pointage "+provenance.Version+"\n"+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+"\n") || !strings.Contains(out, "\nsha256 ") {
		t.Errorf("version: exit %d, %q", code, out)
	}
	for _, sub := range []string{"init", "run", "status", "export", "doctor", "version", "minutes", "lists", "paper"} {
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
		"--passphrase-file", filepath.Join(keys, preparation.PassphraseFile), "--dir", dir, "--listen", free(t), "--api", free(t), "--screens", free(t), "--mdns=false",
	}, dir
}

// free is an address below those that the system gives to outgoing connections, which other tests make all the time.
func free(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := net.JoinHostPort(loopback, strconv.Itoa(10_000+rand.IntN(22_000)))
		if _, given := given.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port on the loopback")
	return ""
}

var given sync.Map

// loopback is an address of this process's own, where the system has more than one: tests of other packages look for
// free ports at the same time.
var loopback = func() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}()

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
	if code, out, errs := said("doctor", "--config", config); code != exitDone || !strings.Contains(out, "fit for the poll") || !strings.Contains(out, "peers: the addresses of 0 of 2 other bureaux are known") {
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
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "sign in at http://127.") {
		t.Errorf("where the screens are: %q, %v", line, err)
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

func TestPapersAreDrawnInBothLanguages(t *testing.T) {
	flags, dir := prepared(t)
	config, out := filepath.Join(dir, "bureau.toml"), filepath.Join(dir, "papers")
	if code, _, errs := said(flags...); code != exitDone {
		t.Fatalf("init: exit %d, %s", code, errs)
	}
	oneLine(t, exitUsage, "no medium that is there has a paper list", "paper", "--config", config, "--out", out)
	oneLine(t, exitFault, "does not run", "minutes", "--config", config, "--out", out)
	c, _ := start(t, config)
	oneLine(t, exitUsage, "is no number of a bureau", "minutes", "--config", config, "--bureau", "x")
	oneLine(t, exitFault, "must be a bureau of this commune", "minutes", "--config", config, "--bureau", "9", "--out", out)
	oneLine(t, exitFault, "its minutes are recorded once it is closed", "minutes", "--config", config, "--record", "--out", out)
	for _, args := range [][]string{{"minutes"}, {"minutes", "--bureau", "0"}, {"lists", "--absent"}} {
		if code, _, errs := said(append(args, "--config", config, "--out", out)...); code != exitDone {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
	for _, name := range []string{"minutes-21014-bureau-001", "minutes-21014-commune", "paper-list-21014-bureau-001", "absent-electors-21014", "absent-members-21014"} {
		for _, end := range []string{"-fr.pdf", "-nl.pdf", "-fr.html", "-nl.html"} {
			if st, err := os.Stat(filepath.Join(out, name+end)); err != nil || st.Size() == 0 || st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", name+end, err)
			}
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}

func TestDataOfANewerProgramOrAnotherElectionIsRefusedBeforeThePassphrase(t *testing.T) {
	flags, dir := prepared(t)
	if code, _, errs := said(flags...); code != exitDone {
		t.Fatalf("init: %s", errs)
	}
	config := filepath.Join(dir, "bureau.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	asks := strings.Replace(string(text), "passphrase_file", "passphrase_file = \"\"\n#", 1)
	if err := os.WriteFile(config, []byte(asks), 0o600); err != nil {
		t.Fatal(err)
	}
	oneLine(t, exitUsage, "no passphrase", "run", "--config", config)
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, w := range map[string][2]string{
		"version": {"2\n", "use the program that wrote it"},
		"bureau":  {"manifest 00 commune 21014 bureau 1\n", "another bureau or election"},
	} {
		name := filepath.Join(data, file)
		if err := os.WriteFile(name, []byte(w[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		oneLine(t, exitUsage, w[1], "run", "--config", config)
		oneLine(t, exitUsage, w[1], "export", "--config", config, "--out", filepath.Join(dir, "export"))
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// replaced is flags with one value changed.
func replaced(flags []string, name, value string) []string {
	out := slices.Clone(flags)
	if i := slices.Index(out, name); i >= 0 {
		out[i+1] = value
		return out
	}
	return append(out, name, value)
}

func TestNonsenseForInitIsRefusedAndLeavesNothing(t *testing.T) {
	flags, dir := prepared(t)
	for name, values := range map[string][]string{
		"--listen":          {"junk", "", "1.2.3.4", "1.2.3.4:port", ":70000", "/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp/x"},
		"--api":             {"junk", "", "127.0.0.1:x", "0.0.0.0:8001", "127.0.0.1:70000"},
		"--screens":         {"junk", "127.0.0.1:x", "0.0.0.0:8002", "127.0.0.1:70000"},
		"--media":           {"disk", "disk,key1", "disk,key1,key1", "disk,key1,key2,key3"},
		"--bureau":          {"0", "-1", "9", "70000", "x"},
		"--commune":         {"0", "99999", "-1", "4294988310"},
		"--election":        {"", "nowhere"},
		"--keys":            {"", "nowhere", "."},
		"--passphrase-file": {"nowhere", "."},
	} {
		for _, value := range values {
			args := replaced(flags, name, value)
			code, out, errs := said(args...)
			if code != exitUsage || strings.Count(errs, "\n") != 1 || out != "" {
				t.Errorf("%s %q: exit %d, %q", name, value, code, errs)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "bureau.toml")); err == nil {
		t.Error("a configuration was written")
	}
	deep := filepath.Join(dir, "a", "b", "c")
	if code, _, _ := said(replaced(flags, "--dir", deep)...); code != exitUsage && code != exitFault {
		t.Errorf("init without keys: exit %d", code)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Errorf("%s is left", filepath.Join(dir, "a"))
	}
}

func TestInitThatFailsOnItsLastMediumLeavesNothingOnTheOthers(t *testing.T) {
	flags, dir := prepared(t)
	// The header of the third medium can't be written: the other two have theirs by then.
	inTheWay := filepath.Join(dir, "key2", "journal.head.new")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	oneLine(t, exitFault, "medium 2", flags...)
	for medium, want := range map[string]int{"disk": 0, "key1": 0, "key2": 1} {
		left, err := os.ReadDir(filepath.Join(dir, medium))
		if err != nil || len(left) != want {
			t.Errorf("%s: %v, %v", medium, left, err)
		}
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := said(flags...); code != exitDone {
		t.Errorf("init again: exit %d, %s", code, errs)
	}
}

func TestAFullDiskIsToldByItsPlace(t *testing.T) {
	err := whenFull(node.Config{Data: "/nowhere/data"}, fmt.Errorf("the journal has stopped: bring the keys to a spare machine (%w)", syscall.ENOSPC))
	if !strings.Contains(err.Error(), "is full: free some space") || strings.Contains(err.Error(), "spare") || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	other := errors.New("other")
	if got := whenFull(node.Config{}, other); got != other {
		t.Error(got)
	}
}

func TestAnExportThatCantBeWrittenNamesWhatWasAskedFor(t *testing.T) {
	err := unwritable("/media/stick/21014", errors.New("export: mkdir /media/stick/.export-123: permission denied"))
	if got := err.Error(); got != "/media/stick/21014 can't be written: name another directory with --out (permission denied)" {
		t.Error(got)
	}
	if other := errors.New("other"); unwritable("/x", other) != other {
		t.Error("another fault was changed")
	}
}
