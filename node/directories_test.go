package node

import (
	"crypto/sha256"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// snapshot is the bytes and names of everything below some directories.
type snapshot struct {
	dirs  []string
	files map[string][32]byte
}

// contents reads directories that nobody writes to; those that are not there are empty.
func contents(t *testing.T, dirs ...string) snapshot {
	t.Helper()
	s := snapshot{dirs, map[string][32]byte{}}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				if name == dir && os.IsNotExist(err) {
					return nil
				}
				return err
			}
			if d.IsDir() {
				s.files[name+"/"] = [32]byte{}
				return nil
			}
			b, err := os.ReadFile(name)
			s.files[name] = sha256.Sum256(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// same says that nothing was written since.
func (s snapshot) same(t *testing.T) {
	t.Helper()
	now := contents(t, s.dirs...)
	if maps.Equal(s.files, now.files) {
		return
	}
	for name, sum := range now.files {
		if was, ok := s.files[name]; !ok || was != sum {
			t.Errorf("%s was written", name)
		}
	}
	for name := range s.files {
		if _, ok := now.files[name]; !ok {
			t.Errorf("%s was removed", name)
		}
	}
}

// mediaLevel waits until the third medium, which goes on behind, has what the others have.
func (b *bureau) mediaLevel() {
	b.c.t.Helper()
	b.c.until("the media are level", func() bool {
		sizes := map[int64]bool{}
		for _, m := range []string{"disk", "key1", "key2"} {
			st, err := os.Stat(filepath.Join(b.dir, m, "journal.records"))
			if err != nil {
				b.c.t.Fatal(err)
			}
			sizes[st.Size()] = true
		}
		return len(sizes) == 1
	})
}
