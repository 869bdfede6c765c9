package ledger_test

import (
	"bytes"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// seeds are the bytes that the days of ledgertest are made of.
func seeds(f *testing.F) *ledgertest.Day {
	f.Helper()
	d := ledgertest.NewDay(f, 3, 12, nil)
	ledgertest.Full(d)
	f.Add([]byte{})
	return d
}

func FuzzStatement(f *testing.F) {
	for _, e := range seeds(f).Entries {
		if e.Batch != nil {
			for i := range e.Batch.Statements {
				f.Add(e.Batch.EncodedStatement(i))
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ledger.DecodeStatement(in)
		if err != nil {
			return
		}
		out, err := s.Encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%x encodes as %x, %v", in, out, err)
		}
		if len(ledger.Touches(s.Body)) > 2 {
			t.Fatalf("%x touches more than two rights", in)
		}
	})
}

func FuzzBatch(f *testing.F) {
	d := seeds(f)
	for _, e := range d.Entries {
		if e.Batch != nil {
			f.Add(e.Batch.Encode())
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ledger.DecodeBatch(in)
		if err != nil {
			return
		}
		if out := b.Encode(); !bytes.Equal(in, out) {
			t.Fatalf("%x encodes as %x", in, out)
		}
		if len(b.Statements) == 0 || len(b.Statements) > ledger.MaxStatements {
			t.Fatalf("%d statements", len(b.Statements))
		}
		// Placing takes what has the right form, whoever signed it, without a panic.
		v := ledger.NewMemoryView()
		ledger.Begin(d.Group, v)
		for range 2 {
			ans, out := ledger.Place(d.Group, v, b)
			checkAnswer(t, ans.Encode())
			for _, e := range out {
				checkEntry(t, e.Encoded)
			}
		}
		for i := range b.Statements {
			x, err := b.Extract(i).Encode()
			if err != nil {
				continue
			}
			if _, err := ledger.DecodeExtract(x); err != nil {
				t.Fatalf("extract %d: %v", i, err)
			}
		}
	})
}

func FuzzExtract(f *testing.F) {
	for _, e := range seeds(f).Entries {
		if e.Batch != nil {
			x, err := e.Batch.Extract(len(e.Batch.Statements) - 1).Encode()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(x)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		x, err := ledger.DecodeExtract(in)
		if err != nil {
			return
		}
		if out, err := x.Encode(); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%x encodes as %x, %v", in, out, err)
		}
	})
}

func checkEntry(t *testing.T, in []byte) {
	t.Helper()
	e, err := ledger.DecodeEntry(in)
	if err != nil {
		return
	}
	if out, err := e.Encode(); err != nil || !bytes.Equal(in, out) {
		t.Fatalf("%x encodes as %x, %v", in, out, err)
	}
}

func FuzzEntry(f *testing.F) {
	for _, e := range seeds(f).Entries {
		f.Add(e.Encoded)
	}
	f.Fuzz(checkEntry)
}

func checkAnswer(t *testing.T, in []byte) {
	t.Helper()
	a, err := ledger.DecodeAnswer(in)
	if err != nil {
		return
	}
	if out := a.Encode(); !bytes.Equal(in, out) {
		t.Fatalf("%x encodes as %x", in, out)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, a := range []ledger.Answer{
		{Status: ledger.Parked},
		{Status: ledger.Rejected, Reason: ledger.ParkingFull},
		{Status: ledger.Placed, Position: 9, Verdicts: []ledger.Verdict{{}, {Class: ledger.Forked, Against: 3}}},
		{Status: ledger.Contradicted, Position: 7},
	} {
		in := a.Encode()
		if _, err := ledger.DecodeAnswer(in); err != nil {
			f.Fatalf("%+v: %v", a, err)
		}
		f.Add(in)
	}
	f.Fuzz(checkAnswer)
}

func FuzzRoll(f *testing.F) {
	f.Add(seeds(f).Roll.Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ledger.DecodeRoll(in)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Encode(), in) {
			t.Fatal("another encoding")
		}
		for i := range r.Len() {
			w := r.At(i)
			if home, ok := r.Home(w.Elector); !ok || home != w.Home {
				t.Fatalf("row %d is not found", i)
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	d := seeds(f)
	d.Anchor()
	for _, a := range d.Anchors {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if c, err := ledger.ParseCheckpoint(string(in)); err == nil && c.Text() != string(in) {
			t.Fatalf("%q is written %q", in, c.Text())
		}
		_, sigs, err := ledger.OpenCheckpoint(in, ledger.LogKey(d.Group.Origin(0), d.Group.LogKey), d.Group.Cosigners())
		if err == nil && len(sigs) > ledger.MaxCosignatures {
			t.Fatalf("%d cosignatures", len(sigs))
		}
	})
}

func FuzzBundle(f *testing.F) {
	var bundle []byte
	for _, e := range seeds(f).Entries {
		bundle = ledger.AppendToBundle(bundle, e.Encoded)
	}
	f.Add(bundle)
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, n := range []int{1, 18} {
			entries, err := ledger.SplitBundle(in, n)
			if err != nil {
				continue
			}
			var out []byte
			for _, e := range entries {
				out = ledger.AppendToBundle(out, e)
			}
			if !bytes.Equal(in, out) {
				t.Fatalf("%x is joined as %x", in, out)
			}
		}
	})
}

