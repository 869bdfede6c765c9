package node

import (
	"testing"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/register"
)

// deafen has a bureau miss every message of the others and every entry, as in the moment before it is
// up and in the one before it crashes.
func (b *bureau) deafen() {
	b.node.rights.mu.Lock()
	b.node.rights.closed = true
	b.node.rights.mu.Unlock()
	b.node.receiver.Store(nil)
}

// record is what the ledger here has of an elector at some bureau.
func (b *bureau) record(e register.Elector, of ledger.BureauNumber) ledger.Record {
	b.c.t.Helper()
	i, ok := b.node.register.FindNationalNumber(e.NationalNumber)
	if !ok {
		b.c.t.Fatal("no such elector")
	}
	r, err := b.node.store.Record(of, ledger.Right{Elector: b.node.register.Token(i), Kind: ledger.Admit})
	if err != nil {
		b.c.t.Fatal(err)
	}
	return r
}

func TestARightThatCameBackWhileItsHomeWasDeafIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	home, away, e := c.bureaux[3], c.bureaux[2], c.home(3, 0)
	away.admits(e)
	c.level(1, 2, 3)
	home.deafen()
	token := away.node.register.Token(func() int { i, _ := away.node.register.FindNationalNumber(e.NationalNumber); return i }())
	if r, err := away.node.book.Annul(t.Context(), token, rights.Annul{Reason: 1, Attesters: [2]uint16{3, 4}}); err != nil || r.Refusal != ledger.NotRefused {
		t.Fatalf("annul: %+v, %v", r, err)
	}
	c.until("the ledger at home has the return", func() bool { return home.record(e, 2).State == ledger.None })
	if r := home.record(e, 3); r.State != ledger.Released {
		t.Fatalf("home was not deaf: %+v", r)
	}
	away.stop()
	home.stop()
	home.start()
	var a Answer
	c.until("the right is at home", func() bool { a = home.checkIn(e); return a.Refusal != ledger.ReleasedElsewhere })
	if !a.Admitted || a.At != 3 {
		t.Errorf("%+v", a)
	}
}

func TestARightThatArrivedWhileTheBureauWasDeafGoesHomeAfterARestart(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	home, away, e := c.bureaux[1], c.bureaux[3], c.home(1, 0)
	away.deafen()
	// The desk there has asked, and has gone away: what it was sent is not heard.
	if a := away.checkIn(e); a.Refusal != ledger.HomeUnreachable {
		t.Fatalf("not deaf: %+v", a)
	}
	c.until("the ledger there has the release", func() bool { return away.record(e, 1).State == ledger.Released })
	away.stop()
	away.start()
	c.until("the right is at home", func() bool { return home.record(e, 1).State == ledger.Own })
	if a := home.admits(e); a.At != 1 {
		t.Errorf("%+v", a)
	}
}
