package rights

import (
	"fmt"
	"slices"

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
			if e.cond == always || x.earlier(p, i, e.event.part()) == (e.cond == laterInLedger) {
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

// earlier says whether the group holds a live admission by another unit of a right that the part's uses.
func (x *units) earlier(p *world, i, part int) bool {
	d := x.node(p[i])
	for _, j := range x.usedWith(&d.unit, part) {
		if x.inLedger(p, i, x.slots[i].rights[j]) {
			return true
		}
	}
	return false
}

// usedWith are the parts that an admission uses together: a proxy's two, or the one itself.
func (x *units) usedWith(u *unit, i int) []int {
	s := &x.states.values[u.parts[i].durable]
	other, ok := s.Other(x.rights[x.slots[u.slot].rights[i]])
	if ok && s.Record.Proxy {
		for j, k := range x.slots[u.slot].rights {
			if x.rights[k] == other {
				return []int{i, j}
			}
		}
	}
	return []int{i}
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
			out = x.leads(out, n, h)
		}
		if x.barrier {
			out = append(out, x.placing(d.unit, i)...)
		}
	}
	out = append(out, x.breach(d.unit)...)
	d.moves.Store(&out)
	return out
}

// leads adds where an event leads, once. The caller holds mu.
func (x *units) leads(out []edge, n num, h happening) []edge {
	to := x.take(n, h, true).to
	if to == n || slices.ContainsFunc(out, func(e edge) bool { return e.to == to && e.cond == always }) {
		return out
	}
	return append(out, edge{to: to, event: h})
}

// desk lists the events of one right that need no message.
func (x *units) desk(u *unit, i int) (out []happening) {
	slot := x.slots[u.slot]
	s := &x.states.values[u.parts[i].now]
	right := x.rights[slot.rights[i]]
	add := func(k kind, arg num) { out = append(out, happens(k, i, arg)) }
	if right.Kind == ledger.Admit {
		add(doAsk, 0)
		add(doProvisional, 0)
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
		case doAnnul, doAnnulAlone:
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
	return p.placed == 1 || x.without&heedless != 0 && p.placed == 2 || x.without&anyAnswer != 0 && p.undone > 0 || x.without&batchAnswer != 0 && u.parts[1-i].placed == 1
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

// placing is the group's part: an admission that is durable comes into the ledger some time. A proxy's comes
// once, for both its rights, and is the first if it is for both.
func (x *units) placing(u unit, i int) []edge {
	record := &x.states.values[u.parts[i].durable].Record
	byHolder := record.Proxy && x.rights[x.slots[u.slot].rights[i]].Kind == ledger.Carry
	if record.State != ledger.Admitted || u.parts[i].placed > 0 || byHolder {
		return nil
	}
	parts, earlier := x.usedWith(&u, i), false // by this bureau, before a rollback
	for _, j := range parts {
		earlier = earlier || u.parts[j].inLedger > 0
		u.parts[j].inLedger++
	}
	placed := func(class uint8) num {
		for _, j := range parts {
			u.parts[j].placed = class
		}
		return x.internUnit(u)
	}
	later := edge{placed(2), happens(doPlace, i, 2), laterInLedger}
	if earlier {
		later.cond = always
		return []edge{later}
	}
	return []edge{{placed(1), happens(doPlace, i, 1), firstInLedger}, later}
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
			out = x.leads(out, n, h)
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
