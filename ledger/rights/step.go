package rights

import (
	"fmt"

	"pointage/ledger"
)

// Step is the protocol. It neither keeps nor changes what it is given. A right that a proxy takes
// or has used (State.Other) goes through StepPair, with the other one.
func Step(c *Context, s State, e Event) (State, []Effect) {
	if s.Pair != nil {
		panic(fmt.Sprintf("event %T for one right of a proxy alone", e))
	}
	return c.step(s, e)
}

func (c *Context) step(s State, e Event) (State, []Effect) {
	switch e := e.(type) {
	case Ask:
		return c.ask(s, e)
	case AskProvisional:
		return c.askProvisional(s, e)
	case Leave:
		return c.leave(s)
	case Undo:
		return c.undo(s, e)
	case Annul:
		return c.annul(s, e)
	case Written:
		return c.written(s, e)
	case Lost:
		return c.lost(s)
	case Answered:
		return c.answered(s, e)
	case Expired:
		return c.expired(s)
	case Unreachable:
		return c.refuseAsking(s, ledger.HomeUnreachable, 0, nil)
	case Requested:
		return c.requested(s, e)
	case Arrived:
		return c.arrived(s, e)
	case Denied:
		return c.denied(s, e)
	case Returned:
		return c.returned(s, e)
	}
	panic(fmt.Sprintf("event %T", e))
}

// busy answers a check-in that another act is in the way of.
func (c *Context) busy(s State, e Event) []Effect {
	if c.Right.Kind != ledger.Admit {
		panic(fmt.Sprintf("check-in by the %v right", c.Right.Kind))
	}
	if s.Desk != Idle {
		return []Effect{Tell{Refusal: ledger.InProgress, Answers: CheckIn}}
	}
	if s.Pending != nil {
		return []Effect{Defer{e}}
	}
	return nil
}

// ask decides what an elector at the table is told.
func (c *Context) ask(s State, e Ask) (State, []Effect) {
	if out := c.busy(s, e); out != nil {
		return s, out
	}
	if why, at := c.gone(s); why != ledger.NotRefused {
		return c.refuseGone(s, e, why, at)
	}
	if c.Standing.Unfenced {
		return c.refuse(s, e, ledger.UnfencedOnly, 0, nil)
	}
	if s.Record.State == ledger.None && !c.Away {
		return c.refuse(s, e, ledger.OtherBureau, c.Home, nil)
	}
	s.Asked = e
	if s.Record.State == ledger.None {
		s.Desk = Asking
		return s, []Effect{c.Request(s)}
	}
	return c.admit(s)
}

// Request is what asks the home bureau for a right, as often as the desk waits for it.
func (c *Context) Request(s State) Send {
	kind := RequestMessage
	if s.Pair != nil {
		kind = ProxyRequestMessage
	}
	return Send{c.Home, Message{Kind: kind, Right: c.Right, By: c.Standing.Author.Bureau}}
}

// spent is the refusal of a right that was used.
func (c *Context) spent() ledger.Refusal {
	if c.Right.Kind == ledger.Carry {
		return ledger.ProxyAlreadyHeld
	}
	return ledger.AlreadyAdmitted
}

// gone says why this bureau can admit nobody by the right any longer, and where it went.
func (c *Context) gone(s State) (ledger.Refusal, ledger.BureauNumber) {
	if s.Beside.Extract != nil {
		return c.spent(), c.Standing.Author.Bureau
	}
	switch s.Record.State {
	case ledger.Admitted, ledger.Provisioned:
		return c.spent(), c.Standing.Author.Bureau
	case ledger.Released: // R8: home honours its own release
		if c.holds(r8) {
			return ledger.ReleasedElsewhere, s.Record.To
		}
	}
	return ledger.NotRefused, 0
}

// refuseGone also sends the release again, when the elector stands at home: a bureau
// where nobody waits for the right answers with its return, so that neither a lost
// release nor a lost return strands it (L3).
func (c *Context) refuseGone(s State, e Ask, why ledger.Refusal, at ledger.BureauNumber) (State, []Effect) {
	s, out := c.refuse(s, e, why, at, nil)
	if s.Record.State == ledger.Released {
		out = append(out, c.sendRelease(s))
	}
	return s, out
}

// admit begins the admission that Asked describes; the right is here.
func (c *Context) admit(s State) (State, []Effect) {
	s.Desk = Admitting
	return c.write(s, &ledger.Admission{Elector: c.Right.Elector, Nonce: s.Record.Nonce, Means: s.Asked.Means, Attester: s.Asked.Attester})
}

