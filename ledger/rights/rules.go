package rights

import (
	"fmt"

	"pointage/ledger"
)

// rules is a set of the protocol's rules (CHECKER.md), as far as they live in this package. Those that are
// not here hold by the media.
type rules uint32

// The rules.
const (
	r1 rules = 1 << iota
	r2
	r3
	r4
	r5
	r6
	r7
	r8
	r11
	r12
	r13
	r14
	r15
	r16
	r17
	// proxyOrder: the two rights of a proxy are taken in an order that is the same everywhere.
	proxyOrder
	// proxyBack: when one of them can't be had the other goes back.
	proxyBack
	// proxyBoth: both must be here before one statement uses them.
	proxyBoth
	// proxyUndone: both go back where they were when the admission is undone.
	proxyUndone
	// twoPersons: two attest that there was no ballot (R11).
	twoPersons
	// neverHeld: a release for which nobody waits is answered by its return (R5).
	neverHeld
	// returnedAgain: a release that was returned is answered by the same return (R3, L3).
	returnedAgain
	// unwanted: a right for which nobody waits any longer goes back (L3).
	unwanted
	// recorded: an unfenced incarnation refuses whom its chain has as admitted or released.
	recorded
)

// holds says that all of these rules are in force; they always are, but for the tests
// that show what each one prevents.
func (c *Context) holds(r rules) bool { return c.dropped&r == 0 }

// hasty says that the light was lit before its statement was durable.
func (c *Context) hasty() bool { return !c.holds(r1) || !c.holds(r14) && !c.atHome() }

// alone uses the right that is here without the other; no bureau does.
func (p *pair) alone(second int) bool {
	s := &p.s[second]
	if p.c[second].holds(proxyBoth) || s.Desk != Idle || s.Pending != nil {
		return false
	}
	s.Pair = p.s[1-second].Pair
	p.use()
	return true
}

// undoing are the rights of a proxy that is undone; a bureau without the rule forgets the holder's.
func (c *Context) undoing(b *ledger.ProxyAdmission) []ledger.Right {
	if !c.holds(proxyUndone) {
		return ledger.Touches(b)[:1]
	}
	return ledger.Touches(b)
}

// after is the ledger's judgement of a statement.
func (c *Context) after(s State, st ledger.Standing, id ledger.StatementID, body ledger.Body) (ledger.Record, ledger.Validity) {
	rec, why := c.Group.After(st, c.Right, s.Record, id, body)
	if why != ledger.Valid && c.lax != nil {
		return c.lax(c, s.Record, id, body)
	}
	return rec, why
}

// write begins a statement of this bureau's own, which must follow from what it has recorded.
func (c *Context) write(s State, b ledger.Body) (State, []Effect) {
	next, why := c.judge(s, b)
	if why != ledger.Valid {
		panic(fmt.Sprintf("own statement of kind %d from %v: %v", b.Kind(), s.Record.State, why))
	}
	return c.begin(s, b, next)
}

// judge says what the record becomes by a statement of this session that is not durable yet.
func (c *Context) judge(s State, b ledger.Body) (ledger.Record, ledger.Validity) {
	return c.after(s, c.Standing, ledger.StatementID{Session: c.Standing.Author.Session}, b)
}

// begin has a statement written that was judged; while it is pending nothing else begins (R1, R2, R5, R14: a
// bureau without these rules would act here already, before Written).
func (c *Context) begin(s State, b ledger.Body, next ledger.Record) (State, []Effect) {
	s.Pending, s.Next = b, next
	out := []Effect{Write{b}}
	if c.dropped == 0 {
		return s, out
	}
	switch b := b.(type) {
	case *ledger.Admission, *ledger.ProxyAdmission:
		if !c.holds(r1) {
			out = append(out, c.green(s, false))
		}
	case *ledger.Hold:
		if !c.holds(r14) && s.Desk == Asking {
			out = append(out, c.green(s, false))
		}
	case *ledger.Release:
		if !c.holds(r2) {
			out = append(out, Send{b.To, Message{Kind: ReleaseMessage, Right: c.Right}})
		}
	case *ledger.Annulment: // the form asks for two: one person lends himself another's code
		if b.Attesters[0] == b.Attesters[1] {
			b.Attesters[1]++
		}
	case *ledger.Return:
		if !c.holds(r5) {
			out = append(out, c.sendReturn(nil))
		}
	}
	return s, out
}
