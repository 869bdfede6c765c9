package eid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"pointage/ledger"
)

// What the card program writes to its standard output: one JSON object a line, of at most MaxLine bytes. The first is
// a hello with the protocol's version; then events, and a sign of life every Pulse at the latest. It reads nothing:
// when its standard input ends, it ends.
const (
	// Version is the protocol's; another one is refused.
	Version = 1
	// MaxLine is the longest line with its line feed, in bytes.
	MaxLine = 4096
	// MaxReaderName is the longest name of a reader that is passed on, in bytes.
	MaxReaderName = 128
	// MaxReaders are watched at a time.
	MaxReaders = 8
)

// Kind is what an event is about.
type Kind uint8

// The kinds of events, in the order in which they come for one card.
const (
	// ReaderPresent: a reader is there; Reader is its name.
	ReaderPresent Kind = 1
	// ReaderGone: it is not any more.
	ReaderGone Kind = 2
	// CardInserted: a card is in it and is being read.
	CardInserted Kind = 3
	// CardRead: Identity is who it belongs to.
	CardRead Kind = 4
	// CardRemoved: the reader is empty.
	CardRemoved Kind = 5
	// Troubled: Trouble says what; about Reader, or about no reader in particular when that is empty.
	Troubled Kind = 6
)

var kindWords = map[Kind]string{
	ReaderPresent: "reader-present", ReaderGone: "reader-gone", CardInserted: "card-inserted", CardRead: "card-read",
	CardRemoved: "card-removed", Troubled: "trouble",
}

// String is the kind's word in the protocol.
func (k Kind) String() string { return kindWords[k] }

// Event is one thing that happened at the readers.
type Event struct {
	Kind Kind
	// Reader names the reader, unique among those present; at most MaxReaderName bytes.
	Reader string
	// Identity is set when Kind is CardRead, Trouble when it is Troubled.
	Identity Identity
	Trouble  Trouble
}

// The words that are no events.
const (
	hello = "hello"
	alive = "alive"
)

// line is the one form of a line.
type line struct {
	Event      string    `json:"event"`
	Version    int       `json:"version,omitempty"`
	Reader     string    `json:"reader,omitempty"`
	Trouble    Trouble   `json:"trouble,omitempty"`
	Number     string    `json:"number,omitempty"`
	Surname    string    `json:"surname,omitempty"`
	FirstNames string    `json:"first_names,omitempty"`
	From       string    `json:"from,omitempty"`
	Until      string    `json:"until,omitempty"`
	Signature  Signature `json:"signature,omitempty"`
	Chip       Chip      `json:"chip,omitempty"`
}

// Hello is the first line of the card program.
func Hello() []byte { return line{Event: hello, Version: Version}.encode() }

// Alive is its sign of life.
func Alive() []byte { return line{Event: alive}.encode() }

// Encode is the event as a line. An event that DecodeEvent would refuse panics: it is never made.
func (e Event) Encode() []byte {
	l := line{Event: e.Kind.String(), Reader: e.Reader, Trouble: e.Trouble}
	if e.Kind == CardRead {
		i := e.Identity
		l.Number, l.Surname, l.FirstNames = i.Number.Digits(), i.Surname, i.FirstNames
		l.From, l.Until, l.Signature, l.Chip = i.ValidFrom.String(), i.ValidUntil.String(), i.Signature, i.Chip
	}
	return l.encode()
}

func (l line) encode() []byte {
	out, err := json.Marshal(l)
	if err != nil || len(out) >= MaxLine {
		panic(fmt.Sprintf("a line of %d bytes, at most %d: %v", len(out), MaxLine, err))
	}
	return append(out, '\n')
}

// errLine never says what the line was: it may hold a person's name.
var errLine = errors.New("card program wrote a line that is none of the protocol's")

// decode reads one line without its line feed.
func decode(text []byte) (l line, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if len(text) >= MaxLine || d.Decode(&l) != nil || d.More() {
		return line{}, errLine
	}
	return l, nil
}

// event is what a line says happened.
func (l line) event() (e Event, err error) {
	for k, word := range kindWords {
		if word == l.Event {
			e.Kind = k
		}
	}
	e.Reader, e.Trouble = l.Reader, l.Trouble
	if e.Kind == 0 || l.Version != 0 || !printable(e.Reader, MaxReaderName) || (e.Trouble != 0) != (e.Kind == Troubled) {
		return Event{}, errLine
	}
	if e.Kind == Troubled && (!e.Trouble.Known() || e.Reader == "" && !e.Trouble.AboutReader()) || e.Kind != Troubled && e.Reader == "" {
		return Event{}, errLine
	}
	if e.Kind != CardRead {
		if l != (line{Event: l.Event, Reader: l.Reader, Trouble: l.Trouble}) {
			return Event{}, errLine
		}
		return e, nil
	}
	if e.Identity, err = l.identity(); err != nil {
		return Event{}, err
	}
	return e, nil
}

func (l line) identity() (Identity, error) {
	f := fields{from: []byte(l.From), until: []byte(l.Until), number: []byte(l.Number), surname: []byte(l.Surname), firstNames: []byte(l.FirstNames)}
	i, err := f.identity()
	if err != nil || l.Signature < ECDSAP384 || l.Signature > RSASHA1 || l.Chip < ChipProven || l.Chip > ChipNotProven || i.Number == (ledger.NationalNumber{}) {
		return Identity{}, errLine
	}
	i.Signature, i.Chip = l.Signature, l.Chip
	return i, nil
}

// DecodeEvent reads a line, without its line feed, that says what happened. The error holds nothing of it.
func DecodeEvent(text []byte) (Event, error) {
	l, err := decode(text)
	if err != nil {
		return Event{}, err
	}
	return l.event()
}
