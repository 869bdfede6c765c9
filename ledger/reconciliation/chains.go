package reconciliation

import (
	"bytes"
	"cmp"
	"slices"

	"pointage/ledger"
)

// graph is the union's batches joined to what they go on from.
type graph struct {
	*Union
	// order is by author, first sequence number and identity; byAuthor the same, apart.
	order    []*node
	byAuthor map[ledger.Author][]*node
	report   *Report
	// missing are the stretches found so far.
	missing map[Missing]bool
	forks   map[[2]ledger.Hash]bool
	// admissions are all of the nodes that count, by right.
	admissions map[ledger.Right][]*admission
}

func compareAuthors(a, b ledger.Author) int {
	return cmp.Or(cmp.Compare(a.Bureau, b.Bureau), cmp.Compare(a.Incarnation, b.Incarnation), bytes.Compare(a.Session[:], b.Session[:]))
}

func compareNodes(a, b *node) int {
	return cmp.Or(compareAuthors(a.header().Author, b.header().Author), cmp.Compare(a.header().First, b.header().First), bytes.Compare(a.id[:], b.id[:]))
}

// newGraph sorts the nodes and forgets what an earlier report found out.
func (u *Union) newGraph() *graph {
	x := &graph{
		Union: u, byAuthor: map[ledger.Author][]*node{}, report: &Report{}, missing: map[Missing]bool{},
		forks: map[[2]ledger.Hash]bool{}, admissions: map[ledger.Right][]*admission{},
	}
	for _, n := range u.nodes {
		n.parent, n.after, n.heirs, n.gap, n.orphan, n.way = nil, nil, nil, false, false, nil
		x.order = append(x.order, n)
	}
	slices.SortFunc(x.order, compareNodes)
	for _, n := range x.order {
		a := n.header().Author
		x.byAuthor[a] = append(x.byAuthor[a], n)
	}
	return x
}

// link joins each batch to the one that it goes on from; where that is in no chain, to the last
// one before it, across a gap.
func (x *graph) link() {
	for _, n := range x.order {
		h := n.header()
		before, ok := ledger.Head{Session: h.Author.Session, Next: h.First, Hash: h.Previous}, true
		if open := n.opening(); open != nil {
			if before, ok = (ledger.Head{}), open.Continues != nil; ok {
				before = *open.Continues
			}
		}
		if !ok {
			continue
		}
		n.parent, n.gap = x.end(h.Author, before)
		if n.gap && n.opening() != nil {
			n.parent = nil // nothing tells which of the session's batches came before
		}
		if n.parent != nil {
			n.parent.after = append(n.parent.after, n)
		}
	}
	for _, n := range x.order {
		for _, s := range n.settles() {
			old := n.header().Author
			old.Incarnation, old.Session = s.Incarnation, s.Head.Session
			if end, gap := x.end(old, *s.Head); gap {
				n.gap = true
			} else {
				end.heirs = append(end.heirs, n)
			}
		}
	}
}

// settles are the batch's statements that take another incarnation over.
func (n *node) settles() (out []*ledger.Settled) {
	for _, e := range n.events {
		if s, ok := e.body.(*ledger.Settled); ok && s.Head != nil && s.Incarnation < n.header().Author.Incarnation {
			out = append(out, s)
		}
	}
	return out
}

// end is the batch that a head names, or, with a gap, the last one before it.
func (x *graph) end(a ledger.Author, h ledger.Head) (n *node, gap bool) {
	a.Session = h.Session
	if n := x.nodes[h.Hash]; n != nil && n.header().Author == a && n.header().Next() == h.Next {
		return n, false
	}
	from := uint64(0)
	for _, c := range x.byAuthor[a] {
		if next := c.header().Next(); next <= h.Next && next >= from {
			// Of two that end there, on two sides of a fork, none is surely the one before.
			if n = c; next == from {
				n = nil
			}
			from = next
		}
	}
	if from < h.Next {
		x.missing[Missing{Span: Span{a, from, h.Next}}] = true
	}
	return n, true
}

