package ledger

import (
	"crypto/ed25519"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
)

// Head names the end of a session: how many statements it had and the identity
// of its last batch.
type Head struct {
	Session SessionID
	// Next is the sequence number that would have come next.
	Next uint64
	Hash Hash
}

func (h Head) encode(b *cryptobyte.Builder) {
	b.AddBytes(h.Session[:])
	b.AddUint64(h.Next)
	b.AddBytes(h.Hash[:])
}

func (r *reader) head() (h Head) {
	r.copy(h.Session[:])
	h.Next = r.u64()
	h.Hash = r.hash()
	// A session that has a batch has a statement: an empty one is no head.
	if h.Next == 0 || h.Next > maxSequence {
		r.fail()
	}
	return h
}

// SessionOpened is the first statement of every session, and only that.
type SessionOpened struct {
	// Continues is the head that this session goes on from; nil for the first
	// session of an incarnation.
	Continues *Head
	// Generation is that of the set of media that was opened.
	Generation uint32
	// Media has bit m set for each member m of the set that was read.
	Media uint8
	// Unfenced says that the incarnation before may still be at work: it then
	// admits provisionally only.
	Unfenced bool
}

// Kind is KindSessionOpened.
func (*SessionOpened) Kind() Kind { return KindSessionOpened }

// NamesElector is false.
func (*SessionOpened) NamesElector() bool { return false }

func (s *SessionOpened) encode(b *cryptobyte.Builder) {
	addFlag(b, s.Continues != nil)
	if s.Continues != nil {
		s.Continues.encode(b)
	}
	b.AddUint32(s.Generation)
	b.AddUint8(s.Media)
	addFlag(b, s.Unfenced)
}

func (s *SessionOpened) decode(r *reader) {
	if r.flag() {
		h := r.head()
		s.Continues = &h
	}
	s.Generation, s.Media, s.Unfenced = r.u32(), r.u8(), r.flag()
	if s.Media == 0 || s.Media > 7 {
		r.fail()
	}
}

// BureauOpened says that the bureau is open to electors.
type BureauOpened struct {
	// Register is the SHA-256 of the sealed register, Program of the program.
	Register, Program Hash
}

// Kind is KindBureauOpened.
func (*BureauOpened) Kind() Kind { return KindBureauOpened }

// NamesElector is false.
func (*BureauOpened) NamesElector() bool { return false }

func (o *BureauOpened) encode(b *cryptobyte.Builder) {
	b.AddBytes(o.Register[:])
	b.AddBytes(o.Program[:])
}

func (o *BureauOpened) decode(r *reader) { o.Register, o.Program = r.hash(), r.hash() }

// Presence is what became of somebody convened as a member (decree art. 8 §1).
type Presence uint8

// The presences.
const (
	Active      Presence = 1
	NotRetained Presence = 2
	Absent      Presence = 3
)

// Attendance records a convened member's presence at opening.
type Attendance struct {
	Member   uint16
	Presence Presence
}

// Kind is KindAttendance.
func (*Attendance) Kind() Kind { return KindAttendance }

// NamesElector is false.
func (*Attendance) NamesElector() bool { return false }

func (a *Attendance) encode(b *cryptobyte.Builder) {
	b.AddUint16(a.Member)
	b.AddUint8(uint8(a.Presence))
}

func (a *Attendance) decode(r *reader) {
	a.Member, a.Presence = r.u16(), Presence(r.u8())
	if a.Presence < Active || a.Presence > Absent {
		r.fail()
	}
}

// Account carries a member's bank account, sealed to the commune's pay office.
type Account struct {
	Member uint16
	Sealed []byte
}

// Kind is KindAccount.
func (*Account) Kind() Kind { return KindAccount }

// NamesElector is false.
func (*Account) NamesElector() bool { return false }

func (a *Account) encode(b *cryptobyte.Builder) {
	b.AddUint16(a.Member)
	addOpaque16(b, a.Sealed)
}

func (a *Account) decode(r *reader) { a.Member, a.Sealed = r.u16(), r.opaque16(1, MaxSealed) }

// Orphan lists a tail of statements beyond a head that a later session named:
// recorded, without effect.
type Orphan struct {
	// Head is the end of the orphaned tail; From its first sequence number.
	Head Head
	From uint64
}

