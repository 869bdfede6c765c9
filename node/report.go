package node

import (
	"context"
	"net/http"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
)

// Report is the reconciliation over all that this bureau knows: the ledger's entries, the
// chains that peers told, and what was read from media. At the principal bureau, with every
// bureau's media imported, it is the commune's.
func (n *Node) Report(ctx context.Context) (*reconciliation.Report, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	u := reconciliation.NewUnion(n.prepared.Group)
	for ref := uint64(0); ; ref++ {
		at, raw, err := n.store.Next(ref)
		switch {
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if raw == nil {
			break
		}
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return nil, err
		}
		var b *ledger.Batch
		if e.Kind != ledger.GenesisEntry {
			if b, err = ledger.DecodeBatch(e.Batch); err != nil {
				return nil, err
			}
		}
		u.Entry(at, e, b)
		ref = at
	}
	for _, b := range n.heads.Load().Known() {
		u.Add(b)
	}
	own, err := n.book.Backlog(maxBacklog)
	if err != nil {
		return nil, err
	}
	for _, b := range own {
		u.Add(b)
	}
	return u.Report(), nil
}

// maxBacklog is how many of this bureau's own batches without a place are looked at.
const maxBacklog = 1 << 16

func (a *api) report(r *http.Request) (any, error) { return a.node.Report(r.Context()) }
