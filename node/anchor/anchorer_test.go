package anchor_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pointage/node/anchor"
	"pointage/node/anchor/anchortest"
)

// A bureau is what stands around an Anchorer: the source of checkpoints and the sink of
// anchors.
type bureau struct {
	log *anchortest.Log

	mu     sync.Mutex
	kept   []anchor.Anchored
	broken error // what Keep returns
}

func (b *bureau) Newest(context.Context) (anchor.Checkpoint, bool, error) {
	size := b.log.Size()
	if size == 0 {
		return anchor.Checkpoint{}, false, nil
	}
	return checkpoint(b.log, size), true, nil
}

func (b *bureau) Keep(_ context.Context, anchored anchor.Anchored) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.kept = append(b.kept, anchored)
	}
	return b.broken
}

func (b *bureau) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *bureau) sizes() []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sizes []uint64
	for _, a := range b.kept {
		sizes = append(sizes, a.Checkpoint.Size)
	}
	return sizes
}

// run starts an Anchorer in virtual time against a real platform on loopback, and ends
// it after play. Time stands still while a request is under way.
func run(t *testing.T, s *station, b *bureau, settings anchor.Settings, play func(a *anchor.Anchorer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, err := anchor.NewClient(s.url, s.vkey, anchor.Options{
			// A kept connection is a goroutine in a system call: time would stand still.
			Transport: &http.Transport{DisableKeepAlives: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		settings.Client, settings.Source, settings.Sink, settings.Prover = client, b, b, b.log
		settings.Logger, settings.Now, settings.Random = slog.New(slog.DiscardHandler), time.Now, func() float64 { return 0.5 }
		a := anchor.NewAnchorer(settings)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.Run(ctx) })
		play(a)
		cancel()
		wg.Wait()
	})
}

// grow lets the poll go on: an entry and a wake-up a minute.
func grow(a *anchor.Anchorer, log *anchortest.Log, wait time.Duration) {
	for range wait / time.Minute {
		log.Grow(1, "")
		a.Wake()
		<-time.After(time.Minute)
	}
	synctest.Wait()
}

func TestOutageOfHoursCostsOnlyAge(t *testing.T) {
	b := &bureau{log: anchortest.NewLog(t, origin, 10)}
	s := newStation(t, b.log)
	run(t, s, b, anchor.Settings{}, func(a *anchor.Anchorer) {
		grow(a, b.log, 10*time.Minute)
		before := a.Status()
		if n := len(b.sizes()); n < 9 || n > 11 || before.Err != nil || before.Behind(time.Now()) > time.Minute {
			t.Fatalf("before the outage: %d anchors, %+v", n, before)
		}

		s.away.Store(true)
		s.calls.Store(0)
		grow(a, b.log, 4*time.Hour)
		during, now := a.Status(), time.Now()
		if !errors.Is(during.Err, anchor.ErrUnavailable) || during.Size != before.Size || during.Forked() {
			t.Fatalf("after four hours: %+v", during)
		}
		if age := during.Age(now); age < 4*time.Hour || age > 4*time.Hour+2*time.Minute {
			t.Errorf("age %s after an outage of four hours", age)
		}
		if behind := during.Behind(now); behind < 4*time.Hour-2*time.Minute {
			t.Errorf("behind by %s", behind)
		}
		// Half of the back-off of a minute is jitter, here at its middle: 45 s.
		if n := s.calls.Load(); n < 240 || n > 340 {
			t.Errorf("%d submissions in four hours", n)
		}

		s.away.Store(false)
		<-time.After(anchor.DefaultMaxBackoff)
		synctest.Wait()
		after := a.Status()
		if after.Size != uint64(b.log.Size()) || after.Err != nil || after.Failures != 0 || after.Age(time.Now()) > time.Minute {
			t.Errorf("a minute after the return: %+v, the log has %d", after, b.log.Size())
		}
	})
	sizes := b.sizes()
	for i := 1; i < len(sizes); i++ {
		if sizes[i] <= sizes[i-1] {
			t.Fatalf("anchors %v do not grow", sizes)
		}
	}
}

func TestRefusedForkIsShownAndGoesAway(t *testing.T) {
	good := anchortest.NewLog(t, origin, 50)
	s := newStation(t, good)
	if _, err := newClient(t, s.url, s.vkey).Submit(t.Context(), checkpoint(good, 50), 0, good); err != nil {
		t.Fatal(err)
	}
	b := &bureau{log: good.Fork(20, 40)}
	run(t, s, b, anchor.Settings{}, func(a *anchor.Anchorer) {
		<-time.After(time.Hour)
		synctest.Wait()
		if st := a.Status(); !st.Forked() || st.Size != 0 || st.Failures < 60 || st.ErrTime.IsZero() {
			t.Errorf("fork: %+v", st)
		}
		if age := a.Status().Age(time.Now()); age != time.Hour {
			t.Errorf("age without any anchor: %s", age)
		}
	})
	if len(b.sizes()) != 0 {
		t.Errorf("kept %v", b.sizes())
	}
}

func TestAnchorThatCouldNotBeKeptIsKeptLater(t *testing.T) {
	b := &bureau{log: anchortest.NewLog(t, origin, 10)}
	s := newStation(t, b.log)
	full := errors.New("disk full")
	b.fail(full)
	run(t, s, b, anchor.Settings{}, func(a *anchor.Anchorer) {
		<-time.After(10 * time.Minute)
		synctest.Wait()
		if st := a.Status(); !errors.Is(st.Err, full) || st.Size != 0 {
			t.Errorf("disk full: %+v", st)
		}
		b.fail(nil)
		a.Hurry()
		synctest.Wait()
		if st := a.Status(); st.Err != nil || st.Size != 10 {
			t.Errorf("disk free again: %+v", st)
		}
	})
	if n := s.calls.Load(); n != 1 || len(b.sizes()) != 1 {
		t.Errorf("%d submissions, kept %v", n, b.sizes())
	}
}

func TestAnchorsKeepTheirInterval(t *testing.T) {
	b := &bureau{log: anchortest.NewLog(t, origin, 0)}
	s := newStation(t, b.log)
	run(t, s, b, anchor.Settings{Interval: 10 * time.Second}, func(a *anchor.Anchorer) {
		<-time.After(time.Hour)
		if st := a.Status(); st.Size != 0 || st.Err != nil || st.Behind(time.Now()) != 0 {
			t.Errorf("nothing to anchor: %+v", st)
		}
		for range 600 { // a minute
			b.log.Grow(1, "")
			a.Wake()
			<-time.After(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(b.sizes()); n < 6 || n > 7 {
			t.Errorf("%d anchors in a minute", n)
		}
		a.Hurry()
		synctest.Wait()
		if st := a.Status(); st.Size != 600 {
			t.Errorf("hurried: %+v", st)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if n := len(b.sizes()); n > 8 {
			t.Errorf("%d anchors, the same checkpoint more than once: %v", n, b.sizes())
		}
	})
}

func TestRestartAsksTheWitnessOnceMore(t *testing.T) {
	b := &bureau{log: anchortest.NewLog(t, origin, 10)}
	s := newStation(t, b.log)
	var last anchor.Status
	for range 3 {
		run(t, s, b, anchor.Settings{LastSize: last.Size, LastTime: last.Time}, func(a *anchor.Anchorer) {
			b.log.Grow(5, "")
			a.Wake()
			<-time.After(2 * time.Minute)
			synctest.Wait()
			if last = a.Status(); last.Size != uint64(b.log.Size()) {
				t.Errorf("restart: %+v", last)
			}
		})
	}
}
