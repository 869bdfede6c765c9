package score

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func row(parts ...Part) []Row { return []Row{{ID: "Q1", What: "w", Target: "t", Parts: parts}} }

// printing is a runner whose commands print their words, and fail when the first is "false".
func printing(_ context.Context, words []string) (string, error) {
	if words[0] == "false" {
		return "something\n--- FAIL: TestOfMine (0.1s)\nFAIL\n", errors.New("exit status 1")
	}
	return strings.Join(words, "\n"), nil
}

func TestVerdictsSayWhatWasSeen(t *testing.T) {
	states := func(reach, keep Bound) Figure { return figure("states", `(\d+) states`, Sum, reach, keep) }
	seen := []string{"10 states", "and 5 states"}
	for name, c := range map[string]struct {
		parts   []Part
		profile Profile
		want    Verdict
		value   float64
	}{
		"reached":              {[]Part{{Quick: seen, Figures: []Figure{states(AtLeast(15), AtLeast(1))}}}, Quick, Held, 15},
		"short of its target":  {[]Part{{Quick: seen, Figures: []Figure{states(AtLeast(16), AtLeast(1))}}}, Quick, NotReached, 15},
		"behind what it was":   {[]Part{{Quick: seen, Figures: []Figure{states(AtLeast(15), AtMost(14))}}}, Quick, Fell, 15},
		"kept in quick alone":  {[]Part{{Quick: seen, Figures: []Figure{states(nil, AtLeast(16))}}}, Full, Held, 15},
		"a share":              {[]Part{{Quick: seen, Figures: []Figure{inFull(states(nil, nil), AtLeast(16))}}}, Quick, Held, 15},
		"a share in full":      {[]Part{{Quick: seen, Figures: []Figure{inFull(states(nil, nil), AtLeast(16))}}}, Full, NotReached, 15},
		"no figure printed":    {[]Part{{Quick: []string{"nothing"}, Figures: []Figure{states(nil, nil)}}}, Quick, Broken, 0},
		"a command that fails": {[]Part{{Quick: []string{"false"}}, {Quick: seen, Figures: []Figure{states(nil, nil)}}}, Quick, Broken, 15},
		"left out":             {[]Part{{Full: seen, Figures: []Figure{states(nil, nil)}}}, Quick, NotRun, 0},
		"the full command":     {[]Part{{Quick: []string{"false"}, Full: seen, Figures: []Figure{states(nil, nil)}}}, Full, Held, 15},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := Run(t.Context(), row(c.parts...), c.profile, printing, func(Row) {}, func(Result) {})
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %d results", err, len(all))
			}
			r := all[0]
			var value float64
			if len(r.Figures) > 0 {
				value = r.Figures[0].Value
			}
			if r.Verdict != c.want || value != c.value {
				t.Errorf("%s with %g, want %s with %g: %s", r.Verdict, value, c.want, c.value, r.Line())
			}
			if bad := Bad(all); (bad != nil) != (c.want == Broken || c.want == Fell) {
				t.Errorf("%s is bad: %v", c.want, bad)
			}
		})
	}
}

func TestAFailingCommandIsToldByItsOwnLine(t *testing.T) {
	all, err := Run(t.Context(), row(Part{Quick: []string{"false"}}), Quick, printing, func(Row) {}, func(Result) {})
	if err != nil || all[0].Fault != "--- FAIL: TestOfMine (0.1s)" {
		t.Errorf("%v, %+v", err, all)
	}
	var out bytes.Buffer
	Table(&out, "Reliability", 'Q', all)
	for _, want := range []string{"| Q1 | w | t |  | broken |", "Q1   false\n", "failed: --- FAIL: TestOfMine"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestWhoeverInterruptsIsAnsweredWithoutAVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancelling := func(context.Context, []string) (string, error) { cancel(); return "", context.Canceled }
	all, err := Run(ctx, row(Part{Quick: []string{"x"}}), Quick, cancelling, func(Row) {}, func(Result) { t.Error("a verdict") })
	if err == nil || len(all) > 0 {
		t.Errorf("%v, %d results", err, len(all))
	}
}

func TestCommandsEndWithTheirChildren(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	mark := filepath.Join(t.TempDir(), "begun")
	done := make(chan error, 1)
	go func() {
		_, err := In(t.TempDir())(ctx, []string{"sh", "-c", "sleep 600 & touch '" + mark + "'; wait"})
		done <- err
	}()
	for {
		if _, err := os.Stat(mark); err == nil {
			break
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("an interrupted command ended well")
	}
}

// Every command that names tests finds some by each of its names.
func TestEveryMeasureNamesTestsThatThereAre(t *testing.T) {
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, r := range slices.Concat(Promises, Speeds) {
		for _, p := range r.Parts {
			for _, words := range [][]string{p.Quick, p.Full} {
				i := slices.Index(words, "-run")
				if i < 0 {
					continue
				}
				files, err := filepath.Glob(filepath.Join("../..", words[2], "*_test.go"))
				if err != nil || len(files) == 0 {
					t.Fatalf("%s: no tests in %s", r.ID, words[2])
				}
				var names []string
				for _, f := range files {
					b, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					for _, m := range function.FindAllStringSubmatch(string(b), -1) {
						names = append(names, m[1])
					}
				}
				for _, wanted := range strings.Split(words[i+1], "|") {
					if re := regexp.MustCompile(wanted); !slices.ContainsFunc(names, re.MatchString) {
						t.Errorf("%s: no test of %s has %q in its name", r.ID, words[2], wanted)
					}
				}
			}
		}
	}
}

func TestFiguresAreFoundInWhatTheToolsPrint(t *testing.T) {
	for printed, want := range map[string]struct {
		f     Figure
		value float64
	}{
		"pointage                      64       3110       0.63       0.21\npointage                     256       4000       0.80       0.91":                                {figure("", ratio("pointage", 64, 2), Last, nil, nil), 0.21},
		"pointage, a bureau alone       1       1376       1.40       0.70":                                                                                                   {figure("", ratio("pointage, a bureau alone", 1, 1), Last, nil, nil), 1.4},
		"    models_test.go:103: rights: 2 releases, crash       2112 states         8060 steps,  19 deep\n    models_test.go:104: 527 units, 317 states of Step, 5977 steps": {Promises[0].Parts[0].Figures[0], 2112},
	} {
		r := Result{Verdict: NotRun}
		r.read(want.f, printed, Quick)
		if len(r.Figures) != 1 || r.Figures[0].Value != want.value {
			t.Errorf("%+v, want %g in %q", r, want.value, printed)
		}
	}
}

func TestASpeedIsMeasuredOnceMoreAndAPromiseIsNot(t *testing.T) {
	asked := 0
	better := func(context.Context, []string) (string, error) {
		asked++
		if asked == 1 {
			return "x 1 of etcd\nexit status 1\n", errors.New("exit status 1")
		}
		return "x 3 of etcd\n", nil
	}
	for id, want := range map[string]Verdict{"P1": Held, "Q1": Broken} {
		asked = 0
		rows := []Row{{ID: id, Parts: []Part{{Quick: []string{"x"}, Figures: []Figure{figure("x etcd", `x (\d) of`, Last, AtLeast(2), AtLeast(2))}}}}}
		all, err := Run(t.Context(), rows, Quick, better, func(Row) {}, func(Result) {})
		if err != nil || all[0].Verdict != want {
			t.Errorf("%s: %v, %s", id, err, all[0].Line())
		}
		if again := strings.Contains(all[0].Line(), "measured again after: x 1 of etcd"); again != (want == Held) {
			t.Errorf("%s: %s", id, all[0].Line())
		}
	}
}
