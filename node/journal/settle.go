package journal

import (
	"context"
	"encoding/binary"
	"fmt"

	"pointage/ledger"
)

// An incarnation after the first is one whose predecessor may still be at work: its sessions open
// unfenced until it is settled, that is until two media of each incarnation before have been read.
// What they hold is kept on this incarnation's own media, so that the next opening knows it with no
// old medium attached and no network.

// maxSettling is how many bytes of inherited records are made durable at once: an append waits
// for at most so many.
const maxSettling = 256 << 10

// settledNote is the key of the note that says how an incarnation before was read: uint32
// generation, uint8 media, and the head of its chain (session, uint64 next, hash) if it has one.
func settledNote(i ledger.Incarnation) string { return fmt.Sprintf("%ssettled %d", ownNotes, i) }

// Unfenced says what this session's opening says: whether an incarnation before may be at work.
func (j *Journal) Unfenced() bool { return j.unfenced }

// Settled says whether the next session will be fenced.
func (j *Journal) Settled() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.settled()
}

// settled is called with mu held, or while opening.
func (j *Journal) settled() bool {
	for i := range j.opt.Incarnation {
		if _, ok := j.notes[settledNote(i)]; !ok {
			return false
		}
	}
	return true
}

// Settle takes over what two media of an incarnation before have given. Its batches become durable on
// this journal's media (Inherited), then the mark that they are all. When every incarnation
// before is settled the next opening is fenced; this session stays what its opening said. Settle may
// be repeated after an error or a crash.
//
// The error of a history that isn't whole is History.Complete's.
func (j *Journal) Settle(ctx context.Context, h *History) error {
	if err := j.settle(ctx, h); err != nil {
		return fmt.Errorf("settle incarnation %d: %w", h.opt.Incarnation, err)
	}
	return nil
}

func (j *Journal) settle(ctx context.Context, h *History) error {
	if h.opt.Incarnation >= j.opt.Incarnation || h.opt.binding().of(j.opt.Incarnation) != j.opt.binding() {
		return fmt.Errorf("the media are those of commune %d, bureau %d, incarnation %d, not of one before bureau %d, incarnation %d",
			h.opt.Group.Commune, h.opt.Bureau, h.opt.Incarnation, j.opt.Bureau, j.opt.Incarnation)
	}
	if err := h.Complete(); err != nil {
		return err
	}
	var group []inherited
	size := 0
	err := h.everything(func(r recorded) error {
		x := inherited{r.batch.Header.Identity(), r.encode(inheritedRecord)}
		group, size = append(group, x), size+len(x.plain)
		if size < maxSettling {
			return nil
		}
		err := j.do(ctx, func() error { return j.takeOver(group) })
		group, size = nil, 0
		return err
	})
	if err != nil {
		return err
	}
	return j.do(ctx, func() error {
		if err := j.takeOver(group); err != nil {
			return err
		}
		for key, value := range h.settles() {
			if err := j.writeNote(&note{key: key, value: value}); err != nil {
				return err
			}
		}
		return nil
	})
}

func encodeSettled(generation uint32, media uint8, head *ledger.Head) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, generation), media)
	if head == nil {
		return out
	}
	out = append(out, head.Session[:]...)
	out = binary.BigEndian.AppendUint64(out, head.Next)
	return append(out, head.Hash[:]...)
}

// Settlements are what this journal's notes say of the incarnations before: the statements that its
// chain has, or is to have before anybody is admitted fully.
func (j *Journal) Settlements() (out []*ledger.Settled) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.opt.Incarnation {
		n, ok := j.notes[settledNote(i)]
		if !ok || len(n.value) < 5 {
			continue
		}
		s := &ledger.Settled{Incarnation: i, Generation: binary.BigEndian.Uint32(n.value), Media: n.value[4]}
		if b := n.value[5:]; len(b) == len(s.Head.Session)+8+len(s.Head.Hash) {
			s.Head = &ledger.Head{Next: binary.BigEndian.Uint64(b[len(s.Head.Session):])}
			copy(s.Head.Session[:], b)
			copy(s.Head.Hash[:], b[len(s.Head.Session)+8:])
		}
		out = append(out, s)
	}
	return out
}

// of is the same bureau's binding at another incarnation.
func (b binding) of(i ledger.Incarnation) binding {
	b.incarnation = i
	return b
}

// settles are the notes that a complete history is worth: its own incarnation's, and those of
// incarnations that had been settled there.
func (h *History) settles() map[string][]byte {
	out := map[string][]byte{
		settledNote(h.opt.Incarnation): encodeSettled(h.Generation, h.Media, h.Head()),
	}
	for i := range h.opt.Incarnation {
		if n, ok := h.u.notes[settledNote(i)]; ok {
			out[n.key] = n.value
		}
	}
	return out
}

// inherited is a record to be taken over.
type inherited struct {
	id    ledger.Hash
	plain []byte
}

// takeOver makes inherited records durable, on the writer's goroutine.
func (j *Journal) takeOver(all []inherited) error {
	j.mu.Lock()
	var fresh []inherited
	var plains [][]byte
	for _, x := range all {
		if _, known := j.heirs[x.id]; !known {
			fresh, plains = append(fresh, x), append(plains, x.plain)
		}
	}
	j.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	at, err := j.commitAll(plains...)
	if err != nil {
		return err
	}
	for _, p := range plains {
		j.since.add(p, -1)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, x := range fresh {
		j.heirs[x.id] = len(j.inherited)
		j.inherited = append(j.inherited, entry{at: at[i]})
	}
	return nil
}

// inherit notes the inherited batches of a union and where they stand; mu is held, or nothing is
// concurrent.
func (j *Journal) inherit(u *union) {
	for _, x := range u.inherited {
		i, known := j.heirs[x.id]
		if !known {
			i = len(j.inherited)
			j.heirs[x.id], j.inherited = i, append(j.inherited, entry{})
		}
		for m, s := range x.held.at {
			if s.n > 0 {
				j.inherited[i].at[m] = s
			}
		}
	}
}

// Inherited calls f for the batches of the incarnations before that have been taken over, each after
// those that it goes on from, with the exact times of their statements. They belong to the bureau's
// records as its own do. Before Settled they are a part.
func (j *Journal) Inherited(f func(b *ledger.Batch, exact []ledger.Instant) error) error {
	for i := 0; ; i++ {
		j.mu.Lock()
		if i >= len(j.inherited) {
			j.mu.Unlock()
			return nil
		}
		e := j.inherited[i]
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
