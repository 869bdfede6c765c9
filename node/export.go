package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"pointage/ledger"
	"pointage/node/store"
)

// ErrNotAnchored: an export shows a checkpoint that a witness has cosigned, and there is
// none yet.
var ErrNotAnchored = errors.New("nothing is anchored yet: wait for the next anchor, and see that ADELE answers")

// ErrNoLogKey: only the principal bureau and its deputy keep the anchors.
var ErrNoLogKey = errors.New("only the principal bureau and its deputy export: this one does not keep the anchors")

// Export writes what experts verify, up to the newest anchored checkpoint, into dir, which
// must be new or an older export.
func (n *Node) Export(dir string) error {
	if n.anchoring.Load() == nil {
		return ErrNoLogKey
	}
	if err := n.enter(); err != nil {
		return err
	}
	defer n.acts.RUnlock()
	n.exporting.Lock() // two into one directory would undo each other
	defer n.exporting.Unlock()
	return inLine(exportTo(dir, n.store, n.cfg.Data, n.prepared))
}

func exportTo(dir string, s *store.Store, data string, p *Prepared) error {
	var all [][][]byte
	for epoch := range s.Head().Epoch + 1 {
		a, err := openAnchors(data, p.Group, epoch)
		if err != nil {
			return err
		}
		notes, err := a.all()
		if err != nil {
			return err
		}
		all = append(all, notes)
	}
	last := all[len(all)-1]
	if len(last) == 0 {
		return ErrNotAnchored
	}
	return s.Export(dir, store.Export{Checkpoint: last[len(last)-1], Anchors: all, Manifest: p.File})
}

// ExportStopped exports from the directories of a bureau that does not run.
func ExportStopped(cfg Config, dir string) (err error) {
	p, err := ReadPrepared(cfg.Election, cfg.Commune)
	if err != nil {
		return InputError{err}
	}
	if err := p.has(cfg); err != nil {
		return InputError{err}
	}
	if cfg.Bureau != p.Commune.Principal && cfg.Bureau != p.Commune.Deputy {
		return ErrNoLogKey
	}
	ledgerIn := filepath.Join(cfg.Data, ledgerDir)
	if _, err := os.Stat(ledgerIn); err != nil {
		return fmt.Errorf("nothing to export: there is no ledger in %s", cfg.Data)
	}
	var l locked
	defer func() { err = inLine(errors.Join(err, l.Close())) }()
	if err := l.lockData(cfg.Data, ownerOf(p.Group, cfg.Bureau)); err != nil {
		return err
	}
	s, err := store.Open(ledgerIn, p.Group, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return exportTo(dir, s, cfg.Data, p)
}

func (a *api) export(r *http.Request) (any, error) {
	var in struct {
		Dir string `json:"dir"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(in.Dir) {
		return nil, badRequest("the directory must be absolute")
	}
	if err := a.node.Export(in.Dir); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// Open declares the bureau open to electors.
func (n *Node) Open(ctx context.Context) error { return n.declare(ctx, n.book.OpenBureau) }

// CloseBureau declares the bureau closed to electors. At the principal bureau the last
// anchor then doesn't wait for its turn.
func (n *Node) CloseBureau(ctx context.Context) error {
	err := n.declare(ctx, n.book.CloseBureau)
	if a := n.anchoring.Load(); a != nil {
		a.Hurry()
	}
	return err
}

func (n *Node) declare(ctx context.Context, what func(context.Context) error) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.acts.RUnlock()
	return what(ctx)
}

// Head is the end of the commune's chain as this bureau has it.
func (n *Node) Head() ledger.ChainHead { return n.store.Head() }

// Addrs are the addresses that the bureau listens at.
func (n *Node) Addrs() []string { return n.host.Addrs() }

// API is the address of the bureau's interface and the secret for its acts.
func (n *Node) API() (addr, token string) { return n.api.listener.Addr().String(), n.api.token }
