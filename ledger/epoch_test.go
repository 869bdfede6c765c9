package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// verifyFiles is what a verifier says of an export, and where its first offence is.
func verifyFiles(t testing.TB, files map[string][]byte) (*ledger.Report, string) {
	t.Helper()
	dir := fstest.MapFS{}
	for name, b := range files {
		dir[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	x, err := election.OpenExport(dir)
	var r *ledger.Report
	if err == nil {
		r, err = ledger.Verify(context.Background(), dir, x.Group, x.Epoch, ledger.Options{})
	}
	var o *ledger.Offended
	if err != nil && !errors.As(err, &o) {
		t.Fatal(err)
	}
	if o != nil {
		return nil, o.Error()
	}
	return r, ""
}

// recovered is a day that lost its majority twice: the second epoch goes on from all but the last
// entry of the first, the third from all of the second.
func recovered(t testing.TB) *ledgertest.Day {
	t.Helper()
	d := ledgertest.NewDay(t, 2, 6, nil)
	one, two := d.Started(1), d.Started(2)
	one.Put(ledgertest.Admission(0))
	one.Put(d.Anchor())
	lost := two.Sign(ledgertest.Admission(1))
	d.Place(lost)
	last := one.Sign(d.Anchor())
	d.Place(last)
	d.Recover(uint64(len(d.Entries)) - 2)
	d.Place(last)
	d.Place(lost)
	one.Put(ledgertest.Admission(2), ledgertest.Admission(1))
	one.Put(d.Anchor())
	d.Recover(uint64(len(d.Entries)))
	two.Put(ledgertest.Admission(0), ledgertest.Admission(3))
	return d
}

func TestEpochsGoOnFromOneAnotherAndHold(t *testing.T) {
	d := recovered(t)
	r, offence := verifyFiles(t, d.Export())
	if offence != "" {
		t.Fatal(offence)
	}
	if r.Epoch != 2 || len(r.Earlier) != 2 || r.Entries != 2 || r.Earlier[0].Entries != 5 || r.Earlier[1].Entries != 5 {
		t.Fatalf("report: %+v", r)
	}
	if r.Earlier[0].Anchored != 6 || r.Admitted != 4 {
		t.Errorf("anchored %d in epoch 0, %d admitted", r.Earlier[0].Anchored, r.Admitted)
	}
	want := []ledger.LiveAdmission{
		{Position: 3, Bureau: 1, ID: ledger.StatementID{Session: ledger.SessionID{1}, Sequence: 1}},
		{Position: ledger.Reference(2, 1), Bureau: 2, ID: ledger.StatementID{Session: ledger.SessionID{2}, Sequence: 2}},
	}
	i := slices.IndexFunc(r.Double, func(x ledger.DoubleAdmission) bool { return x.Records[0].Position == 3 })
	if i < 0 || !slices.Equal(r.Double[i].Records, want) {
		t.Errorf("a double admission across epochs: %+v", r.Double)
	}
	if got := ledger.EntryName(want[1].Position); got != "epoch-2 entry 1" {
		t.Errorf("named %q", got)
	}
}

func TestEveryChangedByteOfARecoveredExportIsFound(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 2, nil)
	one := d.Started(1)
	one.Put(ledgertest.Admission(0))
	d.Anchor()
	d.Recover(3)
	if ans := one.Put(d.Anchor()); ans.Status != ledger.Placed {
		t.Fatal(ans)
	}
	files := d.Export()
	if len(files["tile/entries/000.p/2"]) == 0 {
		t.Fatal("the second epoch has not two entries")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b := files[name]
		if !strings.HasPrefix(name, "epoch-0/") && name != "tile/entries/000.p/2" {
			continue // as in an export of one epoch
		}
		for i := range b {
			b[i] ^= 1
			if _, offence := verifyFiles(t, files); offence == "" {
				t.Errorf("byte %d of %s", i, name)
			}
			b[i] ^= 1
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b := files[name]
		delete(files, name)
		_, offence := verifyFiles(t, files)
		// The newest of the anchors may be left out, as in any export.
		if offence == "" && name != "epoch-0/anchors/000000" {
			t.Errorf("without %s it holds", name)
		}
		files[name] = b
	}
}

func TestOffenceOfAnEarlierEpochNamesItsPlace(t *testing.T) {
	files := recovered(t).Export()
	name := "epoch-0/tile/entries/000.p/5"
	b := bytes.Clone(files[name])
	b[len(b)-1] ^= 1
	files[name] = b
	if _, offence := verifyFiles(t, files); !strings.HasPrefix(offence, "epoch-0 entry 4: ") {
		t.Error(offence)
	}
	files = recovered(t).Export()
	files["epoch-1/manifest"] = files["manifest"]
	if _, offence := verifyFiles(t, files); !strings.HasPrefix(offence, "file epoch-1/manifest: ") {
		t.Error(offence)
	}
}

// seeded is a view that stands at two entries, and the seed that fits.
func seeded(t *testing.T) (*ledgertest.Day, *ledger.MemoryView, *ledger.Seed, ledger.Hash) {
	t.Helper()
	d := ledgertest.NewDay(t, 2, 4, nil)
	one := d.Started(1)
	root := d.Checkpoint().Root
	v := ledger.NewMemoryView()
	for _, e := range d.Entries {
		if _, err := ledger.Replay(d.Group, v, e.Encoded); err != nil {
			t.Fatal(err)
		}
	}
	one.Put(ledgertest.Admission(0))
	return d, v, d.Seed(2), root
}

func TestEpochBeginsOnlyUnderTwoSignaturesFromItsOwnSeed(t *testing.T) {
	d, v, seed, root := seeded(t)
	resign := func(s *ledger.Seed, epoch uint8, keys ...string) {
		msg := s.SignedBytes(d.Group.Manifest, d.Group.Commune, epoch)
		for i, k := range keys {
			copy(s.Signatures[i][:], ed25519.Sign(ledgertest.Key(k), msg))
		}
	}
	for what, change := range map[string]func(*ledger.Seed){
		"a signature changed":      func(s *ledger.Seed) { s.Signatures[1][3] ^= 1 },
		"one person for two":       func(s *ledger.Seed) { s.Signers[1] = 1; s.Signatures[1] = s.Signatures[0] },
		"nobody of that number":    func(s *ledger.Seed) { s.Signers[1] = 3 },
		"signed for another epoch": func(s *ledger.Seed) { resign(s, 2, "signatory 1", "signatory 2") },
		"another checkpoint":       func(s *ledger.Seed) { s.Checkpoint = d.Seed(3).Checkpoint; resign(s, 1, "signatory 1", "signatory 2") },
		"a checkpoint not signed": func(s *ledger.Seed) {
			s.Checkpoint = []byte(d.Checkpoint().Text())
			resign(s, 1, "signatory 1", "signatory 2")
		},
		"the note changed after": func(s *ledger.Seed) { s.Checkpoint = d.Seed(3).Checkpoint },
		"of the epoch after itself": func(s *ledger.Seed) {
			d.Epoch = 1
			s.Checkpoint = d.Seed(2).Checkpoint
			d.Epoch = 0
			resign(s, 1, "signatory 1", "signatory 2")
		},
	} {
		s := *seed
		change(&s)
		if _, err := ledger.BeginEpoch(d.Group, v, &s, root); err == nil {
			t.Errorf("%s: begun", what)
		}
	}
	if _, err := ledger.BeginEpoch(d.Group, v, seed, ledger.Hash{1}); err == nil {
		t.Error("begun on another tree")
	}
	if h := ledger.ReadHead(v); h.Size != 2 || h.Epoch != 0 {
		t.Fatalf("a refused seed moved the view: %+v", h)
	}
	if _, err := ledger.BeginEpoch(d.Group, v, seed, root); err != nil {
		t.Fatal(err)
	}
}

func TestEpochNeedsThePrincipalOrTheDeputyBureau(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 3, func(m *election.Manifest) { m.Signatories[0].Bureau = 3 })
	if _, err := d.Group.CheckSeed(1, d.Seed(1)); err == nil {
		t.Error("two persons of bureau 3 begin an epoch")
	}
}

func TestWhatWaitedIsProposedAgainInTheNewEpoch(t *testing.T) {
	d, v, seed, root := seeded(t)
	c := d.Session(2, 2)
	opening, next := c.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}), c.Sign(ledgertest.Admission(1))
	if ans, _ := ledger.Place(d.Group, v, next); ans.Status != ledger.Parked {
		t.Fatal(ans)
	}
	genesis, err := ledger.BeginEpoch(d.Group, v, seed, root)
	if err != nil {
		t.Fatal(err)
	}
	if genesis.Entry.Position != 0 || genesis.Entry.Previous != ledger.LeafHash(d.Entries[1].Encoded) {
		t.Errorf("genesis: %+v", genesis.Entry)
	}
	ans, placed := ledger.Place(d.Group, v, opening)
	if len(placed) != 1 || ans.Position != ledger.Reference(1, 1) {
		t.Errorf("%+v, %d entries: what waited before the epoch is no part of it", ans, len(placed))
	}
	// A batch of the seed gets the answer that it had.
	again, placed := ledger.Place(d.Group, v, d.Entries[1].Batch)
	if again.Status != ledger.Placed || again.Position != 1 || len(placed) != 0 {
		t.Errorf("again: %+v", again)
	}
}

