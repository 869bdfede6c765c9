package ledger

import "golang.org/x/crypto/cryptobyte"

// Minutes binds the minutes of a bureau, or of the commune, to the ledger: the SHA-256 of both
// files, and what they were drawn from, so that anyone can draw them up again and compare. The
// rules don't look at the files: what stands in them follows from entries that they judge.
type Minutes struct {
	// Bureau is whose minutes they are, 0 for the commune's.
	Bureau BureauNumber
	// Named says that the files show the members' names, out of the sealed register.
	Named bool
	// UpTo is the epoch and the number of its entries (Reference) that they were drawn from.
	UpTo uint64
	// Own is the sequence number in this session before which a bureau's minutes by itself tell of its own
	// statements too, placed or not: one that is cut off has minutes as well.
	Own uint64
	// French and Dutch are the SHA-256 of the two files.
	French, Dutch Hash
}

// Kind is KindMinutes.
func (*Minutes) Kind() Kind { return KindMinutes }

// NamesElector is false.
func (*Minutes) NamesElector() bool { return false }

func (m *Minutes) encode(b *cryptobyte.Builder) {
	b.AddUint16(uint16(m.Bureau))
	addFlag(b, m.Named)
	b.AddUint64(m.UpTo)
	b.AddUint64(m.Own)
	b.AddBytes(m.French[:])
	b.AddBytes(m.Dutch[:])
}

func (m *Minutes) decode(r *reader) {
	m.Bureau, m.Named, m.UpTo, m.Own = BureauNumber(r.u16()), r.flag(), r.u64(), r.u64()
	m.French, m.Dutch = r.hash(), r.hash()
	if epoch, size := SplitReference(m.UpTo); epoch > MaxEpoch || size == 0 || size > MaxEntries || m.Own > maxSequence {
		r.fail()
	}
}

// mayMinute says whether a bureau draws up the minutes of one (0: of the commune): its own, and the
// principal bureau and its deputy all.
func (g *Group) mayMinute(author, of BureauNumber) bool {
	leads := author == g.Principal || author == g.Deputy
	return of == author || leads && (of == 0 || g.Bureaux[of] != nil)
}
