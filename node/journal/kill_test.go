package journal

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// appenderMedia is the variable that makes the test's own program an appender: it names three
// directories.
const appenderMedia = "POINTAGE_JOURNAL_APPENDER"

func TestMain(m *testing.M) {
	if dirs := os.Getenv(appenderMedia); dirs != "" {
		if err := appendUntilKilled(strings.Split(dirs, ":")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

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
		j := reopen(t, check)
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
			t.Fatalf("round %d: %d of %d acknowledged appends are lost, %v", round, missing, len(acked), err)
		}
		noneOf(t, j, DamagedRecord, NotCounted)
		closed(t, j)
	}
	t.Logf("%d acknowledged appends through 6 kills", len(acked))
}

// killed runs the appender, kills it after n lines, and returns all the lines that it had printed.
func killed(t *testing.T, program string, dirs []string, n int) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), appenderMedia+"="+strings.Join(dirs, ":"))
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
