package minutes

import (
	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/reconciliation"
)

// Minutes is what the minutes of a bureau or a commune say, before any language. Its lists are by bureau, each bureau's
// in the ledger's order, and hold at most MaxListed rows; More counts the others.
type Minutes struct {
	Frame
	// Manifest is the SHA-256 of the manifest file.
	Manifest ledger.Hash
	// Bureau is whose minutes they are, 0 for the commune's; Place where it sits.
	Bureau ledger.BureauNumber
	Place  string
	// Role says whether the bureau is the principal one, its deputy, or neither.
	Role Role
	// Bureaux are the commune's by number, in a bureau's minutes that one alone.
	Bureaux []Bureau
	// Total is the sum over Bureaux, All that over the commune's as far as its ledger is known here.
	Total, All Figures
	Lists
	Ledger Ledger
	// Named says that members' names were handed in.
	Named bool
	// Pending is how many of the bureau's own statements had no place in the commune's ledger yet; they count
	// above all the same.
	Pending int
}

// Frame is what every document of a commune's election begins with.
type Frame struct {
	Election       string
	Kind           election.Kind
	Commune        ledger.Commune
	NameFR, NameNL string
	// Opens and Closes are the poll's hours by the manifest.
	Opens, Closes ledger.Instant
}

// FrameOf reads it in the manifest.
func FrameOf(m *election.Manifest, ins ledger.Commune) (Frame, error) {
	c, err := m.Commune(ins)
	if err != nil {
		return Frame{}, err
	}
	return Frame{m.Election, m.Kind, c.INS, c.NameFR, c.NameNL, m.Opens, m.Closes}, nil
}

// Role is a bureau's in its commune.
type Role uint8

// The roles.
const (
	Plain     Role = 0
	Principal Role = 1
	Deputy    Role = 2
)

// MaxListed is how many rows one list of the minutes has, and how many of one bureau are kept for it: none
// crowds out another's.
const MaxListed = 1000

// Bureau is what one bureau did.
type Bureau struct {
	Number ledger.BureauNumber
	Place  string
	// Registered is how many electors are at home here.
	Registered int
	// Opened is the first opening, nil before it; Closed the last closing.
	Opened *Opened
	Closed *Closed
	Figures
	// Last is the last count of ballots, nil without one.
	Last *reconciliation.Tally
}

// Opened is the opening of a bureau.
type Opened struct {
	Time              ledger.Instant
	Register, Program ledger.Hash
}

// Closed is the closing of a bureau and how many electors it said that it had admitted.
type Closed struct {
	Time      ledger.Instant
	CheckedIn uint32
}

// Figures count what stands: check-ins that were neither voided nor annulled.
type Figures struct {
	// Own and Away are check-ins of electors who are at home here, and of others.
	Own, Away int
	// Proxies are those by proxy, Provisional those without the right, among both.
	Proxies, Provisional int
	// ByMeans counts both by ledger.Means.
	ByMeans [ledger.ByName + 1]int
	// Unproven is how many of those by card were by one whose chip could not be proven.
	Unproven int
	// ByReason counts proxies by the reason on the form.
	ByReason [MaxReason + 1]int
	// Voted is how many electors at home here have a check-in anywhere, Elsewhere how many of those at another bureau only.
	Voted, Elsewhere int
	// Voided and Annulled are the check-ins that were taken back.
	Voided, Annulled int
	// Refused counts attempts by the number of the refusal.
	Refused [MaxRefusal + 1]int
	// Unclean counts statements that are not in order.
	Unclean int
}

// MaxRefusal and MaxReason are the largest numbers that are counted apart; others are counted under 0.
const (
	MaxRefusal = ledger.Withdrawn
	MaxReason  = 8
)

// CheckedIn is the number of check-ins that stand.
func (f *Figures) CheckedIn() int { return f.Own + f.Away }

// AllRefused is the number of refused attempts.
func (f *Figures) AllRefused() (n int) {
	for _, k := range f.Refused {
		n += k
	}
	return n
}

func (f *Figures) add(o *Figures) {
	for _, p := range [][2]*int{
		{&f.Own, &o.Own},
		{&f.Away, &o.Away},
		{&f.Proxies, &o.Proxies},
		{&f.Provisional, &o.Provisional},
		{&f.Voted, &o.Voted},
		{&f.Elsewhere, &o.Elsewhere},
		{&f.Voided, &o.Voided},
		{&f.Annulled, &o.Annulled},
		{&f.Unclean, &o.Unclean},
		{&f.Unproven, &o.Unproven},
	} {
		*p[0] += *p[1]
	}
	for i, n := range o.ByMeans {
		f.ByMeans[i] += n
	}
	for i, n := range o.ByReason {
		f.ByReason[i] += n
	}
	for i, n := range o.Refused {
		f.Refused[i] += n
	}
}

// Lists are what happened one by one.
type Lists struct {
	Members     List[Member]
	Annulments  List[Annulment]
	Provisional List[Provisional]
	Counts      List[Count]
	Incidents   List[Incident]
	Custody     List[Custody]
	Amendments  List[Amendment]
	Sessions    List[Session]
	Imports     List[Import]
	Evidence    List[Evidence]
	Unclean     List[Unclean]
	Drawn       List[Drawn]
	// Doubles are rights with more than one check-in that stands, with all its records.
	Doubles List[Double]
}

// List is at most MaxListed rows, and how many more there are.
type List[T any] struct {
	Rows []T
	More int
}

