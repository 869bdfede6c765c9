package node

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pointage/node/journal"
)

// pull takes a medium out of a running bureau, as a key is pulled: its directory is gone, and
// what the program has open there takes no more writes.
func (b *bureau) pull(medium string) {
	b.c.t.Helper()
	dir := filepath.Join(b.dir, medium)
	dead, err := os.Open(os.DevNull) // not open for writing
	if err != nil {
		b.c.t.Fatal(err)
	}
	defer dead.Close()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.c.t.Fatal(err)
	}
	pulled := 0
	for _, fd := range fds {
		name, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil || filepath.Dir(name) != dir {
			continue
		}
		var n int
		for _, d := range fd.Name() {
			n = 10*n + int(d-'0')
		}
		if err := unix.Dup3(int(dead.Fd()), n, unix.O_CLOEXEC); err != nil {
			b.c.t.Fatal(err)
		}
		pulled++
	}
	if pulled == 0 {
		b.c.t.Fatalf("nothing is open in %s", dir)
	}
	if err := os.Rename(dir, dir+"-pulled"); err != nil {
		b.c.t.Fatal(err)
	}
}

func TestAStoppedJournalIsToldToTheDeskWithTheWayOut(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	b.admits(c.home(1, 0))
	b.pull("key1")
	b.admits(c.home(1, 1)) // two are left
	b.pull("key2")
	acts := []call{
		checkInOf(c.home(1, 2)), // the journal stops under this one
		checkInOf(c.home(1, 3)),
		checkInOf(c.home(1, 0)),
		{path: "/undo", body: strings.Replace(checkInOf(c.home(1, 0)).body, "}", `,"reason":2}`, 1)},
		{path: "/annulments", body: strings.Replace(checkInOf(c.home(1, 0)).body, "}", `,"reason":1,"second":4}`, 1)},
		{path: "/close", body: "{}"},
		{method: http.MethodGet, path: "/health"},
	}
	for _, x := range acts {
		r := b.call(x)
		p := r.problem(t)
		if r.code != http.StatusServiceUnavailable || !strings.Contains(p, journal.ErrStopped.Error()) || strings.Contains(p, "\n") {
			t.Errorf("%s: %+v", x.path, r)
		}
	}
	if s := b.node.Status(); !strings.Contains(s.Fault, journal.ErrStopped.Error()) || s.Admitted != 2 {
		t.Errorf("status: %+v", s)
	}
	if r := b.call(call{method: http.MethodGet, path: "/metrics"}); !strings.Contains(r.body, "pointage_fault 1\n") {
		t.Errorf("metrics: %+v", r)
	}
	until(t, "the log says it", func() bool { return strings.Contains(b.log.String(), "the journal has stopped: fewer than two media") })
	b.node.Close() // its media are gone: what that says is the journal's
	b.node = nil
	for _, m := range []string{"key1", "key2"} {
		if err := os.Rename(filepath.Join(b.dir, m+"-pulled"), filepath.Join(b.dir, m)); err != nil {
			t.Fatal(err)
		}
	}
	b.start()
	if s := b.node.Status(); s.Admitted < 2 || !s.Open {
		t.Errorf("with the keys back: %+v", s)
	}
	if a := b.checkIn(c.home(1, 0)); a.Record == "" || a.Admitted {
		t.Errorf("what was admitted before is forgotten: %+v", a)
	}
}
