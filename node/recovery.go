package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
	"pointage/node/pollbook"
)

const (
	// followEvery is the pace of asking peers, one after the other, whether the group has begun a new epoch.
	followEvery = 2 * time.Second
	// recoveryTimeout bounds one question about epochs and entries.
	recoveryTimeout = 5 * time.Second
)

// NextEpoch is what two signatories put their names to, should the group have lost its
// majority for good.
type NextEpoch struct {
	Epoch uint8 `json:"epoch"`
	// Checkpoint is the signed note that the epoch goes on from: the largest that the bureaux which
	// can be reached back with their entries. Entries is its size; what stood behind it
	// is proposed again by its authors.
	Checkpoint string `json:"checkpoint"`
	Entries    uint64 `json:"entries"`
}

var (
	// ErrHasLeader: a group that can commit has lost nothing.
	ErrHasLeader = InputError{errors.New("the group has a leader: a new epoch is for a group that lost its majority for good")}
	// ErrNoFounder: the commune's log key is needed for what comes after.
	ErrNoFounder = InputError{errors.New("only the principal bureau and its deputy begin a new epoch: do it there")}
)

// founds says whether this bureau may begin a new epoch now.
func (n *Node) founds() error {
	if n.notary.logKey == nil {
		return ErrNoFounder
	}
	if _, ok := n.group.Load().Leader(); ok {
		return ErrHasLeader
	}
	if e := n.store.Head().Epoch; e == ledger.MaxEpoch {
		return InputError{fmt.Errorf("epoch %d is the last that witnesses know: call the election authority", e)}
	}
	return nil
}

// NextEpoch looks for the checkpoint that a new epoch can go on from. It signs one of all that
// this bureau has, and asks the others for theirs.
func (n *Node) NextEpoch(ctx context.Context) (*NextEpoch, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	if err := n.founds(); err != nil {
		return nil, err
	}
	own, err := n.notary.sign(ctx)
	behind := errors.Is(err, errBehind)
	if behind {
		own, err = n.notary.signedLast()
	}
	if err != nil {
		return nil, fmt.Errorf("sign what this bureau has: %w", err)
	}
	out := &NextEpoch{Epoch: n.store.Head().Epoch + 1}
	if !behind {
		out.Checkpoint, out.Entries = string(own.Note), own.Checkpoint.Size
	}
	for _, b := range n.connected() {
		if first, err := n.askEntries(ctx, b, out.Epoch, 0, 1); err == nil && len(first) > 0 && n.begun(first[0], out.Epoch) {
			return nil, InputError{fmt.Errorf("bureau %d is in epoch %d already: this one will follow it", b, out.Epoch)}
		}
		if behind && own.Checkpoint.Size > out.Entries { // what this machine signed and lost, another may have
			if last, err := n.askEntries(ctx, b, out.Epoch-1, own.Checkpoint.Size-1, own.Checkpoint.Size); err == nil && len(last) > 0 {
				out.Checkpoint, out.Entries = string(own.Note), own.Checkpoint.Size
			}
		}
		if err := n.larger(ctx, b, out); err != nil {
			return nil, err
		}
	}
	if out.Entries == 0 {
		return nil, InputError{fmt.Errorf("this bureau has %d entries of %d that it signed: connect a bureau that has them, or restore a backup", n.store.Size(), own.Checkpoint.Size)}
	}
	return out, nil
}

// larger takes a bureau's newest checkpoint if it goes further.
func (n *Node) larger(ctx context.Context, b ledger.BureauNumber, out *NextEpoch) error {
	note, err := n.askRecovery(ctx, b, protocolNewest, []byte{out.Epoch - 1})
	if err != nil || len(note) == 0 {
		return nil
	}
	c, _, err := ledger.OpenCheckpoint(note, n.notary.log(out.Epoch-1), nil)
	if err != nil {
		return nil
	}
	if c.Size <= n.store.Size() {
		root, err := n.store.Root(c.Size)
		if err != nil {
			return err
		}
		if root != c.Root {
			return fmt.Errorf("bureau %d shows a signed checkpoint of another history: call the election authority", b)
		}
	}
	if c.Size > out.Entries {
		out.Checkpoint, out.Entries = string(note), c.Size
	}
	return nil
}

