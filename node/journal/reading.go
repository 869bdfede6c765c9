package journal

import (
	"context"
	"errors"
	"fmt"

	"pointage/ledger"
)

// load reads a durable batch, from memory or from a medium that has it.
func (j *Journal) load(e entry) (recorded, error) {
	if e.kept != nil {
		return *e.kept, nil
	}
	return load(j.written(), e.at)
}

func load(media []*medium, at spans) (recorded, error) {
	var errs faults
	for _, m := range media {
		s := at[m.member]
		if s.n == 0 || !m.readable(s.off+int64(s.n)) {
			continue
		}
		plain, err := m.read(s.off, s.n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r, err := decodeRecord(plain)
		if err == nil {
			return r.batch, nil
		}
		errs = append(errs, err)
	}
	return recorded{}, fmt.Errorf("read batch: %w", append(errs, errors.New("no medium gives it any longer")))
}

// Replay calls f for every durable batch of all sessions of the chain, in its order, with
// the exact times of its statements. Batches beside the chain are left out (Beside).
func (j *Journal) Replay(f func(b *ledger.Batch, exact []ledger.Instant) error) error {
	for i := 0; ; i++ {
		j.mu.Lock()
		if i >= len(j.chain) {
			j.mu.Unlock()
			return nil
		}
		e := j.chain[i]
		j.mu.Unlock()
		r, err := j.load(e)
		if err != nil {
			return err
		}
		if err := f(r.batch, r.exact); err != nil {
			return err
		}
	}
}

// Beside calls f for the batches that stand on the media but not in the chain: orphans, as
// Findings says of each tail. A batch comes after those that it goes on from.
func (j *Journal) Beside(f func(b *ledger.Batch, exact []ledger.Instant) error) error {
	j.mu.Lock()
	off := j.off // replaced, never changed
	j.mu.Unlock()
	for _, e := range off {
		r, err := j.load(e)
		if err != nil {
			return err
		}
		if err := f(r.batch, r.exact); err != nil {
			return err
		}
	}
	return nil
}

// Cursor counts the chain's batches, from 0.
type Cursor uint64

// Start is the cursor of the chain's oldest batch.
func (j *Journal) Start() Cursor { return 0 }

// Next waits for the durable batch at the cursor and returns it with the cursor after it:
// the stream that brings the bureau's chain to the group. One reader goes forward: asking
// for a batch says that those before have arrived (pace.go). What is durable is given out also
// after the journal has stopped; then it returns Err, and after Close ErrClosed.
func (j *Journal) Next(ctx context.Context, c Cursor) (*ledger.Batch, Cursor, error) {
	for {
		j.mu.Lock()
		j.readTo(c)
		grown := j.grown
		var e entry
		there := c < Cursor(len(j.chain))
		if there {
			e = j.chain[c]
		}
		j.mu.Unlock()
		if there {
			r, err := j.load(e)
			if err != nil {
				return nil, c, err
			}
			return r.batch, c + 1, nil
		}
		select {
		case <-grown:
		case <-j.closing:
			return nil, c, ErrClosed
		case <-j.failed:
			return nil, c, j.Err()
		case <-ctx.Done():
			return nil, c, ctx.Err()
		}
	}
}

// Behind is how many durable batches come at and after the cursor.
func (j *Journal) Behind(c Cursor) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return max(0, len(j.chain)-int(c))
}
