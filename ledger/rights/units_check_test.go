package rights

import (
	"fmt"
	"slices"

	"pointage/ledger"
)

// promise is a set of what a model demands in every place.
type promise uint8

const (
	// s1: at most one ballot by the right.
	s1 promise = 1 << iota
	// s3: each ballot has a live record on media that reach the reconciliation, so that a second
	// one stands there with both.
	s3
	// onePlace: the right lies at one bureau at most.
	onePlace
	// sound: each unit is in order for itself.
	sound
	// wayOn: nobody is stuck (L1, L3).
	wayOn
	// noCircle: no two bureaux wait for each other's rights.
	noCircle
	// oneBallot: at most one ballot, a provisional one too. No protocol promises that.
	oneBallot
	allPromises = s1 | s3 | onePlace | sound | wayOn | noCircle
)

// judge notes what a new unit adds to each check of the whole. The caller holds mu.
func (x *units) judge(d *node) {
	slot := x.slots[d.slot]
	d.spent = d.spends(slot.leads)
	if d.is == absent {
		return
	}
	for i, k := range slot.rights {
		p := &d.parts[i]
		now := &x.states.values[p.now]
		t := &d.rights[k]
		t.lights, t.provisional, t.inLedger = p.lights, p.provisional, p.inLedger
		t.records = x.records(p)
		switch now.Record.State {
		case ledger.Own, ledger.Admitted, ledger.Held:
			if d.is != unfenced {
				t.holders = 1
			}
		}
		if now.Desk == Asking && now.Pending == nil {
			t.waitsFor = uint8(number(x.home(k)))
		}
		t.joined, t.pending = now.Desk == Joining, now.Pending != nil
		t.writes = t.pending && ledger.Touches(now.Pending)[0] == x.rights[k]
		t.awaits = !t.pending && now.Desk == Awaiting && (!now.Record.Proxy || x.rights[k].Kind == ledger.Admit)
		t.used = now.Record.State == ledger.Admitted || now.Record.State == ledger.Provisioned
		t.beside, t.released = now.Beside.Extract != nil, now.Record.State == ledger.Released
		t.free = now.Record.State == ledger.Own && now.Desk == Idle
		if why := x.judgePart(&d.unit, p); why != "" {
			d.wrong = fmt.Sprintf("bureau %d, %v right of elector %d: %s", slot.bureau+1, x.bounds.rights[k].kind, x.bounds.rights[k].elector, why)
		}
	}
}

// records counts the live admissions that the unit's media show, each once.
func (x *units) records(p *part) uint8 {
	var ids [4]ledger.StatementID
	n := uint8(0)
	add := func(id ledger.StatementID) {
		for _, old := range ids[:n] {
			if old == id {
				return
			}
		}
		ids[n] = id
		n++
	}
	for _, state := range [2]num{p.durable + 1, p.kept} {
		if state == 0 {
			continue
		}
		s := &x.states.values[state-1]
		if s.Record.State == ledger.Admitted || s.Record.State == ledger.Provisioned {
			add(s.Record.By)
		}
		if s.Beside.Extract != nil {
			add(s.Beside.ID)
		}
	}
	return n
}

// judgePart says what is wrong with one right at one bureau, whatever the others do.
func (x *units) judgePart(u *unit, p *part) string {
	now, durable := &x.states.values[p.now], &x.states.values[p.durable]
	used := durable.Record.State == ledger.Admitted || durable.Record.State == ledger.Provisioned
	switch {
	case durable.Record != now.Record:
		return fmt.Sprintf("says %+v, its chain %+v", now.Record, durable.Record)
	case p.kept > 0 || u.breaches > 0:
		return "" // what it has forgotten is no fault of its own
	case p.lights > 0 && !used && durable.Beside.Extract == nil:
		return "a ballot was handed over that a restart would not know of"
	case p.lights > 0 && !now.Handed && durable.Beside.Extract == nil:
		return "a ballot was handed over that could be taken for not handed over"
	case u.is == present && p.lights > 1 || u.is == settled && p.lights > p.provisional+1:
		return fmt.Sprintf("handed over %d ballots", p.lights)
	case admits(now.Pending) && now.Beside.Extract != nil:
		return "admits again whom it has admitted provisionally"
	case u.lawless:
		return "somebody is admitted who is to be refused"
	case u.stray:
		return "a right is held that nobody waits for"
	case (now.Record.State == ledger.Admitted && now.Record.Proxy) != (now.Record.State == ledger.Admitted && now.Pair != nil):
		return "a proxy's right does not know the other"
	case now.Record.Proxy && !x.both(u, now):
		return "of a proxy's two rights one is used, the other is not"
	}
	return ""
}

