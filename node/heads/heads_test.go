package heads

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/node/store"
)

// member is one bureau with its own copy of the ledger and its own chain.
type member struct {
	*Heads
	store    *store.Store
	chain    *ledgertest.Chain
	own      []*ledger.Batch
	handedIn int
	knows    map[ledger.SessionID]uint64
	learned  []*ledger.Batch
	recorded []ledger.Body
	relayed  []*ledger.Batch
	leads    bool
}

// commune is bureaux that reach each other when asked to.
type commune struct {
	*ledgertest.Day
	t       *testing.T
	members map[ledger.BureauNumber]*member
	applied map[ledger.BureauNumber]uint64
}

func newCommune(t *testing.T, bureaux int) *commune {
	c := &commune{
		Day: ledgertest.NewDay(t, bureaux, 40, nil), t: t, members: map[ledger.BureauNumber]*member{}, applied: map[ledger.BureauNumber]uint64{},
	}
	for i := range bureaux {
		n := ledger.BureauNumber(i + 1)
		s, err := store.Open(t.TempDir(), c.Group, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		m := &member{store: s, knows: map[ledger.SessionID]uint64{}}
		m.Heads = newHeads(c.config(n, m))
		c.members[n] = m
		c.open(n, byte(n), nil)
	}
	return c
}

func (c *commune) config(n ledger.BureauNumber, m *member) Config {
	self := ledger.Member{Bureau: n}
	return Config{
		Group: c.Group, Self: self, Peers: c, Ledger: m.store, Own: m, Logger: slog.New(slog.DiscardHandler),
		Sign: func(h ledger.ChainHead) *ledger.Word {
			return ledger.SignApplied(ledgertest.Key(ledgertest.DeviceName(n, 0)), c.Group, self, h)
		},
		Learned: func(b *ledger.Batch) { m.learned = append(m.learned, b) },
		Record:  func(_ context.Context, b ledger.Body) error { m.recorded = append(m.recorded, b); return nil },
		Relay: func(_ context.Context, b *ledger.Batch) bool {
			if m.leads {
				m.relayed = append(m.relayed, b)
			}
			return m.leads
		},
	}
}

func (m *member) Backlog(most int) ([]*ledger.Batch, error) {
	left := m.own[m.handedIn:]
	return left[:min(most, len(left))], nil
}

func (m *member) Knows(s ledger.SessionID, next uint64) bool { return m.knows[s] >= next }

// open begins a session of the bureau.
func (c *commune) open(n ledger.BureauNumber, session byte, continues *ledger.Head) {
	m := c.members[n]
	m.chain = c.Session(n, session)
	if continues != nil {
		m.chain.At.Previous = continues.Hash
	}
	c.write(n, &ledger.SessionOpened{Generation: 1, Media: 7, Continues: continues})
}

// write makes the bureau's next batch durable.
func (c *commune) write(n ledger.BureauNumber, bodies ...ledger.Body) *ledger.Batch {
	m := c.members[n]
	b := m.chain.Sign(bodies...)
	m.own = append(m.own, b)
	m.knows[m.chain.Author.Session] = b.Header.Next()
	return b
}

// handIn brings the bureau's chain to the copies of the ledger at the bureaux.
func (c *commune) handIn(n ledger.BureauNumber, at ...ledger.BureauNumber) {
	m := c.members[n]
	for _, b := range m.own[m.handedIn:] {
		c.place(b, at...)
	}
	m.handedIn = len(m.own)
}

func (c *commune) place(b *ledger.Batch, at ...ledger.BureauNumber) {
	for _, to := range at {
		c.applied[to]++
		c.members[to].store.Apply(c.applied[to], [][]byte{b.Encode()})
	}
}

// meet lets a ask b.
func (c *commune) meet(a, b ledger.BureauNumber) {
	c.t.Helper()
	c.members[a].settle()
	if err := c.members[a].exchange(c.t.Context(), b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *commune) Connected() (out []ledger.BureauNumber) {
	for n := range c.members {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

var errSilent = errors.New("no answer")

func answered(a []byte) ([]byte, error) {
	if a == nil {
		return nil, errSilent
	}
	return a, nil
}

func (c *commune) AskHeads(_ context.Context, b ledger.BureauNumber, q []byte) ([]byte, error) {
	return answered(c.members[b].AnswerHeads(q))
}

func (c *commune) AskChain(_ context.Context, b ledger.BureauNumber, q []byte) ([]byte, error) {
	return answered(c.members[b].AnswerChain(q))
}

func (c *commune) AskApplied(_ context.Context, b ledger.BureauNumber, q []byte) ([]byte, error) {
	return answered(c.members[b].AnswerApplied(q))
}

func right(i int) ledger.Right {
	return ledger.Right{Elector: ledgertest.Elector(i), Kind: ledger.Admit}
}

func TestABureauThatComesBackKnowsEveryAdmissionFromAnyPeer(t *testing.T) {
	c := newCommune(t, 3)
	// 1 and 2 went on with the group, 3 was away; 1 has a backlog too.
	for i := range 5 {
		c.write(1, ledgertest.Admission(3*i))
		c.write(2, ledgertest.Admission(3*i+1))
	}
	c.handIn(1, 1, 2)
	c.handIn(2, 1, 2)
	c.write(1, ledgertest.Admission(30))
	c.meet(2, 1)
	c.meet(3, 2) // 3 reaches 2 alone
	m := c.members[3]
	for _, i := range []int{0, 3, 6, 9, 12, 1, 4, 7, 10, 13, 30} {
		as := m.Admissions(right(i))
		if len(as) != 1 || as[0].Bureau != ledger.BureauNumber(1+i%3) {
			t.Errorf("elector %d: known admissions %v", i, as)
		}
	}
	if len(m.learned) != m.Ahead() || m.Ahead() != 13 {
		t.Errorf("learned %d batches, keeps %d, want 13", len(m.learned), m.Ahead())
	}
	// Nothing is asked for twice, and what the ledger has by now is forgotten.
	c.meet(3, 2)
	c.meet(3, 1)
	if len(m.learned) != 13 {
		t.Errorf("learned %d batches, 13 are there", len(m.learned))
	}
	for _, b := range slices.Concat(c.members[1].own[:6], c.members[2].own) {
		c.place(b, 3)
	}
	c.handIn(1, 1, 2, 3)
	if c.meet(3, 2); m.Ahead() != 0 {
		t.Errorf("%d batches are kept that the ledger has", m.Ahead())
	}
	if a := m.Alarms(); a != (Alarms{}) {
		t.Errorf("alarms on a clean day: %+v", a)
	}
}

func TestAVoidTakesTheWarningBack(t *testing.T) {
	c := newCommune(t, 2)
	c.write(1, ledgertest.Admission(0))
	c.write(1, &ledger.Void{Sequence: 1, Rights: []ledger.Right{right(0)}, Reason: 1})
	c.meet(2, 1)
	if as := c.members[2].Admissions(right(0)); len(as) != 0 {
		t.Errorf("a voided admission warns: %v", as)
	}
}

func TestTwoContinuationsOfOneHeadAreProved(t *testing.T) {
	c := newCommune(t, 3)
	c.handIn(1, 1, 2, 3)
	head := c.members[1].chain.Head()
	c.open(1, 11, head)
	clone := c.Session(1, 12)
	clone.At.Previous = head.Hash
	other := clone.Sign(&ledger.SessionOpened{Generation: 1, Media: 7, Continues: head})
	c.place(other, 2) // 2 has met the clone
	c.meet(3, 2)
	c.meet(3, 1)
	m := c.members[3]
	if len(m.recorded) != 1 || m.Alarms().Forks != 1 {
		t.Fatalf("recorded %d proofs, alarms %+v", len(m.recorded), m.Alarms())
	}
	proof, ok := m.recorded[0].(*ledger.Evidence)
	if !ok {
		t.Fatalf("recorded %T", m.recorded[0])
	}
	a, err := ledger.DecodeSignedHeader(proof.First)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ledger.DecodeSignedHeader(proof.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Group.Fork(a, b); !ok {
		t.Error("the proof does not hold")
	}
	c.meet(3, 1)
	if len(m.recorded) != 1 {
		t.Error("one contradiction is recorded twice")
	}
}

func TestTwoBatchesAtOneNumberAreProved(t *testing.T) {
	c := newCommune(t, 3)
	c.handIn(1, 1, 2, 3)
	twin := *c.members[1].chain
	c.write(1, ledgertest.Admission(0))
	c.place(twin.Sign(ledgertest.Admission(3)), 2)
	c.meet(3, 2)
	c.meet(3, 1)
	if m := c.members[3]; len(m.recorded) != 1 || m.Alarms().Forks != 1 {
		t.Fatalf("recorded %d proofs, alarms %+v", len(m.recorded), m.Alarms())
	}
}

func TestARolledBackMachineIsToldByItsPeers(t *testing.T) {
	c := newCommune(t, 2)
	c.write(1, ledgertest.Admission(0))
	c.handIn(1, 1, 2)
	m := c.members[1]
	m.own, m.handedIn, m.knows = m.own[:1], 1, map[ledger.SessionID]uint64{m.chain.Author.Session: 1}
	c.meet(1, 2)
	if !m.Alarms().RolledBack {
		t.Error("nobody noticed")
	}
	if c.meet(2, 1); c.members[2].Alarms().RolledBack {
		t.Error("the peer takes it for its own")
	}
}

func TestALedgerThatDiffersIsNoticedAndTwoWordsOfOneMemberAreProof(t *testing.T) {
	c := newCommune(t, 3)
	b := c.write(1, ledgertest.Admission(0))
	c.place(c.members[1].own[0], 1, 2, 3)
	c.place(b, 1, 2)
	c.meet(2, 3)
	c.meet(1, 2)
	if c.members[1].Alarms() != (Alarms{}) || c.members[2].Alarms() != (Alarms{}) {
		t.Fatal("alarm while one is only behind")
	}
	lie := c.members[2].store.Head()
	lie.Last[0] ^= 1
	w := ledger.SignApplied(ledgertest.Key(ledgertest.DeviceName(2, 0)), c.Group, ledger.Member{Bureau: 2}, lie)
	c.members[1].compare(w.Encode())
	if a := c.members[1].Alarms(); !a.Differs || a.Equivocations != 1 {
		t.Errorf("alarms %+v", a)
	}
	if _, ok := c.members[1].recorded[0].(*ledger.Equivocation); !ok {
		t.Errorf("recorded %T", c.members[1].recorded[0])
	}
	w.Signature[0] ^= 1
	c.members[3].compare(w.Encode())
	if c.members[3].Alarms() != (Alarms{}) {
		t.Error("a word with a bad signature accuses")
	}
}

func TestOnlyTheLeaderRelaysWhatWaitsForLong(t *testing.T) {
	c := newCommune(t, 2)
	b := c.write(1, ledgertest.Admission(0))
	c.meet(2, 1)
	m := c.members[2]
	m.relay(t.Context())
	m.leads = true
	m.relay(t.Context())
	if len(m.relayed) != 0 {
		t.Fatal("relayed at once")
	}
	for i := range m.ahead[b.Header.Author] {
		m.ahead[b.Header.Author][i].since = time.Now().Add(-2 * relayAfter)
	}
	m.relay(t.Context())
	if len(m.relayed) != 1 || m.relayed[0].Header.First != 0 {
		t.Errorf("relayed %d batches, the first one is due", len(m.relayed))
	}
}

func TestAPeerThatLiesAboutAChainIsNotBelieved(t *testing.T) {
	c := newCommune(t, 2)
	b := c.write(1, ledgertest.Admission(0))
	b.Signature[3] ^= 1
	if err := c.members[2].exchange(t.Context(), 1); err == nil {
		t.Error("a head with a bad signature was taken")
	}
	if n := c.members[2].Ahead(); n != 0 {
		t.Errorf("%d batches are kept of it", n)
	}
	for _, q := range [][]byte{nil, {1}, make([]byte, 300)} {
		if a := c.members[1].AnswerChain(q); a != nil {
			t.Errorf("rubbish %x is answered", q)
		}
		c.members[1].AnswerApplied(q)
	}
}
