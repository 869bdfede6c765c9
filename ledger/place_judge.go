package ledger

import (
	"bytes"
	"crypto/ed25519"
)

// judge gives one statement its verdict and carries its effect into the view.
func judge(g *Group, v View, st Standing, id StatementID, body Body, pos uint64) Verdict {
	switch b := body.(type) {
	case *Amendment:
		return judgeAmendment(g, v, b, pos)
	case *Anchored:
		if st.Author.Bureau != g.Principal && st.Author.Bureau != g.Deputy {
			return Verdict{Validity: Unauthorised}
		}
	case *AttemptRefused:
		if !g.denies(b) {
			return Verdict{Validity: BadEmbedding}
		}
	case *Evidence:
		if !g.contradictory(b) {
			return Verdict{Validity: BadEmbedding}
		}
	}
	rights := Touches(body)
	if len(rights) == 0 {
		return Verdict{}
	}
	verdict := Verdict{Validity: follow(g, v, st, id, body, rights)}
	switch b := body.(type) {
	case *Admission, *ProxyAdmission, *Provisional:
		verdict.Class, verdict.Against = admit(v, rights, LiveAdmission{pos, st.Author.Bureau, id})
	case *Void:
		if verdict.Validity == Valid {
			unadmit(v, rights, st.Author.Bureau, StatementID{id.Session, b.Sequence})
		}
	case *Annulment:
		if verdict.Validity == Valid {
			unadmit(v, rights, st.Author.Bureau, b.Record)
		}
	}
	return verdict
}

// follow moves the author's records, all those that the statement touches or none.
func follow(g *Group, v View, st Standing, id StatementID, body Body, rights []Right) Validity {
	changes := make([]change, 0, 2)
	for _, x := range rights {
		rec, why := g.After(st, x, g.ReadRecord(v, st.Author.Bureau, x), id, body)
		if why != Valid {
			return why
		}
		changes = append(changes, change{x, rec})
	}
	for _, c := range changes {
		putRecord(v, st.Author.Bureau, c.right, c.record)
	}
	return Valid
}

// admit lists the admission under each of its rights. What was handed over counts
// whether it was valid or not, so that a double one shows.
func admit(v View, rights []Right, a LiveAdmission) (Class, uint64) {
	class, against := Accepted, uint64(0)
	for _, x := range rights {
		as := Admissions(v, x)
		if len(as) > 0 && class == Accepted {
			class, against = AlreadyAdmittedClass, as[0].Position
		}
		if len(as) < MaxAdmissions {
			putAdmissions(v, x, append(as, a))
		}
	}
	return class, against
}

func unadmit(v View, rights []Right, n BureauNumber, id StatementID) {
	for _, x := range rights {
		as := Admissions(v, x)
		kept := as[:0]
		for _, a := range as {
			if a.Bureau != n || a.ID != id {
				kept = append(kept, a)
			}
		}
		putAdmissions(v, x, kept)
	}
}

// judgeAmendment checks the two signatures and the number, and retires a key.
func judgeAmendment(g *Group, v View, a *Amendment, pos uint64) Verdict {
	leading, msg := false, a.SignedBytes(g.Manifest, g.Commune)
	for i, n := range a.Signers {
		s, ok := g.Signatories[n]
		if !ok || !ed25519.Verify(s.Key, msg, a.Signatures[i][:]) {
			return Verdict{Validity: Unauthorised}
		}
		leading = leading || s.Leading
	}
	k, number := viewKey(keyAmendment), uint64(a.Number)
	if !leading || g.Key(a.Bureau, a.Incarnation) == nil {
		return Verdict{Validity: Unauthorised}
	}
	// Two authors may carry amendments: which number comes first is the ledger's
	// order, hence class.
	last, _ := readPosition(v, k)
	if number != last+1 {
		return Verdict{Class: OutOfTurn}
	}
	v.Set(k, beU64(number))
	retired := viewKey(keyRetired, machineKey(a.Bureau, a.Incarnation))
	if _, already := readPosition(v, retired); a.Act == Retire && !already {
		v.Set(retired, beU64(pos))
	}
	return Verdict{}
}

// park keeps a batch until the one before it has come.
func park(v View, b *Batch) Answer {
	a := b.Header.Author
	k := viewKey(keyParked, authorKey(a), beU64(b.Header.First))
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

// unpark places what waited for the bureau's newest batch, until nothing more fits.
func unpark(g *Group, v View, n BureauNumber) (out []PlacedEntry) {
	for {
		b := nextParked(v, n)
		if b == nil {
			return out
		}
		v.Delete(viewKey(keyParked, authorKey(b.Header.Author), beU64(b.Header.First)))
		_, placed := place(g, v, b)
		out = append(out, placed...)
	}
}

// nextParked is a waiting batch that Place would not park again. It decodes only
// those whose turn it may be: a bureau can't make every batch cost all that wait.
func nextParked(v View, n BureauNumber) (found *Batch) {
	v.Range(viewKey(keyParked, beU16(uint16(n))), func(k, value []byte) bool {
		a := Author{Bureau: n}
		var first uint64
		mustRead(k, k[3:], func(r *reader) {
			a.Incarnation = Incarnation(r.u8())
			r.copy(a.Session[:])
			first = r.u64()
		})
		s, known := readSession(v, a)
		if known && first > s.Next || !known && first > 0 {
			return true
		}
		b, err := DecodeBatch(value)
		if err != nil {
			panic("parked batch: " + err.Error())
		}
		if !known {
			if _, _, ready := openable(v, b, b.Statements[0].Body.(*SessionOpened)); !ready {
				return true
			}
		}
		found = b
		return false
	})
	return found
}
