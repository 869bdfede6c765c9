package simulation

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node"
)

func TestWhoIsSentOnComesToTheOtherBureau(t *testing.T) {
	d := &day{}
	d.lead(map[ledger.BureauNumber]ledger.BureauNumber{1: 2, 2: 1})
	if d.door(1) != 2 || d.door(2) != 1 || d.door(3) != 3 {
		t.Errorf("%d %d %d", d.door(1), d.door(2), d.door(3))
	}
	if d.lead(nil); d.door(1) != 1 {
		t.Error("still sent on")
	}
}

func TestAMarkTakenBackIsNoLightAnyLonger(t *testing.T) {
	d, v := newTold(), &visitor{elector: 1, home: 1}
	d.note(attempt{visitor: v, at: 1}, node.Answer{Admitted: true, Record: "a/1"})
	d.withdraw(1)
	if d.has(1) || d.lost(nil) != 0 {
		t.Error("it still counts")
	}
	d.note(attempt{visitor: v, at: 2}, node.Answer{Admitted: true, Record: "b/1"})
	if d.double() != 0 || d.lost(nil) != 1 {
		t.Errorf("%d double, %d lost", d.double(), d.lost(nil))
	}
}

func TestAClockGoesWrongAndStandsStill(t *testing.T) {
	var c clock
	if off := time.Until(c.now()).Abs(); off > time.Minute {
		t.Errorf("a right clock is %v off", off)
	}
	r := rand.New(rand.NewPCG(1, 1))
	stood, wrong := false, false
	for range 50 {
		c.goWrong(r)
		a, b := c.now(), c.now()
		stood = stood || a.Equal(b)
		wrong = wrong || time.Until(a).Abs() > time.Minute
	}
	if !stood || !wrong {
		t.Errorf("stood still: %v, was wrong: %v", stood, wrong)
	}
}

func TestAFaultThatCanNotBePlayedIsRefusedBeforeTheDay(t *testing.T) {
	fs, err := FindScenarios("clocks-wrong")
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{Bureaux: 3, Electors: 60, Day: time.Second, Out: t.TempDir(), Faults: fs, Processes: true}
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "--faults: clocks-wrong moves the clocks of bureaux in one process: leave --processes out") {
		t.Errorf("%v", err)
	}
	p.Processes = false
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	p.Faults = []Scenario{{Name: "none-such", needs: func(*Plan) error { return errors.New("needs what is not there") }}}
	if err := p.Check(); err == nil || err.Error() != "--faults: none-such needs what is not there" {
		t.Errorf("%v", err)
	}
}
