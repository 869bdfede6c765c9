package store

import (
	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// edge is the right edge of the tree: where a bit of the size is set, the root of the
// complete subtree of that height. Growing the tree then reads nothing.
type edge [64]tlog.Hash

// grow adds the leaf at a position and returns the hashes to store from the leaf's index
// on, in x/mod's numbering.
func (e *edge) grow(pos uint64, leaf ledger.Hash) []tlog.Hash {
	h, level := tlog.Hash(leaf), 0
	out := []tlog.Hash{h}
	for ; pos>>level&1 == 1; level++ {
		h = tlog.NodeHash(e[level], h)
		out = append(out, h)
	}
	e[level] = h
	return out
}

// load reads the edge of a tree from its stored hashes.
func (e *edge) load(r pebble.Reader, size uint64) error {
	*e = edge{}
	for level := range e {
		if size>>level&1 == 0 {
			continue
		}
		h, err := readHashes(r, []int64{tlog.StoredHashIndex(level, int64(size>>level)-1)})
		if err != nil {
			return err
		}
		e[level] = h[0]
	}
	return nil
}
