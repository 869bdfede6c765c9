package pollbook

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/ledger/rights"
)

func TestLostReleaseComesBackWhenHomeAsks(t *testing.T) {
	c := newCommune(t, func(c *commune) { c.asking = 50 * time.Millisecond })
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	one.isolated.Store(true) // nothing comes by the ledger
	two.isolated.Store(true)
	c.oneWay(1, 2, true)
	wantRefusal(t, two.checkIn(e), ledger.HomeUnreachable, 0)
	eventually(t, "home has released it", func() bool { return one.row(e).Record.State == ledger.Released })
	wantRefusal(t, one.checkIn(e), ledger.ReleasedElsewhere, 2)
	eventually(t, "the release was lost twice", func() bool { return len(c.messages(1, 2, rights.ReleaseMessage)) == 2 })
	c.oneWay(1, 2, false)
	// The return is lost too, once.
	c.oneWay(2, 1, true)
	wantRefusal(t, one.checkIn(e), ledger.ReleasedElsewhere, 2)
	eventually(t, "two has returned it", func() bool { return len(c.messages(2, 1, rights.ReturnMessage)) > 0 })
	c.oneWay(2, 1, false)
	eventually(t, "home has it again and admits", func() bool {
		r := one.checkIn(e)
		return r.Refusal == ledger.NotRefused
	})
	if n := stated[*ledger.Return](two); n != 1 {
		t.Errorf("%d returns in the chain: the same one is sent again", n)
	}
}

func TestReleaseArrivesByTheLedgerToo(t *testing.T) {
	c := newCommune(t, nil)
	c.opened(1)
	two := c.opened(2)
	c.oneWay(1, 2, true)
	wantAdmitted(t, two.checkIn(home(1, 0)), true)
}

func TestReturnArrivesByTheLedgerToo(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	e := home(1, 0)
	one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(e), By: 2})
	c.oneWay(2, 1, true)
	eventually(t, "the right is at home again", func() bool { return one.row(e).Record == ledger.Record{State: ledger.Own, Nonce: 1} })
	if two.row(e).Record.Nonce != 1 {
		t.Errorf("two has %+v", two.row(e).Record)
	}
}

func TestBureauThatAsksForTheWholeRollGetsNoMoreThanItUses(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	two.stop() // whoever asks in its name keeps all that it gets
	ask := func() {
		for i := range 100 {
			one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(home(1, i)), By: 2})
		}
	}
	out := func() (n int) {
		one.book.mu.Lock()
		defer one.book.mu.Unlock()
		for _, r := range one.book.rows {
			if r.state.Pending != nil {
				return -1
			}
			if r.state.Record.State == ledger.Released {
				n++
			}
		}
		if n != len(one.book.out[2]) {
			return -1
		}
		return n
	}
	for range 3 {
		ask()
	}
	eventually(t, "as many as one bureau may have are out", func() bool { return out() == maxOut })
	one.book.mu.Lock()
	rows := len(one.book.rows)
	one.book.mu.Unlock()
	if rows != maxOut {
		t.Errorf("%d rows for %d rights", rows, maxOut)
	}
	admitted := 0
	for i := range 100 {
		if r := one.checkIn(home(1, i)); r.Refusal == ledger.NotRefused {
			admitted++
		} else {
			wantRefusal(t, r, ledger.ReleasedElsewhere, 2)
		}
	}
	if admitted != 100-maxOut {
		t.Fatalf("%d of 100 were admitted at home", admitted)
	}
	// What comes back or is used makes room, also after a restart.
	two.start()
	eventually(t, "all are at home again", func() bool { return out() == 0 })
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
}

func TestRightsThatAreUsedDoNotCount(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	for i := range maxOut + 2 {
		wantAdmitted(t, two.checkIn(home(1, i)), true)
	}
	one.restart()
	one.linked()
	for i := range 2 {
		wantAdmitted(t, two.checkIn(home(1, maxOut+2+i)), true)
	}
}

// forged is an extract of a bureau's statement with a signature that does not hold.
func forged(c *commune, n ledger.BureauNumber, body ledger.Body) []byte {
	c.t.Helper()
	chain := c.day.Session(n, byte(n))
	chain.Sign(&ledger.SessionOpened{Generation: 1, Media: 3})
	b := chain.Sign(body)
	b.Signature = [ed25519.SignatureSize]byte{}
	enc, err := b.Extract(0).Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	return enc
}

