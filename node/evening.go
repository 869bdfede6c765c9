package node

import (
	"context"

	"pointage/ledger"
	"pointage/node/daybook"
)

// Evening is how far this bureau's papers are, and at the principal bureau and its deputy those of the commune.
func (n *Node) Evening(ctx context.Context) (daybook.Evening, error) {
	if err := n.enter(); err != nil {
		return daybook.Evening{}, err
	}
	defer n.acts.RUnlock()
	book, err := n.today(ctx)
	if err != nil {
		return daybook.Evening{}, err
	}
	out := daybook.Evening{
		CheckedIn: book.Declared(n.cfg.Bureau).CheckIns, Last: lastTally(book, n.cfg.Bureau), Own: recordedOf(book, n.cfg.Bureau),
	}
	if !n.leads() {
		return out, nil
	}
	out.Commune = recordedOf(book, 0)
	for _, b := range n.prepared.Commune.Bureaux {
		if b.Number == n.cfg.Bureau {
			continue
		}
		d := book.Declared(b.Number)
		out.Others = append(out.Others, daybook.Paper{
			Bureau: b.Number, Place: n.placeOf(b.Number), Closed: !d.Open && d.Closed != 0, Recorded: recordedOf(book, b.Number) != nil,
		})
	}
	return out, nil
}

func recordedOf(book *daybook.Book, of ledger.BureauNumber) *daybook.Stated {
	r, ok := book.Recorded(of)
	if !ok {
		return nil
	}
	return &r
}

// RecordCommune records the commune's minutes as RecordMinutes does, unless they were recorded another number of times than
// whoever asks has seen: a second press, or the deputy at the same moment, states nothing again.
func (n *Node) RecordCommune(ctx context.Context, seen int) (recorded bool, err error) {
	if err := n.enter(); err != nil {
		return false, err
	}
	defer n.acts.RUnlock()
	n.minuting.Lock()
	defer n.minuting.Unlock()
	if !n.leads() {
		return false, ErrOfOthers
	}
	book, err := n.today(ctx)
	if err != nil {
		return false, err
	}
	if r, _ := book.Recorded(0); r.Times != seen {
		return false, nil
	}
	_, err = n.recordMinutes(ctx, 0)
	return err == nil, err
}
