package node

import (
	"context"
	"fmt"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/pollbook"
)

// Identification is how an elector is named at the desk.
type Identification struct {
	// By is card, convocation, national.
	By string `json:"by"`
	// Number is the convocation or national number, as typed.
	Number string `json:"number"`
	// Attester is the code of the member who acts.
	Attester uint16 `json:"attester"`
	// ChipNotProven: the elector is named by a card whose chip could not prove to be the one that was issued.
	ChipNotProven bool `json:"chip_not_proven,omitempty"`
	// Provisional is the president's reason, 1 to 255, to admit although the right can't be had:
	// only where the policy provides for it, or at a machine that took the place of a lost one.
	Provisional uint8 `json:"provisional,omitempty"`
}

// find is the elector's token, or a refusal.
func (n *Node) find(id Identification) (e ledger.ElectorToken, how rights.Ask, ok bool, err error) {
	how = rights.Ask{Attester: id.Attester, Means: meansOf[id.By]}
	if id.ChipNotProven && how.Means != ledger.ByCard {
		return e, how, false, badRequest(`"chip_not_proven" is said of a card`)
	}
	i, ok, err := n.elector(id)
	if err != nil || !ok {
		return e, how, false, err
	}
	return n.register.Token(i), how, true, nil
}

var meansOf = map[string]ledger.Means{"card": ledger.ByCard, "national": ledger.ByNationalNumber, "convocation": ledger.ByConvocationNumber}

// elector is the place in the register of who is named; an error says what is wrong with the form.
func (n *Node) elector(id Identification) (i int, found bool, err error) {
	switch id.By {
	case "card", "national":
		number, err := ledger.ParseNationalNumber(id.Number)
		if err != nil {
			return 0, false, badRequest(err.Error())
		}
		i, found = n.register.FindNationalNumber(number)
	case "convocation":
		number, err := ledger.ParseConvocationNumber(id.Number, n.register.Method())
		if err != nil {
			return 0, false, badRequest(err.Error())
		}
		i, found = n.register.FindConvocationNumber(number)
	default:
		return 0, false, badRequest(`"by" must be card, convocation or national`)
	}
	return i, found, nil
}

// Answer is a receipt as JSON.
type Answer struct {
	Admitted bool `json:"admitted"`
	// Refusal is the refusal's number, 0 for none; Reason says it in English.
	Refusal ledger.Refusal      `json:"refusal"`
	Reason  string              `json:"reason"`
	At      ledger.BureauNumber `json:"at,omitempty"`
	// When is the time of the admission that a refusal rests on, RFC 3339 in UTC, rounded down to
	// five minutes by the clock of the bureau At; empty while the ledger here doesn't have it.
	When string `json:"when,omitempty"`
	// Record names this bureau's own admission, "<session>/<sequence>"; empty for none. A
	// second tap on one elector gets the first one's.
	Record     string `json:"record,omitempty"`
	Recorded   bool   `json:"recorded"`
	Replicated bool   `json:"replicated"`
}

func answerOf(r pollbook.Receipt) Answer {
	a := Answer{
		Admitted: r.Refusal == ledger.NotRefused, Refusal: r.Refusal, Reason: r.Refusal.String(), At: r.At, Recorded: r.Recorded, Replicated: r.Replicated,
	}
	if r.Record != (ledger.StatementID{}) {
		a.Record = fmt.Sprintf("%x/%d", r.Record.Session, r.Record.Sequence)
	}
	return a
}

// CheckIn admits an elector named at the desk, or says why not.
func (n *Node) CheckIn(ctx context.Context, id Identification) (Answer, error) {
	when := ""
	r, err := n.act(id, func(e ledger.ElectorToken, how rights.Ask) (pollbook.Receipt, error) {
		r, err := n.checkIn(ctx, e, how, id.Provisional)
		if err == nil && id.ChipNotProven {
			err = n.chipNotProven(ctx, r, e)
		}
		if err == nil && r.Refusal == ledger.AlreadyAdmitted {
			when = n.usedWhen(ledger.Right{Elector: e, Kind: ledger.Admit}, r.At)
		}
		return r, err
	})
	if err != nil {
		return Answer{}, err
	}
	a := answerOf(r)
	a.When = when
	return a, nil
}

// usedWhen reads in the ledger when a right was used at a bureau.
func (n *Node) usedWhen(x ledger.Right, at ledger.BureauNumber) string {
	for _, a := range n.store.Admissions(x) {
		if a.Bureau != at {
			continue
		}
		if s, err := n.statement(a); err == nil {
			return time.UnixMilli(int64(s.Time)).UTC().Format(time.RFC3339)
		}
	}
	return ""
}

// statement is the one that a live admission is.
func (n *Node) statement(a ledger.LiveAdmission) (s ledger.Statement, err error) {
	raw, err := n.store.Entry(a.Position)
	if err != nil {
		return s, err
	}
	entry, err := ledger.DecodeEntry(raw)
	if err != nil {
		return s, err
	}
	b, err := ledger.DecodeBatch(entry.Batch)
	if err != nil {
		return s, err
	}
	i := a.ID.Sequence - b.Header.First
	if i >= uint64(len(b.Statements)) {
		return s, fmt.Errorf("%s has no statement %d", ledger.EntryName(a.Position), a.ID.Sequence)
	}
	return b.Statements[i], nil
}

// act finds an elector and does what the desk asks for him. Once the journal has stopped
// nothing can be done here, and the desk hears why and what to do.
func (n *Node) act(id Identification, what func(ledger.ElectorToken, rights.Ask) (pollbook.Receipt, error)) (pollbook.Receipt, error) {
	return n.actOn(func() (ledger.ElectorToken, rights.Ask, bool, error) { return n.find(id) }, what)
}

// actOn is act for an elector who is found otherwise.
func (n *Node) actOn(find func() (ledger.ElectorToken, rights.Ask, bool, error), what func(ledger.ElectorToken, rights.Ask) (pollbook.Receipt, error)) (pollbook.Receipt, error) {
	if err := n.enter(); err != nil {
		return pollbook.Receipt{}, err
	}
	defer n.acts.RUnlock()
	e, how, ok, err := find()
	if err != nil {
		return pollbook.Receipt{}, err
	}
	if err := n.journal.Err(); err != nil {
		return pollbook.Receipt{}, err
	}
	if !ok {
		return pollbook.Receipt{Refusal: ledger.NotOnTheRoll}, nil
	}
	r, err := what(e, how)
	if err == nil && r.Refusal == ledger.BureauNotOpen { // it may have stopped under this very act
		err = n.journal.Err()
	}
	return r, err
}

// Correction is the answer to an undo or an annulment.
type Correction struct {
	// Done: the admission is taken back.
	Done bool `json:"done"`
	// Refusal and Reason say why not.
	Refusal ledger.Refusal `json:"refusal"`
	Reason  string         `json:"reason"`
}

// correctionOf reads what the desk was told: an undone admission is withdrawn, an annulled
// one leaves no refusal.
func correctionOf(r pollbook.Receipt) Correction {
	if r.Refusal == ledger.NotRefused || r.Refusal == ledger.Withdrawn {
		return Correction{Done: true, Reason: "taken back"}
	}
	return Correction{Refusal: r.Refusal, Reason: r.Refusal.String()}
}
