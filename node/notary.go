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
	// signedNote is the journal's note of the last checkpoint that was signed
	// in an epoch: uint64 size, root.
	signedNote = "last signed checkpoint"
)

// notary makes the commune's checkpoints where this machine may sign them, and
// cosigns those of others. At a bureau that is neither the principal nor its deputy
// it only cosigns.
type notary struct {
	group    *ledger.Group
	self     ledger.BureauNumber
	store    *store.Store
	journal  *journal.Journal
	peers    *peers
	logger   *slog.Logger
	clock    func() time.Time
	cosigner ed25519.PrivateKey
	// logKey is the commune's log key, nil where it is not held.
	logKey ed25519.PrivateKey
	// leads says whether this machine leads the group.
	leads func() bool

	mu sync.Mutex
	// newest is the last checkpoint signed in this run and epoch, with the bureaux' lines.
	newest  anchor.Checkpoint
	cosigns string
	// shown is the newest checkpoint under the log's signature that this machine has the entries of.
	shown struct {
		epoch uint8
		size  uint64
		note  []byte
	}
}

func (n *notary) epoch() uint8 { return n.store.Head().Epoch }

// log is the key of an epoch's checkpoints.
func (n *notary) log(epoch uint8) *ledger.NoteKey {
	return ledger.LogKey(n.group.Origin(epoch), n.group.LogKey)
}

// noteIn is the journal's note of what was signed in an epoch.
func noteIn(epoch uint8) string {
	if epoch == 0 {
		return signedNote
	}
	return fmt.Sprintf("%s, epoch %d", signedNote, epoch)
}

// show keeps the newest checkpoint, should the group lose its majority.
func (n *notary) show(epoch uint8, size uint64, note []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := &n.shown; epoch > s.epoch || epoch == s.epoch && size > s.size {
		s.epoch, s.size, s.note = epoch, size, append([]byte(nil), note...)
	}
}

// newestShown is the newest checkpoint of the present epoch that was shown here, nil for none.
func (n *notary) newestShown() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shown.epoch != n.epoch() {
		return nil
	}
	return n.shown.note
}

// cosign answers a request to cosign with a line, or with nothing when this bureau has not
// come as far. Another history under the log's own signature is an alarm.
func (n *notary) cosign(_ string, note []byte) []byte {
	epoch := n.epoch()
	c, _, err := ledger.OpenCheckpoint(note, n.log(epoch), nil)
	if err != nil {
		return []byte{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), cosignWait)
	defer cancel()
	if err := n.store.Wait(ctx, c.Size); err != nil {
		return []byte{}
	}
	root, err := n.store.Root(c.Size)
	if err != nil || n.epoch() != epoch {
		return []byte{}
	}
	if root != c.Root {
		n.logger.Error("a checkpoint signed with the log's key shows another history than this bureau's", "size", c.Size)
		return []byte{}
	}
	n.show(epoch, c.Size, note)
	return []byte(ledger.Cosign(c, n.group.CosignerName(n.self), n.cosigner, uint64(n.clock().Unix())))
}

// sign makes a checkpoint of the whole ledger, if this machine may: durable first,
// consistent with the last one that it signed.
func (n *notary) sign(ctx context.Context) (anchor.Checkpoint, error) {
	head := n.store.Head()
	size := head.Size
	root, err := n.store.Root(size)
	if err != nil {
		return anchor.Checkpoint{}, fmt.Errorf("root of %d entries: %w", size, err)
	}
	if err := n.consistent(head.Epoch, size, root); err != nil {
		return anchor.Checkpoint{}, err
	}
	if err := n.journal.SetNote(ctx, noteIn(head.Epoch), append(binary.BigEndian.AppendUint64(nil, size), root[:]...)); err != nil {
		return anchor.Checkpoint{}, fmt.Errorf("keep what is signed: %w", err)
	}
	c, err := n.checkpoint(head.Epoch, size, root)
	if err == nil {
		n.show(head.Epoch, size, c.Note)
	}
	return c, err
}

func (n *notary) checkpoint(epoch uint8, size uint64, root ledger.Hash) (anchor.Checkpoint, error) {
	c := ledger.Checkpoint{Origin: n.group.Origin(epoch), Size: size, Root: root}
	note, err := ledger.SignCheckpoint(c, n.logKey)
	return anchor.Checkpoint{Checkpoint: c, Note: note}, err
}

// signedLast is the last checkpoint that this machine signed in the present epoch, whose entries may
// be lost here.
func (n *notary) signedLast() (anchor.Checkpoint, error) {
	epoch := n.epoch()
	last, ok := n.journal.Note(noteIn(epoch))
	if !ok || len(last) != 8+len(ledger.Hash{}) {
		return anchor.Checkpoint{}, errors.New("no checkpoint was signed here")
	}
	return n.checkpoint(epoch, binary.BigEndian.Uint64(last), ledger.Hash(last[8:]))
}

// consistent compares with the last checkpoint that this machine signed.
func (n *notary) consistent(epoch uint8, size uint64, root ledger.Hash) error {
	last, ok := n.journal.Note(noteIn(epoch))
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
	head := n.store.Head()
	for pos := size; pos < head.Size; pos++ {
		raw, err := n.store.Entry(ledger.Reference(head.Epoch, pos))
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
	log := n.log(n.epoch())
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

// renew forgets the epoch before.
func (n *notary) renew() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.newest, n.cosigns = anchor.Checkpoint{}, ""
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
