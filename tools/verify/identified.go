package main

import (
	"fmt"
	"io"

	"pointage/ledger"
	"pointage/ledger/plaintext"
)

// identified counts how electors were identified, by what the entries' admissions say; those that were taken back later
// are among them, as they are among the statements. One goroutine, the placing one, tells it of entries.
type identified struct {
	means [ledger.ByName + 1]uint64
	// cards are the admissions by card, false until their chip is said not to be proven.
	cards    map[admission]bool
	unproven uint64
}

// admission names an admission as an incident of code 5 does.
type admission struct {
	bureau  ledger.BureauNumber
	id      ledger.StatementID
	elector ledger.ElectorToken
}

// entry has the form of ledger.Options.Entry. Evidence is in no chain, and not counted.
func (x *identified) entry(_ uint64, e *ledger.Entry, b *ledger.Batch) {
	if b == nil || e.Kind != ledger.BatchEntry {
		return
	}
	author := b.Header.Author
	for i, s := range b.Statements {
		at := admission{bureau: author.Bureau, id: ledger.StatementID{Session: author.Session, Sequence: b.Header.First + uint64(i)}}
		switch body := s.Body.(type) {
		case *ledger.Admission:
			at.elector = body.Elector
			x.admitted(at, body.Means)
		case *ledger.ProxyAdmission:
			at.elector = body.Principal
			x.admitted(at, body.Means)
		case *ledger.Provisional:
			at.elector = body.Elector
			x.admitted(at, body.Means)
		case *ledger.Incident:
			if body.Code == plaintext.IncidentChipNotProven {
				x.chip(author.Bureau, s.Time, body.Sealed)
			}
		}
	}
}

func (x *identified) admitted(at admission, by ledger.Means) {
	x.means[by]++
	if by == ledger.ByCard {
		x.cards[at] = false
	}
}

// chip reads what SPEC 2 says of code 5.
func (x *identified) chip(by ledger.BureauNumber, t ledger.Instant, content []byte) {
	c, err := plaintext.DecodeChipNotProven(content)
	if err != nil || c.Bureau != by || t%ledger.TimeGrain != 0 {
		return
	}
	at := admission{c.Bureau, c.Record, c.Elector}
	if said, known := x.cards[at]; known && !said {
		x.cards[at] = true
		x.unproven++
	}
}

// identifications are the counts as JSON.
type identifications struct {
	Card          uint64 `json:"card"`
	ChipNotProven uint64 `json:"card_chip_not_proven"`
	Convocation   uint64 `json:"convocation_number"`
	National      uint64 `json:"national_number"`
	Name          uint64 `json:"name"`
}

func (x *identified) counts() identifications {
	return identifications{
		x.means[ledger.ByCard] - x.unproven, x.unproven, x.means[ledger.ByConvocationNumber], x.means[ledger.ByNationalNumber], x.means[ledger.ByName],
	}
}

func (x *identified) say(out io.Writer) {
	c := x.counts()
	fmt.Fprintf(out, "identified  by card %d, by card whose chip was not proven %d, by convocation number %d, by national number %d, by name %d\n",
		c.Card, c.ChipNotProven, c.Convocation, c.National, c.Name)
}
