package node

import (
	"context"
	"fmt"
	"sync"

	"pointage/ledger"
	"pointage/node/daybook"
	"pointage/node/journal"
)

// day is the commune's daybook and how far it was read. It is read when somebody asks, so that a bureau at which
// nobody looks pays nothing for it.
type day struct {
	// replacing is held by the act that takes the next replacement's number.
	replacing sync.Mutex

	mu   sync.Mutex
	book *daybook.Book
	// ref is the first entry that was not read, cursor the same of this bureau's own chain.
	ref    uint64
	cursor journal.Cursor
	// opened are messages that were opened.
	opened map[openedKey]openedText
	// homes is how many electors are at home at each bureau, counted once.
	homes map[ledger.BureauNumber]int
}

// readAtATime is how many own batches are read at a time.
const readAtATime = 256

// today is the daybook as far as this bureau knows the chains: its own, the ledger's, and what peers told beyond.
func (n *Node) today(ctx context.Context) (*daybook.Book, error) {
	d := &n.day
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.book == nil {
		book := daybook.New()
		if err := n.journal.Inherited(func(b *ledger.Batch, _ []ledger.Instant) error { book.Add(b); return nil }); err != nil {
			return nil, fmt.Errorf("read the machine before: %w", err)
		}
		d.book, d.cursor = book, n.journal.Start()
	}
	for {
		own, err := n.journal.From(d.cursor, readAtATime)
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		for _, b := range own {
			d.book.Add(b)
		}
		d.cursor += journal.Cursor(len(own))
		if len(own) < readAtATime {
			break
		}
	}
	// What peers told is taken down before the ledger is read, and read after it: none is between the two.
	told := n.heads.Load().Known()
	if err := n.readPlaced(ctx); err != nil {
		return nil, err
	}
	for _, b := range told {
		d.book.Add(b)
	}
	return d.book, nil
}

// readPlaced reads the ledger on; day.mu is held.
func (n *Node) readPlaced(ctx context.Context) error {
	for ctx.Err() == nil {
		at, raw, err := n.store.Next(n.day.ref)
		if err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
		if raw == nil {
			return nil
		}
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return fmt.Errorf("read %s: %w", ledger.EntryName(at), err)
		}
		if e.Kind == ledger.BatchEntry {
			b, err := ledger.DecodeBatch(e.Batch)
			if err != nil {
				return fmt.Errorf("read %s: %w", ledger.EntryName(at), err)
			}
			n.day.book.Placed(at, e, b)
		}
		n.day.ref = at + 1
	}
	return ctx.Err()
}

// homes is how many electors are at home at each bureau.
func (n *Node) homes() map[ledger.BureauNumber]int {
	n.day.mu.Lock()
	defer n.day.mu.Unlock()
	if n.day.homes == nil {
		n.day.homes = map[ledger.BureauNumber]int{}
		for i := range n.prepared.Group.Roll.Len() {
			n.day.homes[n.prepared.Group.Roll.At(i).Home]++
		}
	}
	return n.day.homes
}

// leads says that this is the principal bureau or its deputy.
func (n *Node) leads() bool {
	c := n.prepared.Commune
	return n.cfg.Bureau == c.Principal || n.cfg.Bureau == c.Deputy
}

// state is an act of the table that states something and moves no right: what does makes the statement's body,
// or says why not.
func (n *Node) state(ctx context.Context, what func(*daybook.Book) (ledger.Body, daybook.Refusal, error)) (daybook.Refusal, error) {
	if err := n.enter(); err != nil {
		return 0, err
	}
	defer n.acts.RUnlock()
	if err := n.journal.Err(); err != nil {
		return 0, err
	}
	book, err := n.today(ctx)
	if err != nil {
		return 0, err
	}
	body, why, err := what(book)
	if err != nil || why != daybook.Recorded {
		return why, err
	}
	return daybook.Recorded, n.book.Record(ctx, body)
}
