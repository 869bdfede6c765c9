package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// lost is a day that lost its majority twice, and stores that were at it: full has all of epoch 0, behind
// only a part of what the seed covers, empty nothing but the genesis.
type lost struct {
	*ledgertest.Day
	full, behind, empty *Store
	first               []ledger.PlacedEntry // epoch 0, with what was lost
	anchors             [][][]byte
	late                *ledger.Batch
	chain               *ledgertest.Chain
}

func openMem(t *testing.T, g *ledger.Group) (*Store, vfs.FS) {
	t.Helper()
	fs := vfs.NewMem()
	s, err := Open("ledger", g, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, fs
}

// applyAll gives the store entries that it lacks, as commands of its group.
func applyAll(t *testing.T, s *Store, entries []ledger.PlacedEntry) {
	t.Helper()
	for _, e := range entries[s.Size():] {
		s.Apply(s.Applied()+1, [][]byte{e.Entry.Batch})
	}
	if got := s.Head(); got.Size != uint64(len(entries)) || got.Last != ledger.LeafHash(entries[len(entries)-1].Encoded) {
		t.Fatalf("the store stands at %+v after %d entries", got, len(entries))
	}
}

// seedAt is where epoch 0's seed ends: behind it stand two admissions.
const seedAt = restoreStep + 5

func newLost(t *testing.T) *lost {
	x := &lost{Day: ledgertest.NewDay(t, 3, 30, nil)}
	x.full, _ = openMem(t, x.Group)
	x.behind, _ = openMem(t, x.Group)
	x.empty, _ = openMem(t, x.Group)
	x.chain = x.Started(1)
	for len(x.Entries) < seedAt-1 {
		x.chain.Put(ledgertest.Admission(len(x.Entries) % 30))
	}
	x.chain.Put(x.Anchor())
	x.late = x.chain.Sign(ledgertest.Admission(3), &ledger.Incident{Code: 4})
	x.Place(x.late)
	x.Anchor()
	x.first, x.anchors = x.Entries, append(x.anchors, x.Anchors)
	applyAll(t, x.full, x.first)
	applyAll(t, x.behind, x.first[:seedAt-2])
	x.Recover(seedAt)
	return x
}

var errNobody = errors.New("nobody answers")

func nobody(uint64) ([][]byte, error) { return nil, errNobody }

// pages gives the first epoch's entries three at a time.
func (x *lost) pages(from uint64) (out [][]byte, err error) {
	for _, e := range x.first[from:min(from+3, uint64(len(x.first)))] {
		out = append(out, e.Encoded)
	}
	return out, nil
}

func (x *lost) begin(t *testing.T, s *Store, missing func(uint64) ([][]byte, error)) {
	t.Helper()
	if err := s.BeginEpoch(x.seed(t), missing); err != nil {
		t.Fatal(err)
	}
}

// seed is that of the day's present epoch.
func (x *lost) seed(t *testing.T) *ledger.Seed {
	t.Helper()
	s, err := ledger.DecodeSeed(x.Entries[0].Entry.Genesis.Seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryStoreComesToTheSameNewEpoch(t *testing.T) {
	x := newLost(t)
	var told []string
	x.behind.opt.OnPlaced = func(es []ledger.PlacedEntry) {
		for _, e := range es {
			told = append(told, string(e.Encoded))
		}
	}
	x.begin(t, x.full, nobody)
	x.begin(t, x.behind, x.pages)
	x.begin(t, x.empty, x.pages)
	want := []string{string(x.first[seedAt-2].Encoded), string(x.first[seedAt-1].Encoded), string(x.Entries[0].Encoded)}
	if !slices.Equal(told, want) {
		t.Errorf("told of %d entries, want the two that were missing and the genesis", len(told))
	}
	for i, s := range []*Store{x.full, x.behind, x.empty} {
		if h := s.Head(); h.Epoch != 1 || h.Size != 1 || h.Last != ledger.LeafHash(x.Entries[0].Encoded) || s.Applied() != 0 {
			t.Errorf("store %d stands at %+v, applied %d", i, h, s.Applied())
		}
		if ans, placed := s.Answer(x.late); placed {
			t.Errorf("store %d has a place for what was lost: %+v", i, ans)
		}
	}
	x.Place(x.late)
	x.chain.Put(ledgertest.Admission(4))
	for _, s := range []*Store{x.full, x.behind, x.empty} {
		applyAll(t, s, x.Entries)
		chain, _, err := s.Chain(ledger.ChainRequest{Author: x.chain.Author, To: x.chain.At.Next}, 1000)
		if err != nil || len(chain) != len(x.first)-1+1 {
			t.Errorf("the author's chain has %d batches over both epochs: %v", len(chain), err)
		}
		places := 0
		if err := s.ByToken(ledgertest.Elector(4), func(p Place) bool { _, err := s.Entry(p.Entry); places++; return err == nil }); err != nil {
			t.Error(err)
		}
		if want := len(x.first)/30 + 1; places < want {
			t.Errorf("%d statements about an elector, want %d at least", places, want)
		}
	}
}

func TestWhatStoodBehindTheSeedIsListed(t *testing.T) {
	x := newLost(t)
	behind, err := x.full.Behind(seedAt)
	if err != nil || len(behind) != 1 || behind[0].Header.Identity() != x.late.Header.Identity() {
		t.Fatalf("%d batches: %v", len(behind), err)
	}
}

func TestRefusedEpochLeavesTheLedger(t *testing.T) {
	x := newLost(t)
	was := x.behind.Head()
	x.begin(t, x.full, nobody)
	forged, again := x.seed(t), x.seed(t)
	forged.Signatures[1][0] ^= 1
	other := func(from uint64) ([][]byte, error) {
		p, err := x.pages(from)
		p[0] = x.first[1].Encoded
		return p, err
	}
	for what, refused := range map[string]error{
		"another person's signature": x.behind.BeginEpoch(forged, x.pages),
		"the seed of another epoch":  x.full.BeginEpoch(again, nobody),
		"entries that nobody has":    x.behind.BeginEpoch(again, nobody),
		"no entries":                 x.behind.BeginEpoch(again, func(uint64) ([][]byte, error) { return nil, nil }),
		"other entries":              x.behind.BeginEpoch(again, other),
	} {
		if refused == nil {
			t.Errorf("%s: begun", what)
		}
	}
	if got := x.behind.Head(); got != was || x.behind.Err() != nil {
		t.Fatalf("the ledger stands at %+v: %v", got, x.behind.Err())
	}
	applyAll(t, x.behind, x.first)
}

func TestNewEpochIsThereAfterAPowerCut(t *testing.T) {
	x := newLost(t)
	mem := vfs.NewCrashableMem()
	s, err := Open("ledger", x.Group, Options{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	applyAll(t, s, x.first)
	x.begin(t, s, nobody)
	cut := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open("ledger", x.Group, Options{FS: cut})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if h := s.Head(); h.Epoch != 1 || h.Size != 1 {
		t.Errorf("after the power cut the ledger stands at %+v", h)
	}
}

func TestSnapshotCarriesTheEpochsBefore(t *testing.T) {
	x := newLost(t)
	x.begin(t, x.full, nobody)
	x.begin(t, x.empty, x.pages)
	x.Place(x.late)
	applyAll(t, x.full, x.Entries)
	var snap bytes.Buffer
	if err := x.full.Snapshot(&snap); err != nil {
		t.Fatal(err)
	}
	if err := x.behind.Restore(bytes.NewReader(snap.Bytes())); err == nil {
		t.Error("a member of the epoch before took the snapshot")
	}
	if err := x.empty.Restore(bytes.NewReader(snap.Bytes())); err != nil {
		t.Fatal(err)
	}
	if a, b := x.empty.Head(), x.full.Head(); a != b {
		t.Errorf("restored %+v, want %+v", a, b)
	}
}

func TestExportHasTheEpochsBefore(t *testing.T) {
	x := newLost(t)
	x.begin(t, x.full, nobody)
	x.Place(x.late)
	x.chain.Put(x.Anchor())
	applyAll(t, x.full, x.Entries)
	x.anchors = append(x.anchors, x.Anchors)
	x.Recover(uint64(len(x.Entries)))
	x.begin(t, x.full, nobody)
	x.chain.Put(ledgertest.Admission(5))
	x.Anchor()
	applyAll(t, x.full, x.Entries)
	dir := t.TempDir() + "/export"
	err := x.full.Export(dir, Export{Checkpoint: x.Anchors[0], Anchors: append(x.anchors, x.Anchors), Manifest: x.File})
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for name, b := range filesIn(t, dir) {
		files[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	e, err := election.OpenExport(files)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Verify(context.Background(), files, e.Group, e.Epoch, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Epoch != 2 || len(r.Earlier) != 2 || r.Earlier[0].Entries != seedAt {
		t.Errorf("verified epoch %d after %d; %v", r.Epoch, len(r.Earlier), slices.Sorted(maps.Keys(files)))
	}
}
