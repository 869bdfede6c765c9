package pollbook

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

func carry(e ledger.ElectorToken) ledger.Right {
	return ledger.Right{Elector: e, Kind: ledger.Carry}
}

// formOf is the form that a holder brings for a principal.
func formOf(principal, holder ledger.ElectorToken) *ledger.ProxyAdmission {
	return &ledger.ProxyAdmission{Principal: principal, Holder: holder, Form: []byte("P-17"), Reason: 1, Evidence: 2, Means: ledger.ByCard, Attester: 7}
}

// byProxy asks at a bureau's desk and wants an answer.
func (b *bureau) byProxy(principal, holder ledger.ElectorToken) Receipt {
	b.c.t.Helper()
	return b.c.told(b.beginProxy(b.c.t.Context(), principal, holder))
}

// beginProxy asks at a bureau's desk and goes on.
func (b *bureau) beginProxy(ctx context.Context, principal, holder ledger.ElectorToken) chan answered {
	out, book := make(chan answered, 1), b.book
	go func() {
		r, err := book.CheckInProxy(ctx, formOf(principal, holder))
		out <- answered{r, err}
	}()
	return out
}

func (c *commune) told(ch chan answered) Receipt {
	c.t.Helper()
	a := c.wait(ch)
	if a.err != nil {
		c.t.Fatal(a.err)
	}
	return a.receipt
}

// state is what a bureau knows of a right.
func (b *bureau) state(x ledger.Right) rights.State {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	if r := b.book.rows[x]; r != nil {
		return r.state
	}
	return rights.State{}
}

// atHomeAgain waits until a home right lies at its home and nobody keeps it.
func (b *bureau) atHomeAgain(x ledger.Right) {
	b.c.t.Helper()
	eventually(b.c.t, "the right is at home and free", func() bool {
		s := b.state(x)
		return (s.Record.State == ledger.Own || s.Record.State == ledger.None) && s.Pair == nil && s.Pending == nil && s.Desk == rights.Idle
	})
}

func wantOf(t *testing.T, r Receipt, want ledger.Refusal, of ledger.RightKind, at ledger.BureauNumber) {
	t.Helper()
	wantRefusal(t, r, want, at)
	if r.Of != of {
		t.Fatalf("%q is of right %d, want %d", r.Refusal, r.Of, of)
	}
}

// inBothOrders runs a test with a principal and a holder of each order: the right of the elector
// whose token comes first is taken first. Homes are the principal's and the holder's.
func inBothOrders(t *testing.T, principals, holders ledger.BureauNumber, test func(t *testing.T, principal, holder ledger.ElectorToken)) {
	t.Helper()
	seen := map[int]bool{}
	for i := range 40 {
		p, h := home(principals, i), home(holders, i+40)
		order := bytes.Compare(p[:], h[:])
		if seen[order] {
			continue
		}
		seen[order] = true
		t.Run(map[int]string{-1: "principal first", 1: "holder first"}[order], func(t *testing.T) { test(t, p, h) })
	}
	if len(seen) != 2 {
		t.Fatalf("%d orders", len(seen))
	}
}

func TestProxyAdmitsThePrincipalAndLeavesTheHoldersOwnVote(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	p, h, other := home(1, 0), home(1, 1), home(1, 2)
	first := one.byProxy(p, h)
	wantAdmitted(t, first, true)
	if s := one.book.Status().Tally; s.Admitted != 1 || s.Proxies != 1 || s.Away != 0 || s.Refused != 0 {
		t.Errorf("tally %+v", s)
	}
	wantAdmitted(t, one.checkIn(h), true)
	for name, r := range map[string]Receipt{"a second tap": one.byProxy(p, h), "another holder": one.byProxy(p, other)} {
		wantOf(t, r, ledger.AlreadyAdmitted, ledger.Admit, 1)
		if r.Record != first.Record {
			t.Errorf("%s is told of %v, the proxy is %v", name, r.Record, first.Record)
		}
	}
	r := one.checkIn(p)
	wantRefusal(t, r, ledger.AlreadyAdmitted, 1)
	if r.Record != first.Record {
		t.Errorf("the principal himself is told of %v", r.Record)
	}
	wantOf(t, one.byProxy(other, h), ledger.ProxyAlreadyHeld, ledger.Carry, 1)
	wantAdmitted(t, one.checkIn(other), true)
	eventually(t, "the other bureau's ledger has it", func() bool { return len(two.store.Admissions(carry(h))) == 1 })
	wantOf(t, two.byProxy(home(2, 0), h), ledger.ProxyAlreadyHeld, ledger.Carry, 1)
	wantOf(t, two.byProxy(p, home(2, 1)), ledger.AlreadyAdmitted, ledger.Admit, 1)
	if n := len(c.messages(2, 1, rights.ProxyRequestMessage)); n != 0 {
		t.Errorf("%d rights were asked for although the ledger knew", n)
	}
	if s := one.book.Status().Tally; s.Admitted != 3 || s.Proxies != 1 || s.Refused != 4 {
		t.Errorf("tally %+v", s)
	}
	if n := stated[*ledger.ProxyAdmission](one); n != 1 {
		t.Errorf("%d proxies in the chain", n)
	}
}

