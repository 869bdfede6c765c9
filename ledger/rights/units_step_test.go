package rights

import (
	"fmt"

	"pointage/ledger"
)

// kind is what can happen; the argument is a bureau, a proxy or a statement.
type kind uint8

const (
	doAsk kind = iota
	doProvisional
	doProxy
	doLeave
	doUndo
	doAnnul
	doAnnulAlone
	doWrite
	doAccept
	doConflict
	doExpire
	doUnreach
	doRequest
	doProxyRequest
	doRelease
	doDeny
	doReturn
	// To the unit as a whole.
	doPlace
	doSettle
	doImage
	// To a machine or a bureau.
	doCrash
	doDie
	doRollBack
	doErase
	doClone
	kinds
)

// liar is the code of who says that there was no ballot when there was.
const liar = 7

var kindNames = [kinds]string{
	"asks", "asks provisionally", "asks by proxy", "leaves", "undoes", "annuls", "annuls alone", "writes", "is accepted", "is in conflict", "hears no answer",
	"can't reach home", "is asked by", "is asked for a proxy by", "gets release", "gets denial", "gets return", "is placed by the group", "settles its predecessor",
	"has its media copied", "crashes", "loses machine and key: the next incarnation opens", "is put back to the copy, but for one medium", "is put back to the copy", "is cloned",
}

// happening is an event at a unit: a kind, the index of the part, and the argument.
type happening uint32

func happens(k kind, part int, arg num) happening {
	return happening(uint32(k)<<24 | uint32(part)<<20 | arg)
}

func (h happening) kind() kind { return kind(h >> 24) }
func (h happening) part() int  { return int(h >> 20 & 15) }
func (h happening) arg() num   { return num(h & (1<<20 - 1)) }

// turn is what an event makes of a unit.
type turn struct {
	to       num
	sent     []sending
	deferred bool
}

// sending is a message, for the quiet run that must live with what is really sent.
type sending struct {
	bureau, right int
	kind          kind
	arg           num
}

// stepKey is all that a step of the protocol depends on.
type stepKey struct {
	slot, opened uint8
	is           standing
	event        happening
	now          [2]num
	undone       uint8
}

type stepped struct {
	now      [2]num
	effects  []PairEffect
	deferred bool
	// wrote is the statement that is durable by this step, plus 1.
	wrote num
}

type signKey struct {
	author   ledger.Author
	sequence uint64
	body     string
}

type replayKey struct {
	slot, opened uint8
	is           standing
	part         uint8
	durable      num
	said         num
}

// take is the memoized turn. Whoever has mu passes locked.
func (x *units) take(n num, h happening, locked bool) *turn {
	key := uint64(n+1)<<32 | uint64(h)
	if t, ok := x.turns.get(key); ok {
		return t
	}
	if !locked {
		x.mu.Lock()
		defer x.mu.Unlock()
		if t, ok := x.turns.get(key); ok {
			return t
		}
	}
	return x.turns.put(key, x.turn(x.node(n).unit, h))
}

// turn runs one event of the protocol at a unit.
func (x *units) turn(u unit, h happening) (t turn) {
	i := h.part()
	j := x.other(&u, i, h)
	o := x.step(&u, i, j, h)
	t.deferred = o.deferred
	x.becomes(&u, i, o.now[0])
	if j >= 0 {
		x.becomes(&u, j, o.now[1])
	}
	if o.wrote > 0 {
		x.record(&u, o.wrote-1)
	}
	for _, f := range o.effects {
		at := i
		if j >= 0 {
			at = x.side(&u, i, j, f.At)
		}
		switch f := f.Effect.(type) {
		case Tell:
			if f.Refusal == ledger.NotRefused && f.Answers&(CheckIn|ByProxy) != 0 {
				x.light(&u, at, f.Answers == ByProxy)
			}
		case Send:
			t.sent = append(t.sent, x.sending(&u, at, f))
		}
	}
	t.to = x.internUnit(u)
	return t
}

// becomes gives a part its next state.
func (x *units) becomes(u *unit, i int, n num) {
	if s := &x.states.values[n]; u.is != unfenced && n != u.parts[i].now && s.Record.State == ledger.Held && s.Pending == nil && s.Desk == Idle && s.Beside.Extract == nil {
		u.stray = true
	}
	u.parts[i].now = n
}

// other is the part that steps together with the i-th, -1 for none.
func (x *units) other(u *unit, i int, h happening) int {
	slot := x.slots[u.slot]
	if h.kind() == doProxy {
		return x.index(slot, x.proxies[h.arg()][Holder])
	}
	s := &x.states.values[u.parts[i].now]
	right, ok := s.Other(x.rights[slot.rights[i]])
	if !ok {
		return -1
	}
	for j, k := range slot.rights {
		if x.rights[k] == right {
			return j
		}
	}
	x.tb.Fatalf("bureau %d has a proxy of a right that it has not", number(slot.bureau))
	return -1
}

func (x *units) index(s slot, right int) int {
	for i, k := range s.rights {
		if k == right {
			return i
		}
	}
	return -1
}

// side is the part that is the principal's or the holder's.
func (x *units) side(u *unit, i, j, at int) int {
	if x.rights[x.slots[u.slot].rights[i]].Kind == ledger.Admit == (at == Principal) {
		return i
	}
	return j
}

