package anchor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// The pace of an Anchorer, where its Settings leave it open.
const (
	// DefaultInterval lies between two anchors at least: each costs the ledger a
	// statement.
	DefaultInterval = time.Minute
	// DefaultMinBackoff and DefaultMaxBackoff bound the wait after a failure: it
	// doubles, and a random part of up to half of it is taken off, so that communes
	// don't come back all at once.
	DefaultMinBackoff = time.Second
	DefaultMaxBackoff = time.Minute
)

// A Source knows the newest checkpoint that may be anchored. ok is false while there is
// none.
type Source interface {
	Newest(ctx context.Context) (newest Checkpoint, ok bool, err error)
}

// A Sink keeps an anchored checkpoint. When it returns nil the anchor is durable; the
// same one may come twice after a crash.
type Sink interface {
	Keep(ctx context.Context, anchored Anchored) error
}

// Settings is what an Anchorer works with. Pace fields may be left zero.
type Settings struct {
	Client *Client
	Source Source
	Prover Prover
	Sink   Sink
	Logger *slog.Logger
	Now    func() time.Time // this bureau's clock
	Random func() float64   // in [0, 1), for the jitter

	// The last anchor kept before this start; zero if there is none. A wrong size
	// costs one more request.
	LastSize uint64
	LastTime time.Time

	Interval   time.Duration // between anchors
	MinBackoff time.Duration
	MaxBackoff time.Duration
}

// An Anchorer brings the newest checkpoint to the witness, for ever: whatever the witness
// says, nothing else of the bureau waits for it.
type Anchorer struct {
	settings Settings
	wake     chan struct{} // holds one: a newer checkpoint may be there
	hurry    chan struct{} // holds one: don't wait any longer

	mu     sync.Mutex
	status Status
}

// Status is what a person and the metrics are shown.
type Status struct {
	Size     uint64    // of the last anchor kept; 0 if none
	Time     time.Time // that the witness attests for it; zero if none
	Kept     time.Time // when it was kept, or the start, by this bureau's clock
	Newest   uint64    // size of the newest checkpoint at the last look
	Since    time.Time // when the oldest checkpoint that still waits was seen; zero if level
	Failures int       // in a row
	Err      error     // of the last attempt; nil if it succeeded
	ErrTime  time.Time // of the first of these failures
}

// Age is how old the last anchor is, or how long this bureau has run without one.
func (s Status) Age(now time.Time) time.Duration { return max(0, now.Sub(s.Kept)) }

// Behind is how long a checkpoint has waited for its anchor; 0 when all is anchored.
func (s Status) Behind(now time.Time) time.Duration {
	if s.Since.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Since))
}

// Forked is true while the witness claims another history of this log.
func (s Status) Forked() bool { return errors.Is(s.Err, ErrFork) }

// NewAnchorer makes an Anchorer; Run makes it work.
func NewAnchorer(settings Settings) *Anchorer {
	defaults := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	defaults(&settings.Interval, DefaultInterval)
	defaults(&settings.MinBackoff, DefaultMinBackoff)
	defaults(&settings.MaxBackoff, DefaultMaxBackoff)
	a := &Anchorer{settings: settings, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	a.status.Size, a.status.Time, a.status.Kept = settings.LastSize, settings.LastTime, settings.LastTime
	if settings.LastTime.IsZero() {
		a.status.Kept = settings.Now()
	}
	return a
}

// Wake says that the source has a newer checkpoint. It never blocks.
func (a *Anchorer) Wake() { signal(a.wake) }

// Hurry ends the present wait, between anchors or after a failure: the poll has closed,
// or somebody has seen that the witness is back. It never blocks.
func (a *Anchorer) Hurry() {
	signal(a.hurry)
	signal(a.wake)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Status is a copy of the present state.
func (a *Anchorer) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Run anchors until ctx ends. Its caller owns the goroutine; it is run once.
func (a *Anchorer) Run(ctx context.Context) {
	// last is the anchor that this run holds, pending one that the sink has not kept.
	var last, pending *Anchored
	for failures := 0; ctx.Err() == nil; {
		anchored, err := a.round(ctx, last, pending)
		if ctx.Err() != nil {
			return
		}
		if anchored != nil {
			pending = anchored
		}
		if err != nil {
			failures++
			a.failed(err, failures)
			a.pause(ctx, a.backoff(failures))
			continue
		}
		failures = 0
		if pending != nil {
			last, pending = pending, nil
			a.kept(*last)
			a.pause(ctx, a.settings.Interval)
			continue
		}
		a.idle()
		select {
		case <-a.wake:
		case <-a.hurry:
		case <-ctx.Done():
		}
	}
}

// round takes one checkpoint as far as it gets. It returns the anchor if there is one,
// also together with the sink's error: it is not asked for again then.
func (a *Anchorer) round(ctx context.Context, last, pending *Anchored) (*Anchored, error) {
	if pending == nil {
		newest, ok, err := a.settings.Source.Newest(ctx)
		if err != nil || !ok {
			return nil, err
		}
		if last != nil && newest.Size <= last.Checkpoint.Size && (newest.Size < last.Checkpoint.Size || newest.Root == last.Checkpoint.Root) {
			return nil, nil
		}
		a.seen(newest.Size)
		old := a.settings.LastSize
		if last != nil {
			old = last.Checkpoint.Size
		}
		anchored, err := a.settings.Client.Submit(ctx, newest, old, a.settings.Prover)
		if err != nil {
			return nil, err
		}
		pending = &anchored
	}
	return pending, a.settings.Sink.Keep(ctx, *pending)
}

// backoff is the wait after so many failures in a row.
func (a *Anchorer) backoff(failures int) time.Duration {
	wait := a.settings.MinBackoff
	for range failures - 1 {
		if wait *= 2; wait >= a.settings.MaxBackoff {
			break
		}
	}
	wait = min(wait, a.settings.MaxBackoff)
	return wait - time.Duration(a.settings.Random()*float64(wait)/2)
}

func (a *Anchorer) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.hurry:
	case <-ctx.Done():
	}
}

func (a *Anchorer) seen(size uint64) {
	now := a.settings.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Newest = size
	if a.status.Since.IsZero() {
		a.status.Since = now
	}
}

func (a *Anchorer) kept(anchored Anchored) {
	now := a.settings.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status.Failures > 0 {
		a.settings.Logger.Info("anchored again", "size", anchored.Checkpoint.Size, "failures", a.status.Failures, "behind", a.status.Behind(now))
	}
	a.status = Status{
		Size: anchored.Checkpoint.Size, Time: anchored.Time, Kept: now, Newest: max(a.status.Newest, anchored.Checkpoint.Size),
	}
}

// idle clears the failure of a source that has recovered with nothing to anchor.
func (a *Anchorer) idle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Failures, a.status.Err, a.status.ErrTime, a.status.Since = 0, nil, time.Time{}, time.Time{}
}

// failed logs the first failure of a row and every change to or from a fork: an outage
// of hours is not a thousand lines.
func (a *Anchorer) failed(err error, failures int) {
	now := a.settings.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	wasFork := a.status.Forked()
	if failures == 1 {
		a.status.ErrTime = now
	}
	a.status.Failures, a.status.Err = failures, err
	switch {
	case a.status.Forked() && !wasFork:
		a.settings.Logger.Error("anchor refused as a fork", "newest", a.status.Newest, "err", err)
	case failures == 1 || wasFork != a.status.Forked():
		a.settings.Logger.Warn("anchor failed, trying again", "newest", a.status.Newest, "err", err)
	}
}
