package rights

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pointage/ledger"
)

// TestStatementsOfStepArePlacedAsValid lets three bureaux walk at random through a day of
// lost, doubled, late and reordered messages, crashes and any answers of the group, on
// real chains. Each statement is placed as it becomes durable: it must be valid, and the
// ledger must then have the record that Step has. At the end the ledger knows of at most one
// admission, and everybody is at home again.
func TestStatementsOfStepArePlacedAsValid(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := newCommune(t, nil)
			var air []Send // everything that was ever sent
			for range 120 {
				u := m.stations[1+r.IntN(bureaux)]
				u.stumble(r, &air)
				for _, s := range m.stations[1:] {
					air = append(air, s.sent...)
					s.sent = nil
				}
				m.mustHold(t)
			}
			m.evening(t)
		})
	}
}

// stumble does one thing at random.
func (u *station) stumble(r *rand.Rand, air *[]Send) {
	u.tb.Helper()
	ask := Ask{Means: ledger.ByCard, Attester: 1}
	switch n := r.IntN(20); {
	case n < 7 && len(*air) > 0:
		m := (*air)[r.IntN(len(*air))]
		if to := u.stations[m.To]; m.Message.Event() != nil {
			to.get(m)
		}
	case n < 9:
		u.do(ask)
	case n < 14:
		if u.s.Pending != nil {
			u.durable()
		}
	case n == 14:
		u.do(Expired{})
	case n == 15:
		u.do(Answered{ID: u.s.Record.By})
	case n == 16:
		u.do([]Event{Leave{}, Unreachable{}, Undo{Reason: 2}, conflict(u.s.Record.By)}[r.IntN(4)])
	case n == 17:
		if u.s.Handed && r.IntN(4) == 0 {
			u.annul()
		}
	case n == 18:
		u.late = nil
	case n == 19 && r.IntN(4) == 0:
		if u.s.Pending != nil && r.IntN(2) == 0 {
			u.record()
		}
		u.crash()
	}
}

// annul attests that the elector got no ballot here, which is then true.
func (u *station) annul() {
	u.tb.Helper()
	by := u.s.Record.By
	u.do(Annul{Reason: 1, Attesters: [2]uint16{1, 2}})
	u.lights = slices.DeleteFunc(u.lights, func(id ledger.StatementID) bool { return id == by })
}

func (m *commune) mustHold(t *testing.T) {
	t.Helper()
	lights, holders := 0, 0
	for _, u := range m.stations[1:] {
		lights += len(u.lights)
		if s := u.s.Record.State; s == ledger.Own || s == ledger.Held || s == ledger.Admitted {
			holders++
		}
	}
	if lights > 1 || holders > 1 {
		t.Fatalf("%d ballots, the right at %d bureaux", lights, holders)
	}
}

// evening lets all come to rest, brings the elector home, and compares with the ledger.
func (m *commune) evening(t *testing.T) {
	t.Helper()
	home := m.stations[1]
	for _, u := range m.stations[1:] {
		u.late = nil
		u.settle()
		u.do(Leave{})
		u.settle()
	}
	for range 2 {
		home.do(Ask{Means: ledger.ByCard, Attester: 1})
		home.settle()
		for len(home.sent) > 0 {
			s := home.sent[0]
			home.sent = home.sent[1:]
			to := m.stations[s.To]
			to.get(s)
			to.settle()
			for _, back := range to.sent {
				if back.To == 1 {
					home.get(back)
					home.settle()
				}
			}
			to.sent = nil
		}
	}
	m.mustHold(t)
	admitted := 0
	for _, u := range m.stations[1:] {
		if u.s.Record.State == ledger.Admitted {
			admitted++
		}
	}
	if live := ledger.Admissions(m.day.View, m.right); len(live) != 1 || admitted != 1 {
		t.Fatalf("%d live admissions in the ledger, %d bureaux say admitted: the elector is stuck, or was admitted twice", len(live), admitted)
	}
}
