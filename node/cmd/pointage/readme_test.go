package main

import (
	"context"
	"crypto/rand"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pointage/tools/adele/platform"
	"pointage/tools/prepare/preparation"
)

// other makes the test binary the other programs of the README's steps: prepare as it is, and
// of adele the keys that keygen writes, whose words its own scripts hold.
func other(program string, args []string) int {
	if program == "prepare" {
		return preparation.Command(context.Background(), args, os.Stdout, os.Stderr)
	}
	f := flag.NewFlagSet("keygen", flag.ContinueOnError)
	name, key := f.String("name", "", ""), f.String("key", "", "")
	if len(args) == 0 || args[0] != "keygen" || f.Parse(args[1:]) != nil {
		return exitUsage
	}
	skey, vkey, err := platform.GenerateKey(rand.Reader, *name)
	if err != nil || os.WriteFile(*key, []byte(skey+"\n"), 0o600) != nil || os.WriteFile(*key+".vkey", []byte(vkey+"\n"), 0o600) != nil {
		return exitFault
	}
	return exitDone
}

// TestTheREADMEsStepsRunAsTheyStand gives the README's shell block to a shell, in a directory of
// its own.
func TestTheREADMEsStepsRunAsTheyStand(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n```sh\n")
	steps, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed || strings.Count(steps, "go run ") < 4 {
		t.Fatalf("no block of steps in README.md: %q", steps)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Dir, shell.Env = t.TempDir(), append(os.Environ(), "SELF="+self)
	shell.Stdin = strings.NewReader("go() { program=$(basename \"$2\"); shift 2; " + asProgram + "=$program \"$SELF\" \"$@\"; }\n" + steps + "\n")
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(shell.Dir, "rehearsal", "bureau-001", "bureau.toml")); err != nil {
		t.Error(err)
	}
}
