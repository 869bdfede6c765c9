package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Roll says who is at home where: (token, home bureau), sorted by token. It is
// made before the day, never changes, and its SHA-256 stands in the manifest.
type Roll struct {
	// rows are rowLen bytes each: token, bureau big-endian.
	rows []byte
}

const rowLen = 32 + 2

// MaxRoll is the length of a roll file, in bytes.
const MaxRoll = MaxElectors * rowLen

// RollRow is one elector's line.
type RollRow struct {
	Elector ElectorToken
	Home    BureauNumber
}

// NewRoll sorts the rows into a roll; a token given twice is an error.
func NewRoll(rows []RollRow) (*Roll, error) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b RollRow) int { return bytes.Compare(a.Elector[:], b.Elector[:]) })
	out := make([]byte, 0, len(rows)*rowLen)
	for _, w := range rows {
		out = append(out, w.Elector[:]...)
		out = binary.BigEndian.AppendUint16(out, uint16(w.Home))
	}
	return DecodeRoll(out)
}

// DecodeRoll reads a roll file: rows of 34 bytes, strictly ascending by token,
// no bureau 0, at most MaxElectors. It keeps the slice.
func DecodeRoll(b []byte) (*Roll, error) {
	if len(b)%rowLen != 0 {
		return nil, fmt.Errorf("decode roll: %d bytes are no whole number of rows", len(b))
	}
	r := &Roll{rows: b}
	if r.Len() > MaxElectors {
		return nil, fmt.Errorf("decode roll: %d electors, at most %d", r.Len(), MaxElectors)
	}
	for i := range r.Len() {
		if r.At(i).Home == 0 {
			return nil, fmt.Errorf("decode roll: row %d has no home bureau", i)
		}
		if i > 0 && bytes.Compare(r.token(i-1), r.token(i)) >= 0 {
			return nil, fmt.Errorf("decode roll: row %d is not after the one before", i)
		}
	}
	return r, nil
}

// Encode is the roll file's bytes; don't change them.
func (r *Roll) Encode() []byte { return r.rows }

// Hash is the SHA-256 of the roll file.
func (r *Roll) Hash() Hash { return sha256.Sum256(r.rows) }

// Len is how many electors there are.
func (r *Roll) Len() int { return len(r.rows) / rowLen }

// At is the i-th row by token.
func (r *Roll) At(i int) RollRow {
	w := RollRow{Home: BureauNumber(binary.BigEndian.Uint16(r.rows[i*rowLen+32:]))}
	copy(w.Elector[:], r.token(i))
	return w
}

func (r *Roll) token(i int) []byte { return r.rows[i*rowLen : i*rowLen+32] }

// Home is the elector's home bureau, false when the roll has no such elector.
func (r *Roll) Home(e ElectorToken) (BureauNumber, bool) {
	lo, hi := 0, r.Len()
	for lo < hi {
		mid := (lo + hi) / 2
		switch c := bytes.Compare(r.token(mid), e[:]); {
		case c == 0:
			return r.At(mid).Home, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}
