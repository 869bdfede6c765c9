package rights

import "pointage/ledger"

// Event is something that happened to one right.
type Event interface{ event() }

// Events of the desk.
type (
	// Ask: an elector stands at the table.
	Ask struct {
		Means    ledger.Means
		Attester uint16
	}
	// AskProvisional: the president admits without the right, where the policy
	// or the machine's standing provides for it.
	AskProvisional struct {
		Ask
		Reason uint8
	}
	// AskProxy: an elector stands at the table with another's proxy (StepPair). The two are
	// different electors on the roll, the form is one that a statement can hold; the nonces are
	// the step's to fill in.
	AskProxy struct{ Proxy *ledger.ProxyAdmission }
	// Leave: nobody waits for the release any longer.
	Leave struct{}
	// Undo: take the admission back before the light.
	Undo struct{ Reason uint8 }
	// Annul: two persons attest, after the light, that there was no ballot.
	Annul struct {
		Reason    uint8
		Attesters [2]uint16
	}
)

// Events of the bureau's own machine.
type (
	// Written: the pending statement is durable under this name.
	Written struct {
		ID ledger.StatementID
		// Extract is the statement's encoded extract.
		Extract []byte
	}
	// Lost: the pending statement will never be durable; the journal has stopped.
	Lost struct{}
	// Answered: the group's apply result for an admission.
	Answered struct {
		// ID is that of AwaitGroup. Answers come late: one for an admission that was
		// undone meanwhile has no effect on the next one. The zero ID is taken for the newest.
		ID      ledger.StatementID
		Verdict ledger.Verdict
	}
	// Expired: the group does not answer in time, or is known not to.
	Expired struct{}
	// Unreachable: the home bureau does not answer.
	Unreachable struct{}
)

// Events from other bureaux. Extracts come encoded and unverified: what they must be
// is judged in Step.
type (
	// Requested: another bureau asks for the right; for a proxy, which may move it under every
	// policy.
	Requested struct {
		By    ledger.BureauNumber
		Proxy bool
	}
	// Arrived: a release.
	Arrived struct{ Extract []byte }
	// Denied: the home bureau's proof that it has no right to give.
	Denied struct{ Extract []byte }
	// Returned: a return.
	Returned struct{ Extract []byte }
)

func (Ask) event()            {}
func (AskProvisional) event() {}
func (AskProxy) event()       {}
func (Leave) event()          {}
func (Undo) event()           {}
func (Annul) event()          {}
func (Written) event()        {}
func (Lost) event()           {}
func (Answered) event()       {}
func (Expired) event()        {}
func (Unreachable) event()    {}
func (Requested) event()      {}
func (Arrived) event()        {}
func (Denied) event()         {}
func (Returned) event()       {}

// Effect is something for the driver to do, in order.
type Effect interface{ effect() }

// Effects.
type (
	// Write: make the body durable in the bureau's chain, then step with Written.
	Write struct{ Body ledger.Body }
	// Note: put the body into the chain too; nobody waits for it and no record changes.
	Note struct{ Body ledger.Body }
	// AwaitGroup: step with Answered when the statement's apply result is
	// there, or with Expired.
	AwaitGroup struct{ ID ledger.StatementID }
	// Send: pass a message on, at most once; senders repeat what they need.
	Send struct {
		To      ledger.BureauNumber
		Message Message
	}
	// Tell: the answer to the desk.
	Tell struct {
		// Answers says whose question this answers: a correction that was done is no
		// green light for a check-in that waits beside it.
		Answers Acts
		// Refusal is ledger.NotRefused for the green light, and for a correction that was done.
		Refusal ledger.Refusal
		// Of is which of a proxy's two rights it was refused for; 0 where there is but one.
		Of ledger.RightKind
		// At is the bureau where the elector was admitted or where the right
		// lies, 0 when unknown.
		At ledger.BureauNumber
		// Record is this bureau's own admission, where there is one.
		Record ledger.StatementID
		// Group: the group has answered that the admission is the first.
		Group bool
	}
	// Defer: another statement is being written; step with the event again after it.
	Defer struct{ Event Event }
	// Alarm: the group reports a conflict for an admission that was handed over.
	Alarm struct{ Verdict ledger.Verdict }
)

// Acts is a set of what desks ask for.
type Acts uint8

// The acts: Ask and AskProvisional; Undo and Annul; AskProxy.
const (
	CheckIn    Acts = 1
	Correction Acts = 2
	ByProxy    Acts = 4
)

func (Write) effect()      {}
func (Note) effect()       {}
func (AwaitGroup) effect() {}
func (Send) effect()       {}
func (Tell) effect()       {}
func (Defer) effect()      {}
func (Alarm) effect()      {}

// MessageKind is what bureaux say to each other about a right.
type MessageKind uint8

// The kinds of messages; numbered for ever.
const (
	RequestMessage MessageKind = 1
	ReleaseMessage MessageKind = 2
	DenyMessage    MessageKind = 3
	ReturnMessage  MessageKind = 4
	// ProxyRequestMessage asks for a right that a proxy needs.
	ProxyRequestMessage MessageKind = 5
)

// Message is idempotent and may be relayed by anyone: what matters in it is signed.
type Message struct {
	Kind  MessageKind
	Right ledger.Right
	// By is the bureau that asks, for a request of either kind.
	By ledger.BureauNumber
	// Extract proves the others.
	Extract []byte
}

// Event is the message as an event at its receiver, nil for an unknown kind.
func (m Message) Event() Event {
	switch m.Kind {
	case RequestMessage:
		return Requested{By: m.By}
	case ProxyRequestMessage:
		return Requested{By: m.By, Proxy: true}
	case ReleaseMessage:
		return Arrived{m.Extract}
	case DenyMessage:
		return Denied{m.Extract}
	case ReturnMessage:
		return Returned{m.Extract}
	}
	return nil
}
