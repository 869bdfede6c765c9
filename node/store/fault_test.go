package store

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pointage/ledger"
)

// diskFaults are the ways of a disk to fail at a write.
var diskFaults = []trouble{
	{name: "full disk", at: errorfs.OpIsWrite, err: syscall.ENOSPC},
	{name: "fault of one write", at: errorfs.OpIsWrite, err: syscall.EIO, once: true},
	{name: "read-only disk", at: errorfs.OpIsWrite, err: syscall.EROFS},
}

// forPeople checks that an error is one line that says what to do.
func forPeople(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, todo := range []string{freeSpace, allowWrite, setAside} {
		if strings.Contains(err.Error(), todo) && strings.Count(err.Error(), todo) == 1 && !strings.Contains(err.Error(), "\n") {
			return
		}
	}
	t.Errorf("does not say what to do, in one line: %q", err)
}

func TestDiskThatFailsAtAnyWriteOfFoundingHarmsNothing(t *testing.T) {
	sc := newScript(t, 26, 20)
	for _, x := range diskFaults {
		x.atEvery(t, 15, vfs.NewCrashableMem, sc.found, func(t *testing.T, fs *vfs.MemFS, err error) {
			forPeople(t, err)
			s := sc.open(t, Options{FS: fs})
			apply(s, sc.log, all, nil)
			sc.agrees(t, s)
		})
	}
}

func TestDiskThatFailsAtAnyWriteOfApplyingHarmsNothing(t *testing.T) {
	a := newApplying(t, newScript(t, 27, 150))
	for _, x := range diskFaults {
		x.atEvery(t, 8, a.start, a.act, func(t *testing.T, fs *vfs.MemFS, err error) {
			if err == nil && !x.once {
				t.Error("nothing was said")
			}
			forPeople(t, err)
			a.check(t, fs, err)
		})
	}
}

func TestDiskThatFailsAtAnyWriteOfRestoringLeavesTheOldLedgerOrTheNew(t *testing.T) {
	r := newRestoring(t, newScript(t, 28, 120))
	for _, x := range diskFaults {
		x.atEvery(t, 8, r.start, r.act, func(t *testing.T, fs *vfs.MemFS, err error) {
			forPeople(t, err)
			r.check(t, fs, err)
		})
	}
	if r.fresh[false] == 0 || *full && r.fresh[true] == 0 {
		t.Fatalf("ledgers that were new, or old: %v", r.fresh)
	}
}

func TestFullDiskStopsTheReplicaWithOneLineAndItTakesNothingMore(t *testing.T) {
	sc := newScript(t, 23, 300)
	rng := rand.New(rand.NewPCG(23, 2))
	stoppedByItself := 0
	for at := range few(10, 60) {
		var full atomic.Bool
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return syscall.ENOSPC
			}
			return nil
		}))
		var told uint64
		s, err := Open("ledger", sc.Group, Options{FS: fs, OnPlaced: func(es []ledger.PlacedEntry) { told += uint64(len(es)) }})
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
				flush(s)
			}
		}
		if s.Err() == nil {
			forPeople(t, s.Close())
			if s.Err() == nil {
				t.Fatal("a full disk took everything")
			}
			continue
		}
		stoppedByItself++
		refusesAll(t, sc, s)
		if told != s.Size()-1 {
			t.Fatalf("told of %d entries, the ledger has %d", told, s.Size())
		}
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if stoppedByItself == 0 {
		t.Fatal("no ledger stopped by itself")
	}
}

