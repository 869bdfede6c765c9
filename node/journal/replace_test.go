package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pointage/ledger/ledgertest"
)

// blank is the disk that takes another's place.
const blank = members

// survivorsOf are the members but one.
func survivorsOf(member int) (out []int) {
	for m := range members {
		if m != member {
			out = append(out, m)
		}
	}
	return out
}

func replaced1(tb testing.TB, j *Journal, member int) {
	tb.Helper()
	if err := j.Replace(context.Background(), member, disk(blank)); err != nil {
		tb.Fatal(err)
	}
	if s := j.Status()[member]; s.Fault != nil || s.Path != disk(blank).Path {
		tb.Fatalf("replaced, and its status is %+v", s)
	}
	if n := len(j.written()); n != members {
		tb.Errorf("%d media are attached", n)
	}
}

// refusedWith opens the disks and wants a refusal that gives this problem for one of them.
func refusedWith(tb testing.TB, d *disks, o Options, problem Problem, places ...int) {
	tb.Helper()
	_, err := Open(d.on(o, places...))
	var few *TooFewError
	if !errors.As(err, &few) || !slices.ContainsFunc(few.Problems, func(e *MediumError) bool { return e.Problem == problem }) {
		tb.Errorf("places %v: %v", places, err)
	}
}

func TestAReplacedMediumNeverCountsAgain(t *testing.T) {
	for member := range members {
		d, o := onDisks(t, 140)
		j := reopen(t, o)
		appended1(t, j, count(1))
		var work sync.WaitGroup
		stop := make(chan struct{})
		work.Go(func() {
			for i := 2; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := j.Append(context.Background(), count(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		replaced1(t, j, member)
		close(stop)
		work.Wait()
		var problem *MediumError
		if err := j.Attach(context.Background(), disk(member)); !errors.As(err, &problem) || problem.Problem != Surplus {
			t.Errorf("the replaced medium: %v", err)
		}
		kept := survivorsOf(member)
		level(t, j)
		d.unplug(kept[0]) // the new one counts
		j.Look()
		appended1(t, j, count(0))
		if err := j.Attach(context.Background(), disk(member)); !errors.As(err, &problem) || problem.Problem != OldGeneration {
			t.Errorf("the replaced medium: %v", err)
		}
		d.plug(kept[0])
		attach(t, j, kept[0])
		want := counts(t, j)
		wellChained(t, j, o.Group)
		closed(t, j)
		for _, places := range [][]int{{kept[0], kept[1]}, {kept[0], blank}, {kept[1], blank}, {kept[0], kept[1], blank}, {0, 1, 2}} {
			c, _ := d.cut(d.at(), [drives]outcome{})
			j := reopen(t, c.on(o, places...))
			if got := counts(t, j); !slices.Equal(got, want) {
				t.Errorf("%v: %d counts of %d", places, len(got), len(want))
			}
			noneOf(t, j, Levelled, TornTail, BroughtUp)
			closed(t, j)
		}
		refusedWith(t, d, o, OldGeneration, member, kept[0])
		refusedWith(t, d, o, OldGeneration, member, kept[1])
		if c, _ := d.cut(d.at(), [drives]outcome{}); true {
			o := c.on(o, kept[0])
			o.Media[kept[1]] = disk(member)
			o.Media[member] = disk(blank)
			j := reopen(t, o)
			finding(t, j, NotCounted)
			closed(t, j)
		}
	}
}

// With its header the new medium holds everything, whether or not the old one could be read.
func TestTheNewMediumHoldsEverythingWhenItCounts(t *testing.T) {
	for member := range members {
		d, o := onDisks(t, 146)
		j := reopen(t, o)
		for i := range 5 {
			appended1(t, j, count(i))
		}
		level(t, j)
		replaced1(t, j, member)
		if got := countsIn(t, history1(t, d, o, blank).Replay); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
			t.Errorf("member %d: the new medium has %v", member, got)
		}
		closed(t, j)
	}
}

// The machine died: a spare opens with both keys, and its blank disk joins them.
func TestASpareMachinesDiskJoinsBothKeys(t *testing.T) {
	d, o := onDisks(t, 141)
	j := reopen(t, o)
	appended1(t, j, count(1))
	closed(t, j)
	d.unplug(0) // the dead machine's
	j = reopen(t, d.on(o, 1, 2, blank))
	var problem *MediumError
	if !errors.As(j.Status()[0].Fault, &problem) || problem.Problem != NoJournal {
		t.Errorf("status %+v", j.Status()[0])
	}
	appended1(t, j, count(2))
	replaced1(t, j, 0)
	appended1(t, j, count(3))
	closed(t, j)
	d.plug(0) // it comes to life again, with a key that was left in it
	refusedWith(t, d, o, OldGeneration, 0, 2)
	j = reopen(t, d.on(o, 2, blank))
	if got := counts(t, j); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("counts %v", got)
	}
	wellChained(t, j, o.Group)
	closed(t, j)
}

// A blank disk and one key are no bureau, and a set needs both survivors to change.
func TestOneKeyAndABlankDiskDoNotOpen(t *testing.T) {
	d, o := onDisks(t, 142)
	for _, key := range []int{1, 2} {
		refusedWith(t, d, o, NoJournal, key, blank)
	}
	j := reopen(t, d.on(o, 0, 1))
	before := d.at()
	err := j.Replace(context.Background(), 1, disk(blank))
	var few *TooFewError
	if !errors.As(err, &few) || few.Usable != 1 || strings.Contains(err.Error(), "\n") {
		t.Errorf("replaced with one survivor: %v", err)
	}
	if d.at() != before {
		t.Error("something was written")
	}
	appended1(t, j, count(1))
	closed(t, j)
}

func TestAMediumThatIsNotBlankDoesNotReplaceAnother(t *testing.T) {
	foreign := func(t *testing.T, o Options) map[string][]byte {
		d, x := onDisks(t, 143)
		closed(t, reopen(t, x))
		return d.read(t, 0)
	}
	cases := map[string]struct {
		problem Problem
		by      Medium
		breaks  func(*testing.T, *disks, Options)
	}{
		"another set's":      {Occupied, disk(blank), func(t *testing.T, d *disks, o Options) { d.set(blank, foreign(t, o)) }},
		"records, no header": {Occupied, disk(blank), func(t *testing.T, d *disks, o Options) { f := foreign(t, o); f[headerFile] = nil; d.set(blank, f) }},
		"own records that the set lost": {Occupied, disk(blank), func(t *testing.T, d *disks, o Options) {
			files := d.read(t, 0)
			h, problem := o.readHeader(0)
			if problem != nil {
				t.Fatal(problem)
			}
			n := note{round: 1, serial: 99, key: "k"}
			d.set(blank, map[string][]byte{recordsFile: newSealer(o.JournalKey, h.set).appendFrame(files[recordsFile], 50, nonce{}, n.encode())})
		}},
		"one of this set":   {Occupied, disk(blank), func(t *testing.T, d *disks, _ Options) { d.set(blank, d.read(t, 2)) }},
		"not there":         {Absent, disk(blank), func(_ *testing.T, d *disks, _ Options) { d.unplug(blank) }},
		"a survivor":        {Formerly, disk(0), nil},
		"the same stick":    {Formerly, Medium{Path: disk(blank).Path, Hardware: "key 2"}, nil},
		"a survivor's twin": {Formerly, Medium{Path: disk(blank).Path, Hardware: "key 1"}, nil},
		"write-protected":   {Unwritable, disk(blank), func(_ *testing.T, d *disks, _ Options) { failing(d, blank, opMake, 0, syscall.EROFS) }},
		"full":              {Unwritable, disk(blank), func(_ *testing.T, d *disks, _ Options) { failing(d, blank, opWrite, 9, syscall.ENOSPC) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDisks()
			o := d.on(bareOptions(ledgertest.NewDay(t, 3, 12, nil).Group, 144), 0, 1, 2)
			for p := range o.Media {
				o.Media[p].Hardware = fmt.Sprint("key ", p)
			}
			create(t, o)
			j := reopen(t, o)
			appended1(t, j, count(1))
			if c.breaks != nil {
				c.breaks(t, d, o)
			}
			before := d.read(t, blank)
			err := j.Replace(context.Background(), 2, c.by)
			var problem *MediumError
			if !errors.As(err, &problem) || problem.Problem != c.problem || strings.Contains(err.Error(), "\n") {
				t.Fatalf("replaced: %v", err)
			}
			for name, b := range d.read(t, blank) {
				if !bytes.Equal(b, before[name]) {
					t.Errorf("%s was written", name)
				}
			}
			d.ask(nil)
			appended1(t, j, count(2))
			if s := j.Status(); s[2].Fault != nil || s[2].Path != "/2" {
				t.Errorf("the old one no longer counts: %+v", s[2])
			}
			closed(t, j)
			j = reopen(t, o)
			noneOf(t, j, NotCounted, BroughtUp, Levelled)
		})
	}
	_, o := onDisks(t, 145)
	j := reopen(t, o)
	for _, member := range []int{-1, members} {
		if err := j.Replace(context.Background(), member, disk(blank)); err == nil {
			t.Errorf("member %d was replaced", member)
		}
	}
}

// replacing is a run in which a medium is replaced at work; its old one is attached and good, or
// has failed before.
func replacing(t *testing.T, seed byte, member int, good bool) *run {
	t.Helper()
	r := newRun(t, seed)
	if !good {
		r.session(2, survivorsOf(member)...)
	}
	r.during = func(j *Journal) {
		if good { // else the cuts before are those of any day
			level(t, j)
		}
		r.from = r.d.at()
		replaced1(t, j, member)
	}
	if good {
		r.session(3, 0, 1, 2)
	} else {
		r.session(3, survivorsOf(member)...)
	}
	return r
}

// A power cut anywhere while a medium is replaced leaves a set that opens with its survivors, in the
// old generation or the new one, and never one in which both the old and the new medium count.
func TestNoPowerCutDuringAReplacementLosesTheSet(t *testing.T) {
	t.Parallel()
	images, again := 0, 0
	for member := range members {
		for _, good := range []bool{true, false} {
			if !*full && good != (member == 1) {
				continue
			}
			r := replacing(t, 150+byte(member), member, good)
			a, b := survivorsOf(member)[0], survivorsOf(member)[1]
			everyCut(r.d, r.from, func(n int, how [drives]outcome, image func() *disks) {
				fail := func(offence string) {
					if offence != "" {
						t.Errorf("member %d, good %v, cut before operation %d of %d, left %v: %s", member, good, n, len(r.d.log), how, offence)
					}
				}
				acked := r.acked(n)
				for _, places := range [][]int{{a, b}, {a, b, member}, {a, b, blank}} {
					images++
					fail(r.holds(image(), acked, places...))
				}
				counts := map[int]bool{}
				for _, third := range []int{member, blank} {
					for _, survivor := range []int{a, b} {
						images++
						opened, offence := r.mayOpen(image, acked, survivor, third)
						fail(offence)
						counts[third] = counts[third] || opened
					}
				}
				if counts[member] && counts[blank] {
					fail("the old medium counts, and so does the new one")
				}
				if again++; again%6 == 0 || *full {
					fail(r.replacesAgain(image(), member, a, b))
				}
			})
		}
	}
	t.Logf("%d images", images)
	if images < 1000 {
		t.Errorf("%d images: the enumeration is broken", images)
	}
}

// mayOpen opens the places, which may be refused for want of media.
func (r *run) mayOpen(image func() *disks, a acknowledged, places ...int) (opened bool, offence string) {
	j, err := Open(image().on(r.o, places...))
	var few *TooFewError
	switch {
	case errors.As(err, &few):
		return false, ""
	case err != nil:
		return false, err.Error()
	}
	if err := j.Close(); err != nil {
		return true, err.Error()
	}
	return true, r.holds(image(), a, places...)
}

// replacesAgain finishes what the cut broke off, with the same medium.
func (r *run) replacesAgain(d *disks, member, a, b int) (offence string) {
	j, err := Open(d.on(r.o, a, b, blank))
	if err != nil {
		return err.Error()
	}
	defer j.Close()
	if j.Status()[member].Fault != nil {
		if err := j.Replace(context.Background(), member, disk(blank)); err != nil {
			return fmt.Sprintf("again: %v", err)
		}
	}
	if _, err := j.Append(context.Background(), count(99)); err != nil {
		return fmt.Sprintf("after it was finished: %v", err)
	}
	if err := j.Close(); err != nil {
		return err.Error()
	}
	want := counts(r.t, j)
	k, err := Open(d.on(r.o, b, blank))
	if err != nil {
		return fmt.Sprintf("then: %v", err)
	}
	defer k.Close()
	if got := counts(r.t, k); !slices.Equal(got, want) {
		return fmt.Sprintf("then the new medium has %v of %v", got, want)
	}
	return ""
}

// A medium comes back while the bureau works, and the power goes at any moment of it.
func TestNoPowerCutDuringAnAttachLosesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	images := 0
	for m := range members {
		if !*full && m != 1 {
			continue
		}
		r := newRun(t, 160+byte(m))
		r.during = func(j *Journal) {
			lost(t, r.d, j, m)
			appended1(t, j, count(51))
			r.from = r.d.at()
			attach(t, j, m)
			appended1(t, j, count(52))
			level(t, j)
		}
		r.session(3, 0, 1, 2)
		n, offences := r.each()
		for _, o := range offences {
			t.Errorf("medium %d: %s", m, o)
		}
		images += n
	}
	t.Logf("%d images", images)
	if images < 100 {
		t.Errorf("%d images: the enumeration is broken", images)
	}
}

// A survivor or the new medium fails at each operation of a replacement: the bureau goes on in one
// generation, or stops, and what was acknowledged is on the survivors.
func TestAFaultDuringAReplacementKeepsASet(t *testing.T) {
	stops, refused := 0, 0
	for _, broken := range []int{0, 1, blank} {
		for n := 1; ; n++ {
			d, o := onDisks(t, 170)
			j := reopen(t, o)
			appended1(t, j, count(1))
			level(t, j)
			r := &run{t: t, o: o, d: d}
			happened := r.fails(broken, n, 11, true)
			err := j.Replace(context.Background(), 2, disk(blank))
			want := []int{1}
			if _, e := j.Append(context.Background(), count(2)); e == nil {
				want = append(want, 2)
			} else if !errors.Is(e, ErrStopped) {
				t.Errorf("disk %d, operation %d: append: %v", broken, n, e)
			} else {
				stops++
			}
			j.Close()
			if err != nil {
				refused++
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("disk %d, operation %d: more than a line: %v", broken, n, err)
				}
			}
			d.ask(nil)
			for _, places := range [][]int{{0, 1}, {0, 1, 2}, {0, 1, blank}} {
				c, _ := d.cut(d.at(), [drives]outcome{whole, whole, whole, whole})
				k, err := Open(c.on(o, places...))
				if err != nil {
					t.Errorf("disk %d, operation %d, then %v: %v", broken, n, places, err)
					continue
				}
				got := counts(t, k)
				if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
					t.Errorf("disk %d, operation %d, then %v: %v", broken, n, places, got)
				}
				closed(t, k)
			}
			if !happened.Load() {
				if err != nil || n < 5 {
					t.Errorf("disk %d: %d operations, %v", broken, n, err)
				}
				break
			}
		}
	}
	t.Logf("%d refused, %d stopped", refused, stops)
	if stops == 0 || refused == 0 {
		t.Error("one of the two never happened")
	}
}

