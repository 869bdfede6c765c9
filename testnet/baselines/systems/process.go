package systems

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// maxTail is how much of a process's output is kept, in bytes.
	maxTail = 4 << 10
	// maxLine is how much of its last line goes into an error, in bytes.
	maxLine = 300
	// stopTimeout is how long a process that was asked to end may take before
	// it is killed, and how long its children may outlive it.
	stopTimeout = 10 * time.Second
	// probeInterval is the time between two looks at whether a system is ready.
	probeInterval = 50 * time.Millisecond
	// probeTimeout bounds one such look.
	probeTimeout = 2 * time.Second
)

var errPortTaken = errors.New("a port was taken meanwhile")

// command is a program to be started.
type command struct {
	name string // as errors call it
	path string
	args []string
	dir  string
	env  []string
	user *syscall.Credential // nil: as we run ourselves
}

// process is a running program in a process group of its own. A goroutine
// started by launch waits for it and closes done.
type process struct {
	name   string
	pid    int
	output *tail
	done   chan struct{}
	err    error // of the process's end; readable once done is closed
}

// launch starts a program. Should this process be killed, the operating system
// sends it onOrphan (where it can).
func launch(c command, onOrphan syscall.Signal) (*process, error) {
	p := &process{name: c.name, output: &tail{}, done: make(chan struct{})}
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	// Variables such as ETCD_* and PG* would change what is measured.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + c.dir, "TMPDIR=" + c.dir}, c.env...)
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.user}
	signalOrphan(cmd.SysProcAttr, onOrphan)
	// Children inherit the output, so Wait returns when the last of them is
	// gone, those in other process groups too.
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// run starts a program and waits for its success.
func run(ctx context.Context, c command) error {
	p, err := launch(c, syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.stop(syscall.SIGTERM)
		return fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, p.err, p.output.lastLine())
	}
	return nil
}

// stop asks the process's group to end with sig, kills it when that takes too
// long, and returns once it has ended.
func (p *process) stop(sig syscall.Signal) {
	if p.ended() {
		return
	}
	_ = syscall.Kill(-p.pid, sig) // it may have ended this instant
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.done
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// early is the error of a process that ended when it should have gone on.
func (p *process) early() error {
	if strings.Contains(strings.ToLower(p.output.String()), "address already in use") {
		return fmt.Errorf("%s: %w", p.name, errPortTaken)
	}
	return fmt.Errorf("%s ended early (%v): %s", p.name, p.err, p.output.lastLine())
}

// waitReady calls probe until it succeeds, a process ends or ctx does.
func waitReady(ctx context.Context, processes []*process, probe func(context.Context) error) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		probing, cancel := context.WithTimeout(ctx, probeTimeout)
		err := probe(probing)
		cancel()
		if err == nil {
			return nil
		}
		for _, p := range processes {
			if p.ended() {
				return p.early()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		}
	}
}

// freePorts returns n TCP ports of 127.0.0.1 that nobody uses at this instant.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		// All stay open until the last is found, so that none is found twice.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// tail keeps the end of what a process wrote.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if surplus := len(t.text) - maxTail; surplus > 0 {
		t.text = append(t.text[:0], t.text[surplus:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

func (t *tail) lastLine() string {
	text := bytes.TrimSpace([]byte(t.String()))
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	if len(text) == 0 {
		return "it wrote nothing"
	}
	return string(text[:min(len(text), maxLine)])
}
