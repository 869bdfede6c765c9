package journal

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pointage/ledger"
)

// lost takes a medium away and appends until the journal knows.
func lost(tb testing.TB, d *disks, j *Journal, medium int) {
	tb.Helper()
	d.unplug(medium)
	appended1(tb, j, count(100+medium))
	reaches(tb, "the loss in the status", func() bool { return j.Status()[medium].Fault != nil })
	d.plug(medium)
}

// level waits until no medium is behind.
func level(tb testing.TB, j *Journal) {
	tb.Helper()
	reaches(tb, "all media level", func() bool {
		return !slices.ContainsFunc(j.Status(), func(s MediumStatus) bool { return s.Behind > 0 })
	})
}

func attach(tb testing.TB, j *Journal, medium int) {
	tb.Helper()
	if err := j.Attach(context.Background(), disk(medium)); err != nil {
		tb.Fatal(err)
	}
	if s := j.Status()[medium]; s.Fault != nil || !s.Attached {
		tb.Fatalf("attached, and its status is %+v", s)
	}
}

// set replaces what a disk holds.
func (d *disks) set(medium int, files map[string][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names(medium) {
		delete(d.names, name)
		if b := files[name[3:]]; b != nil {
			d.names[name] = len(d.inodes)
			d.inodes = append(d.inodes, bytes.Clone(b))
		}
	}
}

// Each medium in turn is pulled out and put back while the bureau works, and then carries it.
func TestAMediumThatComesBackCountsAgain(t *testing.T) {
	d, o := onDisks(t, 120)
	j := reopen(t, o)
	var work sync.WaitGroup
	stop := make(chan struct{})
	for c := range 4 {
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := j.Append(context.Background(), count(1000*(c+1)+i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, m := range []int{1, 2, 0, 1} { // without the one before, each would be the second to go
		lost(t, d, j, m)
		attach(t, j, m)
	}
	close(stop)
	work.Wait()
	want := counts(t, j)
	wellChained(t, j, o.Group)
	noneOf(t, j, Orphaned, Forked, NotCounted)
	closed(t, j)
	for _, places := range anyTwo {
		c, _ := d.cut(d.at(), [drives]outcome{})
		j := reopen(t, c.on(o, places...))
		if got := counts(t, j); !slices.Equal(got, want) {
			t.Errorf("opened with %v: %d counts of %d", places, len(got), len(want))
		}
		noneOf(t, j, Levelled, TornTail, DamagedRecord, Orphaned)
		closed(t, j)
	}
}

func TestWhatAnAttachedMediumHoldsCanBeReadFromIt(t *testing.T) {
	d, o := onDisks(t, 121)
	j := reopen(t, o)
	lost(t, d, j, 1)
	for i := range 2 * maxKept { // more than memory keeps
		appended1(t, j, count(i))
	}
	var once sync.Once
	d.ask(func(x op) (int, error) {
		if x.medium == 1 { // it is being levelled: meanwhile
			once.Do(func() { appended1(t, j, count(998)); appended1(t, j, count(999)) })
		}
		return 0, nil
	})
	attach(t, j, 1)
	d.ask(nil)
	for i := range maxKept + 1 {
		appended1(t, j, count(1000+i))
	}
	level(t, j)
	want := counts(t, j)
	d.unplug(0)
	d.unplug(2)
	if got := counts(t, j); !slices.Equal(got, want) || len(got) != 1+2*maxKept+2+maxKept+1 {
		t.Errorf("from the attached medium alone: %d of %d", len(got), len(want))
	}
	d.plug(0)
	d.plug(2)
}

// Whatever is attached that is not the set's own medium is named and refused, and not written;
// the bureau goes on.
func TestWhatIsNotTheSetsMediumIsRefusedWhenItIsAttached(t *testing.T) {
	const away = 2
	rewritten := func(change func(o *Options, h *header)) func(*testing.T, *disks, Options) {
		return func(t *testing.T, d *disks, o Options) {
			h, problem := o.readHeader(away)
			if problem != nil {
				t.Fatal(problem)
			}
			change(&o, h)
			files := d.read(t, away)
			files[headerFile] = h.encode(o.JournalKey)
			d.set(away, files)
		}
	}
	cases := map[string]struct {
		problem Problem
		breaks  func(*testing.T, *disks, Options)
	}{
		"no directory":       {Absent, func(_ *testing.T, d *disks, _ Options) { d.unplug(away) }},
		"a blank key":        {NoJournal, func(_ *testing.T, d *disks, _ Options) { d.set(away, nil) }},
		"another election's": {OtherElection, rewritten(func(_ *Options, h *header) { h.binding.manifest[0] ^= 1 })},
		"another bureau's":   {OtherBureau, rewritten(func(_ *Options, h *header) { h.binding.bureau++ })},
		"an incarnation's":   {OtherIncarnation, rewritten(func(_ *Options, h *header) { h.binding.incarnation++ })},
		"wrong key":          {WrongKey, rewritten(func(o *Options, _ *header) { o.JournalKey[0] ^= 1 })},
		"another set":        {OtherSet, rewritten(func(_ *Options, h *header) { h.set[0] ^= 1 })},
		"older generation": {OldGeneration, func(t *testing.T, d *disks, o Options) {
			rewritten(func(_ *Options, h *header) { h.generation, h.hardware[away] = 0, "before" })(t, d, o)
			files := d.read(t, away)
			files[hardwareFile] = []byte("before")
			d.set(away, files)
		}},
		"given up":         {OldGeneration, rewritten(func(_ *Options, h *header) { h.hardware[0] += "another" })},
		"newer generation": {NewerGeneration, rewritten(func(_ *Options, h *header) { h.generation++ })},
		"damaged header": {Damaged, func(t *testing.T, d *disks, o Options) {
			files := d.read(t, away)
			files[headerFile][30] ^= 1
			d.set(away, files)
		}},
		"no records": {Damaged, func(t *testing.T, d *disks, _ Options) {
			files := d.read(t, away)
			delete(files, recordsFile)
			d.set(away, files)
		}},
		"a copy": {Copied, func(t *testing.T, d *disks, _ Options) {
			files := d.read(t, away)
			files[hardwareFile] = []byte("directory of another stick")
			d.set(away, files)
		}},
		"a copy of one at work": {Twin, func(t *testing.T, d *disks, _ Options) { d.set(away, d.read(t, 1)) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d, o := onDisks(t, 122)
			j := reopen(t, o)
			lost(t, d, j, away)
			c.breaks(t, d, o)
			before := d.read(t, away)
			err := j.Attach(context.Background(), disk(away))
			var problem *MediumError
			if !errors.As(err, &problem) || problem.Problem != c.problem || problem.Place != away {
				t.Fatalf("attached: %v", err)
			}
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "medium 2 (/2)") {
				t.Errorf("%q is not one line that names it", err)
			}
			if s := j.Status()[away].Fault; s == nil || s.Error() != problem.Error() {
				t.Errorf("the status says %v", s)
			}
			appended1(t, j, count(7))
			for name, b := range d.read(t, away) {
				if !bytes.Equal(b, before[name]) {
					t.Errorf("%s was written", name)
				}
			}
			closed(t, j)
		})
	}
}

// A survivor that a cut replacement did not reach is of the generation before, and named.
func TestAMediumThatTheGenerationNamesIsBroughtUpWhenItIsAttached(t *testing.T) {
	h := newHand(t, 135)
	early := h.d.read(t, 2)
	for p := range 2 {
		x, problem := h.o.readHeader(p)
		if problem != nil {
			t.Fatal(problem)
		}
		x.generation++
		files := h.d.read(t, p)
		files[headerFile] = x.encode(h.o.JournalKey)
		h.d.set(p, files)
	}
	j := reopen(t, h.d.on(h.o, 0, 1))
	appended1(t, j, count(1))
	h.d.set(2, early)
	attach(t, j, 2)
	finding(t, j, BroughtUp)
	level(t, j)
	h.d.unplug(0)
	appended1(t, j, count(2))
	h.d.plug(0)
	closed(t, j)
	j = reopen(t, h.d.on(h.o, 1, 2))
	noneOf(t, j, BroughtUp, Levelled, NotCounted)
	if got := counts(t, j); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("counts %v", got)
	}
}

func TestAFourthMediumIsNotNeeded(t *testing.T) {
	d, o := onDisks(t, 123)
	j := reopen(t, o)
	attach(t, j, 1) // it counts already
	d.set(3, d.read(t, 1))
	var problem *MediumError
	if err := j.Attach(context.Background(), disk(3)); !errors.As(err, &problem) || problem.Problem != Surplus || !strings.Contains(err.Error(), "/3") {
		t.Errorf("attached: %v", err)
	}
	closed(t, j)
	if err := j.Attach(context.Background(), disk(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("attached after Close: %v", err)
	}
}

// A medium on which somebody else went on is evidence: not written, kept, and the bureau goes on.
func TestAClonesMediumIsRefusedWhenItIsAttached(t *testing.T) {
	elsewhere := map[string]func(t *testing.T, h *hand, j *Journal){
		"it was opened with a copy of another": func(t *testing.T, h *hand, j *Journal) {
			clone, _ := h.d.cut(h.d.at(), [drives]outcome{whole, whole, whole})
			k := reopen(t, clone.on(h.o, 1, 2))
			appended1(t, k, count(66))
			closed(t, k)
			h.d.set(2, clone.read(t, 2))
		},
		"the running session went on in a copy": func(t *testing.T, h *hand, j *Journal) {
			p := j.Point()
			appended1(t, j, count(8))
			now := h.o.Now()
			b, err := ledger.Sign(h.o.Key, h.o.Group, j.Author(), p, []ledger.Statement{ledger.NewStatement(now, count(9))})
			if err != nil {
				t.Fatal(err)
			}
			h.put(encodeBatchRecord(recorded{b, []ledger.Instant{now}}), 2)
		},
		"the running session's end went on in a copy": func(t *testing.T, h *hand, j *Journal) {
			p := j.Point()
			head := &ledger.Head{Session: j.Author().Session, Next: p.Next, Hash: p.Previous}
			h.session(head, 1, 9, []int{2}, []int{2})
		},
	}
	for name, work := range elsewhere {
		t.Run(name, func(t *testing.T) {
			h := newHand(t, 124)
			h.opens(nil, nil)
			j := reopen(t, h.o)
			lost(t, h.d, j, 2)
			level(t, j)
			work(t, h, j)
			before := h.d.read(t, 2)
			err := j.Attach(context.Background(), disk(2))
			var fork *ForkError
			if !errors.As(err, &fork) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("attached: %v", err)
			}
			if f := finding(t, j, Forked); f.Tail == nil {
				t.Errorf("%+v", f)
			}
			var problem *MediumError
			if !errors.As(j.Status()[2].Fault, &problem) || problem.Problem != OtherHistory {
				t.Errorf("the status says %v", j.Status()[2].Fault)
			}
			if !bytes.Equal(before[recordsFile], h.d.read(t, 2)[recordsFile]) {
				t.Error("it was written")
			}
			appended1(t, j, count(1))
			wellChained(t, j, h.o.Group)
		})
	}
}

func TestAMediumThatAnotherMachineBeganToOpenIsRefused(t *testing.T) {
	h := newHand(t, 125)
	j := reopen(t, h.o)
	lost(t, h.d, j, 2)
	h.round(9, 9, 2)
	var problem *MediumError
	if err := j.Attach(context.Background(), disk(2)); !errors.As(err, &problem) || problem.Problem != Elsewhere {
		t.Errorf("attached: %v", err)
	}
}

// What stands on the returned medium alone, and was never durable, is told and then durable.
func TestATailThatComesBackLateIsListedAsAnOrphan(t *testing.T) {
	h := newHand(t, 126)
	head := h.session(nil, 1, 1, all3, all3)
	head = h.batch(head, 1, count(1), all3...)
	tail := h.batch(head, 1, count(2), 2)
	n := note{round: 1, serial: 1, key: "late", value: []byte("v")}
	h.put(n.encode(), 2)
	j := reopen(t, h.d.on(h.o, 0, 1))
	appended1(t, j, count(3))
	attach(t, j, 2)
	if f := finding(t, j, Orphaned); f.Tail.Head != *tail {
		t.Errorf("%+v", f)
	}
	if v, ok := j.Note("late"); !ok || string(v) != "v" {
		t.Errorf("note %q %v", v, ok)
	}
	beside := 0
	if err := j.Beside(func(*ledger.Batch, []ledger.Instant) error { beside++; return nil }); err != nil || beside != 1 {
		t.Errorf("%d batches beside the chain, %v", beside, err)
	}
	listed := 0
	err := j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		for _, s := range b.Statements {
			if x, ok := s.Body.(*ledger.Orphan); ok && x.Head == *tail {
				listed++
			}
		}
		return nil
	})
	if err != nil || listed != 1 {
		t.Errorf("listed %d times, %v", listed, err)
	}
	wellChained(t, j, h.o.Group)
	closed(t, j)
	for _, places := range [][]int{{0, 1}, {0, 2}, {1, 2}, {0, 1, 2}} { // first those that had it from the attached one
		h.opens([]int{1, 3}, []ledger.Head{*tail}, places...)
	}
}

