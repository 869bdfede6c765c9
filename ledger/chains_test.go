package ledger_test

import (
	"fmt"
	"slices"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// TestAChainIsReadFromTheBatchThatHasTheNumber: for every sequence number, of batches of all lengths, those that follow and
// no earlier one.
func TestAChainIsReadFromTheBatchThatHasTheNumber(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 100, nil)
	c := d.Started(1)
	lengths := []int{1, 3, 1, 1, 12, 2}
	next := 0
	for _, n := range lengths {
		var bodies []ledger.Body
		for range n {
			bodies = append(bodies, ledgertest.Admission(2*next)) // at home at bureau 1
			next++
		}
		c.Put(bodies...)
	}
	all := slices.Insert(slices.Clone(lengths), 0, 1) // the opening
	from := uint64(0)
	for i, n := range all {
		for range n {
			var got, want []uint64
			ledger.RangeChain(d.View, c.Author, from, func(position uint64) bool { got = append(got, position); return true })
			for k := i; k < len(all); k++ {
				want = append(want, uint64(1+k)) // the ledger's own beginning stands before
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("from %d: entries %v, want %v", from, got, want)
			}
			calls := 0
			ledger.RangeChain(d.View, c.Author, from, func(uint64) bool { calls++; return false })
			if calls != 1 {
				t.Errorf("from %d: %d entries are told to whom one is enough", from, calls)
			}
			from++
		}
	}
	ledger.RangeChain(d.View, c.Author, from, func(position uint64) bool {
		t.Errorf("beyond the end: entry %d", position)
		return true
	})
	ledger.RangeChain(d.View, d.Session(2, 2).Author, 0, func(position uint64) bool {
		t.Errorf("of a bureau that said nothing: entry %d", position)
		return true
	})
}
