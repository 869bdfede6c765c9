package load

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a store whose every answer takes delay, and which is silent from
// the kill until back.
type shelf struct {
	delay time.Duration

	mu     sync.Mutex // guards what follows
	kept   map[Key]bool
	silent bool
	closed int
}

func newShelf(delay time.Duration) *shelf { return &shelf{delay: delay, kept: map[Key]bool{}} }

func (s *shelf) connect(context.Context, int) (Client, error) { return s, nil }

func (s *shelf) setSilent(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

func (s *shelf) Insert(ctx context.Context, key Key, value []byte) (bool, error) {
	if len(value) != ValueSize {
		return false, errors.New("value of another size")
	}
	if !pause(ctx, s.delay) {
		return false, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		return false, errors.New("silent")
	}
	created := !s.kept[key]
	s.kept[key] = true
	return created, nil
}

func (s *shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func TestRunCountsEveryInsertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10 * time.Millisecond)
		r, err := Run(t.Context(), s.connect, 8, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		want := Result{Clients: 8, Ops: 800, Seconds: 1, PerSecond: 800, P50: 10, P99: 10, Max: 10}
		if r != want {
			t.Errorf("result %+v, want %+v", r, want)
		}
		if len(s.kept) != r.Ops+8 { // each client's first is not measured
			t.Errorf("%d values kept, want %d", len(s.kept), r.Ops+8)
		}
		if s.closed != 8 {
			t.Errorf("%d clients closed, want 8", s.closed)
		}
	})
}

// once gives every key out as known from the second insertion on.
type once struct{ *shelf }

func (o once) Insert(ctx context.Context, key Key, value []byte) (bool, error) {
	created, err := o.shelf.Insert(ctx, key, value)
	return created && len(o.kept) == 1, err
}

func TestKeyKnownAlreadyEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect := func(context.Context, int) (Client, error) { return once{newShelf(time.Millisecond)}, nil }
		if _, err := Run(t.Context(), connect, 4, time.Second); !errors.Is(err, errNotCreated) {
			t.Errorf("error %v, want %v", err, errNotCreated)
		}
	})
}

func TestFailedConnectionClosesTheOthers(t *testing.T) {
	s := newShelf(0)
	connect := func(_ context.Context, n int) (Client, error) {
		if n == 3 {
			return nil, errors.New("no room")
		}
		return s, nil
	}
	_, err := Run(t.Context(), connect, 4, time.Second)
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("error %v, want the connection's", err)
	}
	if s.closed != 3 {
		t.Errorf("%d clients closed, want 3", s.closed)
	}
}

func TestRunOutOfBoundsIsRefused(t *testing.T) {
	s := newShelf(0)
	for _, c := range []struct {
		clients  int
		duration time.Duration
	}{{0, time.Second}, {MaxClients + 1, time.Second}, {1, 0}, {1, MaxDuration + 1}} {
		if _, err := Run(t.Context(), s.connect, c.clients, c.duration); err == nil {
			t.Errorf("%d clients for %s: no error", c.clients, c.duration)
		}
	}
	if len(s.kept) > 0 {
		t.Errorf("%d values kept by runs that were refused", len(s.kept))
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	var sorted []time.Duration
	for i := range 100 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for _, c := range []struct {
		n, percent int
		want       time.Duration
	}{{100, 50, 50}, {100, 99, 99}, {100, 100, 100}, {1, 50, 1}, {2, 50, 1}, {3, 50, 2}, {10, 99, 10}} {
		if got := percentile(sorted[:c.n], c.percent); got != c.want {
			t.Errorf("%d of 1..%d: %d, want %d", c.percent, c.n, got, c.want)
		}
	}
}

func TestOutageMeasuresTheSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10 * time.Millisecond)
		kill := func(context.Context) error {
			s.setSilent(true)
			time.AfterFunc(3*time.Second, func() { s.setSilent(false) })
			return nil
		}
		got, err := RunOutage(t.Context(), s.connect, kill, 4, 10*time.Second, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got.LongestGap < 3000 || got.LongestGap > 3100 {
			t.Errorf("longest gap %.0f ms, want the 3 s of silence and at most one retry", got.LongestGap)
		}
		if got.LongestWait < got.LongestGap-20 || got.LongestWait > 3100 {
			t.Errorf("longest wait %.0f ms beside a gap of %.0f ms", got.LongestWait, got.LongestGap)
		}
		if !got.Recovered || got.Failed == 0 || got.Killed != 2 || got.Seconds != 10 || got.Clients != 4 {
			t.Errorf("outage %+v", got)
		}
		if got.Ops != len(s.kept) {
			t.Errorf("%d answered, %d kept", got.Ops, len(s.kept))
		}
	})
}

func TestOutageWithoutRecoveryLastsToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10 * time.Millisecond)
		kill := func(context.Context) error { s.setSilent(true); return nil }
		got, err := RunOutage(t.Context(), s.connect, kill, 4, 10*time.Second, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got.Recovered || got.LongestGap < 7990 || got.LongestGap > 8010 {
			t.Errorf("outage %+v, want 8 s of silence and no recovery", got)
		}
	})
}

func TestFailedKillEndsTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(10 * time.Millisecond)
		kill := func(context.Context) error { return errors.New("nobody leads") }
		start := time.Now()
		_, err := RunOutage(t.Context(), s.connect, kill, 4, 10*time.Second, 2*time.Second)
		if err == nil || !strings.Contains(err.Error(), "nobody leads") {
			t.Errorf("error %v, want the kill's", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("ended after %s, want at the kill", took)
		}
	})
}

func TestCancelledOutageSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		kill := func(context.Context) error { cancel(why); return nil }
		if _, err := RunOutage(ctx, newShelf(time.Millisecond).connect, kill, 2, 10*time.Second, time.Second); !errors.Is(err, why) {
			t.Errorf("error %v, want %v", err, why)
		}
	})
}
