package store

import (
	"errors"
	"fmt"
)

// Load fills a ledger that has nothing but its first entry: feed puts the encoded entries of all epochs
// in their order, entry 0 included. Each is placed again and must be what the rules make. After an
// error of feed's or of an entry the ledger is as it was. The index of the last command stays 0.
func (s *Store) Load(feed func(put func(entry []byte) error) error) error {
	if h := s.Head(); h.Epoch != 0 || h.Size != 1 || s.Applied() != 0 {
		return fmt.Errorf("load ledger: there is one of %d entries already", h.Size)
	}
	err := s.rebuild(func(n *nursery) error {
		var raw [][]byte
		err := feed(func(entry []byte) error {
			raw = append(raw, append([]byte(nil), entry...))
			if len(raw) < restoreStep {
				return nil
			}
			err := n.place(raw, 0)
			raw = nil
			return err
		})
		if err == nil {
			err = n.place(raw, 0)
		}
		if err == nil && n.head().Size == 0 {
			err = errors.New("no entries")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("load ledger: %w", err)
	}
	return nil
}
