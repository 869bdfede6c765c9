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
)

const (
	// startTimeout is how long a process may take to serve.
	startTimeout = 60 * time.Second
	// stopTimeout is how long it may take to close cleanly.
	stopTimeout = 20 * time.Second
)

// build compiles the program of the bureaux into dir.
func build(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(dir, "pointage")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "pointage/node/cmd/pointage")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the bureau's program: %w: %s", err, bytes.TrimSpace(b))
	}
	return out, nil
}

// process runs the bureau as the program itself, spoken to through its interface.
type process struct {
	program, dir string
	config       node.Config
	log          *os.File

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	token  string
	client http.Client
}

func (p *process) Start(ctx context.Context) error {
	cmd := exec.Command(p.program, "run", "--config", filepath.Join(p.dir, node.ConfigFile))
	cmd.Stderr = p.log
	// The bureaux end with the testnet, whatever ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
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
		return fmt.Errorf("the bureau's process did not come up; its log is %s", p.log.Name())
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
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.config.API+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.client.Do(req)
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
