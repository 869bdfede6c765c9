package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Seed is what an epoch after the first goes on from: a signed checkpoint of the epoch
// before, named by two persons of the manifest, one of them of the principal or the deputy
// bureau. It stands in the new epoch's genesis.
type Seed struct {
	// Checkpoint is the note's bytes, with whatever cosignatures it has; the largest that
	// the members that are left can back with their entries.
	Checkpoint []byte
	// Signers are the manifest's numbers of the two signatories, the smaller first.
	Signers    [2]uint16
	Signatures [2][64]byte
}

const (
	// maxSeed is the length of an encoded seed in a genesis entry, in bytes.
	maxSeed = 32 << 10
	// MaxSeedNote is the length of a seed's checkpoint, in bytes.
	MaxSeedNote = maxSeed - 2 - 2*(2+ed25519.SignatureSize)
)

// Encode is the seed's one form: the note behind a uint16 length, and twice signer, signature[64].
func (s *Seed) Encode() ([]byte, error) {
	if len(s.Checkpoint) > MaxSeedNote {
		return nil, fmt.Errorf("encode seed: checkpoint of %d bytes, at most %d", len(s.Checkpoint), MaxSeedNote)
	}
	b := cryptobyte.NewBuilder(nil)
	addOpaque16(b, s.Checkpoint)
	for i := range s.Signers {
		b.AddUint16(s.Signers[i])
		b.AddBytes(s.Signatures[i][:])
	}
	return b.BytesOrPanic(), nil
}

// DecodeSeed reads what Encode writes and nothing else; CheckSeed judges it.
func DecodeSeed(in []byte) (*Seed, error) {
	r := &reader{s: in}
	s := &Seed{Checkpoint: r.opaque16(1, MaxSeedNote)}
	for i := range s.Signers {
		s.Signers[i] = r.u16()
		r.copy(s.Signatures[i][:])
	}
	if s.Signers[0] >= s.Signers[1] {
		r.fail()
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode seed: %w", err)
	}
	return s, nil
}

// SignedBytes is what the two signatories sign to begin an epoch from this checkpoint.
func (s *Seed) SignedBytes(manifest Hash, c Commune, epoch uint8) []byte {
	b := cryptobyte.NewBuilder([]byte("pointage/epoch/v1\x00"))
	b.AddBytes(manifest[:])
	b.AddUint32(uint32(c))
	b.AddUint8(epoch)
	addOpaque16(b, s.Checkpoint)
	return b.BytesOrPanic()
}

// CheckSeed says whether an epoch from 1 to MaxEpoch may begin so: two signatures, and a
// checkpoint of the epoch before. A member leaves the epoch before when it sees one.
func (g *Group) CheckSeed(epoch uint8, s *Seed) (Checkpoint, error) {
	if epoch == 0 || epoch > MaxEpoch {
		return Checkpoint{}, fmt.Errorf("check seed: epoch %d is not 1 to %d", epoch, MaxEpoch)
	}
	if !g.signedByTwo(s.SignedBytes(g.Manifest, g.Commune, epoch), s.Signers, s.Signatures) {
		return Checkpoint{}, errors.New("check seed: the signatures of two persons, one of the principal or the deputy bureau, do not hold")
	}
	c, _, err := OpenCheckpoint(s.Checkpoint, LogKey(g.Origin(epoch-1), g.LogKey), g.Cosigners())
	if err != nil {
		return Checkpoint{}, fmt.Errorf("check seed: %w", err)
	}
	if c.Size == 0 || c.Size > MaxEntries {
		return Checkpoint{}, fmt.Errorf("check seed: size %d is not 1 to %d", c.Size, MaxEntries)
	}
	return c, nil
}

// BeginEpoch places the genesis of the epoch after the view's. The view must stand at exactly
// the seed's size, made by Replay from the entries up to it; root is that of their tree. What
// waited is dropped, since no entry tells of it: authors propose it again, as they do all that
// the epoch before placed beyond the seed.
func BeginEpoch(g *Group, v View, s *Seed, root Hash) (PlacedEntry, error) {
	h := ReadHead(v)
	c, err := g.CheckSeed(h.Epoch+1, s)
	if err != nil {
		return PlacedEntry{}, fmt.Errorf("begin epoch %d: %w", h.Epoch+1, err)
	}
	if c.Size != h.Size || c.Root != root {
		return PlacedEntry{}, fmt.Errorf("begin epoch %d: the seed has %d entries and root %v, the view stands at %d and %v", h.Epoch+1, c.Size, c.Root, h.Size, root)
	}
	seed, err := s.Encode()
	if err != nil {
		return PlacedEntry{}, fmt.Errorf("begin epoch %d: %w", h.Epoch+1, err)
	}
	var waiting [][]byte
	v.Range([]byte{keyParked}, func(k, _ []byte) bool { waiting = append(waiting, append([]byte(nil), k...)); return true })
	for _, k := range waiting {
		v.Delete(k)
	}
	putHead(v, ChainHead{Last: h.Last, Epoch: h.Epoch + 1})
	return link(v, &Entry{Kind: GenesisEntry, Genesis: &Genesis{
		Manifest: g.Manifest, Roll: g.Roll.Hash(), Commune: g.Commune, Epoch: h.Epoch + 1, Seed: seed,
	}}, nil), nil
}

// Replay places the batch of an encoded entry again, its signature checked, and says whether
// the rules make these very bytes at the view's end: how a view is made from entries. The
// genesis of an epoch after the first is for BeginEpoch, which needs the tree's root.
func Replay(g *Group, v View, encoded []byte) (PlacedEntry, error) {
	e, err := DecodeEntry(encoded)
	if err != nil {
		return PlacedEntry{}, err
	}
	var b *Batch
	if e.Kind != GenesisEntry {
		if b, err = DecodeBatch(e.Batch); err != nil {
			return PlacedEntry{}, err
		}
		if err := b.Verify(g); err != nil {
			return PlacedEntry{}, fmt.Errorf("%v: %w", b.Header.Author, err)
		}
	}
	p, _, err := replay(g, v, e, b, encoded)
	return p, err
}

// replay is Replay of an entry whose batch has been read and whose signature holds.
func replay(g *Group, v View, e *Entry, b *Batch, encoded []byte) (PlacedEntry, Answer, error) {
	h := ReadHead(v)
	if e.Position != h.Size {
		return PlacedEntry{}, Answer{}, fmt.Errorf("says that its position is %d", e.Position)
	}
	if e.Previous != h.Last {
		return PlacedEntry{}, Answer{}, errors.New("does not follow from the entry before")
	}
	if (e.Kind == GenesisEntry) != (h.Size == 0) {
		return PlacedEntry{}, Answer{}, errors.New("a chain begins with its genesis and has no other")
	}
	if h.Size == 0 {
		p := Begin(g, v)
		if string(p.Encoded) != string(encoded) {
			return PlacedEntry{}, Answer{}, errors.New("the genesis is bound to another manifest, roll, commune or epoch")
		}
		return p, Answer{}, nil
	}
	ans, placed := place(g, v, b)
	if len(placed) != 1 {
		return PlacedEntry{}, ans, fmt.Errorf("the batch has no place here (status %d)", ans.Status)
	}
	if string(placed[0].Encoded) != string(encoded) {
		return PlacedEntry{}, ans, errors.New("its outcome is not the one that the rules give")
	}
	return placed[0], ans, nil
}
