package consensus

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// A machine's time of day may be wrong by a day, and may be set while the group runs. Go's time.Time carries a second clock
// that nobody sets, which durations are measured on; these are the ways to lose it, or to ask for the time of day.
func TestNothingReadsTheTimeOfDay(t *testing.T) {
	forbidden := map[string]bool{
		"Unix": true, "UnixNano": true, "UnixMilli": true, "UnixMicro": true, "Round": true, "Truncate": true, "Date": true,
		"Format": true, "Hour": true, "UTC": true, "In": true, "Local": true, "MarshalBinary": true, "AddDate": true,
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files, calls := token.NewFileSet(), 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			calls++
			if forbidden[s.Sel.Name] {
				t.Errorf("%s: %s reads the time of day, or forgets the clock that nobody sets", files.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
	}
	if calls < 100 {
		t.Errorf("only %d calls were looked at", calls)
	}
}
