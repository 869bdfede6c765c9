package reconciliation_test

import (
	"testing"

	"pointage/ledger/reconciliation"
)

func TestGapOfTenIsAnAlert(t *testing.T) {
	for _, x := range []struct {
		tally reconciliation.Tally
		gaps  reconciliation.Gaps
		alert bool
	}{
		{reconciliation.Tally{}, reconciliation.Gaps{}, false},
		{reconciliation.Tally{CheckedIn: 700, Issued: 700, Scanned: 700}, reconciliation.Gaps{}, false},
		{reconciliation.Tally{CheckedIn: 700, Issued: 709, Scanned: 700}, reconciliation.Gaps{Issued: 9, Scanned: -9}, false},
		{reconciliation.Tally{CheckedIn: 700, Issued: 710, Scanned: 710}, reconciliation.Gaps{Issued: 10}, true},
		{reconciliation.Tally{CheckedIn: 710, Issued: 700, Scanned: 700}, reconciliation.Gaps{Issued: -10}, true},
		{reconciliation.Tally{CheckedIn: 700, Issued: 700, Scanned: 690}, reconciliation.Gaps{Scanned: -10}, true},
		{reconciliation.Tally{CheckedIn: 560, Issued: 560, Scanned: 700}, reconciliation.Gaps{Scanned: 140}, true},
		{reconciliation.Tally{CheckedIn: 1 << 31, Issued: 0, Scanned: 1<<32 - 1}, reconciliation.Gaps{Issued: -1 << 31, Scanned: 1<<32 - 1}, true},
	} {
		if g := x.tally.Gaps(); g != x.gaps || g.Alert() != x.alert {
			t.Errorf("%+v: %+v, alert %v", x.tally, g, g.Alert())
		}
	}
}

func TestTheStretchWhereTheGapAroseIsFound(t *testing.T) {
	at := func(counts ...[3]uint32) (out []reconciliation.Tally) {
		for _, c := range counts {
			out = append(out, reconciliation.Tally{CheckedIn: c[0], Issued: c[1], Scanned: c[2]})
		}
		return out
	}
	for _, x := range []struct {
		all      []reconciliation.Tally
		from, to int
	}{
		{at([3]uint32{50, 62, 62}), -1, 0},
		{at([3]uint32{50, 50, 48}, [3]uint32{90, 101, 100}, [3]uint32{140, 151, 151}), 0, 1},
		{at([3]uint32{50, 50, 50}, [3]uint32{90, 94, 94}, [3]uint32{140, 140, 120}), 1, 2},
		{at([3]uint32{50, 63, 63}, [3]uint32{90, 90, 90}, [3]uint32{140, 140, 155}), 1, 2},
	} {
		if from, to := reconciliation.Widened(x.all); from != x.from || to != x.to {
			t.Errorf("%v: %d to %d, want %d to %d", x.all, from, to, x.from, x.to)
		}
	}
}
