package node

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"pointage/consensus"
	"pointage/ledger"
	"pointage/ledger/rights"
)

// peers passes the messages of the rights protocol between bureaux.
type peers struct {
	net Network
	// id is each bureau's peer ID, bureau the way back.
	id     map[ledger.BureauNumber]string
	bureau map[string]ledger.BureauNumber
}

// Send implements pollbook.Peers.
func (p *peers) Send(ctx context.Context, to ledger.BureauNumber, m rights.Message) error {
	id, ok := p.id[to]
	if !ok {
		return fmt.Errorf("no machine of bureau %d is known", to)
	}
	_, err := question(ctx, p.net, id, protocolRights, encodeMessage(m))
	return err
}

// encodeMessage: struct { uint8 kind; Right right; uint16 by; opaque extract<0..2^16-1>; }.
func encodeMessage(m rights.Message) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(m.Kind))
	b.AddBytes(m.Right.Elector[:])
	b.AddUint8(uint8(m.Right.Kind))
	b.AddUint16(uint16(m.By))
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(m.Extract) })
	return b.BytesOrPanic()
}

var errMessage = errors.New("malformed message")

func decodeMessage(in []byte) (rights.Message, error) {
	s := cryptobyte.String(in)
	var kind, right uint8
	var by uint16
	var m rights.Message
	var extract cryptobyte.String
	ok := s.ReadUint8(&kind) && s.CopyBytes(m.Right.Elector[:]) && s.ReadUint8(&right) && s.ReadUint16(&by) && s.ReadUint16LengthPrefixed(&extract)
	m.Kind, m.Right.Kind, m.By = rights.MessageKind(kind), ledger.RightKind(right), ledger.BureauNumber(by)
	if !ok || !s.Empty() || len(extract) > ledger.MaxExtract || m.Right.Kind != ledger.Admit && m.Right.Kind != ledger.Carry {
		return rights.Message{}, errMessage
	}
	m.Extract = extract
	return m, nil
}

// proposer gives batches to the group.
type proposer struct{ group *consensus.Group }

// Propose implements pollbook.Proposer.
func (p proposer) Propose(ctx context.Context, batch []byte) (*ledger.Answer, error) {
	reply, err := p.group.Propose(ctx, batch)
	if err != nil {
		return nil, err
	}
	return ledger.DecodeAnswer(reply)
}

// Linked implements pollbook.Proposer.
func (p proposer) Linked() bool {
	_, ok := p.group.Leader()
	return ok
}
