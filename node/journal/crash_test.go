package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// history of one run on disks that remember: what was acknowledged when.
type run struct {
	t    *testing.T
	o    Options
	d    *disks
	acks []acknowledged
	// chain is the run's batches at its end, in order; before are those of the run before it,
	// the last of which may have stood on one medium only.
	chain, before []ledger.Hash
	// from is the log's length when the media were made.
	from int
	// opened and closing, if set, are called after a session's opening and before its end, during
	// before its last append.
	opened, closing func()
	during          func(*Journal)
}

// acknowledged: when the log had at operations, the first batches batches were durable, and
// the note said note.
type acknowledged struct {
	at, batches int
	note        byte
}

const runNote = "note"

func newRun(t *testing.T, seed byte) *run {
	t.Helper()
	r := &run{t: t, d: newDisks(), o: bareOptions(ledgertest.NewDay(t, 3, 12, nil).Group, seed)}
	// The same batches are read many thousand times: each is checked once.
	checked := map[[32]byte]bool{}
	r.o.verify = func(b *ledger.Batch) error {
		sum := sha256.Sum256(b.Encode())
		if checked[sum] {
			return nil
		}
		err := b.Verify(r.o.Group)
		checked[sum] = err == nil
		return err
	}
	create(t, r.d.on(r.o, 0, 1, 2))
	r.from = r.d.at()
	return r
}

// session opens the media at the places, appends, notes, and closes.
func (r *run) session(appends int, places ...int) {
	r.t.Helper()
	j, err := Open(r.d.on(r.o, places...))
	if err != nil {
		r.t.Fatal(err)
	}
	note := byte(0)
	if v, ok := j.Note(runNote); ok {
		note = v[0]
	}
	ack := func() {
		r.acks = append(r.acks, acknowledged{r.d.at(), j.Behind(j.Start()), note})
	}
	ack()
	if r.opened != nil {
		r.opened()
	}
	for i := range appends {
		if r.during != nil && i == appends-1 {
			r.during(j)
			ack()
		}
		if i%3 == 2 {
			if err := j.SetNote(context.Background(), runNote, []byte{note + 1}); err != nil {
				r.t.Fatal(err)
			}
			note++
		} else {
			appended1(r.t, j, count(i), count(i))
		}
		ack()
	}
	if r.closing != nil {
		r.closing()
	}
	r.chain = nil
	err = j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		r.chain = append(r.chain, b.Header.Identity())
		return nil
	})
	if err := errors.Join(err, j.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// acked is what was acknowledged before operation n.
func (r *run) acked(n int) (a acknowledged) {
	for _, x := range r.acks {
		if x.at <= n {
			a = x
		}
	}
	return a
}

// holds opens the disks with the media at the places and says in what it breaks its word.
func (r *run) holds(d *disks, a acknowledged, places ...int) (offence string) {
	imagesOpened.Add(1)
	j, err := Open(d.on(r.o, places...))
	if err != nil {
		return fmt.Sprintf("places %v: %v", places, err)
	}
	defer func() {
		if err := j.Close(); err != nil && offence == "" {
			offence = fmt.Sprintf("places %v: close: %v", places, err)
		}
	}()
	next, others := 0, 0
	err = j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		id := b.Header.Identity()
		switch {
		case next < len(r.chain) && r.chain[next] == id && others == 0:
			next++
		case slices.Contains(r.before, id) || b.Header.First == 0 && len(countsOf(b)) == 0:
			others++ // nobody was told of it, or it is an opening after the cut
		default:
			return fmt.Errorf("batch %d of %v was never signed, or stands in the wrong place", b.Header.First, b.Header.Author)
		}
		return nil
	})
	if err != nil {
		return fmt.Sprintf("places %v: %v", places, err)
	}
	if next < a.batches {
		return fmt.Sprintf("places %v: %d of %d acknowledged batches", places, next, a.batches)
	}
	v, ok := j.Note(runNote)
	if a.note > 0 && (!ok || v[0] != a.note && v[0] != a.note+1) {
		return fmt.Sprintf("places %v: note %v, acknowledged %d", places, v, a.note)
	}
	for _, f := range j.Findings() {
		if f.Kind == NotCounted && r.during == nil {
			return fmt.Sprintf("places %v: %s", places, f.What)
		}
	}
	if d, err := j.Append(context.Background(), count(99)); err != nil || d.Batch.Header.Author != j.Author() {
		return fmt.Sprintf("places %v: the new session does not work: %v", places, err)
	}
	return ""
}

// full takes every power cut instead of a share of them (go test ./node/journal -full: two minutes,
// over 20,000 images, or it fails).
var full = flag.Bool("full", false, "enumerate every power cut")

// imagesOpened counts the media, as a cut left them, that the tests have opened.
var imagesOpened atomic.Int64

var anyTwo = [][]int{{0, 1, 2}, {0, 1}, {0, 2}, {1, 2}}

// everyCut calls check for each way in which a power cut before each operation from `from`
// on can leave the media.
func everyCut(d *disks, from int, check func(n int, how [drives]outcome, image func() *disks)) {
	for n := from; n <= len(d.log); n++ {
		_, uncertain := d.cut(n, [drives]outcome{})
		var how [drives]outcome
		var vary func(m int)
		vary = func(m int) {
			if m == drives {
				check(n, how, func() *disks { x, _ := d.cut(n, how); return x })
				return
			}
			for how[m] = 0; how[m] < outcomes; how[m]++ {
				vary(m + 1)
				if !uncertain[m] {
					break
				}
			}
			how[m] = 0
		}
		vary(0)
	}
}

