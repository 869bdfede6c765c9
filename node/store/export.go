package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// Export is what the ledger itself does not hold.
type Export struct {
	// Checkpoint is the anchored note that the export ends with; its size is the
	// export's.
	Checkpoint []byte
	// Anchors are the cosigned checkpoints, oldest first.
	Anchors [][]byte
	// Manifest is the manifest file.
	Manifest []byte
}

// Export writes a directory that ledger.Verify accepts (C2SP tlog-tiles v0.1.0 and the
// files of SPEC 9). dir must be absent, or an export that is then replaced; it appears
// whole or not at all.
func (s *Store) Export(dir string, x Export) error {
	origin := s.g.Origin(s.Head().Epoch)
	c, _, err := ledger.OpenCheckpoint(x.Checkpoint, ledger.LogKey(origin, s.g.LogKey), s.g.Cosigners())
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if c.Size > s.Size() {
		return fmt.Errorf("export: the checkpoint has %d entries, this ledger %d", c.Size, s.Size())
	}
	if err := replaceable(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".export-*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.RemoveAll(tmp)
	w := &exportWriter{root: tmp}
	s.writeNames(w, origin, x)
	s.writeTiles(w, c.Size)
	if w.err != nil {
		return fmt.Errorf("export: %w", w.err)
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.RemoveAll(dir), os.Rename(tmp, dir)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// replaceable refuses to write over anything but an older export.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, name := range []string{ledger.CheckpointFile, ledger.OriginFile, ledger.ManifestFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("export: %s is not empty and no export: name another directory", dir)
		}
	}
	return nil
}

// exportWriter writes files below root and keeps the first fault.
type exportWriter struct {
	root string
	err  error
}

func (w *exportWriter) file(name string, b []byte) {
	if w.err != nil {
		return
	}
	path := filepath.Join(w.root, filepath.FromSlash(name))
	if w.err = os.MkdirAll(filepath.Dir(path), 0o755); w.err == nil {
		w.err = os.WriteFile(path, b, 0o644)
	}
}

func (s *Store) writeNames(w *exportWriter, origin string, x Export) {
	witnesses := ""
	for _, k := range s.g.Witnesses {
		witnesses += k.VKey() + "\n"
	}
	w.file(ledger.OriginFile, []byte(origin+"\n"))
	w.file(ledger.LogVKeyFile, []byte(ledger.LogVKey(origin, s.g.LogKey)+"\n"))
	w.file(ledger.WitnessFile, []byte(witnesses))
	w.file(ledger.ManifestFile, x.Manifest)
	w.file(ledger.RollFile, s.g.Roll.Encode())
	w.file(ledger.CheckpointFile, x.Checkpoint)
	for i, a := range x.Anchors {
		w.file(ledger.AnchorFile(i), a)
	}
}

func (s *Store) writeTiles(w *exportWriter, size uint64) {
	for _, t := range ledger.EntryBundles(size) {
		var b []byte
		for i := range uint64(t.W) {
			e, err := s.Entry(uint64(t.N)*ledger.TileWidth + i)
			if err != nil {
				w.err = errors.Join(w.err, err)
				return
			}
			b = ledger.AppendToBundle(b, e)
		}
		w.file(ledger.TilePath(t), b)
	}
	for _, t := range ledger.HashTiles(size) {
		data, err := tlog.ReadTileData(t, s)
		if err != nil {
			w.err = errors.Join(w.err, err)
			return
		}
		w.file(ledger.TilePath(t), data)
	}
}