// begun says whether an entry begins the epoch under two persons' signatures.
func (n *Node) begun(genesis []byte, epoch uint8) bool {
	seed, err := seedIn(genesis, epoch)
	if err == nil {
		_, err = n.prepared.Group.CheckSeed(epoch, seed)
	}
	return err == nil
}

// BeginEpoch begins a new epoch under the signatures of two persons, from the checkpoint that
// NextEpoch finds. This bureau is its first member; the others follow as they hear of it.
func (n *Node) BeginEpoch(ctx context.Context, signers []Signing) (*NextEpoch, error) {
	next, err := n.NextEpoch(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	by, err := n.signatories(signers)
	if err != nil {
		return nil, err
	}
	seed := &ledger.Seed{Checkpoint: []byte(next.Checkpoint)}
	g := n.prepared.Group
	seed.Signers, seed.Signatures = by.sign(seed.SignedBytes(g.Manifest, g.Commune, next.Epoch))
	if _, err := g.CheckSeed(next.Epoch, seed); err != nil {
		return nil, InputError{err}
	}
	return next, inLine(n.enterEpoch(ctx, next.Epoch, seed, true))
}

// enterEpoch leaves the present epoch's group for the next one's, which it begins or asks to be let
// into. The table goes on meanwhile, as in any time without the group.
func (n *Node) enterEpoch(ctx context.Context, epoch uint8, seed *ledger.Seed, founder bool) error {
	n.recovering.Lock()
	defer n.recovering.Unlock()
	switch {
	case n.left:
		return pollbook.ErrClosed
	case n.store.Head().Epoch+1 != epoch && founder:
		return InputError{fmt.Errorf("epoch %d was begun elsewhere at the same time: this bureau is in it", epoch)}
	case n.store.Head().Epoch+1 != epoch:
		return nil
	}
	c, err := n.prepared.Group.CheckSeed(epoch, seed)
	if err != nil {
		return err
	}
	n.log.Warn("the group begins a new epoch", "epoch", epoch, "entries", c.Size)
	if err := n.setFounding(ctx, epoch, founder); err != nil {
		return err
	}
	if err := n.group.Load().Close(); err != nil {
		return fmt.Errorf("leave the group: %w", err)
	}
	anchoring := n.anchoring.Load()
	if anchoring != nil {
		anchoring.Close()
	}
	dropped, err := n.store.Behind(c.Size)
	if err == nil {
		err = n.moveTo(ctx, epoch, seed, c.Size)
	}
	moved := err == nil
	if moved {
		n.notary.renew()
	}
	// Whatever came of it, the bureau goes on in the epoch that its ledger is in.
	g, gerr := n.openGroup(n.store.Head().Epoch)
	if gerr == nil {
		n.group.Store(g)
	}
	if anchoring != nil {
		gerr = errors.Join(gerr, n.startAnchoring())
	}
	if moved {
		n.heads.Load().Rewound(ctx, dropped)
		n.book.Again()
	}
	if err = errors.Join(err, gerr); err != nil {
		return fmt.Errorf("enter epoch %d: %w", epoch, err)
	}
	return nil
}

// moveTo moves the ledger to the epoch. One peer that gives other entries than the seed's does not
// stand in the way of those that give the right ones: each is asked first in its turn.
func (n *Node) moveTo(ctx context.Context, epoch uint8, seed *ledger.Seed, size uint64) error {
	peers := n.connected()
	for {
		asked := false
		err := n.store.BeginEpoch(seed, func(from uint64) ([][]byte, error) {
			asked = true
			return n.fetchEntries(ctx, peers, epoch-1, from, size)
		})
		if err == nil || !asked || len(peers) < 2 || ctx.Err() != nil {
			return err
		}
		peers = peers[1:]
	}
}

// follow asks peers whether there is a new epoch, and enters it.
func (n *Node) follow(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		peers := n.connected()
		epoch := n.store.Head().Epoch + 1
		if len(peers) == 0 || epoch > ledger.MaxEpoch {
			continue
		}
		// A peer that is no further has no entry 0 of the next epoch.
		first, err := n.askEntries(ctx, peers[turn%len(peers)], epoch, 0, 1)
		if err != nil || len(first) == 0 {
			continue
		}
		seed, err := seedIn(first[0], epoch)
		if err == nil {
			err = n.enterEpoch(ctx, epoch, seed, false)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Error("a new epoch that a peer shows was not entered", "epoch", epoch, "peer", peers[turn%len(peers)], "err", inLine(err).Error())
		}
	}
}

