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
}

func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			if len(m.bounds.rights) == 0 {
				m.bounds.rights = admitOf(0)
			}
			if m.demands == 0 {
				m.demands = s1
			}
			x := newUnits(t, m.ready())
			r := search(x, x.bits)
			if !strings.HasPrefix(r.violation, m.breaks) {
				t.Fatalf("not caught in %d states (complete: %v): %s", r.states, r.complete, r.violation)
			}
			t.Logf("%s in %d states", r.violation, r.states)
			if *traces {
				t.Logf("after\n%s", trace(x, r.bad))
			}
			m.dropped, m.without = 0, 0
			if r := search(newUnits(t, m.ready()), m.bounds.ready().bits); r.violation != "" || !r.complete {
				t.Fatalf("within the same bounds the rules do not hold: %s", r.violation)
			}
		})
	}
}
