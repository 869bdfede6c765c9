package web

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// maxPictures is how much all pictures of the screens are, in bytes.
const maxPictures = 3 << 20

// TestEveryPictureIsListedInBothLanguages holds screens/README.md and what lies beside it together.
func TestEveryPictureIsListedInBothLanguages(t *testing.T) {
	text, err := os.ReadFile("screens/README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := []string{}
	for _, m := range regexp.MustCompile(`\(([a-z0-9-]+)\.(fr|nl)\.png\)`).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1]+"."+m[2]+".png")
	}
	files, err := filepath.Glob("screens/*.png")
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
		if !slices.Contains(listed, filepath.Base(f)) {
			t.Errorf("%s is not listed", f)
		}
	}
	for _, name := range listed {
		if !slices.Contains(files, filepath.Join("screens", name)) {
			t.Errorf("%s is not there", name)
		}
	}
	if size > maxPictures {
		t.Errorf("the pictures are %d bytes, at most %d", size, maxPictures)
	}
}
