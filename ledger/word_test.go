package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

func device(n ledger.BureauNumber) ed25519.PrivateKey {
	return ledgertest.Key(ledgertest.DeviceName(n, 0))
}

// spoken is a day of two bureaux with one placed batch of two admissions.
func spoken(t *testing.T) (*ledgertest.Day, *ledger.Batch, ledger.Answer) {
	t.Helper()
	d := ledgertest.NewDay(t, 2, 200, nil)
	b := d.Started(1).Sign(ledgertest.Admission(0), ledgertest.Admission(2))
	return d, b, d.Place(b)
}

func TestWordsOfOneMemberThatDisagreeAreProof(t *testing.T) {
	d, b, ans := spoken(t)
	at := func(size uint64, head byte, epoch uint8) *ledger.Word {
		return ledger.SignApplied(device(2), d.Group, ledger.Member{Bureau: 2}, ledger.ChainHead{Size: size, Last: ledger.Hash{head}, Epoch: epoch})
	}
	said := func(b *ledger.Batch, change func(*ledger.Answer)) *ledger.Word {
		a := ans
		a.Verdicts = append([]ledger.Verdict(nil), ans.Verdicts...)
		if change != nil {
			change(&a)
		}
		return ledger.SignAnswered(device(2), d.Group, ledger.Member{Bureau: 2}, 0, b, a)
	}
	c := d.Session(1, 1)
	c.Sign(media)
	twin := c.Sign(&ledger.Incident{Code: 1}, &ledger.Incident{Code: 2}, &ledger.Incident{Code: 3})
	later := c.Sign(&ledger.Incident{Code: 4})
	for what, pair := range map[string]struct {
		a, b *ledger.Word
		want bool
	}{
		"one size, two heads":          {at(4, 1, 0), at(4, 2, 0), true},
		"the same twice":               {at(4, 1, 0), at(4, 1, 0), false},
		"two sizes":                    {at(4, 1, 0), at(5, 2, 0), false},
		"two epochs":                   {at(4, 1, 0), at(4, 2, 1), false},
		"the same answer":              {said(b, nil), said(b, nil), false},
		"another place":                {said(b, nil), said(b, func(a *ledger.Answer) { a.Position++ }), true},
		"another verdict":              {said(b, nil), said(b, func(a *ledger.Answer) { a.Verdicts[1].Validity = ledger.NotHeld }), true},
		"placed and evidence":          {said(b, nil), said(b, func(a *ledger.Answer) { a.Status, a.Verdicts = ledger.Contradicted, nil }), true},
		"parked, then placed":          {said(b, func(a *ledger.Answer) { *a = ledger.Answer{Status: ledger.Parked} }), said(b, nil), false},
		"two batches at one entry":     {said(b, nil), said(later, func(a *ledger.Answer) { a.Verdicts = a.Verdicts[:1] }), true},
		"two batches at one statement": {said(b, nil), said(twin, func(a *ledger.Answer) { a.Position++ }), true},
		"two batches":                  {said(b, nil), said(later, func(a *ledger.Answer) { a.Position++; a.Verdicts = a.Verdicts[:1] }), false},
		"applied and answered":         {at(4, 1, 0), said(b, nil), false},
	} {
		if ledger.Disagree(pair.a, pair.b) != pair.want || ledger.Disagree(pair.b, pair.a) != pair.want {
			t.Errorf("%s: disagree %v", what, !pair.want)
		}
		e, ok := d.Group.Contradiction(pair.a, pair.b)
		if ok != pair.want {
			t.Errorf("%s: proof %v", what, ok)
		}
		if !ok {
			e = &ledger.Equivocation{First: pair.a.Encode(), Second: pair.b.Encode()}
		}
		wanted := map[bool]ledger.Validity{true: ledger.Valid, false: ledger.BadEmbedding}[pair.want]
		v := ledger.NewMemoryView()
		ledger.Begin(d.Group, v)
		if got, _ := ledger.Place(d.Group, v, d.Session(1, 7).Sign(media, e)); got.Verdicts[1].Validity != wanted {
			t.Errorf("%s: the statement is %v", what, got.Verdicts[1])
		}
	}
}

