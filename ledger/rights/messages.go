package rights

import "pointage/ledger"

// requested answers another bureau that asks for a right that is at home here.
func (c *Context) requested(s State, e Requested) (State, []Effect) {
	lent := c.Away || e.Proxy || c.Right.Kind == ledger.Carry
	if !c.atHome() || !lent || e.By == c.Standing.Author.Bureau || c.Group.Bureaux[e.By] == nil || c.Standing.Unfenced {
		return s, nil
	}
	if s.Desk == Joining { // taken; whoever asks waits, and asks again
		return s, nil
	}
	if s.Pending != nil {
		return s, []Effect{Defer{e}}
	}
	again := s.Record.State == ledger.Released && s.Record.To == e.By
	give := s.Record.State == ledger.Own || !c.holds(r12) && s.Record.State == ledger.Released
	proof := s.Proof
	if s.Beside.Extract != nil {
		give, proof = false, s.Beside.Extract
	}
	switch {
	case again:
		return s, []Effect{c.sendRelease(s)}
	case give && s.Record.Nonce == ledger.MaxNonce: // there is no number for its return: it stays at home (L1)
		return s, nil
	case give: // R7
		return c.write(s, &ledger.Release{Right: c.Right, Nonce: s.Record.Nonce, To: e.By})
	}
	return s, []Effect{Send{e.By, Message{Kind: DenyMessage, Right: c.Right, Extract: proof}}}
}

// arrived takes a release: to hold it, or, when nobody waits any longer, to return it.
func (c *Context) arrived(s State, e Arrived) (State, []Effect) {
	x, nonce, ok := c.release(e.Extract)
	if !ok {
		return s, nil
	}
	old := nonce < s.Record.Nonce && s.LastReturn != nil && c.holds(returnedAgain)
	unwanted := s.Desk == Idle && s.Record.State == ledger.Held && nonce == s.Record.Nonce
	if judged := s.Pending == nil && !old && !unwanted; !judged && c.holds(r15) && x.Verify(c.Group) != nil {
		return s, nil
	}
	switch {
	case s.Pending != nil:
		return s, []Effect{Defer{e}}
	case old: // R3
		return s, []Effect{c.sendReturn(s.LastReturn)}
	case unwanted:
		return c.giveBack(s)
	}
	var body ledger.Body = &ledger.Hold{Right: c.Right, Nonce: nonce, Release: e.Extract}
	if s.Desk != Asking {
		body = &ledger.Return{Right: c.Right, Nonce: nonce, Release: e.Extract}
		if s.Record.State != ledger.None || !c.holds(neverHeld) {
			return s, nil
		}
	}
	next, why := c.judge(s, body)
	if why != ledger.Valid {
		return s, nil
	}
	return c.begin(s, body, next)
}

// release reads a release of this right by its home bureau to this one (R7). Its signature is for the
// judgement of the statement that embeds it, or for whoever makes no statement (R15).
func (c *Context) release(extract []byte) (x *ledger.Extract, nonce uint32, ok bool) {
	x, err := ledger.DecodeExtract(extract)
	if err != nil || c.atHome() || x.Header.Author.Bureau != c.Home {
		return nil, 0, false
	}
	r, ok := x.Statement.Body.(*ledger.Release)
	if !ok || r.Right != c.Right || c.holds(r7) && r.To != c.Standing.Author.Bureau {
		return nil, 0, false
	}
	return x, r.Nonce, true
}

// denied ends the wait with the home bureau's own proof of where the right went.
func (c *Context) denied(s State, e Denied) (State, []Effect) {
	if s.Desk != Asking {
		return s, nil
	}
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
			return c.refuseAsking(s, c.spent(), c.Home, e.Extract)
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
	next, why := c.judge(s, body)
	if why != ledger.Valid {
		return s, nil
	}
	return c.begin(s, body, next)
}
