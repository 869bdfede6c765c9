package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// onDisks are options for three media in memory, with a set made on them.
func onDisks(tb testing.TB, seed byte) (*disks, Options) {
	tb.Helper()
	d := newDisks()
	o := d.on(bareOptions(ledgertest.NewDay(tb, 3, 12, nil).Group, seed), 0, 1, 2)
	create(tb, o)
	return d, o
}

// failing makes operations of one kind on a medium fail from now on, the first after keep bytes.
func failing(d *disks, medium int, kind opKind, keep int, cause error) {
	d.ask(func(o op) (int, error) {
		if o.medium == medium && o.kind == kind {
			return keep, cause
		}
		return 0, nil
	})
}

// reaches fails unless the condition holds within ten seconds.
func reaches(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("not within 10 s: %s", what)
		}
		<-tick.C
	}
}

// newGate is closed by release, at the latest when the test ends, so that Close can end.
func newGate(tb testing.TB) (gate chan struct{}, release func()) {
	gate = make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	tb.Cleanup(release)
	return gate, release
}

func TestNothingIsAcknowledgedBeforeTwoMediaFsync(t *testing.T) {
	d, o := onDisks(t, 70)
	j := reopen(t, o)
	from := d.at()
	var failed atomic.Bool
	d.ask(func(x op) (int, error) {
		if x.kind == opSync && x.medium > 0 {
			failed.Store(true)
			return 0, syscall.EIO
		}
		return 0, nil
	})
	if _, err := j.Append(context.Background(), count(1)); !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) {
		t.Errorf("append with one fsync: %v", err)
	}
	if got := counts(t, j); len(got) > 0 {
		t.Errorf("the chain has %v", got)
	}
	if !failed.Load() || d.at() == from {
		t.Error("nothing was written")
	}
}

func TestEachBatchIsOneFsyncOnEachMedium(t *testing.T) {
	d, o := onDisks(t, 71)
	j := reopen(t, o)
	reaches(t, "all media level", func() bool {
		return !slices.ContainsFunc(j.Status(), func(s MediumStatus) bool { return s.Behind > 0 })
	})
	before := d.at()
	const appends = 20
	for i := range appends {
		appended1(t, j, count(i), count(i))
	}
	closed(t, j)
	var writes, syncs [members]int
	for _, x := range d.log[before:] {
		switch x.kind {
		case opWrite:
			writes[x.medium]++
		case opSync:
			syncs[x.medium]++
		default:
			t.Errorf("an append does operation %d", x.kind)
		}
	}
	for m := range members {
		if syncs[m] != writes[m] || syncs[m] > appends {
			t.Errorf("medium %d: %d writes and %d fsyncs for %d batches", m, writes[m], syncs[m], appends)
		}
	}
	// The third gathers what it is behind.
	if sum := syncs[0] + syncs[1] + syncs[2]; sum < 2*appends {
		t.Errorf("%v fsyncs: each of %d batches needs two", syncs, appends)
	}
}

func TestOneFailingMediumIsReportedAndTheOthersGoOn(t *testing.T) {
	faults := map[string]func(d *disks, medium int) error{
		"full":        func(d *disks, m int) error { failing(d, m, opWrite, 30, syscall.ENOSPC); return syscall.ENOSPC },
		"write error": func(d *disks, m int) error { failing(d, m, opWrite, 0, syscall.EIO); return syscall.EIO },
		"fsync error": func(d *disks, m int) error { failing(d, m, opSync, 0, syscall.EIO); return syscall.EIO },
		"unplugged":   func(d *disks, m int) error { d.unplug(m); return nil },
	}
	for name, fault := range faults {
		for m := range members {
			t.Run(fmt.Sprint(name, " ", m), func(t *testing.T) {
				d, o := onDisks(t, 72)
				j := reopen(t, o)
				appended1(t, j, count(0))
				cause := fault(d, m)
				for i := range 10 {
					appended1(t, j, count(1+i))
				}
				reaches(t, "the fault in the status", func() bool { return j.Status()[m].Fault != nil })
				s := j.Status()[m].Fault
				if cause != nil && !errors.Is(s, cause) || !strings.Contains(s.Error(), fmt.Sprintf("medium %d", m)) {
					t.Errorf("the status says %v", s)
				}
				if err := j.Err(); err != nil {
					t.Errorf("the journal stopped: %v", err)
				}
				if err := j.Close(); err != nil {
					t.Errorf("a fault that the status showed is told again: %v", err)
				}
				d.ask(nil)
				d.plug(m)
				j = reopen(t, o)
				wellChained(t, j, o.Group)
				if got := counts(t, j); len(got) != 11 {
					t.Errorf("%d counts of 11", len(got))
				}
				noneOf(t, j, DamagedRecord, Orphaned)
				closed(t, j)
				j = reopen(t, o) // what the fault left on the medium is gone
				noneOf(t, j, TornTail, DamagedRecord, Levelled, Orphaned)
			})
		}
	}
}

