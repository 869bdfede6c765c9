package node

import (
	"context"

	"pointage/ledger"
)

// tellAgain tells the pollbook what the ledger holds of rights that are on their way to this
// bureau. The store tells of an entry once, when it is placed: before the pollbook was there, or just
// before a crash, that is nobody, and the bureau that sent the message may be down now. What
// the pollbook has taken meanwhile has no effect a second time.
func (n *Node) tellAgain(ctx context.Context) {
	h := n.store.Head()
	end := ledger.Reference(h.Epoch, h.Size)
	for ref := uint64(0); ctx.Err() == nil; ref++ {
		at, raw, err := n.store.Next(ref)
		if err != nil {
			n.log.Error("the ledger can't be read through at the start", "entry", ledger.EntryName(ref), "err", err)
			return
		}
		if raw == nil || at >= end {
			return
		}
		ref = at
		e, err := ledger.DecodeEntry(raw)
		if err != nil || e.Kind != ledger.BatchEntry {
			continue
		}
		b, err := ledger.DecodeBatch(e.Batch)
		if err == nil && n.onItsWay(b) {
			n.book.Placed([]ledger.PlacedEntry{{Entry: e, Encoded: raw, Batch: b}})
		}
	}
}

// onItsWay says that a batch brings this bureau a right which its own chain, as the ledger has it,
// does not show as arrived.
func (n *Node) onItsWay(b *ledger.Batch) bool {
	for _, s := range b.Statements {
		switch body := s.Body.(type) {
		case *ledger.Return:
			if r, err := n.store.Record(n.cfg.Bureau, body.Right); err == nil && r.State == ledger.Released && r.Nonce == body.Nonce && r.To == b.Header.Author.Bureau {
				return true
			}
		case *ledger.Release:
			if body.To != n.cfg.Bureau {
				continue
			}
			if r, err := n.store.Record(n.cfg.Bureau, body.Right); err == nil && r.State == ledger.None && body.Nonce >= r.Nonce {
				return true
			}
		}
	}
	return false
}