// both says whether a proxy has used the two rights by one record.
func (x *units) both(u *unit, s *State) bool {
	n := 0
	for j, k := range x.slots[u.slot].rights {
		o := &x.states.values[u.parts[j].now]
		if slices.Contains(ledger.Touches(s.Pair), x.rights[k]) && o.Record.State == ledger.Admitted && o.Record.By == s.Record.By {
			n++
		}
	}
	return n == 2
}

func admits(b ledger.Body) bool {
	_, ok := b.(*ledger.Admission)
	return ok
}

// check says which promise is broken in a place.
func (x *units) check(p *world) string {
	var sum [maxParts]tally
	for i := range x.slots {
		d := x.node(p[i])
		if d.wrong != "" && x.demands&sound != 0 {
			return d.wrong
		}
		for k := range x.rights {
			sum[k].lights += d.rights[k].lights
			sum[k].provisional += d.rights[k].provisional
			sum[k].records += d.rights[k].records
			sum[k].holders += d.rights[k].holders
		}
	}
	for k, t := range sum[:len(x.rights)] {
		switch {
		case x.demands&s1 != 0 && t.lights > t.provisional+1:
			return fmt.Sprintf("S1: %d ballots by the %v right of elector %d", t.lights, x.bounds.rights[k].kind, x.bounds.rights[k].elector)
		case x.demands&oneBallot != 0 && t.lights > 1:
			return fmt.Sprintf("%d ballots of elector %d, %d of them provisional", t.lights, x.bounds.rights[k].elector, t.provisional)
		case x.demands&s3 != 0 && t.lights > t.records && t.lights > 1:
			return fmt.Sprintf("S3: %d ballots and %d records of elector %d", t.lights, t.records, x.bounds.rights[k].elector)
		case x.demands&onePlace != 0 && t.holders > 1:
			return fmt.Sprintf("the %v right of elector %d lies at %d bureaux", x.bounds.rights[k].kind, x.bounds.rights[k].elector, t.holders)
		}
		if x.demands&wayOn != 0 && !x.knownWay(p, k) {
			return fmt.Sprintf("L3: the %v right of elector %d is stuck", x.bounds.rights[k].kind, x.bounds.rights[k].elector)
		}
	}
	if x.demands&noCircle != 0 && x.joint() {
		return x.circle(p)
	}
	return ""
}

// circle says which two bureaux wait for each other: each keeps a right for a proxy whose
// other right the other one keeps.
func (x *units) circle(p *world) string {
	waits := func(i, j int) bool {
		for k := range x.rights {
			if a := &x.node(p[i]).rights[k]; int(a.waitsFor) == j+1 && x.node(p[j]).rights[k].joined {
				return true
			}
		}
		return false
	}
	for i := range x.slots {
		for j := range i {
			if waits(i, j) && waits(j, i) {
				return fmt.Sprintf("bureaux %d and %d wait for each other", j+1, i+1)
			}
		}
	}
	return ""
}

// quiet is a run in which nothing breaks any more: what is pending becomes durable, messages that
// are sent arrive (all earlier ones are lost), desks away give up.
type quiet struct {
	x *units
	p world
	// depth guards against messages that call each other for ever.
	depth int
}