// Two replacements of which each was cut when one survivor knew: any two media that agree go on, and
// nothing is lost whichever side the third medium takes.
func TestTwoReplacementsThatWereCutAgreeOnOneSet(t *testing.T) {
	d, o := onDisks(t, 180)
	j := reopen(t, o)
	appended1(t, j, count(1))
	level(t, j)
	// The header of the second survivor is never written.
	headers := 0
	d.ask(func(x op) (int, error) {
		if x.kind == opRename && strings.HasSuffix(x.name, headerFile) {
			if headers++; headers > 1 {
				return 0, syscall.EIO
			}
		}
		return 0, nil
	})
	if err := j.Replace(context.Background(), 2, disk(blank)); !errors.Is(err, ErrStopped) {
		t.Fatalf("replaced: %v", err)
	}
	j.Close()
	d.ask(nil)
	// 0 knows of generation 2; 1 and 2 go on in the first, and give it up as well.
	j = reopen(t, d.on(o, 1, 2))
	appended1(t, j, count(2))
	var problem *MediumError
	if err := j.Attach(context.Background(), disk(0)); !errors.As(err, &problem) || problem.Problem != NewerGeneration {
		t.Errorf("attached: %v", err)
	}
	half := func() *disks { c, _ := d.cut(d.at(), [drives]outcome{whole, whole, whole, whole}); return c }
	level(t, j)
	// With all three, generation 2 takes 1 over, and 2 is out.
	c := half()
	k := reopen(t, c.on(o, 0, 1, 2))
	finding(t, k, BroughtUp)
	if got := counts(t, k); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("counts %v", got)
	}
	closed(t, k)
	refusedWith(t, c, o, OldGeneration, 1, 2)
	// Or 0 is given up for good.
	d.set(blank, nil)
	replaced1(t, j, 0)
	appended1(t, j, count(3))
	closed(t, j)
	for _, places := range [][]int{{1, 2}, {1, blank}, {2, blank}, {0, 1, 2}} {
		k := reopen(t, half().on(o, places...))
		if got := counts(t, k); !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("%v: %v", places, got)
		}
		closed(t, k)
	}
	refusedWith(t, d, o, OldGeneration, 0, 1)
	refusedWith(t, d, o, OldGeneration, 0, 2)
}
