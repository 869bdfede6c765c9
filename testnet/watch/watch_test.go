package watch

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"pointage/ledger"
	"pointage/testnet/simulation"
)

var rewrite = flag.Bool("rewrite", false, "write the golden frames anew")

// tell gives a model messages in turn.
func tell(m model, messages ...tea.Msg) model {
	for _, msg := range messages {
		next, _ := m.Update(msg)
		m = next.(model)
	}
	return m
}

func fresh(bare bool) model {
	return model{interrupt: func() {}, since: func() time.Duration { return 0 }, bare: bare}
}

// noon is a sample of a day of n bureaux in trouble.
func noon(n int, at time.Duration, checkIns int) simulation.Sample {
	s := simulation.Sample{
		Progress: simulation.Progress{Came: checkIns, Expected: 10_404, CheckIns: checkIns, Refused: 121, Leader: 4, CutOff: []ledger.BureauNumber{8}, Anchored: 4_700},
		At:       at, Commune: 21014, SecondRefused: 88, LedgerSize: 5_012,
		Faults: []simulation.FaultSpan{{Name: "leader-killed", Began: 5 * time.Second, Ended: 9 * time.Second, Over: true}, {Name: "bureau-cut", Began: at - 6*time.Second}},
	}
	for i := range n {
		s.Bureaux = append(s.Bureaux, simulation.BureauSample{Bureau: ledger.BureauNumber(i + 1), Link: "linked", Behind: uint64(i % 3), CheckIns: 370 + i})
	}
	for i, b := range map[int]simulation.BureauSample{
		1: {Bureau: 2, CheckIns: 350, Behind: 812},
		7: {Bureau: 8, Link: "alone", CheckIns: 402, Behind: 1_503, Backlog: 37},
		8: {Bureau: 9, Link: "catching up", CheckIns: 377, Behind: 95, Alarms: []string{"forks proven: 1", "left out"}},
	} {
		if i < n {
			s.Bureaux[i] = b
		}
	}
	for i := range 100 {
		s.Home.Add(time.Duration(10+i) * time.Millisecond)
	}
	return s
}

func midday(m model, width, height, bureaux int) model {
	return tell(m, tea.WindowSizeMsg{Width: width, Height: height}, lineMsg("   3.6s  12 bureaux open, 10404 of 13000 electors will come (seed 7)"), lineMsg("  10.4s  fault: the leading bureau's machine dies, and comes back a while later"),
		lineMsg("  21.7s  fault: one bureau's cable is cut, and healed later"), clockMsg(83*time.Second), sampleMsg(noon(bureaux, 20*time.Second, 4_000)), sampleMsg(noon(bureaux, 22*time.Second, 4_500)))
}

func TestFramesAreTheGoldenOnes(t *testing.T) {
	evening := tell(midday(fresh(true), 80, 24, 12), stageMsg{Stage: "becoming level: bureau 8 is catching up with 24 batches to hand in"})
	dawn := tell(fresh(true), tea.WindowSizeMsg{Width: 80, Height: 24}, stageMsg{Stage: "sealing the registers", Done: 3, Of: 12}, clockMsg(2*time.Second))
	for name, m := range map[string]model{"dawn-80x24": dawn, "midday-80x24": midday(fresh(true), 80, 24, 12), "midday-120x40": midday(fresh(true), 120, 40, 12), "crowd-80x24": midday(fresh(true), 80, 24, 60), "evening-80x24": evening} {
		got := strings.Join(m.frame(), "\n") + "\n"
		file := filepath.Join("testdata", name+".txt")
		if *rewrite {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s (-rewrite writes it anew):\n%s", name, got)
		}
	}
}

func TestAFrameFitsItsTerminalWhateverItsSize(t *testing.T) {
	for _, bureaux := range []int{1, 12, 120} {
		for width := 1; width < 200; width += 7 {
			for height := 1; height < 60; height += 3 {
				m := midday(fresh(false), width, height, bureaux)
				frame := m.frame()
				if len(frame) > height {
					t.Fatalf("%d lines of %d at %dx%d", len(frame), bureaux, width, height)
				}
				for _, l := range frame {
					if n := utf8.RuneCountInString(unpainted(l)); n > width {
						t.Fatalf("%d columns of %d: %q", n, width, l)
					}
				}
			}
		}
	}
}

func TestPaintOnlyRepeatsWords(t *testing.T) {
	painted, bare := midday(fresh(false), 120, 40, 12).frame(), midday(fresh(true), 120, 40, 12).frame()
	if unpainted(strings.Join(painted, "\n")) != strings.Join(bare, "\n") || strings.Join(painted, "\n") == strings.Join(bare, "\n") {
		t.Error("a painted frame says something else than a bare one")
	}
	for _, word := range []string{"down", "alone", "catching up", "bureau-cut for 6 s", "cut off: [8]", "at [9]", "forks proven: 1, left out", "250 a second", "bureau 4 leads", "88 second attempts", "01:23", "312 to go"} {
		if !strings.Contains(strings.Join(bare, "\n"), word) {
			t.Errorf("the frame lacks %q", word)
		}
	}
}

func TestThoseInTroubleAreAlwaysDrawn(t *testing.T) {
	frame := strings.Join(midday(fresh(true), 80, 24, 120).frame(), "\n")
	for _, word := range []string{"  2 down", "  8 alone", "  9 catching up", "more, none in greater trouble"} {
		if !strings.Contains(frame, word) {
			t.Errorf("the frame lacks %q:\n%s", word, frame)
		}
	}
}

func TestAKeyEndsTheRun(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		ended := false
		m := fresh(true)
		m.interrupt = func() { ended = true }
		next, cmd := m.Update(key)
		if !ended || !next.(model).ending || cmd == nil {
			t.Errorf("%s: ended %v", key, ended)
			continue
		}
		if _, quits := cmd().(tea.QuitMsg); !quits {
			t.Errorf("%s: goes on drawing", key)
		}
	}
	m := fresh(true)
	m.interrupt = func() { t.Error("another key ended the run") }
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"}); cmd != nil {
		t.Error("another key does something")
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	m := fresh(true)
	for i := range 1000 {
		m = tell(m, lineMsg(fmt.Sprint(i)), sampleMsg(noon(3, time.Duration(i+1)*time.Millisecond, i)))
	}
	if len(m.lines) > maxRecent || len(m.recent) > maxRecent || m.lines[len(m.lines)-1] != "999" {
		t.Errorf("%d lines, %d samples", len(m.lines), len(m.recent))
	}
}
