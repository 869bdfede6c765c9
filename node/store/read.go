package store

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// read runs f on the database while it is open. A view's fault becomes an error.
func (s *Store) read(f func(r pebble.Reader) error) (err error) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.db == nil {
		return s.gone()
	}
	defer func() {
		if r := recover(); r != nil {
			bad, ok := r.(fault)
			if !ok {
				panic(r)
			}
			s.fail(bad.err)
			err = bad.err
		}
	}()
	return f(s.db)
}

// gone is why there is no database.
func (s *Store) gone() error {
	if err := s.Err(); err != nil {
		return err
	}
	return os.ErrClosed
}

// Entry is the encoded entry that a reference names: in epoch 0, its position.
func (s *Store) Entry(ref uint64) (out []byte, err error) {
	err = s.read(func(r pebble.Reader) error {
		if out, err = get(r, entryKey(ref)); err == nil && out == nil {
			return fmt.Errorf("%s: the ledger has %d entries", ledger.EntryName(ref), s.Size())
		}
		return err
	})
	return out, err
}

// hashes are the stored hashes of an epoch's tree.
type hashes struct {
	s     *Store
	epoch uint8
}

// ReadHashes implements tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	err = h.s.read(func(r pebble.Reader) error { out, err = readHashes(r, h.epoch, indexes); return err })
	return out, err
}

func readHashes(r pebble.Reader, epoch uint8, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		v, err := get(r, hashKey(epoch, x))
		if err != nil {
			return nil, fmt.Errorf("stored hash %d: %w", x, err)
		}
		if len(v) != len(out[i]) {
			return nil, fmt.Errorf("stored hash %d: the ledger has none", x)
		}
		copy(out[i][:], v)
	}
	return out, nil
}

// within gives the present epoch's tree, and refuses a size that it does not have yet.
func (s *Store) within(size uint64) (hashes, error) {
	have := s.Head()
	if size > have.Size {
		return hashes{}, fmt.Errorf("tree of %d entries: the ledger has %d", size, have.Size)
	}
	return hashes{s, have.Epoch}, nil
}

// Root is the root of the present epoch's tree at a size up to the present one.
func (s *Store) Root(size uint64) (ledger.Hash, error) {
	tree, err := s.within(size)
	if err != nil {
		return ledger.Hash{}, err
	}
	h, err := tlog.TreeHash(int64(size), tree)
	return ledger.Hash(h), err
}

// Prove is the consistency proof from one size to a larger one (RFC 6962 §2.1.2).
func (s *Store) Prove(old, size uint64) ([]tlog.Hash, error) {
	tree, err := s.within(max(old, size))
	if err != nil {
		return nil, err
	}
	p, err := tlog.ProveTree(int64(size), int64(old), tree)
	if err != nil {
		return nil, fmt.Errorf("prove %d to %d: %w", old, size, err)
	}
	return p, nil
}

// Admissions lists the live admissions of a right; none when the store has stopped, which
// Failed tells.
func (s *Store) Admissions(x ledger.Right) (out []ledger.LiveAdmission) {
	if err := s.read(func(r pebble.Reader) error { out = ledger.Admissions(s.view(r), x); return nil }); err != nil {
		return nil
	}
	return out
}

// Record is what a bureau's chain, as far as it is placed, says of a right.
func (s *Store) Record(n ledger.BureauNumber, x ledger.Right) (out ledger.Record, err error) {
	err = s.read(func(r pebble.Reader) error { out = s.g.ReadRecord(s.view(r), n, x); return nil })
	return out, err
}

// Answer is the group's answer for a batch that has its place here; placed is false
// for one that has none, be it that another stands in its place.
func (s *Store) Answer(b *ledger.Batch) (ans ledger.Answer, placed bool) {
	err := s.read(func(r pebble.Reader) error {
		ans = ledger.Reanswer(s.view(r), b)
		return nil
	})
	return ans, err == nil && ans.Status == ledger.Placed
}

// ByToken calls f for every statement that names an elector, oldest entry first, until it
// returns false. f does not call the store.
func (s *Store) ByToken(e ledger.ElectorToken, f func(Place) bool) error {
	return s.read(func(r pebble.Reader) error {
		return scanPrefix(r, append([]byte{keyToken}, e[:]...), func(k, _ []byte) bool { return f(readPlace(k)) })
	})
}

// ByBureau is ByToken for the reference of each batch of a bureau, evidence included.
func (s *Store) ByBureau(n ledger.BureauNumber, f func(entry uint64) bool) error {
	return s.read(func(r pebble.Reader) error {
		prefix := binary.BigEndian.AppendUint16([]byte{keyBureau}, uint16(n))
		return scanPrefix(r, prefix, func(k, _ []byte) bool { return f(binary.BigEndian.Uint64(k[len(prefix):])) })
	})
}

// ByTime is ByToken for each statement from an instant on, in the order of the
// statements' own times.
func (s *Store) ByTime(from ledger.Instant, f func(ledger.Instant, Place) bool) error {
	return s.read(func(r pebble.Reader) error {
		return scan(r, timeKey(from, 0, 0), []byte{keyTime + 1}, func(k, _ []byte) bool {
			return f(ledger.Instant(binary.BigEndian.Uint64(k[1:])), readPlace(k))
		})
	})
}

// Look runs f on the view that the rules judge by; f only reads, and does not call the store.
func (s *Store) Look(f func(ledger.View)) error {
	return s.read(func(r pebble.Reader) error { f(s.view(r)); return nil })
}
