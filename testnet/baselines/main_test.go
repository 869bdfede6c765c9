package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pointage/testnet/baselines/systems"
)

// asCommand makes the test's own program the command under test.
const asCommand = "BASELINES_TEST_COMMAND"

func TestMain(m *testing.M) {
	systems.RunMember(os.Args)
	if os.Getenv(asCommand) != "" {
		os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// openDir returns a directory that every user may enter, unlike t.TempDir's
// parent: as root, PostgreSQL runs as somebody else.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "baselines-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = &bytes.Buffer{}
	return cmd
}

// processesNaming counts the processes whose arguments name dir: every replica
// is told its directory below it.
func processesNaming(t *testing.T, dir string) int {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	n := 0
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, filepath.Join(dir, "baselines-")) {
			n++
		}
	}
	return n
}

// expectNothingLeft checks that neither a process nor a file is there.
func expectNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if n := processesNaming(t, dir); n > 0 {
		t.Errorf("%d processes left", n)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v left in the directory (%v)", left, err)
	}
}

func decode[T any](t *testing.T, line []byte) T {
	t.Helper()
	var v T
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	return v
}

func TestRunMeasuresEverySystem(t *testing.T) {
	dir := openDir(t)
	cmd := program(t, "run", "--clients", "4", "--duration", "1s", "--dir", dir, "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte(`"missing"`)) {
			seen[decode[missingLine](t, line).System] = true
			continue
		}
		l := decode[runLine](t, line)
		seen[l.System] = true
		if l.Version == "" || l.Clients != 4 || l.Ops < 4 || l.Seconds < 1 || l.PerSecond <= 0 || l.P50 <= 0 || l.Max < l.P99 {
			t.Errorf("line %s", line)
		}
	}
	for _, name := range systems.Names() {
		if !seen[name] {
			t.Errorf("%s is neither measured nor named as missing:\n%s", name, out)
		}
	}
	expectNothingLeft(t, dir)
}

// serving is the command with a system up, and its standard streams.
type serving struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startServing(t *testing.T, system, dir string) serving {
	t.Helper()
	cmd := program(t, "serve", "--only", system, "--dir", dir, "--json")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := serving{cmd, in, bufio.NewReader(out)}
	if ready := decode[readyLine](t, s.line(t)); ready.System != system || !ready.Ready {
		t.Fatalf("first line %+v", ready)
	}
	return s
}

func (s serving) line(t *testing.T) []byte {
	t.Helper()
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("read line: %v: %s", err, s.Stderr)
	}
	return line
}

func (s serving) ask(t *testing.T, request string) {
	t.Helper()
	if _, err := io.WriteString(s.in, request+"\n"); err != nil {
		t.Fatal(err)
	}
}

func TestServeAnswersEachRequest(t *testing.T) {
	dir := openDir(t)
	s := startServing(t, systems.Etcd, dir)
	for _, wrong := range []string{"run", "run many 1", "run 1 NaN", "run 1 0", "run 100000 1", "stop"} {
		s.ask(t, wrong)
		if l := decode[errorLine](t, s.line(t)); l.Error == "" {
			t.Errorf("%q: no error", wrong)
		}
	}
	if n := processesNaming(t, dir); n != systems.Replicas {
		t.Errorf("%d processes name the directory, want %d", n, systems.Replicas)
	}
	for _, clients := range []string{"1", "4"} {
		s.ask(t, "run "+clients+" 0.5")
		if l := decode[runLine](t, s.line(t)); l.Ops == 0 || l.Seconds < 0.5 {
			t.Errorf("%s clients: %+v", clients, l)
		}
	}
	// What was asked before the end of standard input is still answered.
	s.ask(t, "run 2 0.2")
	if err := s.in.Close(); err != nil {
		t.Fatal(err)
	}
	if l := decode[runLine](t, s.line(t)); l.Clients != 2 {
		t.Errorf("last answer %+v", l)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("%v: %s", err, s.Stderr)
	}
	expectNothingLeft(t, dir)
}

