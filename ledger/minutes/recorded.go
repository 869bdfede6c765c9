package minutes

import (
	"context"
	"fmt"

	"pointage/ledger"
)

// Next is the first entry from a reference on, encoded, and its own reference; raw is nil behind the last.
type Next func(ref uint64) (at uint64, raw []byte, err error)

// Read reads the entries from where the collector stands up to a reference, exclusively; 0 reads all. What they say is
// not judged here: they are entries that hold.
func (c *Collector) Read(ctx context.Context, next Next, upTo uint64) error {
	return each(ctx, next, c.UpTo(), upTo, func(ref uint64, e *ledger.Entry, b *ledger.Batch) bool { c.Entry(ref, e, b); return true })
}

// each gives f the entries from one reference to another until it returns false.
func each(ctx context.Context, next Next, from, upTo uint64, f func(uint64, *ledger.Entry, *ledger.Batch) bool) error {
	for ref := from; ctx.Err() == nil; ref++ {
		at, raw, err := next(ref)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		if raw == nil || upTo != 0 && at >= upTo {
			return nil
		}
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return fmt.Errorf("read %s: %w", ledger.EntryName(at), err)
		}
		var b *ledger.Batch
		if e.Kind != ledger.GenesisEntry {
			if b, err = ledger.DecodeBatch(e.Batch); err != nil {
				return fmt.Errorf("read %s: %w", ledger.EntryName(at), err)
			}
		}
		if !f(at, e, b) {
			return nil
		}
		ref = at
	}
	return ctx.Err()
}

// Recorded is a fork as of minutes that the ledger holds, so that they can be drawn up again. The collector stands where
// they were drawn from; next reads on for what the bureau had stated by then.
func (c *Collector) Recorded(ctx context.Context, next Next, d *Drawn) (*Collector, error) {
	if c.UpTo() != d.UpTo {
		return nil, fmt.Errorf("minutes of %s were drawn from other entries than those up to here", ledger.EntryName(d.Entry))
	}
	f := c.Fork()
	if d.By.Bureau != d.Bureau {
		return f, nil
	}
	opened := false
	err := each(ctx, next, d.UpTo, d.Entry+1, func(_ uint64, e *ledger.Entry, b *ledger.Batch) bool {
		if e.Kind != ledger.BatchEntry || b.Header.Author.Bureau != d.By.Bureau || b.Header.Author.Incarnation != d.By.Incarnation {
			return true
		}
		switch same := b.Header.Author.Session == d.By.Session; {
		case same:
			opened = true
			if b.Header.First < d.Own {
				f.Own(b, int(min(d.Own-b.Header.First, uint64(len(b.Statements)))))
			}
		case !opened: // a session before; one that comes behind is a fork's
			f.Own(b, len(b.Statements))
		}
		return true
	})
	return f, err
}