// Kind is KindOrphan.
func (*Orphan) Kind() Kind { return KindOrphan }

// NamesElector is false.
func (*Orphan) NamesElector() bool { return false }

func (o *Orphan) encode(b *cryptobyte.Builder) {
	o.Head.encode(b)
	b.AddUint64(o.From)
}

func (o *Orphan) decode(r *reader) {
	o.Head, o.From = r.head(), r.u64()
	if o.From >= o.Head.Next {
		r.fail()
	}
}

// Evidence shows two signed headers of one author that can't both stand.
type Evidence struct {
	// First and Second are encoded headers with their signatures.
	First, Second []byte
}

// Kind is KindEvidence.
func (*Evidence) Kind() Kind { return KindEvidence }

// NamesElector is false.
func (*Evidence) NamesElector() bool { return false }

func (e *Evidence) encode(b *cryptobyte.Builder) {
	addOpaque16(b, e.First)
	addOpaque16(b, e.Second)
}

func (e *Evidence) decode(r *reader) {
	const n = headerLen + ed25519.SignatureSize
	e.First, e.Second = r.opaque16(n, n), r.opaque16(n, n)
}

// Count is a reconciliation: ballots issued and scanned so far against the
// electors checked in.
type Count struct {
	CheckedIn, Issued, Scanned uint32
}

// Kind is KindCount.
func (*Count) Kind() Kind { return KindCount }

// NamesElector is false.
func (*Count) NamesElector() bool { return false }

func (c *Count) encode(b *cryptobyte.Builder) {
	b.AddUint32(c.CheckedIn)
	b.AddUint32(c.Issued)
	b.AddUint32(c.Scanned)
}

func (c *Count) decode(r *reader) { c.CheckedIn, c.Issued, c.Scanned = r.u32(), r.u32(), r.u32() }

// BureauClosed says that no further elector is admitted here.
type BureauClosed struct {
	// CheckedIn is how many electors this bureau admitted.
	CheckedIn uint32
}

// Kind is KindBureauClosed.
func (*BureauClosed) Kind() Kind { return KindBureauClosed }

// NamesElector is false.
func (*BureauClosed) NamesElector() bool { return false }

func (c *BureauClosed) encode(b *cryptobyte.Builder) { b.AddUint32(c.CheckedIn) }
func (c *BureauClosed) decode(r *reader)             { c.CheckedIn = r.u32() }

// Act is what an amendment of the manifest does.
type Act uint8

// The acts; none moves a right (rule R12).
const (
	Enrol   Act = 1
	Retire  Act = 2
	Relabel Act = 3
)

// Amendment changes the manifest during the day, under two signatures of
// persons whom it names.
type Amendment struct {
	Number      uint16
	Act         Act
	Bureau      BureauNumber
	Incarnation Incarnation
	// Place is the new place's name, UTF-8, for Relabel; empty otherwise.
	Place []byte
	// Signers are the manifest's numbers of the two signatories, the smaller first.
	Signers    [2]uint16
	Signatures [2][64]byte
}

// Kind is KindAmendment.
func (*Amendment) Kind() Kind { return KindAmendment }

// NamesElector is false.
func (*Amendment) NamesElector() bool { return false }

func (a *Amendment) terms(b *cryptobyte.Builder) {
	b.AddUint16(a.Number)
	b.AddUint8(uint8(a.Act))
	b.AddUint16(uint16(a.Bureau))
	b.AddUint8(uint8(a.Incarnation))
	addOpaque16(b, a.Place)
}

func (a *Amendment) encode(b *cryptobyte.Builder) {
	a.terms(b)
	for i := range a.Signers {
		b.AddUint16(a.Signers[i])
		b.AddBytes(a.Signatures[i][:])
	}
}

func (a *Amendment) decode(r *reader) {
	a.Number, a.Act, a.Bureau = r.u16(), Act(r.u8()), r.bureau()
	a.Incarnation, a.Place = Incarnation(r.u8()), r.opaque16(0, MaxPlace)
	for i := range a.Signers {
		a.Signers[i] = r.u16()
		r.copy(a.Signatures[i][:])
	}
	if a.Act < Enrol || a.Act > Relabel || a.Incarnation >= Incarnations || a.Signers[0] >= a.Signers[1] {
		r.fail()
	}
	if (a.Act == Relabel) != (len(a.Place) > 0) || !utf8.Valid(a.Place) {
		r.fail()
	}
}

