package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pointage/consensus"
	"pointage/ledger"
)

// storeNote is the journal's note of the number of this machine's Raft store: durable
// before the store exists, so that an identity never comes back with an empty one.
const storeNote = "raft store number"

// startGroup joins the commune's Raft group. A store that was lost gets a new number and
// joins when the leader adds it.
func (n *Node) startGroup(Options) error {
	number, existed, err := n.storeNumber()
	if err != nil {
		return err
	}
	n.group, err = n.openGroup(number, existed)
	if errors.Is(err, consensus.ErrStoreLost) || errors.Is(err, consensus.ErrDamaged) {
		n.log.Warn("the Raft store is gone, joining with a new one", "err", err)
		if err := os.RemoveAll(filepath.Join(n.cfg.Data, "raft")); err != nil {
			return fmt.Errorf("set the damaged store aside: %w", err)
		}
		if number, err = n.newStoreNumber(); err != nil {
			return err
		}
		n.group, err = n.openGroup(number, false)
	}
	if err != nil {
		return fmt.Errorf("start the group: %w", err)
	}
	return nil
}

func (n *Node) storeNumber() (number uint64, existed bool, err error) {
	if b, ok := n.journal.Note(storeNote); ok && len(b) == 8 {
		return binary.BigEndian.Uint64(b), true, nil
	}
	if n.keys.Incarnation > 0 { // the group was begun without this machine
		number, err = n.newStoreNumber()
		return number, false, err
	}
	return 0, false, n.setStoreNumber(0)
}

func (n *Node) newStoreNumber() (uint64, error) {
	var b [8]byte
	rand.Read(b[:])
	number := binary.BigEndian.Uint64(b[:]) | 1 // never 0, the first store's
	return number, n.setStoreNumber(number)
}

func (n *Node) setStoreNumber(number uint64) error {
	if err := n.journal.SetNote(context.Background(), storeNote, binary.BigEndian.AppendUint64(nil, number)); err != nil {
		return fmt.Errorf("keep the Raft store's number: %w", err)
	}
	return nil
}

func (n *Node) openGroup(number uint64, existed bool) (*consensus.Group, error) {
	c := n.prepared.Commune
	votes := map[ledger.BureauNumber]bool{}
	for _, b := range c.Voting {
		votes[b] = true
	}
	var members []consensus.Member
	for _, b := range c.Bureaux {
		members = append(members, consensus.Member{Peer: n.peers.first(b.Number), Voting: votes[b.Number]})
	}
	return consensus.Start(consensus.Config{
		Dir: filepath.Join(n.cfg.Data, "raft"), Members: members, Later: n.peers.later(), StoreNumber: number, StoreExisted: existed,
		Principal: n.peers.first(c.Principal), Deputy: n.peers.first(c.Deputy), Logger: n.log,
	}, n.host, n.store)
}
