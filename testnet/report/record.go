package report

import (
	"slices"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/testnet/simulation"
)

// maxIntervals is how many intervals a record has at most, an even number; when there are more, each two become one.
const maxIntervals = 120

// Interval is a stretch of the day, from one sample to a later one.
type Interval struct {
	// From and To are since the opening.
	From, To time.Duration
	// Arrived, CheckIns and Refused happened in it.
	Arrived, CheckIns, Refused int
	// Ledger and Anchored are sizes at its end, in entries.
	Ledger, Anchored uint64
	// Home and Away are its waits: of electors at their own bureau, and of all others.
	Home, Away simulation.Waits
	// Behind and Backlog are each bureau's most, in entries and in batches to hand in; Down says that it once
	// did not answer.
	Behind  []uint64
	Backlog []int
	Down    []bool
}

// join takes in the interval that follows.
func (i *Interval) join(next Interval) {
	i.To, i.Ledger, i.Anchored = next.To, next.Ledger, next.Anchored
	i.Arrived += next.Arrived
	i.CheckIns += next.CheckIns
	i.Refused += next.Refused
	i.Home.Join(next.Home)
	i.Away.Join(next.Away)
	for b := range i.Behind {
		i.Behind[b] = max(i.Behind[b], next.Behind[b])
		i.Backlog[b] = max(i.Backlog[b], next.Backlog[b])
		i.Down[b] = i.Down[b] || next.Down[b]
	}
}

// Record gathers the samples of one run; it is a simulation.Live, and the zero value is ready.
type Record struct {
	mu        sync.Mutex
	intervals []Interval
	// each interval is made of so many samples, the last one of `in` so far.
	each, in int
	last     simulation.Sample
}

// Progress implements simulation.Live: stages before and after the poll are not recorded.
func (r *Record) Progress(simulation.Progress) {}

// Sample implements simulation.Live.
func (r *Record) Sample(s simulation.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := Interval{
		From: r.last.At, To: s.At, Arrived: s.Arrived - r.last.Arrived, CheckIns: s.CheckIns - r.last.CheckIns, Refused: s.Refused - r.last.Refused,
		Ledger: s.LedgerSize, Anchored: s.Anchored,
	}
	next.Home.Join(s.Home)
	next.Away.Join(s.Away)
	for _, b := range s.Bureaux {
		next.Behind, next.Backlog, next.Down = append(next.Behind, b.Behind), append(next.Backlog, b.Backlog), append(next.Down, b.Down())
	}
	r.last, r.each = s, max(r.each, 1)
	if r.in > 0 && r.in < r.each {
		r.intervals[len(r.intervals)-1].join(next)
		r.in++
		return
	}
	r.intervals, r.in = append(r.intervals, next), 1
	if len(r.intervals) > maxIntervals {
		r.halve()
	}
}

// halve makes one interval of each two; the newest, of one sample, stands alone, their number being odd.
func (r *Record) halve() {
	var out []Interval
	for pair := range slices.Chunk(r.intervals, 2) {
		first := pair[0]
		if len(pair) == 2 {
			first.join(pair[1])
		}
		out = append(out, first)
	}
	r.intervals, r.each = out, 2*r.each
}

// Intervals are the day so far, in order.
func (r *Record) Intervals() []Interval {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.intervals)
}

// end is the last sample.
func (r *Record) end() simulation.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// bureaux are the numbers, in the order of every interval's slices.
func bureaux(s simulation.Sample) (out []ledger.BureauNumber) {
	for _, b := range s.Bureaux {
		out = append(out, b.Bureau)
	}
	return out
}
