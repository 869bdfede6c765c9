package preparation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"pointage/ledger"
)

// The columns of a file of updates: those of a list, before them what is to be
// done, and behind them why. add needs all that a list needs; strike only the
// national number; amend changes the columns that are not empty, and a hyphen
// empties one.
const (
	updAction = iota
	updNational
	updReason
	updReference
	updFirst
)

var updateColumns = append([]string{"action", "national_number", "reason", "reference"}, columns[1:columnCount]...)

// MaxUpdates is how many rows a file of updates has.
const MaxUpdates = 20_000

// reasons of an update, by the action that they can stand for.
var reasons = map[string][]string{
	"death":          {"strike"},
	"court-decision": {"add", "strike", "amend"},
	"college":        {"add", "strike", "amend"}, // decision of the college of mayor and aldermen on a complaint
	"correction":     {"add", "strike", "amend"},
	"nationality":    {"strike"},
	"moved":          {"amend"},
}

// update is one row of a file of updates.
type update struct {
	line      int
	action    string
	number    ledger.NationalNumber
	reason    string
	reference string
	get       []string // the columns of a list; empty is unchanged
}

// Updated counts what a file of updates has done.
type Updated struct{ Added, Struck, Amended int }

// Update applies a file of updates (death, court decision; decree, article 1 §2)
// to the working list and gives one trace for each change, without who and when.
// With bad rows nothing is changed. Who is added to a divided and numbered list
// has neither bureau nor number unless the row gives them: divide and number
// give them later, and change nobody else's.
func (w *Working) Update(ctx context.Context, r io.Reader) (Updated, []Trace, []BadRow, error) {
	updates, bad, err := readUpdates(ctx, r)
	if err != nil {
		return Updated{}, nil, nil, err
	}
	u := &updater{w: w, place: map[ledger.NationalNumber]int{}, serials: map[uint32]bool{}, gone: map[int]bool{}, seen: map[ledger.NationalNumber]int{}}
	people := append([]Person(nil), w.List.People...)
	u.list = &List{Commune: w.List.Commune, People: people, Method: w.List.Method, Bureaux: w.List.Bureaux}
	for i := range people {
		u.place[people[i].NationalNumber] = i
		if c := people[i].ConvocationNumber; !c.IsZero() {
			u.serials[c.Serial()] = true
		}
	}
	for _, s := range w.Retired {
		u.serials[s] = true
	}
	for i := range updates {
		if err := u.apply(&updates[i]); err != nil {
			bad = append(bad, badRow(updates[i].line, err))
		}
	}
	if len(u.list.People)-len(u.gone) > ledger.MaxElectors {
		return Updated{}, nil, nil, fmt.Errorf("%d electors, a commune numbers at most %d", len(u.list.People)-len(u.gone), ledger.MaxElectors)
	}
	if len(bad) > 0 {
		return Updated{}, nil, bad, nil
	}
	w.List.People = u.left()
	w.List.Method = u.list.Method
	if w.Method == 0 {
		w.Method = w.List.Method
	}
	w.Retired = append(w.Retired, u.retired...)
	return u.done, u.traces, nil, nil
}

