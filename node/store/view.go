package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// view is the ledger's View over the database. What is set stays in changes until a step
// commits it: a key that is written often reaches the database once.
type view struct {
	r pebble.Reader
	// changes has nil for a deleted key. A view that is only read has none.
	changes map[string][]byte
	// memory, of a view that is written, and filter are true of the database.
	memory *memory
	filter *filter
}

// view is what readers see of an open store.
func (s *Store) view(r pebble.Reader) *view { return &view{r: r, filter: s.filter} }

// fault is what a view panics with when the database can't be read: ledger.View has no
// errors. Whoever uses a view recovers it.
type fault struct{ err error }

func mustRead(err error) {
	if err != nil {
		panic(fault{fmt.Errorf("read ledger view: %w", err)})
	}
}

// Get implements ledger.View.
func (v *view) Get(key []byte) []byte {
	if val, ok := v.changes[string(key)]; ok {
		return val
	}
	if k := v.memory.of(key); k != nil {
		return k.values[string(key)]
	}
	if isLarge(key) && v.filter != nil && v.filter.lacks(key) {
		return nil
	}
	val, err := get(v.r, viewKey(key))
	mustRead(err)
	return val
}

// Set implements ledger.View. It keeps the value.
func (v *view) Set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	v.changes[string(key)] = value
}

// Delete implements ledger.View.
func (v *view) Delete(key []byte) { v.changes[string(key)] = nil }

// Range implements ledger.View: the database's keys with the changes over them.
func (v *view) Range(prefix []byte, f func(key, value []byte) bool) {
	var changed []string
	for k := range v.changes {
		if strings.HasPrefix(k, string(prefix)) {
			changed = append(changed, k)
		}
	}
	slices.Sort(changed)
	more := true
	// upTo gives f the changes before a key of the database, nil for all the rest.
	upTo := func(key []byte) {
		for more && len(changed) > 0 && (key == nil || changed[0] < string(key)) {
			if val := v.changes[changed[0]]; val != nil {
				more = f([]byte(changed[0]), val)
			}
			changed = changed[1:]
		}
	}
	v.scan(prefix, func(k, val []byte) bool {
		if upTo(k); !more {
			return false
		}
		if _, over := v.changes[string(k)]; !over {
			more = f(k, val)
		}
		return more
	})
	upTo(nil)
}

// scan is Range without the changes. The ledger keeps the batch that it finds.
func (v *view) scan(prefix []byte, f func(key, value []byte) bool) {
	if k := v.memory.of(prefix); k != nil {
		k.scan(prefix, f)
		return
	}
	mustRead(scanPrefix(v.r, viewKey(prefix), func(k, val []byte) bool {
		return f(bytes.Clone(k[1:]), bytes.Clone(val))
	}))
}

// write puts the changes into a batch of the database, in the order of their keys.
func (v *view) write(b *pebble.Batch) error {
	for _, k := range slices.Sorted(maps.Keys(v.changes)) {
		key, val := viewKey([]byte(k)), v.changes[k]
		if val == nil {
			if err := b.Delete(key, nil); err != nil {
				return err
			}
			continue
		}
		if isLarge(key[1:]) {
			v.filter.add(key[1:]) // before anyone can read it
		}
		if err := b.Set(key, val, nil); err != nil {
			return err
		}
	}
	return nil
}

// written says that the database has the changes.
func (v *view) written() {
	for k, val := range v.changes {
		v.memory.set(k, val)
	}
	clear(v.changes)
}
