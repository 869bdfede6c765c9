package journal

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// bureau is the number of every test's bureau.
const bureau ledger.BureauNumber = 2

// options are for media in three directories of a temporary one.
func options(tb testing.TB, seed byte) Options {
	tb.Helper()
	o := bareOptions(ledgertest.NewDay(tb, 3, 12, nil).Group, seed)
	for i := range o.Media {
		o.Media[i].Path = filepath.Join(tb.TempDir(), "medium")
		if err := os.Mkdir(o.Media[i].Path, 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	return o
}

func bareOptions(g *ledger.Group, seed byte) Options {
	return Options{
		Group: g, Bureau: bureau, Key: ledgertest.Key(ledgertest.DeviceName(bureau, 0)),
		JournalKey: [32]byte{1, 2, 3}, Random: rand.NewChaCha8([32]byte{seed}),
		Now: func() ledger.Instant { return ledgertest.Opens + 61_234 },
	}
}

// only leaves the given places attached.
func only(o Options, places ...int) Options {
	media := o.Media
	o.Media = [members]Medium{}
	for _, p := range places {
		o.Media[p] = media[p]
	}
	return o
}

func create(tb testing.TB, o Options) {
	tb.Helper()
	if err := Create(o); err != nil {
		tb.Fatal(err)
	}
}

func reopen(tb testing.TB, o Options) *Journal {
	tb.Helper()
	j, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { j.Close() })
	return j
}

func closed(tb testing.TB, j *Journal) {
	tb.Helper()
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
}

func appended1(tb testing.TB, j *Journal, bodies ...ledger.Body) Durable {
	tb.Helper()
	d, err := j.Append(context.Background(), bodies...)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// count is a small statement that tells itself apart.
func count(n int) ledger.Body { return &ledger.Count{CheckedIn: uint32(n)} }

// counts lists the counts that a replay gives.
func counts(tb testing.TB, j *Journal) (out []int) {
	tb.Helper()
	err := j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		out = append(out, countsOf(b)...)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func countsOf(b *ledger.Batch) (out []int) {
	for _, s := range b.Statements {
		if c, ok := s.Body.(*ledger.Count); ok {
			out = append(out, int(c.CheckedIn))
		}
	}
	return out
}

// wellChained fails unless the replay is one chain from the first session to the present one
// that the group would place without a fork.
func wellChained(tb testing.TB, j *Journal, g *ledger.Group) {
	tb.Helper()
	v := ledger.NewMemoryView()
	ledger.Begin(g, v)
	var last *ledger.Batch
	err := j.Replay(func(b *ledger.Batch, exact []ledger.Instant) error {
		if len(exact) != len(b.Statements) {
			tb.Fatalf("%d exact times for %d statements", len(exact), len(b.Statements))
		}
		if err := b.Verify(g); err != nil {
			return err
		}
		ans, _ := ledger.Place(g, v, b)
		if ans.Status != ledger.Placed {
			tb.Fatalf("batch %d of %v is not placed: %+v", b.Header.First, b.Header.Author, ans)
		}
		for i, verdict := range ans.Verdicts {
			if !verdict.Clean() {
				tb.Fatalf("statement %d of %v: %+v", b.Header.First+uint64(i), b.Header.Author, verdict)
			}
		}
		last = b
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if p := (ledger.Point{Next: last.Header.Next(), Previous: last.Header.Identity()}); last.Header.Author != j.Author() || p != j.Point() {
		tb.Fatalf("the chain ends at %v %v, the journal at %v %v", last.Header.Author, p, j.Author(), j.Point())
	}
}

func noneOf(tb testing.TB, j *Journal, kinds ...FindingKind) {
	tb.Helper()
	for _, f := range j.Findings() {
		for _, k := range kinds {
			if f.Kind == k {
				tb.Errorf("finding: %v: %s", f.Kind, f.What)
			}
		}
	}
}

func finding(tb testing.TB, j *Journal, kind FindingKind) Finding {
	tb.Helper()
	for _, f := range j.Findings() {
		if f.Kind == kind {
			return f
		}
	}
	tb.Fatalf("no finding %v among %+v", kind, j.Findings())
	return Finding{}
}

func TestSessionsGoOnFromEachOther(t *testing.T) {
	o := options(t, 1)
	create(t, o)
	for n := range 4 {
		j := reopen(t, o)
		if n > 0 && j.Behind(j.Start()) != 2*n+1 {
			t.Fatalf("session %d: %d batches", n, j.Behind(j.Start()))
		}
		appended1(t, j, count(n))
		wellChained(t, j, o.Group)
		noneOf(t, j, TornTail, DamagedRecord, Levelled, Orphaned, Forked, NotCounted)
		closed(t, j)
	}
	j := reopen(t, o)
	if got := counts(t, j); len(got) != 4 || got[0] != 0 || got[3] != 3 {
		t.Errorf("replayed %v", got)
	}
}

func TestAppendGivesTheBatchAndKeepsExactTimes(t *testing.T) {
	o := options(t, 2)
	create(t, o)
	j := reopen(t, o)
	d := appended1(t, j, count(7), ledgertest.Admission(1), count(8))
	if d.Count != 3 || d.First != 0 || d.Batch.Header.First != 1 {
		t.Fatalf("%+v", d)
	}
	if got := d.Batch.Statements[1].Time; got != ledgertest.Opens {
		t.Errorf("the admission's time %d is not rounded", got)
	}
	if err := d.Batch.Extract(d.First + 1).Verify(o.Group); err != nil {
		t.Error(err)
	}
	closed(t, j)
	j = reopen(t, o)
	seen := 0
	err := j.Replay(func(b *ledger.Batch, exact []ledger.Instant) error {
		for _, e := range exact {
			seen++
			if e != o.Now() {
				t.Errorf("exact time %d, want %d", e, o.Now())
			}
		}
		return nil
	})
	if err != nil || seen != 5 {
		t.Errorf("%d statements, %v", seen, err)
	}
}

func TestConcurrentAppendsStayWholeAndInOrder(t *testing.T) {
	o := options(t, 3)
	create(t, o)
	j := reopen(t, o)
	const callers, each = 32, 12
	var work sync.WaitGroup
	for c := range callers {
		work.Go(func() {
			for i := range each {
				n := 1000*c + 2*i
				d, err := j.Append(context.Background(), count(n), count(n+1))
				if err != nil {
					t.Error(err)
					return
				}
				if got := countsOf(&ledger.Batch{Statements: d.Batch.Statements[d.First : d.First+d.Count]}); len(got) != 2 || got[0] != n || got[1] != n+1 {
					t.Errorf("caller %d was given %v", c, got)
				}
			}
		})
	}
	work.Wait()
	wellChained(t, j, o.Group)
	closed(t, j)
	j = reopen(t, o)
	last := map[int]int{}
	got := counts(t, j)
	for _, n := range got {
		if was, ok := last[n/1000]; ok && n != was+1 {
			t.Errorf("%d after %d", n, was)
		}
		last[n/1000] = n
	}
	if len(got) != 2*callers*each {
		t.Errorf("%d statements of %d", len(got), 2*callers*each)
	}
	if n := j.Behind(j.Start()); n >= callers*each {
		t.Errorf("%d batches for %d appends: nothing was gathered", n, callers*each)
	}
}

func TestAppendBeyondABatchIsRefused(t *testing.T) {
	o := options(t, 4)
	create(t, o)
	j := reopen(t, o)
	var many []ledger.Body
	for i := range ledger.MaxStatements + 1 {
		many = append(many, count(i))
	}
	var large []ledger.Body
	for range 30 {
		large = append(large, &ledger.Message{Sealed: make([]byte, ledger.MaxSealed)})
	}
	for _, bodies := range [][]ledger.Body{nil, many, large} {
		if _, err := j.Append(context.Background(), bodies...); err == nil {
			t.Errorf("%d statements were taken", len(bodies))
		}
	}
	if _, err := j.Append(context.Background(), &ledger.Account{}); err == nil {
		t.Error("a statement that no reader takes was taken")
	}
	appended1(t, j, many[:ledger.MaxStatements]...)
	appended1(t, j, large[:20]...)
	wellChained(t, j, o.Group)
}

func TestNotesKeepTheNewestValue(t *testing.T) {
	o := options(t, 5)
	create(t, o)
	ctx := context.Background()
	j := reopen(t, o)
	if _, ok := j.Note("size"); ok {
		t.Error("a note before it was set")
	}
	for n := range byte(5) {
		if err := j.SetNote(ctx, "size", []byte{5 - n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.SetNote(ctx, "empty", nil); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	// The next session sets it with one medium away; the one after has them all.
	o2 := only(o, 0, 2)
	j = reopen(t, o2)
	if v, _ := j.Note("size"); len(v) != 1 || v[0] != 1 {
		t.Errorf("size %v", v)
	}
	if err := j.SetNote(ctx, "size", []byte{0}); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	j = reopen(t, o)
	if v, _ := j.Note("size"); len(v) != 1 || v[0] != 0 {
		t.Errorf("size %v", v)
	}
	if v, ok := j.Note("empty"); !ok || len(v) != 0 {
		t.Errorf("empty %v %v", v, ok)
	}
	for n := range maxNotes {
		err := j.SetNote(ctx, string([]byte{'k', byte(n), byte(n >> 8)}), nil)
		if want := n < maxNotes-2; (err == nil) != want {
			t.Fatalf("key %d: %v", n, err)
		}
	}
	if err := j.SetNote(ctx, "size", make([]byte, maxNote+1)); err == nil {
		t.Error("a note beyond the limit was taken")
	}
}

func TestNextStreamsEverySessionInOrder(t *testing.T) {
	o := options(t, 6)
	create(t, o)
	j := reopen(t, o)
	for n := range 3 {
		appended1(t, j, count(n))
	}
	closed(t, j)
	j = reopen(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var got []int
	var read sync.WaitGroup
	const more = 2*maxKept + 10 // the reader must reach behind what memory keeps
	all := make(chan struct{})
	read.Go(func() {
		defer close(all)
		for c := j.Start(); len(got) < 3+more; {
			b, next, err := j.Next(ctx, c)
			if err != nil {
				t.Error(err)
				return
			}
			got, c = append(got, countsOf(b)...), next
		}
	})
	for n := range more {
		appended1(t, j, count(3+n))
	}
	<-all
	read.Wait()
	for i, n := range got {
		if n != i {
			t.Fatalf("the stream gave %v", got)
		}
	}
	end := Cursor(j.Behind(j.Start()))
	if n := j.Behind(end); n != 0 {
		t.Errorf("%d batches after the end", n)
	}
	cancel()
	if _, c, err := j.Next(ctx, end); !errors.Is(err, context.Canceled) || c != end {
		t.Errorf("Next after cancel: %v", err)
	}
	closed(t, j)
	if _, _, err := j.Next(context.Background(), end); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

func TestNothingIsAppendedAfterClose(t *testing.T) {
	o := options(t, 7)
	create(t, o)
	j := reopen(t, o)
	closed(t, j)
	closed(t, j)
	if _, err := j.Append(context.Background(), count(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.SetNote(context.Background(), "k", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("note: %v", err)
	}
}

func TestCloseUnderLoadAnswersEverybody(t *testing.T) {
	o := options(t, 8)
	create(t, o)
	j := reopen(t, o)
	var mu sync.Mutex
	durable := map[int]bool{}
	var work sync.WaitGroup
	for c := range 16 {
		work.Go(func() {
			for i := 0; ; i++ {
				_, err := j.Append(context.Background(), count(1000*c+i))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				durable[1000*c+i] = true
				mu.Unlock()
			}
		})
	}
	for {
		if _, _, err := j.Next(context.Background(), 20); err == nil {
			break
		}
	}
	closed(t, j)
	work.Wait()
	j = reopen(t, o)
	for _, n := range counts(t, j) {
		delete(durable, n)
	}
	if len(durable) > 0 {
		t.Errorf("acknowledged and lost: %v", durable)
	}
}

func TestACallerWhoGoesAwayIsNotRecordedLater(t *testing.T) {
	o := options(t, 9)
	create(t, o)
	j := reopen(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := j.Append(ctx, count(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	a, err := j.appending([]ledger.Body{count(2)})
	if err != nil {
		t.Fatal(err)
	}
	a.taken.Store(true) // as submit does when ctx ends while it waits
	j.queue <- a
	appended1(t, j, count(3))
	if got := counts(t, j); len(got) != 1 || got[0] != 3 {
		t.Errorf("recorded %v", got)
	}
}

func TestReplayMayStop(t *testing.T) {
	o := options(t, 10)
	create(t, o)
	j := reopen(t, o)
	stop := errors.New("stop")
	if err := j.Replay(func(*ledger.Batch, []ledger.Instant) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("replay: %v", err)
	}
}