func TestTornBytesOfAReturnedMediumAreCutOff(t *testing.T) {
	d, o := onDisks(t, 127)
	j := reopen(t, o)
	failing(d, 1, opWrite, 60, syscall.EIO)
	appended1(t, j, count(1))
	reaches(t, "the fault", func() bool { return j.Status()[1].Fault != nil })
	d.ask(nil)
	attach(t, j, 1)
	finding(t, j, TornTail)
	finding(t, j, Levelled)
	closed(t, j)
	j = reopen(t, d.on(o, 1, 2))
	noneOf(t, j, TornTail, Levelled, DamagedRecord)
	if got := counts(t, j); !slices.Equal(got, []int{1}) {
		t.Errorf("counts %v", got)
	}
}

// A machine that is down to one medium must not count again the one that it lost: the other two may
// be at work elsewhere. Only a new opening decides.
func TestAStoppedJournalTakesNothingUp(t *testing.T) {
	d, o := onDisks(t, 128)
	j := reopen(t, o)
	d.unplug(1)
	d.unplug(2)
	if _, err := j.Append(context.Background(), count(1)); !errors.Is(err, ErrStopped) {
		t.Fatalf("append: %v", err)
	}
	level(t, j) // 0 may still be writing
	d.plug(1)
	d.plug(2)
	before := d.at()
	if err := j.Attach(context.Background(), disk(1)); !errors.Is(err, ErrStopped) {
		t.Errorf("attached: %v", err)
	}
	if err := j.Replace(context.Background(), 1, disk(3)); !errors.Is(err, ErrStopped) {
		t.Errorf("replaced: %v", err)
	}
	if d.at() != before {
		t.Error("something was written")
	}
	j.Close()
	closed(t, reopen(t, o))
}

