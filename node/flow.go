package node

import (
	"context"
	"net/http"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/daybook"
	"pointage/node/pollbook"
)

const (
	// countFresh is how long somebody's count of who waits is shown.
	countFresh = 20 * 60 * 1000
	// paceFrom is how many check-ins the last fifteen minutes need for a pace; with fewer the best quarter of the
	// day stands in.
	paceFrom = 5
	// silentAfter is how long nothing is heard of a bureau before it is called silent; each peer has its
	// turn once in as many seconds as there are bureaux, on either side.
	silentAfter = time.Minute
	// aloneAfter is how long a batch of a bureau is known and has no place before that bureau is called alone.
	aloneAfter = 10 * time.Second
	// levelWithin is how many entries a bureau's ledger may lack and be called level.
	levelWithin = 64
)

// Flow is this bureau's check-ins by fifteen minutes, and the load of every bureau of the commune, so that
// electors can be sent to a calmer one.
func (n *Node) Flow(ctx context.Context) (daybook.Flow, error) {
	if err := n.enter(); err != nil {
		return daybook.Flow{}, err
	}
	defer n.acts.RUnlock()
	book, err := n.today(ctx)
	if err != nil {
		return daybook.Flow{}, err
	}
	at := n.now()
	out := daybook.Flow{Now: at, Quarters: []daybook.Quarter{}, Bureaux: n.loads(book, at)}
	if from, to, some := book.Span(n.cfg.Bureau); some {
		out.Quarters = quarters(book, n.cfg.Bureau, from, max(to, min(at, to+8*quarter)))
	}
	return out, nil
}

// loads lists every bureau of the commune.
func (n *Node) loads(book *daybook.Book, at ledger.Instant) (out []daybook.Load) {
	queues, homes, connected := n.queues(book), n.homes(), n.connected()
	for i := range n.prepared.Commune.Bureaux {
		b := n.prepared.Commune.Bureaux[i].Number
		d := book.Declared(b)
		x := daybook.Load{
			Bureau: b, Place: n.placeOf(b), Principal: b == n.prepared.Commune.Principal, Here: b == n.cfg.Bureau, Electors: homes[b],
			CheckIns: d.CheckIns, Proxies: d.Proxies, Waiting: -1, WaitMinutes: -1, Tally: lastTally(book, b),
		}
		x.LastQuarter, x.Best = paces(book, b, at)
		if q, ok := queues[b]; ok && at-q.at <= countFresh && d.Open {
			x.Waiting, x.CountedAt = q.waiting, q.at
			x.WaitMinutes = waitMinutes(x.Waiting, x.LastQuarter, x.Best)
		}
		x.State, x.Heard = n.stateOf(b, d, slices.Contains(connected, b))
		out = append(out, x)
	}
	return out
}

// paces are the check-ins of the last fifteen minutes and the most of any fifteen, by the bureau's own clock.
func paces(book *daybook.Book, b ledger.BureauNumber, at ledger.Instant) (last, best int) {
	from, to, some := book.Span(b)
	if !some {
		return 0, 0
	}
	// A time is rounded down to five minutes: what stands at 8:00 came before 8:05.
	last = book.Between(b, at-quarter, at+1).CheckIns
	from = max(from, to-maxQuarters*quarter)
	for k := from; k <= to; k += ledger.TimeGrain {
		best = max(best, book.Between(b, k, k+quarter).CheckIns)
	}
	return last, best
}

// waitMinutes is how long the last of those who wait will stand there if the table goes on as it did in the last
// fifteen minutes, or, where it had too little to do, as in its best fifteen; rounded up. -1 where nothing was
// done yet: nothing can be said.
func waitMinutes(waiting, last, best int) int {
	pace := last
	if pace < paceFrom {
		pace = best
	}
	switch {
	case waiting == 0:
		return 0
	case pace < paceFrom:
		return -1
	}
	return (waiting*15 + pace - 1) / pace
}

// queue is what somebody has counted.
type queue struct {
	waiting int
	at      ledger.Instant
}

// queues are the newest counts of who waits, by bureau.
func (n *Node) queues(book *daybook.Book) map[ledger.BureauNumber]queue {
	out := map[ledger.BureauNumber]queue{}
	for _, x := range book.Messages() {
		if o := n.openText(x); o.queue != nil && x.Time >= out[x.From].at {
			out[x.From] = queue{int(o.queue.Waiting), x.Time}
		}
	}
	return out
}

// stateOf says how a bureau stands, as far as it can be known here.
func (n *Node) stateOf(b ledger.BureauNumber, d daybook.Declared, connected bool) (daybook.State, ledger.Instant) {
	switch {
	case !d.Open && d.Closed != 0:
		return daybook.Closed, d.Last
	case b == n.cfg.Bureau:
		return ownState(n.book.Status(), d), n.now()
	}
	h := n.heads.Load()
	spoke, spoken := h.Spoke(b)
	heard := d.Last
	if spoken {
		heard = max(heard, ledger.Instant(spoke.At.UnixMilli()))
	}
	patience := max(silentAfter, time.Duration(len(n.prepared.Commune.Bureaux))*time.Second)
	since, waits := h.Waits(b)
	head := n.store.Head()
	switch {
	case !connected && n.now()-heard > ledger.Instant(patience.Milliseconds()):
		return daybook.Silent, heard
	case !d.Open:
		return daybook.NotOpen, heard
	case waits && time.Since(since) > aloneAfter:
		return daybook.Alone, heard
	case spoken && (spoke.Epoch < head.Epoch || spoke.Epoch == head.Epoch && spoke.Size+levelWithin < head.Size):
		return daybook.CatchingUp, heard
	}
	return daybook.Linked, heard
}

func ownState(s pollbook.Status, d daybook.Declared) daybook.State {
	switch {
	case !d.Open:
		return daybook.NotOpen
	case s.Link == pollbook.Alone:
		return daybook.Alone
	case s.Link == pollbook.CatchingUp:
		return daybook.CatchingUp
	}
	return daybook.Linked
}

// ReportQueue states how many people wait at this bureau, as somebody has counted them; all bureaux see it.
func (n *Node) ReportQueue(ctx context.Context, waiting int) (daybook.Refusal, error) {
	return n.state(ctx, func(*daybook.Book) (ledger.Body, daybook.Refusal, error) {
		if waiting < 0 || waiting > plaintext.MaxWaiting {
			return nil, daybook.QueueTooLong, nil
		}
		q := plaintext.Queue{From: n.cfg.Bureau, Waiting: uint16(waiting)}
		sealed, err := n.register.SealText(q.Encode())
		return &ledger.Message{Sealed: sealed}, daybook.Recorded, err
	})
}

func (a *api) flow(r *http.Request) (any, error) { return a.node.Flow(r.Context()) }

func (a *api) reportQueue(r *http.Request) (any, error) {
	var in struct {
		Waiting *int `json:"waiting"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if in.Waiting == nil {
		return nil, badRequest(`"waiting" is missing: how many people stand in the queue`)
	}
	return actAnswerOf(a.node.ReportQueue(r.Context(), *in.Waiting))
}
