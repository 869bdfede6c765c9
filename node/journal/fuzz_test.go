package journal

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"pointage/ledger/ledgertest"
)

// plains are records of each kind.
func plains(tb testing.TB) (all [][]byte) {
	tb.Helper()
	h := newHand(tb, 90)
	head := h.session(nil, 1, 1, all3, all3)
	h.batch(head, 1, ledgertest.Admission(1), all3...)
	n := note{round: 1, serial: 2, key: "key", value: []byte("value")}
	h.put(n.encode(), 0)
	h.put((&note{round: 1, serial: 3, key: "k"}).encode(), 0)
	b, err := readSmall(h.d, "/0/"+recordsFile, maxFile)
	if err != nil {
		tb.Fatal(err)
	}
	head0, problem := h.o.readHeader(0)
	if problem != nil {
		tb.Fatal(problem)
	}
	s := newSealer(h.o.JournalKey, head0.set)
	for len(b) > 0 {
		_, plain, size, ok := s.openFrame(b)
		if !ok {
			tb.Fatal("a record does not open")
		}
		all, b = append(all, plain), b[size:]
	}
	return all
}

func (r *record) encode() []byte {
	switch r.kind {
	case batchRecord, inheritedRecord:
		return r.batch.encode(r.kind)
	case noteRecord:
		return r.note.encode()
	}
	return r.round.encode()
}

func FuzzRecord(f *testing.F) {
	for _, p := range plains(f) {
		f.Add(p)
		if p[0] == byte(batchRecord) {
			f.Add(append([]byte{byte(inheritedRecord)}, p[1:]...))
		}
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		r, err := decodeRecord(plain)
		if err == nil && !bytes.Equal(r.encode(), plain) {
			t.Errorf("%x was read as %x", plain, r.encode())
		}
	})
}

func FuzzHeader(f *testing.F) {
	o := bareOptions(ledgertest.NewDay(f, 3, 12, nil).Group, 91)
	own := header{set: [16]byte{1}, member: 2, generation: 3, hardware: [members]string{"a", "b", ""}, binding: o.binding()}
	other := own
	other.binding.bureau++
	for _, h := range []header{own, other} {
		in := h.encode(o.JournalKey)
		f.Add(in[:len(in)-2*sha256.Size])
	}
	f.Fuzz(func(t *testing.T, signed []byte) {
		sum := sha256.Sum256(signed)
		full := append(append(append([]byte(nil), signed...), sum[:]...), headerTag(o.JournalKey, signed)...)
		h, problem := decodeHeader(full, o.JournalKey, o.binding())
		if (h == nil) == (problem == nil) {
			t.Fatalf("header %v, problem %v", h, problem)
		}
		if h != nil && !bytes.Equal(h.encode(o.JournalKey), full) {
			t.Errorf("%x was read as %+v", signed, h)
		}
		if len(full) > 0 { // no bit counts for nothing
			full[int(sum[0])%len(full)] ^= 1 << (sum[1] % 8)
			if h, _ := decodeHeader(full, o.JournalKey, o.binding()); h != nil {
				t.Errorf("%x with a bit flipped was read as %+v", signed, h)
			}
		}
	})
}

// FuzzRecordsFile opens a set one of whose files of records holds anything at all, in part
// what belongs there: nothing is lost nor invented, and the file is whole afterwards.
func FuzzRecordsFile(f *testing.F) {
	_, o := onDisks(f, 92)
	j, err := Open(o)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		appended1(f, j, count(i))
	}
	closed(f, j)
	base := o.files.(*disks)
	good, err := readSmall(base, "/1/"+recordsFile, maxFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, uint16(0))
	f.Add([]byte{}, uint16(len(good)))
	f.Add([]byte(frameMagic), uint16(100))
	f.Add(bytes.Repeat([]byte(frameMagic), 50), uint16(300))
	f.Add(append(make([]byte, 70), good...), uint16(400))
	f.Add(good[:len(good)/2], uint16(len(good)))
	f.Add(good, uint16(len(good)))
	f.Fuzz(func(t *testing.T, bad []byte, keep uint16) {
		d, _ := base.cut(base.at(), [drives]outcome{whole, whole, whole})
		w, err := d.Open("/1/"+recordsFile, toWrite)
		if err != nil {
			t.Fatal(err)
		}
		content := append(append([]byte(nil), good[:min(int(keep), len(good))]...), bad...)
		if err := w.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		j, err := Open(d.on(o, 0, 1, 2))
		if err != nil {
			t.Fatal(err)
		}
		if got := counts(t, j); len(got) != 3 || got[0] != 0 || got[1] != 1 || got[2] != 2 {
			t.Errorf("the chain has %v", got)
		}
		wellChained(t, j, o.Group)
		closed(t, j)
		j, err = Open(d.on(o, 1, 2)) // it has been levelled: it stands for the one that is away
		if err != nil {
			t.Fatal(err)
		}
		if got := counts(t, j); len(got) != 3 {
			t.Errorf("then the chain has %v", got)
		}
		noneOf(t, j, Levelled, TornTail, Orphaned)
		closed(t, j)
	})
}

// A record opens under its own key, set, number and length, and with every bit as it was.
func FuzzFrame(f *testing.F) {
	for _, p := range plains(f) {
		f.Add(p, uint64(3), uint16(5))
	}
	s := newSealer([32]byte{1}, [16]byte{2})
	f.Fuzz(func(t *testing.T, plain []byte, number uint64, bit uint16) {
		if len(plain) == 0 || len(plain) > maxPlain || number >= maxNumber {
			return
		}
		frame := s.appendFrame(nil, number, nonce{byte(bit)}, plain)
		n, got, size, ok := s.openFrame(append(frame, 1, 2, 3))
		if !ok || n != number || size != len(frame) || size != frameLen(plain) || !bytes.Equal(got, plain) {
			t.Fatalf("%d %x %d %v", n, got, size, ok)
		}
		if _, _, _, ok := newSealer([32]byte{1}, [16]byte{3}).openFrame(frame); ok {
			t.Error("it opens in another set")
		}
		if _, _, _, ok := newSealer([32]byte{2}, [16]byte{2}).openFrame(frame); ok {
			t.Error("it opens under another key")
		}
		at := int(bit) % (8 * len(frame))
		frame[at/8] ^= 1 << (at % 8)
		if _, _, _, ok := s.openFrame(frame); ok {
			t.Errorf("it opens with bit %d flipped", at)
		}
	})
}
