package tidy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	// A name alone between backticks is one test; any other mention may be the beginning of several, as -run takes it.
	cited = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	begun = regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w*)`)
	links = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// texts reads every file of the repository whose name ends so.
func texts(t *testing.T, end string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testnet-out" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, end):
			return nil
		}
		b, err := os.ReadFile(name)
		found[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no file ends in %s", end)
	}
	return found
}

func TestEveryTestThatADocumentNamesIsThere(t *testing.T) {
	tests := map[string]bool{}
	beginnings := map[string]bool{}
	for _, text := range texts(t, "_test.go") {
		for _, f := range declared.FindAllStringSubmatch(text, -1) {
			tests[f[1]] = true
			for i := range f[1] {
				beginnings[f[1][:i+1]] = true
			}
		}
	}
	named := map[string]bool{}
	for name, text := range texts(t, ".md") {
		for _, m := range cited.FindAllStringSubmatch(text, -1) {
			if named[name] = true; !tests[m[1]] {
				t.Errorf("%s names %s, which is no test", name, m[1])
			}
		}
		for _, m := range begun.FindAllStringSubmatch(text, -1) {
			if !beginnings[m[1]] {
				t.Errorf("%s: no test begins with %s", name, m[1])
			}
		}
	}
	if security := filepath.Join(root, "SECURITY.md"); !named[security] {
		t.Errorf("%s names no test for what it claims", security)
	}
}

func TestEveryLinkOfADocumentLeadsSomewhere(t *testing.T) {
	for name, text := range texts(t, ".md") {
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s leads to %s, which is not there", name, m[1])
			}
		}
	}
}
