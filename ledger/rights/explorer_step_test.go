package rights

import (
	"slices"

	"pointage/ledger"
)

// step is Step on numbers, remembered.
func (x *explorer) step(e, b int, opened uint8, c cell, k kind, arg num) *outcome {
	key := memoKey{elector: uint8(e), bureau: uint8(b), opened: opened, state: c.state, kind: k, arg: arg}
	if k == doWrite || x.dropped&(r2|r5) != 0 {
		key.chain = c.chain // its length numbers what is written, and what a mutant sends too early
	}
	if o, ok := x.memo[key]; ok {
		return o
	}
	o := x.run(e, b, opened, c, k, arg)
	x.memo[key] = o
	return o
}

func (x *explorer) run(e, b int, opened uint8, c cell, k kind, arg num) *outcome {
	s := x.states.values[c.state]
	o := &outcome{cell: cell{chain: c.chain}, writes: k == doWrite}
	if k == doWrite {
		now := x.next(e, b, opened, c)
		o.cell.chain = x.append(c.chain, now)
		_, o.void = now.body.(*ledger.Void)
		_, o.annul = now.body.(*ledger.Annulment)
		next, effects := Step(x.context(e, b, opened), s, Written{ID: now.id, Extract: now.extract})
		return x.outcome(e, b, opened, o, next, effects)
	}
	next, effects := Step(x.context(e, b, opened), s, x.event(s, k, arg))
	return x.outcome(e, b, opened, o, next, effects)
}

func (x *explorer) event(s State, k kind, arg num) Event {
	switch k {
	case doAsk:
		return Ask{Means: ledger.ByCard, Attester: 1}
	case doLeave:
		return Leave{}
	case doUndo:
		return Undo{Reason: 2}
	case doAnnul:
		return Annul{Reason: 1, Attesters: [2]uint16{2, 1}}
	case doAccept:
		return Answered{ID: s.Record.By}
	case doConflict:
		return Answered{ID: s.Record.By, Verdict: ledger.Verdict{Class: ledger.AlreadyAdmittedClass, Against: 1}}
	case doExpire:
		return Expired{}
	case doUnreach:
		return Unreachable{}
	case doRequest:
		return Requested{By: ledger.BureauNumber(arg)}
	case doRelease:
		return Arrived{Extract: x.said.values[arg].extract}
	case doDeny:
		return Denied{Extract: x.said.values[arg].extract}
	case doReturn:
		return Returned{Extract: x.said.values[arg].extract}
	}
	panic(k)
}

// outcome takes the effects apart.
func (x *explorer) outcome(e, b int, opened uint8, o *outcome, next State, effects []Effect) *outcome {
	o.cell.state = x.internState(next)
	for _, f := range effects {
		switch f := f.(type) {
		case Tell:
			if f.Answers == CheckIn && f.Refusal == ledger.NotRefused {
				if o.light {
					x.t.Fatal("two lights for one event")
				}
				o.light = true
			}
		case Defer:
			o.deferred = true
		case Send:
			o.sent = append(o.sent, x.sending(e, b, opened, o, f))
		}
	}
	return o
}

// sending numbers a message. One without an extract is a mutant's, sent before its
// statement was durable.
func (x *explorer) sending(e, b int, opened uint8, o *outcome, f Send) sending {
	out := sending{to: int(f.To) - 1, arg: num(f.Message.By)}
	switch f.Message.Kind {
	case RequestMessage:
		out.kind = doRequest
		return out
	case ReleaseMessage:
		out.kind = doRelease
	case DenyMessage:
		out.kind = doDeny
	case ReturnMessage:
		out.kind = doReturn
	}
	raw := f.Message.Extract
	if raw == nil {
		s := x.next(e, b, opened, o.cell)
		out.arg = x.said.intern(string(s.extract), s)
		o.early = append(o.early, out.arg)
		return out
	}
	n, ok := x.said.number[string(raw)]
	if !ok {
		x.t.Fatalf("bureau %d sends what nobody signed", number(b))
	}
	out.arg = n
	return out
}

