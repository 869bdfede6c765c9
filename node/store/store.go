// Package store is the commune's ledger at one bureau, in Pebble: the state machine that the
// group replicates, and what is read from it.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
)

// Options of Open.
type Options struct {
	Logger *slog.Logger
	// Verified is shared by stores of one process; nil for one of its own.
	Verified *Verified
	// OnPlaced is told of new entries after they are committed, in order, each once in
	// the life of a Store, by the goroutine that applies or restores. The batches share
	// their bytes with the log: what is kept of them is copied.
	OnPlaced func([]ledger.PlacedEntry)
	// FS is the file system; nil is the machine's.
	FS vfs.FS
}

// Store is the ledger, of the present epoch and those before it. One goroutine applies,
// restores and begins epochs; any may read.
//
// It stops for good when it can't go on: Failed is closed, the database is closed too, so
// that nothing is written any more, and Apply has no effect. What is on the disk then is
// what a crash at that moment would have left.
type Store struct {
	g     *ledger.Group
	chain []byte
	opt   Options
	dir   string
	lock  *pebble.Lock

	// end and pace belong to the goroutine that applies and restores.
	end  end
	pace pace

	// open is held for reading while db is used, for writing while it is replaced or
	// closed. db is nil once closed.
	open   sync.RWMutex
	db     *database
	filter *filter // of db: the end's

	mu      sync.Mutex
	head    ledger.ChainHead
	applied uint64
	// grown is closed and replaced when head moves.
	grown chan struct{}
	err   error

	ends ends

	// failed is closed when err is set, closing by Close.
	failed    chan struct{}
	closing   chan struct{}
	closeOnce sync.Once
	// guard closes the database of a store that failed; Close waits for it.
	guard sync.WaitGroup
}

// Open opens the ledger in dir, or founds it with entry 0. One process at a time.
func Open(dir string, g *ledger.Group, opt Options) (*Store, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	if opt.Verified == nil {
		opt.Verified = NewVerified()
	}
	s := &Store{
		g: g, chain: chainID(g), opt: opt, dir: dir,
		grown: make(chan struct{}), failed: make(chan struct{}), closing: make(chan struct{}),
	}
	if err := s.start(); err != nil {
		if err := s.shut(); err != nil {
			opt.Logger.Error("close the ledger that did not open", "err", err)
		}
		return nil, fmt.Errorf("open ledger in %s: %w", dir, withRemedy(cmp.Or(s.cause(), err)))
	}
	s.guard.Go(func() {
		select {
		case <-s.failed:
			if err := s.shut(); err != nil {
				s.opt.Logger.Error("close the failed ledger", "err", err)
			}
		case <-s.closing:
		}
	})
	return s, nil
}

// start locks the directory, finishes what a crash cut short, and opens the database.
func (s *Store) start() (err error) {
	if is, err := s.opt.FS.Stat(s.dir); err == nil && !is.IsDir() {
		return errNoDir
	}
	if err := s.opt.FS.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lockDir(s.dir, s.opt.FS); err != nil {
		return err
	}
	if err := s.finishRestore(); err != nil {
		return err
	}
	if s.db, err = s.openDB(s.current(), s.fail, s.failed); err != nil {
		return err
	}
	if err := s.found(); err != nil {
		return err
	}
	return s.Err()
}

// shut closes the database, once, and frees the directory.
func (s *Store) shut() (err error) {
	s.open.Lock()
	defer s.open.Unlock()
	if s.db != nil {
		failed := s.Err() != nil
		if !failed {
			err = s.db.LogData(nil, pebble.Sync)
		}
		err = cmp.Or(err, s.db.Close())
		s.db = nil
		if !failed {
			err = cmp.Or(s.Err(), err)
		}
	}
	if s.lock != nil {
		err = cmp.Or(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

// Close makes all durable and closes the database. Its owner has stopped applying.
func (s *Store) Close() (err error) {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.guard.Wait()
		if err = s.shut(); err != nil {
			err = fmt.Errorf("close ledger: %w", err)
		}
	})
	return err
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// fail stops the store for good: the replica does not guess. Pebble's goroutines call it
// too, with its locks held.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = stopError{s.dir, err}
	close(s.failed)
}

// stopError is why a store can't go on.
type stopError struct {
	dir   string
	cause error
}

// Error implements error.
func (s stopError) Error() string {
	return fmt.Sprintf("the ledger in %s has stopped: %v", s.dir, withRemedy(s.cause))
}

// Unwrap is the cause.
func (s stopError) Unwrap() error { return s.cause }

// cause is what the store has stopped for, nil while it goes on.
func (s *Store) cause() error {
	var is stopError
	errors.As(s.Err(), &is)
	return is.cause
}

// Failed is closed when the store can't go on; Err says why. Its owner then ends the
// bureau's part in the group.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err is why the store can't go on, nil while it can.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Store) publish(h ledger.ChainHead, applied uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := h != s.head
	s.head, s.applied = h, applied
	if grown {
		close(s.grown)
		s.grown = make(chan struct{})
	}
}

// Head is the end of the chain.
func (s *Store) Head() ledger.ChainHead {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}

// Size is the number of the present epoch's entries.
func (s *Store) Size() uint64 { return s.Head().Size }

// Applied is the Raft index up to which commands have been applied. At Open it is what
// the disk has: after a power cut it may be lower than before.
func (s *Store) Applied() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// Wait returns when the ledger has at least size entries, or with an error when the
// store stops, is closed, or the context ends.
func (s *Store) Wait(ctx context.Context, size uint64) error {
	for {
		s.mu.Lock()
		have, grown := s.head.Size, s.grown
		s.mu.Unlock()
		if have >= size {
			return nil
		}
		select {
		case <-grown:
		case <-s.failed:
			return s.Err()
		case <-s.closing:
			return os.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
