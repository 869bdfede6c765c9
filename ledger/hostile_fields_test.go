package ledger_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// flips calls f with the bytes changed at one place each: every byte, its lowest and its highest bit.
func flips(in []byte, f func(at int, changed []byte)) {
	changed := bytes.Clone(in)
	for i := range in {
		for _, bit := range []byte{1, 0x80} {
			changed[i] = in[i] ^ bit
			f(i, changed)
			changed[i] = in[i]
		}
	}
}

// takes is decoding and verifying: the error says that whoever receives it has no use for it.
type takes func(g *ledger.Group, in []byte) error

func takesBatch(g *ledger.Group, in []byte) error {
	b, err := ledger.DecodeBatch(in)
	if err != nil {
		return err
	}
	return b.Verify(g)
}

func takesExtract(g *ledger.Group, in []byte) error {
	x, err := ledger.DecodeExtract(in)
	if err != nil {
		return err
	}
	return x.Verify(g)
}

func takesWord(g *ledger.Group, in []byte) error {
	w, err := ledger.DecodeWord(in)
	if err != nil {
		return err
	}
	return w.Verify(g)
}

func takesHeader(g *ledger.Group, in []byte) error {
	h, err := ledger.DecodeSignedHeader(in)
	if err != nil {
		return err
	}
	return h.Verify(g)
}

