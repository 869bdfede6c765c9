package platform

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// restored is the world with its directory put back from a copy.
func (w *world) restored(backup string) {
	w.t.Helper()
	w.close()
	w.dir = filepath.Join(w.t.TempDir(), "again")
	if err := Restore(backup, w.dir); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func (w *world) backup() string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "copy")
	if err := w.region.Backup(dir); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func TestARestoredPlatformGoesOnFromItsCopy(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	d := w.days[josse]
	d.poll(t)
	one := caller{device: d.device(1)}
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries[:6]...))
	code := w.code(CodeOrder{Role: Expert})
	copied := w.backup()
	if err := w.region.Backup(copied); !errors.Is(err, errBackupThere) {
		t.Errorf("a copy over a copy: %v", err)
	}
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=6", bundle(d.entries[6:8]...))
	before := len(w.logged())
	w.restored(copied)
	if err := Restore(copied, w.dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored over a platform: %v", err)
	}
	entries := w.logged()
	if last := entries[len(entries)-1]; len(entries) != before || last.Act != actRestored {
		t.Errorf("the log has %d entries, it had %d, the last is %+v", len(entries), before, last)
	}
	expert := w.signIn(code)
	if rows := csvLines(w.must(expert, 200, "GET", "/communes/21014/list", nil)); len(rows) != testElectors {
		t.Errorf("%d electors", len(rows))
	}
	st, err := w.adeleClient(d, 1).Sync(t.Context(), josse, d)
	if err != nil || st.Size != uint64(len(d.entries)) {
		t.Fatalf("%+v %v", st, err)
	}
	if err := os.Remove(filepath.Join(copied, versionFile)); err != nil {
		t.Fatal(err)
	}
	if err := Restore(copied, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "no whole backup") {
		t.Errorf("half a backup: %v", err)
	}
}

// Pebble's own copies share files with the database: overwriting one would overwrite the other.
func TestACopySharesNoFileWithThePlatform(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	if err := w.region.st.db.Flush(); err != nil {
		t.Fatal(err)
	}
	copied := w.backup()
	infos := func(root string) (out []os.FileInfo) {
		err := filepath.WalkDir(root, func(_ string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			out = append(out, info)
			return err
		})
		if err != nil || len(out) < 5 {
			t.Fatalf("%d files: %v", len(out), err)
		}
		return out
	}
	own := infos(w.dir)
	for _, c := range infos(copied) {
		for _, o := range own {
			if os.SameFile(c, o) {
				t.Errorf("%s is the platform's own file", c.Name())
			}
		}
	}
}

// What the witness is shown of its own cosignatures it takes back no more: by Learn, and by the
// ledger's own statements.
func TestARestoredWitnessTakesBackNothingThatItIsShown(t *testing.T) {
	w := newWorld(t, testElectors)
	d := w.days[josse]
	d.poll(t)
	w.anchor(d, 0, 4)
	copied := w.backup()
	note := w.anchor(d, 4, 9)
	w.restored(copied)
	fork := ledger.Checkpoint{Origin: d.group.Origin(0), Size: 9, Root: ledger.Hash{7}}
	signed, err := ledger.SignCheckpoint(fork, testKey(josse, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if is, err := w.server.Learn(note); err != nil || !is {
		t.Fatalf("%v %v", is, err)
	}
	if is, err := w.server.Learn(note); err != nil || is {
		t.Errorf("twice: %v %v", is, err)
	}
	if a, err := w.server.add(body(9, nil, signed)); err != nil || a.verdict != Fork {
		t.Errorf("the fork: %+v %v", a, err)
	}
	old := d.checkpoint(t, 6)
	if a, err := w.server.add(body(4, proofOf(t, d, 4, 6), old)); err != nil || a.verdict != Stale || a.size != 9 {
		t.Errorf("the older one: %+v %v", a, err)
	}
	w.anchor(d, 9, 11) // and it goes on
	other := string(signed) + ledger.Cosign(fork, ledgertest.WitnessName, ledgertest.Key("witness"), 1_800_000_000)
	if _, err := w.server.Learn([]byte(other)); !errors.Is(err, ErrTwoHistories) {
		t.Errorf("two histories: %v", err)
	}
	if _, err := w.server.Learn(d.checkpoint(t, 12)); err == nil {
		t.Error("a checkpoint that it has not cosigned was learned")
	}
}

func proofOf(t *testing.T, d *testDay, old, size int64) tlog.TreeProof {
	t.Helper()
	proof, err := tlog.ProveTree(size, old, d.hashes)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func TestUploadedEntriesRemindARestoredWitness(t *testing.T) {
	w := newWorld(t, testElectors)
	d := w.days[josse]
	d.poll(t)
	copied := w.backup()
	c := ledger.Checkpoint{Origin: d.group.Origin(0), Size: 9, Root: ledger.Hash(d.root(9))}
	w.anchor(d, 0, 9)
	seconds := uint64(w.clock.Load() / 1000)
	line := ledger.Cosign(c, ledgertest.WitnessName, ledgertest.Key("witness"), seconds)
	note := append(d.checkpoint(t, 9), line...)
	_, sigs, err := ledger.OpenCheckpoint(note, ledger.LogKey(c.Origin, d.group.LogKey), d.group.Cosigners())
	if err != nil {
		t.Fatal(err)
	}
	d.put(t, 1, &ledger.Anchored{Size: 9, Root: c.Root, Witness: sigs[0].KeyHash, Cosigned: seconds, Signature: sigs[0].Signature})
	w.restored(copied)
	w.must(caller{device: d.device(1)}, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries...))
	if st := w.server.logs[c.Origin].status(); st.Size != 9 || st.Root != d.root(9).String() {
		t.Errorf("%+v", st)
	}
	fork, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: c.Origin, Size: 9, Root: ledger.Hash{7}}, testKey(josse, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if a, err := w.server.add(body(9, nil, fork)); err != nil || a.verdict != Fork {
		t.Errorf("the fork: %+v %v", a, err)
	}
}
