package pollbook

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/ledger/rights"
)

// admittedBehind gives bureau 3 an admission in the ledger that it had no right to make, and
// that the other bureaux' own chains know nothing of.
func (c *commune) admittedBehind(es ...ledger.ElectorToken) {
	c.t.Helper()
	machine := c.day.Session(3, 3)
	bodies := []ledger.Body{&ledger.SessionOpened{Generation: 1, Media: 3}}
	for _, e := range es {
		bodies = append(bodies, &ledger.Admission{Elector: e, Means: ledger.ByCard, Attester: 1})
	}
	c.put(machine.Sign(bodies...).Encode())
}

func TestConflictVoidsBeforeTheLight(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	c.admittedBehind(home(1, 0))
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.ConflictFound, 0)
	if n := stated[*ledger.Void](one); n != 1 {
		t.Fatalf("%d voids in the chain", n)
	}
	if s := one.book.Status().Tally; s.Voided != 1 || s.Admitted != 0 || s.Alarms != 0 {
		t.Errorf("tally %+v", s)
	}
	if s := one.row(home(1, 0)).Record; s.State != ledger.Own {
		t.Errorf("the right is %v", s.State)
	}
}

func TestConflictVoidsForEveryTap(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	c.admittedBehind(home(1, 0))
	one.shut.Store(true)
	first, second := one.begin(t.Context(), home(1, 0)), one.begin(t.Context(), home(1, 0))
	eventually(t, "both desks wait", func() bool {
		one.book.mu.Lock()
		defer one.book.mu.Unlock()
		r := one.book.rows[right(home(1, 0))]
		return r != nil && len(r.waiters) == 2 && r.state.Desk == rights.Awaiting
	})
	one.shut.Store(false)
	wantRefusal(t, c.wait(first).receipt, ledger.ConflictFound, 0)
	wantRefusal(t, c.wait(second).receipt, ledger.ConflictFound, 0)
}

func TestConflictAfterTheLightRaisesTheAlarm(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.isolate()
	c.admittedBehind(home(1, 0))
	wantAdmitted(t, one.checkIn(home(1, 0)), false)
	one.join()
	eventually(t, "the alarm", func() bool { return one.book.Status().Tally.Alarms == 1 })
	if s := one.book.Status().Tally; s.Admitted != 1 || s.Voided != 0 {
		t.Errorf("tally %+v: what was handed over stays", s)
	}
}

func TestConflictThatARestartOverheardRaisesTheAlarm(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.isolate()
	wantAdmitted(t, one.checkIn(home(1, 0)), false)
	c.admittedBehind(home(1, 0))
	one.deaf.Store(1 << 20) // the group places it, and its answer is lost
	one.join()
	eventually(t, "it is placed", func() bool { return len(one.store.Admissions(right(home(1, 0)))) == 2 })
	one.stop()
	one.deaf.Store(0)
	one.start()
	eventually(t, "the alarm", func() bool { return one.book.Status().Tally.Alarms == 1 })
}

func TestBureauGoesOnAloneWithinD(t *testing.T) {
	const d = time.Second
	c := newCommune(t, func(c *commune) { c.barrier = d })
	one := c.opened(1)
	one.shut.Store(true)
	start := time.Now()
	wantAdmitted(t, one.checkIn(home(1, 0)), false)
	if took := time.Since(start); took < d || took > d+patience/4 {
		t.Fatalf("the first elector waited %v, D is %v", took, d)
	}
	if l := one.book.Status().Link; l != Alone {
		t.Fatalf("the bureau is %v", l)
	}
	for i := 1; i < 4; i++ {
		start = time.Now()
		wantAdmitted(t, one.checkIn(home(1, i)), false)
		if took := time.Since(start); took >= d {
			t.Fatalf("elector %d waited %v although the bureau is alone", i, took)
		}
	}
	one.shut.Store(false)
	one.linked()
	wantAdmitted(t, one.checkIn(home(1, 4)), true)
}

