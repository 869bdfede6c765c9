package rights

import (
	"fmt"

	"pointage/ledger"
)

// Step is the protocol. It neither keeps nor changes what it is given.
func Step(c *Context, s State, e Event) (State, []Effect) {
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

// write begins a statement; while it is pending nothing else does.
func write(s State, b ledger.Body) (State, []Effect) {
	s.Pending = b
	return s, []Effect{Write{b}}
}

// ask decides what an elector at the table is told.
func (c *Context) ask(s State, e Ask) (State, []Effect) {
	if s.Desk != Idle {
		return s, []Effect{Tell{Refusal: ledger.InProgress}}
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	switch s.Record.State {
	case ledger.Admitted, ledger.Provisioned:
		return c.refuse(s, e, ledger.AlreadyAdmitted, c.Standing.Author.Bureau, nil)
	case ledger.Released: // R8: home honours its own release
		return c.refuse(s, e, ledger.ReleasedElsewhere, s.Record.To, nil)
	}
	if c.Standing.Unfenced {
		return c.refuse(s, e, ledger.UnfencedOnly, 0, nil)
	}
	s.Asked = e
	if s.Record.State == ledger.None {
		if !c.Away {
			return c.refuse(s, e, ledger.OtherBureau, c.Home, nil)
		}
		s.Desk = Asking
		return s, []Effect{Send{c.Home, Message{Kind: RequestMessage, Right: c.Right, By: c.Standing.Author.Bureau}}}
	}
	return c.admit(s)
}

// admit begins the admission that Asked describes; the right is here.
func (c *Context) admit(s State) (State, []Effect) {
	s.Desk = Admitting
	return write(s, &ledger.Admission{Elector: c.Right.Elector, Nonce: s.Record.Nonce, Means: s.Asked.Means, Attester: s.Asked.Attester})
}

func (c *Context) askProvisional(s State, e AskProvisional) (State, []Effect) {
	if s.Desk != Idle {
		return s, []Effect{Tell{Refusal: ledger.InProgress}}
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	body := &ledger.Provisional{Elector: c.Right.Elector, Reason: e.Reason, Means: e.Means, Attester: e.Attester}
	if _, why := c.Group.After(c.Standing, c.Right, s.Record, ledger.StatementID{}, body); why != ledger.Valid {
		switch s.Record.State {
		case ledger.Admitted, ledger.Provisioned:
			return c.refuse(s, e.Ask, ledger.AlreadyAdmitted, c.Standing.Author.Bureau, nil)
		case ledger.Released:
			return c.refuse(s, e.Ask, ledger.ReleasedElsewhere, s.Record.To, nil)
		}
		return c.refuse(s, e.Ask, ledger.OtherBureau, c.Home, nil)
	}
	s.Desk, s.Asked = Admitting, e.Ask
	return write(s, body)
}

// refuse tells the desk no, and notes the attempt.
func (c *Context) refuse(s State, e Ask, why ledger.Refusal, at ledger.BureauNumber, denial []byte) (State, []Effect) {
	return s, []Effect{
		Note{&ledger.AttemptRefused{Elector: c.Right.Elector, Refusal: why, Means: e.Means, Attester: e.Attester, Denial: denial}},
		Tell{Refusal: why, At: at, Record: s.Record.By},
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
	if s.Desk == Idle && s.Pending == nil && s.Record.State == ledger.Held {
		return c.giveBack(s)
	}
	return s, nil
}

// giveBack begins the return of a held right; only what was not used goes back (R16).
func (c *Context) giveBack(s State) (State, []Effect) {
	return write(s, &ledger.Return{Right: c.Right, Nonce: s.Record.Nonce, Release: s.Release})
}

func (c *Context) undo(s State, e Undo) (State, []Effect) {
	if s.Desk != Awaiting || s.Handed || s.Pending != nil {
		return s, []Effect{Tell{Refusal: ledger.NothingToCorrect}}
	}
	return c.void(s, e.Reason)
}

// void takes back an admission of this session that was not handed over; from here on it
// can't be (R17).
func (c *Context) void(s State, reason uint8) (State, []Effect) {
	s.Desk = Voiding
	return write(s, &ledger.Void{Sequence: s.Record.By.Sequence, Rights: []ledger.Right{c.Right}, Reason: reason})
}

func (c *Context) annul(s State, e Annul) (State, []Effect) {
	if e.Attesters[0] == e.Attesters[1] {
		return s, []Effect{Tell{Refusal: ledger.SecondPersonNeeded}}
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	used := s.Record.State == ledger.Admitted || s.Record.State == ledger.Provisioned
	if !used || !s.Handed || s.Record.Proxy {
		return s, []Effect{Tell{Refusal: ledger.NothingToCorrect}}
	}
	a := e.Attesters
	if a[0] > a[1] {
		a[0], a[1] = a[1], a[0]
	}
	return write(s, &ledger.Annulment{Record: s.Record.By, Rights: []ledger.Right{c.Right}, Reason: e.Reason, Attesters: a})
}

// written goes on from a statement that is durable now: only here are
// messages sent and only from here can the light go on.
func (c *Context) written(s State, e Written) (State, []Effect) {
	body := s.Pending
	rec, why := c.Group.After(c.Standing, c.Right, s.Record, e.ID, body)
	if why != ledger.Valid {
		panic(fmt.Sprintf("own statement of kind %d from %v: %v", body.Kind(), s.Record.State, why))
	}
	s.Pending = nil
	s = settle(s, rec, body, e.Extract)
	switch b := body.(type) {
	case *ledger.Admission, *ledger.Provisional:
		s.Desk = Awaiting
		return s, []Effect{AwaitGroup{e.ID}}
	case *ledger.Release: // R2
		return s, []Effect{Send{b.To, Message{Kind: ReleaseMessage, Right: c.Right, Extract: e.Extract}}}
	case *ledger.Hold: // R14
		if s.Desk == Asking {
			return c.admit(s)
		}
		return c.giveBack(s)
	case *ledger.Return: // R5
		return s, []Effect{c.sendReturn(e.Extract)}
	case *ledger.Void:
		why := ledger.Withdrawn
		if b.Reason == VoidedByGroup {
			why = ledger.ConflictFound
		}
		s.Desk = Idle
		s, out := c.backAway(s)
		return s, append([]Effect{Tell{Refusal: why}}, out...)
	case *ledger.Annulment:
		s, out := c.backAway(s)
		return s, append([]Effect{Tell{}}, out...)
	}
	return s, nil
}

// backAway returns a right that an undone admission left here, away from home.
func (c *Context) backAway(s State) (State, []Effect) {
	if s.Record.State != ledger.Held {
		return s, nil
	}
	return c.giveBack(s)
}

func (c *Context) sendReturn(extract []byte) Effect {
	return Send{c.Home, Message{Kind: ReturnMessage, Right: c.Right, Extract: extract}}
}

// lost: what never became durable never was.
func (c *Context) lost(s State) (State, []Effect) {
	waits := s.Desk != Idle
	s.Pending, s.Desk = nil, Idle
	if waits {
		return s, []Effect{Tell{Refusal: ledger.BureauNotOpen}}
	}
	return s, nil
}

// answered takes the group's word before the light, or raises the alarm after it.
func (c *Context) answered(s State, e Answered) (State, []Effect) {
	clean := e.Verdict.Clean()
	if s.Desk != Awaiting {
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
	if s.Desk != Awaiting {
		return s, nil
	}
	return c.light(s, false)
}

// light hands over the ballot: the admission is durable (R1) and no void is under way (R17).
func (c *Context) light(s State, group bool) (State, []Effect) {
	s.Desk, s.Handed = Idle, true
	return s, []Effect{Tell{At: c.Standing.Author.Bureau, Record: s.Record.By, Group: group}}
}

// VoidedByGroup is the reason of a void after the barrier's conflict.
const VoidedByGroup = 1

// requested answers another bureau that asks for a right that is at home here.
func (c *Context) requested(s State, e Requested) (State, []Effect) {
	if !c.atHome() || !c.Away || e.By == c.Standing.Author.Bureau || c.Group.Bureaux[e.By] == nil || c.Standing.Unfenced {
		return s, nil
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	switch s.Record.State {
	case ledger.Own:
		return write(s, &ledger.Release{Right: c.Right, Nonce: s.Record.Nonce, To: e.By}) // R7
	case ledger.Released:
		if s.Record.To == e.By {
			return s, []Effect{Send{e.By, Message{Kind: ReleaseMessage, Right: c.Right, Extract: s.Proof}}}
		}
	}
	return s, []Effect{Send{e.By, Message{Kind: DenyMessage, Right: c.Right, Extract: s.Proof}}}
}

// arrived takes a release: to hold it, or, when nobody waits any longer, to return it.
func (c *Context) arrived(s State, e Arrived) (State, []Effect) {
	nonce, ok := c.release(e.Extract)
	if !ok {
		return s, nil
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	if nonce < s.Record.Nonce && s.LastReturn != nil { // R3
		return s, []Effect{c.sendReturn(s.LastReturn)}
	}
	var body ledger.Body = &ledger.Hold{Right: c.Right, Nonce: nonce, Release: e.Extract}
	if s.Desk != Asking {
		body = &ledger.Return{Right: c.Right, Nonce: nonce, Release: e.Extract}
		if s.Record.State != ledger.None {
			return s, nil
		}
	}
	if _, why := c.Group.After(c.Standing, c.Right, s.Record, ledger.StatementID{}, body); why != ledger.Valid {
		return s, nil
	}
	return write(s, body)
}

// release reads the nonce of a release of this right to this bureau; whether it is
// authentic is judged by After (R15).
func (c *Context) release(extract []byte) (nonce uint32, ok bool) {
	x, err := ledger.DecodeExtract(extract)
	if err != nil || c.atHome() || x.Verify(c.Group) != nil || x.Header.Author.Bureau != c.Home {
		return 0, false
	}
	r, ok := x.Statement.Body.(*ledger.Release)
	if !ok || r.Right != c.Right || r.To != c.Standing.Author.Bureau {
		return 0, false
	}
	return r.Nonce, true
}

// denied ends the wait with the home bureau's own proof of where the right went.
func (c *Context) denied(s State, e Denied) (State, []Effect) {
	x, err := ledger.DecodeExtract(e.Extract)
	if err != nil || x.Header.Author.Bureau != c.Home || x.Verify(c.Group) != nil {
		return s, nil
	}
	switch b := x.Statement.Body.(type) {
	case *ledger.Admission:
		if b.Elector == c.Right.Elector && c.Right.Kind == ledger.Admit {
			return c.refuseAsking(s, ledger.AlreadyAdmitted, c.Home, e.Extract)
		}
	case *ledger.Provisional:
		if b.Elector == c.Right.Elector && c.Right.Kind == ledger.Admit {
			return c.refuseAsking(s, ledger.AlreadyAdmitted, c.Home, e.Extract)
		}
	case *ledger.ProxyAdmission:
		if b.Principal == c.Right.Elector && c.Right.Kind == ledger.Admit || b.Holder == c.Right.Elector && c.Right.Kind == ledger.Carry {
			return c.refuseAsking(s, ledger.AlreadyAdmitted, c.Home, e.Extract)
		}
	case *ledger.Release:
		if b.Right == c.Right && b.To != c.Standing.Author.Bureau {
			return c.refuseAsking(s, ledger.ReleasedElsewhere, b.To, e.Extract)
		}
	}
	return s, nil
}

// returned takes a right home again, if it is the one that is out (R4).
func (c *Context) returned(s State, e Returned) (State, []Effect) {
	x, err := ledger.DecodeExtract(e.Extract)
	if err != nil || !c.atHome() {
		return s, nil
	}
	ret, ok := x.Statement.Body.(*ledger.Return)
	if !ok || ret.Right != c.Right {
		return s, nil
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	body := &ledger.Restored{Right: c.Right, Nonce: ret.Nonce, Return: e.Extract}
	if _, why := c.Group.After(c.Standing, c.Right, s.Record, ledger.StatementID{}, body); why != ledger.Valid {
		return s, nil
	}
	return write(s, body)
}
