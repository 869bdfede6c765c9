package simulation

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node"
)

// kept keeps what a day shows of itself.
type kept struct {
	mu      sync.Mutex
	samples []Sample
}

func (k *kept) Progress(Progress) {}

func (k *kept) Sample(s Sample) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.samples = append(k.samples, s)
}

func TestTheSamplesOfADayAddUpToItsSummary(t *testing.T) {
	faults, err := FindScenarios("bureau-cut,adele-away")
	if err != nil {
		t.Fatal(err)
	}
	var k kept
	s, err := Run(t.Context(), Plan{Commune: 21014, Bureaux: 3, Electors: 120, Day: 3 * time.Second, Turnout: 0.8, Seed: 5, Faults: faults, Out: filepath.Join(t.TempDir(), "out"), Live: &k})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Broken) > 0 || len(s.Promises) < 9 {
		t.Errorf("broken %v of %v", s.Broken, s.Promises)
	}
	if len(k.samples) < 4 {
		t.Fatalf("%d samples", len(k.samples))
	}
	var home, away Waits
	before := Sample{}
	for _, x := range k.samples {
		if x.At <= before.At || x.Arrived < before.Arrived || x.CheckIns < before.CheckIns || x.LedgerSize < before.LedgerSize || len(x.Faults) < len(before.Faults) || before.Evening && !x.Evening {
			t.Errorf("after %+v came %+v", before, x)
		}
		home.Join(x.Home)
		away.Join(x.Away)
		before = x
	}
	sum := 0
	for _, b := range before.Bureaux {
		sum += b.CheckIns
		if b.Down() || b.Behind != 0 || b.Backlog != 0 {
			t.Errorf("in the end bureau %d is %+v", b.Bureau, b)
		}
	}
	if !before.Evening || before.Came != before.Expected || before.CheckIns != s.CheckIns || sum != s.CheckIns || before.SecondRefused != s.SecondAttemptsRefused || before.LedgerSize != s.LedgerSize || before.Anchored != s.AnchoredSize {
		t.Errorf("last sample %+v, summary %+v", before, *s)
	}
	longest := max(home.Quantile(1), away.Quantile(1)).Milliseconds()
	if home.Len()+away.Len() != before.CheckIns+before.Refused || longest < s.LongestWaitMillis || longest > s.LongestWaitMillis*33/32+1 {
		t.Errorf("%d waits up to %d ms; %d answers up to %d ms", home.Len()+away.Len(), longest, before.CheckIns+before.Refused, s.LongestWaitMillis)
	}
	if len(before.Faults) != 2 {
		t.Fatalf("faults: %+v", before.Faults)
	}
	for _, f := range before.Faults {
		if !f.Over || f.Ended <= f.Began || f.Began <= 0 {
			t.Errorf("fault %+v", f)
		}
	}
}

func TestABureauThatIsDownGrowsBehindAndOneOfAnEarlierEpochHasNothing(t *testing.T) {
	sample := func(had []extent, states ...*node.Status) Sample {
		s := Sample{Bureaux: make([]BureauSample, len(states))}
		s.measure(states, had)
		return s
	}
	had := make([]extent, 3)
	s := sample(had, &node.Status{Link: "alone", Leader: 1, LedgerSize: 40, AnchoredSize: 80}, &node.Status{Link: "linked", Leader: 3, LedgerSize: 90}, &node.Status{Link: "linked", Leader: 3, LedgerSize: 100, RolledBack: true, Backlog: 2})
	if s.LedgerSize != 100 || s.Leader != 3 || s.Anchored != 80 || s.Bureaux[0].Behind != 60 || s.Bureaux[1].Behind != 10 || s.Bureaux[2].Behind != 0 || s.Bureaux[2].Backlog != 2 {
		t.Errorf("%+v", s)
	}
	if got := s.Bureaux[2].Alarms; len(got) != 1 || got[0] != "rolled back" || len(s.Bureaux[1].Alarms) != 0 {
		t.Errorf("alarms: %q", got)
	}
	s = sample(had, nil, &node.Status{Link: "linked", Leader: 3, LedgerSize: 130}, &node.Status{Link: "linked", Leader: 3, LedgerSize: 130})
	if !s.Bureaux[0].Down() || s.Bureaux[0].Behind != 90 || s.Anchored != 80 {
		t.Errorf("down: %+v", s.Bureaux[0])
	}
	s = sample(had, &node.Status{Link: "catching up", LedgerSize: 130}, &node.Status{Link: "linked", Epoch: 1, LedgerSize: 7, Leader: 2}, nil)
	if s.LedgerSize != 7 || s.Bureaux[0].Behind != 7 || s.Bureaux[1].Behind != 0 || s.Bureaux[2].Behind != 7 {
		t.Errorf("the next epoch: %+v", s)
	}
	if (BureauSample{Bureau: ledger.BureauNumber(1), Link: "linked"}).Down() {
		t.Error("who answers is down")
	}
}
