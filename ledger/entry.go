package ledger

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// EntryKind is what stands at a place of the commune's chain.
type EntryKind uint8

// The kinds of entries.
const (
	// GenesisEntry is entry 0 of every epoch: what the chain is bound to.
	GenesisEntry EntryKind = 1
	// BatchEntry is a batch in its author's chain, with each statement's verdict.
	BatchEntry EntryKind = 2
	// EvidenceEntry is a well-signed batch that can't stand in its author's chain
	// beside the one at Against, which is there whole.
	EvidenceEntry EntryKind = 3
)

// Class is what earlier entries say of a statement; numbered for ever (SPEC
// 6.2).
type Class uint8

// The classes. AlreadyAdmittedClass, Forked, AfterRetirement and Orphaned name the earlier entry.
const (
	Accepted Class = 0
	// AlreadyAdmittedClass: an earlier entry holds a live admission of the same right.
	AlreadyAdmittedClass Class = 1
	// Forked: the author's session goes on from where another already does.
	Forked Class = 2
	// AfterRetirement: an amendment had retired the author's key.
	AfterRetirement Class = 3
	// Gap: placed at the final import although the batch before is missing.
	Gap Class = 4
	// OutOfTurn: an amendment whose number is not the next one; it has no effect.
	OutOfTurn Class = 5
	// Orphaned: in a tail that an orphan statement had listed; recorded, without effect.
	Orphaned Class = 6

	lastClass = Orphaned
)

// String names the class.
func (c Class) String() string {
	switch c {
	case Accepted:
		return "accepted"
	case AlreadyAdmittedClass:
		return "conflict: already admitted"
	case Forked:
		return "conflict: fork"
	case AfterRetirement:
		return "after retirement"
	case Gap:
		return "after a gap"
	case OutOfTurn:
		return "conflict: amendment out of turn"
	case Orphaned:
		return "orphan: recorded, hand-over to be confirmed"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

func (c Class) namesEntry() bool {
	return c == AlreadyAdmittedClass || c == Forked || c == AfterRetirement || c == Orphaned
}

// Verdict is the outcome of one statement: valid by its own chain or not, and
// how it stands against what came before.
type Verdict struct {
	Validity Validity
	Class    Class
	// Against refers to the earlier entry (Reference), where the class names one.
	Against uint64
}

// Clean says that nothing is wrong with the statement: what the barrier waits for.
func (v Verdict) Clean() bool { return v.Validity == Valid && (v.Class == Accepted || v.Class == Gap) }

// String is the verdict for people.
func (v Verdict) String() string {
	s := v.Class.String()
	if v.Class.namesEntry() {
		s += " (" + EntryName(v.Against) + ")"
	}
	if v.Validity == Valid {
		return s
	}
	return v.Validity.String() + ", " + s
}

func (v Verdict) encode(b *cryptobyte.Builder) {
	b.AddUint8(uint8(v.Validity))
	b.AddUint8(uint8(v.Class))
	if v.Class.namesEntry() {
		b.AddUint64(v.Against)
	}
}

func (r *reader) verdict() (v Verdict) {
	v.Validity, v.Class = Validity(r.u8()), Class(r.u8())
	if v.Validity > lastValidity || v.Class > lastClass {
		r.fail()
	}
	if v.Class.namesEntry() {
		v.Against = r.u64()
	}
	return v
}

func addVerdicts(b *cryptobyte.Builder, vs []Verdict) {
	b.AddUint8(uint8(len(vs)))
	for _, v := range vs {
		v.encode(b)
	}
}

func (r *reader) verdicts() (vs []Verdict) {
	n := r.u8()
	if n > MaxStatements {
		r.fail()
	}
	for i := uint8(0); i < n && !r.bad; i++ {
		vs = append(vs, r.verdict())
	}
	return vs
}

// Genesis is what a chain is bound to.
type Genesis struct {
	// Manifest is the SHA-256 of the manifest file, signature included; Roll that
	// of the roll.
	Manifest, Roll Hash
	Commune        Commune
	Epoch          uint8
	// Seed is what a later epoch goes on from, as Seed.Encode writes it; empty in epoch 0.
	Seed []byte
}

// Offence is why a batch became evidence; numbered for ever (SPEC 6.3).
type Offence uint8

// The offences.
const (
	// WrongPrevious: next in sequence, but not built on the batch before.
	WrongPrevious Offence = 1
	// DoubleSequence: another batch stands at this sequence number.
	DoubleSequence Offence = 2
	// ContinuesNothing: the head that the session names is not in the chain.
	ContinuesNothing Offence = 3
	// FromEvidence: it goes on from a batch that stands as evidence itself.
	FromEvidence Offence = 4

	lastOffence = FromEvidence
)

// String names the offence.
func (o Offence) String() string {
	switch o {
	case WrongPrevious:
		return "wrong previous batch"
	case DoubleSequence:
		return "sequence number used twice"
	case ContinuesNothing:
		return "session continues what is not there"
	case FromEvidence:
		return "goes on from a batch that is evidence"
	}
	return fmt.Sprintf("offence %d", uint8(o))
}

// Entry is one leaf of the tree and one link of the commune's chain.
type Entry struct {
	Position uint64
	// Previous is the leaf hash of the entry before; for entry 0 zeros, or in
	// a later epoch the leaf hash of the seed's last entry.
	Previous Hash
	Kind     EntryKind
	// Genesis, for a GenesisEntry.
	Genesis *Genesis
	// Batch is the encoded batch, for the other two.
	Batch []byte
	// Verdicts has one for each statement of a BatchEntry.
	Verdicts []Verdict
	// Offence and Against are an EvidenceEntry's: why, and the entry (Reference) of the
	// batch that it contradicts.
	Offence Offence
	Against uint64
}

const entryVersion = 1

// Encode is the entry's one form (SPEC 4).
func (e *Entry) Encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(e.Batch)+64+2*len(e.Verdicts)))
	b.AddUint8(entryVersion)
	b.AddUint64(e.Position)
	b.AddBytes(e.Previous[:])
	b.AddUint8(uint8(e.Kind))
	switch e.Kind {
	case GenesisEntry:
		b.AddBytes(e.Genesis.Manifest[:])
		b.AddBytes(e.Genesis.Roll[:])
		b.AddUint32(uint32(e.Genesis.Commune))
		b.AddUint8(e.Genesis.Epoch)
		addOpaque16(b, e.Genesis.Seed)
	case BatchEntry:
		addOpaque16(b, e.Batch)
		addVerdicts(b, e.Verdicts)
	case EvidenceEntry:
		addOpaque16(b, e.Batch)
		b.AddUint8(uint8(e.Offence))
		b.AddUint64(e.Against)
	default:
		panic(fmt.Sprintf("entry of kind %d", e.Kind))
	}
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode entry %d: %w", e.Position, err)
	}
	if len(out) > MaxEntry {
		return nil, fmt.Errorf("encode entry %d: %d bytes, at most %d", e.Position, len(out), MaxEntry)
	}
	return out, nil
}

