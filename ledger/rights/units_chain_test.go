package rights

import (
	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// sign is the statement that the pending one becomes when it is durable.
func (x *units) sign(u *unit, i int) num {
	body := x.states.values[u.parts[i].now].Pending
	touched := ledger.Touches(body)
	lead := 0
	for j, k := range x.slots[u.slot].rights {
		if x.rights[k] == touched[0] {
			lead = j
		}
	}
	enc, err := ledger.NewStatement(0, body).Encode()
	if err != nil {
		x.tb.Fatal(err)
	}
	key := signKey{x.author(u), 1 + uint64(lead)*10_000 + uint64(body.Kind())*100 + uint64(u.parts[lead].undone), string(enc)}
	if n, ok := x.signed[key]; ok {
		return n
	}
	s := signedWith(x.tb, x.group, key.author, ledgertest.DeviceName(key.author.Bureau, key.author.Incarnation), key.sequence, body)
	n := x.said.intern(string(s.extract), s)
	x.signed[key] = n
	return n
}

// record joins a statement to the unit's durable chain, and lets others have it.
func (x *units) record(u *unit, n num) {
	s := x.said.values[n]
	for i, k := range x.slots[u.slot].rights {
		for at, right := range ledger.Touches(s.body) {
			if right == x.rights[k] && (at == Principal || x.without&oneSided == 0) {
				x.recordPart(u, i, n)
			}
		}
	}
	switch s.body.(type) {
	case *ledger.Void:
		u.voids++
	case *ledger.Annulment:
		u.annulments++
	}
}

func (x *units) recordPart(u *unit, i int, n num) {
	p := &u.parts[i]
	before := x.states.values[p.durable].Record.State
	p.durable = x.replay(u, i, p.durable, n)
	switch s := x.said.values[n].body.(type) {
	case *ledger.Provisional:
		known := before == ledger.Admitted || before == ledger.Released
		u.lawless = u.lawless || known || !x.provisional && u.is != unfenced
		p.posted = x.post(p.posted, n)
	case *ledger.Void:
		p.takeBack()
	case *ledger.Annulment:
		// Two persons attest that this elector got no ballot; here they speak the truth, and one person alone
		// does not.
		if alone := s.Attesters[0] == liar; alone {
			p.takeBack()
			return
		}
		if p.lights -= min(p.lights, 1); before == ledger.Provisioned {
			p.provisional -= min(p.provisional, 1)
		}
		p.takeBack()
	case *ledger.Hold, *ledger.Restored:
	default:
		p.posted = x.post(p.posted, n)
	}
}

func (p *part) takeBack() {
	p.undone++
	if p.placed > 0 {
		p.placed = 0
		p.inLedger -= min(p.inLedger, 1)
	}
}

// replay is what a bureau knows that reads one statement more (R13).
func (x *units) replay(u *unit, i int, durable, n num) num {
	key := replayKey{u.slot, u.opened, u.is, uint8(i), durable, n}
	if d, ok := x.replays[key]; ok {
		return d
	}
	s := x.said.values[n]
	next, why := x.context(u, x.slots[u.slot].rights[i]).Recover(x.states.values[durable], s.id, s.body, s.extract)
	if why != ledger.Valid && x.dropped == 0 && !x.lenient {
		x.tb.Fatalf("bureau %d reads its own chain: %v from %v: %v", number(x.slots[u.slot].bureau), s.body.Kind(), x.states.values[durable].Record.State, why)
	}
	d := x.internState(next)
	x.replays[key] = d
	return d
}
