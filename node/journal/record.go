package journal

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// A file of records is frames one after the other, only ever appended to:
//
//	opaque magic[4] = "PJr1"; uint64 number; uint32 length;
//	opaque nonce[24]; opaque sealed[length]
//
// Numbers count a medium's records from 0. Sealed is XChaCha20-Poly1305 under a key from the
// journal's, with the set, number and length as associated data: a record opens only in its
// set and in its place. The magic is where a reader looks for the next record behind damage.
// The plain text is a kind and a body:
//
//	1 batch  uint8 count; uint64 exact[count]; the encoded batch
//	2 note   uint64 round; uint64 serial; opaque key<1..255>; opaque value<0..4096>
//	3 round  uint64 round; opaque session[16]
//	4 inherited: as a batch, of an incarnation before (settle.go)
const (
	frameMagic  = "PJr1"
	frameHeader = len(frameMagic) + 8 + 4 + chacha20poly1305.NonceSizeX
	maxPlain    = 2 + 8*ledger.MaxStatements + ledger.MaxBatch
	maxFrame    = frameHeader + maxPlain + chacha20poly1305.Overhead
	// maxNumber keeps the numbers of records and rounds far from overflow.
	maxNumber = 1 << 40
)

type recordKind uint8

const (
	batchRecord     recordKind = 1
	noteRecord      recordKind = 2
	roundRecord     recordKind = 3
	inheritedRecord recordKind = 4
)

type nonce [chacha20poly1305.NonceSizeX]byte

// sealer encrypts the records of one set.
type sealer struct {
	aead cipher.AEAD
	set  [16]byte
}

func newSealer(key [32]byte, set [16]byte) *sealer {
	a, err := chacha20poly1305.NewX(deriveKey(key, "records"))
	if err != nil {
		panic(fmt.Sprintf("cipher with a key of 32 bytes: %v", err))
	}
	return &sealer{aead: a, set: set}
}

func (s *sealer) associated(number uint64, length int) []byte {
	b := append([]byte("pointage/journal/record/v1\x00"), s.set[:]...)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, number), uint32(length))
}

// frameLen is the length of the frame around a plain text.
func frameLen(plain []byte) int { return frameHeader + len(plain) + chacha20poly1305.Overhead }

// appendFrame appends the frame of a record to out.
func (s *sealer) appendFrame(out []byte, number uint64, n nonce, plain []byte) []byte {
	length := len(plain) + chacha20poly1305.Overhead
	out = append(out, frameMagic...)
	out = binary.BigEndian.AppendUint64(out, number)
	out = binary.BigEndian.AppendUint32(out, uint32(length))
	out = append(out, n[:]...)
	return s.aead.Seal(out, n[:], plain, s.associated(number, length))
}

// openFrame opens the frame that b begins with; size is its length in b.
func (s *sealer) openFrame(b []byte) (number uint64, plain []byte, size int, ok bool) {
	if len(b) < frameHeader || string(b[:len(frameMagic)]) != frameMagic {
		return 0, nil, 0, false
	}
	rest := b[len(frameMagic):]
	number = binary.BigEndian.Uint64(rest)
	length := binary.BigEndian.Uint32(rest[8:])
	if number >= maxNumber || length < chacha20poly1305.Overhead+1 || length > maxPlain+chacha20poly1305.Overhead || len(b)-frameHeader < int(length) {
		return 0, nil, 0, false
	}
	size = frameHeader + int(length)
	plain, err := s.aead.Open(nil, b[frameHeader-chacha20poly1305.NonceSizeX:frameHeader], b[frameHeader:size], s.associated(number, int(length)))
	return number, plain, size, err == nil
}

// note is one durable value. Newer ones are of a later round, or of the same round with a
// larger serial.
type note struct {
	round, serial uint64
	key           string
	value         []byte
}

func (n *note) newer(old *note) bool {
	return cmp.Or(cmp.Compare(n.round, old.round), cmp.Compare(n.serial, old.serial), bytes.Compare(n.value, old.value)) > 0
}

// round numbers a session among the openings of the media, from 1.
type round struct {
	number  uint64
	session ledger.SessionID
}

// record is a decoded plain text: one of the three by kind, an inherited one in batch.
type record struct {
	kind  recordKind
	batch recorded
	note  note
	round round
}

func encodeBatchRecord(r recorded) []byte { return r.encode(batchRecord) }

func (r recorded) encode(kind recordKind) []byte {
	out := []byte{byte(kind), byte(len(r.exact))}
	for _, t := range r.exact {
		out = binary.BigEndian.AppendUint64(out, uint64(t))
	}
	return append(out, r.batch.Encode()...)
}

func (n *note) encode() []byte {
	b := cryptobyte.NewBuilder([]byte{byte(noteRecord)})
	b.AddUint64(n.round)
	b.AddUint64(n.serial)
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(n.key)) })
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(n.value) })
	return b.BytesOrPanic()
}

func (r round) encode() []byte {
	return append(binary.BigEndian.AppendUint64([]byte{byte(roundRecord)}, r.number), r.session[:]...)
}

var errRecord = errors.New("not a record that this program writes")

// decodeRecord reads what the encoders write and nothing else.
func decodeRecord(plain []byte) (r record, err error) {
	s := cryptobyte.String(plain)
	var kind uint8
	if !s.ReadUint8(&kind) {
		return r, errRecord
	}
	switch r.kind = recordKind(kind); r.kind {
	case batchRecord, inheritedRecord:
		r.batch, err = decodeBatchRecord(s)
		return r, err
	case noteRecord:
		var key, value cryptobyte.String
		n := &r.note
		ok := s.ReadUint64(&n.round) && s.ReadUint64(&n.serial) && s.ReadUint8LengthPrefixed(&key) && s.ReadUint16LengthPrefixed(&value)
		if !ok || !s.Empty() || len(key) == 0 || len(value) > maxNote {
			return r, errRecord
		}
		n.key, n.value = string(key), append([]byte(nil), value...)
		return r, nil
	case roundRecord:
		if !s.ReadUint64(&r.round.number) || !s.CopyBytes(r.round.session[:]) || !s.Empty() || r.round.number > maxNumber {
			return r, errRecord
		}
		return r, nil
	}
	return r, fmt.Errorf("%w: kind %d", errRecord, kind)
}

func decodeBatchRecord(s cryptobyte.String) (r recorded, err error) {
	var n uint8
	if !s.ReadUint8(&n) || n > ledger.MaxStatements {
		return r, errRecord
	}
	r.exact = make([]ledger.Instant, n)
	for i := range r.exact {
		var t uint64
		if !s.ReadUint64(&t) {
			return r, errRecord
		}
		r.exact[i] = ledger.Instant(t)
	}
	if r.batch, err = ledger.DecodeBatch(s); err != nil {
		return r, fmt.Errorf("%w: %w", errRecord, err)
	}
	if len(r.exact) != len(r.batch.Statements) {
		return r, errRecord
	}
	return r, nil
}
