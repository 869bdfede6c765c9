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

// Entry is the encoded entry at a position.
func (s *Store) Entry(pos uint64) (out []byte, err error) {
	err = s.read(func(r pebble.Reader) error {
		if out, err = get(r, entryKey(pos)); err == nil && out == nil {
			return fmt.Errorf("entry %d: the ledger has %d entries", pos, s.Size())
		}
		return err
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
		v, err := get(r, hashKey(x))
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

// within refuses a size that the tree does not have yet.
func (s *Store) within(size uint64) error {
	if have := s.Size(); size > have {
		return fmt.Errorf("tree of %d entries: the ledger has %d", size, have)
	}
	return nil
}

// Root is the tree's root at a size up to the present one.
func (s *Store) Root(size uint64) (ledger.Hash, error) {
	if err := s.within(size); err != nil {
		return ledger.Hash{}, err
	}
	h, err := tlog.TreeHash(int64(size), s)
	return ledger.Hash(h), err
}

// Prove is the consistency proof from one size to a larger one (RFC 6962 §2.1.2).
func (s *Store) Prove(old, size uint64) ([]tlog.Hash, error) {
	if err := s.within(max(old, size)); err != nil {
		return nil, err
	}
	p, err := tlog.ProveTree(int64(size), int64(old), s)
	if err != nil {
		return nil, fmt.Errorf("prove %d to %d: %w", old, size, err)
	}
	return p, nil
}

// Admissions lists the live admissions of a right; none when the store has stopped, which
// Failed tells.
func (s *Store) Admissions(x ledger.Right) (out []ledger.LiveAdmission) {
	if err := s.read(func(r pebble.Reader) error { out = ledger.Admissions(&view{r: r}, x); return nil }); err != nil {
		return nil
	}
	return out
}

// Record is what a bureau's chain, as far as it is placed, says of a right.
func (s *Store) Record(n ledger.BureauNumber, x ledger.Right) (out ledger.Record, err error) {
	err = s.read(func(r pebble.Reader) error { out = s.g.ReadRecord(&view{r: r}, n, x); return nil })
	return out, err
}

// Answer is the group's answer for a batch that has its place here; placed is false
// for one that has none, be it that another stands in its place.
func (s *Store) Answer(b *ledger.Batch) (ans ledger.Answer, placed bool) {
	err := s.read(func(r pebble.Reader) error {
		ans = ledger.Reanswer(&view{r: r}, b)
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

// ByBureau is ByToken for the position of each batch of a bureau, evidence included.
func (s *Store) ByBureau(n ledger.BureauNumber, f func(position uint64) bool) error {
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