func TestProxyTakesBothRightsFromTwoHomesUnderEveryPolicy(t *testing.T) {
	for name, away := range map[string]bool{"free choice": true, "home bureau": false} {
		t.Run(name, func(t *testing.T) {
			c := newCommune(t, func(c *commune) { c.away = away })
			one, two, three := c.opened(1), c.opened(2), c.opened(3)
			p, h := home(2, 0), home(3, 0)
			wantAdmitted(t, one.byProxy(p, h), true)
			if s := one.book.Status().Tally; s.Admitted != 1 || s.Away != 1 || s.Proxies != 1 {
				t.Errorf("tally %+v", s)
			}
			eventually(t, "both homes know", func() bool {
				return len(two.store.Admissions(right(p))) == 1 && len(three.store.Admissions(carry(h))) == 1
			})
			wantRefusal(t, two.checkIn(p), ledger.AlreadyAdmitted, 1)
			wantAdmitted(t, three.checkIn(h), true)
			wantOf(t, three.byProxy(home(3, 1), h), ledger.ProxyAlreadyHeld, ledger.Carry, 1)
		})
	}
}

func TestRequestThatWasLostIsRepeatedForTheProxy(t *testing.T) {
	c := newCommune(t, func(c *commune) { c.away = false }) // only a proxy moves a right to be admitted
	one := c.opened(1)
	c.opened(2)
	c.oneWay(1, 2, true)
	desk := one.beginProxy(t.Context(), home(2, 0), home(1, 0))
	eventually(t, "the request is lost", func() bool { return len(c.messages(1, 2, rights.ProxyRequestMessage)) > 0 })
	c.oneWay(1, 2, false)
	wantAdmitted(t, c.told(desk), true)
}

func TestHoldersOfOnePrincipalAreToldEachTheirOwn(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	c.opened(2)
	c.opened(3)
	p := home(1, 0)
	before := func(h ledger.ElectorToken) bool { return bytes.Compare(h[:], p[:]) < 0 }
	find := func(n ledger.BureauNumber, want bool) ledger.ElectorToken {
		for i := range 40 {
			if h := home(n, i); before(h) == want {
				return h
			}
		}
		t.Fatalf("no holder whose token comes first is %v", want)
		panic("unreachable")
	}
	c.oneWay(1, 2, true)
	c.oneWay(1, 3, true)
	early, late := find(2, true), find(3, false)
	first := one.beginProxy(t.Context(), p, early) // waits for its holder's right, and takes the principal's then
	eventually(t, "the first waits", func() bool { return one.state(carry(early)).Desk == rights.Asking })
	second := one.beginProxy(t.Context(), p, late) // has the principal's right, and waits for its holder's
	eventually(t, "the second waits", func() bool { return one.state(carry(late)).Desk == rights.Asking })
	c.oneWay(1, 2, false)
	wantOf(t, c.told(first), ledger.InProgress, ledger.Admit, 0)
	c.oneWay(1, 3, false)
	wantAdmitted(t, c.told(second), true)
	c.bureaux[2].atHomeAgain(carry(early))
}

func TestHomesOwnProofRefusesAProxyWithoutTheLedger(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	one.isolated.Store(true) // no ledger, but a cable
	wantAdmitted(t, two.byProxy(home(2, 0), home(2, 1)), true)
	wantAdmitted(t, two.checkIn(home(2, 2)), true)
	wantOf(t, one.byProxy(home(2, 2), home(1, 1)), ledger.AlreadyAdmitted, ledger.Admit, 2)
	wantOf(t, one.byProxy(home(2, 0), home(1, 1)), ledger.AlreadyAdmitted, ledger.Admit, 2)
	wantOf(t, one.byProxy(home(1, 2), home(2, 1)), ledger.ProxyAlreadyHeld, ledger.Carry, 2)
	wantAdmitted(t, one.byProxy(home(1, 2), home(1, 1)), false)
	if n := stated[*ledger.ProxyAdmission](one); n != 1 {
		t.Errorf("%d proxies in the chain", n)
	}
}

func TestBureauxThatCrossBothEnd(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	for i := range 20 {
		a := one.beginProxy(t.Context(), home(1, i), home(2, 50+i))
		b := two.beginProxy(t.Context(), home(2, i), home(1, 50+i))
		wantAdmitted(t, c.told(a), true)
		wantAdmitted(t, c.told(b), true)
	}
	if a, b := one.book.Status().Tally, two.book.Status().Tally; a.Proxies != 20 || b.Proxies != 20 {
		t.Errorf("tallies %+v, %+v", a, b)
	}
}

