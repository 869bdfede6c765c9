// Package store is the commune's ledger at one bureau, in Pebble: the state machine that the
// group replicates, and what is read from it.
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// What a key begins with. The view's keys are the ledger's own, behind 'v'.
const (
	keyEntry   = 'e' // position -> encoded entry
	keyHash    = 'h' // stored hash index -> Merkle hash
	keyView    = 'v' // + the ledger's key -> its value
	keyToken   = 't' // elector token, position, statement index -> nothing
	keyBureau  = 'u' // bureau, position -> nothing
	keyTime    = 'i' // time, position, statement index -> nothing
	keyMeta    = 'm' // + name -> value
	metaFormat = "format"
	metaIndex  = "applied"
	metaChain  = "chain"
)

// format is the version of the layout above.
const format = 1

// Sizes: a bureau's whole program stays within 100 MiB with 90,000 electors.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 4 << 20
	maxOpenFiles  = 64
)

// Options of Open.
type Options struct {
	Logger *slog.Logger
	// Verified is shared by stores of one process; nil checks every signature here.
	Verified *Verified
	// OnPlaced is told of new entries after they are committed, in order, by the
	// goroutine that applies.
	OnPlaced func([]ledger.PlacedEntry)
	// FS is the file system; nil is the machine's.
	FS vfs.FS
}

// Store is the ledger of one epoch. One goroutine applies; any may read.
type Store struct {
	g   *ledger.Group
	opt Options
	dir string

	// db is replaced by Restore alone, which holds open for writing.
	open sync.RWMutex
	db   *pebble.DB

	mu      sync.Mutex
	head    ledger.ChainHead
	applied uint64
	// grown is closed and replaced when head moves.
	grown  chan struct{}
	err    error
	failed chan struct{}
	closed bool
}

// errForeign is a directory of another election, commune or epoch.
var errForeign = errors.New("holds the ledger of another election or commune: use another data directory")

// Open opens the ledger in dir, or founds it with entry 0. One process at a time.
func Open(dir string, g *ledger.Group, opt Options) (*Store, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	s := &Store{g: g, opt: opt, dir: dir, grown: make(chan struct{}), failed: make(chan struct{})}
	if err := s.finishRestore(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	db, err := s.openDB(s.current())
	if err != nil {
		return nil, err
	}
	s.db = db
	if err := s.found(); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger in %s: %w", dir, err), db.Close())
	}
	return s, nil
}

func (s *Store) current() string { return filepath.Join(s.dir, "db") }

func (s *Store) openDB(dir string) (*pebble.DB, error) {
	if err := s.opt.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make ledger directory: %w", err)
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{
		Cache: cache, MemTableSize: memTableBytes, MaxOpenFiles: maxOpenFiles, Logger: pebbleLog{s}, FS: s.opt.FS,
		FormatMajorVersion: pebble.FormatNewest,
		EventListener:      &pebble.EventListener{BackgroundError: func(err error) { s.fail(err) }},
	})
	if err != nil {
		return nil, fmt.Errorf("open ledger in %s (is another pointage using it?): %w", dir, err)
	}
	return db, nil
}

// pebbleLog lets Pebble's fatal faults stop the replica instead of the process.
type pebbleLog struct{ s *Store }

func (pebbleLog) Infof(string, ...any) {}
func (l pebbleLog) Errorf(f string, a ...any) {
	l.s.opt.Logger.Error("pebble", "err", fmt.Sprintf(f, a...))
}
func (l pebbleLog) Fatalf(f string, a ...any) {
	err := fmt.Errorf(f, a...)
	l.s.fail(err)
	panic(err)
}

// fail stops the store for good: the replica does not guess.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = fmt.Errorf("the ledger's store can't go on (is the disk full?): %w", err)
		close(s.failed)
	}
}

// Failed is closed when the store can't go on; Err says why.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err is why the store can't go on, nil while it can.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// found reads where the ledger stands, or places its genesis.
func (s *Store) found() error {
	v, closer, err := s.db.Get(metaKey(metaFormat))
	if errors.Is(err, pebble.ErrNotFound) {
		return s.begin()
	}
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint64(v)
	closer.Close()
	if n != format {
		return fmt.Errorf("has format %d, this program knows %d: use the program that wrote it", n, format)
	}
	chain, closer, err := s.db.Get(metaKey(metaChain))
	if err != nil {
		return err
	}
	same := string(chain) == string(s.chainID())
	closer.Close()
	if !same {
		return errForeign
	}
	return s.reload()
}

