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
	// carried lists those of each holder, for another; they are among admitted too.
	carried map[int][]carriedFor
	// longest is the longest wait for an answer, longestHome that of electors at home.
	longest, longestHome time.Duration

	// homeWaits and awayWaits are those that no sample has taken yet.
	homeWaits, awayWaits Waits
	// byBureau counts check-ins.
	byBureau map[ledger.BureauNumber]int

	checkIns, away, proxies, secondRefused, refused, homeRefused, faults int
}

func newTold() *told {
	return &told{admitted: map[int][]light{}, carried: map[int][]carriedFor{}, byBureau: map[ledger.BureauNumber]int{}}
}

// fill gives a sample what the desks were told, and the waits since the one before.
func (t *told) fill(s *Sample, bureaux []*bureau) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.CheckIns, s.Refused, s.SecondRefused = t.checkIns, t.refused, t.secondRefused
	s.Home, s.Away = t.homeWaits, t.awayWaits
	t.homeWaits, t.awayWaits = Waits{}, Waits{}
	for _, u := range bureaux {
		s.Bureaux = append(s.Bureaux, BureauSample{Bureau: u.number, CheckIns: t.byBureau[u.number]})
	}
}

// light is one check-in that a desk was told.
type light struct {
	bureau ledger.BureauNumber
	record string
}

// carriedFor is one check-in by proxy.
type carriedFor struct {
	light
	principal int
}

// attempt is one elector at one desk.
type attempt struct {
	visitor *visitor
	at      ledger.BureauNumber
	// repeat: the same desk asks again after a fault, it may have been recorded.
	repeat bool
	// second: this elector has been, or is being, admitted elsewhere.
	second bool
	// proxy: the holder stands there for him.
	proxy bool
	took  time.Duration
}

// note takes one answer.
func (t *told) note(a attempt, ans node.Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, home := a.visitor.elector, a.at == a.visitor.home
	atHome := home && (!a.proxy || a.at == a.visitor.by.home) // all that is needed is there
	if t.longest = max(t.longest, a.took); atHome {
		t.longestHome = max(t.longestHome, a.took)
		t.homeWaits.Add(a.took)
	} else {
		t.awayWaits.Add(a.took)
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
		t.byBureau[a.at]++
		if !home {
			t.away++
		}
		if a.proxy {
			t.proxies++
			t.carried[a.visitor.by.holder] = append(t.carried[a.visitor.by.holder], carriedFor{l, e})
		}
		return
	}
	t.refused++
	if a.second || len(t.admitted[e]) > 0 || ans.Refusal == ledger.ProxyAlreadyHeld {
		t.secondRefused++
		return
	}
	if a.proxy && ans.Refusal == ledger.InProgress { // two forms for one holder
		return
	}
	if atHome && ans.Refusal != ledger.ReleasedElsewhere && ans.Refusal != ledger.AlreadyAdmitted && ans.Refusal != ledger.BureauNotOpen && ans.Refusal != ledger.UnfencedOnly {
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

// withdraw forgets the light of an elector that two members took back.
func (t *told) withdraw(elector int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.admitted, elector)
}

// awayNow is how many were admitted away from home so far.
func (t *told) awayNow() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.away
}

// double counts electors for whom more than one green light was shown, and holders to whom more
// than one was for another.
func (t *told) double() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range t.admitted {
		if len(at) > 1 {
			n++
		}
	}
	for _, at := range t.carried {
		if len(at) > 1 {
			n++
		}
	}
	return n
}

// uncarried counts proxies whose principal stands in the verified ledger, but not as the holder's. A
// desk that asked again may not have been told the record.
func (t *told) uncarried(live map[int][]ledger.BureauNumber, carried map[int][]light) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for holder, xs := range t.carried {
		for _, x := range xs {
			there := slices.ContainsFunc(carried[holder], func(l light) bool { return l == x.light || x.record == "" && l.bureau == x.bureau })
			if slices.Contains(live[x.principal], x.bureau) && !there {
				n++
			}
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
	return fmt.Sprintf("%d check-ins, %d of them away, %d by proxy, %d second attempts refused", t.checkIns, t.away, t.proxies, t.secondRefused)
}
