package pcsc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pointage/node/eid"
)

// The test binary plays two other parts: the card program, with roots of its own, and itself on a machine of its own.
const (
	asProgram = "-play-the-card-program"
	asTenant  = "-see-whether-a-machine-of-its-own-can-be-furnished"
	inside    = "POINTAGE_CARD_TEST_INSIDE"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == asProgram {
		os.Exit(program(os.Args[2], os.Args[3]))
	}
	if len(os.Args) == 2 && os.Args[1] == asTenant {
		if furnish() != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is node/cmd/pointage-card with the roots in a file and another limit.
func program(roots, limit string) int {
	text, err := os.ReadFile(roots)
	if err != nil {
		return 2
	}
	r, err := eid.ParseRoots(text)
	if err != nil {
		return 2
	}
	d, err := time.ParseDuration(limit)
	if err != nil {
		return 2
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if run(ctx, os.Stdout, r, d) != nil {
		return 1
	}
	return 0
}

// vpcd is the virtual reader's driver, as Debian installs it.
const vpcd = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"

// missing names what this machine lacks for cards through PC/SC; empty for nothing.
func missing() string {
	var lacks []string
	if _, err := pcscd(); err != nil {
		lacks = append(lacks, "pcscd")
	}
	if _, err := exec.LookPath("go"); err != nil {
		lacks = append(lacks, "go on PATH")
	}
	if _, err := os.Stat(vpcd); err != nil {
		lacks = append(lacks, "vsmartcard-vpcd")
	}
	if err := inNamespaces(exec.Command(os.Args[0], asTenant)).Run(); err != nil {
		lacks = append(lacks, "the right to make namespaces (root)")
	}
	return strings.Join(lacks, ", ")
}

func pcscd() (string, error) {
	if path, err := exec.LookPath("pcscd"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/pcscd")
}

// onAMachineOfItsOwn runs a test once more in namespaces of its own: a network where the virtual reader, which
// listens on every address, is alone; a /run for the service's socket; process numbers, so that nothing
// outlives it. Nothing has a name on the host, and nothing is left there.
func onAMachineOfItsOwn(name string, environment ...string) (o outcome) {
	name = "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	again := exec.Command(os.Args[0], "-test.run="+name, "-test.v", "-test.timeout=3m")
	again.Env = append(append(os.Environ(), inside+"=1"), environment...)
	out, err := inNamespaces(again).CombinedOutput()
	o.said, o.err = string(out), err
	if err == nil && !strings.Contains(o.said, "--- PASS") {
		o.err = errors.New("nothing was played")
	}
	return o
}

// inNamespaces gives a command namespaces of its own. It ends with this process, and whatever it started with it.
func inNamespaces(c *exec.Cmd) *exec.Cmd {
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	return c
}

// outcome is what a test on a machine of its own said, and how it ended.
type outcome struct {
	said string
	err  error
}

// furnish makes the namespaces habitable: mounts stay private, /run is empty, loopback is up.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("none", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount an empty /run: %w", err)
	}
	if err := os.Mkdir("/run/pcscd", 0o755); err != nil {
		return fmt.Errorf("make the service's directory: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	return nil
}

// service is a running pcscd.
type service struct {
	process *exec.Cmd
	log     bytes.Buffer
	end     func()
}

// startService starts pcscd with both virtual readers or none, and waits until it answers.
func startService(t *testing.T, readers bool) *service {
	t.Helper()
	dir := t.TempDir()
	if readers {
		conf := "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x8C7B\nLIBPATH " + vpcd + "\nCHANNELID 0x8C7B\n"
		if err := os.WriteFile(filepath.Join(dir, "vpcd"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := pcscd()
	if err != nil {
		t.Fatal(err)
	}
	s := &service{process: exec.Command(path, "--foreground", "--info", "--config", dir)}
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	s.end = sync.OnceFunc(func() {
		s.process.Process.Kill()
		s.process.Wait()
		for _, left := range []string{"/run/pcscd/pcscd.comm", "/run/pcscd/pcscd.pid"} {
			os.Remove(left)
		}
		if t.Failed() {
			t.Logf("pcscd said:\n%s", s.log.String())
		}
	})
	t.Cleanup(s.end)
	eventually(t, "pcscd has its socket", func() bool {
		_, err := os.Stat("/run/pcscd/pcscd.comm")
		return err == nil
	})
	return s
}

// eventually waits for something that must come true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// screen hears a card program, as the bureau's program does.
type screen struct {
	events <-chan eid.Event
	stop   context.CancelFunc
}

// listen starts a card program.
func listen(t *testing.T, path string, words ...string) *screen {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &screen{events: eid.Watch(ctx, eid.Options{Program: path, Arguments: words}), stop: stop}
	t.Cleanup(s.end)
	return s
}

func (s *screen) end() {
	s.stop()
	for range s.events {
	}
}

func (s *screen) next(t *testing.T) eid.Event {
	t.Helper()
	select {
	case e, open := <-s.events:
		if !open {
			t.Fatal("the card program ended")
		}
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event within 30 s")
	}
	return eid.Event{}
}

// expect compares kinds, readers and troubles of the next events; the last of them is returned.
func (s *screen) expect(t *testing.T, want ...eid.Event) (last eid.Event) {
	t.Helper()
	for i, w := range want {
		last = s.next(t)
		if last.Kind != w.Kind || last.Reader != w.Reader || last.Trouble != w.Trouble {
			t.Fatalf("event %d is %v %q, trouble %d; want %v %q, trouble %d", i, last.Kind, last.Reader, last.Trouble, w.Kind, w.Reader, w.Trouble)
		}
	}
	return last
}
