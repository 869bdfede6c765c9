package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/node/anchor/anchortest"
	"pointage/tools/adele/platform"
)

const origin = "rehearsal/21014/epoch-0"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"adele": func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// A process is an adele of its own, which the test may kill.
type process struct {
	command *exec.Cmd
	url     string
	stderr  bytes.Buffer
}

func prepare(t *testing.T, log *anchortest.Log) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("adele", "keygen", "--name", "adele.example/witness", "--key", filepath.Join(dir, "key")).CombinedOutput(); err != nil {
		t.Fatalf("keygen: %v %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "log.vkey"), []byte(log.VKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func arguments(dir, listen string) []string {
	return []string{
		"serve", "--listen", listen, "--dir", filepath.Join(dir, "data"), "--key", filepath.Join(dir, "key"), "--logs", filepath.Join(dir, "log.vkey"),
	}
}

func start(t *testing.T, dir string) *process {
	t.Helper()
	p := &process{command: exec.Command("adele", arguments(dir, "127.0.0.1:0")...)}
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.command.Stderr = &p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.command.ProcessState == nil {
			_ = p.command.Process.Kill()
			_ = p.command.Wait()
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, rest, ok := strings.Cut(line, "http://"); err == nil && ok {
		address, _, _ := strings.Cut(rest, " ")
		p.url = "http://" + address
		return p
	}
	_ = p.command.Wait()
	t.Fatalf("adele did not start: %q %v %s", line, err, &p.stderr)
	return nil
}

// end waits for the process and returns its exit code, -1 for a signal.
func (p *process) end(t *testing.T, signal os.Signal) int {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.command.ProcessState.ExitCode()
}

func (p *process) held(t *testing.T) platform.LogStatus {
	t.Helper()
	answer, err := http.Get(p.url + "/checkpoints/" + origin)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var page platform.Page
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return *page.Log
}

// submit posts log's checkpoint and returns the status and the body.
func submit(client *http.Client, url string, log *anchortest.Log, old, size int64) (int, string, error) {
	proof, err := log.Prove(context.Background(), uint64(old), uint64(size))
	if err != nil {
		return 0, "", err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, hash := range proof {
		fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(hash[:]))
	}
	body.WriteString("\n")
	body.Write(log.Checkpoint(size))
	answer, err := client.Post(url+"/add-checkpoint", "text/plain", &body)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(raw), err
}

// A race sends two branches of one log to one witness until it is killed.
type race struct {
	mu       sync.Mutex
	cosigned map[int64]tlog.Hash // every cosignature that a submitter received
	left     atomic.Int64        // cosignatures until enough is closed
	enough   chan struct{}
}

func (r *race) run(t *testing.T, url string, log *anchortest.Log, old int64) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for size := old + 1; size < log.Size(); size = old + 1 {
		status, text, err := submit(client, url, log, old, size)
		if err != nil {
			return // killed
		}
		switch status {
		case http.StatusOK:
			r.mu.Lock()
			if root, ok := r.cosigned[size]; ok && root != log.Root(size) {
				t.Errorf("size %d was cosigned with two roots", size)
			}
			r.cosigned[size] = log.Root(size)
			r.mu.Unlock()
			if r.left.Add(-1) == 0 {
				close(r.enough)
			}
			old = size
		case http.StatusConflict:
			if _, err := fmt.Sscan(text, &old); err != nil {
				return // the other branch has won
			}
		case http.StatusUnprocessableEntity:
			return // the other branch has won
		default:
			t.Errorf("answer %d %q", status, text)
			return
		}
	}
}

func TestKilledWitnessNeverCosignsTwoForks(t *testing.T) {
	current := anchortest.NewLog(t, origin, 1)
	dir := prepare(t, current)
	r := &race{cosigned: map[int64]tlog.Hash{}}
	var size int64
	for round := range int64(6) {
		p := start(t, dir)
		if got := p.held(t).Size; got < size {
			t.Fatalf("round %d: the witness remembers %d, it cosigned %d", round, got, size)
		}
		size = p.held(t).Size
		branches := []*anchortest.Log{current.Fork(size, 400), current}
		current.Grow(400, fmt.Sprint(" of round ", round))
		r.left.Store(4 + 3*round)
		r.enough = make(chan struct{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { r.run(t, p.url, branches[i%2], size) })
		}
		select {
		case <-r.enough:
		case <-time.After(20 * time.Second):
			t.Fatalf("round %d: no cosignatures", round)
		}
		if code := p.end(t, syscall.SIGKILL); code != -1 {
			t.Fatalf("round %d: the witness was not killed but ended with %d", round, code)
		}
		wg.Wait()

		p = start(t, dir)
		held := p.held(t)
		for cosigned := range r.cosigned {
			size = max(size, cosigned)
		}
		if held.Size < size {
			t.Fatalf("round %d: the witness remembers %d, it cosigned %d", round, held.Size, size)
		}
		if held.Root == branches[0].Root(held.Size).String() {
			current = branches[0]
		}
		if held.Root != current.Root(held.Size).String() {
			t.Fatalf("round %d: the witness holds a root of neither branch", round)
		}
		if code := p.end(t, syscall.SIGTERM); code != 0 {
			t.Fatalf("round %d: stopped with %d: %s", round, code, &p.stderr)
		}
	}
	for size, root := range r.cosigned {
		if root != current.Root(size) {
			t.Errorf("size %d was cosigned with a root of another branch", size)
		}
	}
	if len(r.cosigned) < 4 {
		t.Errorf("only %d checkpoints were cosigned", len(r.cosigned))
	}
	t.Logf("%d cosigned checkpoints over six kills, size %d", len(r.cosigned), size)
}

func TestDirectoryInUseAndPortTakenAreOneLine(t *testing.T) {
	log := anchortest.NewLog(t, origin, 5)
	dir := prepare(t, log)
	p := start(t, dir)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, listen := range map[string]string{
		"another platform has this directory open": "127.0.0.1:0",
		"another program listens on":               taken.Addr().String(),
	} {
		out, err := exec.Command("adele", arguments(dir, listen)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v %q", want, err, out)
		}
	}
	status, line, err := submit(http.DefaultClient, p.url, log, 0, 5)
	if err != nil || status != http.StatusOK {
		t.Errorf("the first one: %d %q %v", status, line, err)
	}
	http.DefaultClient.CloseIdleConnections()
	if code := p.end(t, os.Interrupt); code != 130 {
		t.Errorf("Ctrl-C ended with %d: %s", code, &p.stderr)
	}
}
