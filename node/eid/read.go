package eid

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// Card speaks to one card in a reader.
type Card interface {
	// Transmit sends a command and returns the card's answer with its two status bytes, in a buffer that
	// becomes the caller's. An error is about the reader or a card that is gone.
	Transmit(command []byte) ([]byte, error)
	// T0 says that the protocol is T=0, where a command has data or an expected length, not both.
	T0() bool
}

// place is where a file lies on the card.
type place struct {
	path [4]byte
	// certificate: it says itself how long it is, and more than a kilobyte of zeros follows it.
	certificate bool
}

var (
	identityAt  = place{path: [4]byte{0xDF, 0x01, 0x40, 0x31}}
	signatureAt = place{path: [4]byte{0xDF, 0x01, 0x40, 0x32}}
	chipKeyAt   = place{path: [4]byte{0xDF, 0x01, 0x40, 0x40}}
	registerAt  = place{path: [4]byte{0xDF, 0x00, 0x50, 0x3C}, certificate: true}
)

// maxCommands are sent to a card in one reading; a card that wants more is no identity card. Four files of at
// most 7 KiB in steps of 256 bytes need about 40.
const maxCommands = 96

// maxAnswer is the longest answer to a short command: data and status.
const maxAnswer = 256 + 2

// step is how much is read at once; the longest that every reader takes.
const step = 0xF8

// Read reads a card and checks all that can be: an identity, or the trouble. An error is the reader's, from Card; it
// holds nothing of the card's contents. All files are wiped before Read returns.
func Read(card Card, roots Roots) (Identity, Trouble, error) {
	return read(card, roots, &Files{
		Identity: make([]byte, 0, maxIdentityFile), Signature: make([]byte, 0, maxSignatureFile),
		Register: make([]byte, 0, maxCertificate), ChipKey: make([]byte, 0, maxKeyFile),
	})
}

// read reads into files that have room and no content yet, and wipes them.
func read(card Card, roots Roots, f *Files) (Identity, Trouble, error) {
	r := reading{card: card}
	defer f.wipe()
	for _, file := range []struct {
		into *[]byte
		at   place
	}{{&f.Identity, identityAt}, {&f.Signature, signatureAt}, {&f.Register, registerAt}} {
		if trouble, err := r.file(file.at, file.into); err != nil || trouble != 0 {
			return Identity{}, trouble, err
		}
	}
	if found, err := parseFields(f.Identity); err == nil && found.chipKey != nil {
		trouble, err := r.file(chipKeyAt, &f.ChipKey)
		if trouble == NotBelgian { // the signed file names a key that the card hasn't
			trouble = ChipSilent
		}
		if err != nil || trouble != 0 {
			return Identity{}, trouble, err
		}
	}
	id, key, trouble := Verify(*f, roots)
	if trouble != 0 || key == nil {
		return id, trouble, nil
	}
	challenge := make([]byte, challengeSize)
	rand.Read(challenge)
	answer, ok, err := r.authenticate(challenge)
	switch {
	case err != nil:
		return Identity{}, 0, err
	case !ok:
		return Identity{}, ChipSilent, nil
	case !answers(key, challenge, answer):
		return Identity{}, ChipCopied, nil
	}
	id.Chip = ChipProven
	return id, 0, nil
}

// reading is one card being read; it belongs to the goroutine that reads.
type reading struct {
	card     Card
	commands int
}

// The status words that are told apart (ISO 7816-4).
const (
	statusDone       = 0x9000
	statusPastTheEnd = 0x6B00
	statusMore       = 0x6100
	statusWrongLe    = 0x6C00
)

// aid is the card's application, selected by name where it is not the one that is selected by itself.
var aid = []byte{0xA0, 0x00, 0x00, 0x01, 0x77, 0x50, 0x4B, 0x43, 0x53, 0x2D, 0x31, 0x35}

var errCut = errors.New("the answer is none of a card's")

// send is one command and its answer without the status.
func (r *reading) send(command []byte) (data []byte, status uint16, err error) {
	if r.commands++; r.commands > maxCommands {
		return nil, 0, nil
	}
	answer, err := r.card.Transmit(command)
	if err != nil {
		return nil, 0, fmt.Errorf("send a command: %w", err)
	}
	// No card says so little or so much. When it leaves under a command, readers' software gives an answer of no
	// length, or its whole empty buffer.
	if len(answer) < 2 || len(answer) > maxAnswer {
		return nil, 0, errCut
	}
	n := len(answer) - 2
	return answer[:n], uint16(answer[n])<<8 | uint16(answer[n+1]), nil
}

// file selects a file and reads it whole.
func (r *reading) file(at place, into *[]byte) (Trouble, error) {
	choose := append([]byte{0x00, 0xA4, 0x08, 0x0C, 6, 0x3F, 0x00}, at.path[:]...)
	_, status, err := r.send(choose)
	if err == nil && status != statusDone {
		if _, _, err = r.send(append([]byte{0x00, 0xA4, 0x04, 0x0C, byte(len(aid))}, aid...)); err == nil {
			_, status, err = r.send(choose)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("select a file: %w", err)
	}
	if status != statusDone {
		return NotBelgian, nil
	}
	return r.content(at, into)
}

// content reads the file that is selected. It never grows what it reads into, so that wiping that wipes all of it.
func (r *reading) content(at place, into *[]byte) (Trouble, error) {
	limit := cap(*into)
	for le := byte(step); len(*into) < limit; {
		n := len(*into)
		data, status, err := r.send([]byte{0x00, 0xB0, byte(n >> 8), byte(n), le})
		if err != nil {
			return 0, fmt.Errorf("read a file: %w", err)
		}
		last := le != step
		switch {
		case status == statusDone && len(data) > 0 && len(data) <= limit-n:
			*into = append(*into, data...)
			wipe(data)
			if last || at.certificate && whole(*into) {
				return 0, nil
			}
		case status&0xFF00 == statusWrongLe && !last && 0 < byte(status) && byte(status) < step:
			le = byte(status)
		case status == statusPastTheEnd && n > 0:
			return 0, nil
		default:
			wipe(data)
			return Malformed, nil
		}
	}
	return Malformed, nil
}

// whole says that a certificate has been read to its end.
func whole(file []byte) bool {
	return len(file) > 4 && file[0] == 0x30 && file[1] == 0x82 && 4+int(file[2])<<8+int(file[3]) <= len(file)
}

// authenticate has the chip sign a challenge with its basic key (INTERNAL AUTHENTICATE, applet 1.8); not ok means
// that it would not. It is asked once: a genuine chip counts how often.
func (r *reading) authenticate(challenge []byte) (answer []byte, ok bool, err error) {
	command := append([]byte{0x00, 0x88, 0x02, 0x81, byte(2 + len(challenge)), 0x94, byte(len(challenge))}, challenge...)
	if !r.card.T0() {
		command = append(command, 2*challengeSize)
	}
	answer, status, err := r.send(command)
	if err == nil && status&0xFF00 == statusMore { // T=0: what there is to fetch
		answer, status, err = r.send([]byte{0x00, 0xC0, 0x00, 0x00, byte(status)})
	}
	if err != nil {
		return nil, false, fmt.Errorf("challenge the chip: %w", err)
	}
	return answer, status == statusDone, nil
}