// chainID binds a directory to an election, a commune and a roll.
func (s *Store) chainID() []byte {
	roll := s.g.Roll.Hash()
	return append(binary.BigEndian.AppendUint32(append([]byte(nil), s.g.Manifest[:]...), uint32(s.g.Commune)), roll[:]...)
}

func (s *Store) begin() error {
	b := s.db.NewIndexedBatch()
	defer b.Close()
	v := &view{b}
	v.put(metaKey(metaFormat), binary.BigEndian.AppendUint64(nil, format))
	v.put(metaKey(metaChain), s.chainID())
	v.put(metaKey(metaIndex), make([]byte, 8))
	s.index(v, ledger.Begin(s.g, v))
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	return s.reload()
}

// reload reads head and applied index from the database.
func (s *Store) reload() error {
	v, closer, err := s.db.Get(metaKey(metaIndex))
	if err != nil {
		return err
	}
	applied := binary.BigEndian.Uint64(v)
	closer.Close()
	s.publish(ledger.ReadHead(&view{s.db}), applied)
	return nil
}

func (s *Store) publish(h ledger.ChainHead, applied uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head, s.applied = h, applied
	close(s.grown)
	s.grown = make(chan struct{})
}

// Close makes all durable and closes the database.
func (s *Store) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.db.LogData(nil, pebble.Sync), s.db.Close())
}

// Head is the end of the chain.
func (s *Store) Head() ledger.ChainHead {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}

// Size is the number of entries.
func (s *Store) Size() uint64 { return s.Head().Size }

// Applied is the Raft index up to which commands have been applied.
func (s *Store) Applied() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// Wait returns when the ledger has at least size entries.
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
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read runs f on the database while it is open.
func (s *Store) read(f func(r pebble.Reader) error) error {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return os.ErrClosed
	}
	return f(s.db)
}

// Entry is the encoded entry at a position.
func (s *Store) Entry(pos uint64) (out []byte, err error) {
	err = s.read(func(r pebble.Reader) error {
		v, closer, err := r.Get(entryKey(pos))
		if err != nil {
			return fmt.Errorf("entry %d: %w", pos, err)
		}
		out = append([]byte(nil), v...)
		return closer.Close()
	})
	return out, err
}

// ReadHashes implements tlog.HashReader over the stored hashes of the tree.
func (s *Store) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	err = s.read(func(r pebble.Reader) error { out, err = readHashes(r, indexes); return err })
	return out, err
}

func readHashes(r pebble.Reader, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		v, closer, err := r.Get(hashKey(x))
		if err != nil {
			return nil, fmt.Errorf("stored hash %d: %w", x, err)
		}
		copy(out[i][:], v)
		closer.Close()
	}
	return out, nil
}

// Root is the tree's root at a size up to the present one.
func (s *Store) Root(size uint64) (ledger.Hash, error) {
	h, err := tlog.TreeHash(int64(size), s)
	return ledger.Hash(h), err
}

// Prove is the consistency proof from one size to a larger one (RFC 6962 §2.1.2).
func (s *Store) Prove(old, size uint64) ([]tlog.Hash, error) {
	p, err := tlog.ProveTree(int64(size), int64(old), s)
	if err != nil {
		return nil, fmt.Errorf("prove %d to %d: %w", old, size, err)
	}
	return p, nil
}

// Admissions lists the live admissions of a right.
func (s *Store) Admissions(x ledger.Right) (out []ledger.LiveAdmission) {
	if err := s.read(func(r pebble.Reader) error { out = ledger.Admissions(&view{r}, x); return nil }); err != nil {
		return nil
	}
	return out
}

// Record is what a bureau's chain, as far as it is placed, says of a right.
func (s *Store) Record(n ledger.BureauNumber, x ledger.Right) (out ledger.Record, err error) {
	err = s.read(func(r pebble.Reader) error { out = s.g.ReadRecord(&view{r}, n, x); return nil })
	return out, err
}

// Has says whether the author's batches up to a sequence number have their places.
func (s *Store) Has(a ledger.Author, next uint64) (has bool) {
	err := s.read(func(r pebble.Reader) error {
		p, ok := ledger.AuthorPoint(&view{r}, a)
		has = ok && p.Next >= next
		return nil
	})
	return has && err == nil
}
