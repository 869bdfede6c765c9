package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
)

func TestSnapshotIsTheSameAtEveryReplicaAndSurvivesRestoring(t *testing.T) {
	sc := newScript(t, 40, 700)
	rng := rand.New(rand.NewPCG(40, 2))
	one, many := sc.open(t, Options{}), sc.open(t, Options{})
	var told []uint64
	third := sc.open(t, Options{OnPlaced: func(es []ledger.PlacedEntry) {
		for _, e := range es {
			told = append(told, e.Entry.Position)
			if ledger.LeafHash(e.Encoded) != ledger.LeafHash(sc.placed[e.Entry.Position].Encoded) || (e.Batch == nil) != (sc.placed[e.Entry.Position].Batch == nil) {
				t.Fatalf("entry %d is told as another", e.Entry.Position)
			}
		}
	}})
	if len(sc.placed) < 2*restoreStep {
		t.Fatalf("%d entries are too few", len(sc.placed))
	}
	for at := 0; ; {
		a, b := snapshotOf(t, one), snapshotOf(t, many)
		if !bytes.Equal(a, b) {
			t.Fatalf("two replicas at %d have two snapshots", one.Applied())
		}
		// Some of the ledger comes to this one by commands, some by snapshots.
		if err := third.Restore(bytes.NewReader(a)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(snapshotOf(t, third), a) {
			t.Fatalf("at %d a restored ledger has another snapshot", one.Applied())
		}
		if third.Applied() != one.Applied() || third.Head() != one.Head() {
			t.Fatalf("restored to %d, %+v, want %d, %+v", third.Applied(), third.Head(), one.Applied(), one.Head())
		}
		same(t, pairs(t, third), pairs(t, one))
		if at == len(sc.log) {
			break
		}
		// The last rounds are short, so that some end with batches that wait.
		n := min(len(sc.log)-at, 1+rng.IntN(max(1, (len(sc.log)-at)/2)))
		apply(one, sc.log[at:at+n], each, nil)
		apply(many, sc.log[at:at+n], all, nil)
		if rng.IntN(2) == 0 {
			apply(third, sc.log[at:at+n/2], all, nil)
		}
		at += n
	}
	sc.agrees(t, third)
	for i, pos := range told {
		if pos != uint64(i)+1 {
			t.Fatalf("entry %d is told at place %d", pos, i+1)
		}
	}
	if len(told) != len(sc.placed)-1 {
		t.Fatalf("told of %d entries of %d", len(told), len(sc.placed)-1)
	}
}

func TestRestoredLedgerGoesOnAfterReopening(t *testing.T) {
	sc := newScript(t, 41, 200)
	half := sc.log[:len(sc.log)/2]
	one := sc.open(t, Options{})
	apply(one, half, all, nil)
	fs := vfs.NewMem()
	s, err := Open("ledger", sc.Group, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(bytes.NewReader(snapshotOf(t, one))); err != nil {
		t.Fatal(err)
	}
	apply(s, sc.log[:len(half)+20], each, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = sc.open(t, Options{FS: fs})
	apply(s, sc.log, all, nil)
	sc.agrees(t, s)
}

// resum gives altered bytes of a snapshot their own sum, as a liar would.
func resum(b []byte) []byte {
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(append([]byte(nil), body...), sum[:]...)
}

func TestDamagedSnapshotIsRefusedAndTheOldLedgerStays(t *testing.T) {
	sc := newScript(t, 42, 120)
	one := sc.open(t, Options{})
	apply(one, sc.log, all, nil)
	good := snapshotOf(t, one)
	half := sc.log[:len(sc.log)/2]
	fs := vfs.NewMem()
	s := sc.open(t, Options{FS: fs})
	apply(s, half, all, nil)
	before, root := pairs(t, s), s.Head()
	rng := rand.New(rand.NewPCG(42, 2))
	flip := func(b []byte, at int) []byte {
		out := bytes.Clone(b)
		out[at] ^= 1 << rng.IntN(8)
		return out
	}
	refused := func(name string, b []byte) {
		t.Helper()
		err := s.Restore(bytes.NewReader(b))
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Err() != nil || s.Head() != root {
			t.Fatalf("%s: moved the ledger to %+v, %v", name, s.Head(), s.Err())
		}
		if _, err := fs.Stat("ledger/db.next"); err == nil {
			t.Fatalf("%s: left the half restored ledger", name)
		}
	}
	refused("empty", nil)
	refused("with another sum", flip(good, len(good)-1-rng.IntN(sha256.Size)))
	index := bytes.Clone(good)
	index[len(snapshotMagic)+4+len(s.chain)+2]++
	refused("with a later index", index)
	refused("with a byte behind", append(bytes.Clone(good), 0))
	for range few(40, 600) {
		at := rng.IntN(len(good))
		refused("cut short", good[:at])
		refused("altered", flip(good, at))
	}
	// Past the index nothing can be altered, not even with a sum that is right.
	signed := len(snapshotMagic) + 4 + len(s.chain) + 8
	for range few(60, 600) {
		refused("altered and summed anew", resum(flip(good, signed+rng.IntN(len(good)-signed-sha256.Size))))
	}
	same(t, pairs(t, s), before)
	apply(s, sc.log[len(half):], all, nil)
	sc.agrees(t, s)
	if err := s.Restore(bytes.NewReader(good)); err != nil {
		t.Fatalf("the sound one: %v", err)
	}
	sc.agrees(t, s)
}

func TestSnapshotOfAnotherChainOrAnOlderOneIsRefused(t *testing.T) {
	sc, other := newScript(t, 43, 100), newScript(t, 44, 150)
	full, fork := sc.open(t, Options{}), other.open(t, Options{})
	apply(full, sc.log, all, nil)
	older := sc.open(t, Options{})
	apply(older, sc.log[:40], all, nil)
	apply(fork, other.log, all, nil)
	foreign := otherDay(t)
	theirs, err := Open("ledger", foreign.Group, Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	for want, b := range map[string][]byte{
		"older than the ledger":           snapshotOf(t, older),
		"another than the one here":       snapshotOf(t, fork),
		"another election":                snapshotOf(t, theirs),
		"damaged snapshot: no entries":    bare(full, endMark, endMark),
		"entry 0: it is the ledger of an": bare(full, 0, endMark, endMark),
		"damaged snapshot":                bare(full, ledger.MaxEntry+1),
	} {
		if err := full.Restore(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		sc.agrees(t, full)
	}
}

// bare is a snapshot of a store's chain with no more than some lengths in it.
func bare(s *Store, lengths ...uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte(snapshotMagic), uint32(len(s.chain)))
	b = binary.BigEndian.AppendUint64(append(b, s.chain...), s.Applied())
	for _, n := range lengths {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return resum(append(b, make([]byte, sha256.Size)...))
}

func TestFrozenSnapshotIsOfTheMomentAndKeepsRestoringAway(t *testing.T) {
	sc := newScript(t, 45, 100)
	s := sc.open(t, Options{})
	apply(s, sc.log[:50], all, nil)
	want := snapshotOf(t, s)
	write, release := s.Freeze()
	apply(s, sc.log[50:], all, nil)
	latest := snapshotOf(t, s)
	restored := make(chan error, 1)
	go func() { restored <- s.Restore(bytes.NewReader(latest)) }()
	var got bytes.Buffer
	if err := write(&got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("a snapshot of %d bytes, %v, want %d", got.Len(), err, len(want))
	}
	select {
	case err := <-restored:
		t.Fatalf("restored while frozen: %v", err)
	default:
	}
	release()
	if err := <-restored; err != nil {
		t.Fatal(err)
	}
	sc.agrees(t, s)
}

// failingWriter takes some bytes.
type failingWriter struct{ left int }

var errPipe = errors.New("the line is cut")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errPipe
	}
	return len(p), nil
}

func TestSnapshotThatCantBeWrittenOrReadHarmsNothing(t *testing.T) {
	sc := newScript(t, 46, 100)
	s := sc.open(t, Options{})
	apply(s, sc.log[:70], all, nil)
	b := snapshotOf(t, s)
	for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
		if err := s.Snapshot(&failingWriter{n}); !errors.Is(err, errPipe) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		if err := s.Restore(io.MultiReader(bytes.NewReader(b[:n]), brokenReader{})); !errors.Is(err, errPipe) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	apply(s, sc.log[70:], all, nil)
	sc.agrees(t, s)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errPipe }

func TestReadersSeeAWholeLedgerWhileItIsAppliedAndRestored(t *testing.T) {
	sc := newScript(t, 47, 150)
	whole := sc.open(t, Options{})
	apply(whole, sc.log, all, nil)
	last := snapshotOf(t, whole)
	s := sc.open(t, Options{})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for w := range 3 {
		rng := rand.New(rand.NewPCG(47, uint64(w)))
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				readsRight(t, sc, s, rng)
			}
		})
	}
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(t.Context(), uint64(len(sc.placed))) }()
	apply(s, sc.log[:60], upTo(rand.New(rand.NewPCG(47, 9)), 4), nil)
	if err := s.Restore(bytes.NewReader(last)); err != nil {
		t.Error(err)
	}
	select {
	case err := <-waited:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("restoring wakes nobody")
	}
	close(done)
	wg.Wait()
	sc.agrees(t, s)
}

// readsRight reads at random and compares with the script.
func readsRight(t *testing.T, sc *script, s *Store, rng *rand.Rand) {
	size := s.Size()
	at := rng.Uint64N(size)
	if e, err := s.Entry(at); err != nil || !bytes.Equal(e, sc.placed[at].Encoded) {
		t.Errorf("entry %d: %x, %v", at, e, err)
	}
	if _, err := s.Root(size); err != nil {
		t.Error(err)
	}
	if _, err := s.Prove(at+1, size); err != nil {
		t.Error(err)
	}
	b := sc.placed[at].Batch
	if b == nil {
		return
	}
	if _, placed := s.Answer(b); !placed && sc.placed[at].Entry.Kind == ledger.BatchEntry {
		t.Errorf("entry %d has no place", at)
	}
}
