package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pointage/ledger"
)

func TestPowerCutGoesBackToAnAppliedIndexAndReplayGivesTheSameBytes(t *testing.T) {
	sc := newScript(t, 20, 400)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	want := pairs(t, whole)
	rng := rand.New(rand.NewPCG(20, 2))
	wentBack := 0
	for range 40 {
		fs, applied := vfs.NewCrashableMem(), uint64(0)
		for applied < sc.last() {
			s, err := Open("ledger", sc.Group, Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if s.Applied() < applied {
				wentBack++
			}
			log := sc.from(s.Applied() + 1)
			log = log[:min(len(log), rng.IntN(len(sc.log)))]
			apply(s, log, upTo(rng, 30), func(first uint64, _ [][]byte) {
				// Now and then what was written so far reaches the tables.
				if rng.IntN(10) == 0 {
					if err := s.pace.flush(s.db, s.failed); err != nil {
						t.Fatal(err)
					}
				}
			})
			applied = s.Applied()
			fs = crash(t, fs, s, rng, []int{0, 50, 90}[rng.IntN(3)])
		}
		s := sc.open(t, Options{FS: fs})
		apply(s, sc.from(s.Applied()+1), all, nil)
		same(t, pairs(t, s), want)
	}
	sc.agrees(t, whole)
	if wentBack == 0 {
		t.Fatal("no crash lost anything")
	}
}

// crash is the disk as a power cut leaves it: all that was synced, and each unsynced block
// or name with a probability in percent.
func crash(t *testing.T, fs *vfs.MemFS, s *Store, rng *rand.Rand, percent int) *vfs.MemFS {
	t.Helper()
	out := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPowerCutWhileFoundingLeavesADirectoryThatOpens(t *testing.T) {
	sc := newScript(t, 21, 20)
	atEveryWrite(t, vfs.NewCrashableMem, func(fs vfs.FS) error {
		s, err := Open("ledger", sc.Group, Options{FS: fs})
		if err != nil {
			return err
		}
		return s.Close()
	}, func(t *testing.T, fs *vfs.MemFS) {
		s := sc.open(t, Options{FS: fs})
		apply(s, sc.log, all, nil)
		sc.agrees(t, s)
	})
}

// atEveryWrite crashes act before each of its writes to the disk in turn, in two ways: what was
// not synced is gone, or random parts of it are. check is given each disk.
func atEveryWrite(t *testing.T, start func() *vfs.MemFS, act func(vfs.FS) error, check func(*testing.T, *vfs.MemFS)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	const most = 2000
	for cut := 1; cut < most; cut++ {
		mem := start()
		var clones []*vfs.MemFS
		var writes atomic.Int64
		stop := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			// After the crash nothing works, as the machine is off.
			if n := writes.Add(1); n == int64(cut) {
				clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{}), mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
			} else if n < int64(cut) {
				return nil
			}
			return errCrash
		})
		err := act(errorfs.Wrap(mem, stop))
		if clones == nil {
			if err != nil {
				t.Fatalf("without a crash: %v", err)
			}
			if cut == 1 {
				t.Fatal("nothing was written")
			}
			t.Logf("%d writes", cut-1)
			return
		}
		for i, c := range clones {
			t.Run(fmt.Sprintf("write %d, clone %d", cut, i), func(t *testing.T) { check(t, c) })
		}
	}
	t.Fatalf("more than %d writes", most)
}

var errCrash = errors.New("the machine is off")

