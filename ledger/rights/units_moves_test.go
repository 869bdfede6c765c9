package rights

import (
	"fmt"

	"pointage/ledger"
)

// next visits every world one step away.
func (x *units) next(p *world, visit func(world, step)) {
	spent := uint32(0)
	for i := range x.slots {
		spent += x.node(p[i]).spent
	}
	for i := range x.slots {
		d := x.node(p[i])
		if d.is == absent {
			x.copied(p, i, spent, visit)
			continue
		}
		for _, e := range x.local(p[i]) {
			if e.cond == always || x.inLedger(p, i, x.slots[i].rights[e.event.part()]) == (e.cond == laterInLedger) {
				x.go1(p, i, e, spent, visit)
			}
		}
		for j := range x.slots {
			if j == i {
				continue
			}
			from := x.node(p[j])
			for a, k := range x.slots[i].rights {
				if b := x.index(x.slots[j], k); b >= 0 {
					for _, e := range x.mail(p[i], a, from.parts[b].posted) {
						x.go1(p, i, e, spent, visit)
					}
				}
			}
		}
	}
	for b := range x.bounds.bureaux {
		x.crash(p, b, spent, visit)
	}
}

// go1 moves one unit, within the bounds.
func (x *units) go1(p *world, i int, e edge, spent uint32, visit func(world, step)) {
	from, to := x.node(p[i]).spent, x.node(e.to).spent
	if from != to && !x.affords(spent-from+to) {
		return
	}
	q := *p
	q[i] = e.to
	visit(q, step{uint8(i), e.event.kind(), uint32(e.event)})
}

// affords says whether the bounds allow what was spent, four bits each.
func (x *units) affords(spent uint32) bool {
	for i, most := range [5]int{x.crashes, x.voids, x.annulments, x.deaths, x.rollbacks} {
		if int(spent>>(4*i)&15) > most {
			return false
		}
	}
	return true
}

func (u *unit) spends(leads bool) uint32 {
	if !leads {
		return uint32(u.voids)<<4 | uint32(u.annulments)<<8
	}
	return uint32(u.crashes) | uint32(u.voids)<<4 | uint32(u.annulments)<<8 | uint32(u.deaths)<<12 | uint32(u.breaches)<<16
}

// inLedger says whether the group holds a live admission of the right by another unit.
func (x *units) inLedger(p *world, i, k int) bool {
	for j := range x.slots {
		if j != i && x.node(p[j]).rights[k].inLedger > 0 {
			return true
		}
	}
	return false
}

