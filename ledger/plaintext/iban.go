package plaintext

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// MaxIBAN is the length of the longest account number (ISO 13616), MaxTypedIBAN what is read of a field.
	MaxIBAN, MaxTypedIBAN = 34, 64
	// minIBAN is the shortest: Norway's.
	minIBAN = 15
)

// The reasons why an account number is refused; none repeats what was typed.
var (
	ErrIBANForm    = errors.New("an account number has two letters, two digits, and 11 to 30 letters and digits")
	ErrIBANCountry = errors.New("the account number's first two letters are no country that uses this form")
	ErrIBANLength  = errors.New("the account number is too short or too long for its country: a Belgian one has 16 characters")
	ErrIBANCheck   = errors.New("the account number's check digits do not match: one character is wrong")
)

// lengths are those of the SWIFT IBAN registry, by country.
var lengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24,
	"DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27,
	"GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24,
	"PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25,
	"SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// IBAN is an account number that was checked (ISO 13616). It is printed nowhere: Digits gives it to the pay office.
type IBAN struct{ digits string }

// ParseIBAN reads an account number as people type it, with spaces and in either case: its country's length
// and its check digits (ISO 7064, modulo 97).
func ParseIBAN(text string) (IBAN, error) {
	if len(text) > MaxTypedIBAN {
		return IBAN{}, ErrIBANForm
	}
	text = strings.ToUpper(strings.NewReplacer(" ", "", "\t", "", "\u00a0", "", "\u202f", "", "-", "", ".", "").Replace(text))
	if len(text) < minIBAN || len(text) > MaxIBAN {
		return IBAN{}, ErrIBANForm
	}
	for i, c := range []byte(text) {
		digit, letter := c >= '0' && c <= '9', c >= 'A' && c <= 'Z'
		if i < 2 && !letter || i >= 2 && i < 4 && !digit || !digit && !letter {
			return IBAN{}, ErrIBANForm
		}
	}
	length, known := lengths[text[:2]]
	if !known {
		return IBAN{}, ErrIBANCountry
	}
	if length != len(text) {
		return IBAN{}, ErrIBANLength
	}
	// Check digits are 02 to 98: 00, 01 and 99 would match too.
	if check := text[2:4]; remainder(text) != 1 || check < "02" || check > "98" || text[:2] == "BE" && !belgian(text[4:]) {
		return IBAN{}, ErrIBANCheck
	}
	return IBAN{text}, nil
}

// belgian checks the number of a Belgian account itself: twelve digits, the last two the others modulo 97, or 97.
func belgian(account string) bool {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		return false
	}
	check := n / 100 % 97
	if check == 0 {
		check = 97
	}
	return n%100 == check
}

// remainder is that of the number modulo 97, its first four characters behind the others and letters as 10 to 35.
func remainder(text string) (r int) {
	for _, c := range []byte(text[4:] + text[:4]) {
		if c >= 'A' {
			r = (r*100 + int(c-'A') + 10) % 97
		} else {
			r = (r*10 + int(c-'0')) % 97
		}
	}
	return r
}

// Digits is the account number without spaces, in capitals.
func (a IBAN) Digits() string { return a.digits }

// Format writes "account (withheld)" whatever the verb.
func (IBAN) Format(f fmt.State, _ rune) { io.WriteString(f, "account (withheld)") }

// MarshalText keeps an account out of every text encoding.
func (IBAN) MarshalText() ([]byte, error) { return []byte("account (withheld)"), nil }
