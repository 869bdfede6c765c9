package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// view is the ledger's View over a batch being made, or over the database to read.
type view struct{ r pebble.Reader }

// Get implements ledger.View. A fault of the database is a broken invariant here: the
// replica can't go on.
func (v *view) Get(key []byte) []byte {
	val, closer, err := v.r.Get(viewKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		panic(fmt.Sprintf("read ledger view: %v", err))
	}
	out := append(make([]byte, 0, len(val)), val...)
	closer.Close()
	return out
}

// Set implements ledger.View.
func (v *view) Set(key, value []byte) { v.put(viewKey(key), value) }

// Delete implements ledger.View.
func (v *view) Delete(key []byte) {
	if err := v.batch().Delete(viewKey(key), nil); err != nil {
		panic(fmt.Sprintf("write ledger view: %v", err))
	}
}

// Range implements ledger.View.
func (v *view) Range(prefix []byte, f func(key, value []byte) bool) {
	p := viewKey(prefix)
	err := scan(v.r, p, func(k, val []byte) bool { return f(k[1:], val) })
	if err != nil {
		panic(fmt.Sprintf("read ledger view: %v", err))
	}
}

func (v *view) put(key, value []byte) {
	if err := v.batch().Set(key, value, nil); err != nil {
		panic(fmt.Sprintf("write ledger: %v", err))
	}
}

func (v *view) batch() *pebble.Batch { return v.r.(*pebble.Batch) }

// scan calls f for each key with the prefix, in order, until it returns false. The
// slices are f's only during the call.
func scan(r pebble.Reader, prefix []byte, f func(key, value []byte) bool) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !f(append([]byte(nil), it.Key()...), append([]byte(nil), it.Value()...)) {
			break
		}
	}
	return it.Close()
}

// after is the first key behind all those with the prefix.
func after(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

func viewKey(k []byte) []byte { return append(append(make([]byte, 0, 1+len(k)), keyView), k...) }

func metaKey(name string) []byte { return append([]byte{keyMeta}, name...) }

func entryKey(pos uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyEntry}, pos) }

func hashKey(i int64) []byte { return binary.BigEndian.AppendUint64([]byte{keyHash}, uint64(i)) }

func bureauKey(n ledger.BureauNumber, pos uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16([]byte{keyBureau}, uint16(n)), pos)
}

func place(pos uint64, index int) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(nil, pos), uint16(index))
}

func tokenKey(e ledger.ElectorToken, pos uint64, index int) []byte {
	return append(append([]byte{keyToken}, e[:]...), place(pos, index)...)
}

func timeKey(t ledger.Instant, pos uint64, index int) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{keyTime}, uint64(t)), place(pos, index)...)
}

// Place names one statement of the ledger.
type Place struct {
	Position uint64
	Index    int
}

func readPlace(key []byte) Place {
	b := key[len(key)-10:]
	return Place{binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint16(b[8:]))}
}

func (s *Store) places(prefix []byte, f func(Place) bool) error {
	return s.read(func(r pebble.Reader) error {
		return scan(r, prefix, func(k, _ []byte) bool { return f(readPlace(k)) })
	})
}

// ByToken calls f for every statement that names an elector, oldest first.
func (s *Store) ByToken(e ledger.ElectorToken, f func(Place) bool) error {
	return s.places(append([]byte{keyToken}, e[:]...), f)
}

// ByBureau calls f for the position of each batch of a bureau, oldest first.
func (s *Store) ByBureau(n ledger.BureauNumber, f func(position uint64) bool) error {
	return s.read(func(r pebble.Reader) error {
		prefix := binary.BigEndian.AppendUint16([]byte{keyBureau}, uint16(n))
		return scan(r, prefix, func(k, _ []byte) bool { return f(binary.BigEndian.Uint64(k[3:])) })
	})
}

// ByTime calls f for each statement from an instant on, by its own time.
func (s *Store) ByTime(from ledger.Instant, f func(ledger.Instant, Place) bool) error {
	return s.read(func(r pebble.Reader) error {
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: timeKey(from, 0, 0), UpperBound: []byte{keyTime + 1}})
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			if !f(ledger.Instant(binary.BigEndian.Uint64(it.Key()[1:])), readPlace(it.Key())) {
				break
			}
		}
		return it.Close()
	})
}

var _ io.Closer = (*Store)(nil)
