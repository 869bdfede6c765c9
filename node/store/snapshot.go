package store

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// A snapshot is what the ledger can't be made again without: a magic, the chain's binding,
// the index of the last command (uint64), the entries from the first epoch's entry 0 on, an end mark, the parked
// batches, an end mark, and the SHA-256 of all that. Binding, entries and batches stand
// behind a uint32 length. Whoever restores it places it all again, as if it came from the
// log: a snapshot proves itself, and says nothing of the database's layout.
const (
	snapshotMagic = "pointage ledger snapshot 1\n"
	endMark       = ^uint32(0)
	// snapshotBuffer is how much is read and written at a time, in bytes.
	snapshotBuffer = 256 << 10
)

// Freeze takes a point-in-time view; write streams it, release frees it. The database is
// neither replaced nor closed in between.
func (s *Store) Freeze() (write func(io.Writer) error, release func()) {
	s.open.RLock()
	if s.db == nil {
		s.open.RUnlock()
		return func(io.Writer) error { return fmt.Errorf("write snapshot: %w", s.gone()) }, func() {}
	}
	snap := s.db.NewSnapshot()
	write = func(w io.Writer) error {
		if err := s.write(w, snap); err != nil {
			return fmt.Errorf("write snapshot: %w", err)
		}
		// What was read of a database with a fault is no snapshot.
		return s.Err()
	}
	return write, func() {
		defer s.open.RUnlock()
		if err := snap.Close(); err != nil {
			s.opt.Logger.Error("release snapshot", "err", err)
		}
	}
}

// Snapshot writes the ledger as it is now.
func (s *Store) Snapshot(w io.Writer) error {
	write, release := s.Freeze()
	defer release()
	return write(w)
}

func (s *Store) write(w io.Writer, r pebble.Reader) error {
	applied, err := get(r, metaKey(metaIndex))
	if err != nil {
		return err
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), snapshotBuffer)
	// A bufio.Writer keeps its first error: the look at it ends a scan early.
	blob := func(b []byte) bool {
		out.Write(binary.BigEndian.AppendUint32(out.AvailableBuffer(), uint32(len(b))))
		_, err := out.Write(b)
		return err == nil
	}
	end := func() { out.Write(binary.BigEndian.AppendUint32(nil, endMark)) }
	out.WriteString(snapshotMagic)
	blob(s.chain)
	out.Write(applied)
	if err := scanPrefix(r, []byte{keyEntry}, func(_, v []byte) bool { return blob(v) }); err != nil {
		return err
	}
	end()
	if err := scanPrefix(r, []byte{keyView}, func(_, v []byte) bool { return !parked(v) || blob(v) }); err != nil {
		return err
	}
	end()
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// parked says whether a value of the view is a batch that waits for the one before it. No
// other value is a batch: none else is signed, with a root over what follows.
func parked(value []byte) bool {
	_, err := ledger.DecodeBatch(value)
	return err == nil
}
