package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// terminal is a program on a terminal of its own.
type terminal struct {
	t       *testing.T
	program *exec.Cmd
	keys    *os.File
	screen  *os.File
	before  unix.Termios
	read    chan struct{}

	mu    sync.Mutex
	drawn bytes.Buffer
}

// onTerminal starts testnet on a terminal of 80 columns and 24 lines.
func onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, keys: keys, screen: screen, read: make(chan struct{})}
	x.before = x.mode()
	x.program = exec.Command(os.Args[0], args...)
	x.program.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm-256color", "NO_COLOR=")
	x.program.Stdin, x.program.Stdout, x.program.Stderr = screen, screen, screen
	x.program.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.program.Process.Kill() })
	go x.watch()
	return x
}

func (x *terminal) mode() unix.Termios {
	m, err := unix.IoctlGetTermios(int(x.screen.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *m
}

// watch reads until nobody holds the terminal any longer.
func (x *terminal) watch() {
	defer close(x.read)
	b := make([]byte, 4096)
	for {
		n, err := x.keys.Read(b)
		x.mu.Lock()
		x.drawn.Write(b[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *terminal) said() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.drawn.String()
}

// until waits for a text on the terminal.
func (x *terminal) until(text string) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(x.said(), text); {
		if time.Now().After(deadline) {
			x.t.Fatalf("%q was not drawn: %q", text, x.said())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// end waits for the program's end, and gives its exit code and what it left on the terminal after the drawing.
func (x *terminal) end() (code int, left string) {
	x.t.Helper()
	late := time.AfterFunc(patience, func() { _ = x.program.Process.Kill() })
	_ = x.program.Wait()
	late.Stop()
	if m := x.mode(); m != x.before {
		x.t.Errorf("the terminal's mode was %+v, is %+v", x.before, m)
	}
	x.screen.Close()
	<-x.read
	all := x.said()
	at := strings.LastIndex(all, "\x1b[?1049l") // the other screen is left
	if at < 0 || !strings.Contains(all[:at], "\x1b[?1049h") || strings.LastIndex(all, "\x1b[?25h") < strings.LastIndex(all, "\x1b[?25l") {
		x.t.Fatalf("the screen was not given back, or its cursor: %q", all)
	}
	return x.program.ProcessState.ExitCode(), strings.ReplaceAll(all[at:], "\r\n", "\n")
}

func TestADrawnRunIsEndedByAKeyOrASignalAndLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(x *terminal) error{
		"q":       func(x *terminal) error { _, err := x.keys.WriteString("q"); return err },
		"Ctrl-C":  func(x *terminal) error { _, err := x.keys.WriteString("\x03"); return err },
		"SIGTERM": func(x *terminal) error { return x.program.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "out")
			x := onTerminal(t, "--bureaux", "3", "--electors", "600", "--day", "5m", "--faults", "none", "--out", dir)
			x.until("Saint-Josse-ten-Noode")
			x.until("linked")
			if err := end(x); err != nil {
				t.Fatal(err)
			}
			code, left := x.end()
			if code != exitInterrupted || !strings.HasSuffix(left, "testnet: interrupted; nothing is left running, nothing of this run is kept\n") {
				t.Errorf("exit %d, left %q", code, left)
			}
			if !strings.Contains(left, "3 bureaux open, ") {
				t.Errorf("the lines are gone: %q", left)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", dir, err)
			}
		})
	}
}

func TestADrawnDayLeavesThePlainLinesAndTheVerdict(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	x := onTerminal(t, "--bureaux", "3", "--electors", "60", "--day", "1s", "--faults", "none", "--seed", "4", "--out", dir)
	code, left := x.end()
	if code != exitHeld || !strings.HasSuffix(left, "\nevery promise held\n") {
		t.Errorf("exit %d, left %q", code, left)
	}
	for _, line := range []string{"s  prepared: 60 electors in ", "will come (seed 4)\n", "s  closing the bureaux\n", "commune 21014, 3 bureaux, 60 electors, seed 4, ", "second attempts refused ", "verify it yourself      go run ./tools/verify " + dir} {
		if strings.Count(left, line) != 1 {
			t.Errorf("%q is left %d times: %q", line, strings.Count(left, line), left)
		}
	}
}

func TestPlainLinesAreWhatIsToldOnATerminalToo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	x := onTerminal(t, "--plain", "--prepare-only", "--bureaux", "3", "--electors", "60", "--out", dir)
	x.until("prepared in ")
	_ = x.program.Wait()
	if said := x.said(); strings.Contains(said, "\x1b") || strings.Contains(said, "[#") {
		t.Errorf("plain lines are drawn: %q", said)
	}
}
