package store

import (
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// memory is the part of the view that placing any batch asks for and that stays small, whatever the
// number of electors: the head, where sessions stand, what waits, what was amended. A kind of keys is
// wholly in memory or, once it has outgrown maxKind, only in the database until the next opening; no
// answer depends on which.
//
// It belongs to the goroutine that applies, and moves when the database has what moves it.
type memory struct {
	kinds [256]*kind
}

// kind is all keys of the view that begin with one byte.
type kind struct {
	// keys are those of values, sorted.
	keys   []string
	values map[string][]byte
	size   int
}

// maxKind bounds one kind in bytes of keys and values: a member can open sessions and send
// what waits all day.
const maxKind = 1 << 20

// large are the kinds that grow with the check-ins: batches, records, admissions.
const large = "bra"

func isLarge(key []byte) bool { return strings.IndexByte(large, key[0]) >= 0 }

func newMemory() *memory {
	m := &memory{}
	for i := range m.kinds {
		if !isLarge([]byte{byte(i)}) {
			m.kinds[i] = &kind{values: map[string][]byte{}}
		}
	}
	return m
}

// load reads what the database has.
func (m *memory) load(r pebble.Reader) error {
	*m = *newMemory()
	for i := range m.kinds {
		if m.kinds[i] == nil {
			continue
		}
		err := scanPrefix(r, viewKey([]byte{byte(i)}), func(k, v []byte) bool {
			m.set(string(k[1:]), append([]byte{}, v...))
			return m.kinds[i] != nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// of is the kind of a key or of a prefix, nil when it is not in memory.
func (m *memory) of(key []byte) *kind {
	if m == nil {
		return nil
	}
	return m.kinds[key[0]]
}

// set takes a change over; a nil value deletes.
func (m *memory) set(key string, value []byte) {
	k := m.kinds[key[0]]
	if k == nil {
		return
	}
	old, is := k.values[key]
	if is {
		k.size -= len(key) + len(old)
	}
	at, _ := slices.BinarySearch(k.keys, key)
	switch {
	case value == nil && is:
		delete(k.values, key)
		k.keys = slices.Delete(k.keys, at, at+1)
		return
	case value == nil:
		return
	case !is:
		k.keys = slices.Insert(k.keys, at, key)
	}
	k.values[key] = value
	if k.size += len(key) + len(value); k.size > maxKind {
		m.kinds[key[0]] = nil
	}
}

// scan is scanPrefix over a kind; what f is given it may keep but not change.
func (k *kind) scan(prefix []byte, f func(key, value []byte) bool) {
	at, _ := slices.BinarySearch(k.keys, string(prefix))
	for _, key := range k.keys[at:] {
		if !strings.HasPrefix(key, string(prefix)) || !f([]byte(key), k.values[key]) {
			return
		}
	}
}
