package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/eid"
	"pointage/node/pollbook"
	"pointage/node/web"
)

// noCards is what card_program says where no card is to be read, whatever is installed.
const noCards = "none"

// doctorReaders bounds how long Doctor waits for the card program's first word.
const doctorReaders = 5 * time.Second

// cardProgram is the path of the card program, empty for none: the configured one, or the one beside this program.
func (c Config) cardProgram() string {
	switch c.CardProgram {
	case noCards:
		return ""
	case "":
		beside, err := eid.Beside()
		if err != nil {
			return ""
		}
		return beside
	}
	return c.CardProgram
}

// cards are the words for the card program.
func (c Config) cards(log *slog.Logger) eid.Options {
	o := eid.Options{Program: c.cardProgram(), Logger: log}
	if c.CardRoots != "" {
		o.Arguments = []string{"--roots", c.CardRoots}
	}
	return o
}

// Cards says what happens at this machine's card readers until ctx ends; the channel is closed then, and must be read
// until it is. The card program runs as long as somebody listens; the screens are the one listener.
func (n *Node) Cards(ctx context.Context) <-chan eid.Event {
	return eid.Watch(ctx, n.cfg.cards(n.log))
}

// screenCards are what the screens show of the readers; stop ends the card program and waits for it.
func (n *Node) screenCards() (cards <-chan web.Card, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	events, out := n.Cards(ctx), make(chan web.Card)
	var work sync.WaitGroup
	work.Go(func() {
		defer close(out)
		var showing eid.Showing
		for e := range events {
			shown, changed := showing.Next(e)
			if !changed {
				continue
			}
			select {
			case out <- screenCard(shown, time.Now().In(brussels)):
			case <-ctx.Done():
			}
		}
	})
	return out, func() { cancel(); work.Wait() }
}

// screenCard says it in the screens' words.
func screenCard(shown eid.Shown, now time.Time) web.Card {
	if shown == (eid.Shown{}) {
		return web.Card{Gone: true}
	}
	id := shown.Identity
	return web.Card{
		Trouble: uint8(shown.Trouble), Number: id.Number, Surname: id.Surname, FirstNames: id.FirstNames,
		Expired: shown.Trouble == 0 && id.Expired(now), Proven: id.Chip == eid.ChipProven,
	}
}

// ByCard names at the desk the elector whose card was read. Only a card that was read whole has an identity.
func ByCard(id eid.Identity, attester uint16) Identification {
	return Identification{By: "card", Number: id.Number.Digits(), Attester: attester, ChipNotProven: id.Chip != eid.ChipProven}
}

// chipNotProven states of an admission by card that the chip proved nothing. It follows the admission, whose name it has to
// know, and is durable before the desk is told; a crash between the two leaves an admission by card alone. Whoever asked may
// have stopped waiting: the admission stands, and so shall this.
func (n *Node) chipNotProven(ctx context.Context, r pollbook.Receipt, elector ledger.ElectorToken) error {
	if r.Refusal != ledger.NotRefused || r.Record == (ledger.StatementID{}) {
		return nil
	}
	said := plaintext.ChipNotProven{Bureau: n.cfg.Bureau, Record: r.Record, Elector: elector}
	return n.book.Record(context.WithoutCancel(ctx), &ledger.Incident{Code: plaintext.IncidentChipNotProven, Sealed: said.Encode()})
}

// cardReaders tells what reads cards here. A bureau without is fit: numbers are typed.
func cardReaders(ctx context.Context, cfg Config) Finding {
	ctx, stop := context.WithTimeout(ctx, doctorReaders)
	defer stop()
	what := eid.ProgramFails.String()
	for e := range eid.Watch(ctx, cfg.cards(nil)) {
		switch e.Kind {
		case eid.ReaderPresent:
			what = fmt.Sprintf("reader %q is there", e.Reader)
		case eid.Troubled:
			what = e.Trouble.String()
		default:
			continue
		}
		stop()
	}
	return Finding{true, "card: " + what}
}