func TestTwoMembersThatDisagreeProveNothingOfEither(t *testing.T) {
	d, _, _ := spoken(t)
	h := ledger.ReadHead(d.View)
	a := ledger.SignApplied(device(1), d.Group, ledger.Member{Bureau: 1}, h)
	h.Last[0] ^= 1
	b := ledger.SignApplied(device(2), d.Group, ledger.Member{Bureau: 2}, h)
	if !ledger.Disagree(a, b) {
		t.Error("they agree")
	}
	if _, ok := d.Group.Contradiction(a, b); ok {
		t.Error("proof against one of two")
	}
	forged := ledger.SignApplied(device(2), d.Group, ledger.Member{Bureau: 1}, h)
	if _, ok := d.Group.Contradiction(a, forged); ok {
		t.Error("proof by another's signature")
	}
}

func TestLargestAnswerFitsAWordAndTwoFitAStatement(t *testing.T) {
	d, b, _ := spoken(t)
	ans := ledger.Answer{Status: ledger.Placed, Position: 1 << 60, Verdicts: make([]ledger.Verdict, ledger.MaxStatements)}
	for i := range ans.Verdicts {
		ans.Verdicts[i] = ledger.Verdict{Validity: ledger.NotHeld, Class: ledger.Forked, Against: 1 << 60}
	}
	w := ledger.SignAnswered(device(1), d.Group, ledger.Member{Bureau: 1}, 0, b, ans).Encode()
	if len(w) > ledger.MaxWord {
		t.Errorf("%d bytes", len(w))
	}
	full := make([]byte, ledger.MaxWord)
	if _, err := ledger.NewStatement(0, &ledger.Equivocation{First: full, Second: full}).Encode(); err != nil {
		t.Error(err)
	}
}

func TestAnyChangedByteOfAWordOrHeaderIsRefused(t *testing.T) {
	d, b, ans := spoken(t)
	h := b.Signed()
	for what, one := range map[string]struct {
		in   []byte
		read func([]byte) error
	}{
		"word": {ledger.SignAnswered(device(1), d.Group, ledger.Member{Bureau: 1}, 0, b, ans).Encode(), func(in []byte) error {
			w, err := ledger.DecodeWord(in)
			if err != nil {
				return err
			}
			return w.Verify(d.Group)
		}},
		"header": {h.Encode(), func(in []byte) error {
			h, err := ledger.DecodeSignedHeader(in)
			if err != nil {
				return err
			}
			return h.Verify(d.Group)
		}},
	} {
		if err := one.read(one.in); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i := range one.in {
			for bit := range 8 {
				bad := bytes.Clone(one.in)
				bad[i] ^= 1 << bit
				if one.read(bad) == nil {
					t.Errorf("%s: bit %d of byte %d", what, bit, i)
				}
			}
		}
	}
}

func TestHeadersShowForks(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 20, nil)
	c := d.Session(1, 1)
	opening := c.Sign(media)
	twin, lost := *c, *c
	a := c.Sign(ledgertest.Admission(0))
	after := c.Sign(ledgertest.Admission(2))
	b := twin.Sign(ledgertest.Admission(4), ledgertest.Admission(6))
	lost.At = ledger.Point{Next: 2, Previous: ledger.Hash{7}}
	other := lost.Sign(ledgertest.Admission(8))
	root := d.Session(1, 2).Sign(media)
	head := ledger.Head{Session: c.Author.Session, Next: 1, Hash: opening.Header.Identity()}
	from := func(session byte) *ledger.Batch {
		s := d.Session(1, session)
		s.At.Previous = head.Hash
		return s.Sign(&ledger.SessionOpened{Continues: &head, Generation: 1, Media: 3})
	}
	neighbour := d.Session(2, 1).Sign(media)
	for what, pair := range map[string]struct {
		a, b *ledger.Batch
		want bool
	}{
		"the same":                      {a, a, false},
		"one after the other":           {a, after, false},
		"far apart":                     {opening, after, false},
		"overlapping":                   {b, after, true},
		"one sequence number":           {a, b, true},
		"going on from another":         {a, other, true},
		"two first sessions":            {opening, root, true},
		"two from one head":             {from(3), from(4), true},
		"a session and what it goes on": {from(3), opening, false},
		"an orphan may be":              {from(3), a, false},
		"two bureaux":                   {opening, neighbour, false},
	} {
		x, y := pair.a.Signed(), pair.b.Signed()
		if _, ok := d.Group.Fork(&x, &y); ok != pair.want {
			t.Errorf("%s: %v", what, ok)
		}
		if _, ok := d.Group.Fork(&y, &x); ok != pair.want {
			t.Errorf("%s, the other way: %v", what, ok)
		}
		x.Signature[0] ^= 1
		if _, ok := d.Group.Fork(&x, &y); ok {
			t.Errorf("%s: without a signature", what)
		}
	}
}

