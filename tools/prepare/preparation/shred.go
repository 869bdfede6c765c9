package preparation

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pointage/node/register"
)

// shredded is what an act of destruction has done.
type shredded struct {
	files int
	bytes int64
}

// shredBlock is how much is overwritten at a time, in bytes.
const shredBlock = 1 << 20

// doomedFile is a file that is to be destroyed.
type doomedFile struct {
	path  string
	class int // lower ones go first
	// public files are only removed: they hold no personal data, or are of others too, by hard links.
	public bool
}

// Classes of files: with the keys all else is beyond reading; the marks by which a cut
// run is taken up again go last.
const (
	classKey = iota
	classData
	classMark
)

func classOf(name string) int {
	base := filepath.Base(name)
	switch {
	case strings.HasSuffix(base, ".age"), strings.HasPrefix(base, PassphraseFile), strings.HasPrefix(base, "code-"):
		return classKey
	case base == register.StickDigests, base == stateFile, base == dossierMark:
		return classMark
	}
	return classData
}

// isPublic says whether a file of an election or a key is one that stays, or could.
func isPublic(base string) bool {
	switch base {
	case ManifestFile, RollFile, LogVKeyFile, OriginFile:
		return true
	}
	return strings.HasSuffix(base, ".digests")
}

// filesUnder are the files of a tree that spare does not keep, by their real paths. A link
// in it is refused: what it points to would be left.
func filesUnder(root string, spare func(rel string) bool) ([]doomedFile, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	var out []doomedFile
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			return wrongUse("%s is a link, and what it points to would be left: name that for destruction and remove the link", name)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || spare != nil && spare(filepath.ToSlash(rel)) {
			return err
		}
		out = append(out, doomedFile{name, classOf(name), isPublic(filepath.Base(name))})
		return nil
	})
	return out, err
}

// resolved is a path without links in it, for comparisons; one that leads nowhere stays as it is.
func resolved(name string) string {
	if to, err := filepath.EvalSymlinks(name); err == nil {
		name = to
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return filepath.Clean(name)
}

// shred overwrites and removes files, keys first. What is gone already is passed over, so that a run that was
// cut goes on. Overwriting reaches the file and not the old blocks that a flash medium
// keeps: there it counts that the keys are gone, and the medium itself is crushed.
func shred(ctx context.Context, files []doomedFile, progress func(act string, done, total int)) (shredded, error) {
	var done shredded
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b doomedFile) int { return cmp.Or(a.class-b.class, strings.Compare(a.path, b.path)) })
	dirs := map[string]bool{}
	block := make([]byte, shredBlock)
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if progress != nil {
			progress("destroying", i, len(files))
		}
		n, err := int64(0), error(nil)
		if f.public {
			err = os.Remove(f.path)
		} else {
			n, err = shredFile(f.path, block)
		}
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return done, fmt.Errorf("destroy %s: %w", f.path, err)
		}
		dirs[filepath.Dir(f.path)] = true
		done.files, done.bytes = done.files+1, done.bytes+n
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return done, fmt.Errorf("destroy: %w", err)
		}
	}
	return done, nil
}

// shredFile overwrites a file with random bytes, makes that durable, empties and
// removes it. Of a file with several names the first overwrites all.
func shredFile(name string, block []byte) (size int64, err error) {
	st, err := os.Lstat(name)
	if err != nil {
		return 0, err
	}
	if st.Mode().IsRegular() && st.Size() > 0 {
		if err := os.Chmod(name, 0o600); err != nil {
			return 0, err
		}
		if err := overwrite(name, st.Size(), block); err != nil {
			return 0, err
		}
	}
	return st.Size(), os.Remove(name)
}

func overwrite(name string, size int64, block []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for at := int64(0); at < size; at += int64(len(block)) {
		part := block[:min(int64(len(block)), size-at)]
		rand.Read(part)
		if _, err := f.WriteAt(part, at); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Truncate(0)
}

// removeEmpty removes the directories of a tree in which nothing is left, and the root
// too unless it is kept.
func removeEmpty(root string, keepRoot bool) error {
	named := root
	root, err := filepath.EvalSymlinks(named)
	if errors.Is(err, os.ErrNotExist) {
		return removeLink(named)
	}
	if err != nil {
		return err
	}
	var dirs []string
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (name != root || !keepRoot) {
			dirs = append(dirs, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(dirs) // those inside stand behind
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) == 0 {
			err = os.Remove(dir)
		}
		if err != nil {
			return err
		}
	}
	return removeLink(named)
}

// removeLink removes a link behind which nothing is left.
func removeLink(name string) error {
	st, err := os.Lstat(name)
	if err != nil || st.Mode().Type() != fs.ModeSymlink {
		return nil
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Remove(name)
}
