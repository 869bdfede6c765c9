package pollbook

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	first := one.checkIn(home(1, 0))
	wantAdmitted(t, two.checkIn(home(1, 1)), true)
	wantAdmitted(t, one.checkIn(home(2, 0)), true)
	one.restart()
	if s := one.book.Status(); !s.Open || s.Tally.Admitted != 2 || s.Tally.Away != 1 {
		t.Fatalf("%+v", s)
	}
	one.linked()
	again := one.checkIn(home(1, 0))
	wantRefusal(t, again, ledger.AlreadyAdmitted, 1)
	if again.Record != first.Record {
		t.Error("the refusal names another record")
	}
	wantRefusal(t, one.checkIn(home(1, 1)), ledger.AlreadyAdmitted, 2)
	wantRefusal(t, one.checkIn(home(2, 0)), ledger.AlreadyAdmitted, 1)
	wantAdmitted(t, one.checkIn(home(1, 2)), true)
	// What was recorded counts as handed over, whatever the screen had shown.
	wantRefusal(t, one.undo(home(1, 0)), ledger.NothingToCorrect, 0)
	if r := one.annul(home(1, 0), 3, 4); r.Refusal != ledger.NotRefused {
		t.Fatalf("told %+v", r)
	}
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
}

func TestReleaseIsRememberedAfterARestartWithoutTheLedger(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	one.isolated.Store(true)
	wantAdmitted(t, two.checkIn(home(1, 0)), true)
	one.isolate()
	one.restart()
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.ReleasedElsewhere, 2)
	wantAdmitted(t, one.checkIn(home(1, 1)), false)
}

func TestBacklogOfAnEarlierRunIsHandedIn(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	one.isolate()
	wantAdmitted(t, one.checkIn(home(1, 0)), false)
	one.restart()
	wantAdmitted(t, one.checkIn(home(1, 1)), false)
	one.join()
	one.linked()
	for i := range 2 {
		wantRefusal(t, two.checkIn(home(1, i)), ledger.AlreadyAdmitted, 1)
	}
}

func TestHeldRightIsReturnedAfterARestart(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	// A power cut after the hold and before the admission.
	two.stop()
	one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(e), By: 2})
	eventually(t, "home has sent its release", func() bool { return len(c.messages(1, 2, rights.ReleaseMessage)) > 0 })
	release := c.messages(1, 2, rights.ReleaseMessage)[0].Extract
	two.isolated.Store(true) // the ledger would bring it too
	two.start()
	if _, err := two.journal.Append(t.Context(), &ledger.Hold{Right: right(e), Release: release}); err != nil {
		t.Fatal(err)
	}
	two.restart()
	eventually(t, "the right is at home again", func() bool { return one.row(e).Record.State == ledger.Own })
	if n := two.row(e).Record; n.State != ledger.None || n.Nonce != 1 {
		t.Errorf("two has %+v", n)
	}
	wantAdmitted(t, one.checkIn(e), true)
}

func TestCloseEndsWhoWaits(t *testing.T) {
	before := pollbookGoroutines()
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	c.oneWay(1, 2, true)
	desk := one.awaiting(home(1, 0))
	tap := one.begin(t.Context(), home(1, 0))
	asking := one.begin(t.Context(), home(2, 0))
	eventually(t, "one asks for a release", func() bool { return one.row(home(2, 0)).Desk == rights.Asking })
	book := one.book
	one.stop()
	for _, ch := range []chan answered{desk, tap, asking} {
		if a := c.wait(ch); !errors.Is(a.err, ErrClosed) {
			t.Errorf("told %+v", a)
		}
	}
	if _, err := book.CheckIn(t.Context(), home(1, 1), asked, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("a check-in after the end: %v", err)
	}
	if err := book.OpenBureau(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("an opening after the end: %v", err)
	}
	book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(home(1, 5)), By: 2})
	if err := book.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	two.stop()
	eventually(t, "nothing of it runs", func() bool { return pollbookGoroutines() == before })
	// What was durable stays so.
	one.shut.Store(false)
	one.start()
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.AlreadyAdmitted, 1)
}

