package pollbook

import (
	"context"
	"testing"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// carriedBehind gives bureau 3 a proxy in the ledger that it had no right to, and that the other
// bureaux' own chains know nothing of.
func (c *commune) carriedBehind(principal, holder ledger.ElectorToken) {
	c.t.Helper()
	machine := c.day.Session(3, 3)
	c.put(machine.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}, formOf(principal, holder)).Encode())
}

// free waits until both rights of a proxy can be used again at their home, by others too.
func (c *commune) free(principal, holder ledger.ElectorToken, at *bureau, spare ledger.ElectorToken) {
	c.t.Helper()
	at.linked()
	eventually(c.t, "the ledger lists neither right as used", func() bool {
		return len(at.store.Admissions(right(principal))) == 0 && len(at.store.Admissions(carry(holder))) == 0
	})
	wantAdmitted(c.t, at.checkIn(principal), true)
	wantAdmitted(c.t, at.byProxy(spare, holder), true)
}

func TestConflictOfEitherRightVoidsTheProxyAndRestoresBoth(t *testing.T) {
	for name, behind := range map[string]func(c *commune, p, h ledger.ElectorToken){
		"the principal's": func(c *commune, p, _ ledger.ElectorToken) { c.admittedBehind(p) },
		"the holder's":    func(c *commune, _, h ledger.ElectorToken) { c.carriedBehind(home(3, 9), h) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCommune(t, nil)
			one := c.opened(1)
			p, h := home(1, 0), home(1, 1)
			behind(c, p, h)
			r := one.byProxy(p, h)
			wantRefusal(t, r, ledger.ConflictFound, 0)
			if r.Recorded {
				t.Errorf("told %+v", r)
			}
			if s := one.book.Status().Tally; s.Voided != 1 || s.Admitted != 0 || s.Proxies != 0 || s.Alarms != 0 {
				t.Errorf("tally %+v", s)
			}
			if n := stated[*ledger.Void](one); n != 1 {
				t.Errorf("%d voids in the chain", n)
			}
			one.atHomeAgain(right(p))
			one.atHomeAgain(carry(h))
		})
	}
}

func TestConflictAfterTheLightOfAProxyRaisesOneAlarm(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.isolate()
	c.carriedBehind(home(1, 0), home(1, 1))
	wantAdmitted(t, one.byProxy(home(1, 0), home(1, 1)), false)
	one.join()
	one.linked()
	eventually(t, "the alarm", func() bool { return one.book.Status().Tally.Alarms > 0 })
	if s := one.book.Status().Tally; s.Alarms != 1 || s.Admitted != 1 || s.Proxies != 1 || s.Voided != 0 {
		t.Errorf("tally %+v: what was handed over stays", s)
	}
}

func TestProxyIsTakenBackBeforeTheLight(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, h := home(1, 0), home(1, 1)
	one.shut.Store(true)
	desk := one.beginProxy(t.Context(), p, h)
	eventually(t, "the desk waits for the group", func() bool { return one.row(p).Desk == rights.Awaiting })
	if r := one.undo(p); r.Refusal != ledger.Withdrawn {
		t.Fatalf("the correction was told %+v", r)
	}
	if r := c.told(desk); r.Refusal != ledger.Withdrawn || r.Recorded {
		t.Fatalf("the proxy was told %+v", r)
	}
	one.shut.Store(false)
	if s := one.book.Status().Tally; s.Admitted != 0 || s.Proxies != 0 || s.Voided != 1 {
		t.Errorf("tally %+v", s)
	}
	c.free(p, h, one, home(1, 2))
}

func TestAnnulmentOfAProxyRestoresBothRights(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, h := home(1, 0), home(1, 1)
	wantAdmitted(t, one.byProxy(p, h), true)
	wantRefusal(t, one.undo(p), ledger.NothingToCorrect, 0)
	wantRefusal(t, one.annul(p, 3, 3), ledger.SecondPersonNeeded, 0)
	wantRefusal(t, one.annul(h, 3, 4), ledger.NothingToCorrect, 0) // his own vote is no part of it
	if r := one.annul(p, 4, 3); r.Refusal != ledger.NotRefused {
		t.Fatalf("told %+v", r)
	}
	if s := one.book.Status().Tally; s.Admitted != 0 || s.Proxies != 0 || s.Annulled != 1 {
		t.Errorf("tally %+v", s)
	}
	c.free(p, h, one, home(1, 2))
}

func TestAnnulmentAwayBringsBothRightsHome(t *testing.T) {
	c := newCommune(t, nil)
	one, two, three := c.opened(1), c.opened(2), c.opened(3)
	p, h := home(2, 0), home(3, 0)
	wantAdmitted(t, one.byProxy(p, h), true)
	one.restart() // the annulment finds what the chain says
	one.linked()
	if r := one.annul(p, 3, 4); r.Refusal != ledger.NotRefused {
		t.Fatalf("told %+v", r)
	}
	two.atHomeAgain(right(p))
	three.atHomeAgain(carry(h))
	eventually(t, "both ledgers say so", func() bool {
		return len(two.store.Admissions(right(p))) == 0 && len(three.store.Admissions(carry(h))) == 0
	})
	wantAdmitted(t, two.checkIn(p), true)
	wantAdmitted(t, three.byProxy(home(3, 1), h), true)
	if s := one.book.Status().Tally; s.Admitted != 0 || s.Away != 0 || s.Proxies != 0 || s.Annulled != 1 {
		t.Errorf("tally %+v", s)
	}
}

