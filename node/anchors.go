package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
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

// anchors keeps every cosigned checkpoint of an epoch that this machine received, in
// <data>/anchors/<number>, oldest first; each also becomes a statement.
type anchors struct {
	dir    string
	group  *ledger.Group
	epoch  uint8
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

// openAnchors reads what is there; a gap or a stranger's file is an error. What it gives can't
// keep more before it has a notary.
func openAnchors(data string, g *ledger.Group, epoch uint8) (*anchors, error) {
	dir := anchorsDir(data, epoch)
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
	a := &anchors{dir: dir, group: g, epoch: epoch, count: len(files)}
	if len(files) == 0 {
		return a, nil
	}
	if a.last, err = os.ReadFile(files[len(files)-1]); err != nil {
		return nil, fmt.Errorf("read the last anchor: %w", err)
	}
	c, sigs, err := ledger.OpenCheckpoint(a.last, ledger.LogKey(g.Origin(epoch), g.LogKey), g.Cosigners())
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
	_, sigs, err := ledger.OpenCheckpoint(note, ledger.LogKey(a.group.Origin(a.epoch), a.group.LogKey), a.group.Cosigners())
	if err != nil || len(sigs) == 0 {
		return nil, fmt.Errorf("read back an anchored checkpoint: %w", err)
	}
	s := sigs[len(sigs)-1]
	return &ledger.Anchored{
		Epoch: a.epoch, Size: c.Size, Root: c.Root, Witness: s.KeyHash, Cosigned: s.Seconds, Signature: s.Signature,
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
		group: n.prepared.Group, self: n.cfg.Bureau, store: n.store, journal: n.journal, peers: n.peers, logger: n.log, clock: n.clock,
		cosigner: n.secrets.Cosigner, leads: func() bool { return n.group.Load().IsLeader() },
	}
	if n.keys.Log != nil {
		nt.logKey = logKey(*n.keys.Log)
	}
	n.notary = nt
	if n.cosigns, err = serve(n.host, protocolCosign, nt.cosign); err != nil || nt.logKey == nil {
		return err
	}
	return n.startAnchoring()
}

// anchoring is the present epoch's anchors, and who adds to them.
type anchoring struct {
	*anchor.Anchorer
	kept *anchors
	stop context.CancelFunc
	work sync.WaitGroup
}

// startAnchoring takes up the present epoch's anchors.
func (n *Node) startAnchoring() error {
	kept, err := n.openAnchors(n.store.Head().Epoch)
	if err != nil {
		return err
	}
	kept.notary, kept.record, kept.open = n.notary, n.book.Record, func() bool { return n.book.Status().Open }
	ctx, stop := context.WithCancel(context.Background())
	a := &anchoring{kept: kept, stop: stop, Anchorer: anchor.NewAnchorer(anchor.Settings{
		Client: n.witness, Source: n.notary, Prover: n.notary, Sink: kept, Logger: n.log, Now: time.Now, Random: rand.Float64,
		LastSize: kept.lastSize, LastTime: kept.lastTime,
		Interval: time.Duration(n.cfg.CheckpointEvery), MaxBackoff: maxAnchorBackoff,
	})}
	a.work.Go(func() { a.Run(ctx) })
	a.work.Go(func() { a.keepAwake(ctx, time.Duration(n.cfg.CheckpointEvery)) })
	n.anchoring.Store(a)
	return nil
}

// Close ends the anchoring and waits for it.
func (a *anchoring) Close() {
	a.stop()
	a.work.Wait()
}

// keepAwake has the anchorer look for a newer checkpoint at its pace.
func (a *anchoring) keepAwake(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			a.Wake()
		}
	}
}

// anchorsDir is where an epoch's anchors are kept in the data directory.
func anchorsDir(data string, epoch uint8) string {
	if epoch == 0 {
		return filepath.Join(data, "anchors")
	}
	return filepath.Join(data, fmt.Sprintf("anchors-%d", epoch))
}

// openAnchors opens the anchors. Those that are damaged are set aside whole: electors don't
// wait for somebody who looks at them, and the next anchor covers all before it.
func (n *Node) openAnchors(epoch uint8) (*anchors, error) {
	a, err := openAnchors(n.cfg.Data, n.prepared.Group, epoch)
	if err == nil {
		return a, nil
	}
	dir := anchorsDir(n.cfg.Data, epoch)
	aside, merr := os.MkdirTemp(n.cfg.Data, "anchors-damaged-*")
	if merr == nil {
		merr = os.Rename(dir, filepath.Join(aside, filepath.Base(dir)))
	}
	if merr != nil {
		return nil, errors.Join(err, merr)
	}
	n.log.Error("the anchors that were kept can't be read and are set aside", "aside", aside, "err", err)
	return openAnchors(n.cfg.Data, n.prepared.Group, epoch)
}

// maxAnchorBackoff bounds the wait after a failure: a witness that is back is used
// again soon.
const maxAnchorBackoff = 15 * time.Second

func logKey(seed [32]byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed[:]) }
