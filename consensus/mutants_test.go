package consensus

import (
	"encoding/json"
	"flag"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var mutantsFlag = flag.Int("mutants", 0, "how many of the source mutants are compiled and tried")

// sourceMutant is a change to this package's own code that makes it wrong. A test must fail by it.
type sourceMutant struct {
	name, file, old, new string
	run                  string // the test; "" for the faulted days of five machines
}

var sourceMutants = []sourceMutant{
	{name: "an unknown outcome is told as a refusal", file: "propose.go", old: "ErrUnknownOutcome, err)}", new: "ErrNoLeader, err)}"},
	{name: "a cut connection is told as a refusal", file: "forward.go", old: "ErrUnknownOutcome, errStreamCut)", new: "ErrNoLeader, errStreamCut)", run: "TestConnectionThatBreaks"},
	{name: "a command is answered before it is committed", file: "propose.go", old: "o := e.outcome(future)", new: `_ = future
		o := outcome{reply: []byte("- 0")}`},
	{name: "what is under way is logged again", file: "propose.go", old: "if !e.underWay.join(key, done) {", new: `if e.underWay.join(key, done); false {`, run: "TestACommandUnderWay"},
	{name: "a member doesn't apply what comes in large batches", file: "machine.go", old: "		replies := m.sm.Apply(first, commands)", new: `		if len(commands) > 4 {
			commands = commands[:4]
		}
		replies := m.sm.Apply(first, commands)
		for len(replies) < i-start {
			replies, commands = append(replies, nil), append(commands, nil)
		}`},
	{name: "a snapshot isn't restored", file: "machine.go", old: "m.indexed.Applied() < index", new: "false"},
	{name: "entries are acknowledged before they are on disk", file: "store.go", old: `return d.write("append to log", func() error { return d.stores.log.StoreLogs(list) })`, new: `go d.write("append to log", func() error { return d.stores.log.StoreLogs(list) })
	return nil`},
	{name: "a term isn't kept", file: "store.go", old: `d.write("write stable value", func() error {`, new: `d.write("write stable value", func() error {
		if bytes.Equal(key, keyTerm) {
			return nil
		}
		`},
	{name: "a failed write is taken for done", file: "store.go", old: `			d.discard(err, forGood)
`, new: `			_, err = forGood, nil
`},
	{name: "a store that was lost starts again", file: "store.go", old: "if !state && existed {", new: "if false {"},
	{name: "an empty store answers for the one that was lost", file: "links.go", old: "if to != l.self {", new: "if false {"},
	{name: "the principal is replaced when it is silent", file: "members.go", old: "v.voting && v.peer != s.principal && s.failing(v)", new: "v.voting && s.failing(v)", run: "TestSilentPrincipal"},
	{name: "nobody takes an empty place", file: "members.go", old: "if voting < s.voting {", new: "if false {"},
	{name: "who was let in by a leader alone never asks again", file: "join.go", old: "string(s.ID) == g.id && called", new: "string(s.ID) == g.id && (called || true)", run: "TestNewStoreWhoseAdmission"},
	{name: "whatever a leader answers is believed", file: "forward.go", old: `	if err != nil {
		return nil, fmt.Errorf("%w: answer of`, new: `	if err != nil && reply != nil {
		return nil, fmt.Errorf("%w: answer of`},
	{name: "a leader's answer isn't sealed", file: "serve.go", old: "sealed, ok := g.cfg.Answers.Seal(command, reply)", new: "sealed, ok := reply, true"},
	{name: "a sealed reply of the largest size has no room", file: "forward.go", old: "readFrame(r, MaxReply+MaxSeal)", new: "readFrame(r, MaxReply)", run: "TestLongestReply"},
	{name: "whoever knows the address is let in", file: "group.go", old: "			return true\n		}\n	}\n	return false", new: "			return true\n		}\n	}\n	return true", run: "TestAMachineThatNobodyExpects"},
	{name: "later machines are not known", file: "group.go", old: "if slices.Contains(g.cfg.Later, peer) {", new: "if slices.Contains([]string(nil), peer) {", run: "TestALaterMachine"},
}

// The list of mutants fits the code: each is a change of one place, to other code that can be read. With -mutants they are
// tried, and each must be noticed:
//
//	go test ./consensus -run TestSourceMutants -v -timeout 1h -mutants 99
func TestSourceMutantsAreCaught(t *testing.T) {
	for i, m := range sourceMutants {
		t.Run(m.name, func(t *testing.T) {
			code, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(code), m.old); n != 1 {
				t.Fatalf("%q stands %d times in %s", m.old, n, m.file)
			}
			changed := strings.Replace(string(code), m.old, m.new, 1)
			if _, err := parser.ParseFile(token.NewFileSet(), m.file, changed, 0); err != nil {
				t.Fatal(err)
			}
			if i < *mutantsFlag {
				m.try(t, changed)
			}
		})
	}
}

// try runs the test on the changed code.
func (m sourceMutant) try(t *testing.T, changed string) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	file, overlay := filepath.Join(t.TempDir(), m.file), filepath.Join(t.TempDir(), "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, m.file): file}})
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{file: []byte(changed), overlay: replace} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := m.run
	if run == "" {
		run = "TestFaultedDaysOfFive"
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", run, "-timeout", "5m", ".", "-days", "16", "-largedays", "0").CombinedOutput()
	said := string(out)
	switch {
	case err == nil:
		t.Errorf("not noticed by %s", run)
	case !strings.Contains(said, "--- FAIL") && !strings.Contains(said, "panic:"):
		t.Errorf("nothing was tried: %v\n%.2000s", err, said)
	default:
		t.Logf("noticed by %s", firstOffence(said))
	}
}

// firstOffence is the first line that says what went wrong.
func firstOffence(said string) string {
	for line := range strings.SplitSeq(said, "\n") {
		if strings.Contains(line, "_test.go:") || strings.Contains(line, "panic:") {
			return strings.TrimSpace(line)
		}
	}
	return "a failure"
}
