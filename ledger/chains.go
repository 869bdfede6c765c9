package ledger

import "encoding/binary"

// RangeSessions calls f for every author of whom batches are placed, by bureau and
// incarnation: the end of his chain, and the entry that holds it.
func RangeSessions(v View, f func(a Author, end Head, position uint64) bool) {
	v.Range([]byte{keySession}, func(k, _ []byte) bool {
		a := readAuthorKey(k[1:])
		s, known := readSession(v, a)
		return !known || f(a, Head{Session: a.Session, Next: s.Next, Hash: s.Previous}, s.at)
	})
}

// RangeChain calls f for the entry of each placed batch of the author, in the chain's order,
// beginning with the one that has the sequence number from.
func RangeChain(v View, a Author, from uint64, f func(position uint64) bool) {
	visit := func(first uint64) (more bool) {
		b, ok := readBatch(v, a, first)
		return !ok || first+uint64(len(b.verdicts)) <= from || f(b.position)
	}
	// Of the batches that begin at from or before, only the last can reach it: the others are not read.
	begins, some, more := uint64(0), false, true
	v.Range(viewKey(keyBatch, authorKey(a)), func(k, _ []byte) bool {
		first := binary.BigEndian.Uint64(k[len(k)-8:])
		if some && first > from {
			more = visit(begins)
		}
		if !more {
			return false
		}
		begins, some = first, true
		return true
	})
	if more && some {
		visit(begins)
	}
}

func readAuthorKey(k []byte) (a Author) {
	a.Bureau, a.Incarnation = BureauNumber(binary.BigEndian.Uint16(k)), Incarnation(k[2])
	copy(a.Session[:], k[3:])
	return a
}
