package rights

import (
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
)

func TestSecondCheckInIsRefused(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	if got := home.mustTell(ledger.InProgress); got.Answers != CheckIn {
		t.Fatalf("told %+v", got)
	}
	home.settle()
	first := home.mustTell(ledger.NotRefused)
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	if got := home.mustTell(ledger.AlreadyAdmitted); got.Record != first.Record || got.At != 1 {
		t.Fatalf("told %+v, the first was %+v", got, first)
	}
	home.do(Requested{By: 2})
	home.message(DenyMessage)
	if len(home.lights) != 1 {
		t.Fatalf("%d lights", len(home.lights))
	}
}

func TestUndoneAdmissionFreesTheRight(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.do(Undo{Reason: 2})
	home.mustTell(ledger.NothingToCorrect)
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.durable()
	home.do(Undo{Reason: 2})
	home.settle()
	home.mustTell(ledger.Withdrawn)
	if got := ledger.Admissions(home.day.View, home.right); len(got) != 0 {
		t.Fatalf("%d live admissions", len(got))
	}
	home.admit()
}

func TestUndoneAdmissionAwayGoesHome(t *testing.T) {
	for name, undo := range map[string]func(*station){
		"void":      func(away *station) { away.do(Undo{Reason: 2}) },
		"conflict":  func(away *station) { away.do(conflict(away.s.Record.By)) },
		"annulment": func(away *station) { away.do(Expired{}); away.do(Annul{Reason: 1, Attesters: [2]uint16{1, 2}}) },
	} {
		t.Run(name, func(t *testing.T) {
			home, away, release := released(t)
			away.get(release)
			away.durable()
			away.durable()
			undo(away)
			away.settle()
			home.get(away.message(ReturnMessage))
			home.durable()
			home.admit()
			away.mustBe(ledger.None, 1)
		})
	}
}

func conflict(id ledger.StatementID) Event {
	return Answered{ID: id, Verdict: ledger.Verdict{Class: ledger.AlreadyAdmittedClass, Against: 1}}
}

func TestConflictVoidsBeforeTheLightAndAlarmsAfterIt(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.durable()
	home.do(conflict(home.s.Record.By))
	home.durable()
	home.mustTell(ledger.ConflictFound)
	if len(home.lights) > 0 || len(home.alarm) > 0 {
		t.Fatal("a light, or an alarm, for what was voided")
	}
	home.admit()
	home.do(conflict(home.s.Record.By))
	if len(home.alarm) != 1 || home.s.Pending != nil {
		t.Fatal("no alarm, or a void after the light")
	}
	home.mustBe(ledger.Admitted, 0)
}