// unplug takes a medium away.
func (d *disks) unplug(medium int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone[medium] = true
}

func (d *disks) plug(medium int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone[medium] = false
}

func TestBelowTwoMediaTheJournalStopsAndLosesNothing(t *testing.T) {
	for _, first := range []int{0, 1, 2} {
		second := (first + 1) % members
		d, o := onDisks(t, 73)
		j := reopen(t, o)
		d.unplug(first)
		acked := map[int]bool{}
		var mu sync.Mutex
		var work sync.WaitGroup
		for c := range 8 {
			work.Go(func() {
				for i := 0; ; i++ {
					n := 1000*c + i
					_, err := j.Append(context.Background(), count(n))
					if err != nil {
						if !errors.Is(err, ErrStopped) {
							t.Errorf("append: %v", err)
						}
						return
					}
					mu.Lock()
					acked[n] = true
					enough := len(acked) == 200
					mu.Unlock()
					if enough {
						d.unplug(second)
					}
				}
			})
		}
		work.Wait()
		select {
		case <-j.Failed():
		default:
			t.Error("Failed is open")
		}
		if _, err := j.Append(context.Background(), count(1)); !errors.Is(err, ErrStopped) {
			t.Errorf("append after the stop: %v", err)
		}
		if err := j.SetNote(context.Background(), "k", nil); !errors.Is(err, ErrStopped) {
			t.Errorf("note after the stop: %v", err)
		}
		c := Cursor(0)
		for ; c < Cursor(j.Behind(0)); c++ {
			if _, _, err := j.Next(context.Background(), c); err != nil {
				t.Fatalf("what is durable is not given out: %v", err)
			}
		}
		if _, _, err := j.Next(context.Background(), c); !errors.Is(err, ErrStopped) {
			t.Errorf("Next after the stop: %v", err)
		}
		j.Close()
		d.plug(first)
		d.plug(second)
		j = reopen(t, o)
		wellChained(t, j, o.Group)
		for _, n := range counts(t, j) {
			delete(acked, n)
		}
		if len(acked) > 0 {
			t.Errorf("acknowledged and lost: %v", acked)
		}
		closed(t, j)
	}
}

// What waits behind a write that fails must not be written: it would stand in the wrong place.
func TestNothingIsWrittenOnAMediumAfterItsFault(t *testing.T) {
	d, o := onDisks(t, 79)
	j := reopen(t, o)
	level(t, j)
	gate, release := newGate(t)
	var once sync.Once
	entered := make(chan struct{})
	d.ask(func(x op) (n int, err error) {
		if x.medium == 1 && x.kind == opSync {
			once.Do(func() {
				close(entered)
				<-gate
				err = syscall.EIO
			})
		}
		return 0, err
	})
	appended1(t, j, count(0))
	<-entered
	for i := range 5 {
		appended1(t, j, count(1+i))
	}
	from := d.at()
	release()
	reaches(t, "the fault in the status", func() bool { return j.Status()[1].Fault != nil })
	closed(t, j)
	for _, x := range d.log[from:] {
		if x.medium == 1 {
			t.Fatalf("operation %d on it after its fault", x.kind)
		}
	}
	if s := j.Status()[1]; s.Behind != 0 {
		t.Errorf("%d bytes still wait", s.Behind)
	}
}

// A third medium that hangs costs nobody anything: it goes on behind, up to its bound, and is
// then given up; memory is bounded with it.
func TestAMediumThatHangsIsGivenUpAtItsBound(t *testing.T) {
	t.Parallel()
	const hanging = 1
	d, o := onDisks(t, 74)
	j := reopen(t, o)
	gate, release := newGate(t)
	d.ask(func(x op) (int, error) {
		if x.medium == hanging && x.kind == opSync {
			<-gate
		}
		return 0, nil
	})
	large := make([]ledger.Body, 20)
	for i := range large {
		large[i] = &ledger.Message{Sealed: make([]byte, ledger.MaxSealed)}
	}
	appends := 0
	for ; j.Status()[hanging].Fault == nil; appends++ {
		appended1(t, j, large...)
		if s := j.Status()[hanging]; s.Behind > maxBehind {
			t.Fatalf("%d bytes wait for it, at most %d", s.Behind, maxBehind)
		}
		if appends > maxBehind/(20*ledger.MaxSealed)+10 {
			t.Fatal("it is waited for without a bound")
		}
	}
	if s := j.Status()[hanging]; !strings.Contains(s.Fault.Error(), "behind") {
		t.Errorf("the status says %v", s.Fault)
	}
	appended1(t, j, count(1))
	release()
	closed(t, j)
	d.ask(nil)
	j = reopen(t, o)
	wellChained(t, j, o.Group)
	if n := j.Behind(0); n != appends+3 {
		t.Errorf("%d batches of %d", n, appends+3)
	}
	noneOf(t, j, Orphaned, DamagedRecord)
	closed(t, j)
}

