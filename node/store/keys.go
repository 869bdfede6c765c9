package store

import (
	"cmp"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// What a key begins with. The view's keys are the ledger's own, behind 'v'.
const (
	keyEntry   = 'e' // reference -> encoded entry
	keyHash    = 'h' // epoch, stored hash index -> Merkle hash
	keyView    = 'v' // + the ledger's key -> its value
	keyToken   = 't' // elector token, reference, statement index -> nothing
	keyBureau  = 'u' // bureau, reference -> nothing
	keyTime    = 'i' // time, reference, statement index -> nothing
	keyStep    = 's' // number -> nothing; each batch of the database has the next one
	keyMeta    = 'm' // + name -> value
	metaFormat = "format"
	metaIndex  = "applied"
	metaChain  = "chain"
)

func viewKey(k []byte) []byte { return append(append(make([]byte, 0, 1+len(k)), keyView), k...) }

func metaKey(name string) []byte { return append([]byte{keyMeta}, name...) }

func entryKey(ref uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyEntry}, ref) }

// hashKey has the epoch where a reference has it: no tree has 2^56 hashes.
func hashKey(epoch uint8, i int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyHash}, ledger.Reference(epoch, uint64(i)))
}

func stepKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyStep}, n) }

func bureauKey(n ledger.BureauNumber, ref uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16([]byte{keyBureau}, uint16(n)), ref)
}

// appendPlace ends the keys of the look-ups of statements: reference, index.
func appendPlace(key []byte, ref uint64, index int) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(key, ref), uint16(index))
}

func tokenKey(e ledger.ElectorToken, ref uint64, index int) []byte {
	return appendPlace(append([]byte{keyToken}, e[:]...), ref, index)
}

func timeKey(t ledger.Instant, ref uint64, index int) []byte {
	return appendPlace(binary.BigEndian.AppendUint64([]byte{keyTime}, uint64(t)), ref, index)
}

// Place names one statement of the ledger: its entry's reference, and its index there.
type Place struct {
	Entry uint64
	Index int
}

func readPlace(key []byte) Place {
	b := key[len(key)-10:]
	return Place{binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint16(b[8:]))}
}

// get is a copy of a key's value, nil when there is none.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}

// scan calls f for each key from lower on and below upper, in order, until it returns
// false; nil is no bound. The slices are f's only during the call.
func scan(r pebble.Reader, lower, upper []byte, f func(key, value []byte) bool) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return cmp.Or(err, it.Close())
		}
		if !f(it.Key(), v) {
			break
		}
	}
	return it.Close()
}

// scanPrefix is scan over the keys with a prefix.
func scanPrefix(r pebble.Reader, prefix []byte, f func(key, value []byte) bool) error {
	return scan(r, prefix, after(prefix), f)
}

// after is the first key behind all those with the prefix, nil when there is none.
func after(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}