func TestAnswerForAnUndoneAdmissionIsNotTheNextOnes(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.admit()
	first := home.s.Record.By
	home.do(Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
	home.settle()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.durable()
	home.told = nil
	home.do(Answered{ID: first})
	home.do(conflict(first))
	home.silent()
	if home.s.Desk != Awaiting || home.s.Pending != nil || len(home.alarm) > 0 {
		t.Fatal("the group's answer for the annulled admission was taken for the new one's")
	}
	home.do(Answered{ID: home.s.Record.By})
	if got := home.mustTell(ledger.NotRefused); !got.Group {
		t.Fatal("the new one's own answer has no effect")
	}
}

func TestLateReleaseIsReturned(t *testing.T) {
	home, away, release := released(t)
	away.do(Unreachable{})
	away.mustTell(ledger.HomeUnreachable)
	away.get(release)
	away.durable()
	home.get(away.message(ReturnMessage))
	home.durable()
	home.admit()
}

func TestReleaseThatArrivesAsTheElectorLeavesIsReturned(t *testing.T) {
	home, away, release := released(t)
	away.get(release)
	away.do(Leave{})
	away.settle()
	home.get(away.message(ReturnMessage))
	home.durable()
	home.admit()
}

func TestRightComesHomeWhenTheElectorAsksThere(t *testing.T) {
	t.Run("the release was lost", func(t *testing.T) {
		home, away, _ := released(t)
		away.crash()
		callHome(home, away)
	})
	t.Run("the return was lost", func(t *testing.T) {
		home, away, _, _ := returned(t)
		away.crash()
		home.crash()
		callHome(home, away)
	})
	t.Run("the machine died between hold and admission", func(t *testing.T) {
		home, away, release := released(t)
		away.get(release)
		away.record()
		away.crash()
		away.mustBe(ledger.Held, 0)
		callHome(home, away)
	})
}

// callHome: asking at home calls the right back, asking again finds it.
func callHome(home, away *station) {
	home.tb.Helper()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.mustTell(ledger.ReleasedElsewhere)
	away.get(home.message(ReleaseMessage))
	away.settle()
	home.get(away.message(ReturnMessage))
	home.settle()
	home.admit()
}

func TestAskingAtHomeDoesNotTakeARightThatIsUsed(t *testing.T) {
	home, away, release := released(t)
	away.get(release)
	away.settle()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	away.get(home.message(ReleaseMessage))
	away.settle()
	if len(away.sent) > 0 {
		t.Fatal("a used right was returned")
	}
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.mustTell(ledger.ReleasedElsewhere)
}

func TestDenialSaysWhereTheElectorWasAdmitted(t *testing.T) {
	m := newCommune(t, nil)
	home, away := m.stations[1], m.stations[2]
	home.admit()
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.get(away.message(RequestMessage))
	denial := home.message(DenyMessage)
	away.get(denial)
	if got := away.mustTell(ledger.AlreadyAdmitted); got.At != 1 {
		t.Fatalf("told %+v", got)
	}
	away.get(denial)
	away.silent()
}

func TestUnreachableHomeUsesNothingUp(t *testing.T) {
	m := newCommune(t, nil)
	home, away := m.stations[1], m.stations[2]
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	away.do(Unreachable{})
	away.mustTell(ledger.HomeUnreachable)
	away.do(Unreachable{})
	away.mustBe(ledger.None, 0)
	home.admit()
}

func TestPolicyKeepsRightsAtHome(t *testing.T) {
	m := newCommune(t, func(m *election.Manifest) { m.Where = election.HomeBureau })
	home, away := m.stations[1], m.stations[2]
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	if got := away.mustTell(ledger.OtherBureau); got.At != 1 {
		t.Fatalf("told %+v", got)
	}
	home.do(Requested{By: 2})
	home.silent()
	home.mustBe(ledger.Own, 0)
}

func TestRequestsThatCannotBeMoveNothing(t *testing.T) {
	m := newCommune(t, nil)
	home, away := m.stations[1], m.stations[2]
	for _, by := range []ledger.BureauNumber{0, 1, 4, 60_000} {
		home.do(Requested{By: by})
	}
	away.do(Requested{By: 3})
	home.silent()
	away.silent()
	if home.s.Pending != nil || away.s.Pending != nil {
		t.Fatal("a right is moving")
	}
}

func TestLastNumberKeepsTheRightAtHome(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.s.Record.Nonce = ledger.MaxNonce
	next, out := Step(home.c, home.s, Requested{By: 2})
	if next.Pending != nil || len(out) > 0 {
		t.Fatal("released under a number after which there is none")
	}
	next, _ = Step(home.c, home.s, Ask{Means: ledger.ByCard, Attester: 1})
	if _, err := ledger.NewStatement(0, next.Pending).Encode(); err != nil {
		t.Fatalf("the elector can't be admitted at home: %v", err)
	}
}

func TestWhoeverWaitsIsToldThatTheJournalStopped(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*station)
		whom   Acts
	}{
		"admission": {func(u *station) { u.do(Ask{Means: ledger.ByCard, Attester: 1}) }, CheckIn},
		"void":      {func(u *station) { u.do(Ask{Means: ledger.ByCard, Attester: 1}); u.durable(); u.do(Undo{}) }, CheckIn | Correction},
		"annulment": {func(u *station) { u.admit(); u.do(Annul{Attesters: [2]uint16{1, 2}}) }, Correction},
		"release":   {func(u *station) { u.do(Requested{By: 2}) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			home := newCommune(t, nil).stations[1]
			c.before(home)
			was := home.s.Record
			home.told = nil
			home.do(Lost{})
			if c.whom == 0 {
				home.silent()
			} else if got := home.mustTell(ledger.BureauNotOpen); got.Answers != c.whom {
				t.Fatalf("told %+v", got)
			}
			if home.s.Record != was || home.s.Pending != nil || home.s.Desk != Idle {
				t.Fatalf("left %+v", home.s)
			}
		})
	}
}

