package store

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// full is for `go test ./node/store -full -timeout 20m`: every write, read and file, where a
// plain run takes a sample.
var full = flag.Bool("full", false, "go through every write and read of the disk, not a sample")

func TestPowerCutGoesBackToAnAppliedIndexAndReplayGivesTheSameBytes(t *testing.T) {
	sc := newScript(t, 20, 400)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	want := pairs(t, whole)
	rng := rand.New(rand.NewPCG(20, 2))
	wentBack := 0
	for range few(8, 60) {
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
					flush(s)
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

// few is a number of tries, or the larger one.
func few(n, all int) int {
	if *full {
		return all
	}
	return n
}

// trouble is what happens at a write or a read of the disk.
type trouble struct {
	name string
	at   errorfs.OpReadWrite
	err  error
	// once: the next try succeeds. Else nothing does from then on.
	once bool
	// cut: the disks that are looked at are those of that moment, not of the end.
	cut bool
}

var (
	errOff   = errors.New("the machine is off")
	powerCut = trouble{name: "power cut", at: errorfs.OpIsWrite, err: errOff, cut: true}
)

// act is what the disk troubles. It closes what it opens.
type act func(vfs.FS) error

// atEvery lets act meet the trouble at one operation after the other, or at a sample of
// about so many and at all those that give a database its name, and gives check the disks
// that are left, and what act returned.
func (x trouble) atEvery(t *testing.T, sample int, start func() *vfs.MemFS, act act, check func(*testing.T, *vfs.MemFS, error)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	sound := x.meet(rng, 0, nil, start, act)
	total := sound.ops
	if sound.err != nil || total == 0 {
		t.Fatalf("without trouble: %d operations, %v", total, sound.err)
	}
	chosen := map[int][]int{}
	for at := 1; at <= total; at += 1 + rng.IntN(2*max(1, total/few(sample, total))-1) {
		chosen[at] = []int{0, 50}
	}
	for _, at := range sound.names {
		for near := max(1, at-1); x.cut && near <= at+2; near++ {
			chosen[near] = []int{0, 30, 50, 70}
		}
	}
	met := 0
	for _, at := range slices.Sorted(maps.Keys(chosen)) {
		m := x.meet(rng, at, chosen[at], start, act)
		if !m.came {
			continue // how many there are depends on Pebble's goroutines
		}
		met++
		for i, d := range m.disks {
			t.Run(fmt.Sprintf("%s at %d, disk %d", x.name, at, i), func(t *testing.T) { check(t, d, m.err) })
		}
	}
	if met < min(total, sample)/3 {
		t.Fatalf("%s came %d times in %d operations", x.name, met, total)
	}
}

// meeting is one run of an act.
type meeting struct {
	disks []*vfs.MemFS
	// came says whether the trouble came; ops is how many operations there were.
	came bool
	ops  int
	// names are the operations on the names of databases and of their lists of files.
	names []int
	err   error
}

// meet runs act with the trouble at one operation, none at 0. A power cut leaves disks that
// have so many percent of what was not synced.
func (x trouble) meet(rng *rand.Rand, at int, percents []int, start func() *vfs.MemFS, act act) (m meeting) {
	mem := start()
	clone := func(percent int) {
		m.disks = append(m.disks, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
	}
	var mu sync.Mutex
	m.err = act(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != x.at {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		m.ops++
		if op.Kind == errorfs.OpRename && path.Dir(op.Path) == "ledger" || op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "marker.manifest") {
			m.names = append(m.names, m.ops)
		}
		if at == 0 || m.ops < at || m.ops > at && x.once {
			return nil
		}
		if !m.came && x.cut {
			for _, percent := range percents {
				clone(percent)
			}
		}
		m.came = true
		return x.err
	})))
	if !x.cut {
		clone(0)
		m.disks = append(m.disks, mem)
	}
	return m
}

func TestPowerCutWhileFoundingLeavesADirectoryThatOpens(t *testing.T) {
	sc := newScript(t, 21, 20)
	powerCut.atEvery(t, 20, vfs.NewCrashableMem, sc.found, func(t *testing.T, fs *vfs.MemFS, _ error) {
		s := sc.open(t, Options{FS: fs})
		apply(s, sc.log, all, nil)
		sc.agrees(t, s)
	})
}

func (s *script) found(fs vfs.FS) error {
	st, err := Open("ledger", s.Group, Options{FS: fs})
	if err != nil {
		return err
	}
	return st.Close()
}

// applying is a run of a bureau in two lives, and what it knows of the disk.
type applying struct {
	sc *script
	// handed is the last index given to Apply, durable the one at the last Close.
	handed, durable uint64
	want            map[string]string
}

