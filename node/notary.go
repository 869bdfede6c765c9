package node

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/node/anchor"
	"pointage/node/journal"
	"pointage/node/store"
)

const (
	// cosignWait is how long a bureau waits to have applied what it is asked to cosign, and
	// cosignTimeout how long the asker waits for all of them.
	cosignWait    = time.Second
	cosignTimeout = 2 * time.Second
	// signedNote is the journal's note of the last checkpoint that was signed:
	// uint64 size, root.
	signedNote = "last signed checkpoint"
)

// notary makes the commune's checkpoints where this machine may sign them, and
// cosigns those of others. At a bureau that is neither the principal nor its deputy
// it only cosigns.
type notary struct {
	group    *ledger.Group
	self     ledger.BureauNumber
	epoch    uint8
	store    *store.Store
	journal  *journal.Journal
	peers    *peers
	log      *slog.Logger
	cosigner ed25519.PrivateKey
	// logKey is the commune's log key, nil where it is not held.
	logKey ed25519.PrivateKey
	// leads says whether this machine leads the group.
	leads func() bool

	mu sync.Mutex
	// newest is the last checkpoint signed in this run, with the bureaux' lines.
	newest  anchor.Checkpoint
	cosigns string
}

// cosign answers a request to cosign with a line, or with nothing when this bureau has not
// come as far. Another history under the log's own signature is an alarm.
func (n *notary) cosign(_ string, note []byte) []byte {
	c, _, err := ledger.OpenCheckpoint(note, ledger.LogKey(n.group.Origin(n.epoch), n.group.LogKey), nil)
	if err != nil {
		return []byte{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), cosignWait)
	defer cancel()
	if err := n.store.Wait(ctx, c.Size); err != nil {
		return []byte{}
	}
	root, err := n.store.Root(c.Size)
	if err != nil {
		return []byte{}
	}
	if root != c.Root {
		n.log.Error("a checkpoint signed with the log's key shows another history than this bureau's", "size", c.Size)
		return []byte{}
	}
	return []byte(ledger.Cosign(c, n.group.CosignerName(n.self), n.cosigner, uint64(time.Now().Unix())))
}

// sign makes a checkpoint of the whole ledger, if this machine may: durable first,
// consistent with the last one that it signed.
func (n *notary) sign(ctx context.Context) (anchor.Checkpoint, error) {
	size := n.store.Size()
	root, err := n.store.Root(size)
	if err != nil {
		return anchor.Checkpoint{}, fmt.Errorf("root of %d entries: %w", size, err)
	}
	if err := n.consistent(size, root); err != nil {
		return anchor.Checkpoint{}, err
	}
	if err := n.journal.SetNote(ctx, signedNote, append(binary.BigEndian.AppendUint64(nil, size), root[:]...)); err != nil {
		return anchor.Checkpoint{}, fmt.Errorf("keep what is signed: %w", err)
	}
	c := ledger.Checkpoint{Origin: n.group.Origin(n.epoch), Size: size, Root: root}
	note, err := ledger.SignCheckpoint(c, n.logKey)
	if err != nil {
		return anchor.Checkpoint{}, err
	}
	return anchor.Checkpoint{Checkpoint: c, Note: note}, nil
}

// consistent compares with the last checkpoint that this machine signed.
func (n *notary) consistent(size uint64, root ledger.Hash) error {
	last, ok := n.journal.Note(signedNote)
	if !ok || len(last) != 8+len(root) {
		return nil
	}
	old := binary.BigEndian.Uint64(last)
	if size < old {
		return fmt.Errorf("%w: %d entries, a checkpoint of %d was signed", errBehind, size, old)
	}
	was, err := n.store.Root(old)
	if err != nil {
		return fmt.Errorf("root of %d entries: %w", old, err)
	}
	if was != ledger.Hash(last[8:]) {
		// Electors are served all the same: nothing more is signed.
		return fmt.Errorf("at size %d the ledger's root is %v, this machine signed %x: call the election authority", old, was, last[8:])
	}
	return nil
}

var errBehind = errors.New("this machine's copy is behind what it signed")

// Newest implements anchor.Source: the newest checkpoint, made now if this machine
// leads, holds the log's key, and the ledger has grown by more than anchors.
func (n *notary) Newest(ctx context.Context) (anchor.Checkpoint, bool, error) {
	if n.logKey == nil || !n.leads() {
		return anchor.Checkpoint{}, false, nil
	}
	n.mu.Lock()
	newest := n.newest
	n.mu.Unlock()
	if n.grown(newest.Size) {
		c, err := n.sign(ctx)
		if errors.Is(err, errBehind) {
			return anchor.Checkpoint{}, false, nil
		}
		if err != nil {
			return anchor.Checkpoint{}, false, err
		}
		lines := n.gather(ctx, c.Note)
		n.mu.Lock()
		n.newest, n.cosigns, newest = c, lines, c
		n.mu.Unlock()
	}
	return newest, newest.Size > 0, nil
}

// grown says whether more than anchored statements came after the first size entries.
func (n *notary) grown(size uint64) bool {
	for pos := size; pos < n.store.Size(); pos++ {
		raw, err := n.store.Entry(pos)
		if err != nil || !onlyAnchors(raw) {
			return true
		}
	}
	return false
}

func onlyAnchors(raw []byte) bool {
	e, err := ledger.DecodeEntry(raw)
	if err != nil || e.Kind != ledger.BatchEntry {
		return false
	}
	b, err := ledger.DecodeBatch(e.Batch)
	if err != nil {
		return false
	}
	for _, s := range b.Statements {
		if s.Body.Kind() != ledger.KindAnchored {
			return false
		}
	}
	return true
}

// gather asks every bureau to cosign and puts the lines in their order.
func (n *notary) gather(ctx context.Context, note []byte) string {
	ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
	defer cancel()
	keys := n.group.Cosigners()
	lines := make(map[string]string, len(keys))
	var mu sync.Mutex
	var asking sync.WaitGroup
	for b := range n.peers.machines {
		asking.Go(func() {
			var line []byte
			if b == n.self {
				line = n.cosign("", note)
			} else {
				var err error
				if line, err = n.peers.ask(ctx, b, protocolCosign, note); err != nil {
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			lines[n.group.CosignerName(b)] = string(line)
		})
	}
	asking.Wait()
	out, have := "", 0
	log := ledger.LogKey(n.group.Origin(n.epoch), n.group.LogKey)
	for _, k := range keys {
		line := lines[k.Name()]
		if line == "" || have == ledger.MaxCosignatures-len(n.group.Witnesses) {
			continue
		}
		// A bureau's line counts only if it holds.
		if _, sigs, err := ledger.OpenCheckpoint([]byte(string(note)+line), log, []*ledger.NoteKey{k}); err != nil || len(sigs) != 1 {
			continue
		}
		out, have = out+line, have+1
	}
	return out
}

// Prove implements anchor.Prover.
func (n *notary) Prove(_ context.Context, old, size uint64) ([]tlog.Hash, error) {
	return n.store.Prove(old, size)
}

// complete is an anchored checkpoint with every line: log, bureaux, witness.
func (n *notary) complete(a anchor.Anchored) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := ""
	if n.newest.Size == a.Checkpoint.Size {
		lines = n.cosigns
	}
	return append(append([]byte(nil), a.Checkpoint.Note...), lines+a.Line...)
}