// SignedBytes is what the two signatories of an amendment sign, under the
// election's manifest.
func (a *Amendment) SignedBytes(manifest Hash, c Commune) []byte {
	b := cryptobyte.NewBuilder([]byte("pointage/amendment/v1\x00"))
	b.AddBytes(manifest[:])
	b.AddUint32(uint32(c))
	a.terms(b)
	return b.BytesOrPanic()
}

// Anchored says that a witness cosigned a checkpoint of this ledger.
type Anchored struct {
	// Epoch, Size and Root are the checkpoint's.
	Epoch uint8
	Size  uint64
	Root  Hash
	// Witness is the note key hash of the witness.
	Witness uint32
	// Cosigned is the witness's time, in seconds since 1970; Signature its
	// Ed25519 cosignature (C2SP tlog-cosignature v1.0.1).
	Cosigned  uint64
	Signature [64]byte
}

// Kind is KindAnchored.
func (*Anchored) Kind() Kind { return KindAnchored }

// NamesElector is false.
func (*Anchored) NamesElector() bool { return false }

func (a *Anchored) encode(b *cryptobyte.Builder) {
	b.AddUint8(a.Epoch)
	b.AddUint64(a.Size)
	b.AddBytes(a.Root[:])
	b.AddUint32(a.Witness)
	b.AddUint64(a.Cosigned)
	b.AddBytes(a.Signature[:])
}

func (a *Anchored) decode(r *reader) {
	a.Epoch, a.Size, a.Root = r.u8(), r.u64(), r.hash()
	a.Witness, a.Cosigned = r.u32(), r.u64()
	r.copy(a.Signature[:])
}

// noteSignature is the signature as it stands, after the key hash, on a note's line.
func (a *Anchored) noteSignature() []byte { return append(beU64(a.Cosigned), a.Signature[:]...) }

// Custody records a hand-over of a sealed object (decree art. 7 §3).
type Custody struct {
	Object   Hash
	From, To uint16
	Step     uint8
}

// Kind is KindCustody.
func (*Custody) Kind() Kind { return KindCustody }

// NamesElector is false.
func (*Custody) NamesElector() bool { return false }

func (c *Custody) encode(b *cryptobyte.Builder) {
	b.AddBytes(c.Object[:])
	b.AddUint16(c.From)
	b.AddUint16(c.To)
	b.AddUint8(c.Step)
}

func (c *Custody) decode(r *reader) {
	c.Object, c.From, c.To, c.Step = r.hash(), r.u16(), r.u16(), r.u8()
}

// IncidentOfAnElector is the code of the one incident that names an elector for all to read, that of a card's chip (SPEC 2).
// The form takes any time for it, as for every incident; who writes it rounds, who counts it demands that.
const IncidentOfAnElector uint16 = 5

// Incident records that something happened; its text is sealed.
type Incident struct {
	Code   uint16
	Sealed []byte
}

// Kind is KindIncident.
func (*Incident) Kind() Kind { return KindIncident }

// NamesElector is false.
func (*Incident) NamesElector() bool { return false }

func (i *Incident) encode(b *cryptobyte.Builder) {
	b.AddUint16(i.Code)
	addOpaque16(b, i.Sealed)
}

func (i *Incident) decode(r *reader) { i.Code, i.Sealed = r.u16(), r.opaque16(0, MaxSealed) }

// Message is a sealed word from one bureau to another, or to all (0).
type Message struct {
	To     BureauNumber
	Sealed []byte
}

// Kind is KindMessage.
func (*Message) Kind() Kind { return KindMessage }

// NamesElector is false.
func (*Message) NamesElector() bool { return false }

func (m *Message) encode(b *cryptobyte.Builder) {
	b.AddUint16(uint16(m.To))
	addOpaque16(b, m.Sealed)
}

func (m *Message) decode(r *reader) { m.To, m.Sealed = BureauNumber(r.u16()), r.opaque16(1, MaxSealed) }