func FuzzVKey(f *testing.F) {
	f.Add(ledgertest.NewDay(f, 2, 2, nil).Group.Witnesses[0].VKey())
	f.Fuzz(func(t *testing.T, in string) {
		k, err := ledger.ParseCosignerVKey(in)
		if err == nil && k.VKey() != in {
			t.Fatalf("%q is written %q", in, k.VKey())
		}
	})
}

// same checks that what is read is written alike.
func same(t *testing.T, in, out []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(in, out) {
		t.Fatalf("%x encodes as %x, %v", in, out, err)
	}
}

func FuzzSeed(f *testing.F) {
	d := seeds(f)
	raw, err := d.Seed(5).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ledger.DecodeSeed(in)
		if err != nil {
			return
		}
		out, err := s.Encode()
		same(t, in, out, err)
		if c, err := d.Group.CheckSeed(1, s); err == nil && c.Size != 5 {
			t.Fatalf("a seed of %d entries that nobody signed", c.Size)
		}
	})
}

func FuzzWord(f *testing.F) {
	d := seeds(f)
	key, m, b := ledgertest.Key(ledgertest.DeviceName(1, 0)), ledger.Member{Bureau: 1}, d.Entries[4].Batch
	f.Add(ledger.SignApplied(key, d.Group, m, ledger.ReadHead(d.View)).Encode())
	f.Add(ledger.SignAnswered(key, d.Group, m, 0, b, ledger.Reanswer(d.View, b)).Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		w, err := ledger.DecodeWord(in)
		if err != nil {
			return
		}
		same(t, in, w.Encode(), nil)
		if ledger.Disagree(w, w) {
			t.Fatal("a word that contradicts itself")
		}
	})
}

func FuzzHeads(f *testing.F) {
	d := seeds(f)
	raw, err := ledger.EncodeHeads([]ledger.SignedHeader{d.Entries[1].Batch.Signed(), d.Entries[2].Batch.Signed()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		if h, err := ledger.DecodeSignedHeader(in); err == nil {
			same(t, in, h.Encode(), nil)
		}
		hs, err := ledger.DecodeHeads(in)
		if err != nil {
			return
		}
		out, err := ledger.EncodeHeads(hs)
		same(t, in, out, err)
	})
}

func FuzzChainRequest(f *testing.F) {
	f.Add(ledger.ChainRequest{Author: seeds(f).Entries[1].Batch.Header.Author, To: 9}.Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		if q, err := ledger.DecodeChainRequest(in); err == nil {
			same(t, in, q.Encode(), nil)
		}
	})
}

func FuzzChainAnswer(f *testing.F) {
	d := seeds(f)
	q := ledger.ChainRequest{Author: d.Entries[1].Batch.Header.Author, To: 9}
	f.Add((&ledger.ChainAnswer{More: true, Batches: []*ledger.Batch{d.Entries[1].Batch, d.Entries[4].Batch}}).Encode())
	f.Add((&ledger.ChainAnswer{}).Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := ledger.DecodeChainAnswer(in)
		if err != nil {
			return
		}
		same(t, in, a.Encode(), nil)
		if a.Follows(q) == nil && len(a.Batches) > 0 && a.Batches[0].Header.Author != q.Author {
			t.Fatal("another author's chain")
		}
	})
}
