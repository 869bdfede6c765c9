package rights

import (
	"bytes"
	"slices"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// simMessage is on its way, or was: the network may bring any of them again.
type simMessage struct {
	from, to uint8 // machine, bureau
	elector  int32 // the right's number
	Message
}

// asks says that the message is a question, which nobody signs.
func (m *Message) asks() bool { return m.Kind == RequestMessage || m.Kind == ProxyRequestMessage }

// simWeather is what the network does to single messages.
type simWeather struct {
	// loss, double: chances; echo: that an old message about the same right comes again.
	loss, double, echo float64
	// late is the chance of a delay of up to an hour.
	late float64
}

// connected says that the second machine hears the first.
func (d *simDay) connected(from, to int) bool {
	return d.side[from] == d.side[to] && !d.isolated[from] && !d.isolated[to] && d.cut[from][to] == 0
}

// hop is the delay of one message in good weather.
func (d *simDay) hop() int64 { return 3 + d.rnd.Int64N(12) }

// send passes a message on, or loses it, or doubles it, or brings an old one along.
func (d *simDay) send(m *simMachine, e int32, s Send) {
	msg := s.Message
	switch {
	case msg.asks():
	case msg.Extract == nil: // a bureau without R2 or R5
		msg.Extract = m.early(m.row(e).s.Pending, d.now)
	default:
		msg.Extract = m.real(msg.Extract)
	}
	msg.Right = ledger.Right{} // its number says it
	n := int32(len(d.messages))
	d.messages = append(d.messages, simMessage{from: uint8(m.index), to: uint8(s.To - 1), elector: e, Message: msg})
	d.tally.messages++
	earlier := d.said[e]
	if d.sabotage == simForgetful && d.sentBefore(earlier, n) {
		return
	}
	d.said[e] = append(earlier, n)
	w := &d.weather
	if d.rnd.Float64() >= w.loss {
		d.carry(n, d.delay())
	}
	if d.rnd.Float64() < w.double {
		d.carry(n, d.delay())
	}
	if d.rnd.Float64() < w.echo {
		d.meddle(m, e, n, earlier)
	}
}

// meddle is what an adversary in the network does who keeps everything: it brings again, or
// elsewhere, what was signed, or something that was not.
func (d *simDay) meddle(m *simMachine, e, n int32, earlier []int32) {
	asks := d.messages[n].asks()
	switch d.rnd.IntN(4) {
	case 0:
		d.astray(n, d.anywhere(int(e)%simBureaux))
	case 1:
		if asks {
			d.forge(e, m.bureau)
		}
	default:
		if len(earlier) == 0 {
			return
		}
		was := earlier[d.rnd.IntN(len(earlier))]
		d.carry(was, d.delay())
		if asks {
			d.astray(was, m.bureau)
		}
	}
}

// forge is a release in the home bureau's name, under another bureau's key.
func (d *simDay) forge(e int32, to int) {
	home := int(e) % simBureaux
	body := &ledger.Release{Right: d.rights[e], Nonce: uint32(d.rnd.IntN(2)), To: number(to)}
	b, err := ledger.Sign(d.keys[to], d.group, ledger.Author{Bureau: number(home), Session: d.machines[home].session.id},
		ledger.Point{Next: 1000}, []ledger.Statement{ledger.NewStatement(ledgertest.Opens, body)})
	if err != nil {
		panic(err)
	}
	enc, err := b.Extract(0).Encode()
	if err != nil {
		panic(err)
	}
	d.messages = append(d.messages, simMessage{from: uint8(to), to: uint8(to), elector: e, Message: Message{Kind: ReleaseMessage, Extract: enc}})
	d.carry(int32(len(d.messages)-1), 1+d.rnd.Int64N(20))
}

// sentBefore says that the same bureau said the same to the same one before.
func (d *simDay) sentBefore(earlier []int32, n int32) bool {
	now := &d.messages[n]
	return slices.ContainsFunc(earlier, func(o int32) bool {
		was := &d.messages[o]
		return was.Kind == now.Kind && was.from == now.from && was.to == now.to && bytes.Equal(was.Extract, now.Extract)
	})
}

// astray brings a message to a bureau that it is not for.
func (d *simDay) astray(n int32, to int) {
	msg := d.messages[n]
	if msg.asks() {
		return
	}
	msg.to = uint8(to)
	d.messages = append(d.messages, msg)
	d.carry(int32(len(d.messages)-1), d.delay())
}

func (d *simDay) carry(n int32, in int64) {
	d.queue.push(simEvent{at: d.now + in, kind: simDeliver, machine: d.messages[n].to, elector: d.messages[n].elector, arg: n})
}

func (d *simDay) delay() int64 {
	if w := &d.weather; w.late > 0 {
		switch f := d.rnd.Float64(); {
		case f < w.late/8:
			return d.rnd.Int64N(simHour)
		case f < w.late:
			return d.rnd.Int64N(30_000)
		}
	}
	return d.hop()
}

// deliver hands a message to a machine of the bureau, if the way is free.
func (d *simDay) deliver(n int32) {
	msg := &d.messages[n]
	m := d.machines[msg.to]
	if d.clone != nil && d.clone.bureau == m.bureau && d.rnd.IntN(2) == 0 {
		m = d.clone
	}
	from := int(msg.from)
	if m.up && (d.connected(from, m.index) || !msg.asks() && d.relayed(from, m.index)) {
		m.receive(msg.elector, msg.Message)
	}
}

// relayed says that some third bureau hears the one and is heard by the other: what is signed
// may be passed on by anyone; now and then somebody does.
func (d *simDay) relayed(from, to int) bool {
	third := d.rnd.IntN(simBureaux)
	return d.machines[third].up && d.connected(from, third) && d.connected(third, to)
}

func (m *simMachine) receive(e int32, msg Message) {
	m.step(e, msg.Event())
}
