package rights

import (
	"testing"

	"pointage/ledger"
)

// One test for each rule of node/DESIGN.md that lives here, and for each promise.

func TestHomeElectorIsAdmittedAlone(t *testing.T) {
	home := newCommune(t, nil).stations[1]
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.durable()
	home.do(Expired{})
	got := home.mustTell(ledger.NotRefused)
	if got.Group || got.At != 1 || got.Record != home.s.Record.By || got.Answers != CheckIn {
		t.Fatalf("told %+v", got)
	}
	if len(home.sent) > 0 {
		t.Fatalf("asked others: %+v", home.sent)
	}
	home.mustBe(ledger.Admitted, 0)
}

func TestLightWaitsForTheRecord(t *testing.T) { // R1
	home := newCommune(t, nil).stations[1]
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	for _, e := range []Event{Expired{}, Answered{}, Ask{Means: ledger.ByCard}, Leave{}, Unreachable{}} {
		home.do(e)
	}
	if len(home.lights) > 0 {
		t.Fatal("a light before the record")
	}
	home.durable()
	if len(home.lights) > 0 {
		t.Fatal("a light before the barrier")
	}
	home.do(Answered{ID: home.waits[0]})
	if got := home.mustTell(ledger.NotRefused); !got.Group || len(home.lights) != 1 {
		t.Fatalf("told %+v, %d lights", got, len(home.lights))
	}
}

func TestReleaseIsSentOnlyWhenDurable(t *testing.T) { // R2
	home := newCommune(t, nil).stations[1]
	home.do(Requested{By: 2})
	home.silent()
	home.do(Requested{By: 2})
	home.silent()
	home.durable()
	if m := home.message(ReleaseMessage); m.To != 2 {
		t.Fatalf("sent to %d", m.To)
	}
	home.settle()
	if m := home.message(ReleaseMessage); m.To != 2 {
		t.Fatalf("repeated to %d", m.To)
	}
	home.mustBe(ledger.Released, 0)
}

func TestReturnedReleaseIsNeverHeldAgain(t *testing.T) { // R3
	home, away, release, back := returned(t)
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	away.sent = nil
	away.get(release)
	if again := away.message(ReturnMessage); string(again.Message.Extract) != string(back.Message.Extract) {
		t.Fatal("the return that was sent again is another one")
	}
	away.mustBe(ledger.None, 1)
	away.crash()
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	away.sent = nil
	away.get(release)
	home.get(away.message(ReturnMessage))
	home.durable()
	home.mustBe(ledger.Own, 1)
	away.mustBe(ledger.None, 1)
}

func TestReturnOfAnotherReleaseIsNotTaken(t *testing.T) { // R4
	home, _, _, back := returned(t)
	home.get(back)
	home.durable()
	home.get(back)
	home.mustBe(ledger.Own, 1)
	home.do(Requested{By: 2})
	home.durable()
	home.mustBe(ledger.Released, 1)
	home.get(back)
	if home.s.Pending != nil {
		t.Fatal("an old return brings a new release home")
	}
	home.mustBe(ledger.Released, 1)
}

func TestReturnIsSentOnlyWhenDurable(t *testing.T) { // R5
	_, away, release := released(t)
	away.do(Leave{})
	away.get(release)
	away.silent()
	away.get(release)
	away.silent()
	away.durable()
	away.message(ReturnMessage)
}

func TestNoTimeBringsARightBack(t *testing.T) { // R6
	home, _, _ := released(t)
	was := home.s
	for range 100 {
		for _, e := range []Event{Expired{}, Unreachable{}, Leave{}, Lost{}, Answered{}, Undo{}, Requested{By: 2}, Requested{By: 3}} {
			home.do(e)
		}
	}
	if home.s.Record != was.Record || home.s.Pending != nil {
		t.Fatalf("released, then %+v", home.s.Record)
	}
}

func TestReleaseToAnotherBureauIsNotHeld(t *testing.T) { // R7
	home, _, release := released(t)
	third := home.stations[3]
	third.do(Ask{Means: ledger.ByCard, Attester: 1})
	third.sent = nil
	if out := third.get(release); out != nil || third.s.Pending != nil {
		t.Fatalf("took a release to bureau 2: %v", out)
	}
	home.do(Requested{By: 3})
	third.get(home.message(DenyMessage))
	if got := third.mustTell(ledger.ReleasedElsewhere); got.At != 2 {
		t.Fatalf("sent to bureau %d", got.At)
	}
}