// Without a record to write nobody would notice that a key is gone.
func TestLookNoticesAMediumThatIsGone(t *testing.T) {
	gone := map[string]func(t *testing.T, d *disks){
		"unplugged":            func(_ *testing.T, d *disks) { d.unplug(1) },
		"its place is empty":   func(_ *testing.T, d *disks) { d.set(1, nil) },
		"another is there":     func(t *testing.T, d *disks) { d.set(1, d.read(t, 2)) },
		"another's, same name": func(t *testing.T, d *disks) { f := d.read(t, 1); f[hardwareFile] = nil; d.set(1, f) },
	}
	for name, pull := range gone {
		t.Run(name, func(t *testing.T) {
			d, o := onDisks(t, 129)
			j := reopen(t, o)
			level(t, j)
			j.Look()
			if s := j.Status()[1]; s.Fault != nil {
				t.Fatalf("%+v", s)
			}
			pull(t, d)
			before := d.at()
			j.Look()
			if s := j.Status()[1]; s.Fault == nil || !strings.Contains(s.Fault.Error(), "no longer there") {
				t.Errorf("%+v", s)
			}
			if d.at() != before {
				t.Error("Look writes")
			}
			d.unplug(2)
			j.Look()
			if !errors.Is(j.Err(), ErrStopped) {
				t.Errorf("with one medium left: %v", j.Err())
			}
		})
	}
}