// pollbookGoroutines counts goroutines that run this package's own code.
func pollbookGoroutines() (n int) {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "pollbook.(*Pollbook)") {
			n++
		}
	}
	return n
}

func TestWhoWalksAwayLeavesTheRightAtHome(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	c.oneWay(2, 1, true) // the request is lost
	ctx, cancel := context.WithCancel(t.Context())
	desk := two.begin(ctx, e)
	eventually(t, "two asks", func() bool { return two.row(e).Desk == rights.Asking })
	cancel()
	if a := c.wait(desk); !errors.Is(a.err, context.Canceled) {
		t.Fatalf("%+v", a)
	}
	eventually(t, "nobody is waited for", func() bool {
		two.book.mu.Lock()
		defer two.book.mu.Unlock()
		r := two.book.rows[right(e)]
		return r.state.Desk == rights.Idle && r.asking == nil && len(r.waiters) == 0
	})
	// The request arrives after all: its release is returned.
	c.oneWay(2, 1, false)
	one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(e), By: 2})
	eventually(t, "the right has been away and is back", func() bool { return one.row(e).Record.Nonce == 1 && one.row(e).Record.State == ledger.Own })
	wantAdmitted(t, one.checkIn(e), true)
	if n := stated[*ledger.Admission](two); n != 0 {
		t.Fatalf("%d admissions away", n)
	}
}

func TestOneOfTwoTapsMayWalkAway(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	c.oneWay(1, 2, true)
	two.isolated.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := two.begin(ctx, e), two.begin(t.Context(), e)
	eventually(t, "both wait", func() bool {
		two.book.mu.Lock()
		defer two.book.mu.Unlock()
		r := two.book.rows[right(e)]
		return r != nil && len(r.waiters) == 2
	})
	cancel()
	c.wait(gone)
	eventually(t, "home has released it", func() bool { return one.row(e).Record.State == ledger.Released })
	c.oneWay(1, 2, false)
	a := c.wait(stays)
	if a.err != nil {
		t.Fatal(a.err)
	}
	wantAdmitted(t, a.receipt, false)
}

func TestDeferredQuestionIsRepeatedAndEnds(t *testing.T) {
	c := newCommune(t, func(c *commune) { c.asking = 50 * time.Millisecond })
	two := c.opened(2)
	e := home(1, 0)
	p := two.book
	p.mu.Lock()
	p.row(right(e)).state.Pending = &ledger.Return{Right: right(e)} // on its way into the journal
	p.mu.Unlock()
	desk := two.begin(t.Context(), e)
	eventually(t, "the question waits", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.rows[right(e)].deferred) == 1
	})
	p.step(right(e), rights.Lost{})
	a := c.wait(desk)
	if a.err != nil {
		t.Fatal(a.err)
	}
	wantRefusal(t, a.receipt, ledger.HomeUnreachable, 0)
}

func TestAnAdmissionOfThisBureauThatItsMediaLackIsRefused(t *testing.T) {
	c := newCommune(t, nil)
	lost := c.day.Session(1, 9) // a session that the media no longer have
	c.put(lost.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}, &ledger.Admission{Elector: home(1, 0), Means: ledger.ByCard, Attester: 1}).Encode())
	one := c.opened(1)
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.AlreadyAdmitted, 1)
	if n := stated[*ledger.Admission](one); n != 0 {
		t.Errorf("%d admissions in the chain", n)
	}
}

func TestTheBacklogIsWhatTheGroupHasNotAnswered(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	eventually(t, "all is handed in", func() bool { return one.book.Status().Backlog == 0 })
	one.isolated.Store(true)
	one.checkIn(home(1, 0))
	eventually(t, "the admission waits", func() bool {
		left, err := one.book.Backlog(9)
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 1 && left[0].Statements[0].Body.Kind() == ledger.KindAdmission
	})
	end := one.journal.Point().Next
	if session := one.journal.Author().Session; !one.book.Knows(session, end) || one.book.Knows(session, end+1) || one.book.Knows(ledger.SessionID{}, 1) {
		t.Error("the chain's own end is not known")
	}
	one.isolated.Store(false)
	eventually(t, "all is handed in", func() bool { return one.book.Status().Backlog == 0 })
}
