package platform

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// The actions on a list and the reasons for them (decree, art. 1 §2, 15).
var (
	changeActions = []string{"add", "strike", "amend", "restore"}
	changeReasons = []string{"death", "court-decision", "college", "correction", "nationality", "moved"}
)

// A Change is one update of a commune's list. Fields are columns of the list; amend changes those
// that are given.
type Change struct {
	Action         string            `json:"action"`
	NationalNumber string            `json:"national_number"`
	Reason         string            `json:"reason"`
	Reference      string            `json:"reference,omitempty"`
	Fields         map[string]string `json:"fields,omitempty"`
}

// changeElectors is POST /communes/{ins}/changes with a list of changes: all of them or none.
func (rg *Region) changeElectors(c *call) (*outcome, error) {
	var changes []Change
	if out := c.json(&changes); out != nil {
		return out, nil
	}
	if len(changes) == 0 || len(changes) > MaxChanges {
		return refuse(http.StatusBadRequest, "malformed", fmt.Sprintf("1 to %d changes", MaxChanges)), nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	c.lock()
	state, err := rg.listState(c.commune)
	if err != nil {
		return nil, err
	}
	if state == nil {
		return refuse(http.StatusConflict, "no list", "upload the commune's list first"), nil
	}
	w := &listWork{rg: rg, key: key, l: rg.communes[c.commune], who: c.who.actor(), electors: state.Electors, seen: map[string]bool{}}
	var bad []BadRow
	for i := range changes {
		if err := w.apply(&changes[i]); err != nil {
			if w.fault != nil {
				return nil, w.fault
			}
			bad = append(bad, BadRow{i + 1, err.Error()})
		}
	}
	if len(bad) > 0 {
		return refuseRows(bad), nil
	}
	out := answerJSON(http.StatusOK, ListAnswer{w.electors, false})
	out.count, out.why = len(changes), changes[0].Action+" "+changes[0].Reason
	for _, e := range w.changed {
		out.subjects = append(out.subjects, key.subjectOf(e.number()))
	}
	out.change = func(b *pebble.Batch) error {
		if err := w.write(b); err != nil {
			return err
		}
		return putListState(b, c.commune, &listState{state.Uploaded, w.electors, state.Version + 1, state.Digest})
	}
	return out, nil
}

// listWork is one request's changes in the making.
type listWork struct {
	rg       *Region
	key      *communeKey
	l        *communeLedger
	who      string
	electors int
	seen     map[string]bool
	changed  []*elector
	gone     []ledger.ConvocationNumber // numbers that lead to nobody any more
	fault    error
}

func (w *listWork) write(b *pebble.Batch) error {
	for _, n := range w.gone {
		if err := b.Delete(communeKeyed('n', w.l.ins, w.key.convocationPlace(n)...), nil); err != nil {
			return err
		}
	}
	for _, e := range w.changed {
		if err := w.key.put(b, w.l, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *listWork) apply(ch *Change) error {
	n, err := ledger.ParseNationalNumber(ch.NationalNumber)
	switch {
	case err != nil:
		return fmt.Errorf("national_number: %w", err)
	case !slices.Contains(changeActions, ch.Action):
		return fmt.Errorf("action: one of %v", changeActions)
	case !slices.Contains(changeReasons, ch.Reason):
		return fmt.Errorf("reason: one of %v", changeReasons)
	case (ch.Reason == "court-decision" || ch.Reason == "college") && ch.Reference == "":
		return fmt.Errorf("reference: a decision has one")
	case len(ch.Reference) > MaxField:
		return fmt.Errorf("reference: longer than %d bytes", MaxField)
	case w.seen[n.Digits()]:
		return fmt.Errorf("national_number: the same elector twice")
	}
	w.seen[n.Digits()] = true
	e, err := w.rg.electorAt(w.l.ins, w.key.place(n))
	if err != nil {
		w.fault = err
		return err
	}
	trace := electorChange{At: w.rg.now().UTC().Truncate(time.Second), Actor: w.who, Action: ch.Action, Reason: ch.Reason, Reference: ch.Reference}
	switch {
	case ch.Action == "add" && e != nil:
		return fmt.Errorf("national_number: is on the list already (restore one who was struck off)")
	case ch.Action == "add":
		e = &elector{NationalNumber: n.Digits()}
		ch.Fields = withNumber(ch.Fields, n)
		if err := w.amend(e, ch.Fields, &trace); err != nil {
			return err
		}
		trace.Before = nil
		w.electors++
	case e == nil:
		return errNoElector{}
	case ch.Action == "amend":
		if err := w.amend(e, ch.Fields, &trace); err != nil {
			return err
		}
	case e.Struck == (ch.Action == "strike"):
		return fmt.Errorf("action: nothing to %s", ch.Action)
	default:
		if ch.Action == "restore" {
			if err := w.ownsNumber(e); err != nil {
				return err
			}
		}
		e.Struck = ch.Action == "strike"
		w.electors += map[bool]int{true: -1, false: 1}[e.Struck]
	}
	if len(e.History) >= MaxHistory {
		return fmt.Errorf("the record has %d changes, no more are kept", MaxHistory)
	}
	e.History = append(e.History, trace)
	w.changed = append(w.changed, e)
	return nil
}

// ownsNumber says that the convocation number of somebody who comes back was given to nobody else meanwhile.
func (w *listWork) ownsNumber(e *elector) error {
	place, err := w.holder(e.convocation(w.l.method))
	if err == nil && !bytes.Equal(place, w.key.place(e.number())) {
		err = fmt.Errorf("convocation_number: another elector has it by now: amend it first")
	}
	return err
}

// holder is the place of who has a convocation number, nil for nobody.
func (w *listWork) holder(c ledger.ConvocationNumber) ([]byte, error) {
	place, err := w.rg.st.get(communeKeyed('n', w.l.ins, w.key.convocationPlace(c)...))
	if err != nil {
		w.fault = err
	}
	return place, err
}

func withNumber(fields map[string]string, n ledger.NationalNumber) map[string]string {
	out := map[string]string{listColumns[0]: n.Digits()}
	for k, v := range fields {
		out[k] = v
	}
	return out
}

// amend changes the columns that are given and checks the whole as a row of the list.
func (w *listWork) amend(e *elector, fields map[string]string, trace *electorChange) error {
	row := e.row()
	if e.Bureau == 0 {
		row[8] = ""
	}
	trace.Before = map[string]string{}
	for name, value := range fields {
		i := slices.Index(listColumns, name)
		if i < 0 || i == 0 && value != e.NationalNumber || len(value) > MaxField {
			return fmt.Errorf("fields: %.20q can't be changed so", name)
		}
		if row[i] != value {
			trace.Before[name], row[i] = row[i], value
		}
	}
	if len(fields) == 0 || len(trace.Before) == 0 && e.Bureau != 0 {
		return fmt.Errorf("fields: nothing changes")
	}
	before := e.ConvocationNumber
	if err := e.fill(w.l, row); err != nil {
		return err
	}
	if before == e.ConvocationNumber {
		return nil
	}
	c := e.convocation(w.l.method)
	place, err := w.holder(c)
	if err != nil {
		return err
	}
	if place != nil || w.seen[c.Digits()] {
		return fmt.Errorf("convocation_number: another elector has it")
	}
	w.seen[c.Digits()] = true
	if before != "" {
		old, err := ledger.ParseConvocationNumber(before, w.l.method)
		if err != nil {
			panic(fmt.Sprintf("a stored convocation number: %v", err))
		}
		if place, err = w.holder(old); err != nil {
			return err
		}
		if bytes.Equal(place, w.key.place(e.number())) { // a list that replaced another may have given it to somebody else
			w.gone = append(w.gone, old)
		}
	}
	return nil
}

// markCandidates is PUT /communes/{ins}/candidates: the whole of MARTINE's file, whose marks it
// sets; who is not in it loses his (decree, art. 6).
func (rg *Region) markCandidates(c *call) (*outcome, error) {
	raw, out := c.body(MaxListUpload)
	if out != nil {
		return out, nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	c.lock()
	members, err := rg.members(c.commune)
	if err != nil {
		return nil, err
	}
	marked := map[string]bool{}
	t := csvTable{columns: []string{"national_number"}, required: 1, maxRows: ledger.MaxElectors}
	bad, out := t.read(raw, func(_ int, get []string) error {
		n, err := rg.onList(c.commune, key, get[0])
		if err != nil {
			return err
		}
		if slices.ContainsFunc(members, func(m member) bool { return m.NationalNumber == n.Digits() }) {
			return fmt.Errorf("national_number: is convened as a member of a bureau: release him first")
		}
		marked[n.Digits()] = true
		return nil
	})
	if out != nil {
		return out, nil
	}
	if len(bad) > 0 {
		return refuseRows(bad), nil
	}
	var changed []*elector
	if err := rg.electors(c.commune, func(e *elector) error {
		if e.Candidate != marked[e.NationalNumber] {
			e.Candidate = !e.Candidate
			changed = append(changed, e)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return rg.marked(c, key, changed, len(marked)), nil
}

func (rg *Region) marked(c *call, key *communeKey, changed []*elector, marks int) *outcome {
	out := answerJSON(http.StatusOK, map[string]int{"marked": marks, "changed": len(changed)})
	out.count = len(changed)
	for _, e := range changed {
		out.subjects = append(out.subjects, key.subjectOf(e.number()))
		e.History = append(e.History, electorChange{
			At: rg.now().UTC().Truncate(time.Second), Actor: c.who.actor(), Action: "mark", Reason: "candidate " + strconv.FormatBool(e.Candidate),
		})
	}
	out.change = func(b *pebble.Batch) error {
		for _, e := range changed {
			if err := key.put(b, rg.communes[c.commune], e); err != nil {
				return err
			}
		}
		return nil
	}
	return out
}

// onList reads the number of somebody who is on the commune's list.
func (rg *Region) onList(c ledger.Commune, key *communeKey, text string) (n ledger.NationalNumber, err error) {
	if n, err = ledger.ParseNationalNumber(text); err != nil {
		return n, fmt.Errorf("national_number: %w", err)
	}
	e, err := rg.electorAt(c, key.place(n))
	if err != nil {
		return n, err
	}
	if e == nil || e.Struck {
		return n, errNoElector{}
	}
	return n, nil
}
