package pollbook

import (
	"context"
	"errors"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/journal"
)

const (
	// proposeTimeout ends one try of a proposal.
	proposeTimeout = 5 * time.Second
	// retryMin and retryMax bound the pause after a try that gave no answer.
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
	// maxAhead is how many batches an admission may be behind what the group answers, and
	// still wait for its own answer.
	maxAhead = 1
)

// upload proposes the bureau's durable batches, in order, the same bytes again until the
// group has answered; one at a time, so that under load the journal gathers many
// statements under one signature instead.
func (p *Pollbook) upload() {
	cur := p.cfg.Journal.Start()
	for {
		b, next, err := p.cfg.Journal.Next(p.ctx, cur)
		if err != nil {
			if p.ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
				p.cfg.Logger.Error("nothing more is handed in to the group", "err", err)
			}
			return
		}
		if ans, placed := p.cfg.View.Answer(b); placed {
			p.verdicts(b, ans.Verdicts) // an earlier run may not have heard it
		} else {
			ans, ok := p.proposeUntilAnswered(b)
			if !ok {
				return
			}
			p.answered(b, ans, next)
		}
		cur = next
		p.mu.Lock()
		p.handedIn = cur
		p.mu.Unlock()
	}
}

// proposeUntilAnswered returns false when the pollbook closes.
func (p *Pollbook) proposeUntilAnswered(b *ledger.Batch) (*ledger.Answer, bool) {
	raw, pause := b.Encode(), retryMin
	for {
		ctx, cancel := context.WithTimeout(p.ctx, proposeTimeout)
		ans, err := p.cfg.Proposer.Propose(ctx, raw)
		cancel()
		if err == nil && final(ans) {
			return ans, true
		}
		p.silent()
		select {
		case <-p.ctx.Done():
			return nil, false
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

// final says that proposing the same bytes again can't change the answer.
func final(a *ledger.Answer) bool {
	return a.Status == ledger.Placed || a.Status == ledger.Contradicted || a.Status == ledger.Rejected && a.Reason != ledger.ParkingFull
}

// silent notes that the group gave no answer. A bureau that was linked, and knows a leader,
// waits D before it believes that.
func (p *Pollbook) silent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == CatchingUp || !p.cfg.Proposer.Linked() {
		p.link = Alone
	}
}

// answered takes the group's answer for a batch that was proposed; next is the cursor
// behind it.
func (p *Pollbook) answered(b *ledger.Batch, ans *ledger.Answer, next journal.Cursor) {
	p.mu.Lock()
	if ans.Status != ledger.Placed {
		defer p.mu.Unlock()
		p.link = Alone // no admission of this session will be answered
		p.cfg.Logger.Error("the group did not place a batch of this bureau; this machine needs a new session", "status", int(ans.Status), "reason", int(ans.Reason))
		return
	}
	if behind := p.cfg.Journal.Behind(next); p.link != Linked && behind > maxAhead {
		p.link = CatchingUp
	} else {
		p.link = Linked
	}
	p.mu.Unlock()
	p.verdicts(b, ans.Verdicts)
}

// verdicts hands the group's verdicts to the admissions that wait for them. After the light a
// conflict is an alarm; Step tells the two apart.
func (p *Pollbook) verdicts(b *ledger.Batch, vs []ledger.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, v := range vs {
		p.verdict(b, i, v)
	}
}

// verdict steps the right of one placed statement of this bureau; a proxy's two are stepped by
// the principal's.
func (p *Pollbook) verdict(b *ledger.Batch, i int, v ledger.Verdict) {
	id := ledger.StatementID{Session: b.Header.Author.Session, Sequence: b.Header.First + uint64(i)}
	touched := ledger.Touches(b.Statements[i].Body)
	if len(touched) == 0 {
		return
	}
	r, e := p.rows[touched[0]], rights.Answered{ID: id, Verdict: v}
	if r == nil {
		return
	}
	if r.state.Record.By != id {
		r.early = &e
		return
	}
	if r.barrier != nil {
		r.barrier.Stop()
		r.barrier = nil
	}
	p.stepLocked(r, e, nil)
}
