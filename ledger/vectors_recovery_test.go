package ledger_test

import (
	"strings"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

func (m *maker) rejectWords() {
	no := func(name, says, stage string, in []byte) { m.reject("word", "word-"+name, says, stage, in) }
	applied, answered := m.applied().Encode(), m.answered().Encode()
	no("truncated", "the last byte is missing", "form", cut(applied, 1))
	no("trailing", "a byte after the signature", "form", plus(answered, 0))
	no("version", "version 2", "form", set(applied, 0, 2))
	no("what", "neither applied nor answered", "form", set(applied, 41, 3))
	no("incarnation", "incarnation 3 of 0 to 2", "form", set(applied, 39, 3))
	no("epoch", "epoch 10", "form", set(applied, 40, 10))
	no("size-zero", "a chain of no entry", "form", set(applied, 42, make([]byte, 8)...))
	no("size-too-large", "over 2^24 entries", "form", set(applied, 46, 1, 0, 0, 1))
	no("not-signed-answered", "an answer for what no author signed", "form", (&ledger.Word{
		Manifest: m.day.Group.Manifest, Commune: ledgertest.INS, Member: ledger.Member{Bureau: 1},
		Answered: &ledger.Answered{Author: ledger.Author{Bureau: 1}, Answer: ledger.Answer{Status: ledger.Rejected, Reason: ledger.NotSigned}},
	}).Encode())
	no("wrong-election", "another manifest", "election", set(applied, 1, applied[1]^1))
	no("wrong-commune", "another commune", "commune", set(applied, 36, applied[36]^1))
	no("unknown-member", "bureau 4 of three", "author", set(applied, 38, 4))
	no("wrong-member", "bureau 1's word under bureau 2's name", "signature", set(applied, 38, 2))
	no("head-changed", "a bit of the head", "signature", set(applied, 50, applied[50]^1))
	gossip := func(kind, name, says string, in []byte) { m.reject(kind, name, says, "form", in) }
	heads := must(ledger.EncodeHeads([]ledger.SignedHeader{m.day.Entries[1].Batch.Signed()}))
	gossip("heads", "heads-none", "no header", heads[:3])
	gossip("heads", "heads-count", "a count beyond the end", set(heads, 2, 2))
	gossip("heads", "heads-version", "version 2", set(heads, 0, 2))
	q := ledger.ChainRequest{Author: m.day.Entries[1].Batch.Header.Author, From: 1, To: 2}.Encode()
	gossip("chain request", "chain-request-empty", "it ends where it begins", set(q, -1, 1))
	gossip("chain request", "chain-request-trailing", "a byte after the end", plus(q, 0))
	gossip("chain request", "chain-request-too-far", "beyond 2^62", set(q, -8, 0x40, 0, 0, 0, 0, 0, 0, 1))
	chain := (&ledger.ChainAnswer{Batches: []*ledger.Batch{m.day.Entries[1].Batch}}).Encode()
	gossip("chain answer", "chain-answer-more-of-nothing", "more, and no batch", []byte{1, 1, 0, 0})
	gossip("chain answer", "chain-answer-count", "a count beyond the end", set(chain, 3, 2))
	gossip("chain answer", "chain-answer-trailing", "a byte after the batches", plus(chain, 0))
	gossip("chain answer", "chain-answer-batch", "a batch that is none", set(chain, 6, 2))
}

// rejectEpochs are exports of a day that went on in a second epoch.
func (m *maker) rejectEpochs(no func(name, says, where string, files map[string][]byte)) {
	day := func(change func(*ledger.Seed)) map[string][]byte {
		d := newVectorDay(m.t)
		one := d.Started(1)
		d.Recover(2)
		one.Put(ledgertest.Admission(0))
		if change != nil {
			first := true
			d.Rewrite(func(e *ledger.Entry) {
				if !first {
					return
				}
				first = false
				s := must(ledger.DecodeSeed(e.Genesis.Seed))
				change(s)
				e.Genesis.Seed, e.Previous = must(s.Encode()), ledger.LeafHash(d.EarlierEntries(0)[1].Encoded)
			})
		}
		return d.Export()
	}
	no("seed-signature", "an epoch begun under a signature that does not hold; linked, hashed and signed anew", "epoch-1 entry 0",
		day(func(s *ledger.Seed) { s.Signatures[0][0] ^= 1 }))
	no("seed-one-person", "an epoch begun by one person under two numbers; linked, hashed and signed anew", "epoch-1 entry 0",
		day(func(s *ledger.Seed) { s.Signers[1], s.Signatures[1] = 3, s.Signatures[0] }))
	no("seed-other-checkpoint", "a seed that is not the checkpoint of the epoch before; linked, hashed and signed anew", "epoch-1 entry 0",
		day(func(s *ledger.Seed) {
			s.Checkpoint = must(ledger.SignCheckpoint(ledger.Checkpoint{Origin: m.day.Group.Origin(0), Size: 2}, ledgertest.Key("log")))
		}))
	files := day(nil)
	for name := range files {
		if strings.HasPrefix(name, "epoch-0/") {
			delete(files, name)
		}
	}
	no("epoch-missing", "the epoch before is not there", "file epoch-0/origin", files)
	files = day(nil)
	files["epoch-0/roll"] = files["roll"]
	no("epoch-with-a-roll", "an earlier epoch has no roll of its own", "file epoch-0/roll", files)
	files = day(nil)
	bundle := files["epoch-0/tile/entries/000.p/2"]
	files["epoch-0/tile/entries/000.p/2"] = set(bundle, -1, bundle[len(bundle)-1]^1)
	no("epoch-entry", "a changed entry of the epoch before", "epoch-0 entry 1", files)
}