// day is a run with a key away for one session, and a medium that in the last session
// writes nothing until the others are through.
func day(t *testing.T, seed byte, slow int) *run {
	t.Helper()
	r := newRun(t, seed)
	r.session(3, 0, 1, 2)
	r.session(3, (slow+1)%members, (slow+2)%members)
	var gate atomic.Pointer[chan struct{}]
	r.d.before = func(o op) (int, error) {
		if g := gate.Load(); g != nil && o.medium == slow && o.kind == opSync {
			<-*g
		}
		return 0, nil
	}
	r.opened = func() { gate.Store(new(make(chan struct{}))) }
	r.closing = func() { close(*gate.Swap(nil)) }
	r.session(4, 0, 1, 2)
	return r
}

// each checks every cut of the run's log from r.from on, opened with any two media and with all.
func (r *run) each() (images int, offences []string) {
	everyCut(r.d, r.from, func(n int, how [drives]outcome, image func() *disks) {
		for _, places := range anyTwo {
			images++
			if offence := r.holds(image(), r.acked(n), places...); offence != "" {
				offences = append(offences, fmt.Sprintf("cut before operation %d of %d, left %v: %s", n, len(r.d.log), how, offence))
			}
		}
	})
	return images, offences
}

func TestNoPowerCutLosesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	slow := []int{2}
	if *full {
		slow = []int{0, 1, 2}
	}
	for _, slow := range slow {
		images, offences := day(t, byte(slow), slow).each()
		for _, o := range offences {
			t.Error(o)
		}
		t.Logf("%d images", images)
		if images < 500 {
			t.Errorf("%d images: the enumeration is broken", images)
		}
	}
}

// The opening after a cut is cut too, everywhere.
func TestNoPowerCutDuringAnOpeningLosesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	r := newRun(t, 30)
	r.session(2, 0, 1, 2)
	r.session(2, 0, 1)
	images, openings, differing := 0, 0, 0
	everyCut(r.d, r.from, func(n int, how [drives]outcome, image func() *disks) {
		// Where the media differ: one has the last record whole or not at all, another not so.
		if how[0] == torn || how[0] == garbage || how[1] == whole || how[1] == garbage || how[2] != nothing || how[0] == how[1] {
			return
		}
		if differing++; differing%7 != 0 && !*full {
			return
		}
		pairs := anyTwo[2:]
		if *full {
			pairs = anyTwo[1:]
		}
		for _, places := range pairs {
			openings++
			a := r.acked(n)
			again := &run{t: t, o: r.o, d: image(), before: r.chain, acks: []acknowledged{{0, a.batches, a.note}}}
			again.session(1, places...)
			i, offences := again.each()
			images += i
			for _, o := range offences {
				t.Errorf("cut before operation %d, opened with %v, %s", n, places, o)
			}
		}
	})
	t.Logf("%d images of %d openings", images, openings)
	if images < 500 {
		t.Errorf("%d images: the enumeration is broken", images)
	}
}

// The enumeration proves something only if it catches a journal that takes a record for
// durable too early: here the fsyncs of one member, or of two, have no effect.
func TestAMissingFsyncWouldBeCaught(t *testing.T) {
	t.Parallel()
	for _, lying := range [][]int{{1}, {0, 1}} {
		r := newRun(t, 31)
		r.session(2, 0, 1)
		for i, o := range r.d.log[r.from:] {
			if o.kind == opSync && slices.Contains(lying, o.medium) {
				r.d.log[r.from+i].kind = opSyncDir
			}
		}
		if _, offences := r.each(); len(offences) == 0 {
			t.Errorf("members %v never fsync, and no cut shows it", lying)
		}
	}
}

// A random life: media come and go, and every session ends in a power cut somewhere.
func TestManyPowerCutsInARowLoseNothing(t *testing.T) {
	t.Parallel()
	orphans := 0
	for seed := range byte(12) {
		rnd := rand.New(rand.NewChaCha8([32]byte{seed, 1}))
		r := newRun(t, 40+seed)
		d, _ := r.d.cut(r.d.at(), [drives]outcome{})
		acked := map[ledger.Hash]bool{}
		for step := range 25 {
			s := &run{t: t, o: r.o, d: d}
			s.session(rnd.IntN(4), anyTwo[rnd.IntN(len(anyTwo))]...)
			n := rnd.IntN(len(d.log) + 1)
			there := map[ledger.Hash]bool{}
			for _, id := range s.chain {
				there[id] = true
			}
			for id := range acked {
				if !there[id] {
					t.Fatalf("seed %d, step %d: an acknowledged batch is not in the chain", seed, step)
				}
			}
			for _, id := range s.chain[:s.acked(n).batches] {
				acked[id] = true
			}
			var how [drives]outcome
			for m := range how {
				how[m] = outcome(rnd.IntN(int(outcomes)))
			}
			d, _ = d.cut(n, how)
		}
		j := reopen(t, d.on(r.o, 0, 1, 2))
		noneOf(t, j, NotCounted)
		wellChained(t, j, r.o.Group)
		off := 0
		if err := j.Beside(func(*ledger.Batch, []ledger.Instant) error { off++; return nil }); err != nil {
			t.Error(err)
		}
		orphans += off
		closed(t, j)
	}
	if orphans == 0 {
		t.Error("no life left an orphan: the test has lost its point")
	}
}

// A bureau's set must be there whole or not at all, wherever its making was cut.
func TestAPowerCutDuringCreateLeavesASetOrNone(t *testing.T) {
	r := newRun(t, 50)
	everyCut(r.d, 0, func(n int, how [drives]outcome, image func() *disks) {
		j, err := Open(image().on(r.o, 0, 1, 2))
		if err == nil {
			wellChained(t, j, r.o.Group)
			closed(t, j)
			return
		}
		var few *TooFewError
		if !errors.As(err, &few) || n == len(r.d.log) {
			t.Errorf("cut before operation %d, left %v: %v", n, how, err)
		}
	})
}
