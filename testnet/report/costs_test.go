package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pointage/testnet/simulation"
)

func TestCostsAreATableWithPlotsAndAStraightLine(t *testing.T) {
	c := Costs{Date: time.Date(2030, 10, 13, 0, 0, 0, 0, time.UTC), Machine: "a machine", Command: "a command", Plan: simulation.ScalePlan{PerSecond: 100, Load: time.Second}}
	for _, n := range []int{3, 12, 120} {
		c.All = append(c.All, simulation.Cost{Bureaux: n, Processor: 200 + 50*float64(n), WireBytes: 1024 * float64(n), IdleCores: 0.001 * float64(n), Missed: uint64(n / 4), Level: 2})
	}
	if at, by := c.line(costPlots[0].of); at < 199.9 || at > 200.1 || by < 49.99 || by > 50.01 {
		t.Errorf("%.2f + %.3f for each bureau, want 200 + 50", at, by)
	}
	page, plots, err := c.Page("results")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2030-10-13; a machine", "a command", "| 120 | 0.120 |", "takes 200 µs + 50.0 µs for each bureau", "missed 30 entries", "(results/wire.svg)"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if len(plots) != len(costPlots) {
		t.Errorf("%d plots", len(plots))
	}
	for name, svg := range plots {
		for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}
