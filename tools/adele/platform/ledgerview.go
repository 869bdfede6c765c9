package platform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// Keys of the communes' ledgers, after regionPrefix and g:
//
//	m <INS>                     generation of the view
//	v <INS> <generation> <key>  the view of package ledger
//	z <INS> <epoch>             how many entries of an epoch are held
//	e <INS> <reference>         entry
//	h <INS> <epoch> <index>     hash of an epoch's tree
//	c <INS> <epoch> <size> <id> checkpoint that the principal bureau brought
//	a <INS> <member>            a convened member's presence
func ledgerKey(kind byte, c ledger.Commune, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{regionPrefix, 'g', kind}, uint32(c)), rest...)
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func ledgerHashKey(c ledger.Commune, epoch uint8) func(int64) []byte {
	return func(index int64) []byte { return ledgerKey('h', c, append([]byte{epoch}, be64(uint64(index))...)...) }
}

// ledgerView is ledger.View over the database; what is set stays in changes until it is written
// with the entries that made it.
type ledgerView struct {
	st      *storage
	prefix  []byte
	changes map[string][]byte // nil for a deleted key
}

// viewFault is what a view panics with when the database can't be read: ledger.View has no errors.
// The act's recovery reports it.
func viewFault(err error) {
	if err != nil {
		panic(fmt.Sprintf("read ledger view: %v", err))
	}
}

func newLedgerView(st *storage, c ledger.Commune, generation uint32) *ledgerView {
	return &ledgerView{st: st, prefix: ledgerKey('v', c, binary.BigEndian.AppendUint32(nil, generation)...), changes: map[string][]byte{}}
}

func (v *ledgerView) key(k []byte) []byte { return append(slices.Clone(v.prefix), k...) }

// Get implements ledger.View.
func (v *ledgerView) Get(key []byte) []byte {
	if val, ok := v.changes[string(key)]; ok {
		return val
	}
	val, err := v.st.get(v.key(key))
	viewFault(err)
	return val
}

// Set implements ledger.View.
func (v *ledgerView) Set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	v.changes[string(key)] = value
}

// Delete implements ledger.View.
func (v *ledgerView) Delete(key []byte) { v.changes[string(key)] = nil }

// Range implements ledger.View. It is asked for while little has changed, or for few keys.
func (v *ledgerView) Range(prefix []byte, f func(key, value []byte) bool) {
	all := map[string][]byte{}
	viewFault(v.st.scan(v.key(prefix), func(k, val []byte) error {
		all[string(k[len(v.prefix):])] = bytes.Clone(val)
		return nil
	}))
	for k, val := range v.changes {
		if strings.HasPrefix(k, string(prefix)) {
			all[k] = val
		}
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if all[k] != nil && !f([]byte(k), all[k]) {
			return
		}
	}
}

func (v *ledgerView) write(b *pebble.Batch) error {
	for _, k := range slices.Sorted(maps.Keys(v.changes)) {
		at, val := v.key([]byte(k)), v.changes[k]
		var err error
		if val == nil {
			err = b.Delete(at, nil)
		} else {
			err = b.Set(at, val, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tree reads an epoch's stored hashes, those in the making first.
func (rg *Region) tree(c ledger.Commune, epoch uint8, fresh map[int64]tlog.Hash) tlog.HashReader {
	key := ledgerHashKey(c, epoch)
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return readHashes(rg.st.db, key, fresh, indexes)
	})
}