// knownWay is wayOn, remembered by the units of the right where others don't matter to it.
func (x *units) knownWay(p *world, k int) bool {
	if x.joint() || x.together || len(x.rights) == 1 {
		return x.wayOn(p, k)
	}
	own := world{}
	for i := range x.slots {
		if x.slots[i].rights[0] == k {
			own[i] = p[i] + 1
		}
	}
	if x.ways.has(&own) {
		return true
	}
	if !x.wayOn(p, k) {
		return false
	}
	x.ways.add(&own)
	return true
}

// wayOn says whether the right can still be used, or is: its elector comes home and asks again. Of an
// unfenced machine nothing is demanded.
func (x *units) wayOn(p *world, k int) bool {
	w := quiet{x: x, p: *p}
	for i, slot := range x.slots {
		if x.node(p[i]).is == unfenced {
			return true
		}
		for a := range slot.rights {
			w.finish(i, a)
			w.do(i, a, doLeave, 0)
		}
	}
	for i := range x.slots {
		for a, right := range x.slots[i].rights {
			switch t := &x.node(w.p[i]).rights[right]; {
			case t.beside || t.lights > 0:
				if right == k {
					return true // the ballot is handed over
				}
			case t.used:
				// The machine died between record and light, and there was none: two persons say so.
				w.do(i, a, doAnnul, 0)
			}
		}
	}
	for i := range x.slots {
		if a := x.index(x.slots[i], k); a >= 0 && x.slots[i].bureau == x.home(k) {
			if x.bounds.rights[k].kind == ledger.Carry {
				return w.carries(i, k)
			}
			return w.admits(i, a)
		}
	}
	return false
}

// admits: the first question calls the right home, the second finds it there.
func (w *quiet) admits(i, a int) bool {
	w.do(i, a, doAsk, 0)
	w.do(i, a, doAsk, 0)
	return w.x.node(w.p[i]).parts[a].lights > 0
}

// carries: the holder comes home with each of his principals' forms, and is not refused for his
// own sake.
func (w *quiet) carries(i, k int) bool {
	for n, p := range w.x.proxies {
		if p[Holder] != k {
			continue
		}
		for range 2 {
			w.do(i, w.x.index(w.x.slots[i], p[Principal]), doProxy, num(n))
			for b := range w.x.slots[i].rights {
				w.do(i, b, doUnreach, 0)
			}
		}
		t := &w.x.node(w.p[i]).rights[k]
		if t.lights > 0 || t.free {
			return true
		}
		if t.released && !w.used(p[Principal]) {
			return false
		}
	}
	return true
}

// used says whether somebody was handed a ballot by the right, or counts as if he was.
func (w *quiet) used(k int) bool {
	for i := range w.x.slots {
		if t := &w.x.node(w.p[i]).rights[k]; t.lights > 0 || t.beside {
			return true
		}
	}
	return false
}

// finish makes durable what is pending, and lets nobody wait for the group.
func (w *quiet) finish(i, a int) {
	for {
		switch t := &w.x.node(w.p[i]).rights[w.x.slots[i].rights[a]]; {
		case t.writes:
			w.one(i, a, doWrite, 0)
		case t.awaits:
			w.one(i, a, doExpire, 0)
		default:
			return
		}
	}
}

func (w *quiet) do(i, a int, k kind, arg num) {
	w.one(i, a, k, arg)
	for b := range w.x.slots[i].rights {
		w.finish(i, b)
	}
}

func (w *quiet) one(i, a int, k kind, arg num) {
	if w.depth++; w.depth > 300 {
		w.x.tb.Fatal("messages without end")
	}
	h := happens(k, a, arg)
	t := w.x.take(w.p[i], h, false)
	w.p[i] = t.to
	for _, m := range t.sent {
		if w.x.without&silentHome != 0 && (k == doAsk || k == doProxy) && m.kind == doRelease {
			continue
		}
		for j := range w.x.slots {
			if b := w.x.index(w.x.slots[j], m.right); w.x.slots[j].bureau == m.bureau && b >= 0 {
				w.do(j, b, m.kind, m.arg)
			}
		}
	}
	if t.deferred {
		for b := range w.x.slots[i].rights {
			w.finish(i, b)
		}
		w.one(i, a, k, arg)
	}
}
