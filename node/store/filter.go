package store

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// filter is a Bloom filter over the keys of the large kinds of the view, so that what isn't there, as nearly every
// right that is looked up, costs no look into the database's tables: that was a fifth of all work at 64 desks.
// It fits 90,000 electors' day with one false answer in 10,000; beyond that false answers only cost the look.
// Any goroutine may use it.
type filter struct {
	seed maphash.Seed
	bits [filterBits / 64]atomic.Uint64
}

const (
	filterBits   = 1 << 23 // 1 MiB
	filterHashes = 4
)

func newFilter() *filter { return &filter{seed: maphash.MakeSeed()} }

// load takes in what the database has.
func (f *filter) load(r pebble.Reader) error {
	for i := range large {
		err := scanPrefix(r, viewKey([]byte{large[i]}), func(k, _ []byte) bool { f.add(k[1:]); return true })
		if err != nil {
			return err
		}
	}
	return nil
}

// at is the word and the bit of a key's hash number i.
func at(hash uint64, i int) (word int, bit uint64) {
	n := (uint32(hash) + uint32(i)*uint32(hash>>32|1)) % filterBits
	return int(n / 64), 1 << (n % 64)
}

func (f *filter) add(key []byte) {
	hash := maphash.Bytes(f.seed, key)
	for i := range filterHashes {
		word, bit := at(hash, i)
		f.bits[word].Or(bit)
	}
}

// lacks says that a key was never added.
func (f *filter) lacks(key []byte) bool {
	hash := maphash.Bytes(f.seed, key)
	for i := range filterHashes {
		if word, bit := at(hash, i); f.bits[word].Load()&bit == 0 {
			return true
		}
	}
	return false
}
