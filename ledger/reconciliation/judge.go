package reconciliation

import "pointage/ledger"

// way is what leads to a batch: where its author's rights stand, seen from there.
type way struct {
	// rights are what changed since from; a batch that alone goes on shares its parent's.
	rights map[ledger.Right]stand
	from   *way
	// depth counts the ways behind.
	depth int
	// taken has a bit for each incarnation before that has been taken over, by this
	// session or one that it goes on from; unfenced is what the session's opening says.
	taken    uint8
	unfenced bool
	// gap says that a batch on the way is in no chain: where a right stands is then unsure.
	gap bool
}

// stand is a right's record and the admission that made it.
type stand struct {
	record    ledger.Record
	admission *admission
}

// admission is one that counts unless it was taken back.
type admission struct {
	node  *node
	index int
	body  ledger.Body
	back  bool
}

// maxDepth bounds what a look-up costs where an author's chain forks time and again.
const maxDepth = 64

// part makes the way one that others leave alone: what changes on it, changes for it only.
func (w *way) part(from *way) {
	w.rights = map[ledger.Right]stand{}
	if from.depth+1 < maxDepth {
		w.from, w.depth = from, from.depth+1
		return
	}
	w.from, w.depth = nil, 0
	from.each(func(x ledger.Right, s stand) { w.rights[x] = s })
}

func (w *way) get(x ledger.Right, atHome bool) stand {
	for ; w != nil; w = w.from {
		if s, ok := w.rights[x]; ok {
			return s
		}
	}
	return stand{record: ledger.InitialRecord(atHome)}
}

// each calls f once for each right that has moved on the way.
func (w *way) each(f func(ledger.Right, stand)) {
	seen := map[ledger.Right]bool{}
	for ; w != nil; w = w.from {
		for x, s := range w.rights {
			if !seen[x] {
				seen[x] = true
				f(x, s)
			}
		}
	}
}

// judge walks every way from its beginning, each batch after what it goes on from.
func (x *graph) judge() {
	waits := map[*node]int{}
	var ready []*node
	for _, n := range x.order {
		if n.parent != nil {
			waits[n]++
		}
		waits[n] += n.inherits(x)
		if waits[n] == 0 {
			ready = append(ready, n)
		}
	}
	for len(ready) > 0 {
		n := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		x.walk(n)
		for _, all := range [][]*node{n.after, n.heirs} {
			for _, next := range all {
				if waits[next]--; waits[next] == 0 {
					ready = append(ready, next)
				}
			}
		}
	}
}

// inherits counts the ends of the incarnations that the batch takes over, as far as they are there.
func (n *node) inherits(x *graph) (count int) {
	for _, s := range n.settles() {
		old := n.header().Author
		old.Incarnation = s.Incarnation
		if _, gap := x.end(old, *s.Head); !gap {
			count++
		}
	}
	return count
}

// walk judges one batch.
func (x *graph) walk(n *node) {
	w := &way{rights: map[ledger.Right]stand{}}
	if p := n.parent; p != nil {
		*w = *p.way
		if len(p.after)+len(p.heirs) > 1 {
			w.part(p.way)
		}
	}
	n.way, w.gap = w, w.gap || n.gap
	if open := n.opening(); open != nil {
		w.unfenced = open.Unfenced
	}
	if n.orphan {
		return
	}
	for _, e := range n.events {
		if s, ok := e.body.(*ledger.Settled); ok {
			x.settle(n, s)
		} else if rights := ledger.Touches(e.body); len(rights) > 0 {
			x.move(n, e, rights)
		}
	}
}

// settle takes an incarnation's way over. What both have of a right is decided by who did more.
func (x *graph) settle(n *node, s *ledger.Settled) {
	a, w := n.header().Author, n.way
	if s.Incarnation >= a.Incarnation {
		return
	}
	if s.Head == nil {
		w.taken |= 1 << s.Incarnation
		return
	}
	old := a
	old.Incarnation = s.Incarnation
	end, gap := x.end(old, *s.Head)
	if gap {
		return
	}
	w.taken |= 1<<s.Incarnation | end.way.taken
	end.way.each(func(r ledger.Right, theirs stand) {
		home, ok := x.g.Home(r.Elector)
		if ours := w.get(r, ok && home == a.Bureau); weight(theirs.record) >= weight(ours.record) {
			w.rights[r] = theirs
		}
	})
}

// weight orders records by how little can be taken back.
func weight(r ledger.Record) int {
	switch r.State {
	case ledger.Admitted:
		return 3
	case ledger.Released:
		return 2
	case ledger.Provisioned:
		return 1
	}
	return 0
}

// move judges a statement on its way and carries its effect on.
func (x *graph) move(n *node, e event, rights []ledger.Right) {
	a, w := n.header().Author, n.way
	id := ledger.StatementID{Session: a.Session, Sequence: n.header().First + uint64(e.index)}
	st := ledger.Standing{Author: a, Unfenced: w.unfenced || w.taken != 1<<a.Incarnation-1}
	var made *admission
	switch e.body.(type) {
	case *ledger.Admission, *ledger.ProxyAdmission, *ledger.Provisional:
		made = &admission{node: n, index: e.index, body: e.body}
		for _, r := range rights {
			x.admissions[r] = append(x.admissions[r], made)
		}
	}
	var now, before []stand
	for _, r := range rights {
		home, ok := x.g.Home(r.Elector)
		was := w.get(r, ok && home == a.Bureau)
		rec, why := x.g.After(st, r, was.record, id, e.body)
		if why != ledger.Valid {
			x.misconduct(n, e, why, was.record.State)
			return
		}
		before, now = append(before, was), append(now, stand{record: rec, admission: made})
	}
	for i, r := range rights {
		w.rights[r] = now[i]
		switch e.body.(type) {
		case *ledger.Void, *ledger.Annulment:
			before[i].admission.back = true
		}
	}
}

// misconduct is said of whoever's chain is whole up to there: behind a gap the lacking batch may
// have moved the right.
func (x *graph) misconduct(n *node, e event, why ledger.Validity, state ledger.State) {
	if n.way.gap && why != ledger.BadEmbedding && why != ledger.NotOnRoll {
		return
	}
	x.report.Misconduct = append(x.report.Misconduct, Misconduct{n.record(e.index, e.body.Kind()), why, state})
}
