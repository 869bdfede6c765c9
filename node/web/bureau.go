package web

import (
	"context"
	"fmt"
	"io"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/daybook"
	"pointage/node/pollbook"
)

// Bureau is what the screens ask of the bureau that they belong to; package node is it. Refusals come back as
// values; an error is a fault of the machine.
type Bureau interface {
	Acts
	Papers

	// Facts never change while the program runs, but for the place.
	Facts() Facts
	State() State
	// Place is where a bureau of the commune sits, empty for none of its bureaux.
	Place(b ledger.BureauNumber) string

	// OpensKey says whether a passphrase is the one that opened the bureau's keys.
	OpensKey(passphrase string) bool
	// Keep makes a small text durable on the bureau's media, encrypted; Kept gives it back, nil for none.
	Keep(ctx context.Context, key string, value []byte) error
	Kept(key string) []byte

	// Find is the elector of a typed number. The error is one of package ledger's for a number that
	// can't be one.
	Find(means ledger.Means, number string) (e Elector, found bool, err error)
	// Elector is that of a number in the register.
	Elector(number int) (e Elector, found bool)
	// Search lists electors by name, the best first, and how many there are in all.
	Search(query string, most int) (found []Elector, total int)

	CheckIn(ctx context.Context, d Desk) (Answer, error)
	// Undo takes an admission back before its light, Annul after it: then two persons attest.
	Undo(ctx context.Context, d Desk, reason uint8) (Answer, error)
	Annul(ctx context.Context, d Desk, reason uint8, second uint16) (Answer, error)
	// Marked is how an elector's right was used, as far as it is known here; nothing is recorded.
	Marked(elector int) (Answer, error)
	// Contest records a word about an elector: what was said is sealed. Contested lists those that this bureau may
	// read: against its own marks, its own electors', and at the principal bureau and its deputy all; the newest first.
	Contest(ctx context.Context, c Contest) error
	Contested(ctx context.Context) ([]Contested, error)
	// Examples are convocation numbers of electors who were not checked in as far as is known here: of this bureau's
	// own, or of others'. Only a rehearsal shows them.
	Examples(own bool, most int) []ledger.ConvocationNumber
	// Rows are this bureau's newest check-ins, the newest first.
	Rows(most int) ([]Row, error)

	Open(ctx context.Context) error
	CloseBureau(ctx context.Context) error
	// Clocks compares this machine's clock with those of the bureaux that answer now.
	Clocks(ctx context.Context) []Clock
	// Signatories are those of the commune who may sign a change of the manifest; Relabel is the one that says where a
	// bureau's key really is.
	Signatories() []Signatory
	Relabel(ctx context.Context, x Relabelling) (Relabelled, error)
	// MemberName is a member's name in the register, empty where the code is nobody's.
	MemberName(code uint16) string
	Attendance(ctx context.Context) (daybook.Attendance, error)
}

// Facts are what the screens show of the election and this bureau.
type Facts struct {
	Election string
	// Live is false in a rehearsal.
	Live           bool
	Commune        ledger.Commune
	NameFR, NameNL string
	Bureau         ledger.BureauNumber
	Principal      ledger.BureauNumber
	Deputy         ledger.BureauNumber
	Opens, Closes  time.Time
	Where          election.Where
	Policy         election.Policy
	Method         ledger.Modulo97
	// Electors are on the commune's list, Home at home here.
	Electors, Home int
	// Manifest, Register and Program are SHA-256; RegisterOn is the register file's time.
	Manifest, Register, Program ledger.Hash
	RegisterOn                  time.Time
	// Communes names the election's other communes, by the last two digits of their numbers.
	Communes map[uint32][2]string
	// KeyPlace is the place in the manifest that the keys were made for.
	KeyPlace string
}

// State is how the bureau stands now.
type State struct {
	Open bool
	// Closed: it was open, and is closed.
	Closed bool
	Link   pollbook.Link
	// Backlog is how many batches the group does not have, Connected how many bureaux answer, of Others.
	Backlog, Connected, Others int
	Admitted, Away, Proxies    int
	Alarms                     int
	// Own is how many statements the bureau's own chain has, read one by one, and Done what they did to electors.
	Own  uint64
	Done Done
	// LedgerSize and LedgerHead are the commune's ledger here.
	LedgerSize uint64
	LedgerHead ledger.Hash
	Media      [3]Medium
	// Fault is why the bureau can't go on, in English; empty when it can. Retired: this machine's key was.
	Fault   string
	Retired bool
	// InDoubt: peers hold records that this machine lacks, leave it out, or have another ledger.
	InDoubt bool
}

