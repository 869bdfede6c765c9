package rights

import "pointage/ledger"

// crash stops the machine of a bureau: what is volatile is lost; each pending statement too, or it was
// durable already.
func (x *units) crash(p *world, b int, spent uint32, visit func(world, step)) {
	if !x.affords(spent + 1) {
		return
	}
	at := []world{*p}
	for i := range x.slots {
		if x.slots[i].bureau != b || x.slots[i].clone > 0 {
			continue
		}
		var more []world
		for _, q := range at {
			for _, e := range x.crashes1(q[i]) {
				q[i] = e.to
				more = append(more, q)
			}
		}
		at = more
	}
	for _, q := range at {
		now := uint32(0)
		for i := range x.slots {
			now += x.node(q[i]).spent
		}
		if x.affords(now) {
			visit(q, step{uint8(b), doCrash, 0})
		}
	}
}

// crashes1 are a unit's ways to crash.
func (x *units) crashes1(n num) []edge {
	key := uint64(n+1) << 24
	key |= 1<<24 - 1
	if es, ok := x.mails.get(key); ok {
		return *es
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if es, ok := x.mails.get(key); ok {
		return *es
	}
	var out []edge
	for _, u := range x.endings(x.node(n).unit) {
		if x.slots[u.slot].leads {
			u.crashes++
		}
		u.opened++
		for i := range x.slots[u.slot].rights {
			u.parts[i].now = x.restarted(u.parts[i].durable)
		}
		u.stray = false
		out = append(out, edge{to: x.internUnit(u), event: happens(doCrash, 0, 0)})
	}
	return *x.mails.put(key, out)
}

// endings are what the chain of a unit may be when its machine stops: with and without each
// pending statement.
func (x *units) endings(u unit) []unit {
	out := []unit{u}
	for i, k := range x.slots[u.slot].rights {
		body := x.states.values[u.parts[i].now].Pending
		if body == nil || ledger.Touches(body)[0] != x.rights[k] {
			continue
		}
		n := x.sign(&u, i)
		for _, v := range out {
			x.record(&v, n)
			out = append(out, v)
		}
	}
	return out
}

// breach lists what breaks the assumptions, and what the next incarnation does about it.
func (x *units) breach(u unit) (out []edge) {
	add := func(v unit, k kind) { out = append(out, edge{to: x.internUnit(v), event: happens(k, 0, 0)}) }
	if x.deaths > 0 && u.is == present && x.slots[u.slot].leads {
		for _, v := range x.endings(u) {
			add(x.nextIncarnation(v, false), doDie)
			add(x.nextIncarnation(v, true), doDie)
		}
	}
	if u.is == unfenced {
		add(x.settle(u), doSettle)
	}
	if x.rollbacks > 0 && u.is == present {
		v := u
		for i := range x.slots[u.slot].rights {
			v.parts[i].image = u.parts[i].durable + 1
		}
		add(v, doImage)
		if u.parts[0].image > 0 && u.breaches == 0 {
			add(x.rollBack(u, true), doRollBack)
			if x.erases {
				add(x.rollBack(u, false), doErase)
			}
		}
	}
	return out
}

// nextIncarnation opens without the media of the one before, but perhaps with what the group knows.
func (x *units) nextIncarnation(u unit, told bool) unit {
	u.is, u.deaths = unfenced, u.deaths+1
	u.opened++
	if x.without&openFenced != 0 {
		u.is = settled
	}
	for i, k := range x.slots[u.slot].rights {
		p := &u.parts[i]
		p.kept = p.durable + 1
		if !told {
			p.durable = x.internState(x.context(&u, k).Start())
		}
		p.now = p.durable
	}
	return u
}

// settle reads two of the old media: their chain comes first, the incarnation's own goes on from it.
func (x *units) settle(u unit) unit {
	u.is = settled
	u.opened++
	for i, k := range x.slots[u.slot].rights {
		p := &u.parts[i]
		own := x.states.values[p.durable]
		p.durable = p.kept - 1
		if x.without&settleBlind != 0 {
			p.durable = x.internState(x.context(&u, k).Start())
		}
		if n, ok := x.said.number[string(own.Proof)]; ok && own.Record.State == ledger.Provisioned && own.Record.By != x.states.values[p.durable].Record.By && x.without&forgetBeside == 0 {
			p.durable = x.replay(&u, i, p.durable, n)
		}
		p.now, p.kept = p.durable, 0
	}
	return u
}

// rollBack puts media back to an earlier copy; one that was elsewhere keeps what it has.
func (x *units) rollBack(u unit, kept bool) unit {
	u.breaches++
	u.opened++
	for i := range x.slots[u.slot].rights {
		p := &u.parts[i]
		if kept {
			p.kept = p.durable + 1
		}
		p.durable = p.image - 1
		p.now, p.placed = p.durable, 0
	}
	return u
}

// copied brings a clone of a unit up: its media are copies, its machine another.
func (x *units) copied(p *world, i int, spent uint32, visit func(world, step)) {
	x.mu.Lock()
	v := x.node(p[x.slots[i].clone-1]).unit
	v.slot, v.is, v.crashes, v.voids, v.annulments, v.opened = uint8(i), present, 0, 0, 0, 0
	for j := range v.parts {
		old := &v.parts[j]
		v.parts[j] = part{now: old.durable, durable: old.durable, undone: old.undone}
	}
	n := x.internUnit(v)
	x.mu.Unlock()
	q := *p
	q[i] = n
	visit(q, step{uint8(i), doClone, 0})
}
