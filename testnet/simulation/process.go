package simulation

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pointage/node"
	"pointage/testnet/networks"
)

const (
	// startTimeout is how long a process may take to serve.
	startTimeout = 60 * time.Second
	// stopTimeout is how long it may take to close cleanly.
	stopTimeout = 20 * time.Second
)

const (
	// programPackage is the bureaux' program, programFile its name when it is built here.
	programPackage = "pointage/node/cmd/pointage"
	programFile    = "pointage"
)

// canBuild says, before anything is written, what is missing for --processes.
func canBuild(ctx context.Context, program string) error {
	if program != "" {
		st, err := os.Stat(program)
		switch {
		case err != nil:
			return fmt.Errorf("--program: %w", err)
		case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
			return fmt.Errorf("--program %s is no program: give the file that go build %s makes", program, programPackage)
		}
		return nil
	}
	if err := exec.CommandContext(ctx, "go", "list", programPackage).Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("--processes builds the bureaux' program from its source: run testnet in the repository's directory with Go on PATH, or give the built one with --program FILE")
	}
	return ctx.Err()
}

// build compiles the program of the bureaux into dir, unless it is given.
func build(ctx context.Context, program, dir string) (string, error) {
	if program != "" {
		return filepath.Abs(program)
	}
	out := filepath.Join(dir, programFile)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, programPackage)
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the bureaux' program: %w: %s", err, bytes.ReplaceAll(bytes.TrimSpace(b), []byte("\n"), []byte("; ")))
	}
	return out, nil
}

// process runs the bureau as the program itself, spoken to through its interface.
type process struct {
	program, dir string
	config       node.Config
	log          *os.File
	place        *networks.Place // where it runs; nil for here

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	token  string
	client http.Client
}

func (p *process) Start(ctx context.Context) error {
	cmd := exec.Command(p.program, "run", "--config", filepath.Join(p.dir, node.ConfigFile))
	cmd.Stderr = p.log
	cmd.SysProcAttr = tied()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	start := cmd.Start
	if p.place != nil {
		start = func() error { return p.place.Inside(cmd.Start) }
	}
	if err := start(); err != nil {
		return fmt.Errorf("start the bureau's process: %w", err)
	}
	serving, exited := make(chan bool, 1), make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		serving <- lines.Scan()
		for lines.Scan() {
			continue
		}
		_ = cmd.Wait() // killed processes end with an error; what matters is that they end
		close(exited)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	up := false
	select {
	case up = <-serving:
	case <-timeout.C:
	case <-ctx.Done():
	}
	token, err := os.ReadFile(filepath.Join(p.dir, p.config.Data, node.TokenFile))
	if !up || err != nil {
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("the bureau's process did not come up: %s", lastLine(p.log.Name()))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.exited, p.token = cmd, exited, strings.TrimSpace(string(token))
	return nil
}

// end sends a signal and waits for the process, at the latest with SIGKILL.
func (p *process) end(s syscall.Signal) error {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-exited:
		return nil
	case <-time.After(stopTimeout):
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("the process did not end within %v of %v", stopTimeout, s)
	}
}

func (p *process) Stop() error { return p.end(syscall.SIGTERM) }
func (p *process) Kill() error { return p.end(syscall.SIGKILL) }

func (p *process) ask(ctx context.Context, method, path string, in, out any) error {
	p.mu.Lock()
	up, token := p.cmd != nil, p.token
	p.mu.Unlock()
	if !up {
		return errDown
	}
	return askAt(ctx, &p.client, p.config.API, token, method, path, in, out)
}

// askAt is one act at the interface of a bureau at an address.
func askAt(ctx context.Context, client *http.Client, addr, token, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(answer))
	}
	return json.Unmarshal(answer, out)
}

func (p *process) Open(ctx context.Context) error {
	return p.ask(ctx, http.MethodPost, "/open", struct{}{}, &struct{}{})
}

func (p *process) Close(ctx context.Context) error {
	return p.ask(ctx, http.MethodPost, "/close", struct{}{}, &struct{}{})
}

func (p *process) CheckIn(ctx context.Context, id node.Identification) (a node.Answer, err error) {
	err = p.ask(ctx, http.MethodPost, "/check-ins", id, &a)
	return a, err
}

func (p *process) Status(ctx context.Context) (s node.Status, err error) {
	err = p.ask(ctx, http.MethodGet, "/status", struct{}{}, &s)
	return s, err
}

func (p *process) Export(ctx context.Context, dir string) error {
	return p.ask(ctx, http.MethodPost, "/export", map[string]string{"dir": dir}, &struct{}{})
}

func (p *process) Import(ctx context.Context, from node.OldMedia) (*node.Imported, error) {
	var got node.Imported
	err := p.ask(ctx, http.MethodPost, "/imports", from, &got)
	return &got, err
}

func (p *process) Replace(ctx context.Context, member int) error {
	return p.ask(ctx, http.MethodPost, "/media", map[string]int{"replace": member}, &struct{}{})
}

func (p *process) Amend(ctx context.Context, a node.Amendment) (*node.Amended, error) {
	var got node.Amended
	err := p.ask(ctx, http.MethodPost, "/amendments", a, &got)
	return &got, err
}

func (p *process) Recover(ctx context.Context, signers []node.Signing) (*node.NextEpoch, error) {
	var got node.NextEpoch
	err := p.ask(ctx, http.MethodPost, "/epochs", map[string]any{"signers": signers}, &got)
	return &got, err
}

// maxTail is how much of a log's end is read for its last line, in bytes.
const maxTail = 4096

// lastLine is what a program said last in its log.
func lastLine(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxTail {
		_, _ = f.Seek(-maxTail, io.SeekEnd) // the beginning does as well
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTail))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if last := lines[len(lines)-1]; err == nil && last != "" {
		return last
	}
	return "it said nothing"
}
