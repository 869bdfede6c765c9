package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// Heads lists for each machine the signed header at the end of the session that was placed
// last: how far its chain goes here.
func (s *Store) Heads() (out []ledger.SignedHeader, err error) {
	err = s.read(func(r pebble.Reader) error {
		newest, at := map[ledger.Member]int{}, []uint64{}
		ledger.RangeSessions(&view{r: r}, func(a ledger.Author, _ ledger.Head, pos uint64) bool {
			m := ledger.Member{Bureau: a.Bureau, Incarnation: a.Incarnation}
			if i, ok := newest[m]; ok {
				at[i] = max(at[i], pos)
				return true
			}
			newest[m], at = len(at), append(at, pos)
			return true
		})
		for _, pos := range at {
			b, err := s.batchAt(r, pos)
			if err != nil {
				return err
			}
			out = append(out, b.Signed())
		}
		return nil
	})
	return out, err
}

// Openings lists the signed headers with which the machine's placed sessions begin.
func (s *Store) Openings(m ledger.Member) (out []ledger.SignedHeader, err error) {
	err = s.read(func(r pebble.Reader) error {
		var at []uint64
		v := &view{r: r}
		ledger.RangeSessions(v, func(a ledger.Author, _ ledger.Head, _ uint64) bool {
			if a.Bureau == m.Bureau && a.Incarnation == m.Incarnation {
				ledger.RangeChain(v, a, 0, func(pos uint64) bool { at = append(at, pos); return false })
			}
			return true
		})
		for _, pos := range at {
			b, err := s.batchAt(r, pos)
			if err != nil {
				return err
			}
			out = append(out, b.Signed())
		}
		return nil
	})
	return out, err
}

// Chain lists the author's placed batches from the one with the sequence number from up to the
// one before to, at most max; more says that there are others.
func (s *Store) Chain(q ledger.ChainRequest, most int) (out []*ledger.Batch, more bool, err error) {
	err = s.read(func(r pebble.Reader) error {
		var at []uint64
		ledger.RangeChain(&view{r: r}, q.Author, q.From, func(pos uint64) bool {
			at = append(at, pos)
			return len(at) <= most
		})
		for _, pos := range at {
			b, err := s.batchAt(r, pos)
			if err != nil {
				return err
			}
			gap := len(out) > 0 && out[len(out)-1].Header.Next() != b.Header.First
			if more = len(out) == most; more || gap || b.Header.First >= q.To {
				return nil
			}
			out = append(out, b)
		}
		return nil
	})
	return out, more, err
}

func (s *Store) batchAt(r pebble.Reader, pos uint64) (*ledger.Batch, error) {
	raw, err := get(r, entryKey(pos))
	if err != nil {
		return nil, err
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", pos, err)
	}
	return ledger.DecodeBatch(e.Batch)
}