// Reference names an entry across epochs: the epoch in the highest byte, the position in its
// chain below. In epoch 0 it is the position.
func Reference(epoch uint8, position uint64) uint64 { return uint64(epoch)<<56 | position }

// SplitReference is the epoch and the position that a reference names.
func SplitReference(ref uint64) (epoch uint8, position uint64) {
	return uint8(ref >> 56), ref & (1<<56 - 1)
}

// EntryName is a reference for people: "entry 512", with the epoch before it from 1 on.
func EntryName(ref uint64) string {
	epoch, position := SplitReference(ref)
	if epoch == 0 {
		return fmt.Sprintf("entry %d", position)
	}
	return fmt.Sprintf("epoch-%d entry %d", epoch, position)
}

// DecodeEntry reads what Encode writes and nothing else. The batch inside is
// for DecodeBatch.
func DecodeEntry(in []byte) (*Entry, error) {
	if len(in) > MaxEntry {
		return nil, fmt.Errorf("decode entry: %d bytes, at most %d", len(in), MaxEntry)
	}
	r := &reader{s: in}
	if r.u8() != entryVersion {
		return nil, errors.New("decode entry: unknown version")
	}
	e := &Entry{Position: r.u64(), Previous: r.hash(), Kind: EntryKind(r.u8())}
	switch e.Kind {
	case GenesisEntry:
		e.Genesis = &Genesis{Manifest: r.hash(), Roll: r.hash(), Commune: Commune(r.u32()), Epoch: r.u8()}
		e.Genesis.Seed = r.opaque16(0, maxSeed)
		if e.Genesis.Epoch > MaxEpoch || (e.Genesis.Epoch == 0) != (len(e.Genesis.Seed) == 0) {
			r.fail()
		} else if e.Genesis.Epoch > 0 {
			if _, err := DecodeSeed(e.Genesis.Seed); err != nil {
				return nil, fmt.Errorf("decode entry: %w", err)
			}
		}
	case BatchEntry:
		e.Batch = r.opaque16(1, MaxBatch)
		e.Verdicts = r.verdicts()
	case EvidenceEntry:
		e.Batch = r.opaque16(1, MaxBatch)
		e.Offence, e.Against = Offence(r.u8()), r.u64()
		if e.Offence < WrongPrevious || e.Offence > lastOffence {
			r.fail()
		}
	default:
		return nil, fmt.Errorf("decode entry: unknown kind %d", e.Kind)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	return e, nil
}

// LeafHash is the RFC 6962 leaf hash of an encoded entry: what the tree holds
// and what the next entry names as previous.
func LeafHash(entry []byte) Hash { return Hash(tlog.RecordHash(entry)) }
