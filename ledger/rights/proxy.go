package rights

import (
	"bytes"

	"pointage/ledger"
)

// A proxy uses two rights: the principal's admit right and the holder's carry right, whose
// states StepPair takes and returns in this order.
const (
	Principal = 0
	Holder    = 1
)

// PairEffect is an effect for one right of a proxy: Principal or Holder. What concerns both,
// such as the write of a statement that uses both or the answer to the desk, is the principal's.
type PairEffect struct {
	At     int
	Effect Effect
}

// Other is the other right of the proxy that takes this one or has used it. Every event for
// either goes through StepPair then.
func (s *State) Other(x ledger.Right) (other ledger.Right, ok bool) {
	if s.Pair == nil {
		return other, false
	}
	both := ledger.Touches(s.Pair)
	if x == both[Principal] {
		return both[Holder], true
	}
	return both[Principal], true
}

// StepPair is Step for the two rights of a proxy; e happened to the right at (Principal or
// Holder), AskProxy to both.
//
// The rights are taken one after the other, in an order that is the same at every bureau: so two
// that want the same rights never wait for each other. When one can't be had, the other goes back.
// A bureau that has the first keeps it from others while it waits for the second. When both are
// here one statement uses both; from there on they are one: their states are stepped together
// by the same rules as any right's, the principal's speaking for both.
func StepPair(c [2]*Context, s [2]State, at int, e Event) ([2]State, []PairEffect) {
	p := &pair{c: c, s: s, answers: ByProxy}
	switch e := e.(type) {
	case AskProxy:
		p.ask(e)
	case Leave:
		p.leave()
	case Ask, AskProvisional:
		p.answers = CheckIn
		p.one(at, e)
	case Undo, Annul, Answered, Expired:
		p.together(at, e)
	case Written, Lost:
		if len(ledger.Touches(s[at].Pending)) == 2 {
			p.together(at, e)
		} else {
			p.one(at, e)
		}
	default:
		p.one(at, e)
	}
	return p.s, p.out
}

// pair is one step of two rights.
type pair struct {
	c   [2]*Context
	s   [2]State
	out []PairEffect
	// answers is what a desk that is told CheckIn asked for.
	answers Acts
}

// order is which right is taken first: that of the elector whose token comes first.
func (p *pair) order() (first, second int) {
	a, b := p.c[Principal].Right.Elector, p.c[Holder].Right.Elector
	before := bytes.Compare(a[:], b[:]) < 0
	if !p.c[Principal].holds(proxyOrder) {
		before = p.c[Principal].atHome()
	}
	if before {
		return Principal, Holder
	}
	return Holder, Principal
}

// emit adds effects of one right. The desk's answers are the principal's, and say for which right.
func (p *pair) emit(at int, effects []Effect) {
	for _, f := range effects {
		if t, ok := f.(Tell); ok {
			if t.Refusal != ledger.NotRefused && t.Answers == CheckIn && p.answers == ByProxy {
				t.Of = p.c[at].Right.Kind
			}
			if t.Answers&CheckIn != 0 {
				t.Answers ^= CheckIn ^ p.answers
			}
			p.out = append(p.out, PairEffect{Principal, t})
			continue
		}
		p.out = append(p.out, PairEffect{at, f})
	}
}

// in says whether the right is this proxy's.
func (p *pair) in(i int) bool {
	x := p.s[i].Pair
	return x != nil && x.Principal == p.c[Principal].Right.Elector && x.Holder == p.c[Holder].Right.Elector
}

// ask begins: nothing is moved when it is known already that one of the rights is not to be had.
func (p *pair) ask(e AskProxy) {
	how := Ask{e.Proxy.Means, e.Proxy.Attester}
	for i, c := range p.c {
		if p.s[i].Desk != Idle {
			p.emit(i, []Effect{Tell{Refusal: ledger.InProgress, Answers: CheckIn}})
			return
		}
		if p.s[i].Pending != nil {
			p.emit(i, []Effect{Defer{e}})
			return
		}
		var out []Effect
		why, at := c.gone(p.s[i])
		switch {
		case why != ledger.NotRefused:
			_, out = c.refuseGone(p.s[i], how, why, at)
		case c.Standing.Unfenced:
			_, out = c.refuse(p.s[i], how, ledger.UnfencedOnly, 0, nil)
		default:
			continue
		}
		p.emit(i, out)
		return
	}
	first, _ := p.order()
	p.take(first, e.Proxy)
}

