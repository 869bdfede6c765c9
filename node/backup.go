package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/store"
)

// A backup is an export: whoever verifies one verifies the other. It holds the ledger and the anchors, which
// is what the principal bureau has and others may not; the journal is not in it, since a second
// copy of the media is what the media's rules forbid. Two directories take turns, so that one is
// always whole.

// DefaultBackupEvery is the pace of backups where a directory for them is configured.
const DefaultBackupEvery = 5 * time.Minute

// BackupDirs are where the two backups lie, in the configured directory.
var BackupDirs = [2]string{"backup-1", "backup-2"}

// backups writes one after the other until the node stops.
func (n *Node) backups(ctx context.Context) {
	if n.cfg.Backup == "" || n.anchoring.Load() == nil {
		return
	}
	n.exporting.Lock()
	_ = store.ClearExports(n.cfg.Backup) // what keeps it from that is told at the first backup
	n.exporting.Unlock()
	tick := time.NewTicker(time.Duration(n.cfg.BackupEvery))
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := os.Stat(n.cfg.Backup) // a disk that is gone is not made anew on this one
		if err == nil {
			err = n.Export(filepath.Join(n.cfg.Backup, olderBackup(n.cfg.Backup)))
		}
		switch {
		case err == nil || ctx.Err() != nil:
			said = ""
		case errors.Is(err, ErrNotAnchored):
		case err.Error() != said:
			said = err.Error()
			n.log.Error("no backup was written: see that its directory is there and has space", "dir", n.cfg.Backup, "err", said)
		}
	}
}

// olderBackup is the one to be replaced.
func olderBackup(dir string) string {
	var at [2]time.Time
	for i, name := range BackupDirs {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
			at[i] = st.ModTime()
		}
	}
	if at[1].Before(at[0]) {
		return BackupDirs[1]
	}
	return BackupDirs[0]
}

// RestoreBackup gives a machine without a ledger the one of an export, with its anchors. The bureau does
// not run; what came after the export it hears from its group. Everything in the export is
// verified; after an error nothing of it is kept.
func RestoreBackup(ctx context.Context, cfg Config, from string) (entries uint64, err error) {
	p, err := ReadPrepared(cfg.Election, cfg.Commune)
	if err == nil {
		err = p.has(cfg)
	}
	if err != nil {
		return 0, InputError{err}
	}
	if st, err := os.Stat(from); err != nil || !st.IsDir() {
		return 0, InputError{fmt.Errorf("%s is no directory of an export: name one that pointage export or a backup wrote", from)}
	}
	dir := os.DirFS(from)
	x, err := election.OpenExport(dir)
	if err != nil {
		return 0, InputError{fmt.Errorf("%s: %w", from, err)}
	}
	if x.Group.Manifest != p.Group.Manifest || x.Group.Commune != p.Group.Commune {
		return 0, InputError{fmt.Errorf("%s is of another election or commune", from)}
	}
	var l locked
	defer func() { err = inLine(errors.Join(err, l.Close())) }()
	owner := ownerOf(p.Group, cfg.Bureau)
	if err := l.lockData(cfg.Data, owner); err != nil {
		return 0, err
	}
	s, err := store.Open(filepath.Join(cfg.Data, ledgerDir), p.Group, store.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if h := s.Head(); h.Epoch > 0 || h.Size > 1 {
		return 0, InputError{fmt.Errorf("%s has a ledger of %d entries: a backup is for a machine without one", cfg.Data, h.Size)}
	}
	if err := loadExport(ctx, s, dir, x, cfg.Data); err != nil {
		return 0, InputError{fmt.Errorf("%s: %w", from, err)}
	}
	return s.Size(), claimData(cfg.Data, owner)
}

// loadExport verifies an export and loads it, in one pass. The anchors come before the ledger does: a
// crash leaves a machine without one, to be restored again.
func loadExport(ctx context.Context, s *store.Store, dir fs.FS, x *election.Export, data string) error {
	var made []string
	err := s.Load(func(put func([]byte) error) error {
		var failed error
		_, err := ledger.Verify(ctx, dir, x.Group, x.Epoch, ledger.Options{
			Workers: runtime.GOMAXPROCS(0),
			Entry: func(_ uint64, e *ledger.Entry, _ *ledger.Batch) {
				raw, err := e.Encode()
				if failed == nil {
					failed = errors.Join(err, put(raw))
				}
			},
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		made, err = restoreAllAnchors(dir, x.Epoch, data)
		return err
	})
	for _, to := range made {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(to))
		}
	}
	return err
}

// restoreAllAnchors copies every epoch's anchors, which were verified, and lists the directories that it made.
// Anchors that are there are this machine's own, and stay.
func restoreAllAnchors(dir fs.FS, last uint8, data string) (made []string, err error) {
	for epoch := range last + 1 {
		prefix, to := "", anchorsDir(data, epoch)
		if epoch < last {
			prefix = ledger.EpochDir(epoch) + "/"
		}
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			if kept, rerr := os.ReadDir(to); rerr == nil && len(kept) > 0 {
				continue
			}
			return made, fmt.Errorf("make room for the anchors: %w", err)
		}
		if err := restoreAnchors(dir, prefix, to+".new"); err != nil {
			return made, err
		}
		if err := errors.Join(os.Rename(to+".new", to), syncDir(data)); err != nil {
			return made, fmt.Errorf("put the anchors in their place: %w", err)
		}
		made = append(made, to)
	}
	return made, nil
}

// restoreAnchors copies an epoch's anchors.
func restoreAnchors(dir fs.FS, prefix, to string) error {
	if err := errors.Join(os.RemoveAll(to), os.MkdirAll(to, 0o700)); err != nil {
		return fmt.Errorf("make %s: %w", to, err)
	}
	for i := 0; ; i++ {
		note, err := ledger.ReadExported(dir, prefix+ledger.AnchorFile(i), ledger.MaxNote)
		if _, gone := fs.Stat(dir, prefix+ledger.AnchorFile(i)); errors.Is(gone, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(to, filepath.Base(ledger.AnchorFile(i))), note, 0o600); err != nil {
			return err
		}
	}
}
