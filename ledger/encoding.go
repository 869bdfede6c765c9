package ledger

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// Everything is in the TLS presentation language (RFC 8446 section 3) and has
// one encoding: integers big-endian, vectors behind their length, no trailing
// bytes, no unknown kind. A reader that meets anything else refuses.

var errEncoding = errors.New("malformed encoding")

// reader reads fields in turn and remembers the first that was wrong.
type reader struct {
	s   cryptobyte.String
	bad bool
}

func (r *reader) fail() { r.bad = true }

func (r *reader) u8() uint8 {
	var v uint8
	r.bad = r.bad || !r.s.ReadUint8(&v)
	return v
}

func (r *reader) u16() uint16 {
	var v uint16
	r.bad = r.bad || !r.s.ReadUint16(&v)
	return v
}

func (r *reader) u32() uint32 {
	var v uint32
	r.bad = r.bad || !r.s.ReadUint32(&v)
	return v
}

func (r *reader) u64() uint64 {
	var v uint64
	r.bad = r.bad || !r.s.ReadUint64(&v)
	return v
}

// flag reads a byte that is 0 or 1.
func (r *reader) flag() bool {
	v := r.u8()
	if v > 1 {
		r.fail()
	}
	return v == 1
}

func (r *reader) copy(dst []byte) { r.bad = r.bad || !r.s.CopyBytes(dst) }

func (r *reader) hash() (h Hash) { r.copy(h[:]); return h }

// opaque16 reads a vector behind a uint16 length of lo to hi bytes, as a copy.
func (r *reader) opaque16(lo, hi int) []byte {
	var v cryptobyte.String
	if r.bad || !r.s.ReadUint16LengthPrefixed(&v) || len(v) < lo || len(v) > hi {
		r.fail()
		return nil
	}
	if len(v) == 0 {
		return nil
	}
	return append([]byte(nil), v...)
}

// done says whether all was read and all was right.
func (r *reader) done() error {
	if r.bad || !r.s.Empty() {
		return errEncoding
	}
	return nil
}

func addFlag(b *cryptobyte.Builder, v bool) {
	if v {
		b.AddUint8(1)
	} else {
		b.AddUint8(0)
	}
}

func addOpaque16(b *cryptobyte.Builder, v []byte) {
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(v) })
}
