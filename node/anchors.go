package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node/anchor"
)

// anchors keeps every cosigned checkpoint that this machine received, in
// <data>/anchors/<number>, oldest first; each also becomes a statement.
type anchors struct {
	dir    string
	notary *notary
	record func(context.Context, ledger.Body) error
	// open says whether the principal's own bureau is open: after its closing an
	// anchor stands in the export only, since its statement would make a newer head for ever.
	open func() bool

	mu    sync.Mutex
	count int
	// last is the newest, whole.
	last     []byte
	lastSize uint64
	lastTime time.Time
}

// openAnchors reads what is there; a gap or a stranger's file is an error.
func openAnchors(dir string, n *notary) (*anchors, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	for i, f := range files {
		if filepath.Base(f) != filepath.Base(ledger.AnchorFile(i)) {
			return nil, fmt.Errorf("%s: the anchors before it are missing: copy them from the deputy, or set it aside", f)
		}
	}
	a := &anchors{dir: dir, notary: n, count: len(files)}
	if len(files) == 0 {
		return a, nil
	}
	if a.last, err = os.ReadFile(files[len(files)-1]); err != nil {
		return nil, fmt.Errorf("read the last anchor: %w", err)
	}
	log := ledger.LogKey(n.group.Origin(n.epoch), n.group.LogKey)
	c, sigs, err := ledger.OpenCheckpoint(a.last, log, n.group.Cosigners())
	if err != nil || len(sigs) == 0 {
		return nil, fmt.Errorf("%s is not an anchored checkpoint: set it aside", files[len(files)-1])
	}
	a.lastSize, a.lastTime = c.Size, time.Unix(int64(sigs[len(sigs)-1].Seconds), 0)
	return a, nil
}

// Keep implements anchor.Sink: durable in a file, then stated in the ledger.
func (a *anchors) Keep(ctx context.Context, x anchor.Anchored) error {
	note := a.notary.complete(x)
	a.mu.Lock()
	if x.Checkpoint.Size < a.lastSize {
		a.mu.Unlock()
		return nil
	}
	if !bytes.Equal(note, a.last) { // it is when its statement failed, and is made again
		name := filepath.Join(a.dir, filepath.Base(ledger.AnchorFile(a.count)))
		if err := writeFile(name, note, 0o600); err != nil {
			a.mu.Unlock()
			return err
		}
		a.count, a.last, a.lastSize, a.lastTime = a.count+1, note, x.Checkpoint.Size, x.Time
	}
	a.mu.Unlock()
	if !a.open() {
		return nil
	}
	body, err := a.statement(note, x.Checkpoint.Checkpoint)
	if err != nil {
		return err
	}
	return a.record(ctx, body)
}

func (a *anchors) statement(note []byte, c ledger.Checkpoint) (ledger.Body, error) {
	g := a.notary.group
	_, sigs, err := ledger.OpenCheckpoint(note, ledger.LogKey(g.Origin(a.notary.epoch), g.LogKey), g.Cosigners())
	if err != nil || len(sigs) == 0 {
		return nil, fmt.Errorf("read back an anchored checkpoint: %w", err)
	}
	s := sigs[len(sigs)-1]
	return &ledger.Anchored{
		Epoch: a.notary.epoch, Size: c.Size, Root: c.Root, Witness: s.KeyHash, Cosigned: s.Seconds, Signature: s.Signature,
	}, nil
}

// all are the kept checkpoints, oldest first.
func (a *anchors) all() ([][]byte, error) {
	a.mu.Lock()
	count := a.count
	a.mu.Unlock()
	out := make([][]byte, count)
	for i := range out {
		var err error
		if out[i], err = os.ReadFile(filepath.Join(a.dir, filepath.Base(ledger.AnchorFile(i)))); err != nil {
			return nil, fmt.Errorf("read anchor: %w", err)
		}
	}
	return out, nil
}

// newest is the last anchored checkpoint and its size, nil when there is none.
func (a *anchors) newest() ([]byte, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last, a.lastSize
}

// startNotary makes this bureau cosign, and where it holds the log's key also sign
// and anchor.
func (n *Node) startNotary(Options) (err error) {
	nt := &notary{
		group: n.prepared.Group, self: n.cfg.Bureau, store: n.store, journal: n.journal, peers: n.peers, log: n.log,
		cosigner: n.secrets.Cosigner, leads: n.group.IsLeader,
	}
	if n.keys.Log != nil {
		nt.logKey = logKey(*n.keys.Log)
	}
	n.notary = nt
	if n.cosigns, err = serve(n.host, protocolCosign, nt.cosign); err != nil || nt.logKey == nil {
		return err
	}
	if err := n.openAnchors(); err != nil {
		return err
	}
	n.anchors.record, n.anchors.open = n.book.Record, func() bool { return n.book.Status().Open }
	n.anchorer = anchor.NewAnchorer(anchor.Settings{
		Client: n.witness, Source: nt, Prover: nt, Sink: n.anchors, Logger: n.log, Now: time.Now, Random: rand.Float64,
		LastSize: n.anchors.lastSize, LastTime: n.anchors.lastTime,
		Interval: time.Duration(n.cfg.CheckpointEvery), MaxBackoff: maxAnchorBackoff,
	})
	return nil
}

// anchorsDir is where the anchors are kept in the data directory.
const anchorsDir = "anchors"

// openAnchors opens the anchors. Those that are damaged are set aside whole: electors don't
// wait for somebody who looks at them, and the next anchor covers all before it.
func (n *Node) openAnchors() (err error) {
	dir := filepath.Join(n.cfg.Data, anchorsDir)
	if n.anchors, err = openAnchors(dir, n.notary); err == nil {
		return nil
	}
	aside, merr := os.MkdirTemp(n.cfg.Data, anchorsDir+"-damaged-*")
	if merr == nil {
		merr = os.Rename(dir, filepath.Join(aside, anchorsDir))
	}
	if merr != nil {
		return errors.Join(err, merr)
	}
	n.log.Error("the anchors that were kept can't be read and are set aside", "aside", aside, "err", err)
	n.anchors, err = openAnchors(dir, n.notary)
	return err
}

// maxAnchorBackoff bounds the wait after a failure: a witness that is back is used
// again soon.
const maxAnchorBackoff = 15 * time.Second

// wakeAnchorer has the anchorer look for a newer checkpoint at its pace.
func (n *Node) wakeAnchorer(ctx context.Context) {
	t := time.NewTicker(time.Duration(n.cfg.CheckpointEvery))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.anchorer.Wake()
		}
	}
}
