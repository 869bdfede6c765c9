package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxNumberText is the longest text, in bytes, that is read as a national or a
// convocation number: eleven digits with generous separators.
const MaxNumberText = 48

// MaxConvocationSerial is the largest serial of a convocation number: five
// digits, hence at most 100,000 numbers a commune (decree, article 1 §2).
const MaxConvocationSerial = 99_999

// withheld stands for a number wherever one is printed by accident. The
// numbers' own digits are only had by asking for them (Digits, Printed).
const withheld = "(withheld)"

// Why a text is not a national or a convocation number. None of these errors
// repeats the text: they may be logged.
var (
	ErrNumberText        = errors.New("only digits, spaces, points, hyphens and slashes may stand in a number")
	ErrNumberLength      = errors.New("wrong count of digits")
	ErrNumberDate        = errors.New("the first six digits are no date of birth")
	ErrNumberCheckDigits = errors.New("the check digits do not match")
	ErrNumberCommune     = errors.New("the number belongs to another commune")
	ErrNumberSerial      = errors.New("the serial is above 99999")
	ErrNumberVariant     = errors.New("unknown method of check digits")
)

// NationalNumber identifies a person in the Belgian National Register:
// YYMMDD SSS CC, eleven digits with two check digits (royal decree of 3 April
// 1984). Its zero value is no number. Values compare with == and order as
// their digits do.
//
// It never prints itself: every fmt verb and every text encoding gives
// "(withheld)". It is held as bytes so that a print of an enclosing struct's
// unexported field shows no digits either.
type NationalNumber struct{ value [5]byte }

// ParseNationalNumber reads eleven digits, with or without the separators that
// people type (spaces, points, hyphens, slashes). It accepts births of both
// centuries, bis numbers (month + 20 or + 40) and unknown dates (zeros: with
// month 00 the day is a mere counter). The errors are ErrNumberText,
// ErrNumberLength, ErrNumberDate and ErrNumberCheckDigits.
func ParseNationalNumber(text string) (NationalNumber, error) {
	value, err := numberDigits(text, 11)
	if err != nil {
		return NationalNumber{}, err
	}
	return NationalNumberOf(value)
}

// NationalNumberOf is ParseNationalNumber for the eleven digits as one number.
func NationalNumberOf(value uint64) (NationalNumber, error) {
	if value >= 1e11 {
		return NationalNumber{}, ErrNumberLength
	}
	body, check := value/100, value%100
	if check != NationalCheckDigits(body, false) && check != NationalCheckDigits(body, true) {
		return NationalNumber{}, ErrNumberCheckDigits
	}
	month, day := value/1e7%100, value/1e5%100
	if month > 52 || month%20 > 12 || day > 31 {
		return NationalNumber{}, ErrNumberDate
	}
	return NationalNumber{[5]byte{byte(value >> 32), byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}}, nil
}

// NationalCheckDigits is 97 - (n mod 97), in 1..97, where n is the nine digits
// of body, preceded by a 2 for a birth from 2000 on.
func NationalCheckDigits(body uint64, from2000 bool) uint64 {
	if from2000 {
		body += 2_000_000_000
	}
	return 97 - body%97
}

// IsZero says whether n is the zero value, which is no number.
func (n NationalNumber) IsZero() bool { return n == NationalNumber{} }

// Uint64 is the eleven digits as one number.
func (n NationalNumber) Uint64() uint64 {
	v := n.value
	return uint64(v[0])<<32 | uint64(v[1])<<24 | uint64(v[2])<<16 | uint64(v[3])<<8 | uint64(v[4])
}

// Digits is the eleven digits, for an HMAC, a sealed file or a screen; never
// for a log.
func (n NationalNumber) Digits() string { return fmt.Sprintf("%011d", n.Uint64()) }

// Printed is the form on an identity card, YY.MM.DD-SSS.CC.
func (n NationalNumber) Printed() string {
	d := n.Digits()
	return d[:2] + "." + d[2:4] + "." + d[4:6] + "-" + d[6:9] + "." + d[9:]
}

