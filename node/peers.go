package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/rights"
	"pointage/transport"
)

// peers are the machines of the commune's bureaux, and pass the messages of the rights
// protocol between them.
type peers struct {
	net *transport.Host
	// machines are each bureau's peer IDs, by incarnation; bureau is the way back.
	machines map[ledger.BureauNumber][]string
	bureau   map[string]ledger.BureauNumber
}

// newPeers lists the machines of a commune.
func newPeers(c *election.Commune) (*peers, error) {
	p := &peers{machines: map[ledger.BureauNumber][]string{}, bureau: map[string]ledger.BureauNumber{}}
	for _, b := range c.Bureaux {
		for _, k := range b.Keys {
			id, err := transport.PeerID(k.Device)
			if err != nil {
				return nil, fmt.Errorf("bureau %d: %w", b.Number, err)
			}
			p.machines[b.Number], p.bureau[id] = append(p.machines[b.Number], id), b.Number
		}
	}
	return p, nil
}

// relays are the peer IDs of the bureaux that the configuration names as relays.
func (p *peers) relays(bureaux []ledger.BureauNumber) (ids []string, err error) {
	for _, b := range bureaux {
		if len(p.machines[b]) == 0 {
			return nil, InputError{fmt.Errorf(`"relays" names bureau %d, which the commune does not have: give the numbers of its own bureaux`, b)}
		}
		ids = append(ids, p.machines[b]...)
	}
	return ids, nil
}

// first is the peer ID of a bureau's first machine: the one that is in the group from its
// beginning.
func (p *peers) first(b ledger.BureauNumber) string { return p.machines[b][0] }

// at is the bureau's machine to speak to: the newest one that is connected, or its first.
func (p *peers) at(b ledger.BureauNumber) (id string, ok bool) {
	ids := p.machines[b]
	if len(ids) == 0 {
		return "", false
	}
	up := p.net.Connected()
	for _, id := range slices.Backward(ids) {
		if slices.Contains(up, id) {
			return id, true
		}
	}
	return ids[0], true
}

// ask puts a question to a bureau.
func (p *peers) ask(ctx context.Context, b ledger.BureauNumber, protocol string, q []byte) ([]byte, error) {
	id, ok := p.at(b)
	if !ok {
		return nil, fmt.Errorf("no machine of bureau %d is known", b)
	}
	return question(ctx, p.net, id, protocol, q)
}

// Send implements pollbook.Peers.
func (p *peers) Send(ctx context.Context, to ledger.BureauNumber, m rights.Message) error {
	_, err := p.ask(ctx, to, protocolRights, encodeMessage(m))
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

// proposer gives batches to the present epoch's group.
type proposer struct{ n *Node }

// Propose implements pollbook.Proposer.
func (p proposer) Propose(ctx context.Context, batch []byte) (*ledger.Answer, error) {
	reply, err := p.n.group.Load().Propose(ctx, batch)
	if err != nil {
		return nil, err
	}
	return ledger.DecodeAnswer(reply)
}

// Linked implements pollbook.Proposer.
func (p proposer) Linked() bool {
	_, ok := p.n.group.Load().Leader()
	return ok
}
