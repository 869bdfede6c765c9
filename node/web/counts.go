package web

import (
	"slices"

	"pointage/node/daybook"
)

// countsPage compares check-ins, ballots issued and ballots scanned (R-F1).
var countsPage = page{name: "counts", who: assessor, nav: true, show: showCounts, acts: map[string]act{"record": recordCount}}

type countsData struct {
	daybook.Counts
	// Last is the newest count, nil without one; Newest lists them, the newest first, and is Part of all.
	Last   *daybook.Tally
	Newest []daybook.Tally
	Part   stretch
}

// Gap is the larger of the last count's gaps.
func (c countsData) Gap() int {
	if c.Last == nil {
		return 0
	}
	return gapOf(c.Last)
}

func gapOf(t *daybook.Tally) int { return max(t.GapIssued, -t.GapIssued, t.GapScanned, -t.GapScanned) }

func showCounts(v *visit) (any, error) {
	c, err := v.bureau.Counts(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := countsData{Counts: c, Newest: slices.Clone(c.Tallies)}
	slices.Reverse(out.Newest)
	if len(out.Newest) > 0 {
		out.Last = &out.Newest[0]
	}
	out.Part = v.stretch(len(out.Newest), func(int) int { return 500 })
	out.Newest = out.Newest[out.Part.From:out.Part.To]
	return out, nil
}

func recordCount(v *visit) (reply, error) {
	issued, ok1, err := v.typed("issued", 32)
	if err != nil {
		return reply{}, err
	}
	scanned, ok2, err := v.typed("scanned", 32)
	if err != nil {
		return reply{}, err
	}
	if !ok1 || !ok2 {
		v.said(false, "counts.unreadable")
		return reply{to: "/counts"}, nil
	}
	t, err := v.bureau.RecordCount(v.r.Context(), uint32(issued), uint32(scanned))
	if err != nil {
		return reply{}, err
	}
	if !t.Alert { // the page itself says an alert
		v.said(true, "acts.saved")
	}
	return reply{to: "/counts"}, nil
}
