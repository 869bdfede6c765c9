package main

import (
	"bytes"
	"strings"
	"testing"

	"pointage/testnet/simulation"
)

func TestWrongWordsGetOneLineAndExitTwo(t *testing.T) {
	for _, words := range []string{
		"--nope", "--bureaux 500", "--bureaux -1", "--electors 5", "--electors 200000", "--day 1ms", "--turnout 2", "--faults earthquake",
		"--commune 99999", "--anchor http://127.0.0.1:1", "--prepare-only --election x", "--out", "surplus", "bench --clients x", "bench --duration 1h", "bench --nope",
	} {
		var out, errs bytes.Buffer
		code := answer(strings.Fields(words), &out, &errs)
		if code != exitUsage || strings.Count(errs.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q", words, code, errs.String())
		}
	}
}

func TestFaultsListNamesEachOnALine(t *testing.T) {
	var out, errs bytes.Buffer
	if code := answer([]string{"--faults", "list"}, &out, &errs); code != exitHeld {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(simulation.Scenarios) {
		t.Fatalf("%d lines for %d faults", len(lines), len(simulation.Scenarios))
	}
	for i, l := range lines {
		if strings.Fields(l)[0] != simulation.Scenarios[i].Name {
			t.Errorf("line %q does not begin with %s", l, simulation.Scenarios[i].Name)
		}
	}
}

func TestHelpHasAnExample(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"bench", "--help"}} {
		var out, errs bytes.Buffer
		if code := answer(args, &out, &errs); code != exitHeld || !strings.Contains(out.String(), "go run ./testnet") {
			t.Errorf("%v: exit %d, %q", args, code, out.String())
		}
	}
}
