package journal

import (
	"fmt"
	"strings"

	"pointage/ledger"
)

// Problem is why a medium does not count.
type Problem uint8

// The problems.
const (
	// Absent: no directory there.
	Absent Problem = iota
	// NoJournal: a directory without a header, such as a blank key.
	NoJournal
	// Unreadable: the operating system reports an error on reading.
	Unreadable
	// Damaged: the header or the file of records is not what was written.
	Damaged
	// NewerFormat: written by a newer program.
	NewerFormat
	// OtherElection, OtherBureau, OtherIncarnation: somebody else's journal.
	OtherElection
	OtherBureau
	OtherIncarnation
	// WrongKey: the header is this bureau's but was not made with its journal key.
	WrongKey
	// Copied: the header was made for another piece of hardware.
	Copied
	// OtherSet: another set of this bureau.
	OtherSet
	// OldGeneration: a newer generation of the set is attached, which does not name it.
	OldGeneration
	// NewerGeneration: the media at work are of an older generation of the set.
	NewerGeneration
	// Twin: two attached media are the same member.
	Twin
	// Unwritable: it can be read, and the union can't be written back on it.
	Unwritable
	// Occupied: Create or Replace met a journal.
	Occupied
	// Failed: a write failed, or it was no longer there.
	Failed
	// Surplus: three media are written.
	Surplus
	// Elsewhere: it was opened after the session that goes on without it.
	Elsewhere
	// OtherHistory: it holds what can't stand beside the chain at work (ForkError).
	OtherHistory
	// Formerly: Replace met a medium that the set has or had at that place.
	Formerly
)

var problemWords = [...]string{
	Absent:           "is not attached: attach it",
	NoJournal:        "has no journal of this bureau: attach the bureau's own key, or let it take the place of a lost one",
	Unreadable:       "can't be read: attach it again or take it to another socket",
	Damaged:          "is damaged: keep it for the principal bureau and use the other two",
	NewerFormat:      "was written by a newer program: use that program",
	OtherElection:    "belongs to another election: attach the bureau's own key",
	OtherBureau:      "belongs to another bureau: hand it back and attach the bureau's own",
	OtherIncarnation: "belongs to another machine of this bureau: keep it for the principal bureau",
	WrongKey:         "was not made with this bureau's journal key: attach the bureau's own key",
	Copied:           "is a copy made on another piece of hardware: attach the original",
	OtherSet:         "belongs to another set of this bureau: keep it for the principal bureau",
	OldGeneration:    "was replaced by another medium: keep it for the principal bureau",
	NewerGeneration:  "is of a newer generation than the media at work: close the bureau and open it again with this one attached",
	Twin:             "is there twice: remove the copy, keep both for the principal bureau",
	Unwritable:       "can't be written: make room on it or remove its write protection",
	Failed:           "can no longer be written: attach it again, or replace it by a blank one",
	Surplus:          "is not needed, three media are written: keep it away",
	Elsewhere:        "was opened on another machine since this session began: keep it as it is and tell the principal bureau",
	OtherHistory:     "holds another history of this bureau: keep it as it is and tell the principal bureau",
	Formerly:         "is a medium of this set already: attach a new one",
	Occupied:         "has a journal already: it is kept; attach a blank medium, or empty this one if its bureau was never opened",
}

// String says what is the matter and what to do.
func (p Problem) String() string {
	if int(p) >= len(problemWords) {
		return fmt.Sprintf("has problem %d", uint8(p))
	}
	return problemWords[p]
}

// MediumError is why the medium at one place of the set does not count.
type MediumError struct {
	// Place is the index in Options.Media, -1 for a medium that has none, Path the directory there.
	Place   int
	Path    string
	Problem Problem
	// Detail adds to Problem; Err is the operating system's error, if any.
	Detail string
	Err    error
}

// Error names the medium, the problem and what to do, in one line.
func (e *MediumError) Error() string {
	var b strings.Builder
	if e.Place < 0 {
		b.WriteString("the medium")
	} else {
		fmt.Fprintf(&b, "medium %d", e.Place)
	}
	if e.Path != "" {
		fmt.Fprintf(&b, " (%s)", e.Path)
	}
	fmt.Fprintf(&b, " %v", e.Problem)
	if e.Detail != "" {
		fmt.Fprintf(&b, " (%s)", e.Detail)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, " (%v)", e.Err)
	}
	return b.String()
}

// Unwrap is the operating system's error.
func (e *MediumError) Unwrap() error { return e.Err }

// faults are several, told in one line.
type faults []error

func (f faults) Error() string {
	words := make([]string, len(f))
	for i, e := range f {
		words[i] = e.Error()
	}
	return strings.Join(words, "; ")
}

func (f faults) Unwrap() []error { return f }

// TooFewError says that fewer than two media can be used, and why not the others.
type TooFewError struct {
	Usable   int
	Problems []*MediumError
}

// Error is one line for people.
func (e *TooFewError) Error() string {
	return fmt.Sprintf("%d of the bureau's three media can be used, two are needed: %v", e.Usable, faults(e.Unwrap()))
}

// Unwrap lists the problems.
func (e *TooFewError) Unwrap() []error {
	out := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = p
	}
	return out
}

// FindingKind is what kind of thing opening found.
type FindingKind uint8

// The kinds of findings.
const (
	// NotCounted: a medium was left out; What says why.
	NotCounted FindingKind = iota
	// TornTail: bytes after the last good record, as a crash leaves them. They were cut off.
	TornTail
	// DamagedRecord: bytes or record numbers before a good record are bad. What stood
	// there was taken from the other media.
	DamagedRecord
	// Levelled: records were missing on a medium and were written back from the others.
	Levelled
	// BroughtUp: the medium was of the generation before, by a replacement that was cut.
	BroughtUp
	// Orphaned: a tail beyond the head that a later session went on from.
	Orphaned
	// Forked: a tail beside the chain that must have been durable (ForkError).
	Forked
	// Missing: batches are on none of the media, although later ones are (Read).
	Missing
)

var findingNames = [...]string{
	NotCounted: "medium not counted", TornTail: "torn tail", DamagedRecord: "damaged record",
	Levelled: "levelled", BroughtUp: "brought up", Orphaned: "orphan", Forked: "fork", Missing: "missing batches",
}

// String names the kind.
func (k FindingKind) String() string {
	if int(k) >= len(findingNames) {
		return fmt.Sprintf("finding %d", uint8(k))
	}
	return findingNames[k]
}

// Finding is something about the media that people should know.
type Finding struct {
	Kind FindingKind
	// Member is whose medium it is, -1 when it is about the chain.
	Member int
	// What is a line for people.
	What string
	// Offset and Bytes are where the damage is, in the file of records.
	Offset, Bytes int64
	// Tail is the part beside the chain, for Orphaned and Forked.
	Tail *ledger.Orphan
	// Headers are, for Forked, the two signed headers that part there, the chain's first: what
	// ledger.Evidence shows.
	Headers [2][]byte
}
