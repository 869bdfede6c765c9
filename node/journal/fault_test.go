package journal

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// fails lets medium m fail at its n-th operation from now on, a write after keep bytes, and
// from then on if it stays.
func (r *run) fails(m, n, keep int, stays bool) (happened *atomic.Bool) {
	var ops atomic.Int64
	happened = new(atomic.Bool)
	r.d.before = func(o op) (int, error) {
		if o.medium != m {
			return 0, nil
		}
		if at := int(ops.Add(1)); at == n || at > n && stays {
			happened.Store(true)
			return keep, errors.New("no space left on device")
		}
		return 0, nil
	}
	return happened
}

// A fault of one of three media at any operation of opening, appending and noting is
// reported, and the bureau goes on with the other two.
func TestAFaultOfOneMediumOfThreeIsReportedAndTheOthersGoOn(t *testing.T) {
	for n := 1; ; n++ {
		r := newRun(t, 80)
		r.session(1, 0, 1)
		happened := r.fails(2, n, 20, n%2 == 0)
		j, err := Open(r.d.on(r.o, 0, 1, 2))
		if err != nil {
			t.Fatalf("operation %d: %v", n, err)
		}
		for i := range 3 {
			appended1(t, j, count(10+i))
		}
		if err := j.SetNote(context.Background(), "k", []byte{1}); err != nil {
			t.Fatal(err)
		}
		before := j.Status()[2].Fault != nil
		closeErr := j.Close()
		if !happened.Load() {
			if closeErr != nil || n < 4 {
				t.Errorf("%d operations, close: %v", n, closeErr)
			}
			return
		}
		if j.Status()[2].Fault == nil || !before && closeErr == nil {
			t.Errorf("operation %d: status %+v, close: %v", n, j.Status()[2], closeErr)
		}
		if j.Err() != nil {
			t.Errorf("operation %d: stopped: %v", n, j.Err())
		}
		r.d.before = nil
		for _, places := range anyTwo {
			d, _ := r.d.cut(r.d.at(), [drives]outcome{torn, torn, torn})
			j := reopen(t, d.on(r.o, places...))
			if got := counts(t, j); len(got) != 5 {
				t.Errorf("operation %d, opened with %v: %v", n, places, got)
			}
			noneOf(t, j, Forked)
			closed(t, j)
		}
	}
}

// With two media the fault of one stops the journal at once: no green light, an error that
// says what to do, and nothing of what was acknowledged is lost.
func TestAFaultOfOneMediumOfTwoStopsTheJournal(t *testing.T) {
	for n := 1; ; n++ {
		r := newRun(t, 81)
		r.session(1, 0, 1)
		happened := r.fails(1, n, 25, true)
		j, err := Open(r.d.on(r.o, 0, 1))
		acked := 2
		if err == nil {
			for err == nil && acked < 6 {
				if _, err = j.Append(context.Background(), count(acked), count(acked)); err == nil {
					acked += 2
				}
			}
			if err != nil {
				stopped(t, j, err)
			}
			if err := j.Close(); err != nil && !happened.Load() {
				t.Error(err)
			}
		} else if !errors.As(err, new(*TooFewError)) && !errors.Is(err, ErrStopped) {
			t.Errorf("operation %d: %v", n, err)
		}
		if !happened.Load() {
			return
		}
		if err == nil {
			t.Errorf("operation %d: nobody was told", n)
		}
		r.d.before = nil
		for _, places := range anyTwo {
			d, _ := r.d.cut(r.d.at(), [drives]outcome{whole, nothing, nothing})
			j := reopen(t, d.on(r.o, places...))
			if got := counts(t, j); len(got) < acked || len(got) > acked+2 {
				t.Errorf("operation %d, opened with %v: %d statements of %d", n, places, len(got), acked)
			}
			noneOf(t, j, Forked)
			wellChained(t, j, r.o.Group)
			closed(t, j)
		}
	}
}

func stopped(t *testing.T, j *Journal, err error) {
	t.Helper()
	if !errors.Is(err, ErrStopped) || !errors.Is(j.Err(), ErrStopped) {
		t.Errorf("append: %v, Err: %v", err, j.Err())
	}
	select {
	case <-j.Failed():
	default:
		t.Error("Failed is open")
	}
	if _, err := j.Append(context.Background(), count(0)); !errors.Is(err, ErrStopped) {
		t.Errorf("append after the stop: %v", err)
	}
	if err := j.SetNote(context.Background(), "k", nil); !errors.Is(err, ErrStopped) {
		t.Errorf("note after the stop: %v", err)
	}
	// What was durable can still be read and brought to the group.
	err = nil
	for c := j.Start(); err == nil; {
		_, c, err = j.Next(context.Background(), c)
	}
	if !errors.Is(err, ErrStopped) {
		t.Errorf("Next at the end: %v", err)
	}
}
