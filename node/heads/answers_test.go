package heads

import (
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// says is what bureau 2, leading, answers bureau 1 for a batch.
func (c *commune) says(b *ledger.Batch, position uint64) *ledger.Word {
	ans := ledger.Answer{Status: ledger.Placed, Position: position, Verdicts: make([]ledger.Verdict, len(b.Statements))}
	return ledger.SignAnswered(ledgertest.Key(ledgertest.DeviceName(2, 0)), c.Group, ledger.Member{Bureau: 2}, 0, b, ans)
}

// told gives bureau 1 an answer for its batch.
func (c *commune) told(b *ledger.Batch, position uint64) {
	c.members[1].Heard(c.says(b, position), &b.Header)
}

func TestAnswersThatTheLedgerBearsOutRaiseNoAlarm(t *testing.T) {
	c := newCommune(t, 2)
	m, again := c.members[1], 0
	m.cfg.Again = func() { again++ }
	b := c.write(1, ledgertest.Admission(0))
	c.told(m.own[0], 1)
	c.told(b, 2)
	c.told(b, 2) // proposed again
	m.hold()     // the ledger here is behind the leader's
	if len(m.answers.promised) != 2 {
		t.Errorf("%d answers are waited for, want 2", len(m.answers.promised))
	}
	c.handIn(1, 1)
	m.hold()
	if a := m.Alarms(); a != (Alarms{}) || len(m.recorded) > 0 || again > 0 || len(m.answers.promised) > 0 {
		t.Errorf("alarms %+v, %d records, proposed again %d times, %d still waited for", a, len(m.recorded), again, len(m.answers.promised))
	}
}

func TestAPlaceThatTheLedgerGivesToAnotherIsNoticedAndTheBatchProposedAgain(t *testing.T) {
	c := newCommune(t, 2)
	m, again := c.members[1], 0
	m.cfg.Again = func() { again++ }
	c.told(m.own[0], 1)
	c.place(c.members[2].own[0], 1) // the leader's own batch stands there
	m.hold()
	m.hold()
	if a := m.Alarms(); !a.LeftOut || again != 1 {
		t.Errorf("alarms %+v, proposed again %d times, want once", a, again)
	}
	// Asked again, the same leader has another answer: its two words prove it, to anybody.
	c.told(m.own[0], 2)
	c.told(m.own[0], 1)
	m.hold()
	if a := m.Alarms(); a.Equivocations != 1 || len(m.recorded) != 1 {
		t.Fatalf("alarms %+v, %d records", a, len(m.recorded))
	}
	proof := m.recorded[0].(*ledger.Equivocation)
	first, err := ledger.DecodeWord(proof.First)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ledger.DecodeWord(proof.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Group.Contradiction(first, second); !ok {
		t.Error("the proof does not hold")
	}
}

func TestTwoBatchesAtOneEntryAreProof(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	b := c.write(1, ledgertest.Admission(0))
	c.told(m.own[0], 7)
	c.told(b, 7)
	m.hold()
	if m.Alarms().Equivocations != 1 {
		t.Errorf("alarms %+v", m.Alarms())
	}
}

func TestAnAnswerThatTheLedgerContradictsIsNoticed(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	m.cfg.Again = func() { t.Error("what is placed is proposed again") }
	c.told(m.own[0], 2)
	c.handIn(1, 1)
	m.hold()
	if a := m.Alarms(); !a.Differs || a.LeftOut {
		t.Errorf("alarms %+v", a)
	}
}

func TestAPromiseBeyondTheLedgerIsOverdueOnlyWhileTheLedgerGrows(t *testing.T) {
	c := newCommune(t, 2)
	m, again := c.members[1], 0
	m.cfg.Again = func() { again++ }
	id := m.own[0].Header.Identity()
	c.told(m.own[0], 1000)
	p := m.answers.promised[id]
	p.since = time.Now().Add(-2 * promiseOverdue)
	m.answers.promised[id] = p
	if m.hold(); again > 0 || m.Alarms().LeftOut {
		t.Error("alarm although this bureau may be cut off")
	}
	c.place(c.members[2].own[0], 1)
	if m.hold(); again != 1 || !m.Alarms().LeftOut {
		t.Errorf("proposed again %d times, alarms %+v", again, m.Alarms())
	}
}

func TestAnswersThatAreKeptAreBounded(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	w := c.says(m.own[0], 1)
	for i := range uint64(maxAnswers + 100) {
		w := *w
		said := *w.Answered
		said.Answer.Position, said.Batch = 1+i, ledger.Hash{byte(i), byte(i >> 8), 1}
		w.Answered = &said
		m.Heard(&w, &m.own[0].Header)
	}
	if a := m.answers; len(a.words) > maxAnswers || len(a.of) > 2*maxAnswers || len(a.promised) > maxAnswers {
		t.Errorf("%d words under %d names, %d promises", len(a.words), len(a.of), len(a.promised))
	}
}

func TestAnAnswerThatMayBecomeAnotherPromisesNothing(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	for _, ans := range []ledger.Answer{{Status: ledger.Parked}, {Status: ledger.Rejected, Reason: ledger.ParkingFull}} {
		m.Heard(ledger.SignAnswered(ledgertest.Key(ledgertest.DeviceName(2, 0)), c.Group, ledger.Member{Bureau: 2}, 0, m.own[0], ans), &m.own[0].Header)
	}
	c.told(m.own[0], 1)
	m.hold()
	if a := m.Alarms(); a != (Alarms{}) || len(m.answers.words) != 1 {
		t.Errorf("alarms %+v, %d words", a, len(m.answers.words))
	}
}

func TestABureauThatIsLeftOutIsToldWhileTheLedgerGrows(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	m.watch()
	c.place(c.members[2].own[0], 1) // the leader places others, and answers nothing
	if m.watch(); m.Alarms().LeftOut {
		t.Error("alarm at once")
	}
	m.waits.since = time.Now().Add(-2 * overdue)
	if m.watch(); !m.Alarms().LeftOut {
		t.Error("no alarm")
	}
	m.handedIn = 1
	if m.watch(); m.Alarms().LeftOut {
		t.Error("an alarm after the batch has its place")
	}
	// Nobody is left out of a ledger that stands still, nor after its place.
	for _, handedIn := range []bool{false, true} {
		m := newCommune(t, 2).members[1]
		m.watch()
		if handedIn {
			m.handedIn = 1
		}
		m.waits.since = time.Now().Add(-2 * overdue)
		if m.watch(); m.Alarms().LeftOut {
			t.Errorf("alarm, handed in %v", handedIn)
		}
	}
}