func seedIn(genesis []byte, epoch uint8) (*ledger.Seed, error) {
	e, err := ledger.DecodeEntry(genesis)
	if err != nil {
		return nil, err
	}
	if e.Kind != ledger.GenesisEntry || e.Genesis.Epoch != epoch {
		return nil, fmt.Errorf("no genesis of epoch %d", epoch)
	}
	return ledger.DecodeSeed(e.Genesis.Seed)
}

// fetchEntries asks one peer after the other for entries from a position on.
func (n *Node) fetchEntries(ctx context.Context, peers []ledger.BureauNumber, epoch uint8, from, to uint64) ([][]byte, error) {
	for _, b := range peers {
		if got, err := n.askEntries(ctx, b, epoch, from, to); err == nil && len(got) > 0 {
			return got, nil
		}
	}
	return nil, errors.New("no bureau that can be reached has them: connect one that does")
}

func (n *Node) askRecovery(ctx context.Context, b ledger.BureauNumber, protocol string, q []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, recoveryTimeout)
	defer cancel()
	return n.peers.ask(ctx, b, protocol, q)
}

// askEntries asks a peer for entries [from, to) of an epoch; it gives as many from the first on as
// fit. The question is struct { uint8 epoch; uint64 from; uint64 to; }, the answer a sequence of
// opaque<0..2^16-1>.
func (n *Node) askEntries(ctx context.Context, b ledger.BureauNumber, epoch uint8, from, to uint64) (out [][]byte, err error) {
	var q cryptobyte.Builder
	q.AddUint8(epoch)
	q.AddUint64(from)
	q.AddUint64(to)
	a, err := n.askRecovery(ctx, b, protocolEntries, q.BytesOrPanic())
	if err != nil {
		return nil, err
	}
	for s := cryptobyte.String(a); !s.Empty(); {
		var e cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&e) {
			return nil, errMessage
		}
		out = append(out, e)
	}
	return out, nil
}

// answerEntries is the other side of askEntries.
func (n *Node) answerEntries(q []byte) []byte {
	s := cryptobyte.String(q)
	var epoch uint8
	var from, to uint64
	if !s.ReadUint8(&epoch) || !s.ReadUint64(&from) || !s.ReadUint64(&to) || !s.Empty() || epoch > ledger.MaxEpoch || to > ledger.MaxEntries {
		return nil
	}
	out := []byte{}
	for ; from < to; from++ {
		e, err := n.store.Entry(ledger.Reference(epoch, from))
		if err != nil || len(out)+2+len(e) > maxAnswer {
			break
		}
		var b cryptobyte.Builder
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e) })
		out = append(out, b.BytesOrPanic()...)
	}
	return out
}

// startRecoveries answers what a bureau asks that begins or enters a new epoch.
func (n *Node) startRecoveries(Options) error {
	for protocol, answer := range map[string]func([]byte) []byte{
		protocolEntries: n.answerEntries,
		protocolNewest: func(q []byte) []byte {
			if note := n.notary.newestShown(); len(q) == 1 && q[0] == n.notary.epoch() && note != nil {
				return note
			}
			return []byte{}
		},
	} {
		a, err := serve(n.host, protocol, func(_ string, q []byte) []byte { return answer(q) })
		if err != nil {
			return err
		}
		n.recoveries = append(n.recoveries, a)
	}
	return nil
}
