package heads

import (
	"slices"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// recovers moves the copies at the bureaux, which hold what the day holds, to a new epoch from the
// day's first entries, and tells them what they dropped.
func (c *commune) recovers(size uint64, at ...ledger.BureauNumber) {
	c.t.Helper()
	seed := c.Seed(size)
	for _, n := range at {
		m := c.members[n]
		dropped, err := m.store.Behind(size)
		if err == nil {
			err = m.store.BeginEpoch(seed, func(uint64) ([][]byte, error) { return nil, errSilent })
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.applied[n] = 0
		m.Rewound(c.t.Context(), dropped)
	}
}

func TestWhatAnEpochDroppedStandsBeforeWhatWasAheadOfIt(t *testing.T) {
	c := newCommune(t, 3)
	for i := range 3 {
		c.write(1, ledgertest.Admission(3*i))
	}
	for _, b := range c.members[1].own {
		c.Place(b)
	}
	c.handIn(1, 1, 2, 3)
	c.write(1, ledgertest.Admission(9)) // made when nobody led any more
	m := c.members[2]
	c.meet(2, 1)
	c.recovers(3, 2) // without the last two; their author is never seen again
	var order []uint64
	for _, b := range m.ahead[c.members[1].chain.Author] {
		order = append(order, b.Header.First)
	}
	if !slices.Equal(order, []uint64{2, 3, 4}) {
		t.Errorf("kept in the order %v", order)
	}
	c.recovers(3, 3)
	c.meet(3, 2)
	for _, b := range c.members[3].ahead[c.members[1].chain.Author] {
		c.place(b.Batch, 3)
	}
	c.members[3].settle()
	if h, left := c.members[3].store.Head(), c.members[3].ahead[c.members[1].chain.Author]; h.Size != 4 || len(left) != 0 {
		t.Errorf("the new epoch has %d entries, and %d batches wait", h.Size, len(left))
	}
}

func TestAPlaceOfTheEpochBeforeIsNoPromiseInTheNext(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	m.cfg.Again = func() { t.Error("what is placed is proposed again") }
	c.Place(c.members[2].own[0])
	c.Place(m.own[0])
	c.handIn(2, 1)
	c.handIn(1, 1)
	c.told(m.own[0], 2)
	c.recovers(1, 1)
	c.place(m.own[0], 1) // before the promise is looked at again
	if m.hold(); m.Alarms() != (Alarms{}) || len(m.answers.promised) > 0 {
		t.Errorf("alarms %+v, %d promises are left", m.Alarms(), len(m.answers.promised))
	}
}

func TestABureauIsLeftOutOfAShorterLedgerToo(t *testing.T) {
	c := newCommune(t, 2)
	m := c.members[1]
	for range 4 {
		c.write(2, &ledger.Incident{Code: 1})
	}
	for _, b := range c.members[2].own {
		c.Place(b)
	}
	c.handIn(2, 1)
	m.watch()
	c.recovers(1, 1)
	m.watch()
	m.waits.since = time.Now().Add(-2 * overdue)
	c.place(c.members[2].own[0], 1)
	if m.watch(); !m.Alarms().LeftOut {
		t.Error("no alarm although the new epoch grows without this bureau")
	}
}
