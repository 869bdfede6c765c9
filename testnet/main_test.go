package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/testnet/simulation"
)

// witness is a verifier key of nobody.
var witness = ledger.CosignerVKey("witness.example", make([]byte, 32))

func TestWrongWordsGetOneLineAndExitTwo(t *testing.T) {
	for _, words := range []string{
		"--nope", "--bureaux 500", "--bureaux 0", "--bureaux -1", "--electors 0", "--electors -5", "--electors 5", "--electors 200000",
		"--day 1ms", "--day 0s", "--day -5s", "--turnout 2", "--turnout -1", "--turnout NaN", "--turnout Inf", "--seed -1", "--seed x",
		"--faults earthquake", "--faults ,", "--faults=", "--faults leader-killed,leader-killed",
		"--commune 99999", "--commune 0", "--commune -1", "--commune 4294988310", "--out=", "--register=", "--election=", "--anchor= --anchor-key=",
		"--anchor http://127.0.0.1:1", "--anchor-key x", "--anchor http://127.0.0.1:1 --anchor-key x", "--anchor junk --anchor-key " + witness,
		"--anchor http://127.0.0.1:99999 --anchor-key " + witness, "--prepare-only --election x", "--prepare-only --serve", "--program x", "--processes --program nowhere",
		"--register nowhere.csv", "--register .", "--election nowhere", "--out /dev/null", "surplus", "--faults list surplus",
		"bench --clients x", "bench --duration 1h", "bench --rounds 0", "bench --parts all", "bench --nope",
	} {
		var out, errs bytes.Buffer
		code := answer(strings.Fields(words), &out, &errs)
		if code != exitUsage || strings.Count(errs.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q", words, code, errs.String())
		}
	}
}

func TestFaultsListNamesEachOnALine(t *testing.T) {
	var out, errs bytes.Buffer
	if code := answer([]string{"--faults", "list"}, &out, &errs); code != exitHeld {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(simulation.Scenarios) {
		t.Fatalf("%d lines for %d faults", len(lines), len(simulation.Scenarios))
	}
	for i, l := range lines {
		if strings.Fields(l)[0] != simulation.Scenarios[i].Name {
			t.Errorf("line %q does not begin with %s", l, simulation.Scenarios[i].Name)
		}
	}
}

func TestHelpHasAnExample(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"bench", "--help"}} {
		var out, errs bytes.Buffer
		if code := answer(args, &out, &errs); code != exitHeld || !strings.Contains(out.String(), "go run ./testnet") {
			t.Errorf("%v: exit %d, %q", args, code, out.String())
		}
	}
}

func TestProcessesOutsideTheRepositoryAreToldWhatIsNeeded(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errs bytes.Buffer
	code := answer(strings.Fields("--processes --bureaux 3 --electors 60"), &out, &errs)
	if code != exitUsage || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), "--program FILE") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAServingTestnetPrintsItsAddressesAndTheVerdict(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	c := exec.Command(os.Args[0], "--bureaux", "3", "--electors", "60", "--day", "1s", "--faults", "none", "--serve", "--out", dir)
	c.Env = append(os.Environ(), asProgram+"=1")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if lines.Text() == "every promise held" {
			break
		}
	}
	served, signIns := 0, 0
	for _, line := range said {
		if _, rest, ok := strings.Cut(line, "sign in at "); ok {
			at, _, _ := strings.Cut(rest, " ")
			if resp, err := http.Get(at + "sign-in"); err != nil || resp.StatusCode != http.StatusOK || resp.Body.Close() != nil {
				t.Errorf("%s: %v", line, err)
			}
			signIns++
			continue
		}
		_, rest, ok := strings.Cut(line, "http://")
		url, file, has := strings.Cut(rest, "  secret in ")
		if !ok || !has {
			continue
		}
		served++
		secret, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+url+"/status", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", line, resp.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if served != 3 || signIns != 3 {
		t.Errorf("%d bureaux and %d sign-in links in %q; %s", served, signIns, said, errs.String())
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("Ctrl-C: exit %d", code)
	}
	if _, err := os.Stat(filepath.Join(dir, "summary.json")); err != nil {
		t.Error(err)
	}
}

// asProgram makes the test binary the program itself.
const asProgram = "POINTAGE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}