// BirthYear is the year of birth; the check digits decide the century, since
// no number fits both. It is unknown when year and month are all zeros.
func (n NationalNumber) BirthYear() (year int, known bool) {
	value := n.Uint64()
	year = 1900 + int(value/1e9)
	if value%100 == NationalCheckDigits(value/100, true) {
		year += 100
	}
	return year, !n.IsZero() && value/1e7 != 0
}

// IsBis says whether n was given to somebody who is not in the National
// Register itself (month + 20 or + 40).
func (n NationalNumber) IsBis() bool { return n.Uint64()/1e7%100 >= 20 }

// IsUnassigned says whether the serial is 000 or 999, which lie outside the
// ranges that are given to people: such an elector is synthetic and has no
// place in a live election.
func (n NationalNumber) IsUnassigned() bool {
	serial := n.Uint64() / 100 % 1000
	return serial == 0 || serial == 999
}

// Compare orders national numbers as their digits do.
func (n NationalNumber) Compare(m NationalNumber) int { return bytes.Compare(n.value[:], m.value[:]) }

// String is always "(withheld)".
func (NationalNumber) String() string { return withheld }

// Format writes "(withheld)" whatever the verb, so that no number is printed
// by accident.
func (NationalNumber) Format(f fmt.State, _ rune) { io.WriteString(f, withheld) }

// MarshalText is always "(withheld)": a number enters a file only by its
// owner's own encoding.
func (NationalNumber) MarshalText() ([]byte, error) { return []byte(withheld), nil }

// Modulo97 is the method of a convocation number's check digits. The decree
// says "modulo 97" and no more; the manifest names the one in use. The values
// are numbered for ever.
type Modulo97 uint8

const (
	// Complement: 97 - (n mod 97), in 1..97, as for national numbers.
	Complement Modulo97 = 1
	// Remainder: n mod 97, 97 in place of 0, as for bank accounts.
	Remainder Modulo97 = 2
)

// CheckDigits is the two check digits of n (1..97), or 0 for an unknown method.
func (m Modulo97) CheckDigits(n uint32) uint32 {
	switch {
	case m == Complement:
		return 97 - n%97
	case m == Remainder && n%97 == 0:
		return 97
	case m == Remainder:
		return n % 97
	}
	return 0
}

// String is "complement" or "remainder", as prepared lists and manifests name
// the method.
func (m Modulo97) String() string {
	switch m {
	case Complement:
		return "complement"
	case Remainder:
		return "remainder"
	}
	return fmt.Sprintf("modulo97(%d)", uint8(m))
}

// ConvocationNumber is an elector's number for one election: the last two
// digits of the commune's INS code, a serial of five digits and two check
// digits (decree, article 1 §2). Its zero value is no number. Values compare
// with ==. Like a national number it never prints itself.
type ConvocationNumber struct{ value [4]byte }

// NewConvocationNumber builds the number of a commune (INS code) and a serial
// (0..99999). The errors are ErrNumberSerial and ErrNumberVariant.
func NewConvocationNumber(commune Commune, serial uint32, method Modulo97) (ConvocationNumber, error) {
	if serial > MaxConvocationSerial {
		return ConvocationNumber{}, ErrNumberSerial
	}
	body := uint32(commune)%100*100_000 + serial
	check := method.CheckDigits(body)
	if check == 0 {
		return ConvocationNumber{}, ErrNumberVariant
	}
	return convocationNumber(body*100 + check), nil
}

// ParseConvocationNumber reads nine digits, with or without separators, and
// checks them by the given method. The errors are ErrNumberText,
// ErrNumberLength, ErrNumberVariant and ErrNumberCheckDigits.
func ParseConvocationNumber(text string, method Modulo97) (ConvocationNumber, error) {
	value, err := numberDigits(text, 9)
	if err != nil {
		return ConvocationNumber{}, err
	}
	return ConvocationNumberOf(uint32(value), method)
}

