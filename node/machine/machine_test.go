package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// toHold names a directory to the test binary that is to hold it until its standard input ends.
const toHold = "MACHINE_TEST_HOLD"

func TestMain(m *testing.M) {
	dir := os.Getenv(toHold)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := Hold(dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = os.Stdin.Read(make([]byte, 1)) // ends with the test
}

func TestADirectoryHasOneHolderUntilHeEnds(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), toHold+"="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 64)
	n, err := out.Read(said)
	if err != nil || strings.TrimSpace(string(said[:n])) != "held" {
		t.Fatalf("the other process: %q, %v", said[:n], err)
	}
	if _, err := Hold(dir); !errors.Is(err, ErrHeld) {
		t.Errorf("while another process has it: %v, want ErrHeld", err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	in.Close()
	l, err := Hold(dir)
	if err != nil {
		t.Fatalf("after the other was killed: %v", err)
	}
	if _, err := Hold(dir); !errors.Is(err, ErrHeld) {
		t.Errorf("a second time in one process: %v, want ErrHeld", err)
	}
	if !l.Is(filepath.Join(dir, ".")) || l.Is(filepath.Dir(dir)) {
		t.Error("the lock does not know its own directory")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("the lock wrote %v, %v", names, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Hold(dir); err != nil {
		t.Fatalf("after Close: %v", err)
	}
	l.Close()
	if _, err := Hold(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestTheDiskOfADirectoryIsKnownBeforeTheDirectoryIsMade(t *testing.T) {
	dir := t.TempDir()
	d, ok := Device(dir)
	below, bok := Device(filepath.Join(dir, "not", "made", "yet"))
	if !ok || !bok || d != below {
		t.Errorf("devices %d %v and %d %v, want the same", d, ok, below, bok)
	}
	if n, err := Free(dir); err != nil || n == 0 {
		t.Errorf("free: %d, %v", n, err)
	}
	if _, err := Free(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("free where nothing is: %v", err)
	}
	if err := SyncDir(dir); err != nil {
		t.Errorf("sync: %v", err)
	}
	if err := SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sync where nothing is: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || OnDisk(st) < 4096 {
		t.Errorf("a file of 100,000 bytes takes %d, %v", OnDisk(st), err)
	}
}

func TestFullDisksAndTakenAddressesAreToldFromOtherFaults(t *testing.T) {
	if !IsFull(fmt.Errorf("write: %w", syscall.ENOSPC)) || IsFull(fs.ErrPermission) || IsFull(nil) {
		t.Error("a full disk is not told from other faults")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := net.Listen("tcp", l.Addr().String()); !IsTaken(err) || IsTaken(net.ErrClosed) {
		t.Errorf("a taken address gives %v", err)
	}
}
