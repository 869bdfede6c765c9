package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Header is what a bureau signs: its author, its place in the author's chain
// and the root over its statements.
type Header struct {
	// Manifest is the SHA-256 of the election's manifest file, always the
	// original one.
	Manifest Hash
	Commune  Commune
	Author   Author
	// First is the sequence number of the first statement, Count how many
	// there are, 1 to MaxStatements.
	First uint64
	Count uint16
	// Previous is the identity of the author's previous batch; for a session's first
	// that of the head it continues, zeros when there is none.
	Previous Hash
	// Root is the RFC 6962 tree head over the encoded statements.
	Root Hash
}

const (
	// maxSequence keeps sums of sequence numbers far from overflow.
	maxSequence   = 1 << 62
	headerVersion = 1
	headerLen     = 1 + 32 + 4 + 2 + 1 + 16 + 8 + 2 + 32 + 32
	// identityPrefix and signaturePrefix separate a header's two uses from
	// each other and from every other use of SHA-256 and of the device's key.
	identityPrefix  = "pointage/batch/identity/v1\x00"
	signaturePrefix = "pointage/batch/signature/v1\x00"
)

func (h *Header) bytes() []byte {
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, headerLen))
	b.AddUint8(headerVersion)
	b.AddBytes(h.Manifest[:])
	b.AddUint32(uint32(h.Commune))
	b.AddUint16(uint16(h.Author.Bureau))
	b.AddUint8(uint8(h.Author.Incarnation))
	b.AddBytes(h.Author.Session[:])
	b.AddUint64(h.First)
	b.AddUint16(h.Count)
	b.AddBytes(h.Previous[:])
	b.AddBytes(h.Root[:])
	return b.BytesOrPanic()
}

func (r *reader) header() (h Header) {
	if r.u8() != headerVersion {
		r.fail()
	}
	h.Manifest = r.hash()
	h.Commune = Commune(r.u32())
	h.Author.Bureau, h.Author.Incarnation = r.bureau(), Incarnation(r.u8())
	r.copy(h.Author.Session[:])
	h.First, h.Count = r.u64(), r.u16()
	h.Previous, h.Root = r.hash(), r.hash()
	if h.Author.Incarnation >= Incarnations || h.Count < 1 || h.Count > MaxStatements || h.First > maxSequence {
		r.fail()
	}
	return h
}

// Identity is the hash of the header without the signature: two batches with
// the same identity are the same batch.
func (h *Header) Identity() Hash {
	return sha256.Sum256(append([]byte(identityPrefix), h.bytes()...))
}

// Next is the sequence number after the batch's last statement.
func (h *Header) Next() uint64 { return h.First + uint64(h.Count) }

// Batch is a signed header and its statements.
type Batch struct {
	Header     Header
	Signature  [ed25519.SignatureSize]byte
	Statements []Statement
	// encoded statements, as they stand in the batch, and the tree over them: every statement's proof comes out of it.
	encoded [][]byte
	tree    statementHashes
}

// Point is where an author's chain stands: what the next batch builds on.
type Point struct {
	Next     uint64
	Previous Hash
}

// Sign makes the batch that carries statements on from a point of the author's
// chain. The key is that of the author's incarnation.
func Sign(key ed25519.PrivateKey, g *Group, a Author, at Point, statements []Statement) (*Batch, error) {
	if len(statements) == 0 || len(statements) > MaxStatements {
		return nil, fmt.Errorf("sign batch: %d statements, 1 to %d", len(statements), MaxStatements)
	}
	b := &Batch{Statements: statements}
	for _, s := range statements {
		e, err := s.Encode()
		if err != nil {
			return nil, fmt.Errorf("sign batch: %w", err)
		}
		b.encoded = append(b.encoded, e)
	}
	b.tree = statementTree(b.encoded)
	b.Header = Header{
		Manifest: g.Manifest, Commune: g.Commune, Author: a,
		First: at.Next, Count: uint16(len(statements)), Previous: at.Previous, Root: b.tree.root(len(b.encoded)),
	}
	copy(b.Signature[:], ed25519.Sign(key, append([]byte(signaturePrefix), b.Header.bytes()...)))
	if n := b.size(); n > MaxBatch {
		return nil, fmt.Errorf("sign batch: %d bytes, at most %d", n, MaxBatch)
	}
	return b, nil
}

