package node

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
)

// placedBatch is a bureau's first batch in another's ledger, with what the leader answers for it.
func placedBatch(t *testing.T, at *bureau, of ledger.BureauNumber) (batch, reply []byte) {
	t.Helper()
	until(t, "the batch is placed", func() bool {
		for i := uint64(1); i < at.node.store.Size(); i++ {
			raw, err := at.node.store.Entry(i)
			if err != nil {
				t.Fatal(err)
			}
			e, err := ledger.DecodeEntry(raw)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := ledger.DecodeBatch(e.Batch); err == nil && b.Header.Author.Bureau == of {
				ans, _ := at.node.store.Answer(b)
				batch, reply = e.Batch, ans.Encode()
				return true
			}
		}
		return false
	})
	return batch, reply
}

func TestOnlyTheLeadersSignedWordIsAnAnswer(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	one, two, three := c.bureaux[1], c.bureaux[2], c.bureaux[3]
	batch, reply := placedBatch(t, one, 2)
	other, otherReply := placedBatch(t, one, 3)
	id := one.node.host.Self()
	at, asker := one.node.answersIn(0), two.node.answersIn(0)
	sealed, ok := at.Seal(batch, reply)
	if !ok {
		t.Fatal("the leader has no word")
	}
	if got, err := asker.Open(id, batch, sealed); err != nil || !bytes.Equal(got, reply) {
		t.Fatalf("opened as %x, %v", got, err)
	}
	if strings.Contains(two.log.String(), "without its signature") {
		t.Fatal("alarm on a clean day")
	}
	for i := range sealed {
		for _, bit := range []byte{1, 0x80} {
			changed := slices.Clone(sealed)
			changed[i] ^= bit
			if _, err := asker.open(id, batch, changed); err == nil {
				t.Errorf("byte %d changed, and still an answer", i)
			}
		}
	}
	another, _ := at.Seal(other, otherReply)
	theirs, _ := three.node.answersIn(0).Seal(batch, reply)
	later, _ := one.node.answersIn(1).Seal(batch, reply)
	b, err := ledger.DecodeBatch(batch)
	if err != nil {
		t.Fatal(err)
	}
	b.Statements[0].Time++ // of the same author, under the same number
	clone, err := ledger.Sign(two.node.secrets.Device, two.node.prepared.Group, b.Header.Author, ledger.Point{Next: b.Header.First, Previous: b.Header.Previous}, b.Statements)
	if err != nil {
		t.Fatal(err)
	}
	twin, _ := at.Seal(clone.Encode(), reply)
	applied := ledger.SignApplied(one.node.secrets.Device, one.node.prepared.Group, ledger.Member{Bureau: 1}, one.node.store.Head()).Encode()
	none := (&ledger.Answer{Status: ledger.Rejected, Reason: ledger.NotSigned}).Encode()
	for what, answer := range map[string][]byte{
		"nothing": nil, "an answer without a word": reply, "the word for another batch": another, "the word for its twin": twin, "another member's word": theirs,
		"a word of another epoch": later, "another kind of word": applied, "that a good batch is not signed": none, "cut short": sealed[:len(sealed)-1],
	} {
		if got, err := asker.Open(id, batch, answer); err == nil {
			t.Errorf("%s is taken for an answer: %x", what, got)
		}
	}
	if n := strings.Count(two.log.String(), "without its signature"); n != 1 {
		t.Errorf("%d alarms about one leader, want 1", n)
	}
	if _, err := asker.Open(three.node.host.Self(), batch, sealed); err == nil {
		t.Error("bureau 1's word is taken from bureau 3")
	}
	// Of what is no batch nobody has a word, and the asker sees for himself.
	bad := slices.Clone(batch)
	bad[200] ^= 1
	if answer, ok := at.Seal(bad, none); !ok {
		t.Error("no answer for a batch that is none")
	} else if got, err := asker.Open(id, bad, answer); err != nil || !bytes.Equal(got, none) {
		t.Errorf("%x, %v", got, err)
	}
	if _, ok := at.Seal(batch, nil); ok {
		t.Error("a ledger that has stopped answers")
	}
	if a := two.node.heads.Load().Alarms(); a.Equivocations > 0 || a.LeftOut || a.Differs {
		t.Errorf("alarms %+v", a)
	}
}