func extractOf(t *testing.T, b *ledger.Batch, i int) []byte {
	t.Helper()
	enc, err := b.Extract(i).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

// Whatever field of a batch is changed on the way, header, statement or signature, nobody takes it. The day has a statement
// of nearly every kind.
func TestBatchWithAnyFieldChangedIsRefused(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(d)
	seen, changes := map[ledger.Kind]bool{}, 0
	for _, e := range d.Entries[1:] {
		fresh := false
		for _, s := range e.Batch.Statements {
			fresh = fresh || !seen[s.Body.Kind()]
			seen[s.Body.Kind()] = true
		}
		if !fresh {
			continue
		}
		refuseAll(t, fmt.Sprintf("batch at entry %d", e.Entry.Position), d.Group, e.Entry.Batch, takesBatch, &changes)
	}
	if len(seen) < 20 || changes < 5000 {
		t.Errorf("%d kinds of statements, %d changes: too few to say anything", len(seen), changes)
	}
}

func refuseAll(t *testing.T, what string, g *ledger.Group, in []byte, f takes, changes *int) {
	t.Helper()
	if err := f(g, in); err != nil {
		t.Fatalf("%s is refused unchanged: %v", what, err)
	}
	flips(in, func(at int, changed []byte) {
		*changes++
		if f(g, changed) == nil {
			t.Errorf("%s: byte %d of %d changed, and still taken", what, at, len(in))
		}
	})
	for _, n := range []int{0, 1, len(in) / 2, len(in) - 1} {
		if f(g, in[:n]) == nil {
			t.Errorf("%s: cut to %d of %d bytes, and still taken", what, n, len(in))
		}
	}
	if f(g, append(bytes.Clone(in), 0)) == nil {
		t.Errorf("%s: a byte longer, and still taken", what)
	}
}

// What travels alone, a release, a return and what embeds them, proves itself or nothing; so does each signed word.
func TestMessageThatTravelsAloneWithAnyFieldChangedIsRefused(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, two := d.Started(1), d.Started(2)
	x := ledger.Right{Elector: ledgertest.Elector(0), Kind: ledger.Admit}
	carry := ledger.Right{Elector: ledgertest.Elector(3), Kind: ledger.Carry}
	release := one.Sign(&ledger.Incident{Code: 1}, &ledger.Release{Right: x, To: 2}, &ledger.Release{Right: carry, To: 2})
	back := two.Sign(&ledger.Return{Right: x, Release: extractOf(t, release, 1)}, &ledger.Return{Right: carry, Release: extractOf(t, release, 2)})
	hold := two.Sign(&ledger.Hold{Right: x, Release: extractOf(t, release, 1)})
	denial := one.Sign(ledgertest.Admission(6))
	key, m := ledgertest.Key(ledgertest.DeviceName(1, 0)), ledger.Member{Bureau: 1}
	ans := ledger.Answer{Status: ledger.Placed, Position: 4, Verdicts: []ledger.Verdict{{}, {Class: ledger.AlreadyAdmittedClass, Against: 3}, {}}}
	head := release.Signed()
	changes := 0
	for what, one := range map[string]struct {
		in []byte
		f  takes
	}{
		"release": {extractOf(t, release, 1), takesExtract}, "release of a carry right": {extractOf(t, release, 2), takesExtract},
		"return": {extractOf(t, back, 0), takesExtract}, "return of a carry right": {extractOf(t, back, 1), takesExtract},
		"hold": {extractOf(t, hold, 0), takesExtract}, "denial": {extractOf(t, denial, 0), takesExtract},
		"head":            {head.Encode(), takesHeader},
		"applied":         {ledger.SignApplied(key, d.Group, m, ledger.ReadHead(d.View)).Encode(), takesWord},
		"placed":          {ledger.SignAnswered(key, d.Group, m, 0, release, ans).Encode(), takesWord},
		"parked":          {ledger.SignAnswered(key, d.Group, m, 0, back, ledger.Answer{Status: ledger.Parked}).Encode(), takesWord},
		"evidence placed": {ledger.SignAnswered(key, d.Group, m, 0, back, ledger.Answer{Status: ledger.Contradicted, Position: 9}).Encode(), takesWord},
		"no room":         {ledger.SignAnswered(key, d.Group, m, 2, hold, ledger.Answer{Status: ledger.Rejected, Reason: ledger.ParkingFull}).Encode(), takesWord},
	} {
		refuseAll(t, what, d.Group, one.in, one.f, &changes)
	}
	if changes < 5000 {
		t.Errorf("%d changes: too few to say anything", changes)
	}
}

// A list of heads or a part of a chain is not signed, each of its parts is: whatever is changed on the way, what is left of it
// is what its authors signed.
func TestGossipWithAnyFieldChangedBringsNothingNew(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one := d.Started(1)
	bs := []*ledger.Batch{one.Sign(ledgertest.Admission(0)), one.Sign(ledgertest.Admission(3)), d.Session(2, 2).Sign(&ledger.SessionOpened{Generation: 1, Media: 3})}
	genuine := map[ledger.Hash]bool{}
	var hs []ledger.SignedHeader
	for _, b := range bs {
		hs, genuine[b.Header.Identity()] = append(hs, b.Signed()), true
	}
	list, err := ledger.EncodeHeads(hs)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	flips(list, func(at int, changed []byte) {
		got, err := ledger.DecodeHeads(changed)
		if err != nil {
			return
		}
		for i := range got {
			if got[i].Verify(d.Group) != nil {
				continue
			}
			kept++
			if !genuine[got[i].Header.Identity()] || !slices.ContainsFunc(hs, func(h ledger.SignedHeader) bool { return h == got[i] }) {
				t.Errorf("heads: byte %d changed makes a head that nobody signed", at)
			}
		}
	})
	q := ledger.ChainRequest{Author: one.Author, From: 1, To: 3}
	chain := (&ledger.ChainAnswer{Batches: bs[:2]}).Encode()
	flips(chain, func(at int, changed []byte) {
		got, err := ledger.DecodeChainAnswer(changed)
		if err != nil || got.Follows(q) != nil {
			return
		}
		for _, b := range got.Batches {
			if b.Verify(d.Group) != nil {
				break
			}
			kept++
			if !genuine[b.Header.Identity()] {
				t.Errorf("chain: byte %d changed makes a batch that nobody signed", at)
			}
		}
	})
	if kept < len(list) {
		t.Errorf("%d parts were taken: nothing was tried", kept)
	}
	// A request that is changed asks for something else, or nothing: it is answered with what its author signed.
	flips(q.Encode(), func(at int, changed []byte) {
		if got, err := ledger.DecodeChainRequest(changed); err == nil && got == q {
			t.Errorf("request: byte %d changed makes no difference", at)
		}
	})
}

// scratch is a view over another that it leaves as it is.
type scratch struct {
	base ledger.View
	set  map[string][]byte // nil for deleted
}

func (s scratch) Get(key []byte) []byte {
	if v, ok := s.set[string(key)]; ok {
		return v
	}
	return s.base.Get(key)
}

func (s scratch) Set(key, value []byte) { s.set[string(key)] = value }
func (s scratch) Delete(key []byte)     { s.set[string(key)] = nil }

func (s scratch) Range(prefix []byte, f func(key, value []byte) bool) {
	all := map[string][]byte{}
	s.base.Range(prefix, func(k, v []byte) bool { all[string(k)] = v; return true })
	for k, v := range s.set {
		if strings.HasPrefix(k, string(prefix)) {
			all[k] = v
		}
	}
	keys := make([]string, 0, len(all))
	for k, v := range all {
		if v != nil {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !f([]byte(k), all[k]) {
			return
		}
	}
}

// An entry has a position, a link, verdicts and a batch: an altered one is not what the rules make of anything.
func TestEntryWithAnyFieldChangedIsRefused(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(d)
	v, changes := ledger.NewMemoryView(), 0
	for _, e := range d.Entries {
		flips(e.Encoded, func(at int, changed []byte) {
			changes++
			if _, err := ledger.Replay(d.Group, scratch{v, map[string][]byte{}}, changed); err == nil {
				t.Errorf("entry %d: byte %d of %d changed, and still taken", e.Entry.Position, at, len(changed))
			}
		})
		if _, err := ledger.Replay(d.Group, scratch{v, map[string][]byte{}}, e.Encoded); err != nil {
			t.Fatalf("entry %d unchanged: %v", e.Entry.Position, err)
		}
		if _, err := ledger.Replay(d.Group, v, e.Encoded); err != nil {
			t.Fatalf("entry %d: %v", e.Entry.Position, err)
		}
	}
	if changes < 10_000 {
		t.Errorf("%d changes: too few to say anything", changes)
	}
}
