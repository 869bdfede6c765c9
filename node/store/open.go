package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
)

// format is the version of the layout in keys.go.
const format = 1

// Sizes: a bureau's whole program stays within 100 MiB with 90,000 electors.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 4 << 20
	maxOpenFiles  = 64
	fileShards    = 2
	// flushBytes is how much is committed before it is written out to tables.
	flushBytes = 1 << 20
	// Pebble makes a commit wait above these, for ever if the disk is full. pace waits
	// long before, and hears of the fault.
	maxMemTables = 4
	maxL0        = 1 << 10
)

const (
	// errForeign is a directory or a snapshot of another election, commune or roll.
	errForeign refusal = "it is the ledger of another election or commune: use another directory"
	errNoStore refusal = "it holds a database that is no ledger, or not whole: use another directory, or move it away and the group fills a new one"
	errNoDir   refusal = "it is a file: move it away, or use another directory"
	errInUse   refusal = "another pointage is using it: stop that one first"
	errDamaged refusal = "what it says of itself is damaged: move it away and the group fills a new one"
	errHole    refusal = "a part of it is lost: move it away and the group fills a new one"
	errNewer   refusal = "use the program that wrote it"
)

func (s *Store) current() string { return filepath.Join(s.dir, "db") }

// lockDir takes the directory's lock, which goes with the process.
func lockDir(dir string, in vfs.FS) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, in)
	var cant *fs.PathError // the lock's file can't be made; a lock that is held is none
	if err == nil || errors.As(err, &cant) {
		return lock, err
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || strings.Contains(err.Error(), "lock held by current process") {
		return nil, errInUse
	}
	return nil, fmt.Errorf("lock: %w", err)
}

// openDB opens a database. onFault hears of every write that fails, which Pebble does not,
// and of what Pebble's goroutines meet; it closes stopped.
func (s *Store) openDB(dir string, onFault func(error), stopped <-chan struct{}) (*database, error) {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	files := pebble.NewFileCache(fileShards, pebble.FileCacheSize(maxOpenFiles))
	opt := &pebble.Options{
		Cache: cache, FileCache: files, MemTableSize: memTableBytes, MemTableStopWritesThreshold: maxMemTables, L0StopWritesThreshold: maxL0,
		MaxOpenFiles: maxOpenFiles, Logger: pebbleLog{s.opt.Logger, onFault}, FS: haltFS{s.opt.FS, onFault, stopped},
		FormatMajorVersion: pebble.FormatNewest,
		EventListener: &pebble.EventListener{
			BackgroundError: onFault,
			DataCorruption:  func(c pebble.DataCorruptionInfo) { onFault(fmt.Errorf("damaged file %s: %w", c.Path, c.Details)) },
		},
	}
	// Most look-ups of placing are for what is not there: no evidence, nothing parked, no earlier admission.
	opt.Levels[0].FilterPolicy = bloom.FilterPolicy(10) // the levels below take it over
	db, err := pebble.Open(dir, opt)
	if err == nil {
		return &database{db, files}, nil
	}
	release(files)
	if strings.Contains(err.Error(), "format major version") {
		return nil, fmt.Errorf("%w: %w", err, errNewer)
	}
	return nil, err
}

// database is Pebble with the cache of its open files. The cache is the store's own, and outlives Pebble's Close: after a
// read that failed in a compaction Pebble may have left a file referred to, and closing its own cache would then panic,
// and take every bureau of the process with it.
type database struct {
	*pebble.DB
	files *pebble.FileCache
}

func (d *database) Close() error {
	err := d.DB.Close()
	release(d.files)
	return err
}

// unreleased counts the caches that could not be closed.
var unreleased atomic.Int64

// release closes the files, but for a cache of which one is still referred to: it stays until the process ends.
func release(files *pebble.FileCache) {
	defer func() {
		if recover() != nil {
			unreleased.Add(1)
		}
	}()
	files.Unref()
}

