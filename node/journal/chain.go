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
// batch: a session signs a batch when the one before is durable. So it is where its round is not
// below that of the chain's end.
func (u *union) history() (*history, error) {
	order, lost, err := u.link()
	if err == nil {
		err = gap(lost)
	}
	if err != nil || len(order) == 0 {
		return &history{}, err
	}
	h := past(order, slices.MaxFunc(order, (*node).compare))
	return h, h.fork()
}

// historyOf is the history that a session at work goes on from, to its batch with this identity.
// Whatever else the union holds is beside it.
func (u *union) historyOf(id ledger.Hash) (*history, error) {
	order, lost, err := u.link()
	if err == nil {
		err = gap(lost)
	}
	if err != nil {
		return nil, err
	}
	end := u.nodes[id]
	if end == nil {
		return nil, fmt.Errorf("%w (the newest of them)", ErrGap)
	}
	h := past(order, end)
	return h, h.fork()
}

// past is the history that ends with a batch.
func past(order []*node, end *node) *history {
	h := new(history)
	listed := map[ledger.Head]bool{}
	for n := end; n != nil; n = n.parent {
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
	for _, t := range h.tails() {
		f := h.finding(t)
		h.found = append(h.found, f)
		if !listed[f.Tail.Head] {
			h.unlisted = append(h.unlisted, *f.Tail)
		}
	}
	return h
}

// fork is a *ForkError when a tail can only be a clone's doing.
func (h *history) fork() error {
	var forks []Finding
	for _, f := range h.found {
		if f.Kind == Forked {
			forks = append(forks, f)
		}
	}
	if forks == nil {
		return nil
	}
	return &ForkError{forks}
}

// gap is ErrGap when there are batches whose parent is on no medium.
func gap(lost []*node) error {
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("%w (before statement %d of %v)", ErrGap, lost[0].first, lost[0].author)
}

// link joins each batch to the one that it goes on from. order has every batch behind it; lost
// are those whose parent is on no medium, and what goes on from them is in neither.
func (u *union) link() (order, lost []*node, err error) {
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
			lost = append(lost, n)
			continue
		}
		follows := !n.opens() && p.author == n.author && p.next == n.first
		continues := n.opens() && n.continues != nil && *n.continues == p.head()
		if !follows && !continues {
			return nil, nil, fmt.Errorf("statement %d of %v does not go on from the batch that it names: no program of this project signs that; tell the principal bureau", n.first, n.author)
		}
		n.parent = p
		p.children = append(p.children, n)
	}
	return u.below(order), lost, nil
}

// below adds to batches those that go on from them, each behind its parent.
func (u *union) below(order []*node) []*node {
	for i := 0; i < len(order); i++ {
		n := order[i]
		n.round = u.rounds[n.author.Session]
		if n.parent != nil {
			n.round, n.height = max(n.round, n.parent.round), n.parent.height+1
		}
		order = append(order, n.children...)
	}
	return order
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
	end := h.chain[len(h.chain)-1]
	f := Finding{Kind: Orphaned, Member: -1, Tail: &ledger.Orphan{Head: last.head(), From: from.first}}
	where := fmt.Sprintf("session %x from statement %d to %d on media %s", last.author.Session[:4], from.first, last.next-1, last.held.at)
	f.What = where + " stands beside the chain, without effect"
	// The batch of the chain beside root; there is none where root goes on from the end itself.
	var chosen *node
	if root.height < len(h.chain) {
		chosen = h.chain[root.height]
	}
	if len(tail) > 1 || !from.opens() && (chosen == nil || chosen.author == from.author) || from.round >= end.round {
		f.Kind = Forked
		if chosen != nil {
			f.Headers = [2][]byte{chosen.signed, root.signed}
		}
		f.What = fmt.Sprintf("%s, beside session %x to statement %d on media %s", where, end.author.Session[:4], end.next-1, end.held.at)
	}
	return f
}
