package minutes

import (
	"bytes"
	"cmp"
	"slices"

	"pointage/ledger"
)

// record is a check-in that stands, as the lists of SPEC 6.2 have it.
type record struct {
	bureau ledger.BureauNumber
	id     ledger.StatementID
	// at is the entry's reference, 0 for a statement that has no place yet.
	at   uint64
	time ledger.Instant
	kind ledger.Kind
	// means and reason are the statement's; reason is a proxy's.
	means  ledger.Means
	reason uint8
	// evidence says that its entry is evidence rather than its author's chain.
	evidence bool
	// unproven: a later statement says that the chip of the card proved nothing.
	unproven bool
}

// same says that two are one check-in, whatever was said of it since.
func (r record) same(o record) bool { r.unproven, o.unproven = false, false; return r == o }

// standing is the check-ins that stand, by right. It grows with the electors who came, about 150 bytes for
// each, and not with the entries. A fork of it leaves what it was made from as it is.
type standing struct {
	one map[ledger.Right]record
	// more are the second and further records of the few rights that have them.
	more map[ledger.Right][]record
	// under is what a fork looks through to; over says which rights it has of its own.
	under *standing
	over  map[ledger.Right]bool
}

func newStanding() *standing {
	return &standing{one: map[ledger.Right]record{}, more: map[ledger.Right][]record{}}
}

func (s *standing) fork() *standing {
	n := newStanding()
	n.under, n.over = s, map[ledger.Right]bool{}
	return n
}

// of are the records of a right, the oldest first.
func (s *standing) of(x ledger.Right) []record {
	if s.under != nil && !s.over[x] {
		return s.under.of(x)
	}
	r, ok := s.one[x]
	if !ok {
		return nil
	}
	return append([]record{r}, s.more[x]...)
}

func (s *standing) set(x ledger.Right, rs []record) {
	if s.under != nil {
		s.over[x] = true
	}
	delete(s.one, x)
	delete(s.more, x)
	if len(rs) > 0 {
		s.one[x] = rs[0]
	}
	if len(rs) > 1 {
		s.more[x] = rs[1:]
	}
}

// doubles are the rights with more than one record, in the order of their second ones.
func (s *standing) doubles() (out []ledger.Right) {
	for x := range s.more {
		out = append(out, x)
	}
	if s.under != nil {
		for _, x := range s.under.doubles() {
			if !s.over[x] {
				out = append(out, x)
			}
		}
	}
	slices.SortFunc(out, func(a, b ledger.Right) int {
		return cmp.Or(cmp.Compare(order(s.of(a)[1].at), order(s.of(b)[1].at)), bytes.Compare(a.Elector[:], b.Elector[:]), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// order puts what has no place yet behind all entries.
func order(at uint64) uint64 { return at - 1 }
