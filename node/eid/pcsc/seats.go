package pcsc

import (
	"slices"
	"time"

	"pointage/node/eid"
)

// seen is what PC/SC says of one reader at one moment.
type seen struct {
	reader string
	// present: something is in it; mute: it does not answer.
	present, mute bool
	// changes counts cards put in and taken out; it differs when one was swapped between two looks.
	changes uint16
}

// seats is what was told of every reader. It decides what is news; it has no clock, no reader and no lock.
type seats struct {
	at map[string]*seat
	// limit is how long a reading may take.
	limit time.Duration
	// crowded: that there are too many readers was told.
	crowded bool
}

// seat is one reader and the card in it.
type seat struct {
	// card is set from CardInserted to CardRemoved, mute if it was told to be so.
	card, mute bool
	changes    uint16
	// visit is the reading of the card in it, 0 when there is none under way. Numbers are never used twice, so
	// that what a reading brings after its card has left is nobody's.
	visit   int
	started time.Time
}

// news is an event, and the number of a reading to begin with it, if any.
type news struct {
	event eid.Event
	begin int
}

// look compares what is seen with what was told. next gives the numbers of readings.
func (s *seats) look(now time.Time, all []seen, next func() int) (out []news) {
	if crowded := len(all) > eid.MaxReaders; crowded {
		all = all[:eid.MaxReaders]
		if !s.crowded {
			out = append(out, news{event: eid.Event{Kind: eid.Troubled, Trouble: eid.TooManyReaders}})
		}
		s.crowded = true
	} else {
		s.crowded = false
	}
	for _, reader := range s.readers() {
		if !slices.ContainsFunc(all, func(x seen) bool { return x.reader == reader }) {
			out = append(out, s.removed(reader)...)
			out = append(out, news{event: eid.Event{Kind: eid.ReaderGone, Reader: reader}})
			delete(s.at, reader)
		}
	}
	for _, x := range all {
		at := s.at[x.reader]
		if at == nil {
			at = &seat{changes: x.changes}
			s.at[x.reader] = at
			out = append(out, news{event: eid.Event{Kind: eid.ReaderPresent, Reader: x.reader}})
		}
		if at.card && (!x.present || x.changes != at.changes) {
			out = append(out, s.removed(x.reader)...)
		}
		at.changes = x.changes
		if x.present && !at.card {
			at.card, at.mute = true, false
			out = append(out, news{event: eid.Event{Kind: eid.CardInserted, Reader: x.reader}})
			if !x.mute {
				at.visit, at.started = next(), now
				out[len(out)-1].begin = at.visit
			}
		}
		if x.mute && at.card && !at.mute {
			at.mute = true
			at.visit = 0
			out = append(out, news{event: eid.Event{Kind: eid.Troubled, Reader: x.reader, Trouble: eid.Unresponsive}})
		}
	}
	return append(out, s.overdue(now)...)
}

// readers is the names of those told of, in order.
func (s *seats) readers() []string {
	names := make([]string, 0, len(s.at))
	for name := range s.at {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// removed is what is told when a card has left: too early, if it was being read.
func (s *seats) removed(reader string) (out []news) {
	at := s.at[reader]
	if !at.card {
		return nil
	}
	if at.visit != 0 {
		out = append(out, news{event: eid.Event{Kind: eid.Troubled, Reader: reader, Trouble: eid.PulledOut}})
	}
	at.card, at.mute, at.visit = false, false, 0
	return append(out, news{event: eid.Event{Kind: eid.CardRemoved, Reader: reader}})
}

// overdue gives up readings that take longer than the limit.
func (s *seats) overdue(now time.Time) (out []news) {
	for _, reader := range s.readers() {
		if at := s.at[reader]; at.visit != 0 && now.Sub(at.started) > s.limit {
			at.visit = 0
			out = append(out, news{event: eid.Event{Kind: eid.Troubled, Reader: reader, Trouble: eid.TooSlow}})
		}
	}
	return out
}

// finished takes what a reading brought; nothing when its card has left or it was given up.
func (s *seats) finished(reader string, visit int, e eid.Event) (out []news) {
	at := s.at[reader]
	if at == nil || at.visit != visit {
		return nil
	}
	at.visit = 0
	return []news{{event: e}}
}

// clear is what is told when PC/SC itself has gone: cards and readers with it.
func (s *seats) clear() []news { return s.look(time.Time{}, nil, nil) }
