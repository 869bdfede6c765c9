package rights

import (
	"pointage/ledger"
)

// Rules that only the ledger's judgement holds.
const (
	// ownSession: a void names an admission of its own session.
	ownSession rules = 1 << 30
	// policy: nobody is admitted provisionally where the manifest does not say so.
	policy rules = 1 << 29
)

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
		if !c.holds(r7|r15) && !home && r.State == ledger.None && b.Nonce >= r.Nonce && believed(c, b.Release) {
			return ledger.Record{State: ledger.Held, Nonce: b.Nonce}, ledger.Valid
		}
	case *ledger.Return:
		unused := r.State == ledger.Held && r.Nonce == b.Nonce || r.State == ledger.None && b.Nonce >= r.Nonce
		if !home && (!c.holds(r7|r15) && unused && believed(c, b.Release) || !c.holds(r16) && r.State == ledger.Admitted) {
			return ledger.Record{State: ledger.None, Nonce: b.Nonce + 1}, ledger.Valid
		}
	case *ledger.Restored:
		x, err := ledger.DecodeExtract(b.Return)
		stale := !c.holds(r4) && err == nil && x.Verify(c.Group) == nil || !c.holds(r15) && b.Nonce == r.Nonce
		if home && r.State == ledger.Released && (stale || !c.holds(r6)) {
			return ledger.Record{State: ledger.Own, Nonce: r.Nonce + 1}, ledger.Valid
		}
	case *ledger.Provisional:
		if !c.holds(policy) && r.State == ledger.None || !c.holds(recorded) {
			return ledger.Record{State: ledger.Provisioned, Nonce: r.Nonce, By: id}, ledger.Valid
		}
	case *ledger.Void:
		if !c.holds(r11|ownSession|proxyUndone) && r.State == ledger.Admitted {
			return asBefore(r, home), ledger.Valid
		}
	case *ledger.Annulment:
		if !c.holds(proxyUndone) && r.State == ledger.Admitted {
			return asBefore(r, home), ledger.Valid
		}
	}
	return c.Group.After(c.Standing, c.Right, r, id, body)
}

// believed says that an extract's signature is right, or that nobody looks.
func believed(c *Context, extract []byte) bool {
	x, err := ledger.DecodeExtract(extract)
	return err == nil && (!c.holds(r15) || x.Verify(c.Group) == nil)
}

// asBefore is the record of a right whose admission is undone.
func asBefore(r ledger.Record, home bool) ledger.Record {
	if home {
		return ledger.Record{State: ledger.Own, Nonce: r.Nonce}
	}
	return ledger.Record{State: ledger.Held, Nonce: r.Nonce}
}
