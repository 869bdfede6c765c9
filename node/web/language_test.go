package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

// keyForm is what a key looks like: a section that the catalogue has, a point, and a name.
var keyForm = regexp.MustCompile(`^[a-z][a-z-]*\.[a-z0-9][a-z0-9.-]*$`)

func TestNoKeyLacksInAnyLanguageAndNoneIsUnused(t *testing.T) {
	sections := map[string]bool{}
	for key := range catalogue[french] {
		section, _, _ := strings.Cut(key, ".")
		sections[section] = true
	}
	used := map[string]string{}
	for key, where := range keysOfCode(t) {
		if section, _, _ := strings.Cut(key, "."); sections[section] && keyForm.MatchString(key) {
			used[key] = where
		}
	}
	for key, where := range keysOfTemplates(t) {
		used[key] = where
	}
	for _, family := range families {
		for _, key := range family() {
			used[key] = "families"
		}
	}
	for _, p := range append(slices.Clone(pages), &signinPage, &faultPage) {
		used[p.name+".title"] = "pages"
		if p.nav {
			used[p.name+".nav"] = "pages"
		}
	}
	for key, where := range used {
		for _, l := range languages {
			if catalogue[l][key] == "" {
				t.Errorf("%s: %q lacks in %s", where, key, l)
			}
		}
	}
	for _, l := range languages {
		for key := range catalogue[l] {
			if used[key] == "" {
				t.Errorf("%s: %q is used nowhere", l, key)
			}
		}
	}
}

// keysOfCode are all strings of the code: what is no key is sorted out by its form.
func keysOfCode(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					out[text] = file
				}
			}
			return true
		})
	}
	return out
}

var (
	templateKey    = regexp.MustCompile(`\.(?:T|In \.Language) "([^"]+)"`)
	templateFamily = regexp.MustCompile(`\(printf "([a-z.-]+)%s"`)
)

// keysOfTemplates are those that are written out, and those that begin as a template puts them together.
func keysOfTemplates(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range templateKey.FindAllStringSubmatch(string(b), -1) {
			out[m[1]] = file
		}
		for _, m := range templateFamily.FindAllStringSubmatch(string(b), -1) {
			for key := range catalogue[french] {
				if strings.HasPrefix(key, m[1]) {
					out[key] = file
				}
			}
		}
	}
	return out
}

var hole = regexp.MustCompile(`\{[0-9]\}`)

func TestEveryTextHasTheSameHolesInEachLanguage(t *testing.T) {
	for key, text := range catalogue[english] {
		want := hole.FindAllString(text, -1)
		slices.Sort(want)
		for _, l := range languages {
			got := hole.FindAllString(catalogue[l][key], -1)
			slices.Sort(got)
			if !slices.Equal(slices.Compact(got), slices.Compact(slices.Clone(want))) {
				t.Errorf("%s: %q has the holes %v, English has %v", l, key, got, want)
			}
		}
	}
}

func TestEveryRefusalSaysWhatHappenedAndWhatToDo(t *testing.T) {
	n := 0
	for r := ledger.Refusal(1); r.Known(); r++ {
		n++
		for _, l := range languages {
			for _, part := range []string{"what", "do"} {
				if text := l.say(refusalKey(r, part), 12, "a school"); text == refusalKey(r, part) || strings.Contains(text, "{") {
					t.Errorf("refusal %d (%v), %s, %s: %q", r, r, part, l, text)
				}
			}
		}
	}
	if n < 13 {
		t.Errorf("%d refusals", n)
	}
}

func TestTimesAreBrusselsWithTheirOffset(t *testing.T) {
	for at, want := range map[string]string{"2030-07-01T10:00:00Z": "12:00:00 (+02:00)", "2030-12-01T10:00:00Z": "11:00:00 (+01:00)"} {
		if got := clockText(mustTime(t, at)); got != want {
			t.Errorf("%s is shown as %q, want %q", at, got, want)
		}
	}
}

func mustTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
