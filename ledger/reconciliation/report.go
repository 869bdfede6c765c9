package reconciliation

import "pointage/ledger"

// Report is what the union shows, each list in an order of its own content.
type Report struct {
	// Batches is how many there are, Placed how many of them the ledger has.
	Batches, Placed int
	// Double are rights that were used more than once, Admitted how many electors were admitted.
	Double   []Double
	Admitted int
	Forks    []Fork
	// Orphans are tails that were recorded on one medium and left behind: whether a ballot was
	// handed over is to be asked.
	Orphans    []Span
	Misconduct []Misconduct
	// Omissions are batches that an author or a medium shows and the ledger lacks; none when no
	// entries were given.
	Omissions []Span
	// Missing are batches that something goes on from, or that somebody has seen signed, and
	// that nobody brought.
	Missing []Missing
	// Retired are batches after the retirement of their key, or, where the ledger lacks them,
	// of a key that it retired.
	Retired      []Span
	Provisionals []Provisional
	// Gaps are batches that the ledger placed although one before was missing.
	Gaps        []Span
	Activations []Activation
	// Equivocations are the statements that prove a member's contradiction.
	Equivocations []Record
}

// Record names one statement.
type Record struct {
	Author   ledger.Author
	Sequence uint64
	Kind     ledger.Kind
	// Batch is the identity of its batch: on two sides of a fork all else can be alike.
	Batch ledger.Hash
	// Entry is where the ledger has it (Reference), if InLedger.
	Entry    uint64
	InLedger bool
}

// Double is a right with more than one admission that nobody took back.
type Double struct {
	Right   ledger.Right
	Records []Record
}

// Fork is two batches of one machine that are not of one chain.
type Fork struct {
	First, Second ledger.SignedHeader
	// Proved says that the two headers alone prove it (ledger.Evidence); otherwise it
	// takes the chains.
	Proved bool
}

// Span is a stretch of an author's statements, From up to, not including, To.
type Span struct {
	Author   ledger.Author
	From, To uint64
}

// Misconduct is a statement that its author's own chain does not allow.
type Misconduct struct {
	Record   Record
	Validity ledger.Validity
	// State is where the first of its rights stood that does not allow it.
	State ledger.State
}

// Missing is a stretch that nobody brought.
type Missing struct {
	Span
	// Signed says that its header was seen with the author's signature: it was there once.
	Signed bool
}

// Outcome is what became of a provisional admission.
type Outcome uint8

// The outcomes.
const (
	// Open: a chain that could hold another admission is not complete.
	Open Outcome = 1
	// Confirmed: the chains are complete and no other is there.
	Confirmed Outcome = 2
	// Withdrawn: voided or annulled.
	Withdrawn Outcome = 3
	// DoubleAdmitted: another admission is there; both stand under Double.
	DoubleAdmitted Outcome = 4
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Open:
		return "open"
	case Confirmed:
		return "confirmed"
	case Withdrawn:
		return "withdrawn"
	case DoubleAdmitted:
		return "double"
	}
	return "unknown outcome"
}

// Provisional is a provisional admission and what became of it.
type Provisional struct {
	Record  Record
	Outcome Outcome
}

// Activation is a next incarnation that has spoken.
type Activation struct {
	Bureau      ledger.BureauNumber
	Incarnation ledger.Incarnation
	// Enrolled says that an amendment enrolled its key; otherwise the code of the sealed
	// envelope did.
	Enrolled bool
	// Settled says that a session of it has taken over all incarnations before.
	Settled bool
}
