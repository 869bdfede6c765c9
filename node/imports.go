package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pointage/consensus"
	"pointage/ledger"
	"pointage/node/journal"
	"pointage/node/register"
)

// OldMedia are the media of a bureau that is not this program's to write: an isolated bureau's in
// the evening, or those of the machine before.
type OldMedia struct {
	Bureau ledger.BureauNumber `json:"bureau"`
	// Keys is the sealed file of the bureau's keys that the media were written with.
	Keys       string `json:"keys"`
	Passphrase string `json:"passphrase"`
	// Media are their directories, one to three.
	Media []string `json:"media"`
}

// Imported is what came of an import.
type Imported struct {
	Bureau  ledger.BureauNumber `json:"bureau"`
	Batches int                 `json:"batches"`
	// Conflicts counts statements that the group's rules did not accept; they are in the ledger
	// with their class, as evidence.
	Conflicts int `json:"conflicts"`
	// Contradicted counts batches that stand against others of the same machine.
	Contradicted int `json:"contradicted"`
	// Rejected counts batches without a place.
	Rejected int `json:"rejected"`
	// Complete is empty when two media of the newest generation were read, else why not.
	Incomplete string `json:"incomplete,omitempty"`
	// Problems are the media that did not count, Findings what they hold beside the chain.
	Problems []string `json:"problems,omitempty"`
	Findings []string `json:"findings,omitempty"`
}

const (
	// importTimeout bounds an import, proposeWithin one of its proposals.
	importTimeout = 10 * time.Minute
	proposeWithin = 5 * time.Second
)

// ErrNotPrincipal: only the principal bureau and its deputy import.
var ErrNotPrincipal = errors.New("only the principal bureau and its deputy import: carry the keys there")

// Import merges what another bureau's media hold into the group's ledger, batch by batch in their order,
// and states that they were read. What the ledger has already has no effect, so
// an import that was cut short is repeated whole.
func (n *Node) Import(ctx context.Context, from OldMedia) (*Imported, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	c := n.prepared.Commune
	if n.cfg.Bureau != c.Principal && n.cfg.Bureau != c.Deputy {
		return nil, ErrNotPrincipal
	}
	if from.Bureau == n.cfg.Bureau {
		return nil, InputError{errors.New("these are this bureau's own media: a spare machine opens with them")}
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	h, k, err := n.read(from)
	if err != nil {
		return nil, err
	}
	out, err := n.handIn(ctx, h)
	out.Bureau = from.Bureau
	if err == nil {
		err = n.book.Record(ctx, &ledger.Imported{Bureau: k.Bureau, Incarnation: k.Incarnation, Generation: h.Generation, Media: h.Media})
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return nil, inLine(fmt.Errorf("import bureau %d: %w", from.Bureau, err))
	}
	return out, nil
}

// Settle takes over what two media of this bureau's machine before hold. The next start is
// fenced again, and moves rights.
func (n *Node) Settle(ctx context.Context, from OldMedia) (*Imported, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	from.Bureau = n.cfg.Bureau
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	h, k, err := n.read(from)
	if err != nil {
		return nil, err
	}
	var out *Imported
	if err = n.journal.Settle(ctx, h); err == nil {
		out, err = n.handIn(ctx, h)
	}
	if err == nil {
		err = n.book.Record(ctx, &ledger.Settled{Incarnation: k.Incarnation, Head: h.Head(), Generation: h.Generation, Media: h.Media})
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return nil, inLine(err)
	}
	return out, nil
}

// stateSettled states what was settled and, after a crash, not stated: the group calls a session fenced from
// that statement on.
func (n *Node) stateSettled() error {
	if n.journal.Unfenced() {
		return nil
	}
	stated := map[ledger.Incarnation]bool{}
	err := n.journal.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		for _, s := range b.Statements {
			if x, ok := s.Body.(*ledger.Settled); ok {
				stated[x.Incarnation] = true
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	for _, s := range n.journal.Settlements() {
		if stated[s.Incarnation] {
			continue
		}
		if _, err := n.journal.Append(context.Background(), s); err != nil {
			return fmt.Errorf("state what was settled: %w", err)
		}
	}
	return nil
}

// handInInherited proposes what was taken over from the machine before and has no place yet, in each
// epoch anew: the act that took it over may have been cut short, and a new epoch may have dropped it.
func (n *Node) handInInherited(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for done := -1; ; {
		if epoch := int(n.store.Head().Epoch); epoch != done {
			switch err := n.proposeInherited(ctx); {
			case err == nil:
				done = epoch
			case ctx.Err() == nil && !errors.Is(err, consensus.ErrClosed): // else the group moves to the next epoch
				n.log.Error("what was taken over from the machine before is not all handed in", "err", err)
				done = epoch
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Node) proposeInherited(ctx context.Context) error {
	return n.journal.Inherited(func(b *ledger.Batch, _ []ledger.Instant) error {
		if _, placed := n.store.Answer(b); placed {
			return nil
		}
		_, err := n.propose(ctx, b)
		return err
	})
}

// read opens old media with the keys that they were written with; it writes nothing.
func (n *Node) read(from OldMedia) (*journal.History, register.Keys, error) {
	k, s, err := n.prepared.OpenKeys(from.Keys, from.Passphrase, from.Bureau)
	if err != nil {
		return nil, k, InputError{inLine(err)}
	}
	if len(from.Media) == 0 || len(from.Media) > 3 {
		return nil, k, InputError{errors.New("name one to three directories of media")}
	}
	opt := journal.Options{
		Group: n.prepared.Group, Bureau: from.Bureau, Incarnation: k.Incarnation, Key: s.Device, JournalKey: k.Journal, Logger: n.log,
	}
	copy(opt.Media[:], mediaAt(n.cfg.Data, from.Media...))
	h, err := journal.Read(opt)
	if err != nil {
		return nil, k, InputError{inLine(err)}
	}
	return h, k, nil
}

// handIn proposes every batch that the media hold, the chain's first.
func (n *Node) handIn(ctx context.Context, h *journal.History) (*Imported, error) {
	out := &Imported{}
	if err := h.Complete(); err != nil {
		out.Incomplete = inLine(err).Error()
	}
	for _, p := range h.Problems {
		out.Problems = append(out.Problems, inLine(p).Error())
	}
	for _, f := range h.Findings {
		out.Findings = append(out.Findings, f.What)
	}
	each := func(b *ledger.Batch, _ []ledger.Instant) error {
		ans, err := n.propose(ctx, b)
		if err != nil {
			return err
		}
		out.Batches++
		switch ans.Status {
		case ledger.Placed, ledger.Parked:
			for _, v := range ans.Verdicts {
				if !v.Clean() {
					out.Conflicts++
				}
			}
		case ledger.Contradicted:
			out.Contradicted++
		default:
			out.Rejected++
		}
		return nil
	}
	err := h.Replay(each)
	if err == nil {
		err = h.Beside(each)
	}
	return out, err
}

// propose gives a batch to the group until it answers.
func (n *Node) propose(ctx context.Context, b *ledger.Batch) (*ledger.Answer, error) {
	raw := b.Encode()
	for {
		try, cancel := context.WithTimeout(ctx, proposeWithin)
		ans, err := proposer{n}.Propose(try, raw)
		cancel()
		if err == nil || errors.Is(err, consensus.ErrClosed) {
			return ans, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the group does not answer (%w): try again when the bureaux are connected, what was taken stays", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
