package pollbook

import (
	"context"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

func TestSecondCheckInIsRefusedAtHomeAndAway(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	first := one.checkIn(home(1, 0))
	wantAdmitted(t, first, true)
	again := one.checkIn(home(1, 0))
	wantRefusal(t, again, ledger.AlreadyAdmitted, 1)
	if again.Record != first.Record {
		t.Fatalf("the refusal names %v, the admission is %v", again.Record, first.Record)
	}
	wantRefusal(t, two.checkIn(home(1, 0)), ledger.AlreadyAdmitted, 1)
	if n := len(c.messages(2, 1, rights.RequestMessage)); n != 0 {
		t.Errorf("%d rights were asked for although the ledger knew", n)
	}
	eventually(t, "both attempts are recorded", func() bool {
		return stated[*ledger.AttemptRefused](one) == 1 && stated[*ledger.AttemptRefused](two) == 1
	})
	if s := one.book.Status().Tally; s.Admitted != 1 || s.Refused != 1 || s.Away != 0 {
		t.Errorf("tally %+v", s)
	}
}

func TestSecondCheckInAwayIsRefusedByHomesOwnProof(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	two.isolated.Store(true) // no ledger, but a cable
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
	wantRefusal(t, two.checkIn(home(1, 0)), ledger.AlreadyAdmitted, 1)
	eventually(t, "the attempt stands there with the denial", func() bool {
		for _, body := range two.chain() {
			if a, ok := body.(*ledger.AttemptRefused); ok && len(a.Denial) > 0 {
				return true
			}
		}
		return false
	})
}

func TestSecondTapGetsTheSameRecord(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.shut.Store(true)
	var taps []chan answered
	for range 4 {
		taps = append(taps, one.begin(t.Context(), home(1, 0)))
	}
	eventually(t, "the four desks wait for the group", func() bool {
		one.book.mu.Lock()
		defer one.book.mu.Unlock()
		r := one.book.rows[right(home(1, 0))]
		return r != nil && r.state.Desk == rights.Awaiting && len(r.waiters) == 4
	})
	one.shut.Store(false)
	first := c.wait(taps[0])
	for _, tap := range taps[1:] {
		if a := c.wait(tap); a != first {
			t.Fatalf("one tap was told %+v, another %+v", first, a)
		}
	}
	wantAdmitted(t, first.receipt, true)
	if n := stated[*ledger.Admission](one); n != 1 {
		t.Fatalf("%d admissions in the chain", n)
	}
}

func TestElectorIsAdmittedAwayByHisHomesRelease(t *testing.T) {
	c := newCommune(t, nil)
	one, two, three := c.opened(1), c.opened(2), c.opened(3)
	e := home(1, 0)
	wantAdmitted(t, two.checkIn(e), true)
	if s := two.book.Status().Tally; s.Admitted != 1 || s.Away != 1 {
		t.Errorf("tally %+v", s)
	}
	for n, b := range map[string]*bureau{"at home": one, "at a third bureau": three} {
		eventually(t, "the ledger has it "+n, func() bool { return len(b.store.Admissions(right(e))) == 1 })
		wantRefusal(t, b.checkIn(e), ledger.AlreadyAdmitted, 2)
	}
	wantRefusal(t, two.checkIn(e), ledger.AlreadyAdmitted, 2)
}

func TestHomeHonoursItsReleaseWithoutTheLedger(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	one.isolated.Store(true)
	wantAdmitted(t, two.checkIn(home(1, 0)), true)
	one.isolate()
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.ReleasedElsewhere, 2)
}

func TestElectorIsAskedForAtTwoBureauxAtOnceAndAdmittedOnce(t *testing.T) {
	c := newCommune(t, nil)
	bureaux := []*bureau{c.opened(1), c.opened(2), c.opened(3)}
	for i := range 12 {
		var at []chan answered
		for _, b := range bureaux {
			at = append(at, b.begin(t.Context(), home(1, i)))
		}
		lights := 0
		for _, ch := range at {
			a := c.wait(ch)
			if a.err != nil {
				t.Fatal(a.err)
			}
			if a.receipt.Refusal == ledger.NotRefused {
				lights++
			}
		}
		if lights > 1 {
			t.Fatalf("elector %d was admitted at %d bureaux", i, lights)
		}
	}
}

func TestPolicyOfTheHomeBureauSendsElectorsHome(t *testing.T) {
	c := newCommune(t, func(c *commune) { c.away = false })
	one, two := c.opened(1), c.opened(2)
	wantRefusal(t, two.checkIn(home(1, 0)), ledger.OtherBureau, 1)
	one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(home(1, 0)), By: 2})
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
}

