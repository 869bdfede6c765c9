package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// Export is what the ledger itself does not hold.
type Export struct {
	// Checkpoint is the anchored note that the export ends with; its size is the
	// export's.
	Checkpoint []byte
	// Anchors are each epoch's cosigned checkpoints, oldest first.
	Anchors [][][]byte
	// Manifest is the manifest file.
	Manifest []byte
}

// Export writes a directory that ledger.Verify accepts (C2SP tlog-tiles v0.1.0 and the
// files of SPEC 9). dir must be absent, or an export that is then replaced; it appears
// whole or not at all.
func (s *Store) Export(dir string, x Export) error {
	epoch := s.Head().Epoch
	origin := s.g.Origin(epoch)
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
	tmp, err := os.MkdirTemp(filepath.Dir(dir), halfExport+"*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.RemoveAll(tmp)
	w := &exportWriter{root: tmp}
	w.file(ledger.ManifestFile, x.Manifest)
	w.file(ledger.RollFile, s.g.Roll.Encode())
	s.writeEpoch(w, epoch, x.Checkpoint, x.anchors(epoch), c.Size)
	for e := range epoch {
		s.writeEarlier(w, e, x.anchors(e))
	}
	if w.err != nil {
		return fmt.Errorf("export: %w", w.err)
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), takePlace(tmp, dir)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// takePlace puts a directory in the place of the one that is there, if any: a crash leaves the old one, none,
// or the new one, and never a part.
func takePlace(tmp, dir string) error {
	aside := tmp + "-old"
	defer os.RemoveAll(aside)
	if err := os.Rename(dir, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := os.Rename(tmp, dir)
	if err != nil {
		err = errors.Join(err, os.Rename(aside, dir))
	}
	return err
}

// ClearExports removes what exports below a directory left that were cut short; none is under way there.
func ClearExports(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), halfExport) {
			errs = append(errs, os.RemoveAll(filepath.Join(parent, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// halfExport is how the names of exports begin that are being written.
const halfExport = ".export-"

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

func (x *Export) anchors(epoch uint8) [][]byte {
	if int(epoch) < len(x.Anchors) {
		return x.Anchors[epoch]
	}
	return nil
}

// writeEarlier writes an epoch before the present one, as far as the next goes on from it.
func (s *Store) writeEarlier(w *exportWriter, epoch uint8, anchors [][]byte) {
	seed, size, err := s.SeedOf(epoch + 1)
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	below := &exportWriter{root: filepath.Join(w.root, ledger.EpochDir(epoch)), err: w.err}
	s.writeEpoch(below, epoch, seed.Checkpoint, anchors, size)
	w.err = below.err
}

// writeEpoch writes the files that every epoch has.
func (s *Store) writeEpoch(w *exportWriter, epoch uint8, checkpoint []byte, anchors [][]byte, size uint64) {
	origin, witnesses := s.g.Origin(epoch), ""
	for _, k := range s.g.Witnesses {
		witnesses += k.VKey() + "\n"
	}
	w.file(ledger.OriginFile, []byte(origin+"\n"))
	w.file(ledger.LogVKeyFile, []byte(ledger.LogVKey(origin, s.g.LogKey)+"\n"))
	w.file(ledger.WitnessFile, []byte(witnesses))
	w.file(ledger.CheckpointFile, checkpoint)
	for i, a := range anchors {
		w.file(ledger.AnchorFile(i), a)
	}
	s.writeTiles(w, epoch, size)
}

func (s *Store) writeTiles(w *exportWriter, epoch uint8, size uint64) {
	for _, t := range ledger.EntryBundles(size) {
		var b []byte
		for i := range uint64(t.W) {
			e, err := s.Entry(ledger.Reference(epoch, uint64(t.N)*ledger.TileWidth+i))
			if err != nil {
				w.err = errors.Join(w.err, err)
				return
			}
			b = ledger.AppendToBundle(b, e)
		}
		w.file(ledger.TilePath(t), b)
	}
	for _, t := range ledger.HashTiles(size) {
		data, err := tlog.ReadTileData(t, hashes{s, epoch})
		if err != nil {
			w.err = errors.Join(w.err, err)
			return
		}
		w.file(ledger.TilePath(t), data)
	}
}
