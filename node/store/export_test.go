package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// exported is a day that grows together with the store that exports it.
type exported struct {
	*ledgertest.Day
	chain *ledgertest.Chain
	store *Store
}

func newExported(t *testing.T) *exported {
	x := &exported{Day: ledgertest.NewDay(t, 3, 30, nil)}
	s, err := Open("ledger", x.Group, Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	x.store = s
	return x
}

// grow makes the day and the store have so many entries.
func (x *exported) grow(t *testing.T, size int) {
	t.Helper()
	for len(x.Entries) < size {
		if x.chain == nil {
			x.chain = x.Started(1)
			continue
		}
		x.chain.Put(ledgertest.Admission(len(x.Entries) % 30))
	}
	var commands [][]byte
	first := x.store.Applied() + 1
	for _, e := range x.Entries[first:] {
		commands = append(commands, e.Entry.Batch)
	}
	x.store.Apply(first, commands)
	if got := x.store.Size(); got != uint64(size) {
		t.Fatalf("%d entries, want %d", got, size)
	}
}

func (x *exported) to(dir string) error {
	return x.store.Export(dir, Export{Checkpoint: x.Anchors[len(x.Anchors)-1], Anchors: [][][]byte{x.Anchors}, Manifest: x.File})
}

// filesIn are a directory's files by their names below it.
func filesIn(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExportVerifiesAtAnySizeAndOnlyGrows(t *testing.T) {
	x := newExported(t)
	dir := filepath.Join(t.TempDir(), "21014")
	before := map[string][]byte{}
	for _, size := range []int{1, 2, 255, 256, 257, 600} {
		x.grow(t, size)
		want := x.Export() // anchors too
		if err := x.to(dir); err != nil {
			t.Fatal(err)
		}
		got := filesIn(t, dir)
		for name, b := range want {
			if !bytes.Equal(got[name], b) {
				t.Fatalf("size %d: %s has %d bytes, want %d", size, name, len(got[name]), len(b))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("size %d: %d files, want %d", size, len(got), len(want))
		}
		r, err := ledger.Verify(t.Context(), os.DirFS(dir), x.Group, 0, ledger.Options{Workers: 2})
		if err != nil || r.Entries != uint64(size) || r.Head != x.store.Head().Last {
			t.Fatalf("size %d: %+v, %v", size, r, err)
		}
		for name, b := range before {
			lasts := strings.HasPrefix(name, ledger.AnchorsDir) || strings.HasPrefix(name, "tile/") && !strings.Contains(name, ".p/")
			if lasts && !bytes.Equal(got[name], b) {
				t.Fatalf("size %d: %s was published and is another now", size, name)
			}
		}
		before = got
	}
	full := 0
	for name := range before {
		if strings.HasPrefix(name, "tile/") && !strings.Contains(name, ".p/") {
			full++
		}
	}
	if full != 4 { // two of entries and two of hashes
		t.Fatalf("%d full tiles", full)
	}
}

func TestExportOfAnOlderCheckpointIsTheOlderTree(t *testing.T) {
	x := newExported(t)
	x.grow(t, 256)
	want := x.Export()
	x.grow(t, 300)
	dir := filepath.Join(t.TempDir(), "export")
	if err := x.to(dir); err != nil {
		t.Fatal(err)
	}
	got := filesIn(t, dir)
	if len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Fatalf("%s is another", name)
		}
	}
}

func TestExportIsRefusedAndWritesNothing(t *testing.T) {
	x, ahead := newExported(t), newExported(t)
	x.grow(t, 3)
	x.Anchor()
	ahead.grow(t, 5)
	ahead.Anchor()
	parent := t.TempDir()
	dir := filepath.Join(parent, "export")
	note := bytes.Clone(x.Anchors[0])
	note[len(note)-10] ^= 1
	for says, e := range map[string]Export{
		"the checkpoint has 5 entries, this ledger 3": {Checkpoint: ahead.Anchors[0], Manifest: x.File},
		"checkpoint": {Checkpoint: note, Manifest: x.File},
	} {
		err := x.store.Export(dir, e)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q: %v", says, err)
		}
	}
	letters := filepath.Join(parent, "letters")
	if err := os.MkdirAll(letters, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(letters, "a"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := x.to(letters); err == nil || !strings.Contains(err.Error(), "name another directory") {
		t.Errorf("over letters: %v", err)
	}
	if err := x.to(filepath.Join(letters, "a")); err == nil {
		t.Error("over a file")
	}
	got := filesIn(t, parent)
	if _, ok := got["letters/a"]; !ok || len(got) != 1 {
		t.Errorf("%d files are left", len(got))
	}
	if err := x.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.to(dir); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a closed ledger: %v", err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestAnExportIsWholeOrAbsentAtEveryMoment(t *testing.T) {
	x := newExported(t)
	x.grow(t, 600)
	x.Export() // anchors too
	parent := t.TempDir()
	dir := filepath.Join(parent, "backup-1")
	written := make(chan error, 1)
	go func() {
		var err error
		for range 40 {
			err = errors.Join(err, x.to(dir))
		}
		written <- err
	}()
	for {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		before, err := os.Stat(dir)
		if err != nil {
			continue
		}
		missing := ""
		for _, name := range []string{ledger.CheckpointFile, ledger.ManifestFile, ledger.OriginFile, ledger.RollFile, "tile"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				missing = name
			}
		}
		if after, err := os.Stat(dir); missing != "" && err == nil && os.SameFile(before, after) {
			t.Fatalf("%s is missing from an export: a crash now leaves a part of one, which is never replaced", missing)
		}
	}
}

func TestWhatExportsLeftThatWereCutShortIsCleared(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{".export-123/tile", ".export-123-old", "backup-1", "notes"} {
		if err := os.MkdirAll(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := ClearExports(parent); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(parent)
	if err != nil || len(left) != 2 || left[0].Name() != "backup-1" || left[1].Name() != "notes" {
		t.Errorf("%v, %v", left, err)
	}
}
