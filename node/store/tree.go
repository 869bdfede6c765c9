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

// root is the root of the tree of that size (RFC 6962 section 2.1).
func (e *edge) root(size uint64) (out ledger.Hash) {
	first := true
	for level := range e {
		switch {
		case size>>level&1 == 0:
		case first:
			out, first = ledger.Hash(e[level]), false
		default:
			out = ledger.Hash(tlog.NodeHash(e[level], tlog.Hash(out)))
		}
	}
	return out
}

// end is where the chain ends, for whoever adds to it.
type end struct {
	tree edge
	// steps is how many steps the database has.
	steps  uint64
	memory *memory
	filter *filter
}

// load reads the end of a chain with this head, and sees that no step before it is missing:
// Pebble takes a damaged list of its files for a shorter one, forgets files that it had
// written, and still replays the newer ones.
func (e *end) load(r pebble.Reader, head ledger.ChainHead) error {
	e.steps = 0
	hole := false
	err := scanPrefix(r, []byte{keyStep}, func(k, _ []byte) bool {
		hole = string(k) != string(stepKey(e.steps))
		e.steps++
		return !hole
	})
	if err != nil {
		return err
	}
	if hole || e.steps == 0 {
		return errHole
	}
	e.memory, e.filter = newMemory(), newFilter()
	if err := e.memory.load(r); err != nil {
		return err
	}
	if err := e.filter.load(r); err != nil {
		return err
	}
	return e.tree.load(r, head.Epoch, head.Size)
}

// load reads the edge of a tree from its stored hashes.
func (e *edge) load(r pebble.Reader, epoch uint8, size uint64) error {
	*e = edge{}
	for level := range e {
		if size>>level&1 == 0 {
			continue
		}
		h, err := readHashes(r, epoch, []int64{tlog.StoredHashIndex(level, int64(size>>level)-1)})
		if err != nil {
			return err
		}
		e[level] = h[0]
	}
	return nil
}