func TestRestartRemembersAProxy(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	c.opened(2)
	p, h := home(1, 0), home(2, 0)
	first := one.byProxy(p, h)
	wantAdmitted(t, first, true)
	one.isolate()
	one.restart()
	if s := one.book.Status().Tally; s.Admitted != 1 || s.Proxies != 1 || s.Away != 0 {
		t.Fatalf("tally %+v", s)
	}
	again := one.byProxy(p, h)
	wantOf(t, again, ledger.AlreadyAdmitted, ledger.Admit, 1)
	if again.Record != first.Record {
		t.Error("the refusal names another record")
	}
	wantOf(t, one.byProxy(home(1, 1), h), ledger.ProxyAlreadyHeld, ledger.Carry, 1)
}

func TestRestartInTheMiddleOfAProxyGivesBackWhatCame(t *testing.T) {
	inBothOrders(t, 2, 3, func(t *testing.T, p, h ledger.ElectorToken) {
		c := newCommune(t, nil)
		one, two, three := c.opened(1), c.opened(2), c.opened(3)
		c.oneWay(1, 2, true)
		if first := one.beginProxy(t.Context(), p, h); first != nil {
			// The right of the order's first is the only one that is asked for until it is here.
			eventually(t, "one of the homes is asked", func() bool {
				return len(c.messages(1, 2, rights.ProxyRequestMessage))+len(c.messages(1, 3, rights.ProxyRequestMessage)) > 0
			})
			eventually(t, "the desk waits for the principal's", func() bool { return one.state(right(p)).Desk == rights.Asking })
			one.stop()
			if a := c.wait(first); a.err == nil {
				t.Fatalf("told %+v", a)
			}
		}
		c.oneWay(1, 2, false)
		one.start()
		one.linked()
		two.atHomeAgain(right(p))
		three.atHomeAgain(carry(h))
		wantAdmitted(t, one.byProxy(p, h), true)
	})
}

func TestProxyThatWasDeferredWaitsAndEnds(t *testing.T) {
	for name, x := range map[string]ledger.Right{"the principal's": right(home(1, 0)), "the holder's": carry(home(1, 1))} {
		t.Run(name, func(t *testing.T) {
			c := newCommune(t, nil)
			one := c.opened(1)
			p := one.book
			p.mu.Lock()
			p.row(x).state.Pending = &ledger.Restored{Right: x} // on its way into the journal
			p.mu.Unlock()
			desk := one.beginProxy(t.Context(), home(1, 0), home(1, 1))
			eventually(t, "the question waits", func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return len(p.rows[x].deferred) == 1 && len(p.rows[right(home(1, 0))].waiters) == 0
			})
			p.step(x, rights.Lost{})
			wantAdmitted(t, c.told(desk), true)
		})
	}
}

func TestDeferredProxyWhoseHolderWalksAwayIsForgotten(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, x := one.book, carry(home(1, 1))
	p.mu.Lock()
	p.row(x).state.Pending = &ledger.Restored{Right: x}
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	desk := one.beginProxy(ctx, home(1, 0), home(1, 1))
	eventually(t, "the question waits", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.rows[x].deferred) == 1
	})
	cancel()
	if a := c.wait(desk); a.err == nil {
		t.Fatalf("told %+v", a)
	}
	p.step(x, rights.Lost{})
	if n := stated[*ledger.ProxyAdmission](one); n != 0 {
		t.Fatalf("%d proxies in the chain", n)
	}
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
}

func TestAnswerThatOvertakesTheWriterOfAProxyIsHeard(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, form := one.book, formOf(home(1, 0), home(1, 1))
	both := ledger.Touches(form)
	p.mu.Lock()
	a, b := p.row(both[0]), p.row(both[1])
	w := &waiter{acts: rights.ByProxy, answer: make(chan Receipt, 1), at: a, with: b, how: rights.Ask{Means: form.Means, Attester: form.Attester}}
	a.waiters = append(a.waiters, w)
	next, _ := rights.StepPair([2]*rights.Context{a.ctx, b.ctx}, [2]rights.State{a.state, b.state}, 0, rights.AskProxy{Proxy: form})
	a.state, b.state = next[0], next[1]
	body := a.state.Pending
	p.mu.Unlock()
	d, err := one.journal.Append(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	one.linked()
	x := d.Batch.Extract(d.First)
	enc, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p.step(both[0], rights.Written{ID: x.ID(), Extract: enc})
	select {
	case r := <-w.answer:
		wantAdmitted(t, r, true)
	default:
		t.Fatal("the desk waits for an answer that has come")
	}
}

func TestProxyRequestsAreBoundedAsOthersAre(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	two.stop() // whoever asks in its name keeps all that it gets
	for i := range 90 {
		one.book.Receive(rights.Message{Kind: rights.ProxyRequestMessage, Right: carry(home(1, i)), By: 2})
	}
	eventually(t, "as many as one bureau may have are out", func() bool {
		n := 0
		for i := range 90 {
			if one.state(carry(home(1, i))).Record.State == ledger.Released {
				n++
			}
		}
		if n > maxOut {
			t.Fatalf("%d are out", n)
		}
		return n == maxOut
	})
}
