package rights

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryRuleHasAMutant compares the table of CHECKER.md with the mutants: each rule of the protocol and of the
// media has a row, each row a mutant that is tested, and each mutant that is tested its row.
func TestEveryRuleHasAMutant(t *testing.T) {
	text, err := os.ReadFile("CHECKER.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Every rule and its mutants")
	table, _, _ = strings.Cut(table, "\n## ")
	tested, rows, told := map[string]string{}, map[string]bool{}, map[string]bool{}
	words := map[string]string{"S1": "S1", "L1": "L1", "L3": "L3", "bureaux": "no circle", "bureau": "sound", "media": "media", "medium": "media"}
	for _, m := range mutants {
		tested[m.name] = words[m.breaks]
	}
	for _, m := range append(slices.Clone(mediaMutants), wideMediaMutants...) {
		tested[m.name] = words[m.breaks]
	}
	mutant := regexp.MustCompile("`([^`]+)`: (no circle|sound|media|S1|L1|L3)")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "---") || cells[1] == " rule " {
			continue
		}
		found := mutant.FindAllStringSubmatch(cells[3], -1)
		if len(found) == 0 {
			t.Errorf("no mutant of%s", cells[1])
		}
		rows[cells[1]] = true
		for _, f := range found {
			if got := tested[f[1]]; got != f[2] {
				t.Errorf("mutant %q breaks %q by the table, %q by the tests", f[1], f[2], got)
			}
			told[f[1]] = true
		}
	}
	for name := range tested {
		if !told[name] {
			t.Errorf("mutant %q is not in the table", name)
		}
	}
	var rules []string
	for i := range 17 {
		rules = append(rules, fmt.Sprintf("R%d", i+1))
	}
	for i := range 7 {
		rules = append(rules, fmt.Sprintf("Media %d", i+1))
	}
	for _, r := range append(rules, "Session:", "Batch:", "Proxy:") {
		if !hasRow(rows, r) {
			t.Errorf("no row of %s", r)
		}
	}
}

func hasRow(rows map[string]bool, rule string) bool {
	for r := range rows {
		if strings.HasPrefix(r, " "+rule+" ") {
			return true
		}
	}
	return false
}
