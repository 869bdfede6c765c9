package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"pointage/ledger"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"prepare": main})
}

// adele is a witness's verifier key.
func adele() string {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	return ledger.CosignerVKey("adele.example", key)
}

// Each script of testdata/script is what people type, and what they get.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("VKEY", adele())
		return nil
	}})
}

// TestGuideRunsAsItStands gives the guide's commands to a shell, block after block
// in one directory, and finds each line of a block's answer in what was said.
func TestGuideRunsAsItStands(t *testing.T) {
	text, err := os.ReadFile("GUIDE.md")
	if err != nil {
		t.Fatal(err)
	}
	var script, files strings.Builder
	// The scripts themselves lie outside the guide's directory, which is searched in the end.
	script.WriteString("cd guide\n")
	blocks, answers := 0, 0
	for i, part := range strings.Split(string(text), "\n```") {
		if i%2 == 0 {
			continue
		}
		kind, body, _ := strings.Cut(part, "\n")
		switch kind {
		case "sh":
			blocks++
			fmt.Fprintf(&script, "exec sh -eu $WORK/block-%d.sh\n", blocks)
			fmt.Fprintf(&files, "-- block-%d.sh --\nexec 2>&1\n%s\n", blocks, body)
		case "text":
			answers++
			fmt.Fprintf(&script, "says $WORK/block-%d.txt\n", blocks)
			fmt.Fprintf(&files, "-- block-%d.txt --\n%s\n", blocks, body)
		default:
			t.Fatalf("GUIDE.md: a block of %q, neither sh nor text", kind)
		}
	}
	if blocks < 10 || answers < 10 {
		t.Fatalf("%d blocks and %d answers are found in GUIDE.md", blocks, answers)
	}
	dir := t.TempDir()
	txtar := script.String() + files.String() + "-- guide/adele.vkey --\n" + adele() + "\n"
	if err := os.WriteFile(filepath.Join(dir, "guide.txtar"), []byte(txtar), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, RequireExplicitExec: true, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"says": func(ts *testscript.TestScript, _ bool, args []string) {
			said := ts.ReadFile("stdout")
			for line := range strings.Lines(ts.ReadFile(args[0])) {
				if !strings.Contains(said, strings.TrimSpace(line)) {
					ts.Fatalf("%s: %q is not in what was said", args[0], strings.TrimSpace(line))
				}
			}
		},
	}})
}
