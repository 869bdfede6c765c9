package rights

import "pointage/ledger"

// wayOn says whether the elector can still be admitted, if from here on nothing breaks:
// what is pending becomes durable, messages that are sent arrive (only those that are sent
// now: all earlier ones are lost), desks away give up, and the elector comes home and asks
// again.
func (x *explorer) wayOn(p place, e int) bool {
	key := wayKey{e, p.cells[e], p.opened}
	ok, known := x.ways[key]
	if !known {
		ok = x.walk(p, e)
		x.ways[key] = ok
	}
	return ok
}

type wayKey struct {
	elector int
	cells   [bureaux]cell
	opened  [bureaux]uint8
}

func (x *explorer) walk(p place, e int) bool {
	w := walk{x: x, p: p, e: e}
	for b := range bureaux {
		w.finish(b)
		w.do(b, doLeave, 0)
	}
	for b := range bureaux {
		c := w.p.cells[e][b]
		if x.states.values[c.state].Record.State != ledger.Admitted {
			continue
		}
		if c.lights > 0 {
			return true // he has his ballot
		}
		// The machine died between record and light, and he got none: two persons say so.
		w.do(b, doAnnul, 0)
	}
	for range 2 { // the first question calls the right home, the second finds it there
		w.do(e, doAsk, 0)
		if w.p.cells[e][e].lights > 0 {
			return true
		}
	}
	return false
}

// walk carries effects out as the driver does, at once and without a fault.
type walk struct {
	x *explorer
	p place
	e int
	// depth guards against messages that call each other for ever.
	depth int
}

// finish makes durable what is pending, and lets nobody wait for the group.
func (w *walk) finish(b int) {
	for {
		c := w.p.cells[w.e][b]
		s := &w.x.states.values[c.state]
		switch {
		case s.Pending != nil:
			w.one(b, doWrite, 0)
		case s.Desk == Awaiting:
			w.one(b, doExpire, 0)
		default:
			return
		}
	}
}

func (w *walk) do(b int, k kind, arg num) {
	w.one(b, k, arg)
	w.finish(b)
}

func (w *walk) one(b int, k kind, arg num) {
	if w.depth++; w.depth > 100 {
		w.x.t.Fatal("messages without end")
	}
	o := w.x.step(w.e, b, w.p.opened[b], w.p.cells[w.e][b], k, arg)
	w.p = w.x.take(w.p, w.e, b, o)
	for _, m := range o.sent {
		if w.x.silent && k == doAsk && m.kind == doRelease {
			continue
		}
		w.do(m.to, m.kind, m.arg)
	}
	if o.deferred {
		w.finish(b)
		w.one(b, k, arg)
	}
}
