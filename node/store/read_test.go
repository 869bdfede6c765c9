package store

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// timed is a place with the time that it is found by.
type timed struct {
	at    ledger.Instant
	place Place
}

// lookups is what the look-ups have to say, read from the entries one after the other.
type lookups struct {
	tokens  map[ledger.ElectorToken][]Place
	bureaux map[ledger.BureauNumber][]uint64
	times   []timed
}

func (s *script) lookups(t *testing.T) *lookups {
	t.Helper()
	out := &lookups{tokens: map[ledger.ElectorToken][]Place{}, bureaux: map[ledger.BureauNumber][]uint64{}}
	for pos, p := range s.placed {
		if p.Batch == nil {
			continue
		}
		b := p.Batch.Header.Author.Bureau
		out.bureaux[b] = append(out.bureaux[b], uint64(pos))
		for i, st := range p.Batch.Statements {
			at := Place{uint64(pos), i}
			out.times = append(out.times, timed{st.Time, at})
			for _, e := range named(t, st.Body) {
				out.tokens[e] = append(out.tokens[e], at)
			}
		}
	}
	slices.SortStableFunc(out.times, func(a, b timed) int { return cmp.Compare(a.at, b.at) })
	return out
}

// named are the electors of the bodies that a script has.
func named(t *testing.T, body ledger.Body) []ledger.ElectorToken {
	t.Helper()
	switch b := body.(type) {
	case *ledger.Admission:
		return []ledger.ElectorToken{b.Elector}
	case *ledger.ProxyAdmission:
		return []ledger.ElectorToken{b.Holder, b.Principal}
	case *ledger.Release:
		return []ledger.ElectorToken{b.Right.Elector}
	case *ledger.AttemptRefused:
		return []ledger.ElectorToken{b.Elector}
	case *ledger.SessionOpened, *ledger.Incident:
		return nil
	default:
		t.Fatalf("the script has a body of kind %T", body)
		return nil
	}
}

// wants compares the look-ups of a store.
func (l *lookups) wants(t *testing.T, s *Store) {
	t.Helper()
	for i := range scriptElectors + 1 {
		var got []Place
		err := s.ByToken(ledgertest.Elector(i), func(p Place) bool { got = append(got, p); return true })
		if want := l.tokens[ledgertest.Elector(i)]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("elector %d: %v, %v, want %v", i, got, err, want)
		}
	}
	for n := range ledger.BureauNumber(scriptBureaux + 2) {
		var got []uint64
		err := s.ByBureau(n, func(pos uint64) bool { got = append(got, pos); return true })
		if want := l.bureaux[n]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("bureau %d: %v, %v, want %v", n, got, err, want)
		}
	}
	for _, from := range []ledger.Instant{0, l.times[0].at, l.times[0].at + 1, l.times[len(l.times)/2].at, l.times[len(l.times)-1].at, l.times[len(l.times)-1].at + 1, math.MaxInt64} {
		var got []timed
		err := s.ByTime(from, func(at ledger.Instant, p Place) bool { got = append(got, timed{at, p}); return true })
		at, _ := slices.BinarySearchFunc(l.times, from, func(x timed, f ledger.Instant) int { return cmp.Compare(x.at, f) })
		if want := l.times[at:]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("from %d: %v, %v, want %v", from, got, err, want)
		}
	}
}

func TestLookUpsAgreeWithAPlainReplay(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			sc := newScript(t, 60+seed, 250)
			want := sc.lookups(t)
			fs := vfs.NewMem()
			tables(t, sc, fs, sc.log)
			applied := sc.open(t, Options{FS: fs})
			want.wants(t, applied)
			restored := sc.open(t, Options{})
			if err := restored.Restore(bytes.NewReader(snapshotOf(t, applied))); err != nil {
				t.Fatal(err)
			}
			want.wants(t, restored)
		})
	}
}

func TestLookUpEndsWhenItIsToldTo(t *testing.T) {
	sc := newScript(t, 62, 100)
	s := sc.open(t, Options{})
	apply(s, sc.log, all, nil)
	calls := 0
	once := func() bool { calls++; return false }
	for _, look := range []func() error{
		func() error { return s.ByToken(sc.lookups(t).most(), func(Place) bool { return once() }) },
		func() error { return s.ByBureau(1, func(uint64) bool { return once() }) },
		func() error { return s.ByTime(0, func(ledger.Instant, Place) bool { return once() }) },
	} {
		calls = 0
		if err := look(); err != nil || calls != 1 {
			t.Fatalf("%d calls, %v", calls, err)
		}
	}
}

// most is the elector who is named most often.
func (l *lookups) most() (out ledger.ElectorToken) {
	for e, ps := range l.tokens {
		if len(ps) > len(l.tokens[out]) {
			out = e
		}
	}
	return out
}

func TestRecordsAnswersAndAdmissionsAreThoseOfTheRules(t *testing.T) {
	sc := newScript(t, 63, 200)
	s := sc.open(t, Options{})
	apply(s, sc.log, all, nil)
	admitted := 0
	for i := range scriptElectors {
		for _, kind := range []ledger.RightKind{ledger.Admit, ledger.Carry} {
			x := ledger.Right{Elector: ledgertest.Elector(i), Kind: kind}
			got, want := s.Admissions(x), ledger.Admissions(sc.view, x)
			if !slices.Equal(got, want) {
				t.Fatalf("admissions of %d: %v, want %v", i, got, want)
			}
			admitted += len(got)
			for n := ledger.BureauNumber(1); n <= scriptBureaux; n++ {
				got, err := s.Record(n, x)
				if want := sc.Group.ReadRecord(sc.view, n, x); err != nil || got != want {
					t.Fatalf("record of %d at %d: %v, %v, want %v", i, n, got, err, want)
				}
			}
		}
	}
	if admitted == 0 {
		t.Fatal("nobody is admitted")
	}
	placed := 0
	for i, c := range sc.log {
		b, err := ledger.DecodeBatch(c.bytes)
		if err != nil {
			continue
		}
		want := ledger.Reanswer(sc.view, b)
		got, ok := s.Answer(b)
		if !bytes.Equal(got.Encode(), want.Encode()) || ok != (want.Status == ledger.Placed) {
			t.Fatalf("command %d: %+v, want %+v", i, got, want)
		}
		if ok {
			placed++
		}
	}
	if placed == 0 {
		t.Fatal("no batch has a place")
	}
}

func TestSizesAndPositionsBeyondTheLedgerAreRefused(t *testing.T) {
	sc := newScript(t, 64, 40)
	s := sc.open(t, Options{})
	apply(s, sc.log, all, nil)
	n := s.Size()
	if e, err := s.Entry(n); err == nil {
		t.Errorf("entry %d: %x", n, e)
	}
	if r, err := s.Root(n + 1); err == nil {
		t.Errorf("root of %d: %v", n+1, r)
	}
	for _, c := range [][2]uint64{{n, n + 1}, {n + 1, n}, {n, n - 1}, {1, 1 << 63}} {
		if p, err := s.Prove(c[0], c[1]); err == nil {
			t.Errorf("proof from %d to %d: %v", c[0], c[1], p)
		}
	}
	if _, err := (hashes{s, 0}).ReadHashes([]int64{0, math.MaxInt64}); err == nil {
		t.Error("a hash that is not there")
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
}