func TestSignalEndsEverything(t *testing.T) {
	system := systems.PostgreSQL
	if _, err := exec.LookPath("postgres"); err != nil {
		system = systems.Etcd
	}
	dir := openDir(t)
	s := startServing(t, system, dir)
	s.ask(t, "run 4 60")
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("ended with %v: %s", err, s.Stderr)
	}
	expectNothingLeft(t, dir)
}

func TestBrokenPipeEndsEverything(t *testing.T) {
	dir := openDir(t)
	cmd := program(t, "serve", "--only", systems.Etcd, "--dir", dir)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if err := errors.Join(cmd.Start(), write.Close(), read.Close()); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFault {
		t.Errorf("ended with %v though nobody read: %s", err, cmd.Stderr)
	}
	expectNothingLeft(t, dir)
}

func TestBrokenConnectionInterruptsNothing(t *testing.T) {
	ctx, stop := untilSignal(t.Context())
	defer stop()
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGTERM} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	<-ctx.Done()
	if got, want := context.Cause(ctx), (interrupted{syscall.SIGTERM}); got != error(want) {
		t.Errorf("cause %v, want %v", got, want)
	}
}

func TestOutageShowsGapAndRecovery(t *testing.T) {
	dir := openDir(t)
	cmd := program(t, "outage", "--only", systems.Etcd, "--clients", "4", "--duration", "8s", "--kill-after", "1s", "--dir", dir, "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	l := decode[outageLine](t, out)
	// Members of etcd wait a second without a leader's word before they choose
	// another; 500 ms of it may have passed when the leader is killed.
	if l.Killed < 1 || l.Seconds != 8 || l.Ops == 0 || l.LongestGap < 400 || l.LongestGap > 7000 || l.LongestWait < 400 || !l.Recovered {
		t.Errorf("outage %s", out)
	}
	expectNothingLeft(t, dir)
}

func TestMissingProgramIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var stdout, stderr bytes.Buffer
	for _, args := range [][]string{{"run"}, {"outage"}, {"serve"}} {
		stdout.Reset()
		args = append(args, "--only", systems.PostgreSQL, "--dir", openDir(t), "--json")
		if code := command(args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
			t.Errorf("%v: exit code %d: %s", args, code, &stderr)
		}
		l := decode[missingLine](t, stdout.Bytes())
		if l.System != systems.PostgreSQL || !strings.HasPrefix(l.Missing, "postgres not on PATH") {
			t.Errorf("%v: %s", args, &stdout)
		}
	}
}

func TestWrongWordsAreRefusedInOneLine(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"measure"},
		{"run", "--clients", "0"},
		{"run", "--clients", "1,,2"},
		{"run", "--clients", "100000"},
		{"run", "--duration", "0s"},
		{"run", "--duration", "24h"},
		{"run", "--rounds", "0"},
		{"run", "--only", "oracle"},
		{"run", "--dir", filepath.Join(t.TempDir(), "absent")},
		{"run", "--kill-after", "1s"},
		{"run", "5"},
		{"outage", "--kill-after", "20s"},
		{"serve"},
		{"serve", "--only", "etcd", "--clients", "1"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(args, strings.NewReader(""), &stdout, &stderr); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", args, code, exitUsage)
		}
		if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "baselines: ") || stdout.Len() > 0 {
			t.Errorf("%v: printed %q and %q", args, stdout.String(), text)
		}
	}
}

func TestHelpShowsAnExample(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"outage", "-h"}, {"serve", "--help"}} {
		var stdout, stderr bytes.Buffer
		if code := command(args, strings.NewReader(""), &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
			t.Errorf("%v: exit code %d, printed %q", args, code, stderr.String())
		}
		if !strings.Contains(stdout.String(), "Example:") {
			t.Errorf("%v: %q shows no example", args, stdout.String())
		}
	}
}
