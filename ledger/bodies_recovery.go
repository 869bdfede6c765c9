package ledger

import (
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
)

// Imported says that the principal bureau has proposed all that a machine's media hold, the
// evening's import: what still waits for a batch before it waits no longer and is placed
// across the gap (class Gap). It is a statement, since the rule must bind every member at
// the same place of the ledger, and a verifier must see where.
type Imported struct {
	Bureau      BureauNumber
	Incarnation Incarnation
	// Generation is that of the set of media, Media has bit m set for each member m that
	// was read.
	Generation uint32
	Media      uint8
}

// Kind is KindImported.
func (*Imported) Kind() Kind { return KindImported }

// NamesElector is false.
func (*Imported) NamesElector() bool { return false }

func (m *Imported) encode(b *cryptobyte.Builder) {
	b.AddUint16(uint16(m.Bureau))
	b.AddUint8(uint8(m.Incarnation))
	b.AddUint32(m.Generation)
	b.AddUint8(m.Media)
}

func (m *Imported) decode(r *reader) {
	m.Bureau, m.Incarnation, m.Generation, m.Media = r.bureau(), Incarnation(r.u8()), r.u32(), r.u8()
	if m.Incarnation >= Incarnations || m.Media == 0 || m.Media > 7 {
		r.fail()
	}
}

// Settled says that two of the media of an incarnation before have been read, and where its
// chain ended: the author's records go on from there. Once every incarnation before is
// settled, a session that does not open unfenced moves rights again.
type Settled struct {
	// Incarnation is the one before, below the author's.
	Incarnation Incarnation
	// Head is the end of its chain, nil when the media hold no batch.
	Head *Head
	// Generation and Media are those of its set; at least two of three bits.
	Generation uint32
	Media      uint8
}

// Kind is KindSettled.
func (*Settled) Kind() Kind { return KindSettled }

// NamesElector is false.
func (*Settled) NamesElector() bool { return false }

func (m *Settled) encode(b *cryptobyte.Builder) {
	b.AddUint8(uint8(m.Incarnation))
	addFlag(b, m.Head != nil)
	if m.Head != nil {
		m.Head.encode(b)
	}
	b.AddUint32(m.Generation)
	b.AddUint8(m.Media)
}

func (m *Settled) decode(r *reader) {
	m.Incarnation = Incarnation(r.u8())
	if r.flag() {
		h := r.head()
		m.Head = &h
	}
	m.Generation, m.Media = r.u32(), r.u8()
	if m.Incarnation >= Incarnations-1 || m.Media > 7 || bits.OnesCount8(m.Media) < 2 {
		r.fail()
	}
}

// Equivocation shows two signed words of one member that can't both be true (SPEC 6.7).
type Equivocation struct {
	// First and Second are encoded words.
	First, Second []byte
}

// Kind is KindEquivocation.
func (*Equivocation) Kind() Kind { return KindEquivocation }

// NamesElector is false.
func (*Equivocation) NamesElector() bool { return false }

func (e *Equivocation) encode(b *cryptobyte.Builder) {
	addOpaque16(b, e.First)
	addOpaque16(b, e.Second)
}

func (e *Equivocation) decode(r *reader) {
	e.First, e.Second = r.opaque16(1, MaxWord), r.opaque16(1, MaxWord)
}
