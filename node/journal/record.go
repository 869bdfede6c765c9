package journal

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// A record on a medium is: uint32 length of the rest, nonce[24], sealed. Sealed is
// XChaCha20-Poly1305 with the set's identity as associated data, so that a record of
// another set does not open. The plain text is a kind and a body:
//
//	1 batch  exact times (uint64 each) behind a uint8 count, then the encoded batch
//	2 note   uint64 version, key<0..255>, value<0..2^16-1>
const (
	batchRecord = 1
	noteRecord  = 2
	// maxRecord is the length of a record after its length field, in bytes.
	maxRecord = 64 << 10
	minRecord = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead + 1
)

// sealer encrypts the records of one set.
type sealer struct {
	aead   cipher.AEAD
	set    [16]byte
	random io.Reader
}

func newSealer(key, set []byte, random io.Reader) (*sealer, error) {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: a, set: [16]byte(set), random: random}, nil
}

func (s *sealer) seal(plain []byte) ([]byte, error) {
	out := make([]byte, 4+chacha20poly1305.NonceSizeX, 4+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	nonce := out[4:]
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	out = s.aead.Seal(out, nonce, plain, s.set[:])
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out, nil
}

var errRecord = errors.New("damaged record")

func (s *sealer) open(b []byte) ([]byte, error) {
	n := chacha20poly1305.NonceSizeX
	if len(b) < minRecord {
		return nil, errRecord
	}
	plain, err := s.aead.Open(nil, b[:n], b[n:], s.set[:])
	if err != nil {
		return nil, errRecord
	}
	return plain, nil
}

func encodeBatchRecord(r recorded) []byte {
	out := []byte{batchRecord, byte(len(r.exact))}
	for _, t := range r.exact {
		out = binary.BigEndian.AppendUint64(out, uint64(t))
	}
	return append(out, r.batch.Encode()...)
}

func encodeNoteRecord(key string, n note) []byte {
	b := cryptobyte.NewBuilder([]byte{noteRecord})
	b.AddUint64(n.version)
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(key)) })
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(n.value) })
	return b.BytesOrPanic()
}

// decodeRecord calls one of the two with what a plain text says.
func decodeRecord(plain []byte, batch func(recorded), keep func(string, note)) error {
	s := cryptobyte.String(plain)
	var kind uint8
	s.ReadUint8(&kind)
	switch kind {
	case batchRecord:
		var n uint8
		var r recorded
		if !s.ReadUint8(&n) {
			return errRecord
		}
		for range n {
			var t uint64
			if !s.ReadUint64(&t) {
				return errRecord
			}
			r.exact = append(r.exact, ledger.Instant(t))
		}
		b, err := ledger.DecodeBatch(s)
		if err != nil || len(r.exact) != len(b.Statements) {
			return errRecord
		}
		r.batch = b
		batch(r)
		return nil
	case noteRecord:
		var n note
		var key, value cryptobyte.String
		if !s.ReadUint64(&n.version) || !s.ReadUint8LengthPrefixed(&key) || !s.ReadUint16LengthPrefixed(&value) || !s.Empty() {
			return errRecord
		}
		n.value = append([]byte{}, value...)
		keep(string(key), n)
		return nil
	}
	return errRecord
}
