package store

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
)

// A snapshot is the database as it is: a magic, the chain's binding, keys and values
// each behind a uint32 length, an end mark, and the SHA-256 of all that.
const (
	snapshotMagic = "pointage ledger snapshot 1\n"
	endOfPairs    = ^uint32(0)
	// maxPair is the length of a key or a value, in bytes.
	maxPair = 1 << 20
	// restoreFlush is how much is written at a time while restoring, in bytes.
	restoreFlush = 4 << 20
)

// Freeze takes a point-in-time view; write streams it, release frees it.
func (s *Store) Freeze() (write func(io.Writer) error, release func()) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return func(io.Writer) error { return errors.New("the ledger is closed") }, func() {}
	}
	snap := s.db.NewSnapshot()
	return func(w io.Writer) error { return s.write(w, snap) }, func() { snap.Close() }
}

// Snapshot writes the ledger as it is now.
func (s *Store) Snapshot(w io.Writer) error {
	write, release := s.Freeze()
	defer release()
	return write(w)
}

func (s *Store) write(w io.Writer, r pebble.Reader) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20)
	out.WriteString(snapshotMagic)
	writeBlob(out, s.chainID())
	it, err := r.NewIter(nil)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		writeBlob(out, it.Key())
		writeBlob(out, it.Value())
	}
	binary.Write(out, binary.BigEndian, endOfPairs)
	if err := errors.Join(it.Close(), out.Flush()); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func writeBlob(w io.Writer, b []byte) {
	// A bufio.Writer keeps its first error for Flush.
	binary.Write(w, binary.BigEndian, uint32(len(b)))
	w.Write(b)
}

var errSnapshot = errors.New("damaged snapshot")

// Restore replaces the ledger by a snapshot of the same chain. The new database is
// written beside the old one and takes its place by a rename: a crash leaves the old
// one, or the new one whole.
func (s *Store) Restore(r io.Reader) error {
	next := filepath.Join(s.dir, "db.next")
	if err := s.opt.FS.RemoveAll(next); err != nil {
		return fmt.Errorf("restore ledger: %w", err)
	}
	db, err := s.openDB(next)
	if err != nil {
		return err
	}
	err = s.fill(db, r)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("restore ledger: %w", errors.Join(err, s.opt.FS.RemoveAll(next)))
	}
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return errors.New("restore ledger: it is closed")
	}
	if err := s.swap(next); err != nil {
		s.fail(err)
		return fmt.Errorf("restore ledger: %w", err)
	}
	return s.reload()
}

// swap puts the restored database in the place of the old one, under the open lock.
func (s *Store) swap(next string) error {
	if err := s.db.Close(); err != nil {
		return err
	}
	old := filepath.Join(s.dir, "db.old")
	if err := errors.Join(s.opt.FS.RemoveAll(old), s.opt.FS.Rename(s.current(), old), s.opt.FS.Rename(next, s.current()), s.syncDir()); err != nil {
		return err
	}
	db, err := s.openDB(s.current())
	if err != nil {
		return err
	}
	s.db = db
	return s.opt.FS.RemoveAll(old)
}

func (s *Store) syncDir() error {
	d, err := s.opt.FS.OpenDir(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// finishRestore clears what a crash during Restore left: between the two renames only
// db.old is there, and it goes back.
func (s *Store) finishRestore() error {
	if err := s.opt.FS.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	old := filepath.Join(s.dir, "db.old")
	if _, err := s.opt.FS.Stat(s.current()); err != nil {
		if _, err := s.opt.FS.Stat(old); err == nil {
			return s.opt.FS.Rename(old, s.current())
		}
	}
	return errors.Join(s.opt.FS.RemoveAll(filepath.Join(s.dir, "db.next")), s.opt.FS.RemoveAll(old))
}

// fill reads a snapshot into an empty database and makes it durable.
func (s *Store) fill(db *pebble.DB, r io.Reader) error {
	in := &summed{r: bufio.NewReaderSize(r, 1<<20), sum: sha256.New()}
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != snapshotMagic {
		return errSnapshot
	}
	chain, _, err := in.blob()
	if err != nil {
		return err
	}
	if string(chain) != string(s.chainID()) {
		return errForeign
	}
	b := db.NewBatch()
	for {
		k, end, err := in.blob()
		if err != nil {
			return err
		}
		if end {
			break
		}
		v, end, err := in.blob()
		if err != nil || end {
			return errors.Join(errSnapshot, err)
		}
		if err := b.Set(k, v, nil); err != nil {
			return err
		}
		if b.Len() > restoreFlush {
			if err := b.Commit(pebble.NoSync); err != nil {
				return err
			}
			b = db.NewBatch()
		}
	}
	want := in.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in.r, got); err != nil || string(got) != string(want) {
		return errSnapshot
	}
	return b.Commit(pebble.Sync)
}

// summed reads and sums up what was read.
type summed struct {
	r   io.Reader
	sum hash.Hash
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	return n, err
}

func (s *summed) blob() (b []byte, end bool, err error) {
	var n uint32
	if err := binary.Read(s, binary.BigEndian, &n); err != nil {
		return nil, false, errSnapshot
	}
	if n == endOfPairs {
		return nil, true, nil
	}
	if n > maxPair {
		return nil, false, errSnapshot
	}
	b = make([]byte, n)
	if _, err := io.ReadFull(s, b); err != nil {
		return nil, false, errSnapshot
	}
	return b, false, nil
}
