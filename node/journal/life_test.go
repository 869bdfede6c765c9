package journal

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
)

// life is a set of media through many power cuts: they come and go, and take each other's place.
type life struct {
	t   *testing.T
	rnd *rand.Rand
	o   Options
	d   *disks
	// at is the disk of each member, -1 when a cut replacement left none; spare is blank.
	at    [members]int
	spare int
	// acked are the batches that were acknowledged.
	acked                        map[ledger.Hash]bool
	attached, replaced, halfWays int
}

// wipe makes the spare disk blank, also in what later cuts start from.
func (l *life) wipe() {
	for _, names := range []map[string]int{l.d.names, l.d.base.names} {
		for name := range names {
			if mediumOf(name) == l.spare {
				delete(names, name)
			}
		}
	}
}

// pick is at least two of the set's disks; without is the member left out, -1 for none.
func (l *life) pick() (places []int, without int) {
	without = slices.Index(l.at[:], -1)
	if without < 0 && l.rnd.IntN(2) == 0 {
		without = l.rnd.IntN(members)
	}
	for m, disk := range l.at {
		if m != without {
			places = append(places, disk)
		}
	}
	return places, without
}

// step is one session, with what happens to its media, and a cut.
func (l *life) step() {
	l.wipe()
	s := &run{t: l.t, o: l.o, d: l.d}
	places, without := l.pick()
	replacing := -1
	s.during = func(j *Journal) {
		switch what := l.rnd.IntN(4); {
		case what <= 1 && without >= 0 && l.at[without] >= 0:
			l.attach(j, l.at[without])
		case what <= 1 && without < 0:
			l.pull(j, l.at[l.rnd.IntN(members)])
		case what == 2:
			replacing = without
			if without < 0 {
				replacing = l.rnd.IntN(members)
			}
			if err := j.Replace(context.Background(), replacing, disk(l.spare)); err != nil {
				l.t.Fatal(err)
			}
			l.replaced++
		}
	}
	s.session(1+l.rnd.IntN(3), places...)
	there := map[ledger.Hash]bool{}
	for _, id := range s.chain {
		there[id] = true
	}
	for id := range l.acked {
		if !there[id] {
			l.t.Fatal("an acknowledged batch is not in the chain")
		}
	}
	n := len(l.d.log) - min(l.rnd.IntN(40), l.rnd.IntN(len(l.d.log)+1))
	for _, id := range s.chain[:s.acked(n).batches] {
		l.acked[id] = true
	}
	var how [drives]outcome
	for m := range how {
		how[m] = outcome(l.rnd.IntN(int(outcomes)))
	}
	l.d, _ = l.d.cut(n, how)
	if replacing >= 0 {
		l.settle(replacing)
	}
}

func (l *life) attach(j *Journal, medium int) {
	if err := j.Attach(context.Background(), disk(medium)); err != nil {
		l.t.Fatal(err)
	}
	l.attached++
}

// pull takes a medium out, and puts it back.
func (l *life) pull(j *Journal, medium int) {
	l.d.unplug(medium)
	j.Look()
	appended1(l.t, j, count(7))
	l.d.plug(medium)
	l.attach(j, medium)
}

// settle finds out which disk has the member's place after a cut.
func (l *life) settle(member int) {
	newest := uint32(0)
	for m, disk := range l.at {
		if m != member {
			newest = max(newest, l.generation(disk))
		}
	}
	old := l.at[member]
	switch {
	case l.generation(l.spare) == newest:
		l.at[member] = l.spare
		l.spare = old
	case old >= 0 && l.generation(old) < newest:
		l.at[member] = -1
		l.halfWays++
	}
	if l.spare < 0 { // the one that is in no place
		for d := range drives {
			if !slices.Contains(l.at[:], d) {
				l.spare = d
			}
		}
	}
}

func (l *life) generation(medium int) uint32 {
	o := l.d.on(l.o)
	o.Media[0] = disk(medium)
	h, problem := o.readHeader(0)
	if problem != nil {
		return 0
	}
	return h.generation
}

func TestALifeOfMediaThatComeGoAndAreReplacedLosesNothing(t *testing.T) {
	t.Parallel()
	attached, replaced, halfWays := 0, 0, 0
	seeds := byte(8)
	if *full {
		seeds = 200
	}
	for seed := range seeds {
		r := newRun(t, 230)
		l := &life{t: t, rnd: rand.New(rand.NewChaCha8([32]byte{seed, 2})), o: r.o, at: [members]int{0, 1, 2}, spare: 3, acked: map[ledger.Hash]bool{}}
		l.d, _ = r.d.cut(r.d.at(), [drives]outcome{})
		for range 25 {
			l.step()
		}
		places, _ := l.pick()
		j := reopen(t, l.d.on(r.o, places...))
		for _, f := range j.Findings() {
			if f.Kind == NotCounted && !strings.Contains(f.What, NoJournal.String()) || f.Kind == Forked || f.Kind == DamagedRecord {
				t.Errorf("seed %d: %v: %s", seed, f.Kind, f.What)
			}
		}
		wellChained(t, j, r.o.Group)
		closed(t, j)
		attached, replaced, halfWays = attached+l.attached, replaced+l.replaced, halfWays+l.halfWays
	}
	t.Logf("%d attached, %d replaced, %d replacements cut half way", attached, replaced, halfWays)
	if attached == 0 || replaced == 0 || halfWays == 0 {
		t.Error("one of the three never happened")
	}
}
