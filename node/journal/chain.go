package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

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

	parent   *node
	children []*node
	// round is the session's, and not below the parent's; height counts the batches before.
	round  uint64
	height int
	// chosen says that it is in the chain.
	chosen bool
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

// compare orders batches by how far a history has come that ends with them.
func (n *node) compare(o *node) int {
	return cmp.Or(cmp.Compare(n.round, o.round), cmp.Compare(n.height, o.height), bytes.Compare(n.id[:], o.id[:]))
}

// history is the bureau's chain as opening decides on it.
type history struct {
	// chain are its batches in order, off those beside it, none before its parent.
	chain, off []*node
	found      []Finding
	// unlisted are the tails that no orphan statement of the chain lists yet.
	unlisted []ledger.Orphan
}

// ErrGap says that batches of the bureau's own chain are on none of the media that are
// attached, although later ones are.
var ErrGap = errors.New("records of this bureau are missing on all media that are attached: attach the third medium; without it, tell the principal bureau")

// ForkError says that the media hold two histories that were both written whole: one medium is
// a clone, or was put back to an earlier state. Opening would take back what one of
// them handed over, so nothing is opened and nothing is written.
type ForkError struct {
	// Forks are Findings of kind Forked, one for each tail beside the chain.
	Forks []Finding
}

// Error names the tails and their media, in one line.
func (e *ForkError) Error() string {
	words := make([]string, len(e.Forks))
	for i := range e.Forks {
		words[i] = e.Forks[i].What
	}
	return fmt.Sprintf("the media hold two histories of this bureau, one of them from a cloned medium or one that was put back to an earlier state: keep all three as they are and tell the principal bureau (%s)", strings.Join(words, "; "))
}

// history puts the union's batches in order: the chain is the way to the last batch of the
// newest round.
//
// Each opening is one round. It reads at least two of the three media, makes its number, one
// above all that it reads, durable on two, writes what it goes on from on two, and only then
// writes batches. So let a batch have been durable in its own round. The next opening reads one of
// the two media that had it, and the newest round that it reads is this one, or one that went on
// from the batch without becoming durable: it goes on from the batch. So does, for the same
// reason, each opening after it. The batch therefore is on the way to the last batch of the newest
// round, whatever pairs of media were attached and wherever openings were cut; no count of copies
// or batches would tell (an opening copies also what was never durable, and
// may itself get no further than one medium).
//
// What is beside the chain was then either never durable, an orphan, or there was a clone. It
// is surely a clone's where one session has two batches after the point of parting or two on one
// batch: a session signs a batch when the one before is durable.
func (u *union) history() (*history, error) {
	order, err := u.link()
	if err != nil || len(order) == 0 {
		return &history{}, err
	}
	h := new(history)
	listed := map[ledger.Head]bool{}
	for n := slices.MaxFunc(order, (*node).compare); n != nil; n = n.parent {
		h.chain, n.chosen = append(h.chain, n), true
		for _, o := range n.orphans {
			listed[o.Head] = true
		}
	}
	slices.Reverse(h.chain)
	for _, n := range order {
		if !n.chosen {
			h.off = append(h.off, n)
		}
	}
	var forks []Finding
	for _, t := range h.tails() {
		f := h.finding(t)
		if f.Kind == Forked {
			forks = append(forks, f)
		}
		h.found = append(h.found, f)
		if !listed[f.Tail.Head] {
			h.unlisted = append(h.unlisted, *f.Tail)
		}
	}
	if forks != nil {
		return nil, &ForkError{forks}
	}
	return h, nil
}

// link joins each batch to the one that it goes on from. order has every batch behind it.
func (u *union) link() (order []*node, err error) {
	for _, h := range u.order {
		n := h.node
		if n == nil || n.held != h {
			continue
		}
		if n.opens() && n.continues == nil && n.previous == (ledger.Hash{}) {
			order = append(order, n)
			continue
		}
		p := u.nodes[n.previous]
		if p == nil {
			return nil, fmt.Errorf("%w (before statement %d of %v)", ErrGap, n.first, n.author)
		}
		follows := !n.opens() && p.author == n.author && p.next == n.first
		continues := n.opens() && n.continues != nil && *n.continues == p.head()
		if !follows && !continues {
			return nil, fmt.Errorf("statement %d of %v does not go on from the batch that it names: no program of this project signs that; tell the principal bureau", n.first, n.author)
		}
		n.parent = p
		p.children = append(p.children, n)
	}
	for i := 0; i < len(order); i++ {
		n := order[i]
		n.round = u.rounds[n.author.Session]
		if n.parent != nil {
			n.round, n.height = max(n.round, n.parent.round), n.parent.height+1
		}
		order = append(order, n.children...)
	}
	return order, nil
}

// tails groups the batches beside the chain by session.
func (h *history) tails() (tails [][]*node) {
	place := map[ledger.SessionID]int{}
	for _, n := range h.off {
		i, ok := place[n.author.Session]
		if !ok {
			i = len(tails)
			place[n.author.Session], tails = i, append(tails, nil)
		}
		tails[i] = append(tails[i], n)
	}
	return tails
}

// finding says what a session's batches beside the chain are.
func (h *history) finding(tail []*node) Finding {
	from, last := tail[0], tail[0]
	for _, n := range tail {
		if n.next > last.next {
			last = n
		}
	}
	root := from
	for root.parent != nil && !root.parent.chosen {
		root = root.parent
	}
	chosen := h.chain[root.height] // there is one: a chain that ended before would go on with root
	f := Finding{Kind: Orphaned, Member: -1, Tail: &ledger.Orphan{Head: last.head(), From: from.first}}
	where := fmt.Sprintf("session %x from statement %d to %d on media %s", last.author.Session[:4], from.first, last.next-1, last.held.at)
	f.What = where + " stands beside the chain, without effect"
	if len(tail) > 1 || !from.opens() && chosen.author == from.author {
		f.Kind, f.Headers = Forked, [2][]byte{chosen.signed, root.signed}
		end := h.chain[len(h.chain)-1]
		f.What = fmt.Sprintf("%s, beside session %x to statement %d on media %s", where, end.author.Session[:4], end.next-1, end.held.at)
	}
	return f
}
