package node

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"pointage/node/register"
)

// Signing is a signatory who puts his name to an act: his sealed key, and what opens it.
type Signing struct {
	// Key is the file of the signatory's key.
	Key        string `json:"key"`
	Passphrase string `json:"passphrase"`
	// sealed is the key itself, where a screen has it instead of a file.
	sealed []byte
}

// maxSignatory is the length of a signatory's file, in bytes.
const maxSignatory = 1 << 16

// signatories are two different persons, the smaller number first.
type signatories [2]register.Signatory

// signatories opens the keys of those who sign.
func (n *Node) signatories(by []Signing) (out signatories, err error) {
	if len(by) != len(out) {
		return out, InputError{errors.New("two persons sign: name two files of signatories' keys")}
	}
	for i, s := range by {
		sealed := s.sealed
		if sealed == nil {
			if sealed, err = readFile(s.Key, maxSignatory); err != nil {
				return out, InputError{err}
			}
		}
		if out[i], err = register.OpenSignatory(bytes.NewReader(sealed), s.Passphrase, n.prepared.binding); err != nil {
			return out, InputError{fmt.Errorf("%s: %w", s.Key, err)}
		}
	}
	slices.SortFunc(out[:], func(a, b register.Signatory) int { return cmp.Compare(a.Number, b.Number) })
	if out[0].Number == out[1].Number {
		return out, InputError{errors.New("two different persons sign: both keys are one person's")}
	}
	return out, nil
}

// sign puts both names to a message.
func (s *signatories) sign(message []byte) (numbers [2]uint16, signatures [2][ed25519.SignatureSize]byte) {
	for i, k := range s {
		numbers[i] = k.Number
		copy(signatures[i][:], ed25519.Sign(ed25519.NewKeyFromSeed(k.Seed[:]), message))
	}
	return numbers, signatures
}