func TestOneRightDoesOneThingAtATime(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.do(Requested{By: 2})
	release, _ := home.s.Pending.(*ledger.Release)
	for _, e := range []Event{
		Ask{Means: ledger.ByCard, Attester: 1}, Requested{By: 3}, provisionally, Annul{Attesters: [2]uint16{1, 2}},
	} {
		out := home.do(e)
		if len(out) != 1 || out[0] != Effect(Defer{e}) || home.s.Pending != ledger.Body(release) {
			t.Fatalf("%T while a release is being written: %v", e, out)
		}
	}
	home.settle()
	home.mustBe(ledger.Released, 0)
}

func TestCarryRightMovesAsTheAdmitRightDoes(t *testing.T) {
	m := newCommune(t, nil)
	home, away := m.stations[1], m.stations[2]
	m.right.Kind = ledger.Carry
	for _, u := range m.stations[1:] {
		u.c.Right = m.right
	}
	home.do(Requested{By: 2})
	home.durable()
	away.get(home.message(ReleaseMessage))
	away.durable()
	home.get(away.message(ReturnMessage))
	home.durable()
	home.mustBe(ledger.Own, 1)
	if rec := m.day.Group.ReadRecord(m.day.View, 1, ledger.Right{Elector: m.right.Elector, Kind: ledger.Admit}); rec != (ledger.Record{State: ledger.Own}) {
		t.Fatalf("the admit right moved too: %+v", rec)
	}
	defer func() {
		if recover() == nil {
			t.Fatal("a check-in by the carry right")
		}
	}()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
}

func TestUnknownMessageIsNoEvent(t *testing.T) {
	for k := range MessageKind(255) {
		e := Message{Kind: k}.Event()
		if known := k >= RequestMessage && k <= ProxyRequestMessage; known != (e != nil) {
			t.Errorf("message of kind %d is %T", k, e)
		}
	}
}

func TestEveryUseOfTheRightAtHomeIsADenial(t *testing.T) {
	for name, c := range map[string]struct {
		kind ledger.RightKind
		body func(e, other ledger.ElectorToken) ledger.Body
	}{
		"provisional": {ledger.Admit, func(e, _ ledger.ElectorToken) ledger.Body {
			return &ledger.Provisional{Elector: e, Means: ledger.ByCard}
		}},
		"principal of a proxy": {ledger.Admit, func(e, o ledger.ElectorToken) ledger.Body {
			return &ledger.ProxyAdmission{Principal: e, Holder: o, Form: []byte("1"), Means: ledger.ByCard}
		}},
		"holder of a proxy": {ledger.Carry, func(e, o ledger.ElectorToken) ledger.Body {
			return &ledger.ProxyAdmission{Principal: o, Holder: e, Form: []byte("1"), Means: ledger.ByCard}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newCommune(t, nil)
			away := m.stations[2]
			home := ledger.Author{Bureau: 1, Session: ledger.SessionID{1}}
			proof := signed(t, m.day.Group, home, 1, 5, c.body(m.right.Elector, ledger.ElectorToken{1})).extract
			for _, kind := range []ledger.RightKind{ledger.Admit, ledger.Carry} {
				away.c.Right.Kind = kind
				s, out := Step(away.c, State{Desk: Asking, Asked: Ask{Means: ledger.ByCard}}, Denied{proof})
				if denied := s.Desk == Idle && len(out) == 2; denied != (kind == c.kind) {
					t.Errorf("denies the %v right: %v", kind, denied)
				}
			}
		})
	}
}

func TestStatementThatDoesNotFollowIsNotRecovered(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.admit()
	was := home.past[0]
	s, why := home.c.Recover(home.s, was.id, was.body, was.extract)
	if why != ledger.NotHeld || s.Record != home.s.Record {
		t.Fatalf("read twice: %v, %+v", why, s.Record)
	}
}
