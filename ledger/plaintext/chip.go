package plaintext

import (
	"pointage/ledger"
)

// maxSequence is the largest sequence number of a statement (SPEC 1.3).
const maxSequence = 1 << 62

// ChipNotProven says of one admission by card that the card's chip did not prove to be the one that was issued: a card of an
// applet that names no key. It is the one incident whose content is not sealed: it names what the admission itself names,
// so that whoever holds an export can count.
type ChipNotProven struct {
	Bureau ledger.BureauNumber
	// Record is the bureau's admission, proxy admission or provisional one, by card.
	Record ledger.StatementID
	// Elector is who was admitted by it: of a proxy the principal, though the card was the holder's.
	Elector ledger.ElectorToken
}

// Encode: struct { uint8 kind = 7; Bureau bureau; SessionID session; uint64 sequence; Token elector; }.
func (c *ChipNotProven) Encode() []byte {
	b := begin(kindChipNotProven, c.Bureau)
	b.AddBytes(c.Record.Session[:])
	b.AddUint64(c.Record.Sequence)
	b.AddBytes(c.Elector[:])
	return b.BytesOrPanic()
}

// DecodeChipNotProven reads what Encode writes.
func DecodeChipNotProven(in []byte) (*ChipNotProven, error) {
	c := &ChipNotProven{}
	s, ok := open(in, kindChipNotProven, &c.Bureau)
	if !ok || !s.CopyBytes(c.Record.Session[:]) || !s.ReadUint64(&c.Record.Sequence) || !s.CopyBytes(c.Elector[:]) || !s.Empty() ||
		c.Record.Sequence > maxSequence {
		return nil, ErrForm
	}
	return c, nil
}