func readUpdates(ctx context.Context, r io.Reader) ([]update, []BadRow, error) {
	t := table{columns: updateColumns, required: updFirst, maxRows: MaxUpdates}
	var updates []update
	err := t.read(ctx, r, func(line int, get []string) error {
		u := update{line: line, action: strings.ToLower(get[updAction]), reason: strings.ToLower(get[updReason]), reference: get[updReference]}
		var err error
		if u.number, err = ledger.ParseNationalNumber(get[updNational]); err != nil {
			return fmt.Errorf("%s: %w", updateColumns[updNational], err)
		}
		fits, known := reasons[u.reason]
		switch {
		case u.action != "add" && u.action != "strike" && u.action != "amend":
			return errors.New("action: neither add, strike nor amend")
		case !known:
			return errors.New("reason: neither death, court-decision, college, correction, nationality nor moved")
		case !strings.Contains(strings.Join(fits, " "), u.action):
			return fmt.Errorf("reason: nobody is to %s for it", u.action)
		case u.reference == "" && (u.reason == "court-decision" || u.reason == "college"):
			return errors.New("reference: it is empty; a decision has one")
		case len(u.reference) > MaxPhrase:
			return fmt.Errorf("reference: longer than %d bytes", MaxPhrase)
		}
		u.get = append(append(u.get, get[updNational]), get[updFirst:]...)
		updates = append(updates, u)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read updates: %w", err)
	}
	if t.rows == 0 {
		return nil, nil, errors.New("read updates: there is no row in it")
	}
	return updates, t.bad, nil
}

// updater is the state of one Update.
type updater struct {
	w       *Working
	list    *List
	place   map[ledger.NationalNumber]int
	seen    map[ledger.NationalNumber]int // line of the update of this elector
	serials map[uint32]bool               // given or retired
	gone    map[int]bool                  // struck off, by place
	retired []uint32
	traces  []Trace
	done    Updated
}

func (u *updater) apply(up *update) error {
	if line, twice := u.seen[up.number]; twice {
		return refused(whyTwice, "national_number: line %d is about the same elector: one row for each", line)
	}
	u.seen[up.number] = up.line
	at, listed := u.place[up.number]
	switch {
	case up.action == "add" && listed:
		return refused(whyTwice, "national_number: this elector is on the list already: amend instead")
	case up.action != "add" && !listed:
		return refused(whyStranger, "national_number: this elector is not on the list")
	}
	t := Trace{Act: up.action, Why: up.reason, Line: up.line, Elector: up.number.Printed()}
	if up.reference != "" {
		t.Why += ": " + up.reference
	}
	var err error
	switch up.action {
	case "add":
		err = u.add(up, &t)
	case "strike":
		u.strike(at, &t)
	case "amend":
		err = u.amend(at, up, &t)
	}
	if err == nil {
		u.traces = append(u.traces, t)
	}
	return err
}

func (u *updater) add(up *update, t *Trace) error {
	var p Person
	if err := u.fill(&p, up.number, up.get, up.line); err != nil {
		return err
	}
	u.place[up.number] = len(u.list.People)
	u.list.People = append(u.list.People, p)
	t.After = told(&p)
	u.done.Added++
	return nil
}

// fill reads a person from the columns of a list, with a convocation number that
// is free or the person's own.
func (u *updater) fill(p *Person, n ledger.NationalNumber, get []string, line int) error {
	if u.w.Live && n.IsUnassigned() {
		return errTestNumber
	}
	own := p.ConvocationNumber
	in := importer{rules: Rules{Method: u.list.Method, Live: u.w.Live}, list: u.list, byConvocation: map[ledger.ConvocationNumber]int{}}
	p.NationalNumber, p.Line = n, line
	if err := p.fill(get, u.list.Commune, u.w.Bureaux); err != nil {
		return err
	}
	p.ConvocationNumber = ledger.ConvocationNumber{}
	if err := in.convocation(p, get[colConvocation]); err != nil {
		return fmt.Errorf("%s: %w", columns[colConvocation], err)
	}
	c := p.ConvocationNumber
	if c.IsZero() || c == own {
		return nil
	}
	if u.serials[c.Serial()] {
		return refused(whyTwice, "%s: it was given already", columns[colConvocation])
	}
	if err := in.settleMethod(); err != nil {
		return err
	}
	u.serials[c.Serial()] = true
	if !own.IsZero() {
		u.retired = append(u.retired, own.Serial())
	}
	return nil
}

func (u *updater) strike(at int, t *Trace) {
	p := &u.list.People[at]
	if c := p.ConvocationNumber; !c.IsZero() {
		u.retired = append(u.retired, c.Serial())
	}
	t.Before = told(p)
	u.gone[at] = true
	u.done.Struck++
}

func (u *updater) amend(at int, up *update, t *Trace) error {
	p := u.list.People[at]
	before := told(&p)
	row := make([]string, workingColumns)
	p.row(row)
	for c, text := range up.get {
		switch text {
		case "":
		case "-":
			row[c] = ""
		default:
			row[c] = text
		}
	}
	if err := u.fill(&p, up.number, row, p.Line); err != nil {
		return err
	}
	t.Before, t.After = map[string]string{}, map[string]string{}
	after := told(&p)
	for _, name := range columns {
		if before[name] != after[name] {
			t.Before[name], t.After[name] = before[name], after[name]
		}
	}
	if len(t.After) == 0 {
		return errors.New("it changes nothing: the list says so already")
	}
	u.list.People[at] = p
	u.done.Amended++
	return nil
}

// left are the people who were not struck off.
func (u *updater) left() []Person {
	left := make([]Person, 0, len(u.list.People)-len(u.gone))
	for i := range u.list.People {
		if !u.gone[i] {
			left = append(left, u.list.People[i])
		}
	}
	return left
}

// told is what a record says of a person: the columns that are not empty.
func told(p *Person) map[string]string {
	row := make([]string, workingColumns)
	p.row(row)
	out := map[string]string{}
	for c, text := range row {
		out[columns[c]] = text
	}
	maps.DeleteFunc(out, func(name, text string) bool { return text == "" || name == columns[colNationalNumber] })
	return out
}