func TestWhoIsNotOnTheRollIsRefused(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	wantRefusal(t, one.checkIn(ledger.ElectorToken{1}), ledger.NotOnTheRoll, 0)
	if r, err := one.book.Annul(t.Context(), ledger.ElectorToken{1}, rights.Annul{Reason: 1, Attesters: [2]uint16{1, 2}}); err != nil || r.Refusal != ledger.NotOnTheRoll {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestBureauThatIsNotOpenAdmitsNobody(t *testing.T) {
	c := newCommune(t, nil)
	one := c.started(1)
	two := c.opened(2)
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.BureauNotOpen, 0)
	one.open()
	one.linked()
	wantAdmitted(t, two.checkIn(home(2, 0)), true)
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
	if err := one.book.CloseBureau(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, one.checkIn(home(1, 1)), ledger.BureauNotOpen, 0)
	eventually(t, "the other's admission is known here", func() bool { return len(one.store.Admissions(right(home(2, 0)))) == 1 })
	wantRefusal(t, one.checkIn(home(2, 0)), ledger.BureauNotOpen, 0)
	// What is at home at a closed bureau can still be had elsewhere.
	wantAdmitted(t, two.checkIn(home(1, 1)), true)
	chain := one.chain()
	last, ok := chain[len(chain)-2].(*ledger.BureauClosed) // the release came after it
	if !ok || last.CheckedIn != 1 {
		t.Fatalf("the chain ends with %T %+v", chain[len(chain)-2], chain[len(chain)-2])
	}
	one.restart()
	wantRefusal(t, one.checkIn(home(1, 2)), ledger.BureauNotOpen, 0)
}

func TestOpeningTwiceIsStatedOnce(t *testing.T) {
	c := newCommune(t, nil)
	one := c.started(1)
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- one.book.OpenBureau(t.Context()) }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n := stated[*ledger.BureauOpened](one); n != 1 {
		t.Fatalf("opened %d times", n)
	}
}

func TestClosingWaitsForTheDesks(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.shut.Store(true)
	desk := one.begin(t.Context(), home(1, 0))
	eventually(t, "the desk waits for the group", func() bool { return one.row(home(1, 0)).Desk == rights.Awaiting })

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := one.book.CloseBureau(short); err == nil || !one.book.Status().Open {
		t.Fatalf("closed with a desk at work: %v", err)
	}
	closing := make(chan error, 1)
	go func() { closing <- one.book.CloseBureau(t.Context()) }()
	eventually(t, "nobody else begins", func() bool { return !one.book.Status().Open })
	wantRefusal(t, one.checkIn(home(1, 1)), ledger.BureauNotOpen, 0)
	one.shut.Store(false)
	wantAdmitted(t, c.wait(desk).receipt, true)
	if err := <-closing; err != nil {
		t.Fatal(err)
	}
	chain := one.chain()
	if last, ok := chain[len(chain)-1].(*ledger.BureauClosed); !ok || last.CheckedIn != 1 {
		t.Fatalf("the chain ends with %+v", chain[len(chain)-1])
	}
}

func TestJournalThatHasStoppedAdmitsNobody(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	if err := one.journal.Close(); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.BureauNotOpen, 0)
	if s := one.book.Status().Tally; s.Admitted != 0 {
		t.Fatalf("tally %+v", s)
	}
}

func TestTwoMembersOfOneBureauNeverBothGetTheGreenLight(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	for i := range 10 {
		e := home(1, i)
		const members = 4
		got := make(chan Receipt, members)
		for m := range uint16(members) {
			go func() {
				r, err := one.book.CheckIn(t.Context(), e, rights.Ask{Means: ledger.ByCard, Attester: m + 1}, 0)
				if err != nil {
					t.Error(err)
				}
				got <- r
			}()
		}
		green := 0
		for range members {
			switch r := <-got; {
			case r.Refusal == ledger.NotRefused:
				green++
			case r.Refusal != ledger.AlreadyAdmitted || r.At != 1 || r.Record == (ledger.StatementID{}):
				t.Errorf("another member hears %+v", r)
			}
		}
		if green != 1 {
			t.Fatalf("elector %d: %d green lights", i, green)
		}
	}
	eventually(t, "the attempts are recorded", func() bool { return stated[*ledger.AttemptRefused](one) == 30 })
}
