package node

import (
	"context"
	"net/http"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
	"pointage/node/daybook"
)

// quarter is fifteen minutes, in milliseconds.
const quarter ledger.Instant = 15 * 60 * 1000

// Counts are this bureau's counts of ballots so far, and where a gap arose.
func (n *Node) Counts(ctx context.Context) (daybook.Counts, error) {
	if err := n.enter(); err != nil {
		return daybook.Counts{}, err
	}
	defer n.acts.RUnlock()
	book, err := n.today(ctx)
	if err != nil {
		return daybook.Counts{}, err
	}
	d, tallies := book.Declared(n.cfg.Bureau), book.Tallies(n.cfg.Bureau)
	out := daybook.Counts{CheckedIn: d.CheckIns, ByProxy: d.Proxies, Tallies: []daybook.Tally{}}
	for _, t := range tallies {
		out.Tallies = append(out.Tallies, daybook.TallyOf(t))
	}
	if k := len(tallies); k > 0 && tallies[k-1].Gaps().Alert() {
		out.Look = look(book, n.cfg.Bureau, tallies)
	}
	return out, nil
}

// look lists the quarters of an hour in which the last tally's gap arose.
func look(book *daybook.Book, b ledger.BureauNumber, tallies []reconciliation.Tally) []daybook.Quarter {
	from, to := reconciliation.Widened(tallies)
	begins, _, some := book.Span(b)
	if from >= 0 {
		begins = tallies[from].Time
	} else if !some {
		return nil
	}
	return quarters(book, b, begins, tallies[to].Time)
}

// maxQuarters bounds a list of quarters of an hour: two days of a clock that jumped.
const maxQuarters = 2 * 24 * 4

// quarters are those that hold the time from one instant to another, the newest when there are too many.
func quarters(book *daybook.Book, b ledger.BureauNumber, from, to ledger.Instant) (out []daybook.Quarter) {
	from -= from % quarter
	if most := quarter * maxQuarters; to-from > most {
		from = (to - most) - (to-most)%quarter
	}
	for at := from; at <= to; at += quarter {
		g := book.Between(b, at, at+quarter)
		q := daybook.Quarter{From: at, CheckIns: g.CheckIns, Proxies: g.Proxies, Undone: g.Undone}
		if g.Placed {
			q.FirstEntry, q.LastEntry = ledger.EntryName(g.First), ledger.EntryName(g.Last)
		}
		out = append(out, q)
	}
	return out
}

// RecordCount states the ballots issued and scanned so far, beside the electors checked in now.
func (n *Node) RecordCount(ctx context.Context, issued, scanned uint32) (daybook.Tally, error) {
	var said daybook.Tally
	_, err := n.state(ctx, func(book *daybook.Book) (ledger.Body, daybook.Refusal, error) {
		d := book.Declared(n.cfg.Bureau)
		c := &ledger.Count{CheckedIn: uint32(max(0, d.CheckIns)), Issued: issued, Scanned: scanned}
		said = daybook.TallyOf(reconciliation.TallyOf(n.now(), c))
		return c, daybook.Recorded, nil
	})
	return said, err
}

// lastTally is a bureau's newest count, nil without one.
func lastTally(book *daybook.Book, b ledger.BureauNumber) *daybook.Tally {
	all := book.Tallies(b)
	if len(all) == 0 {
		return nil
	}
	t := daybook.TallyOf(all[len(all)-1])
	return &t
}

func (a *api) counts(r *http.Request) (any, error) { return a.node.Counts(r.Context()) }

func (a *api) recordCount(r *http.Request) (any, error) {
	var in struct {
		Issued  *uint32 `json:"issued"`
		Scanned *uint32 `json:"scanned"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if in.Issued == nil || in.Scanned == nil {
		return nil, badRequest(`"issued" and "scanned" are both needed: ballots handed out, and ballots that the box has taken`)
	}
	return a.node.RecordCount(r.Context(), *in.Issued, *in.Scanned)
}
