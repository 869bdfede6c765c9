package eid

import "fmt"

// Trouble is why there is no identity, numbered for ever. Screens translate it; String is English. Each says what
// happened and what to do. It is an answer about a card or a reader, not a fault of the program.
type Trouble uint8

// The troubles. Those below 10 are about readers: typing the number works all the same.
const (
	// NoProgram: the card program is not installed beside the bureau's.
	NoProgram Trouble = 1
	// ProgramFails: the card program ended or spoke nonsense; it is started again.
	ProgramFails Trouble = 2
	// NoService: this machine has no PC/SC library or its service does not run.
	NoService Trouble = 3
	// NoReader: no reader is plugged in.
	NoReader Trouble = 4
	// TooManyReaders: more readers than MaxReaders; the others are not watched.
	TooManyReaders Trouble = 5

	// Unresponsive: something is in the reader that does not answer.
	Unresponsive Trouble = 10
	// NotBelgian: the card is none of Belgium's identity or residence cards.
	NotBelgian Trouble = 11
	// PulledOut: the card left before it was read.
	PulledOut Trouble = 12
	// InUse: another program holds the card.
	InUse Trouble = 13
	// ReaderFails: reader and card lost each other, twice, with the card in.
	ReaderFails Trouble = 14
	// TooSlow: the card was not read within MaxReading.
	TooSlow Trouble = 15

	// Malformed: the card's files are not what the State writes.
	Malformed Trouble = 20
	// Altered: the identity is not the one that the National Register signed.
	Altered Trouble = 21
	// UnknownRegister: signed by something that no pinned Belgian root vouches for.
	UnknownRegister Trouble = 22
	// ChipCopied: the chip answered with a key that is not the issued card's.
	ChipCopied Trouble = 23
	// ChipSilent: the files name the chip's key and the chip does not use it. A copy would do so; so would a
	// card that was asked more than 5,000 times since its holder last gave his PIN.
	ChipSilent Trouble = 24
)

var troubles = map[Trouble]string{
	NoProgram:       "no card program on this machine: type the number",
	ProgramFails:    "the card program failed and is started again: type the number meanwhile",
	NoService:       "this machine's card service (PC/SC) does not run: type the number",
	NoReader:        "no card reader: plug one in, or type the number",
	TooManyReaders:  "too many card readers: unplug those that are not used",
	Unresponsive:    "the card does not answer: chip upwards and first, wipe it, or type the number",
	NotBelgian:      "not a Belgian identity or residence card: type the number of the convocation",
	PulledOut:       "the card was taken out too early: put it in again and leave it",
	InUse:           "another program holds the card: close it and put the card in again",
	ReaderFails:     "the reader lost the card: put it in again, or type the number",
	TooSlow:         "the card takes too long: put it in again, or type the number",
	Malformed:       "the card's contents can't be read: type the number and call the president",
	Altered:         "the card's contents were altered: keep the card on the table and call the president",
	UnknownRegister: "the card is not signed by the National Register: keep it on the table and call the president",
	ChipCopied:      "the chip is a copy of another card's: keep the card on the table and call the president",
	ChipSilent:      "the chip does not prove to be the original: compare the photograph, call the president, type the number",
}

// String says in one English line what happened and what to do.
func (t Trouble) String() string {
	if s, ok := troubles[t]; ok {
		return s
	}
	return fmt.Sprintf("card trouble %d", uint8(t))
}

// Known says that t is one of the numbers above.
func (t Trouble) Known() bool { return troubles[t] != "" }

// AboutReader says that t concerns the reader and not the card in it.
func (t Trouble) AboutReader() bool { return t != 0 && t < Unresponsive }

// Suspect says that the card itself may be forged: the president should see it.
func (t Trouble) Suspect() bool { return t >= Altered }

// Troubles is every trouble, in the order of their numbers.
func Troubles() []Trouble {
	all := make([]Trouble, 0, len(troubles))
	for t := range ChipSilent + 1 {
		if t.Known() {
			all = append(all, t)
		}
	}
	return all
}
