package plaintext

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// MaxRemark is the length of a remark's text, in bytes.
const MaxRemark = 512

// Remark is what was said about one elector at the table: against a mark that he contests, or why the president
// admits him though he belongs elsewhere.
type Remark struct {
	Bureau ledger.BureauNumber
	// Elector is who it is about, At the bureau of the mark or of his home, 0 when unknown.
	Elector ledger.ElectorToken
	At      ledger.BureauNumber
	// Attester is the code of the member who wrote it down.
	Attester uint16
	Text     string
}

// CheckRemark says why a text can't be recorded.
func CheckRemark(text string) error {
	switch {
	case text == "":
		return errors.New("the text is empty")
	case len(text) > MaxRemark:
		return fmt.Errorf("the text is too long: %d bytes, at most %d", len(text), MaxRemark)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }):
		return errors.New("the text has characters that can't be shown")
	}
	return nil
}

// Encode: struct { uint8 kind = 6; Bureau bureau; Token elector; uint16 at; uint16 attester; opaque text<1..512>; }.
func (r *Remark) Encode() []byte {
	b := begin(kindRemark, r.Bureau)
	b.AddBytes(r.Elector[:])
	b.AddUint16(uint16(r.At))
	b.AddUint16(r.Attester)
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(r.Text)) })
	return b.BytesOrPanic()
}

// DecodeRemark reads what Encode writes.
func DecodeRemark(in []byte) (*Remark, error) {
	r := &Remark{}
	var text cryptobyte.String
	s, ok := open(in, kindRemark, &r.Bureau)
	if !ok || !s.CopyBytes(r.Elector[:]) || !s.ReadUint16((*uint16)(&r.At)) || !s.ReadUint16(&r.Attester) || !s.ReadUint16LengthPrefixed(&text) ||
		!s.Empty() || CheckRemark(string(text)) != nil {
		return nil, ErrForm
	}
	r.Text = string(text)
	return r, nil
}
