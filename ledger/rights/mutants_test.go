package rights

import (
	"flag"
	"strings"
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
	{"R12 release again what is out", "S1", bounds{dropped: r12, releases: 1}},
	{"R13 serve without reading the journal", "S1", bounds{dropped: r13, crashes: 1}},
	{"R14 admit on a release that is not held durably", "S1", bounds{dropped: r14, releases: 1, crashes: 1}},
	{"R15 believe any signature", "S1", bounds{dropped: r15, releases: 1}},
	{"R16 return a right that was used", "S1", bounds{dropped: r16, releases: 1}},
	{"R17 hand over while a void is under way", "S1", bounds{dropped: r17, voids: 1}},
	{"L3 home does not remind", "L3", bounds{without: silentHome, releases: 1, demands: wayOn}},
	{"Proxy takes its rights in any order", "bureaux", bounds{dropped: proxyOrder, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, demands: noCircle}},
	{"Proxy that fails keeps what it has", "bureau", bounds{dropped: proxyBack, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, demands: sound}},
	{"Proxy without the holder's right", "S1", bounds{dropped: proxyBoth, bureaux: 2, rights: oneHolder, proxies: withOneHolder, releases: 1}},
	{"Proxy of which a restart knows one right", "S1", bounds{without: oneSided, bureaux: 2, rights: oneHolder, proxies: withOneHolder, releases: 1, crashes: 1}},
	{"Media 5 the next incarnation is fenced at once", "S1", bounds{without: openFenced, deaths: 1}},
	{"Media 5 settled by one medium", "S1", bounds{without: settleBlind, deaths: 1}},
	{"Media 5 settled, and what was done unfenced is forgotten", "bureau", bounds{without: forgetBeside, releases: 1, annulments: 1, deaths: 1, demands: sound}},
	{"S2 hand over before the group answers", "S1", bounds{without: noBarrier, clones: 1, barrier: true}},
	{"S2 take an answer for another admission", "S1", bounds{without: anyAnswer, clones: 1, voids: 1, barrier: true}},
	{"Batch: one answer for all of it", "S1", bounds{without: batchAnswer, bureaux: 2, rights: admitOf(0, 3), together: true, clones: 1, barrier: true}},
	{"Session: a void of another session's admission", "S1", bounds{dropped: ownSession, without: unhanded, crashes: 1, voids: 1}},
}

// TestMutants leaves out one rule at a time, for which the promise must be broken. -traces prints how.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
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
			if r := search(newUnits(t, b), b.bits); r.violation != "" || !r.complete {
				t.Fatalf("within the same bounds the rules do not hold: %s", r.violation)
			}
		})
	}
	for _, m := range mediaMutants {
		t.Run(m.name, func(t *testing.T) {
			b := m.mediaBounds.ready()
			b.onlyBallots = m.breaks == "S1"
			caught(t, newMedia(t, b), b.bits, m.breaks)
		})
	}
}

// caught demands that a search finds the broken promise.
func caught(t *testing.T, m model, bits int, breaks string) {
	t.Helper()
	r := search(m, bits)
	if !strings.HasPrefix(r.violation, breaks) {
		t.Fatalf("not caught in %d states (complete: %v): %s", r.states, r.complete, r.violation)
	}
	t.Logf("%s: after %d steps, in %d states", r.violation, r.depth, r.states)
	if *traces {
		t.Logf("by\n%s", trace(m, r.bad))
	}
}
