package rights

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// traces prints how each mutant breaks its promise.
var traces = flag.Bool("traces", false, "print how each mutant breaks its promise")

// mutant is a protocol without one of its rules, and the promise that is broken then.
type mutant struct {
	name, breaks string
	bounds
}

var mutants = []mutant{
	{"R1 hand over before the record is durable", "S1", bounds{dropped: r1, crashes: 1}},
	{"R2 send a release before it is durable", "S1", bounds{dropped: r2, releases: 1, crashes: 1}},
	{"R3 forget which releases were returned", "S1", bounds{dropped: r3, releases: 1}},
	{"R4 take any return", "S1", bounds{dropped: r4, releases: 2}},
	{"R5 send a return before it is durable", "S1", bounds{dropped: r5, releases: 1, crashes: 1}},
	{"R6 reclaim by time-out", "S1", bounds{dropped: r6, releases: 1}},
	{"R7 use a release to another bureau", "S1", bounds{dropped: r7, releases: 1}},
	{"R8 admit at home in spite of a release", "S1", bounds{dropped: r8, releases: 1}},
	{"R11 undo what was handed over", "S1", bounds{dropped: r11, voids: 1}},
	{"R11 one person annuls", "S1", bounds{dropped: twoPersons, annulments: 1}},
	{"R12 release again what is out", "S1", bounds{dropped: r12, releases: 1}},
	{"R13 serve without reading the journal", "S1", bounds{dropped: r13, crashes: 1}},
	{"R14 admit on a release that is not held durably", "S1", bounds{dropped: r14, releases: 1, crashes: 1}},
	{"R15 believe any signature", "S1", bounds{dropped: r15, releases: 1}},
	{"R16 return a right that was used", "S1", bounds{dropped: r16, releases: 1}},
	{"R17 hand over while a void is under way", "S1", bounds{dropped: r17, voids: 1}},
	{"R3 an old release is not answered by its return", "L3", bounds{dropped: returnedAgain, releases: 1, demands: wayOn}},
	{"R5 a release that nobody waits for is not returned", "L3", bounds{dropped: neverHeld, releases: 1, demands: wayOn}},
	{"L3 a right that nobody waits for is kept", "L3", bounds{dropped: unwanted, releases: 1, demands: wayOn}},
	{"L3 home does not remind", "L3", bounds{without: silentHome, releases: 1, demands: wayOn}},
	{"Proxy takes its rights in any order", "bureaux", bounds{dropped: proxyOrder, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, demands: noCircle}},
	{"Proxy that fails keeps what it has", "bureau", bounds{dropped: proxyBack, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, demands: sound}},
	{"Proxy without the holder's right", "S1", bounds{dropped: proxyBoth, bureaux: 2, rights: oneHolder, proxies: withOneHolder, releases: 1}},
	{"Proxy of which a restart knows one right", "S1", bounds{without: oneSided, bureaux: 1, rights: atHome, proxies: withOneHolder, crashes: 1}},
	{"Proxy undone for one of its rights", "bureau", bounds{dropped: proxyUndone, bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, voids: 1, demands: sound}},
	{"Policy home-bureau: rights are lent without a proxy", "bureau", bounds{without: roams, homeOnly: true, releases: 1, demands: sound}},
	{"Policy strict: provisional admissions all the same", "bureau", bounds{dropped: policy, releases: 1, demands: sound}},
	{"Media 5 unfenced, and admits whom its chain has as admitted or released", "bureau", bounds{dropped: recorded, releases: 1, deaths: 1, demands: sound}},
	{"Media 5 the next incarnation is fenced at once", "S1", bounds{without: openFenced, deaths: 1}},
	{"Media 5 settled by one medium", "S1", bounds{without: settleBlind, deaths: 1}},
	{"Media 5 settled, and what was done unfenced is forgotten", "bureau", bounds{without: forgetBeside, releases: 1, annulments: 1, deaths: 1, demands: sound}},
	{"S2 hand over before the group answers", "S1", bounds{without: noBarrier, clones: 1, barrier: true}},
	{"S2 a conflict is not heeded", "S1", bounds{without: heedless, clones: 1, barrier: true}},
	{"S2 take an answer for another admission", "S1", bounds{without: anyAnswer, clones: 1, voids: 1, barrier: true}},
	{"Batch: one answer for all of it", "S1", bounds{without: batchAnswer, bureaux: 2, rights: admitOf(0, 3), together: true, clones: 1, barrier: true}},
	{"Session: after a restart an admission counts as not handed over", "bureau", bounds{without: unhanded, crashes: 1, demands: sound}},
	{"Session: a void of another session's admission", "S1", bounds{dropped: ownSession, without: unhanded, crashes: 1, voids: 1}},
}

// TestMutants leaves out one rule at a time, for which the promise must be broken; within the same bounds
// the rules hold. A record that is not on two media is found long before the second ballot that comes of
// it; -full goes on to there, and searches the media's bounds with all rules too. -traces prints how.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := m.bounds
			if len(b.rights) == 0 {
				b.rights = admitOf(0)
			}
			if b.demands == 0 {
				b.demands = s1
			}
			b = b.ready()
			caught(t, newUnits(t, b), b.bits, m.breaks)
			b.dropped, b.without = 0, 0
			ruled(t, b, func() model { return newUnits(t, b) }, b.bits)
		})
	}
	ofMedia := mediaMutants
	if *full {
		ofMedia = append(slices.Clone(ofMedia), wideMediaMutants...)
	}
	for _, m := range ofMedia {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := m.mediaBounds.ready()
			if !*full {
				caught(t, newMedia(t, b), b.bits, m.breaks, "medi")
				return
			}
			b.onlyBallots = m.breaks == "S1"
			caught(t, newMedia(t, b), b.bits, m.breaks)
			b.without, b.onlyBallots = 0, false
			ruled(t, b, func() model { return newMedia(t, b) }, b.bits)
		})
	}
}

// held remembers the bounds that were searched with all rules.
var held sync.Map

// ruled demands that within these bounds the rules hold; what was searched once need not be again.
func ruled(t *testing.T, bounds any, m func() model, bits int) {
	t.Helper()
	once, _ := held.LoadOrStore(fmt.Sprintf("%+v", bounds), sync.OnceValue(func() result { return search(m(), bits) }))
	if r := once.(func() result)(); r.violation != "" || !r.complete {
		t.Fatalf("within the same bounds the rules do not hold (complete: %v): %s", r.complete, r.violation)
	}
}

// caught demands that a search finds one of these promises broken.
func caught(t *testing.T, m model, bits int, breaks ...string) {
	t.Helper()
	r := search(m, bits)
	if !slices.ContainsFunc(breaks, func(p string) bool { return strings.HasPrefix(r.violation, p) }) {
		t.Fatalf("not caught in %d states (complete: %v): %s", r.states, r.complete, r.violation)
	}
	t.Logf("%s: after %d steps, in %d states", r.violation, r.depth, r.states)
	if *traces {
		t.Logf("by\n%s", trace(m, r.bad))
	}
}