// askProvisional admits without the right; where the right is here it is used instead.
func (c *Context) askProvisional(s State, e AskProvisional) (State, []Effect) {
	if out := c.busy(s, e); out != nil {
		return s, out
	}
	if why, at := c.gone(s); why != ledger.NotRefused && c.holds(recorded) {
		return c.refuseGone(s, e.Ask, why, at)
	}
	if here := s.Record.State != ledger.None; here && !c.Standing.Unfenced {
		return c.ask(s, e.Ask)
	}
	body := &ledger.Provisional{Elector: c.Right.Elector, Reason: e.Reason, Means: e.Means, Attester: e.Attester}
	next, why := c.judge(s, body)
	if why != ledger.Valid {
		return c.refuse(s, e.Ask, ledger.OtherBureau, c.Home, nil)
	}
	s.Desk, s.Asked = Admitting, e.Ask
	return c.begin(s, body, next)
}

// refuse tells the desk no, and notes the attempt.
func (c *Context) refuse(s State, e Ask, why ledger.Refusal, at ledger.BureauNumber, denial []byte) (State, []Effect) {
	return s, []Effect{
		Note{&ledger.AttemptRefused{Elector: c.Right.Elector, Refusal: why, Means: e.Means, Attester: e.Attester, Denial: denial}},
		Tell{Refusal: why, At: at, Record: s.Record.By, Answers: CheckIn},
	}
}

// refuseAsking ends the wait for a release with a refusal.
func (c *Context) refuseAsking(s State, why ledger.Refusal, at ledger.BureauNumber, denial []byte) (State, []Effect) {
	if s.Desk != Asking || s.Pending != nil {
		return s, nil
	}
	s.Desk = Idle
	return c.refuse(s, s.Asked, why, at, denial)
}

// leave gives back a right for which nobody waits (L3).
func (c *Context) leave(s State) (State, []Effect) {
	if s.Desk == Asking {
		s.Desk = Idle
	}
	if s.Desk != Idle || s.Pending != nil {
		return s, nil
	}
	return c.giveBack(s)
}

// giveBack begins the return of a held right; only what was not used goes back (R16).
func (c *Context) giveBack(s State) (State, []Effect) {
	held := s.Record.State == ledger.Held || !c.holds(r16) && s.Record.State == ledger.Admitted && !c.atHome()
	if !held || c.Standing.Unfenced || s.Beside.Extract != nil || !c.holds(unwanted) {
		return s, nil
	}
	return c.write(s, &ledger.Return{Right: c.Right, Nonce: s.Record.Nonce, Release: s.Release})
}

func (c *Context) undo(s State, e Undo) (State, []Effect) {
	// R11: what was handed over is not undone so.
	undoable := s.Desk == Awaiting && !s.Handed || !c.holds(r11) && s.Desk == Idle && s.Record.State == ledger.Admitted
	if !undoable || s.Pending != nil {
		return s, []Effect{Tell{Refusal: ledger.NothingToCorrect, Answers: Correction}}
	}
	return c.void(s, e.Reason)
}

// void takes back an admission of this session that was not handed over; from here on it
// can't be (R17).
func (c *Context) void(s State, reason uint8) (State, []Effect) {
	s.Desk = Voiding
	return c.write(s, &ledger.Void{Sequence: s.Record.By.Sequence, Rights: c.used(s), Reason: reason})
}