// Two are at work elsewhere for all that this machine knows: the third must not be counted with one.
func TestAMediumIsNotTakenUpBesideOneAlone(t *testing.T) {
	d, o := onDisks(t, 136)
	j := reopen(t, o)
	lost(t, d, j, 2)
	d.unplug(1) // nobody has noticed
	if err := j.Attach(context.Background(), disk(2)); !errors.Is(err, ErrStopped) {
		t.Errorf("attached: %v", err)
	}
	d.plug(1)
}

// The old handle of a medium may still write when its device answers at last: until then the
// medium can't be read as it will be.
func TestAMediumWhoseLastWriteHangsIsNotTakenUp(t *testing.T) {
	d, o := onDisks(t, 130)
	j := reopen(t, o)
	level(t, j)
	gate, release := newGate(t)
	entered := make(chan struct{}, 100)
	d.ask(func(x op) (int, error) {
		if x.medium == 1 && x.kind == opSync {
			entered <- struct{}{}
			<-gate
		}
		return 0, nil
	})
	appended1(t, j, count(1))
	<-entered
	appended1(t, j, count(2)) // waits behind the one that hangs
	d.unplug(1)
	j.Look()
	d.plug(1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	before := d.read(t, 1)
	if err := j.Attach(ctx, disk(1)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "medium 1") {
		t.Errorf("attached: %v", err)
	}
	release()
	d.ask(nil)
	attach(t, j, 1)
	if bytes.Equal(before[recordsFile], d.read(t, 1)[recordsFile]) {
		t.Error("it was not levelled")
	}
	closed(t, j)
	j = reopen(t, d.on(o, 1, 2))
	noneOf(t, j, Levelled, DamagedRecord, TornTail)
	if got := counts(t, j); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("counts %v", got)
	}
}

