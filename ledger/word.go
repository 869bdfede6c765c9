package ledger

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Member is one machine of the group.
type Member struct {
	Bureau      BureauNumber
	Incarnation Incarnation
}

// Word is what one member says, signed, of the group's ledger in one epoch: exactly one of
// Applied and Answered. Two words of a member that Disagree are proof of a lie.
type Word struct {
	Manifest Hash
	Commune  Commune
	Member   Member
	Epoch    uint8
	Applied  *Applied
	Answered *Answered
	// Signature is by the device key of the member's incarnation.
	Signature [ed25519.SignatureSize]byte
}

// Applied says how far a member's chain goes.
type Applied struct {
	// Size is the number of entries, Head the leaf hash of the last.
	Size uint64
	Head Hash
}

// Answered is the leader's answer to the proposer of a batch: what the barrier waits for.
type Answered struct {
	Author Author
	// First is the batch's first sequence number, Batch its identity.
	First  uint64
	Batch  Hash
	Answer Answer
}

const (
	wordVersion  = 1
	wordApplied  = 1
	wordAnswered = 2
	wordPrefix   = "pointage/word/v1\x00"
)

// SignApplied signs how far a member's chain goes.
func SignApplied(key ed25519.PrivateKey, g *Group, m Member, h ChainHead) *Word {
	w := &Word{Manifest: g.Manifest, Commune: g.Commune, Member: m, Epoch: h.Epoch, Applied: &Applied{h.Size, h.Last}}
	return w.sign(key)
}

// SignAnswered signs the answer for a batch, given in the epoch.
func SignAnswered(key ed25519.PrivateKey, g *Group, m Member, epoch uint8, b *Batch, ans Answer) *Word {
	w := &Word{Manifest: g.Manifest, Commune: g.Commune, Member: m, Epoch: epoch}
	w.Answered = &Answered{b.Header.Author, b.Header.First, b.Header.Identity(), ans}
	return w.sign(key)
}

func (w *Word) sign(key ed25519.PrivateKey) *Word {
	copy(w.Signature[:], ed25519.Sign(key, append([]byte(wordPrefix), w.bytes()...)))
	return w
}

// bytes are what is signed: the word without its signature.
func (w *Word) bytes() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wordVersion)
	b.AddBytes(w.Manifest[:])
	b.AddUint32(uint32(w.Commune))
	b.AddUint16(uint16(w.Member.Bureau))
	b.AddUint8(uint8(w.Member.Incarnation))
	b.AddUint8(w.Epoch)
	if w.Applied != nil {
		b.AddUint8(wordApplied)
		b.AddUint64(w.Applied.Size)
		b.AddBytes(w.Applied.Head[:])
		return b.BytesOrPanic()
	}
	a := w.Answered
	b.AddUint8(wordAnswered)
	b.AddUint16(uint16(a.Author.Bureau))
	b.AddUint8(uint8(a.Author.Incarnation))
	b.AddBytes(a.Author.Session[:])
	b.AddUint64(a.First)
	b.AddBytes(a.Batch[:])
	b.AddBytes(a.Answer.Encode())
	return b.BytesOrPanic()
}

// Encode is the word's one form, at most MaxWord bytes.
func (w *Word) Encode() []byte { return append(w.bytes(), w.Signature[:]...) }

// DecodeWord reads what Encode writes and nothing else; the signature is for Verify.
func DecodeWord(in []byte) (*Word, error) {
	if len(in) > MaxWord {
		return nil, fmt.Errorf("decode word: %d bytes, at most %d", len(in), MaxWord)
	}
	r := &reader{s: in}
	if r.u8() != wordVersion {
		r.fail()
	}
	w := &Word{Manifest: r.hash(), Commune: Commune(r.u32()), Member: Member{r.bureau(), Incarnation(r.u8())}, Epoch: r.u8()}
	if w.Member.Incarnation >= Incarnations || w.Epoch > MaxEpoch {
		r.fail()
	}
	switch r.u8() {
	case wordApplied:
		w.Applied = &Applied{Size: r.u64(), Head: r.hash()}
		if w.Applied.Size == 0 || w.Applied.Size > MaxEntries {
			r.fail()
		}
	case wordAnswered:
		w.Answered = r.answered()
	default:
		r.fail()
	}
	r.copy(w.Signature[:])
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode word: %w", err)
	}
	return w, nil
}

func (r *reader) answered() *Answered {
	a := &Answered{Author: r.author(), First: r.u64(), Batch: r.hash(), Answer: r.answer()}
	if a.First > maxSequence || a.Answer.Reason == Malformed || a.Answer.Reason == NotSigned {
		r.fail()
	}
	return a
}

func (r *reader) author() (a Author) {
	a.Bureau, a.Incarnation = r.bureau(), Incarnation(r.u8())
	r.copy(a.Session[:])
	if a.Incarnation >= Incarnations {
		r.fail()
	}
	return a
}

// Verify checks election, commune, the member's key and signature, with the errors of
// Batch.Verify.
func (w *Word) Verify(g *Group) error {
	if w.Manifest != g.Manifest {
		return ErrWrongElection
	}
	if w.Commune != g.Commune {
		return ErrWrongCommune
	}
	key := g.Key(w.Member.Bureau, w.Member.Incarnation)
	if key == nil {
		return ErrUnknownAuthor
	}
	if !ed25519.Verify(key, append([]byte(wordPrefix), w.bytes()...), w.Signature[:]) {
		return ErrSignature
	}
	return nil
}

// final says that the answer never becomes another.
func (a *Answer) final() bool { return a.Status == Placed || a.Status == Contradicted }

// Disagree says whether two words can't both be true, whoever said them: two chains of one
// size with different ends; two outcomes of one batch; two batches at one entry or, both
// placed, at one sequence number. Words of different epochs never disagree.
func Disagree(a, b *Word) bool {
	if a.Manifest != b.Manifest || a.Commune != b.Commune || a.Epoch != b.Epoch {
		return false
	}
	if a.Applied != nil && b.Applied != nil {
		return a.Applied.Size == b.Applied.Size && a.Applied.Head != b.Applied.Head
	}
	x, y := a.Answered, b.Answered
	if x == nil || y == nil || !x.Answer.final() || !y.Answer.final() {
		return false
	}
	if x.Author == y.Author && x.First == y.First && x.Batch == y.Batch {
		return x.Answer.Status != y.Answer.Status || x.Answer.Position != y.Answer.Position || !slices.Equal(x.Answer.Verdicts, y.Answer.Verdicts)
	}
	if x.Answer.Position == y.Answer.Position {
		return true
	}
	// An answer has a verdict for each statement of a batch that is placed.
	return x.Author == y.Author && x.Answer.Status == Placed && y.Answer.Status == Placed &&
		x.First < y.First+uint64(len(y.Answer.Verdicts)) && y.First < x.First+uint64(len(x.Answer.Verdicts))
}

// Contradiction is the statement that shows two words of one member that disagree; false when
// they don't.
func (g *Group) Contradiction(a, b *Word) (*Equivocation, bool) {
	if a.Member != b.Member || !Disagree(a, b) || a.Verify(g) != nil || b.Verify(g) != nil {
		return nil, false
	}
	return &Equivocation{First: a.Encode(), Second: b.Encode()}, true
}

// equivocal says whether the statement shows what it says.
func (g *Group) equivocal(e *Equivocation) bool {
	a, err := DecodeWord(e.First)
	if err != nil {
		return false
	}
	b, err := DecodeWord(e.Second)
	if err != nil {
		return false
	}
	_, ok := g.Contradiction(a, b)
	return ok
}