func TestAThirdMediumBehindIsLevelAtClose(t *testing.T) {
	d, o := onDisks(t, 75)
	j := reopen(t, o)
	gate, release := newGate(t)
	d.ask(func(x op) (int, error) {
		if x.medium == 1 && x.kind == opSync {
			<-gate
		}
		return 0, nil
	})
	for i := range 50 {
		appended1(t, j, count(i))
	}
	if s := j.Status()[1]; s.Behind == 0 || s.Fault != nil {
		t.Errorf("it is not behind: %+v", s)
	}
	release()
	closed(t, j)
	d.ask(nil)
	j = reopen(t, o)
	noneOf(t, j, Levelled, TornTail)
	if got := counts(t, j); len(got) != 50 {
		t.Errorf("%d counts of 50", len(got))
	}
}

func TestAFaultThatNobodySawIsToldAtClose(t *testing.T) {
	d, o := onDisks(t, 76)
	j := reopen(t, o)
	gate, release := newGate(t)
	d.ask(func(x op) (int, error) {
		if x.medium == 2 && x.kind == opSync {
			<-gate
			return 0, syscall.EIO
		}
		return 0, nil
	})
	appended1(t, j, count(1))
	go func() { // the fault comes when closing has looked at all media
		for !allEnding(j.written()) {
			runtime.Gosched()
		}
		release()
	}()
	if err := j.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
}

func allEnding(media []*medium) bool {
	for _, m := range media {
		m.mu.Lock()
		ending := m.ending
		m.mu.Unlock()
		if !ending {
			return false
		}
	}
	return true
}

func TestTheUnionIsDurableBeforeTheSessionBegins(t *testing.T) {
	d, o := onDisks(t, 78)
	for _, places := range [][]int{{0, 1, 2}, {0, 1}} {
		closed(t, reopen(t, d.on(o, places...)))
	}
	from := d.at()
	j := reopen(t, o)
	if f := finding(t, j, Levelled); f.Member != 2 {
		t.Fatalf("%+v", f)
	}
	closed(t, j)
	levelled := [members]bool{}
	for _, x := range d.log[from:] {
		switch {
		case x.kind == opSync:
			levelled[x.medium] = true
		case x.kind == opWrite && x.medium < 2 && levelled != [members]bool{true, true, true}:
			t.Fatalf("medium %d is written although the union is fsync'ed on %v only", x.medium, levelled)
		}
	}
}

// Whatever fails during an opening, at each of its operations: with one medium it opens, with two
// it says which, it leaves no goroutine behind (or the bubble would not end), and the
// next opening has everything.
func TestAFaultAnywhereDuringAnOpeningIsSurvived(t *testing.T) {
	// The media differ, so that opening has to level: 2 is behind by a session, 1 has a torn tail.
	base, o := onDisks(t, 77)
	for _, places := range [][]int{{0, 1, 2}, {0, 1}} {
		j, err := Open(base.on(o, places...))
		if err != nil {
			t.Fatal(err)
		}
		appended1(t, j, count(len(places)))
		closed(t, j)
	}
	f, err := base.Open("/1/"+recordsFile, toWrite)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	if _, err := f.WriteAt([]byte(frameMagic+"torn"), size); err != nil {
		t.Fatal(err)
	}
	copied := func() *disks { d, _ := base.cut(base.at(), [drives]outcome{whole, whole, whole}); return d }
	whole := copied()
	closed(t, reopen(t, whole.on(o, 0, 1, 2)))
	operations := whole.at()
	opened, refused := 0, 0
	for n := range operations {
		for _, broken := range [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}} {
			synctest.Test(t, func(t *testing.T) {
				d := copied()
				var done atomic.Int64
				d.ask(func(x op) (int, error) {
					if done.Add(1) > int64(n) && slices.Contains(broken, x.medium) {
						return 7, syscall.EIO
					}
					return 0, nil
				})
				j, err := Open(d.on(o, 0, 1, 2))
				switch {
				case err == nil:
					opened++
					j.Close()
				case len(broken) == 1:
					t.Errorf("medium %d fails from operation %d on: %v", broken[0], n, err)
				case !errors.Is(err, syscall.EIO) || strings.Count(err.Error(), "medium ") < 2:
					t.Errorf("media %v fail from operation %d on: %v", broken, n, err)
				default:
					refused++
				}
				d.ask(nil)
				j, err = Open(d.on(o, 0, 1, 2))
				if err != nil {
					t.Fatalf("media %v failed from operation %d on, then: %v", broken, n, err)
				}
				if got := counts(t, j); !slices.Equal(got, []int{3, 2}) {
					t.Errorf("media %v failed from operation %d on: %v", broken, n, got)
				}
				closed(t, j)
			})
		}
	}
	t.Logf("%d operations, %d opened, %d refused", operations, opened, refused)
	if opened == 0 || refused == 0 {
		t.Error("one of the two never happened")
	}
}