// take makes the right this proxy's, or asks its home bureau for it.
func (p *pair) take(i int, proxy *ledger.ProxyAdmission) {
	s := &p.s[i]
	s.Pair, s.Asked, s.Desk = proxy, Ask{proxy.Means, proxy.Attester}, Joining
	if s.Record.State == ledger.None {
		s.Desk = Asking
		p.emit(i, []Effect{p.c[i].Request(*s)})
		return
	}
	p.goOn()
}

// goOn takes the second right when the first is here, and uses both when both are.
func (p *pair) goOn() {
	first, second := p.order()
	one, two := &p.s[first], &p.s[second]
	if !p.in(first) || one.Desk != Joining {
		return
	}
	if p.in(second) {
		if two.Desk == Joining {
			p.use()
		}
		return
	}
	if p.alone(second) {
		return
	}
	// Something else may have begun with it while the first was on its way.
	why, at := p.c[second].gone(*two)
	if two.Desk != Idle || two.Pending != nil {
		why, at = ledger.InProgress, 0
	}
	if why == ledger.NotRefused {
		p.take(second, one.Pair)
		return
	}
	_, out := p.c[second].refuse(*two, one.Asked, why, at, nil)
	p.emit(second, out)
	p.drop()
}

// use begins the statement that uses both rights.
func (p *pair) use() {
	body := *p.s[Principal].Pair
	body.PrincipalNonce, body.HolderNonce = p.s[Principal].Record.Nonce, p.s[Holder].Record.Nonce
	for i, c := range p.c {
		p.s[i].Desk = Admitting
		var out []Effect
		p.s[i], out = c.write(p.s[i], &body)
		if i == Principal {
			p.emit(i, out)
		}
	}
}

// leave: nobody waits any longer.
func (p *pair) leave() {
	for i := range p.s {
		if p.in(i) && p.s[i].Desk != Asking && p.s[i].Desk != Joining {
			return
		}
	}
	p.drop()
}

// drop frees the rights that this proxy has taken and not used; what was brought here goes back.
func (p *pair) drop() {
	for i, c := range p.c {
		if !p.in(i) {
			continue
		}
		p.s[i].Desk, p.s[i].Pair = Idle, nil
		if p.s[i].Pending == nil && c.holds(proxyBack) {
			var out []Effect
			p.s[i], out = c.giveBack(p.s[i])
			p.emit(i, out)
		}
	}
}

// one steps one of the rights. If its desk has stopped waiting, the other need not either.
func (p *pair) one(at int, e Event) {
	waited := p.in(at) && p.s[at].Desk == Asking
	var out []Effect
	p.s[at], out = p.c[at].step(p.s[at], e)
	p.emit(at, out)
	switch {
	case !waited:
	case p.s[at].Desk == Idle:
		p.drop()
	default:
		p.goOn()
	}
}

// together steps both rights of a proxy that has used them. They do the same; what only one of
// them does is to go home.
func (p *pair) together(at int, e Event) {
	if !p.in(Principal) || !p.in(Holder) {
		p.one(at, e)
		return
	}
	for i, c := range p.c {
		var out []Effect
		p.s[i], out = c.step(p.s[i], e)
		for _, f := range out {
			w, writes := f.(Write)
			if i == Principal || writes && len(ledger.Touches(w.Body)) == 1 {
				p.emit(i, []Effect{f})
			}
		}
	}
	if _, lost := e.(Lost); lost && p.s[Principal].Record.State != ledger.Admitted {
		p.drop()
	}
}
