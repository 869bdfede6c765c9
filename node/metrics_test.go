package node

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// metric is a name with its type, as METRICS.md and a bureau give them.
type metric struct{ name, kind string }

// listed are the metrics of METRICS.md.
func listed(t *testing.T) map[metric]bool {
	t.Helper()
	text, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[metric]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		all[metric{row[1], row[2]}] = true
	}
	if len(all) < 30 || strings.Count(string(text), "\n| `") != len(all) {
		t.Fatalf("METRICS.md has %d rows in the form name, type, unit, meaning, of %d", len(all), strings.Count(string(text), "\n| `"))
	}
	return all
}

func TestEveryMetricIsListedAndEveryListedMetricIsTold(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	b.admits(c.home(1, 0))
	said := b.call(call{method: http.MethodGet, path: "/metrics"}).body
	told := map[metric]bool{}
	for _, row := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(said, -1) {
		told[metric{row[1], row[2]}] = true
	}
	all := listed(t)
	for m := range told {
		if !all[m] {
			t.Errorf("a bureau tells %v, METRICS.md does not list it", m)
		}
	}
	for m := range all {
		if !told[m] && (runtime.GOOS == "linux" || !strings.HasPrefix(m.name, "process_")) {
			t.Errorf("METRICS.md lists %v, a bureau does not tell it", m)
		}
	}
	for _, line := range []string{"pointage_open 1\n", "pointage_admissions 1\n", `pointage_check_in_seconds_count{answer="admitted",home="here"} 1` + "\n", `pointage_check_in_seconds_count{answer="admitted",home="elsewhere"} 0` + "\n"} {
		if !strings.Contains(said, line) {
			t.Errorf("after one admission %q is missing", line)
		}
	}
}

func TestTheDashboardAsksForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Query any }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	asked, known, ids := map[string]bool{}, map[string]string{}, map[int]bool{}
	for m := range listed(t) {
		known[m.name] = m.kind
	}
	name := regexp.MustCompile(`\b(?:pointage|process)_[a-z_]+`)
	for _, p := range board.Panels {
		if ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: its number is another's, or it asks for nothing", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, x := range p.Targets {
			found := name.FindAllString(x.Expr, -1)
			if len(found) == 0 {
				t.Errorf("panel %q asks for no metric of ours: %s", p.Title, x.Expr)
			}
			for _, n := range found {
				if base := strings.TrimSuffix(n, "_bucket"); known[base] == "histogram" {
					n = base
				}
				if asked[n] = true; known[n] == "" {
					t.Errorf("panel %q asks for %s, which METRICS.md does not list", p.Title, n)
				}
			}
		}
	}
	for n := range known {
		if strings.HasPrefix(n, "pointage_") && !asked[n] {
			t.Errorf("no panel shows %s", n)
		}
	}
	if len(board.Panels) == 0 || len(board.Templating.List) == 0 {
		t.Error("the dashboard has no panels, or no variables")
	}
}