func TestNobodyWaitsBehindTheBacklog(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.isolate()
	for i := range 5 {
		wantAdmitted(t, one.checkIn(home(1, i)), false)
	}
	one.shut.Store(true)
	one.join()
	one.passes.Store(1)
	eventually(t, "the group has answered for the first of five batches", func() bool {
		s := one.book.Status()
		return s.Link == CatchingUp && s.Backlog == 4
	})
	wantAdmitted(t, one.checkIn(home(1, 5)), false) // the barrier is a minute
	one.shut.Store(false)
	one.linked()
}

func TestAnswerThatOvertakesTheWriterIsHeard(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	x := right(home(1, 0))
	// The uploader comes first when the writer's goroutine is held up; the row is as it is then.
	p := one.book
	p.mu.Lock()
	w := &waiter{acts: rights.CheckIn, answer: make(chan Receipt, 1), how: asked}
	r := p.row(x)
	r.waiters = append(r.waiters, w)
	r.state, _ = rights.Step(r.ctx, r.state, asked)
	body := r.state.Pending
	p.mu.Unlock()
	d, err := one.journal.Append(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	one.linked()
	x1 := d.Batch.Extract(d.First)
	enc, err := x1.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p.step(x, rights.Written{ID: x1.ID(), Extract: enc})
	select {
	case a := <-w.answer:
		wantAdmitted(t, a, true)
	default:
		t.Fatal("the desk waits for an answer that has come")
	}
}

func TestAnswerAndTimeOutAtOneMomentGiveOneLight(t *testing.T) {
	const d = 2 * time.Millisecond
	c := newCommune(t, func(c *commune) { c.barrier = d })
	one := c.opened(1)
	var desks sync.WaitGroup
	for i := range 60 {
		ch := one.begin(t.Context(), home(1, i))
		desks.Go(func() {
			if a := <-ch; a.err != nil || a.receipt.Refusal != ledger.NotRefused {
				t.Errorf("elector %d: %+v", i, a)
			}
		})
		if i%8 == 7 {
			desks.Wait()
			one.linked()
		}
	}
	desks.Wait()
	if n := one.book.Status().Tally.Admitted; n != 60 {
		t.Fatalf("%d admitted", n)
	}
	if n := stated[*ledger.Admission](one); n != 60 {
		t.Fatalf("%d admissions in the chain", n)
	}
}

func TestSameBytesAreProposedUntilTheyAreAnswered(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	c.mu.Lock()
	one.proposed = nil
	c.mu.Unlock()
	one.isolated.Store(true)
	x := one.begin(t.Context(), home(1, 0))
	eventually(t, "it is proposed again and again", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(one.proposed) > 3
	})
	one.isolated.Store(false)
	wantAdmitted(t, c.told(x), false)
	one.linked()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range one.proposed {
		if !bytes.Equal(b, one.proposed[0]) {
			t.Fatal("other bytes were proposed again")
		}
	}
	if as := one.store.Admissions(right(home(1, 0))); len(as) != 1 {
		t.Fatalf("%d admissions in the ledger", len(as))
	}
}

