package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
)

func TestAnySplitOfTheLogGivesTheSameBytes(t *testing.T) {
	for seed := range uint64(3) {
		sc := newScript(t, seed, 300)
		var want map[string]string
		rng := rand.New(rand.NewPCG(seed, 2))
		for name, size := range map[string]func() int{"one by one": each, "in random calls": upTo(rng, 20), "as long as they are consecutive": all} {
			t.Run(fmt.Sprintf("seed %d %s", seed, name), func(t *testing.T) {
				s := sc.open(t, Options{})
				at := 0
				apply(s, sc.log, size, func(first uint64, replies [][]byte) {
					for _, r := range replies {
						if string(r) != string(sc.replies[at]) {
							t.Fatalf("reply %d at index %d: %x, want %x", at, first, r, sc.replies[at])
						}
						at++
					}
				})
				sc.agrees(t, s)
				got := pairs(t, s)
				if want == nil {
					want = got
				}
				same(t, got, want)
			})
		}
	}
}

func TestScriptHasEveryKindOfAnswer(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(3) {
		sc := newScript(t, seed, 300)
		for _, r := range sc.replies {
			a, err := ledger.DecodeAnswer(r)
			if err != nil {
				t.Fatal(err)
			}
			seen[fmt.Sprint(a.Status, a.Reason)]++
			for _, v := range a.Verdicts {
				seen[v.Class.String()]++
			}
		}
	}
	for _, want := range []string{
		fmt.Sprint(ledger.Placed, 0), fmt.Sprint(ledger.Parked, 0), fmt.Sprint(ledger.Contradicted, 0),
		fmt.Sprint(ledger.Rejected, ledger.Malformed), fmt.Sprint(ledger.Rejected, ledger.NotSigned),
		ledger.Accepted.String(), ledger.AlreadyAdmittedClass.String(), ledger.Forked.String(),
	} {
		if seen[want] == 0 {
			t.Errorf("no answer %s in %v", want, seen)
		}
	}
}

func TestReplayOfWhatIsAppliedHasNoEffectAndNoReply(t *testing.T) {
	sc := newScript(t, 7, 200)
	var told []uint64
	s := sc.open(t, Options{OnPlaced: func(es []ledger.PlacedEntry) {
		for _, e := range es {
			told = append(told, e.Entry.Position)
		}
	}})
	rng := rand.New(rand.NewPCG(7, 2))
	applied := uint64(0)
	for applied < sc.last() {
		// Back by up to 30, forth by up to 40: as after a restart, at any place.
		back := applied - min(applied, rng.Uint64N(30))
		log := sc.from(back + 1)
		log = log[:min(len(log), 1+rng.IntN(40))]
		apply(s, log, upTo(rng, 12), func(first uint64, replies [][]byte) {
			for i, r := range replies {
				if fresh := first+uint64(i) > applied; (r != nil) != fresh {
					t.Fatalf("index %d of %d applied: reply %x", first+uint64(i), applied, r)
				}
			}
			if now := s.Applied(); now < applied {
				t.Fatalf("applied went from %d back to %d", applied, now)
			}
			applied = s.Applied()
		})
	}
	sc.agrees(t, s)
	for i, pos := range told {
		if pos != uint64(i)+1 {
			t.Fatalf("entry %d told at place %d", pos, i)
		}
	}
	if len(told) != len(sc.placed)-1 {
		t.Fatalf("%d entries told of %d", len(told), len(sc.placed)-1)
	}
}

func TestOnPlacedMayReadWhatItIsToldOf(t *testing.T) {
	sc := newScript(t, 8, 60)
	var s *Store
	told := 0
	s = sc.open(t, Options{OnPlaced: func(es []ledger.PlacedEntry) {
		for _, e := range es {
			raw, err := s.Entry(e.Entry.Position)
			if err != nil || string(raw) != string(e.Encoded) {
				t.Errorf("entry %d: %x, %v", e.Entry.Position, raw, err)
			}
			told++
		}
	}})
	apply(s, sc.log, all, nil)
	if told != len(sc.placed)-1 {
		t.Fatalf("%d told", told)
	}
}

func TestReopenedLedgerGoesOn(t *testing.T) {
	sc := newScript(t, 9, 150)
	fs := vfs.NewMem()
	for at := 0; at < len(sc.log); at += 40 {
		s, err := Open("ledger", sc.Group, Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if at > 0 && s.Applied() != sc.log[at-1].index {
			t.Fatalf("applied to %d after closing, want %d", s.Applied(), sc.log[at-1].index)
		}
		apply(s, sc.log[at:min(at+40, len(sc.log))], all, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sc.agrees(t, sc.open(t, Options{FS: fs}))
}

func TestWaitReturnsWhenTheLedgerHasGrown(t *testing.T) {
	sc := newScript(t, 10, 50)
	s := sc.open(t, Options{})
	done := make(chan error, 1)
	go func() { done <- s.Wait(t.Context(), uint64(len(sc.placed))) }()
	apply(s, sc.log, each, nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, s.Size()+1); !errors.Is(err, context.Canceled) {
		t.Fatalf("wait with an ended context: %v", err)
	}
	go func() { done <- s.Wait(t.Context(), s.Size()+1) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatalf("wait on a closed ledger: %v", err)
	}
}

func TestClosedLedgerAnswersAndAppliesNothing(t *testing.T) {
	sc := newScript(t, 11, 20)
	s := sc.open(t, Options{})
	apply(s, sc.log[:10], all, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	at := s.Applied()
	apply(s, sc.log[10:], all, func(_ uint64, replies [][]byte) {
		for _, r := range replies {
			if r != nil {
				t.Fatalf("reply %x", r)
			}
		}
	})
	if s.Applied() != at || s.Err() != nil {
		t.Fatalf("applied %d, %v", s.Applied(), s.Err())
	}
	if _, err := s.Entry(0); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("entry: %v", err)
	}
	if err := s.Snapshot(nil); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("snapshot: %v", err)
	}
	if as := s.Admissions(ledger.Right{}); as != nil {
		t.Fatal("a closed ledger knows something")
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close again: %v", err)
	}
}
