package preparation

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// linked is a directory with two trees, searched and other, in which a file of the second names an elector.
func linked(t *testing.T) (searchedDir, other string, find *searcher) {
	t.Helper()
	dir := t.TempDir()
	searchedDir, other = filepath.Join(dir, "searched"), filepath.Join(dir, "other")
	for _, d := range []string{filepath.Join(searchedDir, "inner"), other} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(other, "left"), []byte("73.06.10-000.14\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	find = newSearcher()
	find.add("73.06.10-000.14", "", "Peeters", "An")
	return searchedDir, other, find
}

func link(t *testing.T, to, name string) string {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestALinkOutOfWhatIsSearchedIsRefused(t *testing.T) {
	dir, other, find := linked(t)
	none := func(string) bool { return false }
	link(t, filepath.Join(dir, "inner"), filepath.Join(dir, "within"))
	link(t, filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling"))
	if out, err := find.search(t.Context(), []string{dir}, false, none); err != nil || len(out.found) > 0 {
		t.Fatalf("links that stay within: %+v %v", out, err)
	}
	for _, to := range []string{other, filepath.Join(other, "left")} {
		name := link(t, to, filepath.Join(dir, "inner", "away"))
		if _, err := find.search(t.Context(), []string{dir}, false, none); err == nil || !strings.Contains(err.Error(), name+" is a link out of what is searched") {
			t.Errorf("a link to %s: %v", to, err)
		}
		if out, err := find.search(t.Context(), []string{dir, other}, false, none); err != nil || !slices.Equal(out.found, []string{filepath.Join(other, "left")}) {
			t.Errorf("a link to %s that is searched: %+v %v", to, out, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	name := link(t, filepath.Join(dir, "circle"), filepath.Join(dir, "circle"))
	if _, err := find.search(t.Context(), []string{dir}, false, none); err == nil || !strings.Contains(err.Error(), "can't be followed") {
		t.Errorf("a link to itself: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	// A tree that is named by a link is searched, and what is found there is told by the name that was given.
	root := link(t, other, filepath.Join(filepath.Dir(dir), "by-link"))
	if out, err := find.search(t.Context(), []string{root}, false, none); err != nil || !slices.Equal(out.found, []string{filepath.Join(root, "left")}) {
		t.Errorf("a tree behind a link: %+v %v", out, err)
	}
	if _, err := find.search(t.Context(), []string{filepath.Join(dir, "no tree")}, false, none); err == nil {
		t.Error("a tree that is not there is searched")
	}
}

func TestWhatLiesBehindANamedLinkIsDestroyed(t *testing.T) {
	dir, other, _ := linked(t)
	for _, to := range []string{filepath.Join(other, "left"), filepath.Join(other, "lists")} {
		target := to
		if filepath.Base(to) == "lists" {
			target = filepath.Join(to, "21014.csv")
			if err := os.Mkdir(to, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(target, []byte("a list"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		name := link(t, to, filepath.Join(dir, "named"))
		files, err := doomed(name)
		if err != nil || len(files) != 1 || files[0].path != resolved(target) {
			t.Fatalf("%s: %+v %v", to, files, err)
		}
		if _, err := shred(t.Context(), files, nil); err != nil {
			t.Fatal(err)
		}
		if err := removeEmpty(name, false); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{target, to, name} {
			if _, err := os.Lstat(gone); err == nil {
				t.Errorf("%s is left", gone)
			}
		}
	}
}

func TestALinkAmongWhatIsToBeDestroyedIsRefused(t *testing.T) {
	dir, other, _ := linked(t)
	name := link(t, filepath.Join(other, "left"), filepath.Join(dir, "inner", "away"))
	if files, err := filesUnder(dir, nil); err == nil || !strings.Contains(err.Error(), name+" is a link") {
		t.Errorf("%+v %v", files, err)
	}
}