// refusesAll checks that a failed store says so in one line and takes nothing any more.
func refusesAll(t *testing.T, sc *script, s *Store) {
	t.Helper()
	at := s.Applied()
	<-s.Failed()
	forPeople(t, s.Err())
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

// readFaults are those of a disk that can't be read.
var readFaults = []trouble{
	{name: "fault of one read", at: errorfs.OpIsRead, err: syscall.EIO, once: true},
	{name: "disk that can't be read", at: errorfs.OpIsRead, err: syscall.EIO},
}

func TestReadThatFailsWhileApplyingStopsTheReplicaAndHarmsNothing(t *testing.T) {
	a := newApplying(t, newScript(t, 29, 150))
	half := len(a.sc.log) / 2
	start := func() *vfs.MemFS {
		fs := a.start()
		a.handed = a.sc.log[half-1].index
		tables(t, a.sc, fs, a.sc.log[:half])
		a.durable = a.handed
		return fs
	}
	failed := 0
	act := func(fs vfs.FS) error {
		s, err := Open("ledger", a.sc.Group, Options{FS: fs})
		if err != nil {
			return err
		}
		a.handed = a.sc.last()
		s.end.memory.forget(nil, 1) // so that all is read
		s.end.filter.fill()
		for rest := a.sc.log[half:]; len(rest) > 0; rest = rest[min(8, len(rest)):] {
			apply(s, rest[:min(8, len(rest))], each, nil)
			flush(s) // into tables of which no block was read yet
		}
		if s.Err() != nil {
			failed++
			refusesAll(t, a.sc, s)
		} else if s.Applied() != a.sc.last() {
			t.Errorf("applied to %d of %d, and no fault", s.Applied(), a.sc.last())
		}
		err = s.Err()
		if e := s.Close(); err == nil {
			err = e
		}
		return err
	}
	for _, x := range readFaults {
		x.atEvery(t, 12, start, act, func(t *testing.T, fs *vfs.MemFS, err error) {
			forPeople(t, err)
			a.check(t, fs, err)
		})
	}
	if failed == 0 {
		t.Fatal("no read failed while applying")
	}
}

// tables makes a ledger whose most is in tables, and the rest in a log.
func tables(tb testing.TB, sc *script, fs vfs.FS, log []command) {
	tb.Helper()
	s, err := Open("ledger", sc.Group, Options{FS: fs})
	if err != nil {
		tb.Fatal(err)
	}
	for len(log) > 0 {
		part := log[:min(25, len(log))]
		apply(s, part, all, nil)
		if log = log[len(part):]; len(log) > 10 {
			flush(s)
		}
	}
	if err := s.pace.wait(s.failed); err != nil {
		tb.Fatal(err)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

func TestReadThatFailsWhileWritingASnapshotIsToldAndNoSnapshotIsWrong(t *testing.T) {
	sc := newScript(t, 30, 150)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	want := snapshotOf(t, whole)
	start := func() *vfs.MemFS {
		fs := vfs.NewCrashableMem()
		tables(t, sc, fs, sc.log)
		return fs
	}
	refused := 0
	act := func(fs vfs.FS) error {
		s, err := Open("ledger", sc.Group, Options{FS: fs})
		if err != nil {
			return err
		}
		defer s.Close()
		var b bytes.Buffer
		if err := s.Snapshot(&b); err != nil {
			refused++
			if b.Len() == len(want) {
				t.Errorf("a whole snapshot, and %v", err)
			}
			return nil
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Error("a wrong snapshot, and no fault")
		}
		return nil
	}
	for _, x := range readFaults {
		x.atEvery(t, 10, start, act, func(t *testing.T, fs *vfs.MemFS, _ error) {
			sc.agrees(t, sc.open(t, Options{FS: fs}))
		})
	}
	if refused == 0 {
		t.Fatal("no read failed while writing a snapshot")
	}
}

func TestBitFlippedOrFileCutShortIsFoundAndNeverSilent(t *testing.T) {
	sc := newScript(t, 31, 200)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	want := pairs(t, whole)
	sound := vfs.NewCrashableMem()
	tables(t, sc, sound, sc.log)
	names, err := sound.List("ledger/db")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(31, 2))
	found, harmless, damages := map[string]int{}, map[string]int{}, 0
	for _, name := range names {
		kind := name
		if i := strings.LastIndexAny(name, ".-"); i >= 0 {
			kind = strings.Trim(name, "0123456789")
		}
		for i := range few(16, 200) {
			fs := sound.CrashClone(vfs.CrashCloneCfg{})
			if !rot(t, fs, "ledger/db/"+name, rng, i%4 == 0) {
				continue
			}
			damages++
			if finds(t, sc, fs, want) {
				found[kind]++
			} else {
				harmless[kind]++
			}
		}
	}
	t.Logf("%d damages: found %v; harmless %v", damages, found, harmless)
	// Pebble can't tell a damaged end of its log, which nothing synced, from a power cut's:
	// the ledger goes back, Applied says so, and the replay mends it.
	for _, kind := range []string{".sst", "MANIFEST-"} {
		if found[kind] == 0 {
			t.Errorf("nothing found in %s", kind)
		}
	}
}

// rot flips a bit of a file, or cuts it short.
func rot(t *testing.T, fs *vfs.MemFS, name string, rng *rand.Rand, cut bool) bool {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return false
	}
	if at := rng.IntN(len(b)); cut {
		b = b[:at]
	} else {
		b[at] ^= 1 << rng.IntN(8)
	}
	if f, err = fs.Create(name, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil || f.Sync() != nil || f.Close() != nil {
		t.Fatal(err)
	}
	return true
}

// finds says whether opening, reading or replaying finds a damage. One that is not found has
// no effect: the replay then makes the same bytes as on a sound disk.
func finds(t *testing.T, sc *script, fs vfs.FS, want map[string]string) bool {
	t.Helper()
	s, err := Open("ledger", sc.Group, Options{FS: fs})
	if err != nil {
		if !strings.Contains(err.Error(), "the group fills a new one") || strings.Contains(err.Error(), "\n") {
			t.Errorf("does not say what to do, in one line: %q", err)
		}
		return true
	}
	defer s.Close()
	apply(s, sc.from(s.Applied()+1), all, nil)
	if err := s.Snapshot(io.Discard); err != nil {
		return true
	}
	got, err := readPairs(s)
	if err != nil || s.Err() != nil {
		forPeople(t, s.Err())
		return true
	}
	same(t, got, want)
	return false
}
