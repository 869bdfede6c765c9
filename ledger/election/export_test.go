package election_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

func asFS(files map[string][]byte) fstest.MapFS {
	out := fstest.MapFS{}
	for name, b := range files {
		out[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	return out
}

func verify(dir fs.FS) (*ledger.Report, error) {
	x, err := election.OpenExport(dir)
	if err != nil {
		return nil, err
	}
	return ledger.Verify(context.Background(), dir, x.Group, x.Epoch, ledger.Options{Workers: 1})
}

func fullDay(t testing.TB) map[string][]byte {
	t.Helper()
	d := ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(d)
	return d.Export()
}

func TestFullDayHolds(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(d)
	for _, e := range d.Entries {
		for i, v := range e.Entry.Verdicts {
			if !v.Clean() {
				t.Errorf("entry %d statement %d (kind %d): %v, %v", e.Entry.Position, i, e.Batch.Statements[i].Body.Kind(), v.Validity, v.Class)
			}
		}
	}
	r, err := verify(asFS(d.Export()))
	if err != nil {
		t.Fatal(err)
	}
	if r.Entries != uint64(len(d.Entries)) || r.Admitted != 6 || len(r.Double) != 0 || r.Anchors != 2 || !r.Certificate || r.Cosigners != 3 {
		t.Errorf("report: %+v", r)
	}
}

// mustOffend fails unless the export is found wrong; nothing else may go wrong.
func mustOffend(t *testing.T, what string, dir fs.FS) {
	t.Helper()
	_, err := verify(dir)
	var o *ledger.Offended
	if !errors.As(err, &o) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestEveryChangedByteIsFound(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 4, nil)
	ledgertest.Short(d)
	files := d.Export()
	if _, err := verify(asFS(files)); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			dir, orig := asFS(files), files[name]
			data := slices.Clone(orig)
			dir[name].Data = data
			for i := range orig {
				data[i] = orig[i] ^ 1<<(i%8)
				mustOffend(t, fmt.Sprintf("byte %d bit %d", i, i%8), dir)
				data[i] = orig[i]
			}
			for _, n := range []int{0, len(orig) / 2, len(orig) - 1} {
				dir[name].Data = orig[:n]
				mustOffend(t, fmt.Sprintf("cut to %d", n), dir)
			}
			dir[name].Data = append(slices.Clone(orig), '\n')
			mustOffend(t, "one byte more", dir)
			delete(dir, name)
			mustOffend(t, "missing", dir)
			dir[name] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
			mustOffend(t, "a pipe in its place", dir)
		})
	}
}

func TestSurplusAndSwappedFilesAreFound(t *testing.T) {
	files := fullDay(t)
	anchors := 0
	for name := range files {
		if strings.HasPrefix(name, ledger.AnchorsDir+"/") {
			anchors++
		}
	}
	last := ledger.AnchorFile(anchors - 1)
	for what, change := range map[string]func(fstest.MapFS){
		"surplus":         func(d fstest.MapFS) { d["README"] = d[ledger.OriginFile] },
		"surplus tile":    func(d fstest.MapFS) { d["tile/0/001"] = d[ledger.OriginFile] },
		"hidden epoch":    func(d fstest.MapFS) { d["epoch-0/checkpoint"] = d[ledger.CheckpointFile] },
		"epoch look-like": func(d fstest.MapFS) { d["epoch-x"] = d[ledger.CheckpointFile] },
		"anchor doubled":  func(d fstest.MapFS) { d[ledger.AnchorFile(anchors)] = d[last] },
		"anchors swapped": func(d fstest.MapFS) {
			d[last], d[ledger.AnchorFile(0)] = d[ledger.AnchorFile(0)], d[last]
		},
		"last anchor left out": func(d fstest.MapFS) { delete(d, last) },
		"anchor gap":           func(d fstest.MapFS) { delete(d, ledger.AnchorFile(0)) },
		"files swapped": func(d fstest.MapFS) {
			d[ledger.OriginFile], d[ledger.LogVKeyFile] = d[ledger.LogVKeyFile], d[ledger.OriginFile]
		},
		"another epoch": func(d fstest.MapFS) {
			d[ledger.OriginFile] = &fstest.MapFile{Data: []byte("test-2024/21014/epoch-1\n")}
		},
		"older checkpoint": func(d fstest.MapFS) { d[ledger.CheckpointFile] = d[ledger.AnchorFile(0)] },
	} {
		t.Run(what, func(t *testing.T) {
			dir := asFS(files)
			change(dir)
			mustOffend(t, what, dir)
		})
	}
}

func TestTilesOfTwoLevelsAreChecked(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 300, nil)
	c := d.Started(1)
	for i := 0; i < 600; i += 2 {
		c.Put(ledgertest.Admission(i % 300))
	}
	files := d.Export()
	if _, err := verify(asFS(files)); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{"tile/0/000", "tile/0/001.p/46"}, {"tile/entries/000", "tile/entries/001.p/46"}, {"tile/1/000.p/1", "tile/0/000"}} {
		dir := asFS(files)
		if dir[pair[0]] == nil || dir[pair[1]] == nil {
			t.Fatalf("no %s or %s among %v", pair[0], pair[1], slices.Sorted(maps.Keys(files)))
		}
		dir[pair[0]], dir[pair[1]] = dir[pair[1]], dir[pair[0]]
		mustOffend(t, fmt.Sprint(pair), dir)
	}
}

func TestHugeCheckpointIsRefusedWithoutItsTiles(t *testing.T) {
	files := fullDay(t)
	c := ledger.Checkpoint{Origin: "test-2024/21014/epoch-0", Size: 1 << 40}
	note, err := ledger.SignCheckpoint(c, ledgertest.Key("log"))
	if err != nil {
		t.Fatal(err)
	}
	files[ledger.CheckpointFile] = note
	mustOffend(t, "2^40 entries", asFS(files))
}

func TestBogusAnchoredStatementOfAnyBureauSpoilsNothing(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	c := d.Started(3)
	ans := c.Put(&ledger.Anchored{Size: 1})
	if ans.Verdicts[0].Validity != ledger.Unauthorised {
		t.Fatalf("verdict %+v", ans.Verdicts[0])
	}
	r, err := verify(asFS(d.Export()))
	if err != nil || len(r.Conflicts) != 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	one := d.Started(1)
	one.Put(&ledger.Anchored{Size: 1})
	mustOffend(t, "the principal bureau's", asFS(d.Export()))
}

func TestDoubleAdmissionStandsInTheReportWithBothRecords(t *testing.T) {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, two := d.Started(1), d.Started(2)
	a, b := one.Put(ledgertest.Admission(0)), two.Put(ledgertest.Admission(0))
	r, err := verify(asFS(d.Export()))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Double) != 1 || len(r.Double[0].Records) != 2 || r.Double[0].Records[0].Position != a.Position || r.Double[0].Records[1].Position != b.Position {
		t.Errorf("double admissions: %+v", r.Double)
	}
}
