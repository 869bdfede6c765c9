package rights

import (
	"strings"
	"testing"

	"pointage/ledger"
)

// lax is the judgement of a ledger that would not hold a dropped rule either: what Step
// then states, it takes.
func lax(c *Context, r ledger.Record, id ledger.StatementID, body ledger.Body) (ledger.Record, ledger.Validity) {
	home := c.atHome()
	switch b := body.(type) {
	case *ledger.Admission:
		if !c.holds(r8) && home && r.State == ledger.Released {
			return ledger.Record{State: ledger.Admitted, Nonce: r.Nonce, By: id}, ledger.Valid
		}
	case *ledger.Release:
		if !c.holds(r12) && r.State == ledger.Released {
			return ledger.Record{State: ledger.Released, Nonce: r.Nonce, To: b.To}, ledger.Valid
		}
	case *ledger.Hold:
		if !c.holds(r7|r15) && !home && r.State == ledger.None && b.Nonce >= r.Nonce {
			return ledger.Record{State: ledger.Held, Nonce: b.Nonce}, ledger.Valid
		}
	case *ledger.Return:
		unused := r.State == ledger.Held && r.Nonce == b.Nonce || r.State == ledger.None && b.Nonce >= r.Nonce
		if !home && (!c.holds(r7|r15) && unused || !c.holds(r16) && r.State == ledger.Admitted) {
			return ledger.Record{State: ledger.None, Nonce: b.Nonce + 1}, ledger.Valid
		}
	case *ledger.Restored:
		x, err := ledger.DecodeExtract(b.Return)
		stale := !c.holds(r4) && err == nil && x.Verify(c.Group) == nil || !c.holds(r15) && b.Nonce == r.Nonce
		if home && r.State == ledger.Released && (stale || !c.holds(r6)) {
			return ledger.Record{State: ledger.Own, Nonce: r.Nonce + 1}, ledger.Valid
		}
	case *ledger.Void:
		if !c.holds(r11) && r.State == ledger.Admitted {
			if home {
				return ledger.Record{State: ledger.Own, Nonce: r.Nonce}, ledger.Valid
			}
			return ledger.Record{State: ledger.Held, Nonce: r.Nonce}, ledger.Valid
		}
	}
	return c.Group.After(c.Standing, c.Right, r, id, body)
}

func TestMutants(t *testing.T) {
	for _, m := range []struct {
		name string
		bounds
	}{
		{"R1 hand over before the record is durable", bounds{dropped: r1, crashes: 1}},
		{"R2 send a release before it is durable", bounds{dropped: r2, releases: 1, crashes: 1}},
		{"R3 forget which releases were returned", bounds{dropped: r3, releases: 1}},
		{"R4 take any return", bounds{dropped: r4, releases: 2}},
		{"R5 send a return before it is durable", bounds{dropped: r5, releases: 1, crashes: 1}},
		{"R6 reclaim by time-out", bounds{dropped: r6, releases: 1}},
		{"R7 use a release to another bureau", bounds{dropped: r7, releases: 1}},
		{"R8 admit at home in spite of a release", bounds{dropped: r8, releases: 1}},
		{"R11 undo what was handed over", bounds{dropped: r11, voids: 1}},
		{"R12 release again what is out", bounds{dropped: r12, releases: 1}},
		{"R13 serve without reading the journal", bounds{dropped: r13, crashes: 1}},
		{"R14 admit on a release that is not held durably", bounds{dropped: r14, releases: 1, crashes: 1}},
		{"R15 believe any signature", bounds{dropped: r15, releases: 1}},
		{"R16 return a right that was used", bounds{dropped: r16, releases: 1}},
		{"R17 hand over while a void is under way", bounds{dropped: r17, voids: 1}},
	} {
		t.Run(m.name, func(t *testing.T) {
			m.electors, m.onlyLights, m.maxPlaces = 1, true, 500_000
			r := newExplorer(t, m.bounds).explore()
			if !strings.HasPrefix(r.violation, "S1") {
				t.Fatalf("not caught in %d states (complete: %v)", r.places, r.complete)
			}
			t.Logf("%s in %d states, after: %s", r.violation, r.places, strings.Join(r.trace, "; "))
			m.dropped = 0
			if r := newExplorer(t, m.bounds).explore(); r.violation != "" || !r.complete {
				t.Fatalf("within the same bounds the rules do not hold: %s", r.violation)
			}
		})
	}
}

func TestMutantWithoutRemindersLeavesElectorsStuck(t *testing.T) {
	r := newExplorer(t, bounds{electors: 1, releases: 1, silent: true, maxPlaces: 500_000}).explore()
	if !strings.HasPrefix(r.violation, "L3") {
		t.Fatalf("not caught in %d states (complete: %v): %s", r.places, r.complete, r.violation)
	}
	t.Logf("%s in %d states, after: %s", r.violation, r.places, strings.Join(r.trace, "; "))
}
