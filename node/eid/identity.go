package eid

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
)

// The longest files that are read, in bytes; what a card holds beyond is refused.
const (
	maxIdentityFile  = 2048
	maxSignatureFile = 512
	maxCertificate   = 4096
	maxKeyFile       = 512
)

// The longest fields, in bytes ("ID and Address file contents" v5.0, envisioned maxima).
const (
	maxSurname    = 110
	maxFirstNames = 95
)

// The tags that are taken from the identity file; all others are stepped over.
const (
	tagVersion    = 0x00
	tagFrom       = 0x03
	tagUntil      = 0x04
	tagNumber     = 0x06
	tagSurname    = 0x07
	tagFirstNames = 0x08
	tagChipKey    = 0x1A
)

// fields are the values of the tags taken; they point into the file.
type fields struct {
	from, until, number, surname, firstNames []byte
	// chipKey is the SHA-384 of the chip's public key; absent before applet 1.8.
	chipKey []byte
}

var errFile = errors.New("identity file is malformed")

// parseFields walks the simplified TLV of an identity file: one byte of tag, a length of bytes that
// are added up while they are FF, the value; zeros may follow the last. Every tag may occur once.
func parseFields(file []byte) (f fields, err error) {
	if len(file) > maxIdentityFile {
		return f, errFile
	}
	wanted := map[byte]*[]byte{
		tagFrom: &f.from, tagUntil: &f.until, tagNumber: &f.number, tagSurname: &f.surname, tagFirstNames: &f.firstNames, tagChipKey: &f.chipKey,
	}
	var seen [256]bool
	for rest := file; len(rest) > 0; {
		tag := rest[0]
		if tag == tagVersion && len(rest) != len(file) {
			if !zeros(rest) {
				return fields{}, errFile
			}
			break
		}
		value, after, ok := cutValue(rest[1:])
		if !ok || seen[tag] {
			return fields{}, errFile
		}
		seen[tag], rest = true, after
		if into := wanted[tag]; into != nil {
			*into = value
		}
	}
	if f.from == nil || f.until == nil || f.number == nil || f.surname == nil {
		return fields{}, errFile
	}
	if f.chipKey != nil && len(f.chipKey) != sha512.Size384 {
		return fields{}, errFile
	}
	return f, nil
}

// cutValue reads a length and the value that it announces; the value is never nil.
func cutValue(b []byte) (value, rest []byte, ok bool) {
	n := 0
	for len(b) > 0 && b[0] == 0xFF {
		n, b = n+0xFF, b[1:]
	}
	if len(b) == 0 {
		return nil, nil, false
	}
	n, b = n+int(b[0]), b[1:]
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// identity copies what is wanted out of the file.
func (f fields) identity() (i Identity, err error) {
	if i.ValidFrom, err = ParseDate(string(f.from)); err != nil {
		return Identity{}, fmt.Errorf("validity: %w", err)
	}
	if i.ValidUntil, err = ParseDate(string(f.until)); err != nil {
		return Identity{}, fmt.Errorf("validity: %w", err)
	}
	if i.ValidUntil.Before(i.ValidFrom) {
		return Identity{}, fmt.Errorf("validity: ends before it begins")
	}
	if len(f.number) != 11 {
		return Identity{}, ledger.ErrNumberLength
	}
	if i.Number, err = ledger.ParseNationalNumber(string(f.number)); err != nil {
		return Identity{}, fmt.Errorf("national number: %w", err)
	}
	i.Surname, i.FirstNames = string(f.surname), string(f.firstNames)
	if i.Surname == "" || !printable(i.Surname, maxSurname) || !printable(i.FirstNames, maxFirstNames) {
		return Identity{}, errFile
	}
	return i, nil
}

// printable says that a text is UTF-8 of at most limit bytes without control characters.
func printable(text string, limit int) bool {
	if len(text) > limit || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// wipe forgets a file of the card.
func wipe(b []byte) { clear(b[:cap(b)]) }
