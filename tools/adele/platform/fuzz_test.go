package platform

import (
	"bytes"
	"testing"
	"time"

	"pointage/ledger"
)

func FuzzLogEntry(f *testing.F) {
	e := LogEntry{Position: 7, At: time.Unix(1_728_799_200, 0).UTC(), Actor: "code 7kq2m9xa", Role: College, Act: string(ElectorFind), Commune: josse, Outcome: outcomeDone, Subjects: []string{"ab"}, Count: 1}
	raw, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := DecodeLogEntry(in)
		if err != nil {
			return
		}
		if out, err := e.Encode(); err != nil || !bytes.Equal(in, out) {
			t.Errorf("%q became %q, %v", in, out, err)
		}
	})
}

func FuzzUpload(f *testing.F) {
	f.Add(bundle([]byte("one"), []byte{}, bytes.Repeat([]byte{7}, 300)))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, in []byte) {
		entries, err := splitUpload(in)
		if err == nil && !bytes.Equal(bundle(entries...), in) {
			t.Errorf("%x is not its entries", in)
		}
	})
}

func FuzzList(f *testing.F) {
	d := newTestDay(f, josse, 3)
	l := &communeLedger{ins: josse, method: ledger.Complement, names: [2]string{communeName(josse), communeName(josse)}, group: &ledger.Group{Bureaux: map[ledger.BureauNumber]*ledger.BureauKeys{1: {}, 2: {}, 3: {}}}}
	f.Add(d.list)
	f.Add([]byte("\ufeffnational_number\n\"\n"))
	f.Add([]byte{0xff, 0xfe, 'a', 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		all, out := l.parseList(in)
		if (out == nil) != (len(all) > 0) {
			t.Errorf("%d electors and %+v", len(all), out)
		}
		for _, e := range all {
			if e.number().IsZero() || !e.convocation(l.method).IsOf(josse) || e.Bureau < 1 || e.Bureau > 3 {
				t.Errorf("%+v", e)
			}
		}
	})
}

func FuzzCode(f *testing.F) {
	f.Add("7kq2m9xa-3fh8w-abcde-fghjk-mnpqr")
	f.Fuzz(func(t *testing.T, in string) {
		if id, secret, ok := splitCode(in); ok && (len(id) != 8 || len(secret) != codeSecretChars) {
			t.Errorf("%q is %q and %q", in, id, secret)
		}
	})
}
