package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// freezer is a station that can stand still: everything it had open stays so, and it hears nothing.
type freezer interface {
	Freeze() error
	Thaw() error
}

// A storm's shares of the day: how long it blows, how long a gust and how long the time between two is at most.
const stormShare, gustShare, lullShare = 0.55, 0.2, 0.04

// storm has machines die, stand still and lose their cables, their disks' room and the time at random moments, several at a
// time, so that nothing of it is over when the next begins. In the end all are up and hear each other.
func (d *day) storm(ctx context.Context, r *rand.Rand) error {
	w := &weatherer{d: d, busy: make([]bool, len(d.bureaux))}
	kinds := []func(context.Context, int, []int, time.Duration) error{w.kill, w.kill, w.freeze, w.oneWay, w.apart, w.witness}
	if ownClocks(&d.plan) == nil {
		clocks := rand.New(rand.NewPCG(r.Uint64(), 0))
		kinds = append(kinds, func(_ context.Context, i int, _ []int, _ time.Duration) error { w.wrong(clocks, i); return nil })
	}
	small := d.anyBureau(r)
	if smallDisks(&d.plan) == nil {
		if err := d.giveSmallDisk(ctx, small); err != nil {
			return err
		}
		kinds = append(kinds, func(ctx context.Context, _ int, _ []int, lasts time.Duration) error { return w.full(ctx, small, lasts) })
	}
	until := time.Now().Add(d.while(stormShare))
	var gusts sync.WaitGroup
	for time.Now().Before(until) && ctx.Err() == nil {
		kind, i, side := kinds[r.IntN(len(kinds))], d.anyBureau(r), r.Perm(len(d.bureaux))[:1+r.IntN(len(d.bureaux)-1)]
		lasts := time.Duration((0.2 + 0.8*r.Float64()) * gustShare * float64(d.plan.Day))
		gusts.Go(func() {
			if err := kind(ctx, i, side, lasts); err != nil {
				w.fail(err)
			}
		})
		sleep(ctx, time.Duration((0.2+0.8*r.Float64())*lullShare*float64(d.plan.Day)))
	}
	gusts.Wait()
	d.cables.Heal()
	d.setCut(nil)
	return errors.Join(w.errs...)
}

// weatherer is a storm under way. mu guards what gusts share.
type weatherer struct {
	d *day

	mu   sync.Mutex
	busy []bool // a machine that is down or stands still
	away bool   // the witness
	errs []error
}

func (w *weatherer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

// take says whether nothing else is done to a machine, and holds it if so.
func (w *weatherer) take(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[i] {
		return false
	}
	w.busy[i] = true
	return true
}

func (w *weatherer) leave(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[i] = false
}

func (w *weatherer) wrong(r *rand.Rand, i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.d.bureaux[i].clock.goWrong(r)
}

// full leaves a bureau's disk without room, and kills the machine meanwhile; who starts it makes room first.
func (w *weatherer) full(ctx context.Context, i int, lasts time.Duration) error {
	if !w.take(i) {
		return nil
	}
	defer w.leave(i)
	u := w.d.bureaux[i]
	if err := w.d.fillDisk(ctx, i, lasts, u.Kill); err != nil {
		return err
	}
	return w.d.down(ctx, i, true, 0, nil)
}

func (w *weatherer) kill(ctx context.Context, i int, _ []int, lasts time.Duration) error {
	if !w.take(i) {
		return nil
	}
	defer w.leave(i)
	return w.d.down(ctx, i, true, lasts/2, nil)
}

// freeze is a cut where a station is no process of its own.
func (w *weatherer) freeze(ctx context.Context, i int, _ []int, lasts time.Duration) error {
	f, can := w.d.bureaux[i].station.(freezer)
	if !can {
		return w.apart(ctx, i, []int{i}, lasts)
	}
	if !w.take(i) {
		return nil
	}
	defer w.leave(i)
	if err := f.Freeze(); err != nil {
		return fmt.Errorf("freeze bureau %d: %w", w.d.bureaux[i].number, err)
	}
	sleep(ctx, lasts)
	return f.Thaw()
}

// oneWay lets nobody hear one bureau, which hears all.
func (w *weatherer) oneWay(ctx context.Context, i int, _ []int, lasts time.Duration) error {
	for _, j := range w.d.others(i) {
		w.d.cables.Cut(i, j)
	}
	sleep(ctx, lasts)
	w.d.cables.Mend([]int{i}, w.d.others(i))
	return nil
}

func (w *weatherer) apart(ctx context.Context, _ int, side []int, lasts time.Duration) error {
	var others []int
	for i := range w.d.bureaux {
		if !slices.Contains(side, i) {
			others = append(others, i)
		}
	}
	w.d.cables.CutOff(side, others)
	sleep(ctx, lasts)
	w.d.cables.Mend(side, others)
	return nil
}

func (w *weatherer) witness(ctx context.Context, _ int, _ []int, lasts time.Duration) error {
	w.mu.Lock()
	already := w.away || w.d.adele == nil
	w.away = true
	w.mu.Unlock()
	if already {
		return nil
	}
	defer func() { w.mu.Lock(); w.away = false; w.mu.Unlock() }()
	if err := w.d.adele.Stop(); err != nil {
		return err
	}
	sleep(ctx, lasts)
	return w.d.adele.Start()
}
