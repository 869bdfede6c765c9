package simulation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node"
)

func TestADayWithItsLeaderKilledHoldsEveryPromise(t *testing.T) {
	faults, err := FindScenarios("leader-killed")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	s, err := Run(t.Context(), Plan{Commune: 21014, Bureaux: 3, Electors: 120, Day: 3 * time.Second, Turnout: 0.8, Seed: 3, Faults: faults, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Broken) > 0 {
		t.Errorf("broken: %v", s.Broken)
	}
	if s.CheckIns == 0 || !s.Verified || s.AnchoredSize != s.LedgerSize || s.LeaderChanges == 0 {
		t.Errorf("summary: %+v", *s)
	}
	b, err := os.ReadFile(filepath.Join(out, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var written Summary
	if err := json.Unmarshal(b, &written); err != nil || written.Root != s.Root || written.CheckIns != s.CheckIns {
		t.Errorf("summary.json: %v, %+v", err, written)
	}
}

func TestTheSameSeedDrawsTheSameDay(t *testing.T) {
	homes := make([]ledger.BureauNumber, 500)
	for i := range homes {
		homes[i] = ledger.BureauNumber(1 + i%4)
	}
	all := []ledger.BureauNumber{1, 2, 3, 4}
	a, b := visitors(7, homes, all, 0.8, time.Minute), visitors(7, homes, all, 0.8, time.Minute)
	if !slices.Equal(a, b) {
		t.Error("one seed drew two days")
	}
	if slices.Equal(a, visitors(8, homes, all, 0.8, time.Minute)) {
		t.Error("two seeds drew one day")
	}
	if share := float64(len(a)) / 500; share < 0.7 || share > 0.9 {
		t.Errorf("%.2f of the electors come, want about 0.8", share)
	}
}

// TestTheJudgeSeesWhatItIsThereFor breaks each promise in what the desks were told.
func TestTheJudgeSeesWhatItIsThereFor(t *testing.T) {
	v := &visitor{elector: 1, home: 1}
	light := func(record string) node.Answer { return node.Answer{Admitted: true, Record: record} }
	t.Run("a second light is a double admission", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: v, at: 1}, light("a/1"))
		d.note(attempt{visitor: v, at: 2}, light("b/1"))
		if d.double() != 1 {
			t.Error("not counted")
		}
	})
	t.Run("a second tap is not", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: v, at: 1}, light("a/1"))
		d.note(attempt{visitor: v, at: 1}, light("a/1"))
		if d.double() != 0 || d.checkIns != 1 {
			t.Error("counted twice")
		}
	})
	t.Run("a light that the ledger lacks is lost", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: v, at: 1}, light("a/1"))
		if d.lost(nil) != 1 || d.lost(map[int][]ledger.BureauNumber{1: {2}}) != 1 || d.lost(map[int][]ledger.BureauNumber{1: {1}}) != 0 {
			t.Error("miscounted")
		}
	})
	t.Run("an elector refused at home", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: v, at: 1}, node.Answer{Refusal: ledger.HomeUnreachable})
		if d.homeRefused != 1 {
			t.Error("not counted")
		}
	})
}

func TestAForeignDirectoryIsNotEmptied(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Plan{Commune: 21014, Bureaux: 3, Electors: 60, Day: time.Second, Turnout: 1, Seed: 1, Out: dir}); err == nil {
		t.Error("a foreign directory was taken")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error("a foreign file is gone")
	}
}