func TestReplayTakesOnlyWhatTheRulesMake(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 4, nil)
	d.Started(1).Put(ledgertest.Admission(0))
	for i := range d.Entries[2].Encoded {
		v := ledger.NewMemoryView()
		for _, e := range d.Entries[:2] {
			if _, err := ledger.Replay(d.Group, v, e.Encoded); err != nil {
				t.Fatal(err)
			}
		}
		bad := bytes.Clone(d.Entries[2].Encoded)
		bad[i] ^= 1
		if _, err := ledger.Replay(d.Group, v, bad); err == nil {
			t.Errorf("byte %d changed", i)
		}
	}
}

func TestSeedIsTheCheckpointOfTheEpochBeforeToTheByte(t *testing.T) {
	files := recovered(t).Export()
	lines := strings.SplitAfter(string(files["epoch-0/checkpoint"]), "\n")
	files["epoch-0/checkpoint"] = []byte(strings.Join(lines[:len(lines)-2], ""))
	if _, offence := verifyFiles(t, files); !strings.HasPrefix(offence, "epoch-1 entry 0: the seed is not") {
		t.Errorf("without a cosignature: %q", offence)
	}
}

func TestAnchorsLieNeitherAheadNorInALaterEpoch(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 4, nil)
	d.Started(1).Put(&ledger.Anchored{Epoch: 3, Size: 1})
	if _, offence := verifyFiles(t, d.Export()); !strings.HasPrefix(offence, "entry 2: anchored in epoch 3") {
		t.Error(offence)
	}
	d = recovered(t)
	files := d.Export()
	c := d.Checkpoint()
	c.Size++
	note, err := ledger.SignCheckpoint(c, ledgertest.Key("log"))
	if err != nil {
		t.Fatal(err)
	}
	files[ledger.AnchorFile(len(d.Anchors))] = append(note, ledger.Cosign(c, ledgertest.WitnessName, ledgertest.Key("witness"), 1<<40)...)
	if _, offence := verifyFiles(t, files); !strings.Contains(offence, "is not 1 to") {
		t.Errorf("ahead of the last epoch: %q", offence)
	}
}