func (l *List[T]) add(row T) {
	if len(l.Rows) >= MaxListed {
		l.More++
		return
	}
	l.Rows = append(l.Rows, row)
}

// gather is the rows of all bureaux that a predicate takes. Those that a bureau has no room for are counted in its own
// minutes and in the commune's.
func gather[T any](c *Collector, about ledger.BureauNumber, of func(*Lists) *List[T], keep func(*T) bool) (out List[T]) {
	for i := range c.stations {
		s := &c.stations[i]
		l := of(&s.lists)
		for k := range l.Rows {
			if keep(&l.Rows[k]) {
				out.add(l.Rows[k])
			}
		}
		if about == 0 || about == s.Number {
			out.More += l.More
		}
	}
	return out
}

// Member is somebody convened as a member of a bureau, or a replacement, and what became of them.
type Member struct {
	Bureau ledger.BureauNumber
	Number uint16
	// Function is the register's number of what the member was convened for, 0 where the list of members is not at hand.
	Function uint8
	// Name is "" where the register is not at hand.
	Name string
	// Presence is 0 where nobody recorded one.
	Presence ledger.Presence
	// For is the number of the member who is replaced, 0 for none; Replacement says that this is one.
	For         uint16
	Replacement bool
}

// Annulment is a check-in that two persons took back after its light.
type Annulment struct {
	Bureau    ledger.BureauNumber
	Time      ledger.Instant
	Reason    uint8
	Attesters [2]uint16
	Proxy     bool
	Entry     uint64
}

// Provisional is a check-in without the right.
type Provisional struct {
	Bureau   ledger.BureauNumber
	Time     ledger.Instant
	Reason   uint8
	Attester uint16
	Entry    uint64
	// Taken says that it was taken back, Double that the elector has another check-in that stands.
	Taken, Double bool
	// record is where it stands in the index.
	record record
	right  ledger.Right
}

// Count is one reconciliation of ballots.
type Count struct {
	Bureau ledger.BureauNumber
	reconciliation.Tally
}

// Incident is something that the bureau declared; its text is sealed.
type Incident struct {
	Bureau ledger.BureauNumber
	Time   ledger.Instant
	Code   uint16
	// Sealed is kept of replacements alone, whose names the minutes show.
	Sealed []byte
}

// Custody is a hand-over of a sealed object.
type Custody struct {
	Bureau   ledger.BureauNumber
	Time     ledger.Instant
	Object   ledger.Hash
	From, To uint16
	Step     uint8
	// Of and Key say which bureau's key it is, 0 for another object.
	Of  ledger.BureauNumber
	Key int
}

// Amendment is a change of the manifest during the day.
type Amendment struct {
	Time ledger.Instant
	ledger.Amendment
	// InForce says that it took effect.
	InForce bool
}

// Session is one opening of a bureau's media.
type Session struct {
	Author     ledger.Author
	Time       ledger.Instant
	Generation uint32
	Media      uint8
	Unfenced   bool
	// Continues says that it goes on from an earlier one.
	Continues bool
}

// Import says that the media of a machine were read, by the principal bureau or by a next incarnation.
type Import struct {
	By          ledger.BureauNumber
	Time        ledger.Instant
	Bureau      ledger.BureauNumber
	Incarnation ledger.Incarnation
	Media       uint8
	// Settled says that the bureau's next machine took the chain over.
	Settled bool
}

// Evidence is a proof that two signed things can't both stand.
type Evidence struct {
	// Bureau is the one that it is about.
	Bureau ledger.BureauNumber
	Entry  uint64
	// Kind is 0 for a batch that contradicts entry Against, with the Offence; else that of the statement that
	// shows it: evidence, orphan or equivocation.
	Kind    ledger.Kind
	Offence ledger.Offence
	Against uint64
}

// Unclean is a statement that is not in order.
type Unclean struct {
	Bureau  ledger.BureauNumber
	Entry   uint64
	Kind    ledger.Kind
	Verdict ledger.Verdict
}

// Double is a right that was used more than once.
type Double struct {
	Kind    ledger.RightKind
	Records []Record
}

// Record is one check-in of a double one.
type Record struct {
	Bureau ledger.BureauNumber
	Time   ledger.Instant
	// Entry is 0 for a statement that has no place yet.
	Entry uint64
	Proxy bool
}

// Drawn is minutes that were recorded before.
type Drawn struct {
	// By recorded them, in its chain under ID.
	By    ledger.Author
	ID    ledger.StatementID
	Time  ledger.Instant
	Entry uint64
	ledger.Minutes
}

// Ledger is where the commune's ledger stood.
type Ledger struct {
	Origin string
	Epoch  uint8
	// Size is the number of entries of the epoch, Root the tree's, Head the leaf hash of the last.
	Size       uint64
	Root, Head ledger.Hash
	// Anchors is how many cosigned checkpoints it tells of, Newest the one that covers most, nil for none.
	Anchors int
	Newest  *Anchor
	// Earlier are the epochs before.
	Earlier []Epoch
}

// Anchor is a checkpoint that a witness cosigned.
type Anchor struct {
	Epoch   uint8
	Size    uint64
	Root    ledger.Hash
	Witness string
	Time    ledger.Instant
}

// Epoch is an epoch that another went on from.
type Epoch struct {
	Origin     string
	Size       uint64
	Root, Head ledger.Hash
}