func newApplying(t *testing.T, sc *script) *applying {
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	return &applying{sc: sc, want: pairs(t, whole)}
}

func (a *applying) start() *vfs.MemFS {
	a.handed, a.durable = 0, 0
	return vfs.NewCrashableMem()
}

func (a *applying) act(fs vfs.FS) error {
	for _, log := range [][]command{a.sc.log[:len(a.sc.log)/2], a.sc.log} {
		s, err := Open("ledger", a.sc.Group, Options{FS: fs})
		if err != nil {
			return err
		}
		for len(log) > 0 {
			part := log[:min(30, len(log))]
			log = log[len(part):]
			a.handed = max(a.handed, part[len(part)-1].index)
			apply(s, part, all, nil)
			flush(s)
		}
		applied := s.Applied()
		if err := cmp.Or(s.Err(), s.Close()); err != nil {
			s.Close()
			return err
		}
		a.durable = applied
	}
	return nil
}

// flush has what was written reach the tables.
func flush(s *Store) {
	_ = s.read(func(pebble.Reader) error { return s.pace.flush(s.db, s.failed) })
}

// check sees that the disk has what was synced and nothing that was not given, and that the
// replay makes the same of it.
func (a *applying) check(t *testing.T, fs *vfs.MemFS, _ error) {
	s := a.sc.open(t, Options{FS: fs})
	if at := s.Applied(); at > a.handed || at < a.durable {
		t.Fatalf("applied to %d: %d was durable, %d given", at, a.durable, a.handed)
	}
	apply(s, a.sc.from(s.Applied()+1), all, nil)
	same(t, pairs(t, s), a.want)
}

func TestPowerCutAtAnyWriteOfApplyingLosesNothingThatWasSynced(t *testing.T) {
	a := newApplying(t, newScript(t, 24, 150))
	powerCut.atEvery(t, 12, a.start, a.act, a.check)
}

// restoring is a bureau that has a third of the ledger and is given all of it.
type restoring struct {
	sc       *script
	snapshot []byte
	old      []command
	// fresh counts the disks that had the new ledger, or not.
	fresh map[bool]int
	tb    testing.TB
}

func newRestoring(t *testing.T, sc *script) *restoring {
	ahead := sc.open(t, Options{})
	apply(ahead, sc.log, all, nil)
	return &restoring{sc: sc, snapshot: snapshotOf(t, ahead), old: sc.log[:len(sc.log)/3], fresh: map[bool]int{}, tb: t}
}

func snapshotOf(tb testing.TB, s *Store) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := s.Snapshot(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func (r *restoring) start() *vfs.MemFS {
	fs := vfs.NewCrashableMem()
	s, err := Open("ledger", r.sc.Group, Options{FS: fs})
	if err != nil {
		r.tb.Fatal(err)
	}
	apply(s, r.old, all, nil)
	if err := s.Close(); err != nil {
		r.tb.Fatal(err)
	}
	return fs
}

func (r *restoring) act(fs vfs.FS) error {
	s, err := Open("ledger", r.sc.Group, Options{FS: fs})
	if err != nil {
		return err
	}
	err = s.Restore(bytes.NewReader(r.snapshot))
	if err != nil && s.Err() == nil && s.Applied() != r.old[len(r.old)-1].index {
		r.tb.Errorf("a failed restore moved the ledger to %d", s.Applied())
	}
	return cmp.Or(err, s.Err(), s.Close(), s.Close())
}

func (r *restoring) check(t *testing.T, fs *vfs.MemFS, _ error) {
	s := r.sc.open(t, Options{FS: fs})
	fresh := s.Applied() == r.sc.last()
	if was := r.old[len(r.old)-1].index; !fresh && s.Applied() != was {
		t.Fatalf("applied to %d, neither %d nor %d", s.Applied(), was, r.sc.last())
	}
	r.fresh[fresh]++
	if names, err := fs.List("ledger"); err != nil || strings.Contains(strings.Join(names, " "), "db.") {
		t.Fatalf("left: %v, %v", names, err)
	}
	if err := s.Restore(bytes.NewReader(r.snapshot)); err != nil {
		t.Fatal(err)
	}
	r.sc.agrees(t, s)
}

func TestPowerCutWhileRestoringLeavesTheOldLedgerOrTheNew(t *testing.T) {
	r := newRestoring(t, newScript(t, 22, 60))
	powerCut.atEvery(t, 15, r.start, r.act, r.check)
	if r.fresh[true] == 0 || r.fresh[false] == 0 {
		t.Fatalf("ledgers that were new, or old: %v", r.fresh)
	}
}
