package reconciliation

import "pointage/ledger"

// GapAlert is the gap between two counts of ballots from which people are told, and which stands in the minutes:
// at the communal elections of 2024 check-ins and votes disagreed in eight bureaux of the Region, once by 140, found weeks later.
const GapAlert = 10

// Tally is a bureau's count of ballots at one moment (ledger.Count).
type Tally struct {
	Time ledger.Instant
	// CheckedIn counts electors with a check-in that stands, proxies' principals among them; each has been
	// given one ballot.
	CheckedIn uint32
	// Issued are the ballots that were handed out, Scanned those that the box has taken.
	Issued, Scanned uint32
}

// TallyOf reads a count.
func TallyOf(at ledger.Instant, c *ledger.Count) Tally {
	return Tally{at, c.CheckedIn, c.Issued, c.Scanned}
}

// Gaps are how far counts of one moment disagree.
type Gaps struct {
	// Issued is ballots issued less electors checked in, Scanned ballots scanned less ballots issued. During
	// the day the second is below 0 by as many as stand in the booths.
	Issued, Scanned int
}

// Gaps compares the three counts.
func (t Tally) Gaps() Gaps {
	return Gaps{int(t.Issued) - int(t.CheckedIn), int(t.Scanned) - int(t.Issued)}
}

// Alert says that a gap is to be looked into.
func (g Gaps) Alert() bool { return g.size() >= GapAlert }

// size is the larger of the two.
func (g Gaps) size() int { return max(g.Issued, -g.Issued, g.Scanned, -g.Scanned) }

// Widened finds between which two of the tallies, in their order of time, the last one's gap arose: over which
// the larger gap grew most. from is -1 for the time before the first tally. It is for a last tally with an alert.
func Widened(all []Tally) (from, to int) {
	before, most := 0, 0
	from, to = -1, 0
	for i, t := range all {
		if grew := t.Gaps().size() - before; grew > most {
			from, to, most = i-1, i, grew
		}
		before = t.Gaps().size()
	}
	return from, to
}
