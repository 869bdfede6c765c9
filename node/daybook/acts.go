package daybook

import (
	"fmt"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
)

// Refusal is why an act of the table was not recorded; its numbers are for ever, screens translate them.
type Refusal uint8

// The refusals; 0 for an act that was recorded.
const (
	Recorded          Refusal = 0
	NoSuchMember      Refusal = 1
	PresenceUnknown   Refusal = 2
	NotActive         Refusal = 3
	NoPayOffice       Refusal = 4
	AccountForm       Refusal = 5
	AccountCountry    Refusal = 6
	AccountLength     Refusal = 7
	AccountCheck      Refusal = 8
	NotAnElector      Refusal = 9
	AlreadyMember     Refusal = 10
	TooManyReplaced   Refusal = 11
	FunctionUnknown   Refusal = 12
	MessageUnfit      Refusal = 13
	NoSuchBureau      Refusal = 14
	QueueTooLong      Refusal = 15
	PrincipalOnly     Refusal = 16
	NumberUnreadable  Refusal = 17
	KeyUnknown        Refusal = 18
	TooManyStatements Refusal = 19
)

var refusals = [...]string{
	Recorded: "recorded", NoSuchMember: "nobody with this number is convened or serves here", PresenceUnknown: "presence is active, not retained or absent",
	NotActive: "only an active member has an account recorded", NoPayOffice: "this election's manifest names no pay office: use the paper form",
	AccountForm: "an account number has two letters, two digits, and 11 to 30 letters and digits", AccountCountry: "the account number's country does not use this form",
	AccountLength: "the account number is too short or too long for its country", AccountCheck: "the account number's check digits do not match",
	NotAnElector: "nobody with this number is on the commune's list", AlreadyMember: "this person is a member already",
	TooManyReplaced: "this bureau has replaced as many members as it can", FunctionUnknown: "this function is unknown",
	MessageUnfit: "a message is 1 to 1,024 bytes of text", NoSuchBureau: "the commune has no such bureau", QueueTooLong: "at most 5,000 people wait",
	PrincipalOnly: "only the principal bureau and its deputy do this", NumberUnreadable: "the number's digits do not match: type it again",
	KeyUnknown: "a bureau has key 1 and key 2, and a hand-over goes to the bureau, the principal bureau or the college", TooManyStatements: "too many at a time",
}

// String says why.
func (r Refusal) String() string {
	if int(r) >= len(refusals) {
		return fmt.Sprintf("refusal %d", uint8(r))
	}
	return refusals[r]
}

// Refusals are all of them.
func Refusals() (out []Refusal) {
	for r := Recorded; int(r) < len(refusals); r++ {
		out = append(out, r)
	}
	return out
}

// Member is somebody convened as a member of this bureau, or who replaces one.
type Member struct {
	Number uint16 `json:"number"`
	// Function is president, deputy, secretary, assessor or substitute.
	Function string `json:"function"`
	// Surname and FirstNames are the register's; no answer of the interface has them.
	Surname    string `json:"-"`
	FirstNames string `json:"-"`
	// Presence is 0 while nothing was said, then active 1, present and not retained 2, absent 3.
	Presence ledger.Presence `json:"presence"`
	// Replaces is the number of the member in whose place this one serves, -1 for none named; nil for somebody
	// who was convened.
	Replaces *int `json:"replaces,omitempty"`
	// Account says that an account was recorded for the pay office.
	Account bool `json:"account"`
}

// Attendance is who was convened for this bureau and who serves (decree art. 8 § 1).
type Attendance struct {
	Members []Member `json:"members"`
	// PayOffice says that accounts can be recorded.
	PayOffice bool `json:"pay_office"`
}

// Replacement is somebody who was not convened and is to serve as a member.
type Replacement struct {
	// By is card, convocation or national, Number the person's number, as typed.
	By     string `json:"by"`
	Number string `json:"number"`
	// Function is president, deputy, secretary, assessor or substitute; For the number of the member who is
	// replaced, 0 for none.
	Function string `json:"function"`
	For      uint16 `json:"for"`
}

// Quarter is what fifteen minutes brought.
type Quarter struct {
	From     ledger.Instant `json:"from"`
	CheckIns int            `json:"check_ins"`
	Proxies  int            `json:"proxies"`
	Undone   int            `json:"undone"`
	// FirstEntry and LastEntry name the ledger's entries to look at, empty while they have no place.
	FirstEntry string `json:"first_entry,omitempty"`
	LastEntry  string `json:"last_entry,omitempty"`
}

// Tally is one count with its gaps.
type Tally struct {
	Time      ledger.Instant `json:"time"`
	CheckedIn uint32         `json:"checked_in"`
	Issued    uint32         `json:"issued"`
	Scanned   uint32         `json:"scanned"`
	// GapIssued is issued less checked in, GapScanned scanned less issued.
	GapIssued  int  `json:"gap_issued"`
	GapScanned int  `json:"gap_scanned"`
	Alert      bool `json:"alert"`
}

// TallyOf compares a count.
func TallyOf(t reconciliation.Tally) Tally {
	g := t.Gaps()
	return Tally{t.Time, t.CheckedIn, t.Issued, t.Scanned, g.Issued, g.Scanned, g.Alert()}
}