func TestPowerCutWhileRestoringLeavesTheOldLedgerOrTheNew(t *testing.T) {
	sc := newScript(t, 22, 120)
	ahead := sc.open(t, Options{})
	apply(ahead, sc.log, all, nil)
	var snapshot bytes.Buffer
	if err := ahead.Snapshot(&snapshot); err != nil {
		t.Fatal(err)
	}
	old := sc.log[:len(sc.log)/3]
	start := func() *vfs.MemFS {
		fs := vfs.NewCrashableMem()
		s, err := Open("ledger", sc.Group, Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		apply(s, old, all, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	outcomes := map[bool]int{}
	atEveryWrite(t, start, func(fs vfs.FS) error {
		s, err := Open("ledger", sc.Group, Options{FS: fs})
		if err != nil {
			return err
		}
		return errors.Join(s.Restore(bytes.NewReader(snapshot.Bytes())), s.Close())
	}, func(t *testing.T, fs *vfs.MemFS) {
		s := sc.open(t, Options{FS: fs})
		fresh := s.Applied() == sc.last()
		if !fresh && s.Applied() != old[len(old)-1].index {
			t.Fatalf("applied to %d, neither %d nor %d", s.Applied(), old[len(old)-1].index, sc.last())
		}
		outcomes[fresh]++
		if names, err := fs.List("ledger"); err != nil || strings.Contains(strings.Join(names, " "), "db.") {
			t.Fatalf("left: %v, %v", names, err)
		}
		if err := s.Restore(bytes.NewReader(snapshot.Bytes())); err != nil {
			t.Fatal(err)
		}
		sc.agrees(t, s)
	})
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Fatalf("ledgers that were new, or old: %v", outcomes)
	}
}

func TestDiskThatFailsWhileApplyingStopsTheReplicaAndHarmsNothing(t *testing.T) {
	sc := newScript(t, 23, 400)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	want := pairs(t, whole)
	rng := rand.New(rand.NewPCG(23, 2))
	for at := range 60 {
		mem := vfs.NewCrashableMem()
		var full atomic.Bool
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return syscall.ENOSPC
			}
			return nil
		}))
		var told int
		s, err := Open("ledger", sc.Group, Options{FS: fs, OnPlaced: func(es []ledger.PlacedEntry) { told += len(es) }})
		if err != nil {
			t.Fatal(err)
		}
		from := 1 + rng.IntN(len(sc.log)-50)
		apply(s, sc.log[:from], upTo(rng, 20), nil)
		full.Store(true)
		// Apply hears of the full disk when Pebble writes, which is later.
		for next := from; s.Err() == nil && next < len(sc.log); next++ {
			apply(s, sc.log[next:next+1], each, nil)
			if at%2 == 0 {
				_ = s.read(func(pebble.Reader) error { return s.pace.flush(s.db, s.failed) })
			}
		}
		failedAt, head := s.Applied(), s.Head()
		if s.Err() == nil {
			if err := s.Close(); err == nil {
				t.Fatal("a full disk took everything")
			}
		} else {
			refusesAll(t, sc, s, failedAt)
			if told != int(head.Size)-1 {
				t.Fatalf("told of %d entries, the ledger has %d", told, head.Size)
			}
		}
		if err := s.Close(); err != nil {
			t.Logf("close: %v", err)
		}
		// Space is back: in the same process, and after a power cut.
		full.Store(false)
		for _, fs := range []vfs.FS{mem.CrashClone(vfs.CrashCloneCfg{}), mem} {
			again := sc.open(t, Options{FS: fs})
			if again.Applied() > failedAt {
				t.Fatalf("applied to %d, had published %d", again.Applied(), failedAt)
			}
			apply(again, sc.from(again.Applied()+1), all, nil)
			same(t, pairs(t, again), want)
		}
	}
}

// refusesAll checks that a failed store says so in one line and takes nothing any more.
func refusesAll(t *testing.T, sc *script, s *Store, at uint64) {
	t.Helper()
	<-s.Failed()
	err := s.Err()
	if !strings.Contains(err.Error(), "free space") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("what the president reads: %v", err)
	}
	for _, r := range s.Apply(at+1, [][]byte{sc.log[len(sc.log)-1].bytes}) {
		if r != nil {
			t.Fatalf("a failed ledger replied %x", r)
		}
	}
	if s.Applied() != at {
		t.Fatalf("applied went to %d", s.Applied())
	}
	if s.Snapshot(&bytes.Buffer{}) == nil || s.Restore(&bytes.Buffer{}) == nil || s.Wait(t.Context(), s.Size()+1) == nil {
		t.Fatal("a failed ledger goes on")
	}
}