// Done counts what a bureau's own chain ever did to electors, whether or not it was taken back since.
type Done struct {
	// Home and Away are check-ins of electors of this and of other bureaux, Proxies those by a holder.
	Home, Away, Proxies int
	// Again are attempts of electors who had been checked in, Elsewhere those that led to another bureau.
	Again, Elsewhere int
	// Undone are check-ins that were taken back.
	Undone int
}

// Marks are all check-ins.
func (d Done) Marks() int { return d.Home + d.Away + d.Proxies }

// Admit counts a check-in.
func (d *Done) Admit(r Row, away bool) {
	switch {
	case r.Kind == ByProxy:
		d.Proxies++
	case away:
		d.Away++
	default:
		d.Home++
	}
}

// Refuse counts an attempt that was refused.
func (d *Done) Refuse(why ledger.Refusal) {
	switch why {
	case ledger.AlreadyAdmitted, ledger.ConflictFound:
		d.Again++
	case ledger.OtherBureau, ledger.HomeUnreachable, ledger.ReleasedElsewhere:
		d.Elsewhere++
	}
}

// Medium is one of the bureau's three media.
type Medium struct {
	Attached bool
	// Fault is what is wrong with it, in English.
	Fault string
}

// Elector is what the table sees of one elector.
type Elector struct {
	// Number is the elector's in the register.
	Number              int
	Surname, FirstNames string
	Convocation         ledger.ConvocationNumber
	National            ledger.NationalNumber
	Home                ledger.BureauNumber
	// Language is "fr" or "nl".
	Language string
}

// Format writes "elector (withheld)" whatever the verb.
func (Elector) Format(f fmt.State, _ rune) { io.WriteString(f, "elector (withheld)") }

// MarshalText keeps an elector out of every text encoding.
func (Elector) MarshalText() ([]byte, error) { return []byte("elector (withheld)"), nil }

// Desk is one act of the table on one elector.
type Desk struct {
	// Elector is the register's number.
	Elector  int
	Means    ledger.Means
	Attester uint16
	// ChipNotProven is recorded of a card whose chip could not prove to be the one that was issued.
	ChipNotProven bool
	// Provisional is the president's reason to admit without the right, 0 for none.
	Provisional uint8
}

// Answer is what the table is told.
type Answer struct {
	pollbook.Receipt
	// Earlier is the admission that a refusal rests on, as far as it is known here.
	Earlier Use
}

// Use is how a right was used.
type Use struct {
	// When is exact for this bureau's own, else rounded down to five minutes; zero when unknown.
	When     time.Time
	Attester uint16
	Means    ledger.Means
	// Entry names the ledger's entry, empty while it has no place here.
	Entry string
}

// RowKind is what a row is.
type RowKind uint8

// The kinds of rows.
const (
	CheckedIn   RowKind = 1
	ByProxy     RowKind = 2
	Provisional RowKind = 3
)

// Row is one check-in of this bureau.
type Row struct {
	Record  ledger.StatementID
	Kind    RowKind
	Elector Elector
	// Holder carries the proxy.
	Holder Elector
	// At is the exact time by this machine's clock.
	At       time.Time
	Means    ledger.Means
	Attester uint16
	// Replicated: the group's ledger has it here. Undone: it was voided or annulled.
	Replicated, Undone bool
}

// Contest is an elector's word against a mark, or the president's reason to admit one who belongs elsewhere.
type Contest struct {
	Elector int
	// Redirected: it is the president's reason.
	Redirected bool
	// At is the bureau of the mark, 0 when unknown.
	At       ledger.BureauNumber
	Attester uint16
	Text     string
}

// Contested is an elector's word against a mark, as it can be read later.
type Contested struct {
	Elector Elector
	// From is the bureau where it was said, At that of the mark, 0 when unknown.
	From, At ledger.BureauNumber
	When     time.Time
	Attester uint16
	Text     string
	Record   ledger.StatementID
	// Row is this bureau's own mark that stands, nil for none.
	Row *Row
}

// Clock is how far another bureau's clock is from this one's.
type Clock struct {
	Bureau ledger.BureauNumber
	// Ahead is how much later that bureau's clock is, to about Within.
	Ahead, Within time.Duration
}
