package eid

// Shown is what a table with one place for cards sees: the holder of the card that was read last, or what is wrong. The
// zero value is nothing.
type Shown struct {
	// Trouble is 0 when there is an identity, or nothing.
	Trouble  Trouble
	Identity Identity
}

// Showing goes from one Shown to the next. Its zero value shows nothing; it belongs to whoever reads the events.
type Showing struct {
	now Shown
	// reader is the one that now is about, empty for none in particular.
	reader string
}

// Next takes an event; changed says that something else is to be shown. What is shown of a card goes with it, except that it
// was pulled out too early, which is there to be read until the next card.
func (s *Showing) Next(e Event) (now Shown, changed bool) {
	before := s.now
	own := s.reader == e.Reader
	switch e.Kind {
	case CardRead, Troubled:
		s.now, s.reader = Shown{Trouble: e.Trouble, Identity: e.Identity}, e.Reader
	case CardInserted:
		if own || s.now.Trouble.AboutReader() {
			s.now = Shown{}
		}
	case CardRemoved:
		if own && s.now.Trouble != PulledOut {
			s.now = Shown{}
		}
	case ReaderGone:
		if own {
			s.now = Shown{}
		}
	case ReaderPresent:
		if s.now.Trouble.AboutReader() {
			s.now = Shown{}
		}
	}
	if s.now == (Shown{}) {
		s.reader = ""
	}
	// A card that is read again is news although it is the same one.
	return s.now, s.now != before || e.Kind == CardRead
}
