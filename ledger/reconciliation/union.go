// Package reconciliation is the report over the union of all chains: the ledger's entries,
// what media bring in the evening, and what other bureaux' statements show of an author.
package reconciliation

import (
	"bytes"

	"pointage/ledger"
)

// Union is a set of batches. What it reports is a function of the set alone: nothing depends
// on the order in which it was given them, nor on how often. Where an author's chain forks, each
// batch is judged on the way that leads to it, and what either side handed over counts.
type Union struct {
	g     *ledger.Group
	nodes map[ledger.Hash]*node
	// shown are headers that were met with their signature, in an embedding, in evidence or in
	// gossip, by identity; sent those that a bureau had embedded: the author gave them away.
	shown map[ledger.Hash]ledger.SignedHeader
	sent  map[ledger.Hash]bool
	// accused are the pairs that evidence statements show.
	accused [][2]ledger.SignedHeader
	// entries says that the ledger's entries are a part of it: what is not among them is omitted.
	entries bool
}

// node is one batch.
type node struct {
	id     ledger.Hash
	signed ledger.SignedHeader
	// events are the statements that the report is made of.
	events []event
	// entry is where it stands in the ledger, verdicts what it got there; evidence says that
	// it stands there as such.
	placed, evidence bool
	entry            uint64
	verdicts         []ledger.Verdict

	// What Report finds out.
	parent *node
	// after are the batches that go on from this one, heirs the next incarnations' that take it over.
	after, heirs []*node
	// gap says that a batch before it is in no chain; orphan that it is of a listed tail.
	gap, orphan bool
	way         *way
}

type event struct {
	index int
	body  ledger.Body
}

// NewUnion is an empty one.
func NewUnion(g *ledger.Group) *Union {
	return &Union{g: g, nodes: map[ledger.Hash]*node{}, shown: map[ledger.Hash]ledger.SignedHeader{}, sent: map[ledger.Hash]bool{}}
}

// Add takes a batch whose signature holds (Batch.Verify), from a medium or from a peer.
func (u *Union) Add(b *ledger.Batch) { u.add(b) }

// Entry takes an entry of the ledger with its batch, nil for a genesis; ref is its Reference.
func (u *Union) Entry(ref uint64, e *ledger.Entry, b *ledger.Batch) {
	u.entries = true
	if b == nil {
		return
	}
	n := u.add(b)
	if n.placed && n.entry <= ref {
		return
	}
	n.placed, n.entry, n.verdicts, n.evidence = true, ref, e.Verdicts, e.Kind == ledger.EvidenceEntry
}

// Show takes a header that an author signed, as gossip brings it; one whose signature does not
// hold is nothing.
func (u *Union) Show(h *ledger.SignedHeader) {
	if h.Verify(u.g) == nil {
		u.show(*h)
	}
}

func (u *Union) show(h ledger.SignedHeader) {
	id := h.Header.Identity()
	// A header can be signed in several ways; the report names one.
	if old, ok := u.shown[id]; !ok || bytes.Compare(h.Signature[:], old.Signature[:]) < 0 {
		u.shown[id] = h
	}
}

func (u *Union) add(b *ledger.Batch) *node {
	id := b.Header.Identity()
	if n := u.nodes[id]; n != nil {
		if bytes.Compare(b.Signature[:], n.signed.Signature[:]) < 0 {
			n.signed = b.Signed()
		}
		return n
	}
	n := &node{id: id, signed: b.Signed()}
	u.nodes[id] = n
	for i, s := range b.Statements {
		switch body := s.Body.(type) {
		case *ledger.SessionOpened, *ledger.Orphan, *ledger.Settled, *ledger.Imported, *ledger.BureauClosed, *ledger.Equivocation, *ledger.Amendment:
			n.events = append(n.events, event{i, body})
		case *ledger.AttemptRefused:
			u.embedded(body.Denial)
		case *ledger.Evidence:
			u.accuse(body)
		default:
			if len(ledger.Touches(body)) > 0 {
				u.embedded(embedding(body))
				n.events = append(n.events, event{i, body})
			}
		}
	}
	return n
}

// embedding is the extract that a statement rests on, nil when it rests on none.
func embedding(body ledger.Body) []byte {
	switch b := body.(type) {
	case *ledger.Hold:
		return b.Release
	case *ledger.Return:
		return b.Release
	case *ledger.Restored:
		return b.Return
	}
	return nil
}

// embedded shows the headers of an extract and of what it embeds in turn.
func (u *Union) embedded(raw []byte) {
	for len(raw) > 0 {
		x, err := ledger.DecodeExtract(raw)
		if err != nil || x.Verify(u.g) != nil {
			return
		}
		h := ledger.SignedHeader{Header: x.Header, Signature: x.Signature}
		u.show(h)
		u.sent[h.Header.Identity()] = true
		raw = embedding(x.Statement.Body)
	}
}

func (u *Union) accuse(e *ledger.Evidence) {
	a, err := ledger.DecodeSignedHeader(e.First)
	if err != nil {
		return
	}
	b, err := ledger.DecodeSignedHeader(e.Second)
	if err != nil {
		return
	}
	if _, ok := u.g.Fork(a, b); ok {
		u.show(*a)
		u.show(*b)
		u.accused = append(u.accused, [2]ledger.SignedHeader{*a, *b})
	}
}

func (n *node) header() *ledger.Header { return &n.signed.Header }

func (n *node) opening() *ledger.SessionOpened {
	if n.header().First == 0 {
		return n.events[0].body.(*ledger.SessionOpened)
	}
	return nil
}

// record names a statement of the batch.
func (n *node) record(index int, kind ledger.Kind) Record {
	h := n.header()
	return Record{
		Author: h.Author, Sequence: h.First + uint64(index), Kind: kind, Batch: n.id, InLedger: n.placed, Entry: n.entry,
	}
}
