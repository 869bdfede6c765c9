package pollbook

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/journal"
)

const (
	// proposeTimeout ends one try of a proposal.
	proposeTimeout = 5 * time.Second
	// retryMin and retryMax bound the pause after a try that gave no answer: each try is an entry in every member's log.
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
	// parkedAgain is when a batch is proposed again that waits in the group for the one before it: it has its place
	// with that one, and is there unless the group has begun anew.
	parkedAgain = 5 * time.Second
	// maxAhead is how many batches an admission may be behind what the group answers, and
	// still wait for its own answer.
	maxAhead = 1
	// maxUnderWay is how many batches of a backlog are proposed at a time. One that overtakes another
	// waits for it in the group (at most ledger.MaxParkedBatches do), and is asked for again.
	maxUnderWay = 16
)

// upload proposes the bureau's durable batches, in order, the same bytes again until the
// group has answered. While the group answers it is one at a time, so that under load the journal
// gathers many statements under one signature instead; a backlog goes in many at a time. When the
// group begins anew, so does this.
func (p *Pollbook) upload() {
	for p.ctx.Err() == nil {
		p.mu.Lock()
		round, end := context.WithCancel(p.ctx)
		p.endRound, p.handedIn = end, p.cfg.Journal.Start()
		p.mu.Unlock()
		p.uploadFrom(round, p.cfg.Journal.Start())
		end()
	}
}

// Again says that the ledger has dropped batches that it had: what has no place there is proposed again.
func (p *Pollbook) Again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endRound != nil {
		p.endRound()
	}
}

// proposal is a batch that is proposed, or has its place already.
type proposal struct {
	batch  *ledger.Batch
	next   journal.Cursor
	placed bool
	answer chan *ledger.Answer // nil comes when the round ends
}

// uploadFrom proposes what stands behind the cursor, until the round ends. Answers are taken in
// the chain's order, whichever comes first.
func (p *Pollbook) uploadFrom(ctx context.Context, cur journal.Cursor) {
	var asking sync.WaitGroup
	defer asking.Wait()
	var under []proposal
	for {
		for len(under) == 0 || len(under) < p.window() && p.cfg.Journal.Behind(cur) > 0 {
			b, next, err := p.cfg.Journal.Next(ctx, cur)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
					p.cfg.Logger.Error("nothing more is handed in to the group", "err", err)
				}
				p.taken(ctx, under)
				<-ctx.Done()
				return
			}
			cur = next
			under = append(under, p.begin(ctx, &asking, b, next))
		}
		if !p.taken(ctx, under[:1]) {
			return
		}
		under = under[1:]
	}
}

// begin has a batch proposed, unless it has its place.
func (p *Pollbook) begin(ctx context.Context, asking *sync.WaitGroup, b *ledger.Batch, next journal.Cursor) proposal {
	x := proposal{batch: b, next: next, answer: make(chan *ledger.Answer, 1)}
	if ans, placed := p.cfg.View.Answer(b); placed {
		x.placed = true
		x.answer <- &ans
		return x
	}
	asking.Go(func() {
		ans, _ := p.proposeUntilAnswered(ctx, b)
		x.answer <- ans
	})
	return x
}

// taken waits for answers in turn; false when the round ends.
func (p *Pollbook) taken(ctx context.Context, under []proposal) bool {
	for _, x := range under {
		ans := <-x.answer
		if ans == nil || ctx.Err() != nil {
			return false
		}
		if x.placed {
			p.verdicts(x.batch, ans.Verdicts) // an earlier run may not have heard it
		} else {
			p.answered(x.batch, ans, x.next)
		}
		p.mu.Lock()
		if ctx.Err() == nil {
			p.handedIn = x.next
		}
		p.mu.Unlock()
	}
	return true
}

// window is how many batches are under way at a time.
func (p *Pollbook) window() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == CatchingUp {
		return maxUnderWay
	}
	return 1
}

// proposeUntilAnswered returns false when the round ends. Between two tries the ledger is asked: in a group that is
// slow, or loses its leader, what was proposed has its place before an answer arrives.
func (p *Pollbook) proposeUntilAnswered(round context.Context, b *ledger.Batch) (*ledger.Answer, bool) {
	raw, pause := b.Encode(), retryMin
	var parked time.Time
	for {
		if parked.IsZero() || time.Since(parked) > parkedAgain {
			if !p.tries.enter(round) {
				return nil, false
			}
			ctx, cancel := context.WithTimeout(round, proposeTimeout)
			ans, err := p.cfg.Proposer.Propose(ctx, raw)
			cancel()
			p.tries.leave(err == nil)
			if err == nil && final(ans) && round.Err() == nil {
				return ans, true
			}
			if parked = (time.Time{}); err == nil && ans.Status == ledger.Parked { // it overtook the one before
				parked = time.Now()
			} else {
				p.silent()
			}
		}
		select {
		case <-round.Done():
			return nil, false
		case <-time.After(pause):
		}
		if ans, placed := p.cfg.View.Answer(b); placed {
			return &ans, true
		}
		pause = min(2*pause, retryMax)
	}
}

// tries bounds how many proposals of a bureau are on their way at a time: one more after each answer, half as many after
// each that stays away. In a group that can't keep up, a hundred bureaux that all hand in a backlog would else fill its log
// with the same batches again at each change of its leader. The zero value is ready.
type tries struct {
	mu      sync.Mutex
	size    int // 0 for firstTries
	under   int
	waiting []chan struct{} // oldest first; closed when its turn comes
}

// firstTries is where tries begins.
const firstTries = 4

// enter waits for a turn; false when the round ends first.
func (t *tries) enter(round context.Context) bool {
	t.mu.Lock()
	if t.size == 0 {
		t.size = firstTries
	}
	if t.under < t.size {
		t.under++
		t.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	t.waiting = append(t.waiting, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-round.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, turn); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	} else { // its turn came meanwhile
		t.under--
		t.next()
	}
	return false
}

// leave ends a turn.
func (t *tries) leave(answered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if answered {
		t.size = min(t.size+1, maxUnderWay)
	} else {
		t.size = max(t.size/2, 1)
	}
	t.under--
	t.next()
}

// next gives free turns to the oldest who wait; mu is held.
func (t *tries) next() {
	for t.under < t.size && len(t.waiting) > 0 {
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
		t.under++
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
		p.tally.Alarms++
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
