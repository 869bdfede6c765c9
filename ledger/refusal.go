package ledger

// Refusal is a domain answer to somebody who asked to vote, numbered for ever
// (SPEC 8): a value, never an error. The screens translate it.
type Refusal uint16

// The refusals. The zero value is none.
const (
	// NotRefused means that the elector is admitted.
	NotRefused Refusal = 0
	// AlreadyAdmitted: this elector was checked in before, here or elsewhere.
	AlreadyAdmitted Refusal = 1
	// ReleasedElsewhere: the right lies at another bureau that asked for it.
	ReleasedElsewhere Refusal = 2
	// OtherBureau: the policy sends this elector to his home bureau.
	OtherBureau Refusal = 3
	// NotOnTheRoll: no elector of this commune.
	NotOnTheRoll Refusal = 4
	// HomeUnreachable: the elector's home bureau doesn't answer; nothing was
	// used up, he may go there or try again.
	HomeUnreachable Refusal = 5
	// BureauNotOpen: the bureau is not open, or is closed.
	BureauNotOpen Refusal = 6
	// InProgress: another act on this elector is under way at this bureau.
	InProgress Refusal = 7
	// ConflictFound: the group's ledger held an admission already; this one was voided.
	ConflictFound Refusal = 8
	// ProxyAlreadyHeld: the holder already carries one proxy.
	ProxyAlreadyHeld Refusal = 9
	// NothingToCorrect: no admission here that could be undone so.
	NothingToCorrect Refusal = 10
	// SecondPersonNeeded: the act asks for two different persons.
	SecondPersonNeeded Refusal = 11
	// UnfencedOnly: this machine may only admit provisionally.
	UnfencedOnly Refusal = 12
	// Withdrawn: the desk took the admission back before the light.
	Withdrawn Refusal = 13

	lastRefusal = Withdrawn
)

// Known says whether the number has been given a meaning (other than none).
func (r Refusal) Known() bool { return r > NotRefused && r <= lastRefusal }

// String is the refusal in plain English, for terminals and testers.
func (r Refusal) String() string {
	switch r {
	case NotRefused:
		return "admitted"
	case AlreadyAdmitted:
		return "already admitted"
	case ReleasedElsewhere:
		return "the right lies at another bureau"
	case OtherBureau:
		return "belongs to another bureau"
	case NotOnTheRoll:
		return "not on the list of electors"
	case HomeUnreachable:
		return "home bureau does not answer"
	case BureauNotOpen:
		return "the bureau is not open"
	case InProgress:
		return "another act on this elector is under way"
	case ConflictFound:
		return "admitted elsewhere a moment before; this row was voided"
	case ProxyAlreadyHeld:
		return "already carries a proxy"
	case NothingToCorrect:
		return "no admission here to correct"
	case SecondPersonNeeded:
		return "two different persons must attest"
	case UnfencedOnly:
		return "this machine may only admit provisionally"
	case Withdrawn:
		return "taken back before the ballot was handed over"
	}
	return "unknown refusal"
}
