package minutes

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// tree is the right edge of an RFC 6962 tree: its root needs no more.
type tree struct {
	size uint64
	// edge are the roots of the whole subtrees that make it up, the largest first.
	edge []tlog.Hash
	last ledger.Hash
}

func (t *tree) add(leaf ledger.Hash) {
	h := tlog.Hash(leaf)
	for n := t.size; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(t.edge[len(t.edge)-1], h)
		t.edge = t.edge[:len(t.edge)-1]
	}
	t.edge = append(t.edge, h)
	t.size++
	t.last = leaf
	if len(t.edge) != bits.OnesCount64(t.size) {
		panic("a tree's edge has another number of subtrees than its size says")
	}
}

// root is that of all leaves so far, at least one.
func (t *tree) root() ledger.Hash {
	h := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.edge[i], h)
	}
	return ledger.Hash(h)
}
