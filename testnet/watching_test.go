package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pointage/testnet/simulation"
)

func TestAReportTellsTheDayThatWasPlayed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	file := filepath.Join(dir, "report.html")
	var out, errs bytes.Buffer
	args := []string{"--bureaux", "3", "--electors", "60", "--day", "1s", "--faults", "none", "--seed", "9", "--out", dir, "--report", file}
	if code := answer(args, &out, &errs); code != exitHeld {
		t.Fatalf("exit %d: %s%s", code, out.String(), errs.String())
	}
	b, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s simulation.Summary
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("<dt>check-ins</dt><dd>%d</dd>", s.CheckIns), fmt.Sprintf("<dt>entries</dt><dd>%d</dd>", s.LedgerSize), fmt.Sprintf("<dt>longest wait</dt><dd>%d ms</dd>", s.LongestWaitMillis),
		s.Root, s.LedgerHead, "go run ./testnet --bureaux 3 --day 1s --electors 60 --faults none --seed 9<", "✓ every promise held", "Saint-Josse-ten-Noode – Sint-Joost-ten-Node", `<svg xmlns="http://www.w3.org/2000/svg" viewBox`,
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if !strings.HasSuffix(out.String(), "every promise held\n") || !strings.HasSuffix(errs.String(), "report: "+file+"\n") {
		t.Errorf("said %q and %q", out.String(), errs.String())
	}
}

func TestAReportThatCouldNotBeWrittenIsToldBeforeTheDay(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, words := range []string{"--report .", "--report=", "--report nowhere/day.html", "--report day.html --prepare-only", "--report day.html --serve --by-hand"} {
		var out, errs bytes.Buffer
		code := answer(strings.Fields(words), &out, &errs)
		if code != exitUsage || strings.Count(errs.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q", words, code, errs.String())
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
