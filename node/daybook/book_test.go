package daybook

import (
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// both are the daybooks of one day, read from entries alone, and from the chains before the entries.
func both(d *ledgertest.Day) (entries, chains *Book) {
	entries, chains = New(), New()
	for _, e := range d.Entries {
		if e.Batch != nil {
			chains.Add(e.Batch)
		}
	}
	for ref, e := range d.Entries {
		for range 2 { // an entry that is told twice counts once
			entries.Placed(uint64(ref), e.Entry, e.Batch)
			chains.Placed(uint64(ref), e.Entry, e.Batch)
		}
	}
	return entries, chains
}

func TestEachStatementCountsOnceWhicheverWayItCame(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	c := d.Started(1)
	c.Put(&ledger.Attendance{Member: 4, Presence: ledger.Absent}, &ledger.Attendance{Member: 4, Presence: ledger.Active}, &ledger.Account{Member: 4, Sealed: []byte("x")})
	c.Put(ledgertest.Admission(0), ledgertest.Admission(3))
	c.Put(&ledger.Count{CheckedIn: 2, Issued: 2, Scanned: 1}, &ledger.Message{To: 2, Sealed: []byte("hello")})
	c.Put(&ledger.Custody{Step: 3}, &ledger.Incident{Code: 1, Sealed: []byte("y")}, &ledger.BureauClosed{CheckedIn: 2})
	entries, chains := both(d)
	for what, b := range map[string]*Book{"entries": entries, "chains": chains} {
		u := b.Declared(1)
		if u.CheckIns != 2 || u.Open || u.Closed == 0 || u.Last == 0 {
			t.Errorf("%s: %+v", what, u)
		}
		if p := b.Presence(1); len(p) != 1 || p[4] != ledger.Active {
			t.Errorf("%s: presence %v", what, p)
		}
		from, to, some := b.Span(1)
		g := b.Between(1, from, to+1)
		if !some || g.CheckIns != 2 || !g.Placed || g.First != g.Last || g.First == 0 {
			t.Errorf("%s: %+v", what, g)
		}
		if len(b.Tallies(1)) != 1 || len(b.Messages()) != 1 || len(b.Incidents()) != 1 || len(b.Custody()) != 1 || len(b.Accounts(1)) != 1 {
			t.Errorf("%s: %d tallies, %d messages, %d incidents, %d hand-overs, %d accounts", what, len(b.Tallies(1)), len(b.Messages()), len(b.Incidents()), len(b.Custody()), len(b.Accounts(1)))
		}
		if m := b.Messages()[0]; m.From != 1 || m.To != 2 || string(m.Text) != "hello" {
			t.Errorf("%s: %+v", what, m)
		}
	}
}

func TestWhatIsTakenBackNoLongerCounts(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	c := d.Started(1)
	c.Put(ledgertest.Admission(0))
	c.Put(&ledger.ProxyAdmission{Holder: ledgertest.Elector(0), Principal: ledgertest.Elector(3), Form: []byte("1"), Reason: 1, Evidence: 1, Means: ledger.ByCard})
	before, _ := both(d)
	if u := before.Declared(1); u.CheckIns != 2 || u.Proxies != 1 {
		t.Fatalf("before: %+v", u)
	}
	sequence := d.Entries[len(d.Entries)-1].Batch.Header.First
	c.Put(&ledger.Void{Sequence: sequence, Rights: []ledger.Right{{Elector: ledgertest.Elector(3), Kind: ledger.Admit}, {Elector: ledgertest.Elector(0), Kind: ledger.Carry}}})
	c.Put(&ledger.Void{Sequence: 0, Rights: []ledger.Right{{Elector: ledgertest.Elector(6), Kind: ledger.Admit}}}) // of no admission: not held
	after, _ := both(d)
	if u := after.Declared(1); u.CheckIns != 1 || u.Proxies != 0 || u.Undone != 1 {
		t.Errorf("after: %+v", u)
	}
}

func TestMinutesCountUntilTheBureauOpensAgain(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	c := d.Started(1)
	c.Put(&ledger.BureauOpened{}, &ledger.BureauClosed{}, &ledger.Minutes{Bureau: 1, UpTo: 1, French: ledger.Hash{1}}, &ledger.Minutes{Bureau: 0, UpTo: 1, French: ledger.Hash{2}})
	c.Put(&ledger.Minutes{Bureau: 0, UpTo: 1, French: ledger.Hash{3}})
	for i, b := range readTwoWays(d) {
		if r, ok := b.Recorded(1); !ok || r.By != 1 || r.Times != 1 || r.French != (ledger.Hash{1}) || r.Time == 0 {
			t.Errorf("book %d: %+v %v", i, r, ok)
		}
		if r, ok := b.Recorded(0); !ok || r.Times != 2 || r.French != (ledger.Hash{3}) {
			t.Errorf("book %d, the commune's: %+v %v", i, r, ok)
		}
		if _, ok := b.Recorded(2); ok {
			t.Errorf("book %d: bureau 2 recorded nothing", i)
		}
	}
	c.Put(&ledger.BureauOpened{})
	for i, b := range readTwoWays(d) {
		if _, ok := b.Recorded(1); ok {
			t.Errorf("book %d: the minutes of before the second opening count", i)
		}
		if r, _ := b.Recorded(0); r.Times != 2 {
			t.Errorf("book %d: the commune's are gone", i)
		}
	}
}

// readTwoWays is both as a list.
func readTwoWays(d *ledgertest.Day) []*Book {
	entries, chains := both(d)
	return []*Book{entries, chains}
}

func TestAWrongClockDoesNotFillTheDaybook(t *testing.T) {
	u := New().of(1)
	for i := range ledger.Instant(100_000) {
		u.count(i*ledger.TimeGrain, &ledger.Admission{})
	}
	if len(u.grains) != maxGrains || u.checkIns != 100_000 {
		t.Errorf("%d grains, %d check-ins", len(u.grains), u.checkIns)
	}
}

func TestEveryRefusalHasItsWords(t *testing.T) {
	var all []string
	for _, r := range Refusals() {
		if s := r.String(); s == "" || strings.HasPrefix(s, "refusal ") || slices.Contains(all, s) {
			t.Errorf("refusal %d: %q", r, s)
		}
		all = append(all, r.String())
	}
	if Refusal(200).String() != "refusal 200" {
		t.Error("an unknown refusal has words")
	}
}