// step is the production Step or StepPair, remembered.
func (x *units) step(u *unit, i, j int, h happening) *stepped {
	key := stepKey{slot: u.slot, opened: u.opened, is: u.is, event: h, now: [2]num{u.parts[i].now}}
	if j >= 0 {
		key.now[1] = u.parts[j].now + 1
	}
	if h.kind() == doWrite || x.dropped&(r2|r5) != 0 {
		key.undone = u.parts[i].undone
	}
	if o, ok := x.steps[key]; ok {
		return o
	}
	o := x.run(u, i, j, h)
	x.steps[key] = o
	return o
}

func (x *units) run(u *unit, i, j int, h happening) *stepped {
	o := &stepped{}
	e := x.event(u, i, h, o)
	k := x.slots[u.slot].rights[i]
	s := x.states.values[u.parts[i].now]
	if j < 0 {
		next, effects := Step(x.context(u, k), s, e)
		o.now[0] = x.internState(next)
		for _, f := range effects {
			o.effects = append(o.effects, PairEffect{Effect: f})
		}
	} else {
		both, c := [2]State{}, [2]*Context{}
		at := 0
		for side := range both {
			q := x.side(u, i, j, side)
			both[side], c[side] = x.states.values[u.parts[q].now], x.context(u, x.slots[u.slot].rights[q])
			if q == i {
				at = side
			}
		}
		next, effects := StepPair(c, both, at, e)
		o.now, o.effects = [2]num{x.internState(next[at]), x.internState(next[1-at])}, effects
	}
	for _, f := range o.effects {
		if _, ok := f.Effect.(Defer); ok {
			o.deferred = true
		}
	}
	return o
}

func (x *units) event(u *unit, i int, h happening, o *stepped) Event {
	s := &x.states.values[u.parts[i].now]
	how := Ask{Means: ledger.ByCard, Attester: 1}
	switch h.kind() {
	case doAsk:
		return how
	case doProvisional:
		return AskProvisional{Ask: how, Reason: 3}
	case doProxy:
		p := x.proxies[h.arg()]
		return AskProxy{&ledger.ProxyAdmission{
			Principal: x.rights[p[Principal]].Elector, Holder: x.rights[p[Holder]].Elector, Form: []byte("7"), Reason: 1, Evidence: 1, Means: ledger.ByCard, Attester: 1,
		}}
	case doLeave:
		return Leave{}
	case doUndo:
		return Undo{Reason: 2}
	case doAnnul:
		return Annul{Reason: 1, Attesters: [2]uint16{2, 1}}
	case doAnnulAlone:
		return Annul{Reason: 1, Attesters: [2]uint16{liar, liar}}
	case doWrite:
		n := x.sign(u, i)
		o.wrote = n + 1
		return Written{ID: x.said.values[n].id, Extract: x.said.values[n].extract}
	case doAccept:
		return Answered{ID: s.Record.By}
	case doConflict:
		return Answered{ID: s.Record.By, Verdict: ledger.Verdict{Class: ledger.AlreadyAdmittedClass, Against: 1}}
	case doExpire:
		return Expired{}
	case doUnreach:
		return Unreachable{}
	case doRequest, doProxyRequest:
		return Requested{By: ledger.BureauNumber(h.arg()), Proxy: h.kind() == doProxyRequest}
	case doRelease:
		return Arrived{Extract: x.said.values[h.arg()].extract}
	case doDeny:
		return Denied{Extract: x.said.values[h.arg()].extract}
	case doReturn:
		return Returned{Extract: x.said.values[h.arg()].extract}
	}
	panic(fmt.Sprintf("%d is no event of the protocol", h.kind()))
}

// light hands a ballot over.
func (x *units) light(u *unit, i int, byProxy bool) {
	s := &x.states.values[u.parts[i].now]
	u.parts[i].lights++
	u.lawless = u.lawless || x.homeOnly && !byProxy && x.home(x.slots[u.slot].rights[i]) != x.slots[u.slot].bureau
	if _, pending := s.Pending.(*ledger.Provisional); pending || s.Record.State == ledger.Provisioned {
		u.parts[i].provisional++
	}
	if byProxy {
		right, _ := s.Other(x.rights[x.slots[u.slot].rights[i]])
		for j, k := range x.slots[u.slot].rights {
			if x.rights[k] == right {
				u.parts[j].lights++
			}
		}
	}
}

// sending numbers a message. One without an extract is a mutant's, sent before its
// statement was durable: from then on others may have it.
func (x *units) sending(u *unit, i int, f Send) sending {
	out := sending{bureau: int(f.To) - 1, right: x.slots[u.slot].rights[i], arg: num(f.Message.By)}
	switch f.Message.Kind {
	case RequestMessage:
		out.kind = doRequest
		return out
	case ProxyRequestMessage:
		out.kind = doProxyRequest
		return out
	case ReleaseMessage:
		out.kind = doRelease
	case DenyMessage:
		out.kind = doDeny
	case ReturnMessage:
		out.kind = doReturn
	}
	n, ok := x.said.number[string(f.Message.Extract)]
	if f.Message.Extract == nil {
		n, ok = x.sign(u, i), true
		u.parts[i].posted = x.post(u.parts[i].posted, n)
	}
	if !ok {
		x.tb.Fatalf("bureau %d sends what nobody signed", number(x.slots[u.slot].bureau))
	}
	out.arg = n
	return out
}
