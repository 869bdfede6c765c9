package pollbook

import (
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

// Receive takes a message from another bureau. A request must come from the bureau that it
// names: it is not signed, and the caller knows the sender.
func (p *Pollbook) Receive(m rights.Message) {
	if _, ok := p.cfg.Group.Home(m.Right.Elector); !ok {
		return
	}
	e := m.Event()
	if e == nil || p.fromRetired(m) {
		return
	}
	if _, asks := e.(rights.Requested); asks && !p.lends(m.Right, m.By) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	r := p.rows[m.Right]
	if r == nil {
		r = p.newRow(m.Right)
	}
	p.stepLocked(r, e, nil)
	if !r.untouched() { // a message that led to nothing leaves nothing
		p.rows[m.Right] = r
	}
}

// fromRetired says whether a release or a return is signed with a retired key: whoever has that
// key now may not be the bureau any more.
func (p *Pollbook) fromRetired(m rights.Message) bool {
	if m.Kind != rights.ReleaseMessage && m.Kind != rights.ReturnMessage {
		return false
	}
	x, err := ledger.DecodeExtract(m.Extract)
	if err != nil {
		return false // no event comes of it
	}
	return p.cfg.Retired(ledger.Member{Bureau: x.Header.Author.Bureau, Incarnation: x.Header.Author.Incarnation})
}

// lends says whether another right may go to a bureau. What it was given before it may ask for
// again; beyond maxOut that are not known to be used it gets no more.
func (p *Pollbook) lends(x ledger.Right, to ledger.BureauNumber) bool {
	if p.cfg.Group.Bureaux[to] == nil {
		return false
	}
	p.mu.Lock()
	r, full := p.rows[x], len(p.out[to]) >= maxOut
	anew := r == nil || r.state.Record.State == ledger.Own
	look := full && anew && time.Since(p.looked[to]) >= lookEvery
	var out []ledger.Right
	if look {
		p.looked[to] = time.Now()
		for x := range p.out[to] {
			out = append(out, x)
		}
	}
	p.mu.Unlock()
	if !look {
		return !full || !anew
	}
	var used []ledger.Right
	for _, x := range out {
		if len(p.cfg.View.Admissions(x)) > 0 {
			used = append(used, x)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range used {
		delete(p.out[to], x)
	}
	if len(p.out[to]) < maxOut {
		return true
	}
	p.cfg.Logger.Warn("a bureau asks for more rights than it uses", "asks", to, "out", len(p.out[to]))
	return false
}

// Placed tells the pollbook of new entries: rights that are on their way to this bureau
// arrive by the ledger too, so that no lost message strands one (L3).
func (p *Pollbook) Placed(entries []ledger.PlacedEntry) {
	for _, e := range entries {
		if e.Batch == nil || e.Entry.Kind != ledger.BatchEntry || e.Batch.Header.Author.Bureau == p.self {
			continue
		}
		p.Learned(e.Batch)
	}
}

// Learned is Placed for another bureau's batch that has no place yet: rights arrive by whatever
// carries their chain.
func (p *Pollbook) Learned(b *ledger.Batch) {
	for i, s := range b.Statements {
		p.placedStatement(b, i, s)
	}
}

func (p *Pollbook) placedStatement(b *ledger.Batch, i int, s ledger.Statement) {
	var kind rights.MessageKind
	var right ledger.Right
	switch body := s.Body.(type) {
	case *ledger.Release:
		if body.To != p.self {
			return
		}
		kind, right = rights.ReleaseMessage, body.Right
	case *ledger.Return:
		if home, ok := p.cfg.Group.Home(body.Right.Elector); !ok || home != p.self {
			return
		}
		kind, right = rights.ReturnMessage, body.Right
	default:
		return
	}
	enc, err := b.Extract(i).Encode()
	if err != nil {
		return // it embeds something that is too long to be what it must be
	}
	p.Receive(rights.Message{Kind: kind, Right: right, Extract: enc})
}
