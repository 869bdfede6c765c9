package journal

import "pointage/ledger"

// From lists the durable batches at and after the cursor, at most the given number. Unlike Next
// it says nothing about those before.
func (j *Journal) From(c Cursor, most int) (out []*ledger.Batch, err error) {
	err = j.FromExact(c, most, func(b *ledger.Batch, _ []ledger.Instant) { out = append(out, b) })
	return out, err
}

// FromExact calls f for what From lists, with the exact times of each batch's statements.
func (j *Journal) FromExact(c Cursor, most int, f func(b *ledger.Batch, exact []ledger.Instant)) error {
	j.mu.Lock()
	entries := j.chain[min(int(c), len(j.chain)):]
	j.mu.Unlock()
	for _, e := range entries[:min(most, len(entries))] {
		r, err := j.load(e)
		if err != nil {
			return err
		}
		f(r.batch, r.exact)
	}
	return nil
}
