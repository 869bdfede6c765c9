package rights

import (
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
)

var provisionally = AskProvisional{Ask: Ask{Means: ledger.ByCard, Attester: 1}, Reason: 3}

func lenient(m *election.Manifest) { m.Policy = election.ProvisionalAdmit }

func TestProvisionalAdmissionNeedsThePolicy(t *testing.T) {
	away := newCommune(t, nil).stations[2]
	away.do(provisionally)
	away.mustTell(ledger.OtherBureau)
	if away.s.Pending != nil {
		t.Fatal("admitted against the policy")
	}
}

func TestProvisionalAdmissionAwayIsMarkedAndCanBeAnnulled(t *testing.T) {
	m := newCommune(t, lenient)
	home, away := m.stations[1], m.stations[2]
	away.do(provisionally)
	away.settle()
	away.mustTell(ledger.NotRefused)
	away.mustBe(ledger.Provisioned, 0)
	away.do(provisionally)
	away.mustTell(ledger.AlreadyAdmitted)
	home.mustBe(ledger.Own, 0) // the right did not move
	away.crash()
	away.do(Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
	away.settle()
	away.mustTell(ledger.NotRefused)
	away.mustBe(ledger.None, 0)
	if len(away.sent) > 0 {
		t.Fatal("there is no right to return")
	}
}

func TestProvisionalAdmissionIsVoidedByAConflict(t *testing.T) {
	m := newCommune(t, lenient)
	m.stations[1].admit()
	away := m.stations[2]
	away.do(provisionally)
	away.durable()
	away.do(conflict(away.s.Record.By))
	away.settle()
	away.mustTell(ledger.ConflictFound)
	away.mustBe(ledger.None, 0)
}

func TestRightThatIsHereIsUsedInsteadOfAProvisionalAdmission(t *testing.T) {
	home := newCommune(t, lenient).stations[1]
	home.do(provisionally)
	home.settle()
	home.mustTell(ledger.NotRefused)
	home.mustBe(ledger.Admitted, 0)
}

func TestReleasedRightIsNotAdmittedProvisionallyAtHome(t *testing.T) {
	m := newCommune(t, lenient)
	home := m.stations[1]
	home.do(Requested{By: 2})
	home.settle()
	home.do(provisionally)
	home.mustTell(ledger.ReleasedElsewhere)
	home.message(ReleaseMessage)
	if home.s.Pending != nil {
		t.Fatal("admitted what was released")
	}
}

func TestReleaseForAProvisionallyAdmittedElectorComesHomeAfterItsAnnulment(t *testing.T) {
	m := newCommune(t, lenient)
	home, away := m.stations[1], m.stations[2]
	home.do(Requested{By: 2})
	home.settle()
	release := home.message(ReleaseMessage)
	away.do(provisionally)
	away.settle()
	away.get(release)
	if away.s.Pending != nil {
		t.Fatal("a right for an elector who has his ballot")
	}
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.mustTell(ledger.ReleasedElsewhere)
	away.do(Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
	away.settle()
	home.sent = nil
	callHome(home, away)
}

// unfenced marks a bureau's machine as one whose predecessor may still be at work.
func (u *station) unfenced() {
	u.tb.Helper()
	before := u.chain.Head()
	u.opened++
	u.chain = u.day.Session(u.n, byte(u.n)<<4|u.opened)
	u.chain.At.Previous = before.Hash
	u.chain.Put(&ledger.SessionOpened{Generation: 1, Media: 3, Continues: before, Unfenced: true})
	u.c.Standing = ledger.Standing{Author: u.chain.Author, Unfenced: true}
}

func TestUnfencedMachineMovesNoRight(t *testing.T) {
	m := newCommune(t, nil)
	home, away := m.stations[1], m.stations[2]
	home.unfenced()
	home.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.mustTell(ledger.UnfencedOnly)
	home.do(Requested{By: 2})
	home.silent()
	away.unfenced()
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	away.mustTell(ledger.UnfencedOnly)
	away.silent()
	if home.s.Pending != nil || away.s.Pending != nil {
		t.Fatal("an unfenced machine moves a right")
	}
}

func TestUnfencedMachineKeepsWhatItsPredecessorHeld(t *testing.T) {
	home, away, release := released(t)
	away.get(release)
	away.record()
	away.crash()
	away.unfenced()
	for _, e := range []Event{Leave{}, Arrived{release.Message.Extract}, Unreachable{}, Expired{}} {
		away.do(e)
	}
	away.silent()
	home.unfenced()
	_, _, _, back := returned(t)
	home.get(back)
	if away.s.Pending != nil || home.s.Pending != nil {
		t.Fatal("an unfenced machine moves a right")
	}
}

func TestUnfencedMachineAdmitsProvisionallyUnderEveryPolicy(t *testing.T) {
	for _, n := range []ledger.BureauNumber{1, 2} {
		u := newCommune(t, nil).stations[n]
		u.unfenced()
		u.do(provisionally)
		u.settle()
		u.mustTell(ledger.NotRefused)
		u.mustBe(ledger.Provisioned, 0)
	}
}

func TestUnfencedMachineRefusesWhatIsRecorded(t *testing.T) {
	m := newCommune(t, nil)
	home := m.stations[1]
	home.admit()
	home.crash()
	home.unfenced()
	home.do(provisionally)
	home.mustTell(ledger.AlreadyAdmitted)

	home, _, _ = released(t)
	home.unfenced()
	home.do(provisionally)
	home.mustTell(ledger.ReleasedElsewhere)
}
