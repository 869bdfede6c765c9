package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// Extract is one statement with what proves it: the signed header of its batch and
// the inclusion path. Anyone can relay it and anyone can check it.
type Extract struct {
	Header    Header
	Signature [ed25519.SignatureSize]byte
	// Index is the statement's place in its batch.
	Index     uint16
	Statement Statement
	encoded   []byte
	path      []Hash
}

// Extract takes the i-th statement out of the batch with its proof.
func (b *Batch) Extract(i int) *Extract {
	return &Extract{
		Header: b.Header, Signature: b.Signature, Index: uint16(i), Statement: b.Statements[i],
		encoded: b.encoded[i], path: b.tree.path(len(b.encoded), i),
	}
}

// ID names the statement for ever within its bureau.
func (x *Extract) ID() StatementID {
	return StatementID{Session: x.Header.Author.Session, Sequence: x.Header.First + uint64(x.Index)}
}

// Encode is the extract's one form: header, signature[64], uint16 index,
// statement behind a uint16 length, path as hashes behind a uint8 count.
func (x *Extract) Encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes(x.Header.bytes())
	b.AddBytes(x.Signature[:])
	b.AddUint16(x.Index)
	addOpaque16(b, x.encoded)
	b.AddUint8(uint8(len(x.path)))
	for _, h := range x.path {
		b.AddBytes(h[:])
	}
	out := b.BytesOrPanic()
	if len(out) > MaxExtract {
		return nil, fmt.Errorf("encode extract: %d bytes, at most %d", len(out), MaxExtract)
	}
	return out, nil
}

// maxPath is the depth of a tree of MaxStatements leaves.
const maxPath = 6

// DecodeExtract reads what Encode writes and nothing else, and checks the path;
// the signature is for Verify.
func DecodeExtract(in []byte) (*Extract, error) {
	if len(in) > MaxExtract {
		return nil, fmt.Errorf("decode extract: %d bytes, at most %d", len(in), MaxExtract)
	}
	r := &reader{s: in}
	x := &Extract{Header: r.header()}
	r.copy(x.Signature[:])
	x.Index, x.encoded = r.u16(), r.opaque16(1, MaxStatement)
	n := r.u8()
	if n > maxPath || x.Index >= x.Header.Count {
		r.fail()
	}
	for i := uint8(0); i < n && !r.bad; i++ {
		x.path = append(x.path, r.hash())
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode extract: %w", err)
	}
	s, err := DecodeStatement(x.encoded)
	if err != nil {
		return nil, fmt.Errorf("decode extract: %w", err)
	}
	x.Statement = s
	if _, opens := s.Body.(*SessionOpened); opens != (x.Index == 0 && x.Header.First == 0) {
		return nil, errors.New("decode extract: a session's first statement, and only that, opens it")
	}
	if err := checkStatementPath(x.Header.Root, int(x.Header.Count), int(x.Index), x.encoded, x.path); err != nil {
		return nil, fmt.Errorf("decode extract: %w", err)
	}
	return x, nil
}

// Verify checks election, commune, author's key and signature.
func (x *Extract) Verify(g *Group) error { return verifyHeader(&x.Header, x.Signature[:], g) }

// statementHashes is the in-memory tree over a batch's statements, in x/mod's numbering.
type statementHashes []tlog.Hash

func (s statementHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = s[x]
	}
	return out, nil
}

func statementTree(encoded [][]byte) statementHashes {
	s := make(statementHashes, 0, 2*len(encoded))
	for i, e := range encoded {
		hs, err := tlog.StoredHashes(int64(i), e, s)
		if err != nil {
			panic(fmt.Sprintf("tree of %d statements in memory: %v", len(encoded), err))
		}
		s = append(s, hs...)
	}
	return s
}

func (s statementHashes) root(count int) Hash {
	h, err := tlog.TreeHash(int64(count), s)
	if err != nil {
		panic(fmt.Sprintf("root of %d statements in memory: %v", count, err))
	}
	return Hash(h)
}

func (s statementHashes) path(count, i int) []Hash {
	p, err := tlog.ProveRecord(int64(count), int64(i), s)
	if err != nil {
		panic(fmt.Sprintf("path of statement %d of %d in memory: %v", i, count, err))
	}
	out := make([]Hash, len(p))
	for j, h := range p {
		out[j] = Hash(h)
	}
	return out
}

func checkStatementPath(root Hash, count, i int, encoded []byte, path []Hash) error {
	p := make(tlog.RecordProof, len(path))
	for j, h := range path {
		p[j] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(p, int64(count), tlog.Hash(root), int64(i), tlog.RecordHash(encoded)); err != nil {
		return fmt.Errorf("inclusion path: %w", err)
	}
	return nil
}