// local lists what can happen to a unit without another's message.
func (x *units) local(n num) []edge {
	d := x.node(n)
	if es := d.moves.Load(); es != nil {
		return *es
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []edge
	for i := range x.slots[d.slot].rights {
		for _, h := range x.desk(&d.unit, i) {
			if t := x.take(n, h, true); t.to != n {
				out = append(out, edge{to: t.to, event: h})
			}
		}
		if x.barrier {
			out = append(out, x.placing(d.unit, i)...)
		}
	}
	out = append(out, x.breach(d.unit)...)
	d.moves.Store(&out)
	return out
}

// desk lists the events of one right that need no message.
func (x *units) desk(u *unit, i int) (out []happening) {
	slot := x.slots[u.slot]
	s := &x.states.values[u.parts[i].now]
	right := x.rights[slot.rights[i]]
	add := func(k kind, arg num) { out = append(out, happens(k, i, arg)) }
	if right.Kind == ledger.Admit {
		add(doAsk, 0)
		if x.provisional || u.is == unfenced {
			add(doProvisional, 0)
		}
	}
	for n, p := range x.proxies {
		if p[Principal] == slot.rights[i] {
			add(doProxy, num(n))
		}
	}
	for k := doLeave; k <= doUnreach; k++ {
		switch k {
		case doUndo, doConflict:
			if x.voids == 0 {
				continue
			}
		case doAnnul:
			if x.annulments == 0 {
				continue
			}
		case doWrite:
			if s.Pending == nil || ledger.Touches(s.Pending)[0] != right {
				continue
			}
		case doAccept:
			if x.barrier && !x.clean(u, i) {
				continue
			}
		case doExpire:
			if x.barrier && x.without&noBarrier == 0 {
				continue
			}
		}
		add(k, 0)
	}
	if x.home(slot.rights[i]) != slot.bureau || s.Record.State == ledger.Own && int(s.Record.Nonce) >= x.releases {
		return out
	}
	for other := range x.bounds.bureaux {
		add(doRequest, num(number(other)))
		if x.joint() {
			add(doProxyRequest, num(number(other)))
		}
	}
	return out
}

// clean says whether the group's answer for an admission is that it is the first.
func (x *units) clean(u *unit, i int) bool {
	p := &u.parts[i]
	return p.placed == 1 || x.without&anyAnswer != 0 && p.undone > 0 || x.without&batchAnswer != 0 && u.parts[1-i].placed == 1
}

// restarted is what a machine knows that has read its chain.
func (x *units) restarted(durable num) num {
	s := x.states.values[durable]
	if x.without&unhanded == 0 || s.Record.State != ledger.Admitted {
		return durable
	}
	s.Handed, s.Desk = false, Awaiting
	return x.internState(s)
}

// placing is the group's part: an admission that is durable comes into the ledger some time.
func (x *units) placing(u unit, i int) []edge {
	p := &u.parts[i]
	if x.states.values[p.durable].Record.State != ledger.Admitted || p.placed > 0 {
		return nil
	}
	earlier := p.inLedger > 0 // by this bureau, before a rollback
	p.inLedger++
	p.placed = 2
	later := edge{x.internUnit(u), happens(doPlace, i, 2), laterInLedger}
	if earlier {
		later.cond = always
		return []edge{later}
	}
	p.placed = 1
	return []edge{{x.internUnit(u), happens(doPlace, i, 1), firstInLedger}, later}
}

// mail lists what the statements that somebody posted can do to a unit; none is that of strangers.
func (x *units) mail(n num, part int, posted num) []edge {
	key := uint64(n+1)<<24 | uint64(part)<<20 | uint64(posted)
	if es, ok := x.mails.get(key); ok {
		return *es
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if es, ok := x.mails.get(key); ok {
		return *es
	}
	var out []edge
	all := append(append([]num(nil), x.sets.values[posted]...), x.sets.values[x.forged[x.slots[x.node(n).slot].rights[part]]]...)
	for _, s := range all {
		for _, k := range asEvents(x.said.values[s].body) {
			h := happens(k, part, s)
			if t := x.take(n, h, true); t.to != n {
				out = append(out, edge{to: t.to, event: h})
			}
		}
	}
	return *x.mails.put(key, out)
}

// asEvents are what a statement can come as.
func asEvents(b ledger.Body) []kind {
	switch b.(type) {
	case *ledger.Release:
		return []kind{doRelease, doDeny}
	case *ledger.Return:
		return []kind{doReturn}
	case *ledger.Admission, *ledger.ProxyAdmission, *ledger.Provisional:
		return []kind{doDeny}
	}
	return nil
}

// tell puts a step into words.
func (x *units) tell(p *world, how step) string {
	h := happening(how.arg)
	if how.kind == doCrash {
		return fmt.Sprintf("bureau %d crashes", how.slot+1)
	}
	slot := x.slots[how.slot]
	who := fmt.Sprintf("bureau %d", slot.bureau+1)
	if slot.clone > 0 {
		who += "'s clone"
	}
	right := x.bounds.rights[slot.rights[h.part()]]
	words := fmt.Sprintf("%s, %v right of elector %d: %s", who, right.kind, right.elector, kindNames[how.kind])
	switch how.kind {
	case doRequest, doProxyRequest:
		words += fmt.Sprintf(" %d", h.arg())
	case doWrite:
		words += fmt.Sprintf(" %v", x.states.values[x.node(p[how.slot]).parts[h.part()].now].Pending.Kind())
	case doRelease, doDeny, doReturn:
		was := x.said.values[h.arg()]
		words += fmt.Sprintf(" (%v %d)", was.body.Kind(), was.id.Sequence)
	}
	return words
}
