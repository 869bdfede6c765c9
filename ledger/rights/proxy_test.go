package rights

import (
	"fmt"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// tables are three bureaux that admit by proxy: all their rights, one chain each, messages that
// arrive at once unless they are cut off.
type tables struct {
	t    *testing.T
	day  *ledgertest.Day
	at   [bureaux + 1]*tableOf
	cut  bool
	late []Send
}

type tableOf struct {
	*tables
	n      ledger.BureauNumber
	chain  *ledgertest.Chain
	states map[ledger.Right]State
	past   []said
	told   []Tell
	now    ledger.Standing
}

func newTables(t *testing.T, change func(*election.Manifest)) *tables {
	t.Helper()
	ts := &tables{t: t, day: ledgertest.NewDay(t, bureaux, maxElectors, change)}
	for n := ledger.BureauNumber(1); n <= bureaux; n++ {
		c := ts.day.Started(n)
		ts.at[n] = &tableOf{tables: ts, n: n, chain: c, states: map[ledger.Right]State{}, now: ledger.Standing{Author: c.Author}}
	}
	return ts
}

func (u *tableOf) context(x ledger.Right) *Context {
	home, _ := u.day.Group.Home(x.Elector)
	return &Context{Group: u.day.Group, Right: x, Home: home, Away: u.day.Manifest.Where != election.HomeBureau, Standing: u.now}
}

func (u *tableOf) state(x ledger.Right) State {
	if s, ok := u.states[x]; ok {
		return s
	}
	return u.context(x).Start()
}

// do steps a right as a driver does: through StepPair where a proxy has it.
func (u *tableOf) do(x ledger.Right, e Event) {
	u.t.Helper()
	s := u.state(x)
	both := [2]ledger.Right{}
	ask, pair := e.(AskProxy)
	if pair {
		both = [2]ledger.Right(ledger.Touches(ask.Proxy))
	} else if _, pair = s.Other(x); pair {
		both = [2]ledger.Right(ledger.Touches(s.Pair))
	}
	if !pair {
		next, out := Step(u.context(x), s, e)
		u.states[x] = next
		for _, f := range out {
			u.carryOut(x, f)
		}
		return
	}
	at := Principal
	if x == both[Holder] {
		at = Holder
	}
	next, out := StepPair([2]*Context{u.context(both[0]), u.context(both[1])}, [2]State{u.state(both[0]), u.state(both[1])}, at, e)
	u.states[both[0]], u.states[both[1]] = next[0], next[1]
	for _, f := range out {
		u.carryOut(both[f.At], f.Effect)
	}
}

func (u *tableOf) carryOut(x ledger.Right, f Effect) {
	u.t.Helper()
	switch f := f.(type) {
	case Write:
		u.write(x, f.Body)
	case Note:
		if v := u.chain.Put(f.Body).Verdicts[0]; v.Validity != ledger.Valid {
			u.t.Fatalf("bureau %d notes %+v: %v", u.n, f.Body, v)
		}
	case Send:
		if u.cut {
			u.late = append(u.late, f)
			return
		}
		u.at[f.To].do(f.Message.Right, f.Message.Event())
	case Tell:
		u.told = append(u.told, f)
	}
}

// write makes a statement durable; the ledger must call it valid and have the same records.
func (u *tableOf) write(x ledger.Right, body ledger.Body) {
	u.t.Helper()
	b := u.chain.Sign(body)
	enc, err := b.Extract(0).Encode()
	if err != nil {
		u.t.Fatal(err)
	}
	if a := u.day.Place(b); a.Status != ledger.Placed || a.Verdicts[0].Validity != ledger.Valid {
		u.t.Fatalf("bureau %d: %v is placed as %+v", u.n, body.Kind(), a)
	}
	u.past = append(u.past, said{b.Extract(0).ID(), body, enc})
	u.do(x, Written{ID: b.Extract(0).ID(), Extract: enc})
	for _, right := range ledger.Touches(body) {
		if got, want := u.state(right).Record, u.day.Group.ReadRecord(u.day.View, u.n, right); u.state(right).Pending == nil && got != want {
			u.t.Fatalf("bureau %d, %v right: Step says %+v, the ledger %+v", u.n, right.Kind, got, want)
		}
	}
}

// restart loses what is volatile.
func (u *tableOf) restart() {
	u.t.Helper()
	u.states = map[ledger.Right]State{}
	for _, p := range u.past {
		for _, x := range ledger.Touches(p.body) {
			s, why := u.context(x).Recover(u.state(x), p.id, p.body, p.extract)
			if why != ledger.Valid {
				u.t.Fatalf("bureau %d reads %v: %v", u.n, p.body.Kind(), why)
			}
			u.states[x] = s
		}
	}
}

func (u *tableOf) mustTell(why ledger.Refusal, of ledger.RightKind, answers Acts) Tell {
	u.t.Helper()
	if len(u.told) == 0 {
		u.t.Fatalf("bureau %d told nothing", u.n)
	}
	got := u.told[len(u.told)-1]
	u.told = nil
	if got.Refusal != why || got.Of != of || got.Answers != answers {
		u.t.Fatalf("bureau %d told %+v, want %q for the %v right", u.n, got, why, of)
	}
	return got
}

func (u *tableOf) mustBe(x ledger.Right, state ledger.State, nonce uint32) {
	u.t.Helper()
	if r := u.state(x).Record; r.State != state || r.Nonce != nonce {
		u.t.Fatalf("bureau %d, %v right: %v %d, want %v %d", u.n, x.Kind, r.State, r.Nonce, state, nonce)
	}
}

func admitRight(i int) ledger.Right {
	return ledger.Right{Elector: ledgertest.Elector(i), Kind: ledger.Admit}
}

func carryRight(i int) ledger.Right {
	return ledger.Right{Elector: ledgertest.Elector(i), Kind: ledger.Carry}
}

// byProxy: the holder asks for the principal.
func byProxy(principal, holder int) (ledger.Right, AskProxy) {
	return admitRight(principal), AskProxy{&ledger.ProxyAdmission{
		Principal: ledgertest.Elector(principal), Holder: ledgertest.Elector(holder), Form: []byte("12"), Reason: 1, Evidence: 1, Means: ledger.ByCard, Attester: 1,
	}}
}

// Elector 0 is at home at bureau 1, elector 1 at bureau 2, elector 3 at bureau 1.

func TestProxyUsesBothRights(t *testing.T) {
	for n := ledger.BureauNumber(1); n <= bureaux; n++ {
		t.Run(fmt.Sprintf("at bureau %d", n), func(t *testing.T) {
			ts := newTables(t, nil)
			u := ts.at[n]
			u.do(byProxy(0, 1))
			u.do(admitRight(0), Expired{})
			u.mustTell(ledger.NotRefused, 0, ByProxy)
			ts.at[1].do(admitRight(0), Ask{Means: ledger.ByCard, Attester: 1})
			if got := ts.at[1].told[len(ts.at[1].told)-1]; got.Refusal == ledger.NotRefused {
				t.Fatal("the principal is admitted too")
			}
			ts.at[3].do(byProxy(3, 1))
			if got := ts.at[3].told[len(ts.at[3].told)-1]; got.Refusal == ledger.NotRefused || got.Of != ledger.Carry {
				t.Fatalf("a second proxy: told %+v", got)
			}
			ts.at[1].do(admitRight(3), Ask{Means: ledger.ByCard, Attester: 1})
			ts.at[1].do(admitRight(3), Expired{})
			ts.at[1].mustTell(ledger.NotRefused, 0, CheckIn) // whose right has come back
			if live := ledger.Admissions(ts.day.View, carryRight(1)); len(live) != 1 {
				t.Fatalf("the holder carries %d proxies", len(live))
			}
		})
	}
}

func TestProxyThatFailsGivesBackWhatItTook(t *testing.T) {
	ts := newTables(t, nil)
	ts.at[2].do(byProxy(0, 1)) // uses the holder's right
	ts.at[2].do(admitRight(0), Answered{ID: ts.at[2].state(admitRight(0)).Record.By})
	ts.at[3].do(byProxy(3, 1))
	ts.at[3].mustTell(ledger.ProxyAlreadyHeld, ledger.Carry, ByProxy)
	if s := ts.at[3].state(admitRight(3)).Record.State; s != ledger.None {
		t.Fatalf("the principal's right is %v", s)
	}
	if s := ts.at[1].state(admitRight(3)).Record.State; s != ledger.Own {
		t.Fatalf("the principal's right is %v at home", s)
	}
	for _, x := range []ledger.Right{admitRight(3), carryRight(1)} {
		if s := ts.at[3].state(x); s.Desk != Idle || s.Pair != nil {
			t.Fatalf("left %+v", s)
		}
	}
}

func TestProxyMovesTheRightUnderEveryPolicy(t *testing.T) {
	ts := newTables(t, func(m *election.Manifest) { m.Where = election.HomeBureau })
	ts.at[2].do(admitRight(0), Ask{Means: ledger.ByCard, Attester: 1})
	ts.at[2].mustTell(ledger.OtherBureau, 0, CheckIn)
	ts.at[2].do(byProxy(0, 1))
	ts.at[2].do(admitRight(0), Expired{})
	ts.at[2].mustTell(ledger.NotRefused, 0, ByProxy)
	ts.at[1].mustBe(admitRight(0), ledger.Released, 0)
}

func TestUndoneProxyRestoresBothRights(t *testing.T) {
	for name, undo := range map[string]func(u *tableOf){
		"void":     func(u *tableOf) { u.do(admitRight(0), Undo{Reason: 2}) },
		"conflict": func(u *tableOf) { u.do(admitRight(0), conflict(u.state(admitRight(0)).Record.By)) },
		"annulment": func(u *tableOf) {
			u.do(admitRight(0), Expired{})
			u.do(admitRight(0), Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
		},
		"annulment after a restart": func(u *tableOf) {
			u.restart()
			u.do(admitRight(0), Undo{Reason: 2})
			u.mustTell(ledger.NothingToCorrect, 0, Correction)
			u.do(admitRight(0), Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTables(t, nil)
			u := ts.at[3]
			u.do(byProxy(0, 1))
			undo(u)
			ts.at[1].mustBe(admitRight(0), ledger.Own, 1)
			ts.at[2].mustBe(carryRight(1), ledger.Own, 1)
			if live := ledger.Admissions(ts.day.View, admitRight(0)); len(live) > 0 {
				t.Fatalf("%d live admissions", len(live))
			}
			ts.at[2].do(byProxy(0, 1))
			ts.at[2].do(admitRight(0), Expired{})
			ts.at[2].mustTell(ledger.NotRefused, 0, ByProxy)
		})
	}
}

func TestRightTakenForAProxyIsKeptUntilItsEnd(t *testing.T) {
	ts := newTables(t, nil)
	_, holderFirst := byProxy(0, 1)
	p := &pair{c: [2]*Context{ts.at[1].context(admitRight(0)), ts.at[1].context(carryRight(1))}}
	taken, by := ledger.Touches(holderFirst.Proxy)[Principal], ts.at[1]
	if first, _ := p.order(); first == Holder {
		taken, by = ledger.Touches(holderFirst.Proxy)[Holder], ts.at[2]
	}
	ts.cut = true
	by.do(byProxy(0, 1))
	if s := by.state(taken); s.Desk != Joining {
		t.Fatalf("the first right is %+v", s)
	}
	by.do(taken, Requested{By: 3, Proxy: true})
	if s := by.state(taken); s.Pending != nil || s.Desk != Joining {
		t.Fatal("a right that is taken is given away")
	}
	by.do(byProxy(0, 1))
	by.mustTell(ledger.InProgress, taken.Kind, ByProxy)
	s := by.state(taken)
	other, _ := s.Other(taken)
	by.do(other, Unreachable{})
	by.mustTell(ledger.HomeUnreachable, other.Kind, ByProxy)
	by.do(taken, Requested{By: 3, Proxy: true})
	by.mustBe(taken, ledger.Released, 0)
}

func TestUnfencedMachineTakesNoProxy(t *testing.T) {
	ts := newTables(t, nil)
	ts.at[1].now.Unfenced = true
	ts.at[1].do(byProxy(0, 1))
	ts.at[1].mustTell(ledger.UnfencedOnly, ledger.Admit, ByProxy)
	if s := ts.at[1].state(admitRight(0)); s.Pair != nil || s.Desk != Idle {
		t.Fatalf("left %+v", s)
	}
}

func TestRightOfAProxyIsNotSteppedAlone(t *testing.T) {
	ts := newTables(t, nil)
	ts.at[1].do(byProxy(0, 1))
	defer func() {
		if recover() == nil {
			t.Fatal("one right of a proxy moves without the other")
		}
	}()
	Step(ts.at[1].context(admitRight(0)), ts.at[1].state(admitRight(0)), Expired{})
}

func TestSettledMachineKnowsWhomItAdmittedUnfenced(t *testing.T) {
	g := newCommune(t, nil).day.Group
	right := admitRight(0)
	old := ledger.Author{Bureau: 1, Session: ledger.SessionID{1}}
	own := ledger.Author{Bureau: 1, Incarnation: 1, Session: ledger.SessionID{2}}
	provisional := signedWith(t, g, own, ledgertest.DeviceName(1, 1), 4, &ledger.Provisional{Elector: right.Elector, Reason: 1, Means: ledger.ByCard})
	c := &Context{Group: g, Right: right, Home: 1, Away: true, Standing: ledger.Standing{Author: ledger.Author{Bureau: 1, Incarnation: 1, Session: ledger.SessionID{3}}}}
	for name, before := range map[string]ledger.Body{
		"nothing":   nil,
		"release":   &ledger.Release{Right: right, To: 2},
		"admission": &ledger.Admission{Elector: right.Elector, Means: ledger.ByCard},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.Start()
			chain := []said{provisional}
			if before != nil {
				chain = []said{signedWith(t, g, old, ledgertest.DeviceName(1, 0), 7, before), provisional}
			}
			for _, x := range chain {
				var why ledger.Validity
				if s, why = c.Recover(s, x.id, x.body, x.extract); why != ledger.Valid {
					t.Fatalf("reads %v: %v", x.body.Kind(), why)
				}
			}
			next, out := Step(c, s, Ask{Means: ledger.ByCard, Attester: 1})
			if next.Pending != nil || out[1].(Tell).Refusal != ledger.AlreadyAdmitted {
				t.Fatalf("told %+v", out)
			}
			next, out = Step(c, s, Requested{By: 3})
			if next.Pending != nil || out[0].(Send).Message.Kind != DenyMessage {
				t.Fatalf("another bureau that asks gets %+v", out)
			}
		})
	}
}
