package simulation

import (
	"context"
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/tools/prepare/preparation"
)

// lay writes files with their directories.
func lay(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// files lists the files below a directory, none when it is not there.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, path[len(dir)+1:])
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func TestARunTakesAwayOnlyWhatRunsWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "an [odd] name")
	mine := []string{"bureaux/plan.txt", "export/notes.txt", "logs/diary.log", "notes.txt", "summary.json.bak"}
	lay(t, dir, append([]string{
		marker, summaryFile, "adele.log", "adele/db/1", "bureaux/bureau-001/data/x", "bureaux/bureau-001-clone/x", "export/21014/checkpoint",
		"export/21014/tile/0/000", "logs/bureau-012.log", "election/manifest", "election/21014/roll", "bench/run-1/x", "pointage",
	}, mine...)...)
	o := &output{dir: dir}
	if err := o.claim(); err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(slices.Values(append([]string{marker}, mine...)))
	if got := slices.Sorted(slices.Values(files(t, dir))); !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}
	if err := o.discard(); err != nil || len(files(t, dir)) != len(want) {
		t.Errorf("discarded: %v, %v", files(t, dir), err)
	}
}

func TestForeignFilesInAnElectionOrAnExportAreRefusedAndKept(t *testing.T) {
	for _, name := range []string{"election/letters.csv", "export/21014/notes.txt"} {
		dir := t.TempDir()
		lay(t, dir, marker, summaryFile, "election/manifest", name)
		if err := (&output{dir: dir}).claim(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if len(files(t, dir)) != 4 {
			t.Errorf("%s: left are %v", name, files(t, dir))
		}
	}
}

func TestTheElectionThatIsGivenIsKept(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, marker, summaryFile, "election/manifest", "election/21014/roll")
	o := &output{dir: dir, keep: filepath.Join(dir, "election")}
	if err := o.claim(); err != nil || len(files(t, dir)) != 3 {
		t.Errorf("left: %v, %v", files(t, dir), err)
	}
}

// small is a plan of a day of a second or two.
func small(out string) Plan {
	return Plan{Commune: 21014, Bureaux: 3, Electors: 60, Day: 2 * time.Second, Turnout: 0.5, Seed: 1, Out: out}
}

func TestAFullDiskIsToldInOneLineAndNothingIsLeft(t *testing.T) {
	plenty := func(string) (uint64, error) { return 1 << 40, nil }
	t.Run("before", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "a", "b")
		_, err := run(t.Context(), small(out), func(string) (uint64, error) { return 8 << 20, nil })
		if !errors.As(err, new(FullError)) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "8 MiB free") {
			t.Errorf("%v", err)
		}
		if errors.As(err, new(InputError)) {
			t.Error("a full disk is called a wrong word")
		}
		if _, err := os.Stat(filepath.Dir(out)); err == nil {
			t.Errorf("left: %v", files(t, out))
		}
	})
	t.Run("while", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "a", "b")
		full := func(dir string) (uint64, error) {
			if _, err := os.Stat(filepath.Join(out, "logs")); err == nil {
				return spaceLeft - 1, nil
			}
			return plenty(dir)
		}
		p := small(out)
		p.Day = time.Minute
		began := time.Now()
		s, err := run(t.Context(), p, full)
		if s != nil || !errors.As(err, new(FullError)) || err.Error() != (FullError{Dir: out}).Error() {
			t.Errorf("%v, %v", s, err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("told after %v", took)
		}
		if _, err := os.Stat(filepath.Dir(out)); err == nil {
			t.Errorf("left: %v", files(t, out))
		}
	})
}

// stopAt ends the context at a stage of the day.
type stopAt struct {
	line string
	stop context.CancelFunc
}

func (s stopAt) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.line) {
		s.stop()
	}
	return len(b), nil
}

func TestAnInterruptedDayLeavesNothing(t *testing.T) {
	for _, line := range []string{"prepared", "leads", "queues are empty", "exporting"} {
		t.Run(line, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			p := small(filepath.Join(t.TempDir(), "out"))
			p.Text = stopAt{line, stop}
			if s, err := Run(ctx, p); s != nil || err == nil {
				t.Fatalf("%v, %v", s, err)
			}
			if _, err := os.Stat(p.Out); err == nil {
				t.Errorf("left: %v", files(t, p.Out))
			}
		})
	}
}

// list writes a list of electors.
func list(t *testing.T, seed uint64, change func(rows [][]string)) string {
	t.Helper()
	var b strings.Builder
	if err := preparation.Synthetic(&b, seed, 21015, 40); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	change(rows)
	f, err := os.Create(filepath.Join(t.TempDir(), "list.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func TestRepeatedFlagsOfAPreparationMustAgree(t *testing.T) {
	same := func([][]string) {}
	csv := list(t, 1, same)
	made := Plan{Commune: 21015, Bureaux: 2, Register: csv, Day: time.Second, Turnout: 1, Seed: 1, Out: filepath.Join(t.TempDir(), "made"), PrepareOnly: true}
	if _, err := Run(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(filepath.Join(made.Out, "election"), moved); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{preparation.OriginFile, preparation.LogVKeyFile} {
		if _, err := os.Stat(filepath.Join(moved, name)); err != nil {
			t.Error(err)
		}
	}
	take := func(change func(*Plan)) error {
		p := Plan{Election: moved, Day: time.Second, Turnout: 1, Seed: 2, Out: filepath.Join(t.TempDir(), "out")}
		change(&p)
		d := &day{plan: p, free: freeSpace, began: time.Now()}
		if err := d.plan.Check(); err != nil {
			return err
		}
		err := d.prepare(t.Context())
		if err != nil && p.Out != moved && len(files(t, p.Out)) > 0 {
			t.Errorf("left: %v", files(t, p.Out))
		}
		return err
	}
	for name, change := range map[string]func(*Plan){
		"none":        func(*Plan) {},
		"all":         func(p *Plan) { p.Commune, p.Bureaux, p.Electors, p.Register = 21015, 2, 40, csv },
		"a copy":      func(p *Plan) { p.Register = list(t, 1, same) },
		"other order": func(p *Plan) { p.Register = list(t, 1, func(r [][]string) { slices.Reverse(r[1:]) }) },
	} {
		if err := take(change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Plan){
		"another commune":          func(p *Plan) { p.Commune = 21014 },
		"other bureaux":            func(p *Plan) { p.Bureaux = 3 },
		"other electors":           func(p *Plan) { p.Electors = 41 },
		"another list":             func(p *Plan) { p.Register = list(t, 2, same) },
		"another name in the list": func(p *Plan) { p.Register = list(t, 1, func(r [][]string) { r[1][1] += "x" }) },
		"a witness of one's own": func(p *Plan) {
			p.Anchor, p.AnchorKey = "http://127.0.0.1:1", ledger.CosignerVKey("other.example/w", make([]byte, 32))
		},
		"no election":       func(p *Plan) { p.Election += "x" },
		"the output itself": func(p *Plan) { p.Out = moved },
	} {
		if err := take(change); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