// take makes the place after an outcome.
func (x *explorer) take(p place, e, b int, o *outcome) place {
	c := &p.cells[e][b]
	c.state = o.cell.state
	if o.writes {
		c.chain = o.cell.chain
	}
	if o.light {
		c.lights++
	}
	if o.void {
		p.voids++
	}
	if o.annul {
		p.annulments++
		// Two persons attest that this elector got no ballot; here they speak the truth.
		if c.lights > 0 {
			c.lights--
		}
	}
	if len(o.early) > 0 {
		now := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(x.earlies.values[p.early]), o.early...))))
		p.early = x.earlies.intern(numbers(now), now)
	}
	return p
}

// messages are all that was ever signed about an elector and could be delivered.
func (x *explorer) messages(p *place, e int, visit func(k kind, n num)) {
	one := func(n num) {
		switch x.said.values[n].body.(type) {
		case *ledger.Release:
			visit(doRelease, n)
			visit(doDeny, n)
		case *ledger.Return:
			visit(doReturn, n)
		case *ledger.Admission:
			visit(doDeny, n)
		}
	}
	for b := range bureaux {
		for _, n := range x.chains.values[p.cells[e][b].chain] {
			one(n)
		}
	}
	for _, n := range x.forged[e] {
		one(n)
	}
	for _, n := range x.earlies.values[p.early] {
		if x.said.values[n].body != nil && ledger.Touches(x.said.values[n].body)[0] == x.rights[e] {
			one(n)
		}
	}
}

// move is a step from one place to the next.
type move struct {
	elector, bureau int
	kind            kind
	arg             num
	// crash: the bureau's machine dies; bit e of arg says that elector e's pending
	// statement is durable.
	crash bool
}

// moves visits every move that can be made.
func (x *explorer) moves(p place, visit func(move, place)) {
	crashes := 0
	for b := range bureaux {
		crashes += int(p.opened[b])
	}
	for b := range bureaux {
		for e := range x.electors {
			x.localMoves(p, e, b, visit)
			x.messages(&p, e, func(k kind, n num) { x.try(p, move{elector: e, bureau: b, kind: k, arg: n}, visit) })
		}
		if crashes < x.crashes {
			x.crash(p, b, visit)
		}
	}
}

func (x *explorer) localMoves(p place, e, b int, visit func(move, place)) {
	s := &x.states.values[p.cells[e][b].state]
	room := int(p.voids) < x.voids
	for k := doAsk; k <= doUnreach; k++ {
		switch k {
		case doUndo, doConflict:
			if !room {
				continue
			}
		case doAnnul:
			if int(p.annulments) >= x.annulments {
				continue
			}
		case doWrite:
			if s.Pending == nil {
				continue
			}
		}
		x.try(p, move{elector: e, bureau: b, kind: k}, visit)
	}
	if number(b) != number(e) || s.Record.State == ledger.Own && int(s.Record.Nonce) >= x.releases {
		return
	}
	for other := range bureaux {
		x.try(p, move{elector: e, bureau: b, kind: doRequest, arg: num(number(other))}, visit)
	}
}

// try makes a move, if anything changes by it.
func (x *explorer) try(p place, m move, visit func(move, place)) {
	o := x.step(m.elector, m.bureau, p.opened[m.bureau], p.cells[m.elector][m.bureau], m.kind, m.arg)
	if q := x.take(p, m.elector, m.bureau, o); q != p {
		visit(m, q)
	}
}

// crash loses what is volatile; each pending statement is lost, or was durable already.
func (x *explorer) crash(p place, b int, visit func(move, place)) {
	for durable := range num(1 << x.electors) {
		q, fits := p, true
		q.opened[b]++
		for e := range x.electors {
			c := &q.cells[e][b]
			if durable>>e&1 == 1 {
				body := x.states.values[c.state].Pending
				if fits = fits && body != nil; !fits {
					break
				}
				o := outcome{writes: true, cell: cell{chain: x.append(c.chain, x.next(e, b, p.opened[b], *c))}}
				_, o.void = body.(*ledger.Void)
				_, o.annul = body.(*ledger.Annulment)
				q = x.take(q, e, b, &o)
				c = &q.cells[e][b]
			}
			c.state = x.recover(e, b, q.opened[b], c.chain)
		}
		if fits {
			visit(move{bureau: b, crash: true, arg: durable}, q)
		}
	}
}
