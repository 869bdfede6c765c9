package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// attemptTimeout is how long a client waits for one answer during an
	// outage before it asks again elsewhere.
	attemptTimeout = 500 * time.Millisecond
	// retryPause is how long a client waits after a failed attempt.
	retryPause = 50 * time.Millisecond
)

// Outage is what the clients saw while the member that orders all writes was
// killed. Instants are seconds from the start, gaps are in milliseconds.
type Outage struct {
	Clients int     `json:"clients"`
	Seconds float64 `json:"seconds"`
	Killed  float64 `json:"killed_at_s"`
	Ops     int     `json:"ops"`
	Failed  int     `json:"failed_attempts"`
	// LongestGap is the longest time in which no client got an answer.
	LongestGap float64 `json:"longest_gap_ms"`
	// LongestWait is the longest time that one client waited for one answer,
	// or waited in vain until the end.
	LongestWait float64 `json:"longest_wait_ms"`
	// Recovered tells whether anyone was served at the end: the last second,
	// or the last half of the time after the kill when that is shorter.
	Recovered bool `json:"recovered"`
}

// RunOutage keeps clients at work for window, calls kill after before, and
// lets every client insist with the same key, moving from member to member,
// until it is answered or the window ends.
func RunOutage(ctx context.Context, connect Connect, kill func(context.Context) error, clients int, window, before time.Duration) (Outage, error) {
	if err := CheckRun(clients, window); err != nil {
		return Outage{}, err
	}
	if before <= 0 || before >= window {
		return Outage{}, fmt.Errorf("the kill after %s lies outside the window of %s", before, window)
	}
	open, err := connectAll(ctx, connect, clients)
	if err != nil {
		return Outage{}, err
	}
	start := time.Now()
	ctx, cancel := context.WithDeadline(ctx, start.Add(window))
	defer cancel()
	seen := &service{last: start}
	var wg sync.WaitGroup
	for i, c := range open {
		p := &persistent{connect: connect, member: i, client: c}
		wg.Go(func() { p.work(ctx, seen) })
	}
	killed, killErr := killAfter(ctx, kill, start, before)
	if killErr != nil {
		cancel()
	}
	wg.Wait()
	if killErr != nil {
		return Outage{}, killErr
	}
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return Outage{}, context.Cause(ctx)
	}
	return seen.outage(clients, start, start.Add(window), killed), nil
}

func killAfter(ctx context.Context, kill func(context.Context) error, start time.Time, before time.Duration) (time.Time, error) {
	if !pause(ctx, before) {
		return time.Time{}, context.Cause(ctx)
	}
	if err := kill(ctx); err != nil {
		return time.Time{}, fmt.Errorf("kill after %s: %w", time.Since(start).Round(time.Millisecond), err)
	}
	return time.Now(), nil
}

// persistent is one client that doesn't give up; its goroutine owns it.
type persistent struct {
	connect Connect
	member  int
	client  Client // nil while not connected
}

func (p *persistent) work(ctx context.Context, seen *service) {
	defer p.drop()
	source := newValues()
	for ctx.Err() == nil {
		key, value := source.next()
		asked := time.Now()
		for !p.attempt(ctx, key, value) {
			if !pause(ctx, retryPause) {
				seen.unanswered(asked)
				return
			}
			seen.failed()
		}
		seen.answered(asked)
	}
}

// attempt asks once. A key that is there already counts: it was stored by an
// attempt whose answer was lost.
func (p *persistent) attempt(ctx context.Context, key Key, value []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if p.client == nil {
		c, err := p.connect(ctx, p.member)
		if err != nil {
			p.member++
			return false
		}
		p.client = c
	}
	if _, err := p.client.Insert(ctx, key, value); err != nil {
		p.drop()
		p.member++
		return false
	}
	return true
}

func (p *persistent) drop() {
	if p.client != nil {
		_ = p.client.Close() // a broken connection is gone either way
		p.client = nil
	}
}

// pause waits and tells whether ctx lasted as long.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// service gathers what all the clients were told.
type service struct {
	mu      sync.Mutex // guards everything below
	last    time.Time  // the latest answer, or the start
	gap     time.Duration
	wait    time.Duration
	ops     int
	refused int
}

func (s *service) answered(asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.gap = max(s.gap, now.Sub(s.last))
	s.wait = max(s.wait, now.Sub(asked))
	s.last = now
	s.ops++
}

func (s *service) unanswered(asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait = max(s.wait, time.Since(asked))
}

func (s *service) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
}

func (s *service) outage(clients int, start, end, killed time.Time) Outage {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := min(time.Second, end.Sub(killed)/2)
	return Outage{
		Clients:     clients,
		Seconds:     end.Sub(start).Seconds(),
		Killed:      killed.Sub(start).Seconds(),
		Ops:         s.ops,
		Failed:      s.refused,
		LongestGap:  milliseconds(max(s.gap, end.Sub(s.last))),
		LongestWait: milliseconds(s.wait),
		Recovered:   s.last.After(end.Add(-late)),
	}
}