// orphans marks the tails that a later session of the machine has listed. A tail that its author
// gave away, or that the ledger had before it was listed, is none: that is a fork.
func (x *graph) orphans() {
	for _, n := range x.order {
		for _, e := range n.events {
			o, ok := e.body.(*ledger.Orphan)
			if !ok {
				continue
			}
			a := n.header().Author
			a.Session = o.Head.Session
			if tail := x.tail(a, o); tail != nil && !n.descends(tail[len(tail)-1]) {
				for _, t := range tail {
					t.orphan = true
				}
			}
		}
	}
}

// tail is a listed tail's batches, the last first, as far as they are there; nil when it is none.
func (x *graph) tail(a ledger.Author, o *ledger.Orphan) (out []*node) {
	n := x.nodes[o.Head.Hash]
	if n == nil || n.header().Author != a || n.header().Next() != o.Head.Next {
		return nil
	}
	for ; n != nil && n.header().Author == a && n.header().First >= o.From; n = n.parent {
		if x.sent[n.id] || n.placed && !n.orphanedThere() {
			return nil
		}
		out = append(out, n)
	}
	return out
}

func (n *node) orphanedThere() bool {
	return len(n.verdicts) > 0 && n.verdicts[0].Class == ledger.Orphaned
}

// descends says whether the batch goes on from another, or is it.
func (n *node) descends(from *node) bool {
	for ; n != nil; n = n.parent {
		if n == from {
			return true
		}
	}
	return false
}

// split finds the forks.
func (x *graph) split() {
	for _, n := range x.order {
		x.apart(n.after)
		for _, h := range n.heirs {
			for _, m := range n.after {
				if !m.orphan && !m.gap {
					x.fork(h.signed, m.signed)
				}
			}
		}
	}
	roots := map[ledger.Member][]*node{}
	for _, n := range x.order {
		if open := n.opening(); open != nil && open.Continues == nil {
			m := ledger.Member{Bureau: n.header().Author.Bureau, Incarnation: n.header().Author.Incarnation}
			roots[m] = append(roots[m], n)
		}
	}
	for _, n := range x.order {
		m := ledger.Member{Bureau: n.header().Author.Bureau, Incarnation: n.header().Author.Incarnation}
		x.apart(roots[m])
		delete(roots, m)
	}
	for _, of := range x.byAuthor {
		for i, n := range of {
			for _, m := range of[i+1:] {
				if m.header().First > n.header().Next() {
					break
				}
				// Of two whose way is whole the tree shows where they part.
				if n.gap || m.gap {
					x.contradict(n.signed, m.signed)
				}
			}
		}
	}
	for id, h := range x.shown {
		if x.nodes[id] != nil {
			continue
		}
		x.missing[Missing{Span{h.Header.Author, h.Header.First, h.Header.Next()}, true}] = true
		for _, n := range x.byAuthor[h.Header.Author] {
			x.contradict(h, n.signed)
		}
	}
	for _, p := range x.accused {
		x.fork(p[0], p[1])
	}
}

// apart notes that batches which are no orphans, and not across a gap, part here.
func (x *graph) apart(all []*node) {
	var first *node
	for _, n := range all {
		switch {
		case n.orphan || n.gap:
		case first == nil:
			first = n
		default:
			x.fork(first.signed, n.signed)
		}
	}
}

// contradict notes two headers that alone prove a fork.
func (x *graph) contradict(a, b ledger.SignedHeader) {
	if ledger.Contradict(&a.Header, &b.Header) {
		x.fork(a, b)
	}
}

func (x *graph) fork(a, b ledger.SignedHeader) {
	idA, idB := a.Header.Identity(), b.Header.Identity()
	if c := cmp.Or(compareAuthors(a.Header.Author, b.Header.Author), cmp.Compare(a.Header.First, b.Header.First), bytes.Compare(idA[:], idB[:])); c > 0 {
		a, b, idA, idB = b, a, idB, idA
	}
	pair := [2]ledger.Hash{idA, idB}
	if x.forks[pair] || idA == idB {
		return
	}
	x.forks[pair] = true
	x.report.Forks = append(x.report.Forks, Fork{a, b, ledger.Contradict(&a.Header, &b.Header)})
}
