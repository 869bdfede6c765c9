// Package platform is the reference regional platform ADELE: a witness that cosigns
// the growth of the communes' ledgers (C2SP tlog-witness v1.0.0, tlog-cosignature
// v1.0.1), refuses forks and rollbacks, and keeps every checkpoint that it was shown.
package platform

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
)

// Options is what a Server needs beside its directory.
type Options struct {
	Key    string           // secret witness key, as GenerateKey makes it
	Logs   []Log            // the logs that it cosigns; see ReadLogs
	Now    func() time.Time // the clock that cosignatures attest
	Logger *slog.Logger
}

// A Server is one witness with its storage. Its methods may be called by many
// goroutines.
type Server struct {
	key      *cosigner
	now      func() time.Time
	log      *slog.Logger
	logs     map[string]*watchedLog // by origin; the map never changes
	origins  []string               // sorted
	requests chan struct{}          // one token per request in work

	// open is held for reading while storage is used, and for writing to close it.
	open    sync.RWMutex
	closed  bool
	storage *storage

	unsigned unsignedRecords
}

// A watchedLog serializes all that is submitted for one origin.
type watchedLog struct {
	origin    string
	verifiers note.Verifiers

	mu      sync.Mutex
	state   logState // equals what is on disk
	news    bucket
	repeats bucket
	unkept  int // refused checkpoints beyond the limits, since the start
	broken  error
}

// unsignedRecords is the ring of submissions that no known log has signed.
type unsignedRecords struct {
	mu     sync.Mutex
	next   uint64
	pace   bucket
	unkept int // since the start
}

// Open opens the storage in dir, or makes it in an empty or missing directory. It
// returns ErrInUse (wrapped) when another Server has dir open. The caller closes the
// Server.
func Open(dir string, options Options) (*Server, error) {
	dir, err := realDir(dir)
	if err != nil {
		return nil, err
	}
	return openIn(vfs.Default, dir, options)
}

func openIn(files vfs.FS, dir string, options Options) (*Server, error) {
	key, err := parseKey(options.Key)
	if err != nil {
		return nil, fmt.Errorf("read witness key: %w", err)
	}
	now := options.Now()
	logs, origins, err := watch(options.Logs, now)
	if err != nil {
		return nil, err
	}
	st, err := openStorage(files, dir, key.vkey, options.Logger)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	s := &Server{
		key: key, now: options.Now, log: options.Logger, logs: logs, origins: origins,
		requests: make(chan struct{}, MaxRequests), storage: st,
	}
	s.unsigned.pace = newBucket(MaxUnsignedPerSecond, MaxUnsignedBurst, now)
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), st.close())
	}
	return s, nil
}

func (s *Server) load() (err error) {
	for _, l := range s.logs {
		if l.state, err = s.storage.loadState(l.origin); err != nil {
			return err
		}
	}
	s.unsigned.next, err = s.storage.nextUnsigned()
	return err
}

// VKey is the witness's public key as a C2SP vkey, algorithm byte 04.
func (s *Server) VKey() string { return s.key.vkey }

// Close waits for the requests in work and releases the directory. Requests that come
// later hear 503.
func (s *Server) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.storage.close(); err != nil {
		return fmt.Errorf("close storage: %w", err)
	}
	return nil
}
