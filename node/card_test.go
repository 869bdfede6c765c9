package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/eid"
	"pointage/node/register"
	"pointage/node/web"
)

// played is a card program that says these lines and ends when it is asked to.
func played(t *testing.T, lines ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	said, program := filepath.Join(dir, "said"), filepath.Join(dir, "card-program")
	script := fmt.Sprintf("#!/bin/sh\ncat %s\nwhile read line; do :; done\n", said)
	if err := os.WriteFile(said, slices.Concat(lines...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

func cardFor(e register.Elector) eid.Identity {
	return eid.Identity{
		Number: e.NationalNumber, Surname: e.Surname, FirstNames: e.FirstNames, Signature: eid.ECDSAP384, Chip: eid.ChipProven,
		ValidFrom: eid.Date{Year: 2022, Month: 2, Day: 1}, ValidUntil: eid.Date{Year: 2032, Month: 2, Day: 1},
	}
}

func TestACardReadAtTheTableIsAnAdmissionByCard(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	c.opened(1, 2, 3)
	b, e := c.bureaux[1], c.home(1, 5)
	reader := "a reader"
	b.node.cfg.CardProgram = played(
		t, eid.Hello(), eid.Event{Kind: eid.ReaderPresent, Reader: reader}.Encode(), eid.Event{Kind: eid.CardInserted, Reader: reader}.Encode(),
		eid.Event{Kind: eid.CardRead, Reader: reader, Identity: cardFor(e)}.Encode(),
	)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var read eid.Identity
	for event := range b.node.Cards(ctx) {
		if event.Kind == eid.CardRead {
			read = event.Identity
			stop()
		}
	}
	if read != cardFor(e) {
		t.Fatal("the card was not read")
	}
	if id := ByCard(read, 3); id.ChipNotProven {
		t.Error("a proven chip is told as one that is not")
	}
	old := cardFor(c.home(1, 6))
	old.Chip = eid.ChipNotProven
	if a, err := b.node.CheckIn(t.Context(), ByCard(old, 3)); err != nil || !a.Admitted {
		t.Fatalf("%+v, %v", a, err)
	}
	d, err := b.node.Minutes(t.Context(), 1, minutes.Dutch)
	if err != nil || !strings.Contains(d.Plain(), "Identiteitskaart, chip niet bewezen: 1") {
		t.Errorf("a chip that proved nothing is not in the minutes: %v", err)
	}
	wrong := ByCard(old, 3)
	wrong.By = "national"
	if _, err := b.node.CheckIn(t.Context(), wrong); err == nil {
		t.Error("a chip is not proven though no card was read, and that is taken")
	}
	a, err := b.node.CheckIn(t.Context(), ByCard(read, 3))
	if err != nil || !a.Admitted {
		t.Fatalf("%+v, %v", a, err)
	}
	b.replicates(e)
	i, _ := b.node.register.FindNationalNumber(e.NationalNumber)
	all := b.node.store.Admissions(ledger.Right{Elector: b.node.register.Token(i), Kind: ledger.Admit})
	if len(all) != 1 {
		t.Fatalf("%d admissions", len(all))
	}
	s, err := b.node.statement(all[0])
	if err != nil {
		t.Fatal(err)
	}
	if x, ok := s.Body.(*ledger.Admission); !ok || x.Means != ledger.ByCard || x.Attester != 3 {
		t.Errorf("recorded as %v", s.Body.Kind())
	}
}

func TestTheScreensShowTheNewestCardOrTroubleUntilItIsOver(t *testing.T) {
	t.Parallel()
	number, err := ledger.ParseNationalNumber("80010100008")
	if err != nil {
		t.Fatal(err)
	}
	id := cardFor(register.Elector{NationalNumber: number, Surname: "Essai", FirstNames: "Zoë"})
	id.ValidUntil, id.Chip = eid.Date{Year: 2025, Month: 2, Day: 1}, eid.ChipNotProven
	at := func(k eid.Kind) []byte { return eid.Event{Kind: k, Reader: "r"}.Encode() }
	n := &Node{log: slog.New(slog.DiscardHandler), cfg: Config{CardProgram: played(
		t, eid.Hello(), eid.Event{Kind: eid.Troubled, Trouble: eid.NoReader}.Encode(), at(eid.ReaderPresent), at(eid.CardInserted),
		eid.Event{Kind: eid.Troubled, Reader: "r", Trouble: eid.PulledOut}.Encode(), at(eid.CardRemoved), at(eid.CardInserted),
		eid.Event{Kind: eid.CardRead, Reader: "r", Identity: id}.Encode(), at(eid.CardRemoved),
	)}}
	cards, stop := n.screenCards()
	defer stop()
	for i, want := range []web.Card{
		{Trouble: uint8(eid.NoReader)},
		{Gone: true},
		{Trouble: uint8(eid.PulledOut)}, // and it stays when the reader is empty
		{Gone: true},
		{Number: number, Surname: "Essai", FirstNames: "Zoë", Expired: true},
		{Gone: true},
	} {
		select {
		case got := <-cards:
			if got != want {
				t.Fatalf("card %d: trouble %d, gone %t; want trouble %d, gone %t", i, got.Trouble, got.Gone, want.Trouble, want.Gone)
			}
		case <-time.After(patience):
			t.Fatalf("card %d: not shown", i)
		}
	}
	stop()
	if _, open := <-cards; open {
		t.Error("something is shown after the end")
	}
}

func TestTheCardProgramIsTheConfiguredOneTheOneBesideOrNone(t *testing.T) {
	t.Parallel()
	beside, err := eid.Beside()
	if err != nil {
		t.Fatal(err)
	}
	c := newCommune(t, nil)
	dir := c.bureaux[1].dir
	for said, want := range map[string]string{"": beside, noCards: "", "cards/reader": filepath.Join(dir, "cards/reader"), "/opt/reader": "/opt/reader"} {
		cfg := c.bureaux[1].config()
		cfg.CardProgram = said
		if err := cfg.complete(dir); err != nil {
			t.Fatal(err)
		}
		if got := cfg.cardProgram(); got != want {
			t.Errorf("card_program %q is %q, want %q", said, got, want)
		}
	}
}

func TestDoctorTellsWhatReadsCards(t *testing.T) {
	t.Parallel()
	for _, w := range []struct{ program, says string }{
		{noCards, "no card program"},
		{filepath.Join(t.TempDir(), "absent"), "no card program"},
		{"/bin/false", "failed"},
		{played(t, eid.Hello(), eid.Event{Kind: eid.Troubled, Trouble: eid.NoService}.Encode()), "PC/SC"},
		{played(t, eid.Hello(), eid.Event{Kind: eid.ReaderPresent, Reader: "The Reader"}.Encode()), `"The Reader" is there`},
	} {
		f := cardReaders(t.Context(), Config{CardProgram: w.program})
		if !f.OK || !strings.HasPrefix(f.What, "card: ") || !strings.Contains(f.What, w.says) {
			t.Errorf("%s: %+v, want %q", w.program, f, w.says)
		}
	}
}
