package ledger

import (
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
	case *Equivocation:
		if !g.equivocal(b) {
			return Verdict{Validity: BadEmbedding}
		}
	case *Orphan:
		listOrphan(v, st.Author, b, pos)
	case *Imported:
		return judgeImported(g, v, st.Author, b, pos)
	case *Settled:
		return judgeSettled(v, st.Author, b, pos)
	case *Minutes:
		if !g.mayMinute(st.Author.Bureau, b.Bureau) {
			return Verdict{Validity: Unauthorised}
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
			unadmit(v, rights, LiveAdmission{pos, st.Author.Bureau, StatementID{id.Session, b.Sequence}}, false)
		}
	case *Annulment:
		if verdict.Validity == Valid {
			unadmit(v, rights, LiveAdmission{pos, st.Author.Bureau, b.Record}, false)
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

// unadmit takes a bureau's record off the lists, at the entry of what takes it back. On the two
// sides of a fork two records can have the same name: evidence takes back what evidence holds,
// and the ledger's line what is on it.
func unadmit(v View, rights []Right, gone LiveAdmission, evidence bool) {
	for _, x := range rights {
		as := Admissions(v, x)
		kept := as[:0]
		for _, a := range as {
			same := a.Bureau == gone.Bureau && a.ID == gone.ID
			if !same || a.Position != gone.Position && onLine(v, a) == evidence {
				kept = append(kept, a)
			}
		}
		putAdmissions(v, x, kept)
	}
}

// onLine says whether the entry of a live admission is its batch's place in the author's chain
// rather than evidence.
func onLine(v View, l LiveAdmission) bool {
	for i := range Incarnation(Incarnations) {
		if p, ok := covering(v, Author{l.Bureau, i, l.ID.Session}, l.ID.Sequence); ok && p.position == l.Position {
			return true
		}
	}
	return false
}

// judgeAmendment checks the two signatures and the number, and notes what it changes.
func judgeAmendment(g *Group, v View, a *Amendment, pos uint64) Verdict {
	if !g.Signed(a) || g.Key(a.Bureau, a.Incarnation) == nil {
		return Verdict{Validity: Unauthorised}
	}
	// Two authors may carry amendments: which number comes first is the ledger's
	// order, hence class.
	if a.Number != LastAmendment(v)+1 {
		return Verdict{Class: OutOfTurn}
	}
	v.Set(viewKey(keyAmendment), beU64(uint64(a.Number)))
	switch a.Act {
	case Retire:
		once(v, viewKey(keyRetired, machineKey(a.Bureau, a.Incarnation)), pos)
	case Enrol:
		once(v, viewKey(keyEnrolled, machineKey(a.Bureau, a.Incarnation)), pos)
	case Relabel:
		v.Set(viewKey(keyLabel, beU16(uint16(a.Bureau))), append([]byte(nil), a.Place...))
	}
	return Verdict{}
}

// once notes the first entry that did something.
func once(v View, key []byte, pos uint64) {
	if _, already := readPosition(v, key); !already {
		v.Set(key, beU64(pos))
	}
}

// Signed says whether the amendment holds under its two signatures: two signatories of the commune,
// one of them at least of the principal or the deputy bureau.
func (g *Group) Signed(a *Amendment) bool {
	return g.signedByTwo(a.SignedBytes(g.Manifest, g.Commune), a.Signers, a.Signatures)
}

// signedByTwo says whether two signatories of the commune have signed, one of them at least of
// the principal or the deputy bureau.
func (g *Group) signedByTwo(msg []byte, signers [2]uint16, signatures [2][ed25519.SignatureSize]byte) bool {
	leading := false
	for i, n := range signers {
		s, ok := g.Signatories[n]
		if !ok || !ed25519.Verify(s.Key, msg, signatures[i][:]) {
			return false
		}
		leading = leading || s.Leading
	}
	return leading && signers[0] != signers[1]
}
