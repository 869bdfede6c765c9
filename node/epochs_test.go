package node

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
	"pointage/node/heads"
	"pointage/node/pollbook"
	"pointage/node/register"
)

// seed is what the principal bureau's signatories sign for the next epoch.
func (c *commune) seed(n *Node) *ledger.Seed {
	c.t.Helper()
	next, err := n.NextEpoch(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	by, err := n.signatories([]Signing{c.signing(1), c.signing(2)})
	if err != nil {
		c.t.Fatal(err)
	}
	s := &ledger.Seed{Checkpoint: []byte(next.Checkpoint)}
	s.Signers, s.Signatures = by.sign(s.SignedBytes(n.prepared.Group.Manifest, n.prepared.Group.Commune, next.Epoch))
	return s
}

// note writes a note of the journal, as a program did that was then killed.
func (b *bureau) note(name string, value ...byte) {
	b.c.t.Helper()
	if err := b.node.journal.SetNote(b.c.t.Context(), name, value); err != nil {
		b.c.t.Fatal(err)
	}
}

func TestAFounderThatIsKilledBeginsItsEpochAtTheNextStart(t *testing.T) {
	t.Parallel()
	for what, notes := range map[string]map[string][]byte{
		"the ledger has moved":          nil,
		"the Raft store has its number": {inEpoch(storeNote, 1): make([]byte, 8)},
		"a store of an earlier attempt": {inEpoch(storeNote, 1): binary.BigEndian.AppendUint64(nil, 77)},
	} {
		t.Run(what, func(t *testing.T) {
			c := newCommune(t, nil)
			one := c.bureaux[1]
			one.start()
			seed := c.seed(one.node)
			one.note(founderNote, 1)
			for name, value := range notes {
				one.note(name, value...)
			}
			err := errors.Join(one.node.group.Load().Close(), one.node.store.BeginEpoch(seed, nil))
			if err != nil {
				t.Fatal(err)
			}
			one.stop()
			one.start()
			c.until("it leads the epoch that it began", func() bool { s := one.node.Status(); return s.Epoch == 1 && s.Leader == 1 })
			one.stop()
			one.loses("raft-1") // once it has begun, a lost store is a lost store
			one.start()
			if number, _, err := one.node.storeNumber(1); err != nil || number == 0 {
				t.Errorf("an identity came back with an empty store: %d, %v", number, err)
			}
		})
	}
}

func TestAFounderThatWasKilledBeforeItsEpochJoinsAnothersEpoch(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	one, two := c.bureaux[1], c.bureaux[2]
	one.start()
	one.note(founderNote, 1)
	one.stop()
	two.start()
	if _, err := two.node.BeginEpoch(t.Context(), []Signing{c.signing(1), c.signing(2)}); err != nil {
		t.Fatal(err)
	}
	one.start()
	c.until("it is a member of the deputy's group", func() bool { s := one.node.Status(); return s.Epoch == 1 && s.Leader != 0 })
	if one.node.founding(1) {
		t.Error("it would still begin the epoch")
	}
	if number, _, err := one.node.storeNumber(1); err != nil || number == 0 {
		t.Errorf("store %d, %v", number, err)
	}
}

func TestAnEpochIsBegunOnce(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	one, three := c.bureaux[1], c.bureaux[3]
	three.start()
	c.bureaux[2].start()
	seed := c.seed(c.bureaux[2].node)
	c.bureaux[2].stop()
	if err := errors.Join(three.node.group.Load().Close(), three.node.store.BeginEpoch(seed, nil)); err != nil {
		t.Fatal(err)
	}
	one.start()
	one.node.recovering.Lock() // it has not followed yet
	c.until("it reaches the other", func() bool { return len(one.node.connected()) == 1 })
	var input InputError
	if _, err := one.node.NextEpoch(t.Context()); !errors.As(err, &input) || !strings.Contains(err.Error(), "bureau 3 is in epoch 1") {
		t.Errorf("an epoch that another bureau is in can be begun: %v", err)
	}
	one.node.recovering.Unlock()
	if err := one.node.enterEpoch(t.Context(), 2, seed, true); err == nil || one.node.founding(2) {
		t.Errorf("begun out of turn, and noted %v: %v", one.node.founding(2), err)
	}
	closed := one.node
	one.stop()
	if err := closed.enterEpoch(t.Context(), 1, seed, true); !errors.Is(err, pollbook.ErrClosed) {
		t.Errorf("begun by a program that has ended: %v", err)
	}
}

// two signatories' names.
func (c *commune) two() []Signing { return []Signing{c.signing(1), c.signing(2)} }

func TestTwoFoundersOfOneEpochHaveTwoGroups(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	one, two, three := c.bureaux[1], c.bureaux[2], c.bureaux[3]
	for i, b := range []*bureau{one, two} {
		b.start()
		if _, err := b.node.BeginEpoch(t.Context(), []Signing{c.signing(1), c.signing(2 + i)}); err != nil {
			t.Fatal(err)
		}
		b.stop()
	}
	one.start()
	two.start()
	three.start()
	genesis := func(b *bureau) string {
		raw, err := b.node.store.Entry(ledger.Reference(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	c.until("all are in epoch 1 under a leader", func() bool {
		for n, b := range c.bureaux {
			if s := b.node.Status(); s.Epoch != 1 || s.Leader == 0 || n < 3 && s.Leader != n {
				return false
			}
		}
		return true
	})
	if genesis(one) == genesis(two) || genesis(three) != genesis(c.bureaux[three.node.Status().Leader]) {
		t.Error("a bureau is led by the founder of another ledger")
	}
	c.until("people are told", func() bool { return strings.Contains(one.log.String()+two.log.String(), "call the election authority") })
}

func TestAFounderThatLostItsLedgerGoesOnFromWhatOthersHave(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	before := c.home(3, 0)
	c.bureaux[3].admits(before)
	c.bureaux[3].replicates(before)
	size := c.bureaux[1].node.Head().Size
	c.until("a checkpoint of it was signed", func() bool {
		last, err := c.bureaux[1].node.notary.signedLast()
		return err == nil && last.Checkpoint.Size >= size && c.bureaux[3].node.Head().Size >= size
	})
	for _, n := range []ledger.BureauNumber{1, 2, 3} {
		c.bureaux[n].stop()
		c.bureaux[n].loses("raft")
	}
	one, liar := c.bureaux[1], c.bureaux[2]
	one.loses("ledger")
	liar.loses("ledger")
	one.start()
	if _, err := one.node.NextEpoch(t.Context()); err == nil || !strings.Contains(err.Error(), "connect a bureau") {
		t.Errorf("a new epoch without what was signed: %v", err)
	}
	liar.start()
	for _, a := range liar.node.recoveries {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	lies, err := serve(liar.node.host, protocolEntries, func(_ string, q []byte) []byte {
		if q[0] != 0 {
			return []byte{}
		}
		genesis, err := liar.node.store.Entry(0)
		if err != nil {
			return nil
		}
		var b cryptobyte.Builder
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(genesis) })
		return b.BytesOrPanic()
	})
	if err != nil {
		t.Fatal(err)
	}
	liar.node.recoveries = []*answerer{lies}
	c.bureaux[3].start()
	c.until("all are connected", func() bool { return len(one.node.connected()) == 2 })
	c.until("nobody leads", func() bool { return one.node.founds() == nil })
	next, err := one.node.BeginEpoch(t.Context(), c.two())
	if err != nil || next.Entries < size {
		t.Fatalf("%+v, %v; want %d entries at least", next, err, size)
	}
	c.linked(1, 2, 3)
	for n, b := range c.bureaux {
		if a := b.checkIn(before); a.Admitted {
			t.Errorf("bureau %d admits again whom epoch 0 has", n)
		}
	}
}

func TestABureausNextMachineBeginsAnEpochToo(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	next := c.successor(1)
	next.start()
	if _, err := next.node.BeginEpoch(t.Context(), c.two()); err != nil {
		t.Fatal(err)
	}
	c.until("it leads", func() bool { return next.node.Status().Leader == 1 })
	c.bureaux[1] = next
	c.bureaux[3].start()
	c.linked(1, 3)
	next.stop()
	next.start()
	c.linked(1, 3)
}

func TestABureauThatMissedTwoEpochsFollows(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	one := c.bureaux[1]
	one.start()
	for range 2 {
		if _, err := one.node.BeginEpoch(t.Context(), c.two()); err != nil {
			t.Fatal(err)
		}
		epoch := one.node.Head().Epoch
		c.until("it leads", func() bool { return one.node.Status().Leader == 1 })
		if epoch == 1 {
			one.stop()
			one.loses("raft-1")
			one.start()
		}
	}
	c.bureaux[3].start()
	c.linked(1, 3)
	if e := c.bureaux[3].node.Status().Epoch; e != 2 {
		t.Errorf("in epoch %d", e)
	}
}

func TestAMachineThatWasOfflineBringsWhatStoodBehindTheSeed(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	c.opened(1, 2, 3)
	one, two, three := c.bureaux[1], c.bureaux[2], c.bureaux[3]
	c.until("it is anchored", func() bool { return one.node.Status().AnchoredSize > 3 })
	kept := filepath.Join(t.TempDir(), "kept")
	if err := one.node.Export(kept); err != nil {
		t.Fatal(err)
	}
	one.stop()
	c.until("the others go on", func() bool { return two.node.Status().Leader == 2 })
	behind := map[*bureau]int{two: 0, three: 0}
	for b, i := range behind {
		b.admits(c.home(b.number, i))
		b.replicates(c.home(b.number, i))
	}
	away := c.home(2, 3) // whose right is at 3, which was placed behind the seed
	three.admits(away)
	three.replicates(away)
	size := two.node.Head().Size
	c.until("3 has it all", func() bool { return three.node.Head().Size >= size })
	three.stop()
	two.stop()
	two.loses("ledger", "raft", "anchors")
	one.loses("raft")
	one.start()
	two.start()
	c.until("they are connected, and nobody leads", func() bool { return len(one.node.connected()) == 1 && one.node.founds() == nil })
	next, err := one.node.BeginEpoch(t.Context(), c.two())
	if err != nil || next.Entries >= size {
		t.Fatalf("%+v, %v; want fewer than %d entries", next, err, size)
	}
	c.linked(1, 2)
	three.start() // an hour later
	c.linked(1, 2, 3)
	for b, i := range behind {
		b.replicates(c.home(b.number, i))
	}
	three.replicates(away)
	c.until("any one of the three can be lost", func() bool {
		voting := 0
		for _, m := range one.node.group.Load().Status().Members {
			if m.Voting {
				voting++
			}
		}
		return voting == 3
	})

	one.stop() // and the principal bureau's disk dies, whose backup is of the epoch before
	one.loses(".")
	if _, err := RestoreBackup(t.Context(), one.config(), kept); err != nil {
		t.Fatal(err)
	}
	one.start()
	c.linked(1, 2, 3)
	for _, b := range c.bureaux {
		for _, e := range []register.Elector{c.home(2, 0), c.home(3, 0), away} {
			if a := b.checkIn(e); a.Admitted {
				t.Errorf("bureau %d admits again", b.number)
			}
		}
		s := b.node.Status()
		if s.Epoch != 1 || b.node.heads.Load().Alarms() != (heads.Alarms{}) {
			t.Errorf("bureau %d in epoch %d: %+v", b.number, s.Epoch, b.node.heads.Load().Alarms())
		}
	}
	dir := filepath.Join(t.TempDir(), "export")
	size = one.node.Head().Size
	c.until("the new epoch is anchored", func() bool { return one.node.Status().AnchoredSize >= size })
	if err := one.node.Export(dir); err != nil {
		t.Fatal(err)
	}
	if r := c.verify(dir); r.Admitted != 3 || len(r.Double) != 0 {
		t.Errorf("%d admitted, %d twice", r.Admitted, len(r.Double))
	}
}

func TestAProgramThatClosesWhileItEntersAnEpochEnds(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	one := c.bureaux[1]
	one.start()
	if err := one.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	two := c.two()
	var acts sync.WaitGroup
	acts.Go(func() { _, _ = one.node.BeginEpoch(t.Context(), two) })
	for i := range 6 {
		acts.Go(func() { _, _ = one.node.CheckIn(t.Context(), byNational(c.home(1, i))) })
	}
	c.until("it moves", func() bool { return strings.Contains(one.log.String(), "the group begins a new epoch") })
	one.stop()
	acts.Wait()
	one.start()
	if one.node.Head().Epoch == 1 {
		c.until("it leads the epoch that it began", func() bool { return one.node.Status().Leader == 1 })
	}
}