func TestOneProxyAtThreeBureauxAtOnceIsAdmittedOnce(t *testing.T) {
	c := newCommune(t, func(c *commune) { c.asking = 2 * time.Second })
	bureaux := []*bureau{c.opened(1), c.opened(2), c.opened(3)}
	for i := range 8 {
		p, h := home(1, i), home(2, 50+i)
		var at []chan answered
		for _, b := range bureaux {
			at = append(at, b.beginProxy(t.Context(), p, h))
		}
		lights := 0
		for _, ch := range at {
			if c.told(ch).Refusal == ledger.NotRefused {
				lights++
			}
		}
		if lights > 1 {
			t.Fatalf("proxy %d was admitted at %d bureaux", i, lights)
		}
		// Nothing is stuck: a desk that asks again gets it, or hears that it was used.
		eventually(t, "the proxy is admitted somewhere", func() bool {
			r := bureaux[i%3].byProxy(p, h)
			return r.Refusal == ledger.NotRefused || r.Refusal == ledger.AlreadyAdmitted
		})
		if n := len(bureaux[0].store.Admissions(right(p))); n > 1 {
			t.Fatalf("%d admissions in the ledger", n)
		}
	}
}

func TestOneHolderIsAskedForTwoPrincipalsAtOnceAndCarriesOne(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	c.opened(3)
	for i := range 10 {
		h := home(3, i)
		a, b := one.beginProxy(t.Context(), home(1, i), h), two.beginProxy(t.Context(), home(2, i), h)
		ra, rb := c.told(a), c.told(b)
		if (ra.Refusal == ledger.NotRefused) == (rb.Refusal == ledger.NotRefused) {
			t.Fatalf("told %q and %q", ra.Refusal, rb.Refusal)
		}
		refused, at, p := rb, two, home(2, i)
		if rb.Refusal == ledger.NotRefused {
			refused, at, p = ra, one, home(1, i)
		}
		if refused.Of != ledger.Carry {
			t.Fatalf("told %+v", refused)
		}
		wantAdmitted(t, at.checkIn(p), true) // the principal comes himself
	}
}

func TestWhatCameForAProxyGoesBackWhenTheOtherRightCannotBeHad(t *testing.T) {
	for name, cut := range map[string]ledger.BureauNumber{"the principal's": 2, "the holder's": 3} {
		t.Run(name, func(t *testing.T) {
			inBothOrders(t, 2, 3, func(t *testing.T, p, h ledger.ElectorToken) {
				c := newCommune(t, func(c *commune) { c.asking = 600 * time.Millisecond })
				one, two, three := c.opened(1), c.opened(2), c.opened(3)
				c.bureaux[cut].isolate()
				of := ledger.Admit
				if cut == 3 {
					of = ledger.Carry
				}
				wantOf(t, one.byProxy(p, h), ledger.HomeUnreachable, of, 0)
				c.bureaux[cut].join()
				two.atHomeAgain(right(p))
				three.atHomeAgain(carry(h))
				one.atHomeAgain(right(p))
				one.atHomeAgain(carry(h))
				if n := stated[*ledger.ProxyAdmission](one); n != 0 {
					t.Errorf("%d proxies in the chain", n)
				}
				wantAdmitted(t, two.checkIn(p), true)
				wantAdmitted(t, three.byProxy(home(3, 60), h), true)
			})
		})
	}
}

func TestRightAtHomeIsFreeAgainWhenTheOtherCannotBeHad(t *testing.T) {
	inBothOrders(t, 1, 2, func(t *testing.T, p, h ledger.ElectorToken) {
		c := newCommune(t, func(c *commune) { c.asking = 50 * time.Millisecond })
		one, two := c.opened(1), c.opened(2)
		c.oneWay(1, 2, true)
		wantOf(t, one.byProxy(p, h), ledger.HomeUnreachable, ledger.Carry, 0)
		one.atHomeAgain(right(p))
		wantAdmitted(t, two.checkIn(p), true) // another bureau can have it
		wantAdmitted(t, one.byProxy(home(1, 70), home(1, 71)), true)
	})
}

