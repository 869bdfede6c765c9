package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "pointage"
	root   = "../.."
	// maxFunctionLines fit on a screen.
	maxFunctionLines = 70
)

// room is one package without its tests.
type room struct {
	name, doc string
	command   bool
	imports   []string
	fset      *token.FileSet
	files     []*ast.File
}

func TestEveryPackageImportsOnlyWhatThePlanAllows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range house(t) {
		seen[r.name] = true
		allowed, ok := plan[r.name]
		if !ok {
			t.Errorf("%s: not in the plan; draw it in plan_test.go first", r.name)
			continue
		}
		for _, i := range r.imports {
			own := strings.TrimPrefix(i, module+"/")
			switch {
			case i != own && !slices.Contains(allowed, own):
				t.Errorf("%s imports %s, which the plan does not allow", r.name, own)
			case slices.Contains(effects[r.name], i):
				t.Errorf("%s imports %s, an effect that it must do without", r.name, i)
			case isThirdParty(i) && onGround(r.name) && !begins(i, ground) && (r.name != "ledger/minutes" || !begins(i, drawing)):
				t.Errorf("%s imports %s: experts must be able to read all that they run", r.name, i)
			}
			for prefix, users := range outside {
				if strings.HasPrefix(i, prefix) && !slices.Contains(users, r.name) {
					t.Errorf("%s imports %s, kept for %v", r.name, i, users)
				}
			}
		}
	}
	for name := range plan {
		if !seen[name] {
			t.Errorf("%s is in the plan but not in the house", name)
		}
	}
}

func begins(i string, with []string) bool {
	return slices.ContainsFunc(with, func(w string) bool { return strings.HasPrefix(i, w) })
}

func onGround(name string) bool { return name == "ledger" || strings.HasPrefix(name, "ledger/") }

func isThirdParty(i string) bool {
	first, _, _ := strings.Cut(i, "/")
	return strings.Contains(first, ".")
}

func TestEveryPackageOpensWithItsPurpose(t *testing.T) {
	for _, r := range house(t) {
		want := "Package " + filepath.Base(r.name) + " "
		if r.command {
			want = "Command " + filepath.Base(r.name) + " "
		}
		if !strings.HasPrefix(r.doc, want) {
			t.Errorf("%s: its comment begins %.30q, want %q", r.name, r.doc, want)
		}
	}
}

func TestNoReplicaLooksAtTheClock(t *testing.T) {
	for _, r := range house(t) {
		if !onGround(r.name) && r.name != "node/store" {
			continue
		}
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Now" {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
						t.Errorf("%s: time.Now; take the time as a parameter", r.fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func TestEveryFunctionFitsOnAScreen(t *testing.T) {
	for _, r := range house(t) {
		for _, f := range r.files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				if n := r.fset.Position(fn.End()).Line - r.fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
					t.Errorf("%s: %s has %d lines, at most %d", r.fset.Position(fn.Pos()), fn.Name.Name, n, maxFunctionLines)
				}
			}
		}
	}
}

// house reads every file itself rather than asking go list, so that the test cache
// sees the files and runs the tests again when one changes.
func house(t *testing.T) []room {
	t.Helper()
	var rooms []room
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.Name() == "testdata" || dir != root && strings.HasPrefix(d.Name(), ".") || slices.Contains(modules, name) || name == "testnet-out" {
			return filepath.SkipDir
		}
		r, err := read(dir, name)
		if len(r.files) > 0 {
			rooms = append(rooms, r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rooms) == 0 {
		t.Fatal("found no packages")
	}
	return rooms
}

func read(dir, name string) (room, error) {
	r := room{name: name, fset: token.NewFileSet()}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return r, err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(r.fset, file, nil, parser.ParseComments)
		if err != nil {
			return r, err
		}
		r.files = append(r.files, f)
		r.command = f.Name.Name == "main"
		r.doc += f.Doc.Text()
		for _, s := range f.Imports {
			r.imports = append(r.imports, strings.Trim(s.Path.Value, `"`))
		}
	}
	return r, nil
}
