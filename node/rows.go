package node

import (
	"fmt"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node/journal"
	"pointage/node/web"
)

// maxRows is how many of this bureau's check-ins are kept for its screens; older ones stay in the chain alone.
const maxRows = 8192

// rows are this bureau's check-ins in their order, read on from its own chain when a screen asks.
type rows struct {
	mu sync.Mutex
	// begun says that the chain of the machine before was read.
	begun  bool
	cursor journal.Cursor
	list   []*ownRow
	by     map[ledger.StatementID]*ownRow
	// statements counts all of the chain, done what was ever done to electors; opened and closed say what it declared last.
	statements     uint64
	done           web.Done
	opened, closed bool
}

// ownRow is one check-in.
type ownRow struct {
	web.Row
	elector ledger.ElectorToken
	// batch is kept until the group has placed it.
	batch *ledger.Batch
}

// readLocked reads the chain on; rows.mu is held.
func (n *Node) readLocked(r *rows) error {
	take := func(b *ledger.Batch, exact []ledger.Instant) { n.takeRows(r, b, exact) }
	if !r.begun {
		r.by = map[ledger.StatementID]*ownRow{}
		if err := n.journal.Inherited(func(b *ledger.Batch, exact []ledger.Instant) error { take(b, exact); return nil }); err != nil {
			return fmt.Errorf("read the machine before: %w", err)
		}
		r.begun = true
	}
	for {
		read := 0
		if err := n.journal.FromExact(r.cursor, readAtATime, func(b *ledger.Batch, exact []ledger.Instant) { take(b, exact); read++ }); err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		r.cursor += journal.Cursor(read)
		if read < readAtATime {
			return nil
		}
	}
}

// takeRows takes one batch of the chain into the rows.
func (n *Node) takeRows(r *rows, b *ledger.Batch, exact []ledger.Instant) {
	for i, s := range b.Statements {
		r.statements++
		row := web.Row{Record: ledger.StatementID{Session: b.Header.Author.Session, Sequence: b.Header.First + uint64(i)}, Kind: web.CheckedIn}
		at := s.Time
		if i < len(exact) {
			at = exact[i]
		}
		row.At = time.UnixMilli(int64(at))
		var elector ledger.ElectorToken
		switch x := s.Body.(type) {
		case *ledger.BureauOpened:
			r.opened, r.closed = true, false
			continue
		case *ledger.BureauClosed:
			r.closed = true
			continue
		case *ledger.Admission:
			elector, row.Means, row.Attester = x.Elector, x.Means, x.Attester
		case *ledger.ProxyAdmission:
			elector, row.Means, row.Attester, row.Kind = x.Principal, x.Means, x.Attester, web.ByProxy
			row.Holder = n.electorOf(x.Holder)
		case *ledger.Provisional:
			elector, row.Means, row.Attester, row.Kind = x.Elector, x.Means, x.Attester, web.Provisional
		case *ledger.Void:
			r.undo(ledger.StatementID{Session: b.Header.Author.Session, Sequence: x.Sequence})
			continue
		case *ledger.AttemptRefused:
			r.done.Refuse(x.Refusal)
			continue
		case *ledger.Annulment:
			r.undo(x.Record)
			continue
		default:
			continue
		}
		row.Elector = n.electorOf(elector)
		r.done.Admit(row, row.Elector.Home != n.cfg.Bureau)
		own := &ownRow{Row: row, elector: elector, batch: b}
		r.list = append(r.list, own)
		r.by[row.Record] = own
	}
	for len(r.list) > maxRows {
		delete(r.by, r.list[0].Record)
		r.list = r.list[1:]
	}
}

func (r *rows) undo(id ledger.StatementID) {
	r.done.Undone++
	if own := r.by[id]; own != nil {
		own.Undone = true
	}
}

// electorOf is who stands under a token, zero for nobody.
func (n *Node) electorOf(e ledger.ElectorToken) web.Elector {
	i, ok := n.register.FindToken(e)
	if !ok {
		return web.Elector{}
	}
	return n.webElector(i)
}

func (n *Node) webElector(i int) web.Elector {
	e := n.register.At(i)
	return web.Elector{
		Number: i, Surname: e.Surname, FirstNames: e.FirstNames, Convocation: e.ConvocationNumber, National: e.NationalNumber, Home: e.Bureau,
		Language: e.Language.String(),
	}
}

// placedLocked looks whether the group has the row here by now.
func (n *Node) placedLocked(own *ownRow) {
	if own.batch == nil {
		return
	}
	if _, placed := n.store.Answer(own.batch); placed {
		own.Replicated, own.batch = true, nil
	}
}

// row is this bureau's own row of a record, nil for none.
func (n *Node) row(id ledger.StatementID) (*web.Row, error) {
	r := &n.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := n.readLocked(r); err != nil {
		return nil, err
	}
	own := r.by[id]
	if own == nil {
		return nil, nil
	}
	out := own.Row
	return &out, nil
}

// Rows are this bureau's newest check-ins, the newest first.
func (n *Node) Rows(most int) (out []web.Row, err error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	r := &n.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := n.readLocked(r); err != nil {
		return nil, err
	}
	for i := len(r.list) - 1; i >= 0 && len(out) < most; i-- {
		n.placedLocked(r.list[i])
		out = append(out, r.list[i].Row)
	}
	return out, nil
}