// ConvocationNumberOf is ParseConvocationNumber for the nine digits as one
// number.
func ConvocationNumberOf(value uint32, method Modulo97) (ConvocationNumber, error) {
	if value >= 1e9 {
		return ConvocationNumber{}, ErrNumberLength
	}
	switch method.CheckDigits(value / 100) {
	case 0:
		return ConvocationNumber{}, ErrNumberVariant
	case value % 100:
		return convocationNumber(value), nil
	}
	return ConvocationNumber{}, ErrNumberCheckDigits
}

func convocationNumber(v uint32) ConvocationNumber {
	return ConvocationNumber{[4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}}
}

// IsZero says whether c is the zero value, which is no number.
func (c ConvocationNumber) IsZero() bool { return c == ConvocationNumber{} }

// Uint32 is the nine digits as one number.
func (c ConvocationNumber) Uint32() uint32 {
	v := c.value
	return uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3])
}

// Serial is the five digits given by the commune.
func (c ConvocationNumber) Serial() uint32 { return c.Uint32() / 100 % 100_000 }

// IsOf says whether c begins with the last two digits of the commune's INS
// code.
func (c ConvocationNumber) IsOf(commune Commune) bool {
	return c.Uint32()/10_000_000 == uint32(commune)%100
}

// Digits is the nine digits, for a sealed file or a screen; never for a log.
func (c ConvocationNumber) Digits() string { return fmt.Sprintf("%09d", c.Uint32()) }

// Printed is the form on a letter of convocation: "14 00123 45".
func (c ConvocationNumber) Printed() string {
	d := c.Digits()
	return d[:2] + " " + d[2:7] + " " + d[7:]
}

// Compare orders convocation numbers as their digits do.
func (c ConvocationNumber) Compare(d ConvocationNumber) int {
	return bytes.Compare(c.value[:], d.value[:])
}

// String is always "(withheld)".
func (ConvocationNumber) String() string { return withheld }

// Format writes "(withheld)" whatever the verb.
func (ConvocationNumber) Format(f fmt.State, _ rune) { io.WriteString(f, withheld) }

// MarshalText is always "(withheld)".
func (ConvocationNumber) MarshalText() ([]byte, error) { return []byte(withheld), nil }

// Token is the name under which an elector stands in the ledger:
// HMAC-SHA-256(key, the eleven digits of the national number). The key is
// random, one per commune and election, and lies only inside sealed registers:
// whoever has it can try all national numbers.
func Token(key [32]byte, n NationalNumber) ElectorToken { return Tokens(key)(n) }

// Tokens is Token for many numbers in turn, at half the price. What it returns is for one goroutine.
func Tokens(key [32]byte) func(NationalNumber) ElectorToken {
	mac := hmac.New(sha256.New, key[:])
	return func(n NationalNumber) (token ElectorToken) {
		mac.Reset()
		io.WriteString(mac, n.Digits())
		mac.Sum(token[:0])
		return token
	}
}

// numberSeparators are what people and scanners put between the digits: space,
// tab, no-break spaces, point, slash, and the hyphens that word processors make.
const numberSeparators = " \t\u00a0\u202f./-\u2010\u2011\u2013"

// numberDigits is the value of a text of exactly want digits and separators.
func numberDigits(text string, want int) (uint64, error) {
	if len(text) > MaxNumberText {
		return 0, ErrNumberLength
	}
	var value uint64
	count := 0
	for _, r := range text {
		switch {
		case '0' <= r && r <= '9':
			if count++; count > want {
				return 0, ErrNumberLength
			}
			value = value*10 + uint64(r-'0')
		case !strings.ContainsRune(numberSeparators, r):
			return 0, ErrNumberText
		}
	}
	if count != want {
		return 0, ErrNumberLength
	}
	return value, nil
}