// Counts are a bureau's counts through the day.
type Counts struct {
	// CheckedIn is how many check-ins stand now, ByProxy among them.
	CheckedIn int     `json:"checked_in"`
	ByProxy   int     `json:"by_proxy"`
	Tallies   []Tally `json:"tallies"`
	// Look is where the last tally's gap arose: the quarters of an hour between the two tallies over which it
	// grew most. Empty without an alert.
	Look []Quarter `json:"look,omitempty"`
}

// State is how a bureau stands, as another one of the commune can know it.
type State string

// The states.
const (
	NotOpen    State = "not open"
	Linked     State = "linked"
	CatchingUp State = "catching up"
	Alone      State = "alone"
	Silent     State = "silent"
	Closed     State = "closed"
)

// Load is one bureau of the commune with its state.
type Load struct {
	Bureau ledger.BureauNumber `json:"bureau"`
	Place  string              `json:"place"`
	// Principal marks the principal bureau, Here this one.
	Principal bool  `json:"principal,omitempty"`
	Here      bool  `json:"here,omitempty"`
	State     State `json:"state"`
	// Electors are at home there; CheckIns stand, Proxies among them.
	Electors int `json:"electors"`
	CheckIns int `json:"check_ins"`
	Proxies  int `json:"proxies"`
	// LastQuarter is how many check-ins it made in the last fifteen minutes, Best the most in any fifteen minutes.
	LastQuarter int `json:"last_quarter"`
	Best        int `json:"best"`
	// Waiting is how many people waited there when somebody last counted, at CountedAt; -1 when nobody has lately.
	Waiting   int            `json:"waiting"`
	CountedAt ledger.Instant `json:"counted_at,omitempty"`
	// WaitMinutes is Waiting by the pace of the last fifteen minutes; -1 where it can't be said.
	WaitMinutes int `json:"wait_minutes"`
	// Heard is when this bureau last heard of it, 0 for never.
	Heard ledger.Instant `json:"heard,omitempty"`
	// Tally is its last count.
	Tally *Tally `json:"tally,omitempty"`
}

// Flow is this bureau's check-ins by fifteen minutes, and the load of every bureau of the commune.
type Flow struct {
	Now      ledger.Instant `json:"now"`
	Quarters []Quarter      `json:"quarters"`
	Bureaux  []Load         `json:"bureaux"`
}

// Message is a word that was sent or received.
type Message struct {
	From ledger.BureauNumber `json:"from"`
	// To is the bureau it is for, 0 for all.
	To   ledger.BureauNumber `json:"to"`
	Time ledger.Instant      `json:"time"`
	Text string              `json:"text"`
	// Record names the signed statement.
	Record string `json:"record"`
	// Unreadable: what was sealed is not a message of that bureau; Text is empty.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Key is one of the commune's keys and where it was last handed to.
type Key struct {
	Bureau ledger.BureauNumber `json:"bureau"`
	Key    int                 `json:"key"`
	// Step is where it is, 0 while nothing was recorded here.
	Step CustodyStep    `json:"step"`
	At   ledger.Instant `json:"at,omitempty"`
	By   uint16         `json:"by,omitempty"`
	To   uint16         `json:"to,omitempty"`
}

// Handing is one of a bureau's keys that goes from one person to another (decree art. 7 § 3).
type Handing struct {
	Bureau ledger.BureauNumber `json:"bureau"`
	// Key is 1 or 2.
	Key int `json:"key"`
	// Step is where it is now.
	Step CustodyStep `json:"step"`
	// By and To are the codes of the members who gave and who took it, 0 for somebody who is none.
	By uint16 `json:"by"`
	To uint16 `json:"to"`
}

// CustodyStep is a station of a key's way (decree art. 7 § 3); numbered for ever.
type CustodyStep uint8

// The stations that the bureaux record.
const (
	AtBureau    CustodyStep = 3
	AtPrincipal CustodyStep = 4
	AtCollege   CustodyStep = 5
)

// Dashboard is what the principal bureau watches.
type Dashboard struct {
	// AnchoredSize and AnchorAgeSeconds are the last anchor's, AnchorFault why the last attempt failed.
	LedgerSize       uint64  `json:"ledger_size"`
	AnchoredSize     uint64  `json:"anchored_size"`
	AnchorAgeSeconds float64 `json:"anchor_age_seconds"`
	AnchorFault      string  `json:"anchor_fault,omitempty"`
	// Cosigners is how many bureaux cosigned the last anchored checkpoint, Certificate whether they are a
	// majority of those that vote.
	Cosigners   int  `json:"cosigners"`
	Certificate bool `json:"certificate"`
	// PlatformSize is how many entries the regional platform has.
	PlatformSize  uint64 `json:"platform_size"`
	PlatformFault string `json:"platform_fault,omitempty"`
	// Forks, Equivocations, Alarms count evidence; the others say what the status says.
	Forks         int  `json:"forks"`
	Equivocations int  `json:"equivocations"`
	Alarms        int  `json:"alarms"`
	RolledBack    bool `json:"rolled_back"`
	LeftOut       bool `json:"left_out"`
	LedgerDiffers bool `json:"ledger_differs"`
	// RefusedProxies is how many proxies the tables refused by their paper, Replacements how many members were replaced.
	RefusedProxies int `json:"refused_proxies"`
	Replacements   int `json:"replacements"`
	// CheckIns and Proxies are the commune's.
	CheckIns int    `json:"check_ins"`
	Proxies  int    `json:"proxies"`
	Bureaux  []Load `json:"bureaux"`
	Keys     []Key  `json:"keys"`
}
