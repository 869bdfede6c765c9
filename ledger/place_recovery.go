package ledger

import "bytes"

// judgeImported notes that a machine's media have been read: none of its batches waits from
// here on.
func judgeImported(g *Group, v View, author Author, b *Imported, pos uint64) Verdict {
	if author.Bureau != g.Principal && author.Bureau != g.Deputy || g.Key(b.Bureau, b.Incarnation) == nil {
		return Verdict{Validity: Unauthorised}
	}
	once(v, viewKey(keyImported, machineKey(b.Bureau, b.Incarnation)), pos)
	return Verdict{}
}

// imported says that nothing of the author's machine waits any more.
func imported(v View, a Author) bool {
	_, ok := readPosition(v, viewKey(keyImported, machineKey(a.Bureau, a.Incarnation)))
	return ok
}

// judgeSettled notes which incarnation before the author has taken over, with those that
// this one had itself.
func judgeSettled(v View, author Author, b *Settled, pos uint64) Verdict {
	if b.Incarnation >= author.Incarnation {
		return Verdict{Validity: PolicyForbids}
	}
	taken := uint8(1) << b.Incarnation
	if b.Head != nil {
		old := Author{author.Bureau, b.Incarnation, b.Head.Session}
		if reach(v, old, *b.Head) != there {
			return Verdict{Validity: BadEmbedding}
		}
		taken |= readSettled(v, old)
	}
	putSettled(v, author, readSettled(v, author)|taken)
	return goOn(v, author.Bureau, b.Incarnation, b.Head, pos)
}

// settled says whether all incarnations before the author's have been taken over.
func settled(v View, a Author) bool {
	return a.Incarnation == 0 || readSettled(v, a) == 1<<a.Incarnation-1
}

// readSettled has a bit for each incarnation before that the session, or one that it goes on
// from, has taken over.
func readSettled(v View, a Author) uint8 {
	if b := v.Get(viewKey(keySettled, authorKey(a))); len(b) == 1 {
		return b[0]
	}
	return 0
}

func putSettled(v View, a Author, mask uint8) {
	if mask != 0 {
		v.Set(viewKey(keySettled, authorKey(a)), []byte{mask})
	}
}

// listOrphan notes a tail that is to have no effect, unless one is listed from there.
func listOrphan(v View, author Author, b *Orphan, pos uint64) {
	k := viewKey(keyOrphan, authorKey(Author{author.Bureau, author.Incarnation, b.Head.Session}), beU64(b.From))
	if v.Get(k) == nil {
		v.Set(k, append(beU64(b.Head.Next), beU64(pos)...))
	}
}

// orphaned is the entry that listed the batch as part of a tail, once another session has gone on
// from before it.
func orphaned(v View, s session, h *Header) (at uint64, ok bool) {
	if !s.continued {
		return 0, false
	}
	prefix := viewKey(keyOrphan, authorKey(h.Author))
	v.Range(prefix, func(k, value []byte) bool {
		var from, next, pos uint64
		mustRead(k, k[len(prefix):], func(r *reader) { from = r.u64() })
		mustRead(k, value, func(r *reader) { next, pos = r.u64(), r.u64() })
		if from <= h.First && h.Next() <= next {
			at, ok = pos, true
		}
		return !ok && from <= h.First
	})
	return at, ok
}

func evidenceKey(a Author, next uint64, id Hash) []byte {
	return viewKey(keyEvidence, authorKey(a), beU64(next), id[:])
}

// readEvidence is the evidence entry of a batch, by where it ends.
func readEvidence(v View, a Author, next uint64, id Hash) (at uint64, ok bool) {
	return readPosition(v, evidenceKey(a, next, id))
}

func putEvidence(v View, h *Header, at uint64) {
	v.Set(evidenceKey(h.Author, h.Next(), h.Identity()), beU64(at))
}

// fromEvidence is the evidence entry of the batch that this one goes on from.
func fromEvidence(v View, b *Batch) (at uint64, ok bool) {
	a := b.Header.Author
	if b.Header.First > 0 {
		return readEvidence(v, a, b.Header.First, b.Header.Previous)
	}
	h := b.Statements[0].Body.(*SessionOpened).Continues
	if h == nil || h.Hash != b.Header.Previous {
		return 0, false
	}
	return readEvidence(v, Author{a.Bureau, a.Incarnation, h.Session}, h.Next, h.Hash)
}

func parkedKey(h *Header) []byte { return viewKey(keyParked, authorKey(h.Author), beU64(h.First)) }

// park keeps a batch until what it goes on from has come.
func park(v View, b *Batch) Answer {
	a, k := b.Header.Author, parkedKey(&b.Header)
	if v.Get(k) != nil {
		return Answer{Status: Parked}
	}
	byAuthor, byBureau, prefix := 0, 0, viewKey(keyParked, authorKey(a))
	v.Range(viewKey(keyParked, beU16(uint16(a.Bureau))), func(k, _ []byte) bool {
		byBureau++
		if bytes.HasPrefix(k, prefix) {
			byAuthor++
		}
		return true
	})
	if byAuthor >= MaxParkedBatches || byBureau >= MaxParkedBureau {
		return Answer{Status: Rejected, Reason: ParkingFull}
	}
	v.Set(k, b.Encode())
	return Answer{Status: Parked}
}

// nextParked is a waiting batch of the bureau that Place would not park again: first one that
// lacks nothing, else, of a machine that is imported, one that lacks nothing that waits too.
func nextParked(v View, n BureauNumber) (found *Batch) {
	var across *Batch
	v.Range(viewKey(keyParked, beU16(uint16(n))), func(k, value []byte) bool {
		a, first := readParkedKey(k)
		s, _ := readSession(v, a)
		over := across == nil && imported(v, a)
		// Only those whose turn it may be are decoded: a bureau can't make every batch cost
		// all that wait.
		if first > s.Next && !over && !endsEvidence(v, a, first) {
			return true
		}
		b, err := DecodeBatch(value)
		if err != nil {
			panic("parked batch: " + err.Error())
		}
		_, evident := fromEvidence(v, b)
		if waiting, _ := waits(v, s, b); !waiting || evident || first < s.Next {
			found = b
			return false
		}
		if over && !beforeWaits(v, b) {
			across = b
		}
		return true
	})
	if found == nil {
		found = across
	}
	return found
}

func readParkedKey(k []byte) (a Author, first uint64) {
	mustRead(k, k[1:], func(r *reader) {
		a.Bureau, a.Incarnation = r.bureau(), Incarnation(r.u8())
		r.copy(a.Session[:])
		first = r.u64()
	})
	return a, first
}

// endsEvidence says whether a batch that stands as evidence ends at the sequence number.
func endsEvidence(v View, a Author, next uint64) (yes bool) {
	v.Range(viewKey(keyEvidence, authorKey(a), beU64(next)), func(_, _ []byte) bool { yes = true; return false })
	return yes
}

// beforeWaits says whether a batch of its session before this one waits, or, for an opening, one
// of the session that it names.
func beforeWaits(v View, b *Batch) (yes bool) {
	a := b.Header.Author
	if open, ok := b.Statements[0].Body.(*SessionOpened); ok {
		if open.Continues == nil {
			return false
		}
		a.Session = open.Continues.Session
	}
	v.Range(viewKey(keyParked, authorKey(a)), func(k, _ []byte) bool {
		_, first := readParkedKey(k)
		yes = a.Session != b.Header.Author.Session || first < b.Header.First
		return false
	})
	return yes
}
