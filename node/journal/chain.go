package journal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"pointage/ledger"
)

// node is one batch among the bureau's chains.
type node struct {
	id, previous ledger.Hash
	author       ledger.Author
	first, next  uint64
	// continues is the head that a session's first batch names.
	continues *ledger.Head
	orphans   []ledger.Orphan
	signed    []byte
	held      *held

	children []*node
	// depth counts the batches of the longest path from here on, this one included.
	depth int
}

func newNode(id ledger.Hash, b *ledger.Batch) *node {
	n := &node{
		id: id, previous: b.Header.Previous, author: b.Header.Author, first: b.Header.First, next: b.Header.Next(),
		signed: b.SignedHeader(),
	}
	for _, s := range b.Statements {
		switch s := s.Body.(type) {
		case *ledger.SessionOpened:
			n.continues = s.Continues
		case *ledger.Orphan:
			n.orphans = append(n.orphans, *s)
		}
	}
	return n
}

func (n *node) opens() bool { return n.first == 0 }

func (n *node) head() ledger.Head {
	return ledger.Head{Session: n.author.Session, Next: n.next, Hash: n.id}
}

// history is the bureau's chain as opening decides on it.
type history struct {
	chain, off []*node
	// rank is the place of each session in the chain, from 0.
	rank  map[ledger.SessionID]int
	found []Finding
	// unlisted are the tails that no orphan statement of the chain lists yet.
	unlisted []ledger.Orphan
}

// ErrGap says that batches of the bureau's own chain are on none of the media that are
// attached, although later ones are.
var ErrGap = errors.New("records of this bureau are missing on all media that are attached: attach the third medium; without it, tell the principal bureau")

// history puts the union's batches in order.
//
// Where several batches go on from one, at most one of them was ever durable on two media,
// unless a medium was cloned or rolled back: an opening reads at least one of any two
// media and would have gone on from it. A batch is known to have been durable when
// another builds on it, or, a session's first, when the session's `begun` record is there.
// The chain goes on with, in this order: a batch known to have been durable; the longest path
// from there; a session rather than the tail that its head leaves behind; the smaller identity.
// All that is lost beside it stays on the media. Lost tails known to have been durable
// are forks, the others orphans.
func (u *union) history() (*history, error) {
	roots, order, err := u.link()
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Backward(order) {
		n.depth = 1
		for _, c := range n.children {
			n.depth = max(n.depth, 1+c.depth)
		}
	}
	h := &history{rank: map[ledger.SessionID]int{}}
	listed := map[ledger.Head]bool{}
	var lost []*node
	var against []*node // the chain's batch where lost parts from it
	for at := roots; len(at) > 0; {
		slices.SortFunc(at, u.preferred)
		n := at[0]
		for _, l := range at[1:] {
			lost, against = append(lost, l), append(against, n)
		}
		if n.opens() {
			h.rank[n.author.Session] = len(h.rank)
		}
		for _, o := range n.orphans {
			listed[o.Head] = true
		}
		h.chain = append(h.chain, n)
		at = n.children
	}
	for i, l := range lost {
		u.lose(h, l, against[i], listed)
	}
	return h, nil
}

// link joins each batch to the one that it goes on from. order has every batch behind it.
func (u *union) link() (roots, order []*node, err error) {
	for _, h := range u.order {
		n := h.node
		if n == nil || n.held != h {
			continue
		}
		if n.opens() && n.continues == nil && n.previous == (ledger.Hash{}) {
			roots = append(roots, n)
			continue
		}
		p := u.nodes[n.previous]
		if p == nil {
			return nil, nil, fmt.Errorf("%w (before statement %d of %v)", ErrGap, n.first, n.author)
		}
		follows := !n.opens() && p.author == n.author && p.next == n.first
		continues := n.opens() && n.continues != nil && *n.continues == p.head()
		if !follows && !continues {
			return nil, nil, fmt.Errorf("statement %d of %v does not go on from the batch that it names: no program of this project signs that; tell the principal bureau", n.first, n.author)
		}
		p.children = append(p.children, n)
	}
	order = append(order, roots...)
	for i := 0; i < len(order); i++ {
		order = append(order, order[i].children...)
	}
	return roots, order, nil
}

// wasDurable says that the batch must have been on two media.
func (u *union) wasDurable(n *node) bool {
	return n.depth > 1 || n.opens() && u.begun[n.author.Session]
}

// preferred orders batches that go on from one, the chain's first.
func (u *union) preferred(a, b *node) int {
	first := func(x, y bool) int {
		if x == y {
			return 0
		}
		if x {
			return -1
		}
		return 1
	}
	if c := first(u.wasDurable(a), u.wasDurable(b)); c != 0 {
		return c
	}
	if a.depth != b.depth {
		return b.depth - a.depth
	}
	if c := first(a.opens(), b.opens()); c != 0 {
		return c
	}
	return bytes.Compare(a.id[:], b.id[:])
}

// lose reports the tails from a batch on that the chain leaves aside, one for each session.
func (u *union) lose(h *history, from, chosen *node, listed map[ledger.Head]bool) {
	kind, word := Orphaned, "was recorded but never durable"
	sameSession := !from.opens() && !chosen.opens()
	if u.wasDurable(from) || sameSession {
		kind, word = Forked, "was durable: a medium was cloned or rolled back; tell the principal bureau"
	}
	tails := map[ledger.SessionID]*ledger.Orphan{}
	var order []*ledger.Orphan
	for todo := []*node{from}; len(todo) > 0; {
		n := todo[0]
		todo = append(todo[1:], n.children...)
		h.off = append(h.off, n)
		t := tails[n.author.Session]
		if t == nil {
			t = &ledger.Orphan{From: n.first}
			tails[n.author.Session], order = t, append(order, t)
		}
		if n.next > t.Head.Next {
			t.Head = n.head()
		}
	}
	for _, t := range order {
		f := Finding{
			Kind: kind, Member: -1, Tail: t,
			What: fmt.Sprintf("session %x from statement %d to %d stands beside the chain and %s", t.Head.Session[:4], t.From, t.Head.Next-1, word),
		}
		if kind == Forked {
			f.Headers = [2][]byte{chosen.signed, from.signed}
		}
		h.found = append(h.found, f)
		if !listed[t.Head] {
			h.unlisted = append(h.unlisted, *t)
		}
	}
}

// newest keeps the newest note of each key. Those of sessions beside the chain give way to
// any of the chain's.
func (h *history) newest(all []note) map[string]note {
	rank := func(n note) int {
		if r, ok := h.rank[n.session]; ok {
			return r
		}
		return -1
	}
	out := map[string]note{}
	for _, n := range all {
		old, ok := out[n.key]
		ro, rn := rank(old), rank(n)
		newer := rn > ro || rn == ro && (n.serial > old.serial || n.serial == old.serial && bytes.Compare(n.value, old.value) > 0)
		if !ok || newer {
			out[n.key] = n
		}
	}
	return out
}
