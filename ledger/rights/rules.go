package rights

import "pointage/ledger"

// rules is a set of the protocol's rules R1 to R17 (node/DESIGN.md), and of proxies, as far as they live
// in this package. The rules that are not here hold by the media.
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

// after is the ledger's judgement of a statement.
func (c *Context) after(s State, st ledger.Standing, id ledger.StatementID, body ledger.Body) (ledger.Record, ledger.Validity) {
	rec, why := c.Group.After(st, c.Right, s.Record, id, body)
	if why != ledger.Valid && c.lax != nil {
		return c.lax(c, s.Record, id, body)
	}
	return rec, why
}

// write begins a statement; while it is pending nothing else does (R1, R2, R5, R14: a
// bureau without these rules would act here already, before Written).
func (c *Context) write(s State, b ledger.Body) (State, []Effect) {
	s.Pending = b
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
	case *ledger.Return:
		if !c.holds(r5) {
			out = append(out, c.sendReturn(nil))
		}
	}
	return s, out
}