// Whatever fails at any operation of taking a medium up, the bureau goes on, and it can be
// attached again.
func TestAFaultWhileAMediumIsAttachedLeavesTheBureauAtWork(t *testing.T) {
	for n := 1; ; n++ {
		r := newRun(t, 131)
		j := reopen(t, r.d.on(r.o, 0, 1, 2))
		lost(t, r.d, j, 2)
		appended1(t, j, count(1), count(2))
		happened := r.fails(2, n, 20, false)
		err := j.Attach(context.Background(), disk(2))
		var problem *MediumError
		if happened.Load() && err != nil && (!errors.As(err, &problem) || problem.Place != 2) {
			t.Errorf("operation %d: %v", n, err)
		}
		if err := j.Err(); err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		r.d.ask(nil)
		appended1(t, j, count(3))
		level(t, j)
		if err := j.Attach(context.Background(), disk(2)); err != nil {
			t.Fatalf("operation %d, again: %v", n, err)
		}
		level(t, j)
		r.d.unplug(0) // it counts
		appended1(t, j, count(4))
		r.d.plug(0)
		closed(t, j)
		if !happened.Load() {
			if err != nil || n < 3 {
				t.Errorf("%d operations, %v", n, err)
			}
			return
		}
	}
}

func TestAttachGivesWayToItsCaller(t *testing.T) {
	d, o := onDisks(t, 132)
	j := reopen(t, o)
	lost(t, d, j, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := j.Attach(ctx, disk(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("attached: %v", err)
	}
	attach(t, j, 1)
	closed(t, j)
}

func TestAMediumThatIsOutrunIsAttachedLater(t *testing.T) {
	d, o := onDisks(t, 133)
	j := reopen(t, o)
	lost(t, d, j, 1)
	var once sync.Once
	d.ask(func(x op) (int, error) {
		if x.medium == 1 { // it is being levelled: meanwhile
			once.Do(func() {
				err := j.do(context.Background(), func() error { j.since.add(make([]byte, maxSince), -1); return nil })
				if err != nil {
					t.Error(err)
				}
				appended1(t, j, count(1)) // beyond the bound nothing more is kept
				if n := len(j.since.records); n != 1 {
					t.Errorf("%d records wait", n)
				}
			})
		}
		return 0, nil
	})
	if err := j.Attach(context.Background(), disk(1)); !errors.Is(err, errOutrun) {
		t.Errorf("attached: %v", err)
	}
	attach(t, j, 1)
	closed(t, j)
	j = reopen(t, d.on(o, 1, 2))
	noneOf(t, j, Levelled)
}
