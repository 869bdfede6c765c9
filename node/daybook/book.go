// Package daybook is what the bureaux of a commune have declared so far beside the rights of electors: openings,
// attendance, counts, messages, incidents, custody, and how many check-ins each five minutes had.
//
// It is read from chains, the bureau's own and those that the ledger and peers show; it decides nothing, and is made
// again from them at every start.
package daybook

import (
	"maps"
	"slices"
	"sync"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
)

// Limits of what is kept; beyond, the oldest is left out.
const (
	// MaxMessages, MaxIncidents and MaxCustody are those of the whole commune, MaxTallies those of one bureau.
	MaxMessages, MaxIncidents, MaxCustody, MaxTallies = 4096, 4096, 8192, 1024
	// maxMembers is how many members one bureau speaks of.
	maxMembers = 2048
	// maxGrains is how many stretches of five minutes one bureau speaks of: two days.
	maxGrains = 2 * 24 * 12
)

// Book is the daybook of one commune. It is safe for use by many goroutines.
type Book struct {
	mu sync.Mutex
	// next is how far each session has been read.
	next     map[ledger.Author]uint64
	bureaux  map[ledger.BureauNumber]*bureau
	messages []Sealed
	// incidents are sealed too; custody are hand-overs of keys.
	incidents []Sealed
	custody   []Handover
	// recorded are the newest minutes of each bureau, 0 for the commune's.
	recorded map[ledger.BureauNumber]Stated
}

// bureau is what one of them declared.
type bureau struct {
	declared  Declared
	grains    map[ledger.Instant]*Grain
	presence  map[uint16]ledger.Presence
	accounts  map[uint16]ledger.Instant
	tallies   []reconciliation.Tally
	checkIns  int
	proxies   int
	undone    int
	refused   int
	statement ledger.Instant
}

// Declared is what a bureau said of its opening hours and its records.
type Declared struct {
	// Opened and Closed are when it last said so, 0 for never; Open says which was last.
	Opened, Closed ledger.Instant
	Open           bool
	// CheckIns are those that stand, Proxies among them; Undone those that were taken back, Refused the attempts
	// that it refused.
	CheckIns, Proxies, Undone, Refused int
	// Last is the time of its newest statement, by its own clock.
	Last ledger.Instant
}

// Grain is five minutes of a bureau's check-ins.
type Grain struct {
	CheckIns, Proxies, Undone int
	// First and Last are the entries of the first and the last check-in or undoing in it that have a place;
	// Placed says that there is one.
	First, Last uint64
	Placed      bool
}

func (g *Grain) add(x Grain) {
	g.CheckIns, g.Proxies, g.Undone = g.CheckIns+x.CheckIns, g.Proxies+x.Proxies, g.Undone+x.Undone
	if x.Placed {
		g.place(x.First)
		g.place(x.Last)
	}
}

func (g *Grain) place(ref uint64) {
	if !g.Placed {
		g.First, g.Last, g.Placed = ref, ref, true
	}
	g.First, g.Last = min(g.First, ref), max(g.Last, ref)
}

// Sealed is a sealed text that a bureau stated.
type Sealed struct {
	From ledger.BureauNumber
	// To is a message's bureau, 0 for all; Code an incident's.
	To   ledger.BureauNumber
	Code uint16
	Time ledger.Instant
	// Record names the statement.
	Record ledger.StatementID
	Text   []byte
}

// Handover is a statement of custody.
type Handover struct {
	ledger.Custody
	By   ledger.BureauNumber
	Time ledger.Instant
}

// New is an empty daybook.
func New() *Book {
	return &Book{next: map[ledger.Author]uint64{}, bureaux: map[ledger.BureauNumber]*bureau{}, recorded: map[ledger.BureauNumber]Stated{}}
}

// Add reads a batch that a chain shows, in its order; what was read before has no effect.
func (b *Book) Add(batch *ledger.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(batch, nil)
}

