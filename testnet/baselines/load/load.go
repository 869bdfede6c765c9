// Package load keeps concurrent closed-loop clients at work on a replicated
// store and says how fast and how steadily it answered.
package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// ValueSize is the length of an inserted value, in bytes: about what one
	// signed check-in takes in the ledger.
	ValueSize = 310
	// MaxClients is how many clients work at once.
	MaxClients = 512
	// MaxDuration bounds one measurement: every latency is kept in memory.
	MaxDuration = 10 * time.Minute
	// drainTimeout is how long operations begun before the end may still take.
	drainTimeout = 30 * time.Second
	// connectTimeout bounds the opening of all the clients' connections.
	connectTimeout = 60 * time.Second
	// maxConnecting is how many connections are being opened at once.
	maxConnecting = 16
)

// Key names one value; every key is drawn at random and used once.
type Key [16]byte

// Client inserts values one after the other. It is used by one goroutine.
type Client interface {
	// Insert stores value under key unless the key is there already, and
	// returns once the store has promised to keep it. created is false when
	// the key was there.
	Insert(ctx context.Context, key Key, value []byte) (created bool, err error)
	// Close gives back what belongs to this client alone.
	Close() error
}

// Connect opens a client. The store spreads clients over its members by n.
type Connect func(ctx context.Context, n int) (Client, error)

// Result is what one measurement found. Seconds run from the common start to
// the last answer; latencies are in milliseconds.
type Result struct {
	Clients   int     `json:"clients"`
	Ops       int     `json:"ops"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// CheckRun tells whether a measurement of that size may be made.
func CheckRun(clients int, duration time.Duration) error {
	if clients < 1 || clients > MaxClients {
		return fmt.Errorf("%d clients: give 1 to %d", clients, MaxClients)
	}
	if duration <= 0 || duration > MaxDuration {
		return fmt.Errorf("duration %s: give more than 0 and at most %s", duration, MaxDuration)
	}
	return nil
}

// Run keeps clients at work for duration, each starting its next insertion as
// soon as the last one was answered. Each makes one insertion before the clock
// starts, so that neither connecting nor preparing is measured. The first
// fault ends the run and is returned.
func Run(ctx context.Context, connect Connect, clients int, duration time.Duration) (Result, error) {
	if err := CheckRun(clients, duration); err != nil {
		return Result{}, err
	}
	open, err := connectAll(ctx, connect, clients)
	if err != nil {
		return Result{}, err
	}
	defer closeAll(open)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+duration+drainTimeout)
	defer cancel()
	if _, err := each(ctx, open, func(ctx context.Context, c Client, source *values) ([]time.Duration, error) {
		_, err := insertNew(ctx, c, source)
		return nil, err
	}); err != nil {
		return Result{}, fmt.Errorf("warm up: %w", err)
	}
	start := time.Now()
	end := start.Add(duration)
	took, err := each(ctx, open, func(ctx context.Context, c Client, source *values) ([]time.Duration, error) {
		var took []time.Duration
		for time.Now().Before(end) {
			d, err := insertNew(ctx, c, source)
			if err != nil {
				return nil, err
			}
			took = append(took, d)
		}
		return took, nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("insert: %w", err)
	}
	return summarize(clients, time.Since(start), took), nil
}

// each lets work run for every client at once and waits for all; the first
// fault cancels the others.
func each(ctx context.Context, clients []Client, work func(context.Context, Client, *values) ([]time.Duration, error)) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			var err error
			if took[i], err = work(ctx, c, newValues()); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return slices.Concat(took...), nil
}

var errNotCreated = errors.New("a key drawn at random was there already")

func insertNew(ctx context.Context, c Client, source *values) (time.Duration, error) {
	key, value := source.next()
	start := time.Now()
	created, err := c.Insert(ctx, key, value)
	if err != nil {
		return 0, err
	}
	if !created {
		return 0, errNotCreated
	}
	return time.Since(start), nil
}

func connectAll(ctx context.Context, connect Connect, clients int) ([]Client, error) {
	ctx, cancelTimeout := context.WithTimeout(ctx, connectTimeout)
	defer cancelTimeout()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	open := make([]Client, clients)
	slots := make(chan struct{}, maxConnecting)
	var wg sync.WaitGroup
	for i := range open {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c, err := connect(ctx, i)
			if err != nil {
				cancel(err)
				return
			}
			open[i] = c
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		closeAll(open)
		return nil, fmt.Errorf("connect clients: %w", err)
	}
	return open, nil
}

// closeAll drops the answers of Close: what was stored was answered before,
// and a connection that fails to close is gone as well.
func closeAll(clients []Client) {
	var wg sync.WaitGroup
	for _, c := range clients {
		if c != nil {
			wg.Go(func() { _ = c.Close() })
		}
	}
	wg.Wait()
}

// values draws keys and values; one goroutine owns it.
type values struct {
	random *mathrand.ChaCha8
	value  [ValueSize]byte
}

func newValues() *values {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails (crypto/rand)
	return &values{random: mathrand.NewChaCha8(seed)}
}

// next returns a new key and a new value; the value is overwritten by the
// following call.
func (v *values) next() (Key, []byte) {
	var key Key
	_, _ = v.random.Read(key[:]) // never fails (math/rand/v2)
	_, _ = v.random.Read(v.value[:])
	return key, v.value[:]
}

func summarize(clients int, elapsed time.Duration, took []time.Duration) Result {
	slices.Sort(took)
	r := Result{Clients: clients, Ops: len(took), Seconds: elapsed.Seconds()}
	if len(took) == 0 {
		return r
	}
	r.PerSecond = float64(r.Ops) / r.Seconds
	r.P50 = milliseconds(percentile(took, 50))
	r.P99 = milliseconds(percentile(took, 99))
	r.Max = milliseconds(took[len(took)-1])
	return r
}

// percentile returns the smallest of the sorted durations that is not exceeded
// by percent of them (nearest rank).
func percentile(sorted []time.Duration, percent int) time.Duration {
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
