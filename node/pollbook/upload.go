package pollbook

import (
	"context"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

const (
	// proposeTimeout ends one try of a proposal.
	proposeTimeout = 5 * time.Second
	// retryMin and retryMax bound the pause after a try that gave no answer.
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
)

// upload proposes the bureau's durable batches, in order, the same bytes again until the
// group has answered; one at a time, so that under load the journal gathers many
// statements under one signature instead.
func (p *Pollbook) upload() {
	cur := p.cfg.Journal.Start()
	for {
		b, next, err := p.cfg.Journal.Next(p.ctx, cur)
		if err != nil {
			return
		}
		cur = next
		if p.cfg.View.Has(b.Header.Author, b.Header.Next()) {
			continue // the group had it before this start
		}
		p.setBacklog(p.cfg.Journal.Behind(cur) + 1)
		ans, ok := p.proposeUntilAnswered(b)
		if !ok {
			return
		}
		p.setBacklog(p.cfg.Journal.Behind(cur))
		p.answered(b, ans)
	}
}

func (p *Pollbook) setBacklog(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backlog = n
}

// proposeUntilAnswered returns false when the pollbook closes.
func (p *Pollbook) proposeUntilAnswered(b *ledger.Batch) (*ledger.Answer, bool) {
	raw, pause := b.Encode(), retryMin
	for {
		ctx, cancel := context.WithTimeout(p.ctx, proposeTimeout)
		ans, err := p.cfg.Proposer.Propose(ctx, raw)
		cancel()
		final := err == nil && (ans.Status == ledger.Placed || ans.Status == ledger.Contradicted || ans.Status == ledger.Rejected && ans.Reason != ledger.ParkingFull)
		if err == nil {
			p.setAlone(false)
			pause = retryMin
		}
		if final {
			return ans, true
		}
		select {
		case <-p.ctx.Done():
			return nil, false
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

func (p *Pollbook) setAlone(alone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alone = alone
}

// answered hands the group's verdicts to the admissions that wait for them.
func (p *Pollbook) answered(b *ledger.Batch, ans *ledger.Answer) {
	if ans.Status != ledger.Placed {
		p.cfg.Logger.Error("the group did not place a batch of this bureau; this machine needs a new session", "status", int(ans.Status), "reason", int(ans.Reason))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a := b.Header.Author
	if a == p.cfg.Journal.Author() {
		p.placedTo = b.Header.Next()
	}
	for i, v := range ans.Verdicts {
		id := ledger.StatementID{Session: a.Session, Sequence: b.Header.First + uint64(i)}
		x, ok := p.awaited[id]
		if !ok {
			p.overlooked(b.Statements[i].Body, id, v)
			continue
		}
		delete(p.awaited, id)
		r := p.row(x)
		if r.barrier != nil && r.state.Record.By == id {
			r.barrier.Stop()
			r.barrier = nil
		}
		p.stepLocked(r, rights.Answered{Verdict: v})
	}
}

// overlooked raises the alarm for a conflict of an admission for which nobody waits any
// longer: it was handed over alone, or before a restart.
func (p *Pollbook) overlooked(body ledger.Body, id ledger.StatementID, v ledger.Verdict) {
	if v.Clean() {
		return
	}
	for _, x := range ledger.Touches(body) {
		if _, ok := p.cfg.Group.Home(x.Elector); !ok {
			continue
		}
		if r := p.row(x); r.state.Record.By == id {
			p.stepLocked(r, rights.Answered{Verdict: v})
		}
	}
}

// Placed tells the pollbook of new entries: rights that are on their way to this bureau
// arrive by the ledger too, so that no lost message strands one (L3).
func (p *Pollbook) Placed(entries []ledger.PlacedEntry) {
	for _, e := range entries {
		if e.Batch == nil || e.Entry.Kind != ledger.BatchEntry || e.Batch.Header.Author.Bureau == p.self {
			continue
		}
		for i, s := range e.Batch.Statements {
			p.placedStatement(e.Batch, i, s)
		}
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
		panic("extract of a placed statement: " + err.Error())
	}
	p.Receive(rights.Message{Kind: kind, Right: right, Extract: enc})
}

// Replicated says whether the group has the statement.
func (p *Pollbook) Replicated(id ledger.StatementID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return id.Session != p.cfg.Journal.Author().Session || id.Sequence < p.placedTo
}
