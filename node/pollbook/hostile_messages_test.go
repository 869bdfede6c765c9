package pollbook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// altered calls f with a message changed in one field, or at one place of what it carries. That a message names its sender
// rightly is for whoever receives it from the network, who knows the sender.
func altered(m rights.Message, f func(what string, m rights.Message)) {
	for k := rights.MessageKind(0); k <= rights.ProxyRequestMessage+1; k++ {
		if k != m.Kind {
			o := m
			o.Kind = k
			f(fmt.Sprintf("kind %d", k), o)
		}
	}
	for i := range m.Right.Elector {
		o := m
		o.Right.Elector[i] ^= 1
		f(fmt.Sprintf("elector, byte %d", i), o)
	}
	o := m
	o.Right.Kind = ledger.Admit + ledger.Carry - m.Right.Kind
	f("kind of right", o)
	for i := range m.Extract {
		for _, bit := range []byte{1, 0x80} {
			o := m
			o.Extract = slices.Clone(m.Extract)
			o.Extract[i] ^= bit
			f(fmt.Sprintf("extract, byte %d", i), o)
		}
	}
	for _, n := range []int{0, 1, len(m.Extract) / 2, len(m.Extract) - 1} {
		if n >= 0 && n < len(m.Extract) {
			o := m
			o.Extract = m.Extract[:n]
			f(fmt.Sprintf("extract cut to %d bytes", n), o)
		}
	}
}

// standing is where every right stands that a bureau knows more of than the roll, and how long its chain is.
type standing struct {
	rights map[ledger.Right]ledger.Record
	next   uint64
}

func (b *bureau) standing() standing {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	s := standing{rights: map[ledger.Right]ledger.Record{}, next: b.journal.Point().Next}
	for x, r := range b.book.rows {
		s.rights[x] = r.state.Record
		if r.state.Pending != nil {
			s.next = 0 // not at rest
		}
	}
	if b.book.noting > 0 {
		s.next = 0
	}
	return s
}

func (s standing) differs(o standing) string {
	if s.next != o.next {
		return fmt.Sprintf("the chain goes on to %d instead of %d", o.next, s.next)
	}
	for _, both := range [][2]map[ledger.Right]ledger.Record{{s.rights, o.rights}, {o.rights, s.rights}} {
		for x, r := range both[0] {
			if q, ok := both[1][x]; !ok || q != r {
				return fmt.Sprintf("a right stands at %+v and at %+v", r, q)
			}
		}
	}
	return ""
}

// unmoved gives a bureau a message changed in every way, sees that each leaves all as it is, and gives it the message.
func unmoved(t *testing.T, b *bureau, m rights.Message) {
	t.Helper()
	before, tried := b.standing(), 0
	altered(m, func(what string, o rights.Message) {
		tried++
		b.book.Receive(o)
		if why := before.differs(b.standing()); why != "" {
			t.Fatalf("a message with another %s: %s", what, why)
		}
	})
	if tried < 2*len(m.Extract) {
		t.Errorf("%d changes of %d bytes", tried, len(m.Extract))
	}
	b.book.Receive(m)
}

func (c *commune) first(from, to ledger.BureauNumber, kind rights.MessageKind) rights.Message {
	c.t.Helper()
	eventually(c.t, "the message is sent", func() bool { return len(c.messages(from, to, kind)) > 0 })
	return c.messages(from, to, kind)[0]
}

// cables are bureaux 1 and 2, at work without the group, so that nothing arrives but by messages.
func cables(t *testing.T) (c *commune, one, two *bureau) {
	c = newCommune(t, nil)
	one, two = c.opened(1), c.opened(2)
	one.isolated.Store(true)
	two.isolated.Store(true)
	return c, one, two
}

func TestChangedReleaseGivesNothing(t *testing.T) {
	c, _, two := cables(t)
	e := home(1, 0)
	c.oneWay(1, 2, true)
	desk := two.begin(t.Context(), e)
	unmoved(t, two, c.first(1, 2, rights.ReleaseMessage))
	wantAdmitted(t, c.told(desk), false)
}

func TestChangedReleaseOfACarryRightGivesNothing(t *testing.T) {
	c, _, two := cables(t)
	c.oneWay(1, 2, true)
	desk := two.beginProxy(t.Context(), home(2, 0), home(1, 1))
	m := c.first(1, 2, rights.ReleaseMessage)
	if m.Right != carry(home(1, 1)) {
		t.Fatalf("the release is of %+v", m.Right)
	}
	unmoved(t, two, m)
	wantAdmitted(t, c.told(desk), false)
}

