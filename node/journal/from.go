package journal

import "pointage/ledger"

// From lists the durable batches at and after the cursor, at most the given number. Unlike Next
// it says nothing about those before.
func (j *Journal) From(c Cursor, most int) ([]*ledger.Batch, error) {
	j.mu.Lock()
	entries := j.chain[min(int(c), len(j.chain)):]
	j.mu.Unlock()
	out := make([]*ledger.Batch, 0, min(most, len(entries)))
	for _, e := range entries[:min(most, len(entries))] {
		r, err := j.load(e)
		if err != nil {
			return nil, err
		}
		out = append(out, r.batch)
	}
	return out, nil
}