func (c *Context) annul(s State, e Annul) (State, []Effect) {
	if e.Attesters[0] == e.Attesters[1] && c.holds(twoPersons) {
		return s, []Effect{Tell{Refusal: ledger.SecondPersonNeeded, Answers: Correction}}
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	used := s.Record.State == ledger.Admitted || s.Record.State == ledger.Provisioned
	if !used || !s.Handed {
		return s, []Effect{Tell{Refusal: ledger.NothingToCorrect, Answers: Correction}}
	}
	a := e.Attesters
	if a[0] > a[1] {
		a[0], a[1] = a[1], a[0]
	}
	return c.write(s, &ledger.Annulment{Record: s.Record.By, Rights: c.used(s), Reason: e.Reason, Attesters: a})
}

// used are the rights that the admission in the record used, which only go back together.
func (c *Context) used(s State) []ledger.Right {
	if s.Record.Proxy {
		return c.undoing(s.Pair)
	}
	return []ledger.Right{c.Right}
}

// written goes on from a statement that is durable now: only here are
// messages sent and only from here can the light go on.
func (c *Context) written(s State, e Written) (State, []Effect) {
	body := s.Pending
	if body == nil {
		panic(fmt.Sprintf("statement %d is durable, none was pending", e.ID.Sequence))
	}
	rec := s.Next
	if rec.State == ledger.Admitted || rec.State == ledger.Provisioned {
		rec.By = e.ID
	}
	s.Pending, s.Next = nil, ledger.Record{}
	s = c.settle(s, rec, body, e.Extract)
	switch b := body.(type) {
	case *ledger.Admission, *ledger.ProxyAdmission, *ledger.Provisional: // R1
		if c.hasty() {
			s.Desk, s.Handed = Idle, true
			return s, nil
		}
		s.Desk = Awaiting
		return s, []Effect{AwaitGroup{e.ID}}
	case *ledger.Release: // R2
		return s, []Effect{c.sendRelease(s)}
	case *ledger.Hold: // R14
		switch {
		case s.Desk != Asking:
			return c.giveBack(s)
		case s.Pair != nil:
			s.Desk = Joining
			return s, nil
		}
		return c.admit(s)
	case *ledger.Return: // R5
		return s, []Effect{c.sendReturn(e.Extract)}
	case *ledger.Void:
		why := ledger.Withdrawn
		if b.Reason == VoidedByGroup {
			why = ledger.ConflictFound
		}
		s.Desk = Idle
		s, out := c.giveBack(s)
		return s, append([]Effect{Tell{Refusal: why, Answers: CheckIn | Correction}}, out...)
	case *ledger.Annulment:
		s, out := c.giveBack(s)
		return s, append([]Effect{Tell{Answers: Correction}}, out...)
	}
	return s, nil
}

// sendRelease passes the newest release on, as often as it is needed.
func (c *Context) sendRelease(s State) Effect {
	return Send{s.Record.To, Message{Kind: ReleaseMessage, Right: c.Right, Extract: s.Proof}}
}

func (c *Context) sendReturn(extract []byte) Effect {
	return Send{c.Home, Message{Kind: ReturnMessage, Right: c.Right, Extract: extract}}
}

// lost: the pending statement will not be durable in this run of the journal. What one
// medium has of it counts at the next start.
func (c *Context) lost(s State) (State, []Effect) {
	var waits Acts
	switch _, annuls := s.Pending.(*ledger.Annulment); {
	case annuls:
		waits = Correction
	case s.Desk == Voiding:
		waits = CheckIn | Correction
	case s.Desk != Idle:
		waits = CheckIn
	}
	s.Pending, s.Next, s.Desk = nil, ledger.Record{}, Idle
	if waits == 0 {
		return s, nil
	}
	return s, []Effect{Tell{Refusal: ledger.BureauNotOpen, Answers: waits}}
}

// answered takes the group's word before the light, or raises the alarm after it.
func (c *Context) answered(s State, e Answered) (State, []Effect) {
	if e.ID != (ledger.StatementID{}) && e.ID != s.Record.By {
		return s, nil // of an admission that has been undone
	}
	clean := e.Verdict.Clean()
	if !c.awaits(s) {
		if s.Handed && !clean {
			return s, []Effect{Alarm{e.Verdict}}
		}
		return s, nil
	}
	if !clean {
		return c.void(s, VoidedByGroup)
	}
	return c.light(s, true)
}

// expired: the holder of a right goes on alone (L1).
func (c *Context) expired(s State) (State, []Effect) {
	if c.awaits(s) {
		return c.light(s, false)
	}
	if !c.holds(r6) && s.Record.State == ledger.Released && s.Pending == nil { // a lease
		return c.write(s, &ledger.Restored{Right: c.Right, Nonce: s.Record.Nonce, Return: s.Proof})
	}
	return s, nil
}

// awaits says whether the light may still go on: not once a void is under way (R17).
func (c *Context) awaits(s State) bool {
	return s.Desk == Awaiting || !c.holds(r17) && s.Desk == Voiding
}

// light hands over the ballot: the admission is durable (R1) and no void is under way (R17).
func (c *Context) light(s State, group bool) (State, []Effect) {
	s.Desk, s.Handed = Idle, true
	return s, []Effect{c.green(s, group)}
}

func (c *Context) green(s State, group bool) Effect {
	return Tell{At: c.Standing.Author.Bureau, Record: s.Record.By, Group: group, Answers: CheckIn}
}

// VoidedByGroup is the reason of a void after the barrier's conflict.
const VoidedByGroup = 1
