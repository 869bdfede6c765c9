package web

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pointage/ledger"
)

// cardFresh is how long a card that was read may be used.
const cardFresh = 2 * time.Minute

// Card is what a reader of identity cards says.
type Card struct {
	// Trouble is why there is no identity, by node/eid's number, 0 when there is one.
	Trouble uint8
	// Gone: the card was taken out, or the reader is there again.
	Gone bool
	// Number, Surname and FirstNames are the holder's.
	Number              ledger.NationalNumber
	Surname, FirstNames string
	// Expired: the card's last day is over. Proven: the chip proved to be the one that was issued.
	Expired, Proven bool
}

// Format writes "card (withheld)" whatever the verb.
func (Card) Format(f fmt.State, _ rune) { fmt.Fprint(f, "card (withheld)") }

// cardTroubles are node/eid's numbers, each with its words.
var cardTroubles = []uint8{1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24}

// cardTroublesFrom is the first of them that is about a card.
const cardTroublesFrom = 10

func cardKeys() (out []string) {
	for _, t := range cardTroubles {
		out = append(out, cardKey(t))
	}
	return out
}

// AboutReader says that the trouble is the reader's and not a card's: typing works, and once said it makes room for answers.
func (c *cardView) AboutReader() bool { return c.Trouble != 0 && c.Trouble < cardTroublesFrom }

func cardKey(trouble uint8) string { return fmt.Sprintf("card.%d", trouble) }

// desk is the one reader of the machine.
type desk struct {
	now func() time.Time
	mu  sync.Mutex
	// serial counts what was read; a form names it, so that no number stands in a page.
	serial int
	card   *Card
	at     time.Time
}

func newDesk(now func() time.Time) *desk { return &desk{now: now} }

// readCards takes what the reader says until its channel is closed or ctx ends.
func (d *desk) readCards(ctx context.Context, cards <-chan Card) {
	for {
		select {
		case <-ctx.Done():
			return
		case c, ok := <-cards:
			if !ok {
				return
			}
			d.put(c)
		}
	}
}

func (d *desk) put(c Card) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serial++
	d.card, d.at = &c, d.now()
	if c.Gone {
		d.card = nil
	}
}

// read is the card that lies in the reader, or the trouble with it; nil for neither.
func (d *desk) read() (int, *Card) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.card == nil || d.now().Sub(d.at) > cardFresh {
		return d.serial, nil
	}
	return d.serial, d.card
}

// cardLines are what the table is to do about the card that named an elector, before it hands the ballot over.
func (v *visit) cardLines() (out []string) {
	if v.card == nil {
		return nil
	}
	if !v.card.Proven {
		out = append(out, v.lang.say("card.not-proven-answer"))
	}
	if v.card.Expired {
		out = append(out, v.lang.say("card.expired-answer"))
	}
	return out
}

// chipNotProven says that the elector was named by a card whose chip proved nothing: the one just read, or, when the form goes
// on from an answer or an earlier step, the one read then.
func (v *visit) chipNotProven(means ledger.Means) bool {
	if v.card != nil {
		return !v.card.Proven
	}
	return means == ledger.ByCard && v.r.PostForm.Has("chip-not-proven")
}