func TestAnAnswerThatIsLostIsFoundInTheLedger(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	c.mu.Lock()
	one.proposed = nil
	c.mu.Unlock()
	one.deaf.Store(3)
	wantAdmitted(t, one.checkIn(home(1, 0)), true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(one.proposed) != 1 {
		t.Errorf("proposed %d times: each is an entry in everybody's log", len(one.proposed))
	}
}

func TestBacklogIsPlacedInOrder(t *testing.T) {
	c := newCommune(t, nil)
	one, two := c.opened(1), c.opened(2)
	one.isolate()
	for i := range 6 {
		wantAdmitted(t, one.checkIn(home(1, i)), false)
	}
	if s := one.book.Status(); s.Link != Alone || s.Backlog < 6 {
		t.Fatalf("%+v", s)
	}
	one.join()
	one.linked()
	for i := range 6 {
		wantRefusal(t, two.checkIn(home(1, i)), ledger.AlreadyAdmitted, 1)
	}
	next, positions := uint64(0), []uint64(nil)
	err := two.store.ByBureau(1, func(at uint64) bool { positions = append(positions, at); return true })
	if err != nil || len(positions) < 7 {
		t.Fatal(positions, err)
	}
	for _, at := range positions {
		raw, err := two.store.Entry(at)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ledger.DecodeBatch(e.Batch)
		if err != nil {
			t.Fatal(err)
		}
		if b.Header.First != next {
			t.Fatalf("statement %d stands behind %d", b.Header.First, next)
		}
		next = b.Header.Next()
	}
}

func TestSessionThatTheGroupRefusesGoesOnAlone(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	// A clone of this machine's key speaks under the same session.
	clone := &ledgertest.Chain{}
	*clone = *c.day.Session(1, 0)
	clone.Author = one.journal.Author()
	clone.At = one.journal.Point()
	c.put(clone.Sign(&ledger.Count{CheckedIn: 1}).Encode())
	start := one.begin(t.Context(), home(1, 0))
	eventually(t, "the bureau hears that its session is closed", func() bool { return one.book.Status().Link == Alone })
	one.isolated.Store(true) // whoever waited already gets his light from the passing of D
	one.book.mu.Lock()
	one.book.cfg.Barrier = time.Millisecond
	one.book.mu.Unlock()
	wantAdmitted(t, one.checkIn(home(1, 1)), false)
	one.stop()
	if a := c.wait(start); a.err == nil && a.receipt.Refusal != ledger.NotRefused {
		t.Fatalf("%+v", a)
	}
}

// parking is a group in which the batch before never comes; at lists when it was asked.
type parking struct {
	mu sync.Mutex
	at []time.Time
}

func (g *parking) Linked() bool { return true }

func (g *parking) Propose(context.Context, []byte) (*ledger.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = append(g.at, time.Now())
	return &ledger.Answer{Status: ledger.Parked}, nil
}

func TestABatchThatWaitsForEverIsProposedRarely(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.isolate()
	wantAdmitted(t, c.told(one.begin(t.Context(), home(1, 0))), false)
	if err := one.book.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := &parking{}, error(nil)
	one.book, err = Open(Config{Group: c.day.Group, Journal: one.journal, Peers: peers{one}, Proposer: g, View: one.store})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is proposed again", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.at) > 1
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if took := g.at[1].Sub(g.at[0]); took < parkedAgain {
		t.Errorf("proposed again after %v: each time is an entry in everybody's log", took)
	}
}

func TestBacklogGoesInManyAtATimeAndInOrder(t *testing.T) {
	c := newCommune(t, nil)
	one := c.opened(1)
	one.isolate()
	const backlog = 60
	for i := range backlog {
		wantAdmitted(t, c.told(one.begin(t.Context(), home(1, i))), false)
	}
	c.mu.Lock()
	one.lag, one.most = 5*time.Millisecond, 0
	c.mu.Unlock()
	one.join()
	one.linked()
	c.mu.Lock()
	most := one.most
	one.lag = 0
	c.mu.Unlock()
	if most < 4 || most > maxUnderWay {
		t.Errorf("%d batches under way at a time", most)
	}
	for i := range backlog {
		if r := one.checkIn(home(1, i)); r.Refusal != ledger.AlreadyAdmitted || !r.Replicated && r.Record == (ledger.StatementID{}) {
			t.Fatalf("elector %d: %+v", i, r)
		}
	}
	if s := one.book.Status(); s.Tally.Alarms != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTwoBureauxThatReachOnlyEachOtherMoveRights(t *testing.T) {
	c := newCommune(t, func(c *commune) { c.barrier, c.asking = 50*time.Millisecond, 500*time.Millisecond })
	one, two, three := c.opened(1), c.opened(2), c.opened(3)
	for _, b := range []*bureau{one, two, three} {
		b.isolated.Store(true) // nobody leads anywhere
	}
	c.setCut(3, true)
	wantAdmitted(t, two.checkIn(home(1, 0)), false)
	wantRefusal(t, one.checkIn(home(1, 0)), ledger.ReleasedElsewhere, 2)
	wantAdmitted(t, one.checkIn(home(2, 0)), false)
	if r := two.checkIn(home(3, 0)); r.Refusal != ledger.HomeUnreachable {
		t.Errorf("a right of a bureau that nobody reaches: %+v", r)
	}
}
