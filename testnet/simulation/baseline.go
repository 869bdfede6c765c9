package simulation

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// baseline is etcd or PostgreSQL, run by the command in testnet/baselines, which is a
// module of its own and is built here.
type baseline struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// baselinesFolder is where the module lies, seen from the repository's root.
const baselinesFolder = "testnet/baselines"

// buildBaselines compiles their program; missing says why there is none.
func buildBaselines(ctx context.Context, out string) (program, missing string) {
	program = filepath.Join(out, "baselines")
	cmd := exec.CommandContext(ctx, "go", "build", "-C", baselinesFolder, "-o", program, ".")
	if b, err := cmd.CombinedOutput(); err != nil {
		missing = fmt.Sprintf("build %s: %v: %.200s", baselinesFolder, err, bytes.TrimSpace(b))
	}
	return program, missing
}

// startBaselines builds and starts both; one that can't be had is reported by name.
func startBaselines(ctx context.Context, out string, report func(Rate)) (started []*baseline) {
	program, missing := buildBaselines(ctx, out)
	for _, name := range []string{"etcd", "postgresql"} {
		if missing != "" {
			report(Rate{System: name, Missing: missing})
			continue
		}
		b, err := startBaseline(program, name, out)
		if err != nil {
			report(Rate{System: name, Missing: err.Error()})
			continue
		}
		started = append(started, b)
	}
	return started
}

func startBaseline(program, name, out string) (*baseline, error) {
	dir := filepath.Join(out, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "serve", "--only", name, "--dir", dir, "--json")
	var faults bytes.Buffer
	cmd.Stderr = &faults
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b := &baseline{name: name, cmd: cmd, in: in, lines: bufio.NewScanner(stdout)}
	var hello struct {
		Version string `json:"version"`
		Ready   bool   `json:"ready"`
		Missing string `json:"missing"`
	}
	if err := b.read(&hello); err != nil || !hello.Ready {
		b.close()
		if hello.Missing != "" {
			return nil, errors.New(hello.Missing)
		}
		return nil, fmt.Errorf("did not start: %s", bytes.TrimSpace(faults.Bytes()))
	}
	return b, nil
}

func (b *baseline) read(v any) error {
	if !b.lines.Scan() {
		return fmt.Errorf("%s has ended: %w", b.name, errors.Join(b.lines.Err(), io.ErrUnexpectedEOF))
	}
	return json.Unmarshal(b.lines.Bytes(), v)
}

func (b *baseline) measure(clients int, duration time.Duration) (Rate, error) {
	if _, err := fmt.Fprintf(b.in, "run %d %.3f\n", clients, duration.Seconds()); err != nil {
		return Rate{}, err
	}
	var r struct {
		Rate
		Error string `json:"error"`
	}
	if err := b.read(&r); err != nil {
		return Rate{}, err
	}
	if r.Error != "" {
		return Rate{}, errors.New(r.Error)
	}
	return r.Rate, nil
}

// close ends the system: its input ends, and it takes its processes and files along.
func (b *baseline) close() {
	_ = b.in.Close()
	_ = b.cmd.Wait() // what matters is that it has ended
}
