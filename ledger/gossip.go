package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// SignedHeader is a batch's header with its signature: how an author's newest head travels
// outside the group (Head), and half of an Evidence. A peer that shows an author a header of
// its own, beyond what its media hold, has shown it that they were put back.
type SignedHeader struct {
	Header    Header
	Signature [ed25519.SignatureSize]byte
}

const signedHeaderLen = headerLen + ed25519.SignatureSize

// Signed is the batch's header with its signature.
func (b *Batch) Signed() SignedHeader { return SignedHeader{b.Header, b.Signature} }

// Encode is what Batch.SignedHeader gives: 194 bytes.
func (h *SignedHeader) Encode() []byte { return append(h.Header.bytes(), h.Signature[:]...) }

func (r *reader) signedHeader() (h SignedHeader) {
	h.Header = r.header()
	r.copy(h.Signature[:])
	return h
}

// DecodeSignedHeader reads what Encode writes and nothing else; the signature is for Verify.
func DecodeSignedHeader(in []byte) (*SignedHeader, error) {
	r := &reader{s: in}
	h := r.signedHeader()
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode signed header: %w", err)
	}
	return &h, nil
}

// Verify checks election, commune, author's key and signature, with the errors of
// Batch.Verify.
func (h *SignedHeader) Verify(g *Group) error { return verifyHeader(&h.Header, h.Signature[:], g) }

// Head is the end of the author's session as the header shows it.
func (h *SignedHeader) Head() Head {
	return Head{Session: h.Header.Author.Session, Next: h.Header.Next(), Hash: h.Header.Identity()}
}

// Fork is the statement that shows two headers that can't both stand; false when they can.
func (g *Group) Fork(a, b *SignedHeader) (*Evidence, bool) {
	e := &Evidence{First: a.Encode(), Second: b.Encode()}
	return e, g.contradictory(e)
}

const (
	// MaxHeads is how many headers one Heads message carries.
	MaxHeads = 1024
	// MaxChainBatches is how many batches one answer to a ChainRequest carries, MaxChain its
	// length in bytes: a peer that comes back has a commune's day in some tens of answers.
	MaxChainBatches = 4096
	MaxChain        = 1 << 20

	gossipVersion = 1
)

// EncodeHeads is the message that tells the newest headers that a member knows: version,
// uint16 count, 1 to MaxHeads headers with their signatures.
func EncodeHeads(hs []SignedHeader) ([]byte, error) {
	if len(hs) == 0 || len(hs) > MaxHeads {
		return nil, fmt.Errorf("encode heads: %d headers, 1 to %d", len(hs), MaxHeads)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 3+len(hs)*signedHeaderLen))
	b.AddUint8(gossipVersion)
	b.AddUint16(uint16(len(hs)))
	for i := range hs {
		b.AddBytes(hs[i].Encode())
	}
	return b.BytesOrPanic(), nil
}

// DecodeHeads reads what EncodeHeads writes; each header is for Verify.
func DecodeHeads(in []byte) ([]SignedHeader, error) {
	r := &reader{s: in}
	version, n := r.u8(), int(r.u16())
	if version != gossipVersion || n == 0 || n > MaxHeads || len(r.s) != n*signedHeaderLen {
		return nil, fmt.Errorf("decode heads: %w", errEncoding)
	}
	out := make([]SignedHeader, 0, n)
	for range n {
		out = append(out, r.signedHeader())
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode heads: %w", err)
	}
	return out, nil
}

// ChainRequest asks a peer for an author's batches that have the sequence numbers From up
// to, not including, To.
type ChainRequest struct {
	Author   Author
	From, To uint64
}

// Encode is the request's one form.
func (q ChainRequest) Encode() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(gossipVersion)
	b.AddUint16(uint16(q.Author.Bureau))
	b.AddUint8(uint8(q.Author.Incarnation))
	b.AddBytes(q.Author.Session[:])
	b.AddUint64(q.From)
	b.AddUint64(q.To)
	return b.BytesOrPanic()
}

// DecodeChainRequest reads what Encode writes and nothing else.
func DecodeChainRequest(in []byte) (q ChainRequest, err error) {
	r := &reader{s: in}
	if r.u8() != gossipVersion {
		r.fail()
	}
	q = ChainRequest{Author: r.author(), From: r.u64(), To: r.u64()}
	if q.From >= q.To || q.To > maxSequence {
		r.fail()
	}
	if err := r.done(); err != nil {
		return q, fmt.Errorf("decode chain request: %w", err)
	}
	return q, nil
}

// ChainAnswer is what a peer has of it, from its beginning on without a gap.
type ChainAnswer struct {
	// More says that the peer has the next batch too: ask again from where this ends.
	More    bool
	Batches []*Batch
}

// Encode is the answer's one form. Batches beyond MaxChain or MaxChainBatches are left for
// the next request, and More says so.
func (a *ChainAnswer) Encode() []byte {
	more, n, size := a.More, 0, 4
	for n < len(a.Batches) && n < MaxChainBatches && size+2+a.Batches[n].size() <= MaxChain {
		size, n = size+2+a.Batches[n].size(), n+1
	}
	more = more || n < len(a.Batches)
	b := cryptobyte.NewBuilder(make([]byte, 0, size))
	b.AddUint8(gossipVersion)
	addFlag(b, more)
	b.AddUint16(uint16(n))
	for _, x := range a.Batches[:n] {
		addOpaque16(b, x.Encode())
	}
	return b.BytesOrPanic()
}

// DecodeChainAnswer reads what Encode writes and nothing else; each batch is for Verify, and
// the whole for Follows.
func DecodeChainAnswer(in []byte) (*ChainAnswer, error) {
	if len(in) > MaxChain {
		return nil, fmt.Errorf("decode chain: %d bytes, at most %d", len(in), MaxChain)
	}
	r := &reader{s: in}
	if r.u8() != gossipVersion {
		r.fail()
	}
	a, n := &ChainAnswer{More: r.flag()}, r.u16()
	if n > MaxChainBatches || a.More && n == 0 {
		r.fail()
	}
	for i := uint16(0); i < n && !r.bad; i++ {
		raw := r.opaque16(1, MaxBatch)
		if r.bad {
			break
		}
		b, err := DecodeBatch(raw)
		if err != nil {
			return nil, fmt.Errorf("decode chain: batch %d: %w", i, err)
		}
		a.Batches = append(a.Batches, b)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode chain: %w", err)
	}
	return a, nil
}

// Follows says whether the batches are the author's, from the one that has the first sequence
// number asked for, each going on from the one before, and none beyond what was asked.
func (a *ChainAnswer) Follows(q ChainRequest) error {
	next, previous := q.From, Hash{}
	for i, b := range a.Batches {
		h := &b.Header
		begins := h.First == next || i == 0 && h.First < next && next < h.Next()
		if h.Author != q.Author || !begins || h.First >= q.To || i > 0 && h.Previous != previous {
			return fmt.Errorf("batch %d of the chain (first %d) does not go on at %d", i, h.First, next)
		}
		next, previous = h.Next(), h.Identity()
	}
	if a.More && next >= q.To {
		return errors.New("the chain says that there is more than was asked for")
	}
	return nil
}