func TestChangedReturnBringsNothingHome(t *testing.T) {
	c, one, two := cables(t)
	e := home(1, 0)
	c.oneWay(1, 2, true)
	ctx, leave := context.WithCancel(t.Context())
	desk := two.begin(ctx, e)
	release := c.first(1, 2, rights.ReleaseMessage)
	leave()
	c.wait(desk)
	c.oneWay(2, 1, true)
	two.book.Receive(release)
	unmoved(t, one, c.first(2, 1, rights.ReturnMessage))
	eventually(t, "the right is at home again", func() bool { return one.row(e).Record == ledger.Record{State: ledger.Own, Nonce: 1} })
}

func TestChangedDenialEndsNoWait(t *testing.T) {
	c, one, two := cables(t)
	e := home(1, 0)
	wantAdmitted(t, one.checkIn(e), false)
	c.oneWay(1, 2, true)
	desk := two.begin(t.Context(), e)
	unmoved(t, two, c.first(1, 2, rights.DenyMessage))
	wantRefusal(t, c.told(desk), ledger.AlreadyAdmitted, 1)
}

// Requests carry no signature: they are their sender's, or nobody's. Changed, one asks for another right of this home, of this
// elector at most; what nobody waits for comes back.
func TestChangedRequestTakesNoRightAway(t *testing.T) {
	for _, kind := range []rights.MessageKind{rights.RequestMessage, rights.ProxyRequestMessage} {
		c, one, _ := cables(t)
		e := home(1, 0)
		m := rights.Message{Kind: kind, Right: right(e), By: 2}
		altered(m, func(_ string, o rights.Message) { one.book.Receive(o) })
		for _, by := range []ledger.BureauNumber{0, 1, 4, 99, 1 << 15} {
			o := m
			o.By = by
			one.book.Receive(o)
		}
		for _, x := range []ledger.Right{right(e), carry(e)} {
			eventually(t, "the right is at home and free", func() bool {
				s := one.state(x)
				return (s.Record.State == ledger.Own || s.Record.State == ledger.None) && s.Pending == nil
			})
		}
		one.book.mu.Lock()
		for x := range one.book.rows {
			if x.Elector != e {
				t.Errorf("a row of %+v", x)
			}
		}
		one.book.mu.Unlock()
		wantAdmitted(t, one.checkIn(e), false)
		if n := len(c.messages(1, 3, rights.ReleaseMessage)) + len(c.messages(1, 0, rights.ReleaseMessage)); n > 0 {
			t.Errorf("%d releases to others", n)
		}
	}
}

// busyDay plays a day with every kind of message: away admissions, a denial, a right that comes back, a proxy.
func busyDay(t *testing.T) (*commune, []*bureau) {
	c := newCommune(t, nil)
	all := []*bureau{c.opened(1), c.opened(2), c.opened(3)}
	one, two, three := all[0], all[1], all[2]
	for i := range 4 {
		wantAdmitted(t, one.checkIn(home(2, i)), true)
		wantAdmitted(t, two.checkIn(home(3, i)), true)
		wantAdmitted(t, three.checkIn(home(1, i)), true)
		wantAdmitted(t, one.checkIn(home(1, 4+i)), true)
	}
	wantAdmitted(t, two.byProxy(home(1, 20), home(3, 20)), true)
	// A right that comes back unused, and one that comes back after an annulment.
	one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(home(1, 10)), By: 2})
	eventually(t, "it is back", func() bool { return one.row(home(1, 10)).Record == ledger.Record{State: ledger.Own, Nonce: 1} })
	wantAdmitted(t, two.checkIn(home(1, 10)), true) // and given again: the first release and return are of another time
	wantAdmitted(t, two.checkIn(home(1, 11)), true)
	if r := two.annul(home(1, 11), 3, 4); r.Refusal != ledger.NotRefused {
		t.Fatalf("told %+v", r)
	}
	eventually(t, "it is back", func() bool { return one.row(home(1, 11)).Record == ledger.Record{State: ledger.Own, Nonce: 1} })
	// Denied by home itself, whose ledger is behind for the bureau that asks.
	three.isolated.Store(true)
	wantAdmitted(t, one.checkIn(home(1, 12)), true)
	wantRefusal(t, three.checkIn(home(1, 12)), ledger.AlreadyAdmitted, 1)
	three.isolated.Store(false)
	for _, b := range all {
		b.linked()
	}
	return c, all
}

