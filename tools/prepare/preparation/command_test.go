package preparation

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInterruptedCommandEndsWith130AndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	var list bytes.Buffer
	if err := Synthetic(&list, 1, 21014, 9000); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "list.csv")
	if err := os.WriteFile(file, list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"import", "--out", filepath.Join(dir, "out.csv"), "21014=" + file},
		{
			"make", "--simulation", "--election", "brussels-2030", "--opens", "2030-10-13T08:00:00+02:00", "--closes", "2030-10-13T16:00:00+02:00",
			"--witness", testWitness().VKey, "--witness-url", "http://127.0.0.1:1/", "--out", filepath.Join(dir, "out"), "21014=" + file,
		},
	} {
		var stdout, stderr bytes.Buffer
		if code := Command(ctx, args, &stdout, &stderr); code != 130 {
			t.Errorf("%s: exit %d: %s", args[0], code, stderr.String())
		}
		if stderr.String() != "prepare: interrupted, nothing is half-written: the same command goes on\n" || stdout.Len() > 0 {
			t.Errorf("%s: %s%s", args[0], stdout.String(), stderr.String())
		}
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("%v is left", left)
	}
}

func TestListsOfOneElectionHaveOneMethod(t *testing.T) {
	dir := t.TempDir()
	var args []string
	for _, l := range []struct {
		ins  string
		text string
	}{
		{"21014", withNumbers("140000504")},
		{"21015", strings.ReplaceAll(withNumbers("150000503"), "Saint-Josse-ten-Noode", "Schaerbeek")},
	} {
		file := filepath.Join(dir, l.ins)
		if err := os.WriteFile(file, []byte(l.text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, l.ins+"="+file)
	}
	var stdout, stderr bytes.Buffer
	code := Command(t.Context(), append([]string{"import", "--dry-run"}, args...), &stdout, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "mix methods") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}
