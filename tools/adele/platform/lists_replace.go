package platform

import (
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// reasonNewList stands in the trace of whom a list that replaces another one has added, struck off or changed.
const reasonNewList = "new list"

// A replacement is a commune's whole list in the place of the one before: what the old one knew of somebody beside
// the columns of a list goes on, and everybody's change is traced (decree, art. 6, 15).
type replacement struct {
	l       *communeLedger
	at      time.Time
	actor   string
	before  map[string]*elector // by national number
	changed []*elector
	struck  []*elector // of the old list, kept with their trace
}

// replace compares the new list with the old one; the rows are those of who would have more changes than are kept.
func (rg *Region) replace(c ledger.Commune, actor string, all []*elector) (*replacement, []BadRow, error) {
	r := &replacement{l: rg.communes[c], at: rg.now().UTC().Truncate(time.Second), actor: actor, before: map[string]*elector{}}
	err := rg.electors(c, func(e *elector) error {
		r.before[e.NationalNumber] = e
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	var bad []BadRow
	for i, e := range all {
		if !r.take(e) {
			bad = append(bad, BadRow{i + 2, fmt.Sprintf("the record has %d changes, no more are kept", MaxHistory)})
		}
	}
	for _, old := range r.before { // who is left is not on the new list
		if !old.Struck {
			if len(old.History) >= MaxHistory {
				return nil, []BadRow{{0, fmt.Sprintf("somebody who is left out has a record of %d changes, no more are kept", MaxHistory)}}, nil
			}
			old.Struck = true
			r.trace(old, "strike", nil)
		}
		r.struck = append(r.struck, old)
	}
	return r, bad, nil
}

// take is somebody of the new list; false says that no more changes are kept.
func (r *replacement) take(e *elector) bool {
	old := r.before[e.NationalNumber]
	if old == nil {
		r.trace(e, "add", nil)
		return true
	}
	delete(r.before, e.NationalNumber)
	e.Candidate, e.History = old.Candidate, old.History
	was, is := old.row(), e.row()
	if !old.Struck && slices.Equal(was, is) {
		return true
	}
	if len(e.History) >= MaxHistory {
		return false
	}
	before := map[string]string{}
	for i, name := range listColumns {
		if was[i] != is[i] {
			before[name] = was[i]
		}
	}
	r.trace(e, map[bool]string{true: "restore", false: "amend"}[old.Struck], before)
	return true
}

func (r *replacement) trace(e *elector, action string, before map[string]string) {
	e.History = append(e.History, electorChange{At: r.at, Actor: r.actor, Action: action, Reason: reasonNewList, Before: before})
	r.changed = append(r.changed, e)
}

// write puts the new list in the place of the old one. Who was struck off comes first: a convocation number that the
// new list has given to somebody else leads to that one.
func (r *replacement) write(b *pebble.Batch, key *communeKey, all []*elector) error {
	for _, kind := range []byte{'e', 'n'} {
		if err := b.DeleteRange(communeKeyed(kind, r.l.ins), prefixEnd(communeKeyed(kind, r.l.ins)), nil); err != nil {
			return err
		}
	}
	for _, e := range append(slices.Clone(r.struck), all...) {
		if err := key.put(b, r.l, e); err != nil {
			return err
		}
	}
	return nil
}
