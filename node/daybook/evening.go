package daybook

import "pointage/ledger"

// Stated is minutes whose SHA-256 somebody stated.
type Stated struct {
	// By is the bureau that stated them last, at Time; Times is how often they were stated in all.
	By    ledger.BureauNumber `json:"by"`
	Time  ledger.Instant      `json:"time"`
	Times int                 `json:"times"`
	// French and Dutch are of the PDF files.
	French ledger.Hash `json:"french"`
	Dutch  ledger.Hash `json:"dutch"`
}

// Evening is how far the papers of a bureau's evening are.
type Evening struct {
	// CheckedIn is how many check-ins stand, Last the newest count of ballots, nil without one.
	CheckedIn int
	Last      *Tally
	// Own is this bureau's minutes as recorded since it last opened, nil before.
	Own *Stated
	// Commune and Others are known at the principal bureau and its deputy alone. Commune is the commune's minutes as recorded last, nil
	// before.
	Commune *Stated
	Others  []Paper
}

// Paper is how far another bureau's evening is.
type Paper struct {
	Bureau ledger.BureauNumber
	Place  string
	// Closed: it said so last. Recorded: its minutes were, since it last opened.
	Closed, Recorded bool
}

// Counted says that the newest count of ballots was made with the check-ins that stand now.
func (e *Evening) Counted() bool { return e.Last != nil && int(e.Last.CheckedIn) == e.CheckedIn }

// Recorded is the newest minutes of a bureau, 0 for the commune, false where none were recorded. Those of a bureau count
// until it opens again.
func (b *Book) Recorded(of ledger.BureauNumber) (Stated, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.recorded[of]
	return r, ok
}

// record takes minutes that a bureau stated.
func (b *Book) record(by ledger.BureauNumber, at ledger.Instant, m *ledger.Minutes) {
	b.recorded[m.Bureau] = Stated{By: by, Time: at, Times: b.recorded[m.Bureau].Times + 1, French: m.French, Dutch: m.Dutch}
}
