package rights

import (
	"pointage/ledger"
)

// ownSession: a void names an admission of its own session.
const ownSession rules = 1 << 30

// lax is the judgement of a ledger that would not hold a dropped rule either: what Step
// then states, it takes.
func lax(c *Context, r ledger.Record, id ledger.StatementID, body ledger.Body) (ledger.Record, ledger.Validity) {
	home := c.atHome()
	switch b := body.(type) {
	case *ledger.Admission:
		if !c.holds(r8) && home && r.State == ledger.Released {
			return ledger.Record{State: ledger.Admitted, Nonce: r.Nonce, By: id}, ledger.Valid
		}
	case *ledger.ProxyAdmission:
		if !c.holds(proxyBoth) {
			return ledger.Record{State: ledger.Admitted, Nonce: r.Nonce, By: id, Proxy: true}, ledger.Valid
		}
	case *ledger.Release:
		if !c.holds(r12) && r.State == ledger.Released {
			return ledger.Record{State: ledger.Released, Nonce: r.Nonce, To: b.To}, ledger.Valid
		}
	case *ledger.Hold:
		if !c.holds(r7|r15) && !home && r.State == ledger.None && b.Nonce >= r.Nonce {
			return ledger.Record{State: ledger.Held, Nonce: b.Nonce}, ledger.Valid
		}
	case *ledger.Return:
		unused := r.State == ledger.Held && r.Nonce == b.Nonce || r.State == ledger.None && b.Nonce >= r.Nonce
		if !home && (!c.holds(r7|r15) && unused || !c.holds(r16) && r.State == ledger.Admitted) {
			return ledger.Record{State: ledger.None, Nonce: b.Nonce + 1}, ledger.Valid
		}
	case *ledger.Restored:
		x, err := ledger.DecodeExtract(b.Return)
		stale := !c.holds(r4) && err == nil && x.Verify(c.Group) == nil || !c.holds(r15) && b.Nonce == r.Nonce
		if home && r.State == ledger.Released && (stale || !c.holds(r6)) {
			return ledger.Record{State: ledger.Own, Nonce: r.Nonce + 1}, ledger.Valid
		}
	case *ledger.Void:
		if !c.holds(r11|ownSession) && r.State == ledger.Admitted {
			if home {
				return ledger.Record{State: ledger.Own, Nonce: r.Nonce}, ledger.Valid
			}
			return ledger.Record{State: ledger.Held, Nonce: r.Nonce}, ledger.Valid
		}
	}
	return c.Group.After(c.Standing, c.Right, r, id, body)
}
