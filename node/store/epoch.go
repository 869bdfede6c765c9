package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// BeginEpoch moves the ledger on to the epoch after the present one, which goes on from the seed.
// Entries behind the seed are dropped (Behind lists their batches beforehand), those before it that
// are missing here are asked for: missing gives entries of the present epoch from a position on,
// at least one. Each of them is placed again and must be what the rules make.
//
// As with Restore a crash leaves the old ledger or the new one whole, and a seed that is refused
// leaves the old. The index of the last command is 0 then: the epoch's group begins its log anew.
func (s *Store) BeginEpoch(seed *ledger.Seed, missing func(from uint64) ([][]byte, error)) error {
	if err := s.Err(); err != nil {
		return err
	}
	from := s.Head()
	c, err := s.g.CheckSeed(from.Epoch+1, seed)
	if err == nil {
		err = s.rebuild(func(n *nursery) error { return n.grow(c.Size, seed, missing) })
	}
	if err != nil {
		return fmt.Errorf("begin epoch %d: %w", from.Epoch+1, err)
	}
	if err := s.tell(from.Epoch, from.Size, c.Size); err != nil {
		return err
	}
	return s.tell(from.Epoch+1, 0, 1)
}

// SeedOf is the seed of the present epoch or one before it, and its size; not of epoch 0.
func (s *Store) SeedOf(epoch uint8) (*ledger.Seed, uint64, error) {
	genesis, err := s.Entry(ledger.Reference(epoch, 0))
	if err != nil {
		return nil, 0, err
	}
	e, err := ledger.DecodeEntry(genesis)
	if err != nil {
		return nil, 0, err
	}
	if e.Kind != ledger.GenesisEntry || e.Genesis.Epoch != epoch {
		return nil, 0, fmt.Errorf("not the genesis of epoch %d", epoch)
	}
	seed, err := ledger.DecodeSeed(e.Genesis.Seed)
	if err != nil {
		return nil, 0, err
	}
	c, err := s.g.CheckSeed(epoch, seed)
	return seed, c.Size, err
}

// grow fills a nursery with the entries up to the seed's size and the genesis behind them.
func (n *nursery) grow(size uint64, seed *ledger.Seed, missing func(from uint64) ([][]byte, error)) error {
	have := n.s.Head()
	for epoch := range have.Epoch + 1 {
		upTo, err := n.s.SizeOf(epoch)
		if err != nil {
			return err
		}
		if epoch == have.Epoch {
			upTo = min(upTo, size)
		}
		for at := uint64(0); at < upTo; at += restoreStep {
			var raw [][]byte
			for i := at; i < min(upTo, at+restoreStep); i++ {
				b, err := n.s.Entry(ledger.Reference(epoch, i))
				if err != nil {
					return err
				}
				raw = append(raw, b)
			}
			if err := n.place(raw, 0); err != nil {
				return err
			}
		}
	}
	for at := n.head().Size; at < size; at = n.head().Size {
		raw, err := missing(at)
		if err != nil {
			return fmt.Errorf("fetch entries from %d on: %w", at, err)
		}
		if len(raw) == 0 {
			return fmt.Errorf("fetch entries from %d on: there are none", at)
		}
		if err := n.place(raw[:min(uint64(len(raw)), size-at)], 0); err != nil {
			return err
		}
	}
	t := newStep(n.s.g, n.db, &n.end)
	defer t.b.Close()
	if err := t.beginEpoch(seed); err != nil {
		return err
	}
	return n.put(t, 0)
}

// SizeOf is the number of entries of the present epoch or one before it: an epoch ends where the
// next one's seed does.
func (s *Store) SizeOf(epoch uint8) (uint64, error) {
	if have := s.Head(); epoch == have.Epoch {
		return have.Size, nil
	}
	_, size, err := s.SeedOf(epoch + 1)
	return size, err
}

// Next is the first entry whose reference is not below ref, in the order of epochs and positions;
// raw is nil behind the last.
func (s *Store) Next(ref uint64) (at uint64, raw []byte, err error) {
	err = s.read(func(r pebble.Reader) error {
		return scan(r, entryKey(ref), []byte{keyEntry + 1}, func(k, v []byte) bool {
			at, raw = binary.BigEndian.Uint64(k[1:]), append([]byte(nil), v...)
			return false
		})
	})
	return at, raw, err
}

// Behind lists the batches of the present epoch's entries from a position on, each once.
func (s *Store) Behind(position uint64) (out []*ledger.Batch, err error) {
	have := s.Head()
	for ; position < have.Size; position++ {
		p, err := s.placed(ledger.Reference(have.Epoch, position))
		if err != nil {
			return nil, err
		}
		if p.Batch != nil {
			out = append(out, p.Batch)
		}
	}
	return out, nil
}