// Placed reads an entry of the ledger. Statements that its verdicts call invalid are left out, as are batches
// that are evidence.
func (b *Book) Placed(ref uint64, e *ledger.Entry, batch *ledger.Batch) {
	if e.Kind != ledger.BatchEntry {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(batch, e.Verdicts)
	u := b.of(batch.Header.Author.Bureau)
	for i, s := range batch.Statements {
		if i < len(e.Verdicts) && e.Verdicts[i].Validity == ledger.Valid && counted(s.Body) {
			if g := u.grain(s.Time); g != nil {
				g.place(ref)
			}
		}
	}
}

// counted are the statements that a grain counts.
func counted(body ledger.Body) bool {
	switch body.(type) {
	case *ledger.Admission, *ledger.Provisional, *ledger.ProxyAdmission, *ledger.Void, *ledger.Annulment:
		return true
	}
	return false
}

func (b *Book) add(batch *ledger.Batch, verdicts []ledger.Verdict) {
	h := &batch.Header
	if h.First < b.next[h.Author] {
		return
	}
	b.next[h.Author] = h.Next()
	u := b.of(h.Author.Bureau)
	for i, s := range batch.Statements {
		if i < len(verdicts) && verdicts[i].Validity != ledger.Valid {
			continue
		}
		u.statement = max(u.statement, s.Time)
		id := ledger.StatementID{Session: h.Author.Session, Sequence: h.First + uint64(i)}
		switch body := s.Body.(type) {
		case *ledger.Message:
			b.messages = append(b.messages, Sealed{From: h.Author.Bureau, To: body.To, Time: s.Time, Record: id, Text: body.Sealed})
			b.messages = newest(b.messages, MaxMessages)
		case *ledger.Incident:
			b.incidents = append(b.incidents, Sealed{From: h.Author.Bureau, Code: body.Code, Time: s.Time, Record: id, Text: body.Sealed})
			b.incidents = newest(b.incidents, MaxIncidents)
		case *ledger.Custody:
			b.custody = newest(append(b.custody, Handover{*body, h.Author.Bureau, s.Time}), MaxCustody)
		case *ledger.Minutes:
			b.record(h.Author.Bureau, s.Time, body)
		case *ledger.BureauOpened:
			delete(b.recorded, h.Author.Bureau) // a day that goes on has other minutes
			u.take(s.Time, body)
		default:
			u.take(s.Time, body)
		}
	}
}

func newest[T any](all []T, most int) []T { return all[max(0, len(all)-most):] }

func (b *Book) of(n ledger.BureauNumber) *bureau {
	if b.bureaux[n] == nil {
		b.bureaux[n] = &bureau{grains: map[ledger.Instant]*Grain{}, presence: map[uint16]ledger.Presence{}, accounts: map[uint16]ledger.Instant{}}
	}
	return b.bureaux[n]
}

func (u *bureau) take(at ledger.Instant, body ledger.Body) {
	switch s := body.(type) {
	case *ledger.BureauOpened:
		u.declared.Opened, u.declared.Open = at, true
	case *ledger.BureauClosed:
		u.declared.Closed, u.declared.Open = at, false
	case *ledger.Attendance:
		if _, known := u.presence[s.Member]; known || len(u.presence) < maxMembers {
			u.presence[s.Member] = s.Presence
		}
	case *ledger.Account:
		if _, known := u.accounts[s.Member]; known || len(u.accounts) < maxMembers {
			u.accounts[s.Member] = at
		}
	case *ledger.Count:
		u.tallies = newest(append(u.tallies, reconciliation.TallyOf(at, s)), MaxTallies)
	case *ledger.AttemptRefused:
		u.refused++
	default:
		if counted(body) {
			u.count(at, body)
		}
	}
}

// count takes a check-in or its undoing; what can be undone is one check-in each time.
func (u *bureau) count(at ledger.Instant, body ledger.Body) {
	g := u.grain(at)
	if g == nil {
		g = &Grain{}
	}
	switch s := body.(type) {
	case *ledger.Admission, *ledger.Provisional:
		g.CheckIns, u.checkIns = g.CheckIns+1, u.checkIns+1
	case *ledger.ProxyAdmission:
		g.CheckIns, u.checkIns = g.CheckIns+1, u.checkIns+1
		g.Proxies, u.proxies = g.Proxies+1, u.proxies+1
	case *ledger.Void:
		u.undo(g, len(s.Rights))
	case *ledger.Annulment:
		u.undo(g, len(s.Rights))
	}
}

// undo takes a check-in back; one of two rights was by proxy.
func (u *bureau) undo(g *Grain, rights int) {
	g.Undone, u.undone = g.Undone+1, u.undone+1
	u.checkIns--
	if rights == 2 {
		u.proxies--
	}
}

// grain is the five minutes that hold an instant; nil where a wrong clock has named too many.
func (u *bureau) grain(at ledger.Instant) *Grain {
	k := at - at%ledger.TimeGrain
	if u.grains[k] == nil {
		if len(u.grains) >= maxGrains {
			return nil
		}
		u.grains[k] = &Grain{}
	}
	return u.grains[k]
}

// Declared is what a bureau said of itself.
func (b *Book) Declared(n ledger.BureauNumber) Declared {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.of(n)
	d := u.declared
	d.CheckIns, d.Proxies, d.Undone, d.Refused, d.Last = u.checkIns, u.proxies, u.undone, u.refused, u.statement
	return d
}

// Between adds up a bureau's check-ins from one instant up to, not including, another, whole grains.
func (b *Book) Between(n ledger.BureauNumber, from, to ledger.Instant) (out Grain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.of(n)
	for at := from - from%ledger.TimeGrain; at < to; at += ledger.TimeGrain {
		if g := u.grains[at]; g != nil {
			out.add(*g)
		}
	}
	return out
}

// Span is the first and the last instant of a bureau's check-ins; false when there are none.
func (b *Book) Span(n ledger.BureauNumber) (from, to ledger.Instant, some bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := range b.of(n).grains {
		if !some {
			from, to, some = at, at, true
		}
		from, to = min(from, at), max(to, at)
	}
	return from, to, some
}

// Presence is what a bureau last said of each member, by number.
func (b *Book) Presence(n ledger.BureauNumber) map[uint16]ledger.Presence {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.of(n).presence)
}

// Accounts says when a bureau last recorded each member's account.
func (b *Book) Accounts(n ledger.BureauNumber) map[uint16]ledger.Instant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.of(n).accounts)
}

// Tallies are a bureau's counts, in its own order.
func (b *Book) Tallies(n ledger.BureauNumber) []reconciliation.Tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.of(n).tallies)
}

// Messages, Incidents and Custody are the commune's, in the order in which they were learned.
func (b *Book) Messages() []Sealed { b.mu.Lock(); defer b.mu.Unlock(); return slices.Clone(b.messages) }

// Incidents are the sealed incidents.
func (b *Book) Incidents() []Sealed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.incidents)
}

// Custody are the hand-overs of keys.
func (b *Book) Custody() []Handover {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.custody)
}