// pebbleLog hears Pebble's fatal faults, of what it reads: haltFS keeps those of writing
// from it. They must not end the process, where other bureaux may be at work, so Fatalf
// returns; the store closes the database.
type pebbleLog struct {
	log     *slog.Logger
	onFault func(error)
}

// Infof implements pebble.Logger.
func (pebbleLog) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l pebbleLog) Errorf(f string, a ...any) { l.log.Error("pebble", "err", fmt.Sprintf(f, a...)) }

// Fatalf implements pebble.Logger.
func (l pebbleLog) Fatalf(f string, a ...any) {
	for _, x := range a {
		if err, ok := x.(error); ok {
			l.onFault(err)
			return
		}
	}
	l.onFault(fmt.Errorf(f, a...))
}

// pace writes out what was committed, and waits for the last time before the next. Unlike
// Pebble's own waiting, this ends when the database can't go on.
type pace struct {
	written int
	flushed <-chan struct{}
}

func (p *pace) wrote(db *database, n int, stopped <-chan struct{}) error {
	if p.written += n; p.written < flushBytes {
		return nil
	}
	return p.flush(db, stopped)
}

func (p *pace) flush(db *database, stopped <-chan struct{}) (err error) {
	if err := p.wait(stopped); err != nil {
		return err
	}
	p.written = 0
	p.flushed, err = db.AsyncFlush()
	return err
}

var errStopped = errors.New("the database has stopped")

func (p *pace) wait(stopped <-chan struct{}) error {
	if p.flushed == nil {
		return nil
	}
	select {
	case <-p.flushed:
		p.flushed = nil
		return nil
	case <-stopped:
		return errStopped
	}
}

// chainID binds a directory to an election, a commune and a roll.
func chainID(g *ledger.Group) []byte {
	roll := g.Roll.Hash()
	return append(binary.BigEndian.AppendUint32(append([]byte(nil), g.Manifest[:]...), uint32(g.Commune)), roll[:]...)
}

// found reads where the ledger stands, or places its genesis.
func (s *Store) found() error {
	v, err := get(s.db, metaKey(metaFormat))
	if err != nil {
		return err
	}
	if v == nil {
		return s.begin()
	}
	if len(v) != 8 {
		return errDamaged
	}
	if n := binary.BigEndian.Uint64(v); n != format {
		return fmt.Errorf("it has format %d, this program knows %d: %w", n, format, errNewer)
	}
	if v, err = get(s.db, metaKey(metaChain)); err != nil {
		return err
	}
	if string(v) != string(s.chain) {
		return errForeign
	}
	return s.reload()
}

// begin founds the ledger in an empty database, whole or not at all.
func (s *Store) begin() (err error) {
	defer s.recovered(&err)
	empty := true
	if err := scan(s.db, nil, nil, func(_, _ []byte) bool { empty = false; return false }); err != nil {
		return err
	}
	if !empty {
		return errNoStore
	}
	t := newStep(s.g, s.db, &s.end)
	defer t.b.Close()
	t.begin(s.chain)
	if err := t.commit(0, pebble.Sync); err != nil {
		return err
	}
	if err := cmp.Or(s.Err(), syncDir(s.opt.FS, s.dir), syncDir(s.opt.FS, filepath.Dir(s.dir))); err != nil {
		return err
	}
	return s.reload()
}

// reload reads head, applied index and the chain's end from the database.
func (s *Store) reload() (err error) {
	defer s.recovered(&err)
	v, err := get(s.db, metaKey(metaIndex))
	if err != nil {
		return err
	}
	if len(v) != 8 {
		return errDamaged
	}
	head := ledger.ReadHead(&view{r: s.db})
	if err := s.end.load(s.db, head); err != nil {
		return err
	}
	s.filter, s.pace = s.end.filter, pace{}
	s.publish(head, binary.BigEndian.Uint64(v))
	return nil
}

func syncDir(in vfs.FS, dir string) error {
	d, err := in.OpenDir(dir)
	if err != nil {
		return err
	}
	return cmp.Or(d.Sync(), d.Close())
}
