package simulation

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
)

// told is what the desks were told, elector by elector: the ground of the verdict.
type told struct {
	mu sync.Mutex
	// admitted lists the green lights shown for each elector, by the bureau's own record: a
	// second tap at one desk is the same check-in.
	admitted map[int][]light
	// longest is the longest wait for an answer, longestHome that of electors at home.
	longest, longestHome time.Duration

	checkIns, away, secondRefused, refused, homeRefused, faults int
}

func newTold() *told { return &told{admitted: map[int][]light{}} }

// light is one check-in that a desk was told.
type light struct {
	bureau ledger.BureauNumber
	record string
}

// attempt is one elector at one desk.
type attempt struct {
	visitor *visitor
	at      ledger.BureauNumber
	// repeat: the same desk asks again after a fault, it may have been recorded.
	repeat bool
	// second: this elector has been, or is being, admitted elsewhere.
	second bool
	took   time.Duration
}

// note takes one answer.
func (t *told) note(a attempt, ans node.Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, home := a.visitor.elector, a.at == a.visitor.home
	if t.longest = max(t.longest, a.took); home {
		t.longestHome = max(t.longestHome, a.took)
	}
	// A desk that asks again after a crash is told that the row is its own: the
	// admission was recorded, and counts as handed over.
	recovered := a.repeat && ans.Refusal == ledger.AlreadyAdmitted && ans.At == a.at
	if ans.Admitted || recovered {
		l := light{a.at, ans.Record}
		if slices.Contains(t.admitted[e], l) {
			return
		}
		t.admitted[e] = append(t.admitted[e], l)
		t.checkIns++
		if !home {
			t.away++
		}
		return
	}
	t.refused++
	if a.second || len(t.admitted[e]) > 0 {
		t.secondRefused++
		return
	}
	if home && ans.Refusal != ledger.ReleasedElsewhere && ans.Refusal != ledger.AlreadyAdmitted && ans.Refusal != ledger.BureauNotOpen && ans.Refusal != ledger.UnfencedOnly {
		t.homeRefused++
	}
}

func (t *told) fault() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults++
}

func (t *told) has(elector int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.admitted[elector]) > 0
}

// double counts electors for whom more than one green light was shown.
func (t *told) double() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range t.admitted {
		if len(at) > 1 {
			n++
		}
	}
	return n
}

// lost counts green lights that the verified ledger does not have.
func (t *told) lost(live map[int][]ledger.BureauNumber) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e, at := range t.admitted {
		in := map[ledger.BureauNumber]int{}
		for _, b := range live[e] {
			in[b]++
		}
		for _, l := range at {
			if in[l.bureau]--; in[l.bureau] < 0 {
				n++
			}
		}
	}
	return n
}

func (t *told) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d check-ins, %d of them away, %d second attempts refused", t.checkIns, t.away, t.secondRefused)
}
