// Package eid reads the Belgian identity card of an elector who stands at the table: who he is, by the
// National Register's own signature, and whether the chip is the one that was issued.
//
// The reading itself (Read) is pure and takes any way to speak to a card. Readers are a process of their
// own, node/cmd/pointage-card, because PC/SC's library is a C one; Watch starts that process, looks after it
// and hands its events on. Everything here works without it.
//
// Of the identity file only validity (03, 04), number (06) and names (07, 08) are taken, and 1A, the
// digest of the chip's key, to be compared. Address and photograph are never read. The card's files are wiped
// from memory as soon as they are judged; what remains is the event.
//
// Sources: FPS Home Affairs, "Belgian Electronic Identity Card content" v5.4, "ID and Address file contents"
// v5.0, and "Belpic V1.8 Reference manual".
package eid

import (
	"fmt"
	"io"
	"time"

	"pointage/ledger"
)

// Identity is what a card says of its holder, after all that can be checked was checked. It prints
// itself as "(an identity)" whatever the verb; its fields are for the register and the screen.
type Identity struct {
	Number ledger.NationalNumber
	// Surname is at most 110 bytes, FirstNames (the first two, or none) at most 95; UTF-8.
	Surname, FirstNames string
	// ValidFrom and ValidUntil are the card's first and last day.
	ValidFrom, ValidUntil Date
	// Signature says with which algorithm the National Register signed. It held, or there is no Identity.
	Signature Signature
	// Chip says whether the chip proved to be the one issued. A chip that failed to yields no Identity.
	Chip Chip
}

// Expired says that the card's last day is over, on the day that now is in its own location. An expired card
// still says who its holder is; whether that is enough is the president's to decide.
func (i Identity) Expired(now time.Time) bool { return i.ValidUntil.Before(DateOf(now)) }

// NotYetValid says that the card's first day has not come, which a clock that is wrong says of good cards.
func (i Identity) NotYetValid(now time.Time) bool { return DateOf(now).Before(i.ValidFrom) }

// String is always "(an identity)".
func (Identity) String() string { return withheld }

// Format writes "(an identity)" whatever the verb, so that nobody is printed by accident.
func (Identity) Format(f fmt.State, _ rune) { io.WriteString(f, withheld) }

// MarshalText is always "(an identity)": it keeps encoders and loggers from the fields.
func (Identity) MarshalText() ([]byte, error) { return []byte(withheld), nil }

const withheld = "(an identity)"

// Signature is the algorithm of the National Register's signature. The numbers are for ever.
type Signature uint8

const (
	// ECDSAP384 with SHA-384: applet 1.8, cards since 2021.
	ECDSAP384 Signature = 1
	// RSASHA256 and RSASHA1: applet 1.7 and before. SHA-1 is taken because what it protects was written by the
	// State: a forger would need a second text for a given digest, not two texts of his own.
	RSASHA256 Signature = 2
	RSASHA1   Signature = 3
)

// Chip says what is known of the chip. The numbers are for ever.
type Chip uint8

const (
	// ChipProven: the chip signed our challenge with the key that the National Register's signature names.
	ChipProven Chip = 1
	// ChipNotProven: applet 1.7 and before name no key, so that a copy of the files can't be told from the card.
	ChipNotProven Chip = 2
)

// Date is a day of the calendar.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is t's day in t's location.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// ParseDate reads DD.MM.YYYY, the form on the card.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(dateForm, text)
	if err != nil {
		return Date{}, fmt.Errorf("read a date: not DD.MM.YYYY")
	}
	return DateOf(t), nil
}

const dateForm = "02.01.2006"

// Before says that d is an earlier day than e.
func (d Date) Before(e Date) bool { return d.start().Before(e.start()) }

// String is DD.MM.YYYY.
func (d Date) String() string { return d.start().Format(dateForm) }

// start is the beginning of the day in UTC, good for comparing days and certificates alike.
func (d Date) start() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }
