// Package rights says who may admit an elector: the rights protocol of one bureau as
// one pure step function.
//
// Every elector has one home bureau, and the right to admit him lies in exactly one place
// at a time: at home, until home releases it to one named bureau. Step is given what the
// bureau durably knows of one right, and an event; it returns what the bureau knows then,
// and what is to be done. It knows no time, no disk and no network: the node drives
// it, and so can a simulator or a model checker.
//
// The rules R1 to R17 that the comments name are listed in node/DESIGN.md;
// CHECKER.md says how it is checked, exhaustively and over whole simulated days, and what each rule prevents.
package rights

import "pointage/ledger"

// Context is what stays the same for one right at one bureau during a session.
type Context struct {
	Group *ledger.Group
	// Standing is who this bureau is.
	Standing ledger.Standing
	Right    ledger.Right
	// Home is the right's home bureau by the roll.
	Home ledger.BureauNumber
	// Away says whether the policy lets rights leave home.
	Away bool

	// dropped are the rules that are not in force, and lax what the ledger's judgement is
	// then: none and nil, but for the tests that show what each rule prevents.
	dropped rules
	lax     func(c *Context, r ledger.Record, id ledger.StatementID, body ledger.Body) (ledger.Record, ledger.Validity)
}

func (c *Context) atHome() bool { return c.Home == c.Standing.Author.Bureau }

// Desk is what somebody at the table is waiting for; it does not survive a restart.
type Desk uint8

// The desk's states.
const (
	// Idle: nobody waits.
	Idle Desk = iota
	// Asking: the home bureau has been asked for a release.
	Asking
	// Admitting: the admission is being made durable.
	Admitting
	// Awaiting: the admission is durable, the group's answer is awaited (the barrier).
	Awaiting
	// Voiding: the admission is being taken back before the light.
	Voiding
	// Joining: the right is here for a proxy, whose other right is not yet.
	Joining
)

// State is all that one bureau knows of one right. What is durable is in the bureau's
// own chain and comes back by Recover; Pending, Next and Desk are lost in a crash.
type State struct {
	// Record is what the chain says, as far as it is durable.
	Record ledger.Record
	// Proof is the extract of the own statement that brought Record where it
	// is: the admission, the release, or the return. Nil where there was none.
	Proof []byte
	// Release is the extract of the home bureau's release, while the right is
	// held or used away.
	Release []byte
	// LastReturn is the extract of the newest return by this bureau, for
	// whoever sends an old release again (R3).
	LastReturn []byte
	// Handed: the green light was shown (or may have been, before a restart).
	// From then on only two persons can undo the admission (R11).
	Handed bool
	// Pending is the statement that is being made durable; nothing else begins
	// before it is (R1, R2, R5, R14).
	Pending ledger.Body
	// Next is what Record becomes then; an admission's own name is filled in.
	Next ledger.Record
	Desk Desk
	// Asked is what the desk said, while it waits.
	Asked Ask
	// Pair is the proxy that takes this right or has used it; nil when there is none.
	Pair *ledger.ProxyAdmission
	// Beside is a provisional admission of an incarnation that did not know what its
	// predecessor's chain says of the right (Record): until it is undone nobody else is admitted
	// by the right here, nor is it given away.
	Beside Beside
}

// Beside is a statement that stands beside the chain: its name and its extract, nil for none.
type Beside struct {
	ID      ledger.StatementID
	Extract []byte
}

// Start is the state of a right of which the bureau's chain says nothing.
func (c *Context) Start() State { return State{Record: ledger.InitialRecord(c.atHome())} }

// Recover replays one durable statement of the bureau's own chain into the state (R13). Every
// admission that is not undone counts as handed over. A statement that does not follow
// is an error of the chain's, reported by its validity.
//
// A settled incarnation replays its predecessor's chain first. Where that has used or released what
// the unfenced one admitted provisionally without knowing, the provisional admission does not
// follow from it and is kept beside it.
func (c *Context) Recover(s State, id ledger.StatementID, body ledger.Body, extract []byte) (State, ledger.Validity) {
	if !c.holds(r13) {
		return s, ledger.Valid
	}
	st := c.Standing
	st.Author.Session = id.Session
	// It is judged as of its own session, whose incarnation may have been unfenced then.
	_, provisional := body.(*ledger.Provisional)
	st.Unfenced = provisional && st.Author.Incarnation > 0
	if c.beside(&s, id, body, extract) {
		return s, ledger.Valid
	}
	rec, why := c.after(s, st, id, body)
	if why != ledger.Valid {
		return s, why
	}
	s = c.settle(s, rec, body, extract)
	s.Handed = rec.State == ledger.Admitted || rec.State == ledger.Provisioned
	return s, ledger.Valid
}

// beside keeps a provisional admission that does not follow from the predecessor's chain, or undoes it.
func (c *Context) beside(s *State, id ledger.StatementID, body ledger.Body, extract []byte) bool {
	undone := ledger.StatementID{}
	switch b := body.(type) {
	case *ledger.Provisional:
		if c.Standing.Author.Incarnation == 0 || s.Record.State != ledger.Admitted && s.Record.State != ledger.Released && s.Record.State != ledger.Held {
			return false
		}
		s.Beside = Beside{id, extract}
		return true
	case *ledger.Void:
		undone = ledger.StatementID{Session: id.Session, Sequence: b.Sequence}
	case *ledger.Annulment:
		undone = b.Record
	default:
		return false
	}
	if s.Beside.Extract == nil || s.Beside.ID != undone {
		return false
	}
	s.Beside = Beside{}
	return true
}

// settle takes over a record and the extracts that belong to it.
func (c *Context) settle(s State, rec ledger.Record, body ledger.Body, extract []byte) State {
	s.Record, s.Proof = rec, extract
	switch b := body.(type) {
	case *ledger.ProxyAdmission:
		s.Pair = b
	case *ledger.Void, *ledger.Annulment:
		s.Pair = nil
	case *ledger.Hold:
		s.Release = b.Release
	case *ledger.Return:
		s.Release, s.LastReturn = nil, extract
		if !c.holds(r3) {
			s.Record.Nonce, s.LastReturn = 0, nil
		}
	}
	if rec.State != ledger.Admitted && rec.State != ledger.Provisioned {
		s.Handed = false
	}
	return s
}