func TestReleasedRightIsNotAdmittedAtHome(t *testing.T) { // R8
	home, _, _ := released(t)
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	if got := home.mustTell(ledger.ReleasedElsewhere); got.At != 2 || home.s.Pending != nil {
		t.Fatalf("told %+v", got)
	}
	home.crash()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.mustTell(ledger.ReleasedElsewhere)
	home.mustBe(ledger.Released, 0)
}

func TestHandedAdmissionIsUndoneOnlyByTwoPersons(t *testing.T) { // R11
	home := newCommune(t, nil).stations[1]
	home.admit()
	home.do(Undo{Reason: 2})
	home.mustTell(ledger.NothingToCorrect)
	home.do(Annul{Reason: 1, Attesters: [2]uint16{3, 3}})
	home.mustTell(ledger.SecondPersonNeeded)
	home.mustBe(ledger.Admitted, 0)
	home.do(Annul{Reason: 1, Attesters: [2]uint16{3, 1}})
	home.durable()
	if got := home.mustTell(ledger.NotRefused); got.Answers != Correction {
		t.Fatal("a correction that could be taken for a green light")
	}
	home.mustBe(ledger.Own, 0)
	home.do(Annul{Reason: 1, Attesters: [2]uint16{3, 1}})
	home.mustTell(ledger.NothingToCorrect)
	home.admit()
	if got := ledger.Admissions(home.day.View, home.right); len(got) != 1 {
		t.Fatalf("%d live admissions", len(got))
	}
}

func TestReleasedRightIsNotReleasedAgain(t *testing.T) { // R12
	home, _, _ := released(t)
	home.do(Requested{By: 3})
	if home.s.Pending != nil || home.s.Record.To != 2 {
		t.Fatal("the right was given away twice")
	}
	home.message(DenyMessage)
}

func TestRestartKnowsWhatWasRecorded(t *testing.T) { // R13
	home := newCommune(t, nil).stations[1]
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.record() // durable, and the machine dies before it can say so
	home.crash()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	if got := home.mustTell(ledger.AlreadyAdmitted); got.At != 1 || got.Record != home.s.Record.By {
		t.Fatalf("told %+v", got)
	}
	if !home.s.Handed {
		t.Fatal("after a restart an admission counts as handed over")
	}
	home.do(Undo{Reason: 2})
	home.mustTell(ledger.NothingToCorrect)
	home.do(Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
	home.durable()
	home.mustTell(ledger.NotRefused)
	home.admit()
}

func TestAdmissionAwayWaitsForTheHold(t *testing.T) { // R14
	home, away, release := released(t)
	away.get(release)
	if _, ok := away.s.Pending.(*ledger.Hold); !ok {
		t.Fatalf("writes %T first", away.s.Pending)
	}
	away.silent()
	away.crash() // the hold was not durable
	away.mustBe(ledger.None, 0)
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	away.sent = nil
	away.get(release)
	away.durable()
	away.durable()
	away.do(Answered{ID: away.waits[0]})
	away.mustTell(ledger.NotRefused)
	away.mustBe(ledger.Admitted, 0)
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.mustTell(ledger.ReleasedElsewhere)
}

func TestUsedRightIsNotReturned(t *testing.T) { // R16
	_, away, release := released(t)
	away.get(release)
	away.settle()
	away.mustTell(ledger.NotRefused)
	for _, e := range []Event{Leave{}, Arrived{release.Message.Extract}, Undo{}} {
		away.do(e)
	}
	away.crash()
	for _, e := range []Event{Leave{}, Arrived{release.Message.Extract}, Undo{}} {
		away.do(e)
	}
	if away.s.Pending != nil || len(away.sent) > 0 {
		t.Fatal("a used right goes home")
	}
	away.mustBe(ledger.Admitted, 0)
}

func TestNoLightWhileAVoidIsUnderWay(t *testing.T) { // R17
	home := newCommune(t, nil).stations[1]
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.durable()
	home.do(Undo{Reason: 2})
	for _, e := range []Event{Answered{ID: home.waits[0]}, Expired{}, Undo{Reason: 2}} {
		home.do(e)
	}
	if len(home.lights) > 0 {
		t.Fatal("a light while the void is under way")
	}
	home.durable()
	if got := home.mustTell(ledger.Withdrawn); got.Answers != CheckIn|Correction {
		t.Fatalf("told %+v", got)
	}
	home.mustBe(ledger.Own, 0)
}
