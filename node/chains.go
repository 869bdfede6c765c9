package node

import (
	"context"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/node/heads"
)

// relayTimeout bounds the proposal of another author's batch.
const relayTimeout = 2 * time.Second

// startHeads begins to exchange chains with the other bureaux, outside the group.
func (n *Node) startHeads(Options) error {
	self := ledger.Member{Bureau: n.cfg.Bureau, Incarnation: n.keys.Incarnation}
	h := heads.Start(heads.Config{
		Group: n.prepared.Group, Self: self, Peers: others{n}, Ledger: n.store, Own: n.book, Logger: n.log,
		Sign: func(at ledger.ChainHead) *ledger.Word {
			return ledger.SignApplied(n.secrets.Device, n.prepared.Group, self, at)
		},
		Learned: n.learned, Record: n.book.Record, Relay: n.relay, Again: n.book.Again,
	})
	n.heads.Store(h)
	for protocol, answer := range map[string]func([]byte) []byte{
		protocolHeads: h.AnswerHeads, protocolChain: h.AnswerChain, protocolApplied: h.AnswerApplied, protocolClock: n.answerClock,
	} {
		a, err := serve(n.host, protocol, func(_ string, q []byte) []byte { return answer(q) })
		if err != nil {
			return err
		}
		n.chains = append(n.chains, a)
	}
	return nil
}

// learned takes what another bureau's chain brings to this table.
func (n *Node) learned(b *ledger.Batch) {
	if b.Header.Author.Bureau != n.cfg.Bureau {
		n.book.Learned(b)
	}
}

// relay proposes another author's batch, where this machine leads.
func (n *Node) relay(ctx context.Context, b *ledger.Batch) bool {
	if !n.group.Load().IsLeader() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	// Without an answer it is proposed again at the next turn.
	_, err := n.group.Load().Propose(ctx, b.Encode())
	return err == nil
}

// connected lists the other bureaux that can be reached.
func (n *Node) connected() (out []ledger.BureauNumber) {
	for _, id := range n.host.Connected() {
		if b, ok := n.peers.bureau[id]; ok && b != n.cfg.Bureau {
			out = append(out, b)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// others are the other bureaux, as heads asks them.
type others struct{ n *Node }

// Connected implements heads.Peers.
func (o others) Connected() []ledger.BureauNumber { return o.n.connected() }

// AskHeads implements heads.Peers.
func (o others) AskHeads(ctx context.Context, b ledger.BureauNumber, q []byte) ([]byte, error) {
	return o.n.peers.ask(ctx, b, protocolHeads, q)
}

// AskChain implements heads.Peers.
func (o others) AskChain(ctx context.Context, b ledger.BureauNumber, q []byte) ([]byte, error) {
	return o.n.peers.ask(ctx, b, protocolChain, q)
}

// AskApplied implements heads.Peers.
func (o others) AskApplied(ctx context.Context, b ledger.BureauNumber, q []byte) ([]byte, error) {
	return o.n.peers.ask(ctx, b, protocolApplied, q)
}

// known is the ledger with what the chains of other bureaux tell beyond it.
type known struct{ n *Node }

// Admissions implements pollbook.View.
func (k known) Admissions(x ledger.Right) []ledger.LiveAdmission {
	as := k.n.store.Admissions(x)
	if h := k.n.heads.Load(); h != nil {
		as = append(as, h.Admissions(x)...)
	}
	return as
}

// Answer implements pollbook.View.
func (k known) Answer(b *ledger.Batch) (ledger.Answer, bool) { return k.n.store.Answer(b) }
