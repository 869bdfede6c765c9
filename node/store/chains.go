package store

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// Heads lists for each machine the signed header at the end of the session that was placed
// last: how far its chain goes here. Callers share the list and do not change it.
func (s *Store) Heads() ([]ledger.SignedHeader, error) {
	s.ends.mu.Lock()
	defer s.ends.mu.Unlock()
	head := s.Head()
	if head == s.ends.at && s.ends.all != nil {
		return s.ends.all, nil
	}
	all, headers := []ledger.SignedHeader{}, map[uint64]ledger.SignedHeader{}
	err := s.read(func(r pebble.Reader) error {
		newest, at := map[ledger.Member]int{}, []uint64{}
		ledger.RangeSessions(s.view(r), func(a ledger.Author, _ ledger.Head, pos uint64) bool {
			m := ledger.Member{Bureau: a.Bureau, Incarnation: a.Incarnation}
			if i, ok := newest[m]; ok {
				at[i] = max(at[i], pos)
				return true
			}
			newest[m], at = len(at), append(at, pos)
			return true
		})
		for _, pos := range at {
			h, ok := s.ends.headers[pos]
			if !ok {
				b, err := s.batchAt(r, pos)
				if err != nil {
					return err
				}
				h = b.Signed()
			}
			headers[pos] = h
			all = append(all, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// head was read before the entries: at worst it is older, and they are read again.
	s.ends.at, s.ends.all, s.ends.headers = head, slices.Clip(all), headers
	return s.ends.all, nil
}

// ends is what Heads found last. It is asked for twice a second for each bureau of the commune:
// while the ledger stands still it is still so, and a chain that has not grown ends as it did.
// An entry's reference never names another one, so headers by reference stay true.
type ends struct {
	mu      sync.Mutex
	at      ledger.ChainHead
	all     []ledger.SignedHeader
	headers map[uint64]ledger.SignedHeader
}

// Openings lists the signed headers with which the machine's placed sessions begin.
func (s *Store) Openings(m ledger.Member) (out []ledger.SignedHeader, err error) {
	err = s.read(func(r pebble.Reader) error {
		var at []uint64
		v := s.view(r)
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
		ledger.RangeChain(s.view(r), q.Author, q.From, func(pos uint64) bool {
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

func (s *Store) batchAt(r pebble.Reader, ref uint64) (*ledger.Batch, error) {
	raw, err := get(r, entryKey(ref))
	if err != nil {
		return nil, err
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ledger.EntryName(ref), err)
	}
	return ledger.DecodeBatch(e.Batch)
}