func TestChainsAreCutToTheirLimitsAndFollow(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 20, nil)
	c := d.Session(1, 1)
	all := []*ledger.Batch{c.Sign(media)}
	sealed := bytes.Repeat([]byte{7}, ledger.MaxSealed)
	for range 40 {
		var bodies []ledger.Body
		for range 20 {
			bodies = append(bodies, &ledger.Message{Sealed: sealed})
		}
		all = append(all, c.Sign(bodies...))
	}
	q := ledger.ChainRequest{Author: c.Author, From: 0, To: c.At.Next}
	raw := (&ledger.ChainAnswer{Batches: all}).Encode()
	if len(raw) > ledger.MaxChain {
		t.Fatalf("%d bytes", len(raw))
	}
	first, err := ledger.DecodeChainAnswer(raw)
	if err != nil || !first.More || len(first.Batches) == len(all) || first.Follows(q) != nil {
		t.Fatalf("%v, more %v, %d batches, %v", err, first.More, len(first.Batches), first.Follows(q))
	}
	n := len(first.Batches)
	q.From = all[n].Header.First + 3 // within a batch
	rest, err := ledger.DecodeChainAnswer((&ledger.ChainAnswer{Batches: all[n:]}).Encode())
	if err != nil || rest.More || rest.Follows(q) != nil {
		t.Fatalf("%v, %v", err, rest.Follows(q))
	}
	stray := *c
	stray.At = ledger.Point{Next: all[n].Header.Next(), Previous: ledger.Hash{9}}
	for what, bad := range map[string]*ledger.ChainAnswer{
		"not from there":        {Batches: all[n+1:]},
		"a batch too early":     {Batches: all[n-1:]},
		"with a hole":           {Batches: []*ledger.Batch{all[n], all[n+2]}},
		"not on the one before": {Batches: []*ledger.Batch{all[n], stray.Sign(&ledger.Incident{Code: 1})}},
		"of another":            {Batches: []*ledger.Batch{d.Session(2, 1).Sign(media)}},
		"more than asked":       {More: true, Batches: all[n:]},
	} {
		if bad.Follows(q) == nil {
			t.Errorf("%s: it follows", what)
		}
	}
	q.To = all[n].Header.Next()
	if (&ledger.ChainAnswer{Batches: all[n : n+2]}).Follows(q) == nil {
		t.Error("beyond what was asked")
	}
	if (&ledger.ChainAnswer{}).Follows(q) != nil {
		t.Error("a peer that has nothing of it is refused")
	}
	if _, err := ledger.EncodeHeads(make([]ledger.SignedHeader, ledger.MaxHeads+1)); err == nil {
		t.Error("too many heads")
	}
}

func TestSeedsAreBounded(t *testing.T) {
	s := &ledger.Seed{Checkpoint: bytes.Repeat([]byte{7}, ledger.MaxSeedNote), Signers: [2]uint16{1, 2}}
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e := &ledger.Entry{Kind: ledger.GenesisEntry, Genesis: &ledger.Genesis{Epoch: 1, Seed: raw}}
	encoded, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.DecodeEntry(encoded); err != nil {
		t.Error(err)
	}
	s.Checkpoint = append(s.Checkpoint, 7)
	if _, err := s.Encode(); err == nil {
		t.Error("a seed too long")
	}
	if _, err := (&ledger.Group{}).CheckSeed(10, s); err == nil || errors.Is(err, ledger.ErrSignature) {
		t.Error(err)
	}
}
