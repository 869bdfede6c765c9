package journal

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// appenderMedia is the variable that makes the test's own program an appender: it names three
// directories. changerAct says what it does to the last of them meanwhile.
const (
	appenderMedia = "POINTAGE_JOURNAL_APPENDER"
	changerAct    = "POINTAGE_JOURNAL_CHANGER"
)

func TestMain(m *testing.M) {
	if dirs := os.Getenv(appenderMedia); dirs != "" {
		if err := appendUntilKilled(strings.Split(dirs, ":")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == ""; code == 0 && *full && all {
		fmt.Printf("%d images of media after a power cut were opened\n", imagesOpened.Load())
		if imagesOpened.Load() < 20_000 {
			code = 1
		}
	}
	os.Exit(code)
}

// pullAndAttach takes the directory of a medium away and attaches it again, for ever.
func pullAndAttach(j *Journal, dir string) error {
	for {
		if err := os.Rename(dir, away(dir)); err != nil {
			return err
		}
		j.Look()
		if err := errors.Join(os.Rename(away(dir), dir), j.Attach(context.Background(), Medium{Path: dir})); err != nil {
			return err
		}
	}
}

// replaceInTurn gives member 2's place to the other directory, for ever.
func replaceInTurn(j *Journal, old, blank string) error {
	for {
		if err := os.RemoveAll(blank); err != nil {
			return err
		}
		if err := os.Mkdir(blank, 0o700); err != nil {
			return err
		}
		if err := j.Replace(context.Background(), 2, Medium{Path: blank}); err != nil {
			return err
		}
		old, blank = blank, old
	}
}

func away(dir string) string  { return dir + ".away" }
func spare(dir string) string { return dir + ".spare" }

func machineOptions(g *ledger.Group, dirs []string) Options {
	o := bareOptions(g, 0)
	o.Random = rand.Reader
	for i, d := range dirs {
		o.Media[i].Path = d
	}
	return o
}

// appendUntilKilled appends from eight callers and prints the session and sequence number of
// each statement that is durable.
func appendUntilKilled(dirs []string) error {
	var m testing.B // ledgertest asks for one; nothing fails
	j, err := Open(machineOptions(ledgertest.NewDay(&m, 3, 12, nil).Group, dirs))
	if err != nil {
		return err
	}
	failed := make(chan error)
	switch os.Getenv(changerAct) {
	case "attach":
		go func() { failed <- pullAndAttach(j, dirs[2]) }()
	case "replace":
		go func() { failed <- replaceInTurn(j, dirs[2], spare(dirs[2])) }()
	}
	for range 8 {
		go func() {
			for {
				d, err := j.Append(context.Background(), count(1), count(2))
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("%x %d\n", d.Batch.Header.Author.Session, d.Batch.Header.First+uint64(d.First))
			}
		}()
	}
	return <-failed
}

// A program that is killed in the middle of its work: whatever it had said was durable is there.
func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 0)
	o.Random = rand.Reader
	create(t, o)
	var dirs []string
	for _, m := range o.Media {
		dirs = append(dirs, m.Path)
	}
	acked := map[string]bool{}
	for round := range 6 {
		if round == 3 { // one key away for a while
			dirs[1] = ""
		}
		if round == 5 {
			dirs[1] = o.Media[1].Path
		}
		for _, line := range killed(t, program, dirs, 30+17*round) {
			acked[line] = true
		}
		check := machineOptions(o.Group, dirs)
		holds(t, check, acked)
	}
	t.Logf("%d acknowledged appends through 6 kills", len(acked))
}

// A program that is killed while a medium is taken up or replaced, in the middle of its work.
func TestKillWhileMediaChangeLosesNothing(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, act := range []string{"attach", "replace"} {
		o := options(t, 0)
		o.Random = rand.Reader
		create(t, o)
		var dirs []string
		for _, m := range o.Media {
			dirs = append(dirs, m.Path)
		}
		acked := map[string]bool{}
		third := dirs[2]
		for round := range 4 {
			for _, line := range killed(t, program, append(dirs[:2:2], third), 40+37*round, changerAct+"="+act) {
				acked[line] = true
			}
			if err := os.Rename(away(third), third); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			holds(t, machineOptions(o.Group, []string{dirs[0], dirs[1], ""}), acked)
			// At most one of the two directories is a medium of the set.
			var count []string
			for _, dir := range []string{third, spare(third), strings.TrimSuffix(third, ".spare")} {
				j, err := Open(machineOptions(o.Group, []string{dirs[round%2], "", dir}))
				var few *TooFewError
				switch {
				case err == nil:
					closed(t, j)
					if !slices.Contains(count, dir) {
						count = append(count, dir)
					}
				case !errors.As(err, &few):
					t.Fatalf("%s, round %d: %v", act, round, err)
				}
			}
			if len(count) > 1 || act == "attach" && len(count) != 1 {
				t.Errorf("%s, round %d: %v count", act, round, count)
			}
			if len(count) == 1 {
				third = count[0]
				holds(t, machineOptions(o.Group, []string{"", dirs[1], third}), acked)
			}
		}
		t.Logf("%s: %d acknowledged appends", act, len(acked))
	}
}

// holds opens media and fails unless everything that was acknowledged is in the chain.
func holds(t *testing.T, o Options, acked map[string]bool) {
	t.Helper()
	j := reopen(t, o)
	wellChained(t, j, o.Group)
	missing := len(acked)
	err := j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		for i := range b.Statements {
			if acked[fmt.Sprintf("%x %d", b.Header.Author.Session, b.Header.First+uint64(i))] {
				missing--
			}
		}
		return nil
	})
	if err != nil || missing > 0 {
		t.Fatalf("%d of %d acknowledged appends are lost, %v", missing, len(acked), err)
	}
	noneOf(t, j, Forked)
	closed(t, j)
}

// killed runs the appender, kills it after n lines, and returns all the lines that it had printed.
func killed(t *testing.T, program string, dirs []string, n int, env ...string) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(append(os.Environ(), appenderMedia+"="+strings.Join(dirs, ":")), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // a last line that was cut was not said
		}
		line = strings.TrimSuffix(line, "\n")
		if _, number, ok := strings.Cut(line, " "); ok {
			if _, err := strconv.ParseUint(number, 10, 64); err != nil {
				t.Fatalf("the appender said %q", line)
			}
		}
		if lines = append(lines, line); len(lines) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(lines) < n {
		t.Fatalf("the appender ended after %d lines", len(lines))
	}
	return lines
}