func TestHolderWhoWalksAwayLeavesNothingBehind(t *testing.T) {
	inBothOrders(t, 1, 2, func(t *testing.T, p, h ledger.ElectorToken) {
		c := newCommune(t, nil)
		one, two := c.opened(1), c.opened(2)
		c.oneWay(1, 2, true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first, second := one.beginProxy(ctx, p, h), one.beginProxy(ctx, p, h)
		eventually(t, "both taps wait for the holder's right", func() bool {
			one.book.mu.Lock()
			defer one.book.mu.Unlock()
			r, x := one.book.rows[right(p)], one.book.rows[carry(h)]
			return r != nil && x != nil && len(r.waiters) == 2 && x.state.Desk == rights.Asking
		})
		cancel()
		for _, ch := range []chan answered{first, second} {
			if a := c.wait(ch); !errors.Is(a.err, context.Canceled) {
				t.Fatalf("told %+v", a)
			}
		}
		one.atHomeAgain(right(p))
		one.atHomeAgain(carry(h))
		c.oneWay(1, 2, false)
		wantAdmitted(t, one.checkIn(p), true)
		wantAdmitted(t, two.byProxy(home(2, 60), h), true)
	})
}

func TestTapsOfOneProxyGetOneReceiptAndOthersAreToldToWait(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, h := home(1, 0), home(1, 1)
	one.shut.Store(true)
	var taps []chan answered
	for range 4 {
		taps = append(taps, one.beginProxy(t.Context(), p, h))
	}
	eventually(t, "the four desks wait for the group", func() bool {
		one.book.mu.Lock()
		defer one.book.mu.Unlock()
		r := one.book.rows[right(p)]
		return r != nil && r.state.Desk == rights.Awaiting && len(r.waiters) == 4
	})
	wantRefusal(t, one.checkIn(p), ledger.InProgress, 0)
	wantOf(t, one.byProxy(p, home(1, 2)), ledger.InProgress, ledger.Admit, 0)
	wantOf(t, one.byProxy(home(1, 3), h), ledger.InProgress, ledger.Carry, 0)
	one.shut.Store(false)
	first := c.told(taps[0])
	wantAdmitted(t, first, true)
	for _, tap := range taps[1:] {
		if r := c.told(tap); r != first {
			t.Fatalf("one tap was told %+v, another %+v", first, r)
		}
	}
	if n := stated[*ledger.ProxyAdmission](one); n != 1 {
		t.Fatalf("%d proxies in the chain", n)
	}
	wantAdmitted(t, one.byProxy(home(1, 3), home(1, 2)), true)
}

func TestCheckInUnderWayKeepsAProxyOfItOut(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	p, h := home(1, 0), home(1, 1)
	desk := one.awaiting(p)
	wantOf(t, one.byProxy(p, h), ledger.InProgress, ledger.Admit, 0)
	one.shut.Store(false)
	wantAdmitted(t, c.told(desk), true)
	wantOf(t, one.byProxy(p, h), ledger.AlreadyAdmitted, ledger.Admit, 1)
	wantAdmitted(t, one.byProxy(home(1, 2), h), true)
}

func TestWrongFormsAndStrangersAreRefused(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	stranger := ledger.ElectorToken{1}
	wantOf(t, one.byProxy(stranger, home(1, 0)), ledger.NotOnTheRoll, ledger.Admit, 0)
	wantOf(t, one.byProxy(home(1, 0), stranger), ledger.NotOnTheRoll, ledger.Carry, 0)
	for name, change := range map[string]func(*ledger.ProxyAdmission){
		"one elector":         func(x *ledger.ProxyAdmission) { x.Holder = x.Principal },
		"no number":           func(x *ledger.ProxyAdmission) { x.Form = nil },
		"a long number":       func(x *ledger.ProxyAdmission) { x.Form = bytes.Repeat([]byte("7"), ledger.MaxFormNumber+1) },
		"an accent":           func(x *ledger.ProxyAdmission) { x.Form = []byte("é") },
		"a new line":          func(x *ledger.ProxyAdmission) { x.Form = []byte("1\n2") },
		"no means":            func(x *ledger.ProxyAdmission) { x.Means = 0 },
		"an unknown means":    func(x *ledger.ProxyAdmission) { x.Means = 9 },
		"nothing but a blank": func(x *ledger.ProxyAdmission) { x.Form = []byte("\x7f") },
	} {
		x := formOf(home(1, 0), home(1, 1))
		change(x)
		if r, err := one.book.CheckInProxy(t.Context(), x); !errors.Is(err, ErrProxyForm) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if n := len(one.chain()); n > 2 {
		t.Errorf("%d statements in the chain", n)
	}
}

func TestBureauThatIsNotOpenTakesNoProxy(t *testing.T) {
	c := newCommune(t, nil)
	one := c.started(1)
	wantOf(t, one.byProxy(home(1, 0), home(1, 1)), ledger.BureauNotOpen, 0, 0)
	one.open()
	one.linked()
	if err := one.journal.Close(); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, one.byProxy(home(1, 0), home(1, 1)), ledger.BureauNotOpen, 0)
	for _, x := range []ledger.Right{right(home(1, 0)), carry(home(1, 1))} {
		if s := one.state(x); s.Pair != nil || s.Desk != rights.Idle || s.Pending != nil {
			t.Errorf("left %+v", s)
		}
	}
}
