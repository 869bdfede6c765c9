package main

import (
	"bytes"
	"strings"
	"testing"

	"pointage/testnet/networks"
)

func TestNetworksThatNobodyCanMakeGetOneLine(t *testing.T) {
	for _, words := range [][]string{
		{"--delay", "fast"},
		{"--delay", "160ms-40ms"},
		{"--loss", "90%"},
		{"--bureaux", "3"},
		{"--nothing"},
		{"more"},
	} {
		var out, errs bytes.Buffer
		code := answer(append([]string{"networks", "--out", t.TempDir()}, words...), &out, &errs)
		if code != exitUsage || strings.Count(errs.String(), "\n") != 1 || out.Len() != 0 {
			t.Errorf("%v: exit %d, %q", words, code, errs.String())
		}
	}
}

func TestBureauxBehindNATsHoldADay(t *testing.T) {
	if err := networks.Possible(); err != nil {
		t.Skipf("left out: a day of bureaux in network namespaces: %v", err)
	}
	if testing.Short() {
		t.Skip("left out with -short: a day of bureaux in network namespaces")
	}
	var out, errs bytes.Buffer
	code := answer([]string{"networks", "--electors", "400", "--day", "12s", "--faults=false", "--delay", "10ms-20ms", "--out", t.TempDir()}, &out, &errs)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if code != exitHeld || lines[len(lines)-1] != "every promise held" {
		t.Fatalf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	if !strings.Contains(errs.String()+out.String(), "through the relay") {
		t.Errorf("nothing is said of the connections:\n%s", errs.String())
	}
}
