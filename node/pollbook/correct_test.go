package pollbook

import (
	"context"
	"testing"

	"pointage/ledger"
	"pointage/ledger/rights"
)

func (b *bureau) annul(e ledger.ElectorToken, first, second uint16) Receipt {
	b.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := b.book.Annul(ctx, e, rights.Annul{Reason: 1, Attesters: [2]uint16{first, second}})
	if err != nil {
		b.c.t.Error(err)
	}
	return r
}

func (b *bureau) undo(e ledger.ElectorToken) Receipt {
	b.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := b.book.Undo(ctx, e, 2)
	if err != nil {
		b.c.t.Error(err)
	}
	return r
}

// awaiting begins a check-in and returns when it waits for the group.
func (b *bureau) awaiting(e ledger.ElectorToken) chan answered {
	b.c.t.Helper()
	b.shut.Store(true)
	ch := b.begin(b.c.t.Context(), e)
	eventually(b.c.t, "the desk waits for the group", func() bool { return b.row(e).Desk == rights.Awaiting })
	return ch
}

func TestAdmissionIsTakenBackBeforeTheLight(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	e := home(1, 0)
	desk := one.awaiting(e)
	if r := one.undo(e); r.Refusal != ledger.Withdrawn {
		t.Fatalf("the correction was told %+v", r)
	}
	if a := c.wait(desk); a.err != nil || a.receipt.Refusal != ledger.Withdrawn || a.receipt.Recorded {
		t.Fatalf("the check-in was told %+v", a)
	}
	one.shut.Store(false)
	one.linked()
	again := one.checkIn(e)
	wantAdmitted(t, again, true)
	wantRefusal(t, one.undo(e), ledger.NothingToCorrect, 0)
	if s := one.book.Status().Tally; s.Admitted != 1 || s.Voided != 1 || s.Annulled != 0 || s.Alarms != 0 {
		t.Errorf("tally %+v", s)
	}
	if as := one.store.Admissions(right(e)); len(as) != 1 || as[0].ID != again.Record {
		t.Errorf("the ledger has %+v", as)
	}
}

func TestAfterTheLightOnlyTwoPersonsAnnul(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	first := one.checkIn(e)
	wantRefusal(t, one.undo(e), ledger.NothingToCorrect, 0)
	wantRefusal(t, one.annul(e, 3, 3), ledger.SecondPersonNeeded, 0)
	wantRefusal(t, two.annul(e, 3, 4), ledger.NothingToCorrect, 0)
	wantRefusal(t, one.annul(home(1, 1), 3, 4), ledger.NothingToCorrect, 0)
	if s := one.book.Status().Tally; s.Admitted != 1 || s.Annulled != 0 {
		t.Fatalf("tally %+v", s)
	}
	if r := one.annul(e, 4, 3); r.Refusal != ledger.NotRefused {
		t.Fatalf("told %+v", r)
	}
	if s := one.book.Status().Tally; s.Admitted != 0 || s.Annulled != 1 {
		t.Fatalf("tally %+v", s)
	}
	wantRefusal(t, one.annul(e, 3, 4), ledger.NothingToCorrect, 0)
	again := one.checkIn(e)
	wantAdmitted(t, again, true)
	if again.Record == first.Record {
		t.Error("the new admission has the annulled one's record")
	}
}

func TestAnnulmentAwayBringsTheRightHome(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	wantAdmitted(t, two.checkIn(e), true)
	if r := two.annul(e, 3, 4); r.Refusal != ledger.NotRefused {
		t.Fatalf("told %+v", r)
	}
	eventually(t, "the right is at home again", func() bool { return one.row(e).Record.State == ledger.Own })
	eventually(t, "and the ledger says so", func() bool { return len(one.store.Admissions(right(e))) == 0 })
	wantAdmitted(t, one.checkIn(e), true)
	if s := two.book.Status().Tally; s.Admitted != 0 || s.Away != 0 || s.Annulled != 1 {
		t.Errorf("tally %+v", s)
	}
}

func TestRefusedCorrectionIsToldToItsOwnDeskAlone(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	e := home(1, 0)
	desk := one.awaiting(e)
	wantRefusal(t, one.annul(e, 3, 3), ledger.SecondPersonNeeded, 0)
	wantRefusal(t, one.annul(e, 3, 4), ledger.NothingToCorrect, 0)
	select {
	case a := <-desk:
		t.Fatalf("the check-in was told %+v", a)
	default:
	}
	one.shut.Store(false)
	wantAdmitted(t, c.wait(desk).receipt, true)
}

func TestCorrectionIsNoLightForTheCheckInBesideIt(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	e := home(1, 0)
	first := one.checkIn(e)
	p := one.book
	// While an annulment is on its way into the journal, a check-in and another annulment wait.
	p.mu.Lock()
	r := p.rows[right(e)]
	var effects []rights.Effect
	r.state, effects = rights.Step(r.ctx, r.state, rights.Annul{Reason: 1, Attesters: [2]uint16{3, 4}})
	body := effects[0].(rights.Write).Body
	annul := &waiter{acts: rights.Correction, answer: make(chan Receipt, 1)}
	r.waiters = append(r.waiters, annul)
	p.mu.Unlock()
	desk := one.begin(t.Context(), e)
	second := make(chan Receipt, 1)
	go func() { second <- one.annul(e, 5, 6) }()
	eventually(t, "both wait for their turn", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(r.deferred) == 2
	})
	p.write(right(e), body)
	if a := <-annul.answer; a.Refusal != ledger.NotRefused {
		t.Fatalf("the annulment was told %+v", a)
	}
	a := c.wait(desk)
	if a.err != nil {
		t.Fatal(a.err)
	}
	wantAdmitted(t, a.receipt, true)
	if a.receipt.Record == first.Record {
		t.Fatal("the check-in was given the record that was annulled")
	}
	// The second annulment came before or after the new light: what it was told is true.
	told := <-second
	if n := stated[*ledger.Annulment](one); told.Refusal == ledger.NotRefused && n != 2 || told.Refusal == ledger.NothingToCorrect && n != 1 {
		t.Fatalf("the second annulment was told %q, the chain has %d", told.Refusal, n)
	}
}
