package store

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/cockroachdb/pebble/v2/vfs/vfstest"

	"pointage/ledger/ledgertest"
)

// TestMain sees that no test leaves a goroutine of a store or a database behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftAfter(5 * time.Second); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftAfter is the stacks of what still runs in a store or a database, after some time to end.
func leftAfter(limit time.Duration) string {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		buf := make([]byte, 4<<20)
		var left []string
		caches := fileShards * int(unreleased.Load())
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			ours := strings.Contains(g, "cockroachdb/pebble") || strings.Contains(g, "store.(*Store)")
			// Pebble leaves this one when it can't read late in opening.
			if strings.Contains(g, "periodicGranter") {
				continue
			}
			if strings.Contains(g, "releaseLoop") && caches > 0 {
				caches--
				continue
			}
			if ours && !strings.Contains(g, "testing.tRunner") && !strings.Contains(g, "leftAfter") {
				left = append(left, g)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return strings.Join(left, "\n\n")
		}
	}
}

// ended checks that all is closed: goroutines and files.
func ended(t *testing.T, dump func() string) {
	t.Helper()
	if left := leftAfter(5 * time.Second); left != "" {
		t.Fatalf("goroutines left behind:\n%s", left)
	}
	if open := dump(); open != "" {
		t.Fatalf("files left open:\n%s", open)
	}
}

func TestWhateverEndsAStoreEndsItsGoroutinesAndClosesItsFiles(t *testing.T) {
	sc := newScript(t, 70, 80)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	snapshot := snapshotOf(t, whole)
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	life := func(fs vfs.FS) error {
		s, err := Open("ledger", sc.Group, Options{FS: fs})
		if err != nil {
			return err
		}
		apply(s, sc.log[:40], upToTen, nil)
		flush(s)
		apply(s, sc.log[40:60], upToTen, nil)
		_ = s.Restore(bytes.NewReader(snapshot[:len(snapshot)/2]))
		_ = s.Restore(bytes.NewReader(snapshot))
		if s.Err() != nil {
			// The owner may be slow: a failed store closes by itself.
			for s.read(func(pebble.Reader) error { return nil }) == nil {
				runtime.Gosched()
			}
		}
		return s.Close()
	}
	for _, x := range []trouble{
		{name: "nothing", at: -1},
		{name: "full disk", at: errorfs.OpIsWrite, err: syscall.ENOSPC},
		{name: "fault of one write", at: errorfs.OpIsWrite, err: syscall.EIO, once: true},
		{name: "fault of reading", at: errorfs.OpIsRead, err: syscall.EIO},
	} {
		act := func(fs vfs.FS) error {
			tracked, dump := vfstest.WithOpenFileTracking(fs)
			err := life(tracked)
			ended(t, func() string {
				var b strings.Builder
				// Pebble keeps a file open that it can't read.
				if x.at != errorfs.OpIsRead {
					dump(&b)
				}
				return b.String()
			})
			return err
		}
		if x.err == nil {
			if err := act(vfs.NewMem()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		x.atEvery(t, 25, vfs.NewCrashableMem, act, func(*testing.T, *vfs.MemFS, error) {})
	}
}

func TestMemoryIsBoundedHoweverMuchIsApplied(t *testing.T) {
	const bureaux, electors, perBatch = 4, 20_000, 64
	d := ledgertest.NewDay(t, bureaux, electors, nil)
	s, err := Open("ledger", d.Group, Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var most, total uint64
	for i, c := range chainOf(t, d, bureaux, electors/perBatch, perBatch) {
		s.Apply(uint64(i+1), [][]byte{c})
		m := s.db.Metrics()
		most, total = max(most, m.WAL.Size), m.WAL.BytesIn
		if m.BlockCache.Size > cacheBytes || m.MemTable.Size > maxMemTables*memTableBytes {
			t.Fatalf("%d bytes are cached, %d in memory tables", m.BlockCache.Size, m.MemTable.Size)
		}
	}
	if s.Err() != nil || s.Size() < electors/perBatch {
		t.Fatalf("%d entries, %v", s.Size(), s.Err())
	}
	t.Logf("%d bytes at most of %d", most, total)
	// What is being written out, and as much again.
	if most > 2*flushBytes || total < 5*flushBytes {
		t.Fatalf("%d bytes wait of %d", most, total)
	}
}