// EncodedStatement is the i-th statement's bytes.
func (b *Batch) EncodedStatement(i int) []byte { return b.encoded[i] }

func (b *Batch) size() int {
	n := headerLen + ed25519.SignatureSize
	for _, e := range b.encoded {
		n += 2 + len(e)
	}
	return n
}

// Encode is the batch's one form: header, signature[64], and Count statements
// each behind a uint16 length.
func (b *Batch) Encode() []byte {
	out := cryptobyte.NewBuilder(make([]byte, 0, b.size()))
	out.AddBytes(b.Header.bytes())
	out.AddBytes(b.Signature[:])
	for _, e := range b.encoded {
		addOpaque16(out, e)
	}
	return out.BytesOrPanic()
}

// DecodeBatch reads what Encode writes and nothing else. It checks the form and the
// root over the statements, not the signature (Batch.Verify).
func DecodeBatch(in []byte) (*Batch, error) {
	if len(in) > MaxBatch {
		return nil, fmt.Errorf("decode batch: %d bytes, at most %d", len(in), MaxBatch)
	}
	r := &reader{s: in}
	b := &Batch{Header: r.header()}
	r.copy(b.Signature[:])
	if r.bad {
		return nil, fmt.Errorf("decode batch: header: %w", errEncoding)
	}
	b.Statements = make([]Statement, 0, b.Header.Count)
	for i := range int(b.Header.Count) {
		e := r.opaque16(1, MaxStatement)
		if r.bad {
			return nil, fmt.Errorf("decode batch: statement %d: %w", i, errEncoding)
		}
		s, err := DecodeStatement(e)
		if err != nil {
			return nil, fmt.Errorf("decode batch: statement %d: %w", i, err)
		}
		_, opens := s.Body.(*SessionOpened)
		if opens != (i == 0 && b.Header.First == 0) {
			return nil, fmt.Errorf("decode batch: statement %d: a session's first statement, and only that, opens it", i)
		}
		b.Statements, b.encoded = append(b.Statements, s), append(b.encoded, e)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode batch: trailing bytes: %w", err)
	}
	b.tree = statementTree(b.encoded)
	if b.tree.root(len(b.encoded)) != b.Header.Root {
		return nil, errors.New("decode batch: root is not that of the statements")
	}
	return b, nil
}

// Errors of Batch.Verify and Extract.Verify: who should have signed did not, or
// something else was meant.
var (
	ErrWrongElection = errors.New("made for another manifest")
	ErrWrongCommune  = errors.New("made for another commune")
	ErrUnknownAuthor = errors.New("the manifest has no such bureau or key")
	ErrSignature     = errors.New("signature does not hold")
)

// Verify checks the header against the group: election, commune, author's key
// and signature, with crypto/ed25519 and nothing laxer (SPEC 3.3).
func (b *Batch) Verify(g *Group) error { return verifyHeader(&b.Header, b.Signature[:], g) }

func verifyHeader(h *Header, sig []byte, g *Group) error {
	if h.Manifest != g.Manifest {
		return ErrWrongElection
	}
	if h.Commune != g.Commune {
		return ErrWrongCommune
	}
	key := g.Key(h.Author.Bureau, h.Author.Incarnation)
	if key == nil {
		return ErrUnknownAuthor
	}
	if !ed25519.Verify(key, append([]byte(signaturePrefix), h.bytes()...), sig) {
		return ErrSignature
	}
	return nil
}

// SignedHeader is the header with its signature, encoded: what evidence shows.
func (b *Batch) SignedHeader() []byte { return append(b.Header.bytes(), b.Signature[:]...) }
