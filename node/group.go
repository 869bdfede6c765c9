package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"pointage/consensus"
	"pointage/ledger"
)

const (
	// storeNote is the journal's note of the number of this machine's Raft store in an epoch: durable
	// before the store exists, so that an identity never comes back with an empty one.
	storeNote = "raft store number"
	// founderNote is the journal's note of the epoch that this machine is about to begin, 0 for none: there
	// it is the group's first member, and everywhere else it asks to be let in.
	founderNote = "epoch founded"
)

// startGroup joins the commune's Raft group of the present epoch.
func (n *Node) startGroup(Options) error {
	g, err := n.openGroup(n.store.Head().Epoch)
	if err == nil {
		n.group.Store(g)
	}
	return err
}

// openGroup starts this machine's part in an epoch's group. A store that was lost gets a new
// number and joins when the leader adds it.
func (n *Node) openGroup(epoch uint8) (*consensus.Group, error) {
	number, existed, err := n.storeNumber(epoch)
	if err != nil {
		return nil, err
	}
	g, err := n.joinGroup(epoch, number, existed)
	if errors.Is(err, consensus.ErrStoreLost) || errors.Is(err, consensus.ErrDamaged) {
		n.log.Warn("the Raft store is gone, joining with a new one", "err", err)
		if err := os.RemoveAll(n.raftDir(epoch)); err != nil {
			return nil, fmt.Errorf("set the damaged store aside: %w", err)
		}
		if !n.founding(epoch) {
			if number, err = n.newStoreNumber(epoch); err != nil {
				return nil, err
			}
		}
		g, err = n.joinGroup(epoch, number, false)
	}
	if err != nil {
		return nil, fmt.Errorf("start the group: %w", err)
	}
	if err := n.setFounding(context.Background(), epoch, false); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (n *Node) storeNumber(epoch uint8) (number uint64, existed bool, err error) {
	if n.founding(epoch) { // the store may be there or not: nobody has been let in beside it
		return 0, false, n.setStoreNumber(epoch, 0)
	}
	if b, ok := n.journal.Note(inEpoch(storeNote, epoch)); ok && len(b) == 8 {
		return binary.BigEndian.Uint64(b), true, nil
	}
	if n.keys.Incarnation > 0 || epoch > 0 { // the group was begun without this machine
		number, err = n.newStoreNumber(epoch)
		return number, false, err
	}
	return 0, false, n.setStoreNumber(epoch, 0)
}

func (n *Node) newStoreNumber(epoch uint8) (uint64, error) {
	var b [8]byte
	rand.Read(b[:])
	number := binary.BigEndian.Uint64(b[:]) | 1 // never 0, the first store's
	return number, n.setStoreNumber(epoch, number)
}

func (n *Node) setStoreNumber(epoch uint8, number uint64) error {
	if err := n.journal.SetNote(context.Background(), inEpoch(storeNote, epoch), binary.BigEndian.AppendUint64(nil, number)); err != nil {
		return fmt.Errorf("keep the Raft store's number: %w", err)
	}
	return nil
}

// founding says whether this machine is about to begin the epoch.
func (n *Node) founding(epoch uint8) bool {
	b, ok := n.journal.Note(founderNote)
	return epoch > 0 && ok && len(b) == 1 && b[0] == epoch
}

// setFounding says durably, before the epoch is there, whether this machine begins it: otherwise it would
// wait for ever to be let in, or begin a second group beside the one that lets it in.
func (n *Node) setFounding(ctx context.Context, epoch uint8, founder bool) error {
	note := []byte{0}
	switch {
	case founder: // a store that lies there is of no ledger that is here
		if err := os.RemoveAll(n.raftDir(epoch)); err != nil {
			return fmt.Errorf("make room for the epoch's Raft store: %w", err)
		}
		note[0] = epoch
	case !n.founding(epoch):
		return nil
	}
	if err := n.journal.SetNote(ctx, founderNote, note); err != nil {
		return fmt.Errorf("keep who begins the epoch: %w", err)
	}
	return nil
}

// inEpoch is a note's name in an epoch.
func inEpoch(note string, epoch uint8) string {
	if epoch == 0 {
		return note
	}
	return fmt.Sprintf("%s, epoch %d", note, epoch)
}

func (n *Node) raftDir(epoch uint8) string {
	if epoch == 0 {
		return filepath.Join(n.cfg.Data, "raft")
	}
	return filepath.Join(n.cfg.Data, fmt.Sprintf("raft-%d", epoch))
}

func (n *Node) joinGroup(epoch uint8, number uint64, existed bool) (*consensus.Group, error) {
	c := n.prepared.Commune
	votes := map[ledger.BureauNumber]bool{}
	for _, b := range c.Voting {
		votes[b] = true
	}
	member := n.peers.first
	if epoch > 0 { // who took another machine's place may have begun it
		member = func(b ledger.BureauNumber) string {
			if b == n.cfg.Bureau {
				return n.host.Self()
			}
			id, _ := n.peers.at(b)
			return id
		}
	}
	var members []consensus.Member
	var later []string
	for _, b := range c.Bureaux {
		now := member(b.Number)
		members = append(members, consensus.Member{Peer: now, Voting: votes[b.Number]})
		for _, id := range n.peers.machines[b.Number] {
			if id != now {
				later = append(later, id)
			}
		}
	}
	genesis, err := n.store.Entry(ledger.Reference(epoch, 0))
	if err != nil {
		return nil, err
	}
	return consensus.Start(consensus.Config{
		Dir: n.raftDir(epoch), Members: members, Later: later, StoreNumber: number, StoreExisted: existed, Founder: epoch > 0 && number == 0,
		Principal: member(c.Principal), Deputy: member(c.Deputy), Logger: n.log, Answers: n.answersIn(epoch),
	}, epochNetwork{n.host, epoch, ledger.LeafHash(genesis)}, n.store)
}

// epochNetwork keeps the groups of two epochs apart, which have members of the same names, and those that
// two founders began of one epoch.
type epochNetwork struct {
	Network
	epoch   uint8
	genesis ledger.Hash
}

func (n epochNetwork) name(protocol string) string {
	if n.epoch == 0 {
		return protocol
	}
	return fmt.Sprintf("%s/epoch-%d-%x", protocol, n.epoch, n.genesis[:8])
}

// Dial implements consensus.Network.
func (n epochNetwork) Dial(ctx context.Context, peer, protocol string) (net.Conn, error) {
	return n.Network.Dial(ctx, peer, n.name(protocol))
}

// Listen implements consensus.Network.
func (n epochNetwork) Listen(protocol string) (net.Listener, error) {
	return n.Network.Listen(n.name(protocol))
}