func TestMessageThatLeadsToNothingLeavesNothing(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	mine, theirs := right(home(1, 0)), right(home(2, 0))
	release := forged(c, 2, &ledger.Release{Right: theirs, To: 1})
	for name, m := range map[string]rights.Message{
		"a request by no bureau":        {Kind: rights.RequestMessage, Right: mine, By: 99},
		"a request by itself":           {Kind: rights.RequestMessage, Right: mine, By: 1},
		"a request for another's right": {Kind: rights.RequestMessage, Right: theirs, By: 2},
		"an elector of no roll":         {Kind: rights.RequestMessage, Right: right(ledger.ElectorToken{7}), By: 2},
		"an unknown kind":               {Kind: 9, Right: mine, By: 2},
		"a release that is none":        {Kind: rights.ReleaseMessage, Right: theirs, Extract: []byte{1, 2, 3}},
		"a release nobody signed":       {Kind: rights.ReleaseMessage, Right: theirs, Extract: release},
		"a denial nobody asked for":     {Kind: rights.DenyMessage, Right: theirs, Extract: release},
		"a return that is none":         {Kind: rights.ReturnMessage, Right: mine, Extract: release},
	} {
		one.book.Receive(m)
		one.book.mu.Lock()
		rows, out, deferred := len(one.book.rows), len(one.book.out), 0
		one.book.mu.Unlock()
		if rows+out+deferred > 0 {
			t.Errorf("%s left %d rows, %d out", name, rows, out)
		}
	}
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
}

func TestPlacedReturnThatIsTooLongToPassOnDoesNoHarm(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	machine := c.day.Session(2, 2)
	c.put(machine.Sign(
		&ledger.SessionOpened{Generation: 1, Media: 3},
		&ledger.Return{Right: right(home(1, 0)), Release: make([]byte, ledger.MaxExtract)},
	).Encode())
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
}

func TestMessagesToARightInWorkAreBounded(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, x := one.book, right(home(1, 0))
	p.mu.Lock()
	p.row(x).state.Pending = &ledger.Admission{Elector: home(1, 0)} // on its way into the journal
	p.mu.Unlock()
	for range 10 * maxDeferred {
		p.Receive(rights.Message{Kind: rights.RequestMessage, Right: x, By: 2})
	}
	desk := one.begin(t.Context(), home(1, 0)) // the desk's place is not taken by them
	eventually(t, "the desk waits too", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.rows[x].deferred) == maxDeferred+1
	})
	p.step(x, rights.Lost{})
	a := c.wait(desk)
	if a.err != nil {
		t.Fatal(a.err)
	}
	// The first request that waited was answered before him: the right went to bureau 2.
	wantRefusal(t, a.receipt, ledger.ReleasedElsewhere, 2)
}

// deafPeers never answer one bureau.
type deafPeers struct {
	Peers
	to ledger.BureauNumber
}

func (d deafPeers) Send(ctx context.Context, to ledger.BureauNumber, m rights.Message) error {
	if to == d.to {
		<-ctx.Done()
		return ctx.Err()
	}
	return d.Peers.Send(ctx, to, m)
}

func TestBureauThatDoesNotAnswerLeavesRoomForTheOthers(t *testing.T) {
	c := newCommune(t, nil)
	one, three := c.opened(1), c.opened(3)
	one.book.mu.Lock()
	one.book.cfg.Peers = deafPeers{one.book.cfg.Peers, 2}
	for i := range 2 * maxSending {
		one.book.send(rights.Send{To: 2, Message: rights.Message{Kind: rights.RequestMessage, Right: right(home(2, i%100)), By: 1}})
	}
	waiting := one.book.sending
	one.book.mu.Unlock()
	if waiting != maxSendingTo {
		t.Fatalf("%d messages wait for one bureau", waiting)
	}
	wantAdmitted(t, three.checkIn(home(1, 0)), true)
	wantAdmitted(t, one.checkIn(home(3, 0)), true)
}

func TestRefusedAttemptsThatWaitAreBounded(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p := one.book
	p.mu.Lock()
	for range 2 * maxNoting {
		p.noteLocked(&ledger.AttemptRefused{Elector: ledgertest.Elector(0), Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Attester: 1})
	}
	waiting := p.noting
	p.mu.Unlock()
	if waiting != maxNoting {
		t.Fatalf("%d wait", waiting)
	}
	eventually(t, "they are recorded", func() bool { return stated[*ledger.AttemptRefused](one) == maxNoting })
}
