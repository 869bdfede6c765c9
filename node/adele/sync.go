package adele

import (
	"context"
	"errors"
	"fmt"

	"pointage/ledger"
)

// A Source is the ledger that is brought to the platform. Its methods may be called while it
// grows.
type Source interface {
	// Head is the newest epoch and its number of entries.
	Head() (epoch uint8, size uint64)
	// Size is how many entries of an epoch there are; of an earlier one, as many as the next
	// goes on from, or more.
	Size(epoch uint8) (uint64, error)
	// Entry is the encoded entry of an epoch at a position.
	Entry(epoch uint8, position uint64) ([]byte, error)
}

// maxTurns is how often the platform may stand elsewhere than it said before Sync gives up:
// somebody else uploads at the same time, which is for the next round.
const maxTurns = 8

// Sync brings the platform up to the source as it stands now, epoch after epoch, from where the
// platform is. It may be cut off anywhere and be called again. It returns where the platform
// stands.
func (c *Client) Sync(ctx context.Context, ins ledger.Commune, source Source) (Status, error) {
	st, err := c.Status(ctx, ins)
	if err != nil {
		return st, fmt.Errorf("synchronise with the platform: %w", err)
	}
	last, _ := source.Head()
	for epoch := st.Epoch; epoch <= last; epoch++ {
		if epoch != st.Epoch {
			st = Status{Epoch: epoch}
		}
		if st, err = c.syncEpoch(ctx, ins, source, st); err != nil {
			return st, fmt.Errorf("synchronise with the platform: %w", err)
		}
	}
	return st, nil
}

func (c *Client) syncEpoch(ctx context.Context, ins ledger.Commune, source Source, st Status) (Status, error) {
	epoch := st.Epoch
	size, err := source.Size(epoch)
	if err != nil {
		return st, err
	}
	for turns := 0; st.Size < size; {
		entries, err := slice(source, epoch, st.Size, size)
		if err != nil {
			return st, err
		}
		next, conflict, err := c.Upload(ctx, ins, epoch, st.Size, entries)
		if err != nil {
			return st, err
		}
		if conflict {
			// The platform stands where the upload began: what it has against it is no gap.
			if next.Epoch != epoch || next.Size == st.Size || turns >= maxTurns {
				return next, fmt.Errorf("%w: %s", ErrFork, next.Refused)
			}
			turns++
			st.Size = next.Size
			continue
		}
		if next.Epoch != epoch || next.Size <= st.Size {
			return next, ErrAnswer
		}
		st = next
	}
	return st, nil
}

// slice is as many entries from a position on as one upload carries.
func slice(source Source, epoch uint8, from, to uint64) ([][]byte, error) {
	var out [][]byte
	for bytes := 0; from < to && len(out) < MaxUploadCount; from++ {
		e, err := source.Entry(epoch, from)
		if err != nil {
			return nil, fmt.Errorf("read entry %d: %w", from, err)
		}
		if bytes += len(e) + 2; bytes > MaxUpload && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, errors.New("no entries to send")
	}
	return out, nil
}
