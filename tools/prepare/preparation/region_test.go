package preparation

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cutter is where a program speaks; it cuts the program off when it says a word.
type cutter struct {
	bytes.Buffer
	word string
	cut  context.CancelFunc
}

// Write implements io.Writer.
func (c *cutter) Write(b []byte) (int, error) {
	n, err := c.Buffer.Write(b)
	if c.word != "" && strings.Contains(c.String(), c.word) {
		c.cut()
	}
	return n, err
}

// TestAWholeRegionsLifeGoesOnWhereItWasCut cuts one command again and again, from the
// lists to the destruction, and gives it again.
func TestAWholeRegionsLifeGoesOnWhereItWasCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "region")
	args := []string{
		"region", "--dir", dir, "--by", "C. Administration", "--synthetic", "--shrink", "1000", "--simulation", "--whole-life", "--election", "rehearsal-2024",
		"--opens", "2024-10-13T08:00:00+02:00", "--closes", "2024-10-13T16:00:00+02:00", "--witness", testWitness().VKey, "--witness-url", "http://127.0.0.1:1/",
	}
	for _, word := range []string{"21003 is ready", "keys put together: ", "the keys are with the bureau", "the keys are with the destruction", "lists, registers and identities"} {
		ctx, cut := context.WithCancel(t.Context())
		out := &cutter{word: word, cut: cut}
		if code := Command(ctx, args, out, out); code != exitInterrupted {
			t.Fatalf("cut at %q: exit %d: %s", word, code, out.String())
		}
	}
	for range 2 { // once more changes nothing
		out := &cutter{}
		if code := Command(t.Context(), args, out, out); code != exitDone || !strings.Contains(out.String(), "names 38 keys that were destroyed and 0 that never came back") {
			t.Fatalf("exit %d: %s", code, out.String())
		}
	}
	for _, name := range []string{"lists", "work", "keys", "dossier", "experts.age", "custody/words"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	live := append(args, "--live")
	var out bytes.Buffer
	if code := Command(t.Context(), live, &out, &out); code != exitUsage || !strings.Contains(out.String(), "it is for rehearsals") {
		t.Errorf("a live election: exit %d: %s", code, out.String())
	}
}