// signedKinds are what a message is when it proves itself.
var signedKinds = []rights.MessageKind{rights.ReleaseMessage, rights.DenyMessage, rights.ReturnMessage}

// carried lists all messages so far.
func (c *commune) carried() (out []rights.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sent {
		out = append(out, s.message)
	}
	return out
}

func TestADaysMessagesAgainInAnyOrderMoveNoRight(t *testing.T) {
	c, all := busyDay(t)
	day := c.carried()
	for _, kind := range append([]rights.MessageKind{rights.RequestMessage, rights.ProxyRequestMessage}, signedKinds...) {
		if !slices.ContainsFunc(day, func(m rights.Message) bool { return m.Kind == kind }) {
			t.Fatalf("the day has no message of kind %d", kind)
		}
	}
	day = slices.DeleteFunc(day, func(m rights.Message) bool { return !slices.Contains(signedKinds, m.Kind) })
	rnd := rand.New(rand.NewPCG(3, 3))
	before := map[*bureau]standing{}
	for _, b := range all {
		eventually(t, "the bureau is at rest", func() bool { before[b] = b.standing(); return before[b].next > 0 })
	}
	for range 20 {
		rnd.Shuffle(len(day), func(i, j int) { day[i], day[j] = day[j], day[i] })
		for _, m := range day {
			for _, b := range all {
				b.book.Receive(m)
				if why := before[b].differs(b.standing()); why != "" {
					t.Fatalf("a message of kind %d again at bureau %d: %s", m.Kind, b.number, why)
				}
			}
		}
	}
	for _, b := range all {
		b.linked()
		if why := before[b].differs(b.standing()); why != "" {
			t.Errorf("bureau %d in the end: %s", b.number, why)
		}
	}
}

// What a bureau gave back it can't be given again by the same release (R3), though its desk waits for that very right.
func TestAnOldReleaseGivesAWaitingDeskNothing(t *testing.T) {
	c, one, two := cables(t)
	e := home(1, 0)
	one.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(e), By: 2})
	old := c.first(1, 2, rights.ReleaseMessage)
	eventually(t, "it is back", func() bool { return one.row(e).Record == ledger.Record{State: ledger.Own, Nonce: 1} })
	c.oneWay(2, 1, true)
	c.oneWay(1, 2, true)
	desk := two.begin(t.Context(), e)
	eventually(t, "the desk waits", func() bool { return two.row(e).Desk == rights.Asking })
	before := two.standing()
	for range 10 {
		two.book.Receive(old)
		if why := before.differs(two.standing()); why != "" || two.row(e).Desk != rights.Asking {
			t.Fatalf("the old release: %s", why)
		}
	}
	wantAdmitted(t, one.checkIn(e), false) // home has it, and uses it
	c.oneWay(2, 1, false)
	c.oneWay(1, 2, false)
	wantRefusal(t, c.told(desk), ledger.AlreadyAdmitted, 1)
}

// Bureaux that know nothing yet take nothing from the messages of another time: releases nobody waits for go back, returns of
// what was never released bring nothing, and every elector is admitted at home, once.
func TestADaysMessagesToFreshBureauxGiveNothing(t *testing.T) {
	old, _ := busyDay(t)
	day := old.carried()
	c := newCommune(t, nil)
	all := []*bureau{c.opened(1), c.opened(2), c.opened(3)}
	rnd := rand.New(rand.NewPCG(4, 4))
	for range 5 {
		rnd.Shuffle(len(day), func(i, j int) { day[i], day[j] = day[j], day[i] })
		for _, m := range day {
			for _, b := range all {
				b.book.Receive(m)
			}
		}
	}
	rest := func() bool {
		for _, b := range all {
			if b.standing().next == 0 {
				return false
			}
			for x, r := range b.standing().rights {
				if at, _ := c.day.Group.Home(x.Elector); at == b.number && r.State != ledger.Own || r.State == ledger.Held {
					return false
				}
			}
		}
		return true
	}
	eventually(t, "every right is at home", rest)
	for _, b := range all {
		if n := stated[*ledger.Admission](b) + stated[*ledger.ProxyAdmission](b); n > 0 {
			t.Errorf("bureau %d has %d admissions", b.number, n)
		}
		for i := range 5 {
			r := b.checkIn(home(b.number, i))
			wantAdmitted(t, r, true)
		}
	}
	if r := c.evening(all[0]); len(r.Double)+len(r.Misconduct)+len(r.Forks) > 0 {
		t.Errorf("the report: double %v, misconduct %v, %d forks", r.Double, r.Misconduct, len(r.Forks))
	}
}
