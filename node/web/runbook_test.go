package web

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheRunbookSaysTheScreensWords: whoever reads "*Clôture / Sluiting*" finds those words on the screens.
func TestTheRunbookSaysTheScreensWords(t *testing.T) {
	text, err := os.ReadFile("../RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	pairs := regexp.MustCompile(`\*+([^*/\n]+) / ([^*/\n]+)\*`).FindAllStringSubmatch(string(text), -1)
	if len(pairs) < 20 {
		t.Fatalf("%d pairs of words", len(pairs))
	}
	for _, p := range pairs {
		for l, want := range map[language]string{french: p[1], dutch: p[2]} {
			said := func(key string) bool { return strings.Contains(catalogue[l][key], strings.TrimSpace(want)) }
			keys := []string{}
			for key := range catalogue[l] {
				keys = append(keys, key)
			}
			if !slices.ContainsFunc(keys, said) {
				t.Errorf("no screen says %q in %s", want, l)
			}
		}
	}
}
