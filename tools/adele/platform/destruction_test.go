package platform

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/note"
)

// lawful records all that destruction rests on; it is lawful from 2025-03-02.
func (w *world) lawful() {
	w.t.Helper()
	w.clock.Store(time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	college := w.as(College)
	for ins := firstCommune; ins <= lastCommune; ins++ {
		v := Validation{Commune: ins, Validated: "2024-12-01", Final: "2025-01-15"}
		if ins == josse {
			v.Final = "2025-03-02"
		}
		w.must(college, 200, "PUT", fmt.Sprintf("/validations/%d", ins), asJSON(v))
	}
	w.must(w.as(Prosecutor), 200, "PUT", "/settlement", asJSON(Settlement{"2025-02-01"}))
}

// not before the last of nineteen is final, not a day early, by nobody else.
func TestDestructionIsRefusedADayEarly(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	admin := w.as(Administration)
	try := func(day string) string {
		t.Helper()
		return string(w.must(admin, 409, "POST", "/destruction", asJSON(DestructionOrder{Day: day})))
	}
	if text := try("2024-10-14"); !strings.Contains(text, "19 of the nineteen") {
		t.Errorf("nothing validated: %s", text)
	}
	w.lawful()
	admin = w.as(Administration)
	if text := try("2025-03-01"); !strings.Contains(text, "before 2025-03-02") {
		t.Errorf("a day early: %s", text)
	}
	if text := try("2025-03-02"); !strings.Contains(text, "lies ahead") {
		t.Errorf("a day that lies ahead: %s", text)
	}
	w.must(admin, 400, "POST", "/destruction", asJSON(DestructionOrder{Day: "tomorrow"}))
	w.must(admin, 200, "GET", "/communes/21014/list", nil) // nothing is gone
	w.clock.Store(time.Date(2025, 3, 2, 0, 0, 1, 0, time.UTC).UnixMilli())
	admin = w.as(Administration)
	w.must(admin, 400, "POST", "/destruction", asJSON(DestructionOrder{Day: "2025-03-02", Backups: []string{t.TempDir()}}))
	w.must(admin, 200, "POST", "/destruction", asJSON(DestructionOrder{Day: "2025-03-02"}))
}

// Eighteen validated communes are not enough, whichever is missing, nor are nineteen without the
// prosecutor's list.
func TestDestructionNeedsAllNineteen(t *testing.T) {
	w := newWorld(t, 3)
	w.lawful()
	w.clock.Add((48 * time.Hour).Milliseconds())
	day := "2025-03-03"
	for ins := firstCommune; ins <= lastCommune; ins++ {
		key := communeKeyed('v', ins)
		kept, err := w.region.st.get(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.region.st.db.Delete(key, nil); err != nil {
			t.Fatal(err)
		}
		law, err := w.region.legal()
		if err != nil {
			t.Fatal(err)
		}
		if out := w.region.lawful(law, day); out == nil || out.why != "not validated" {
			t.Errorf("without %d: %+v", ins, out)
		}
		if err := w.region.st.set(key, kept); err != nil {
			t.Fatal(err)
		}
	}
	law, err := w.region.legal()
	if err != nil || w.region.lawful(law, day) != nil {
		t.Fatalf("all is there: %+v %v", law, err)
	}
	law.DrawnUp = ""
	if out := w.region.lawful(law, day); out == nil || out.why != "not settled" {
		t.Errorf("without the prosecutor: %+v", out)
	}
	w.must(w.as(Administration), 403, "PUT", "/settlement", asJSON(Settlement{"2025-02-01"}))
	w.must(w.as(Administration), 403, "PUT", "/validations/21014", []byte("{}"))
}

// secretsOnDisk are the electors' names and numbers, K and the commune keys in every form in
// which they could lie in a file.
func secretsOnDisk(t *testing.T, w *world) []string {
	t.Helper()
	out := append(secretsOf(w), testPerson, "Giver of the key")
	for _, d := range w.days {
		out = append(out, hex.EncodeToString(d.k[:]))
		for _, n := range d.numbers {
			out = append(out, n.Printed())
		}
		key, err := w.region.vault.of(d.ins)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(key.secret), hex.EncodeToString(key.secret), string(key.index), string(key.subject))
	}
	return out
}

// lived is a platform that has seen everything: lists, changes, codes, members, documents,
// hand-overs, a poll, and a copy.
func lived(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, testElectors)
	w.filled()
	d, officer := w.days[josse], w.as(Officer, josse)
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{{Action: "strike", NationalNumber: d.numbers[20].Digits(), Reason: "death"}}))
	w.must(officer, 200, "PUT", "/communes/21014/members", fmt.Appendf(nil, "member,national_number,bureau,function\n1,%s,1,president\n", d.numbers[0].Digits()))
	w.must(officer, 200, "POST", "/communes/21014/find", asJSON(Find{Surname: d.names[3]}))
	w.must(w.as(Elector, josse), 200, "GET", "/record", nil)
	w.must(caller{device: d.device(3)}, 201, "PUT", "/communes/21014/bureaux/3/documents/minutes.pdf", []byte("minutes of "+d.names[0]))
	w.must(w.as(Administration), 201, "POST", "/custody", asJSON(HandOver{
		Key: "21014-001-1", Digest: strings.Repeat("ab", 32), From: "administration", To: "commune", FromPerson: "Giver of the key", ToPerson: testPerson,
		At: time.UnixMilli(w.clock.Load()).UTC(),
	}))
	for _, d := range w.days {
		d.poll(t)
		w.must(caller{device: d.device(1)}, 200, "PUT", fmt.Sprintf("/communes/%d/ledger/0/entries?from=0", d.ins), bundle(d.entries...))
		w.anchor(d, 0, len(d.entries))
	}
	w.must(w.as(Administration), 201, "POST", "/backups", nil)
	return w
}

// Art. 16: nothing of anybody is left in any file, and every ledger still verifies.
func TestAfterDestructionNothingPersonalIsLeftAndTheLedgersVerify(t *testing.T) {
	w := lived(t)
	secrets := secretsOnDisk(t, w)
	if hits := searchFiles(t, w.dir, secrets); len(hits) == 0 {
		t.Fatal("the search does not even find the commune keys while they are there")
	}
	copies, err := os.ReadDir(w.options.Backups)
	if err != nil || len(copies) != 1 {
		t.Fatalf("%v %v", copies, err)
	}
	byHand := filepath.Join(t.TempDir(), "by-hand")
	if err := w.region.Backup(byHand); err != nil {
		t.Fatal(err)
	}
	w.lawful()
	w.clock.Store(time.Date(2025, 3, 2, 9, 0, 0, 0, time.UTC).UnixMilli())
	expert := w.as(Expert)
	admin := w.as(Administration)
	d := decode[Destruction](t, w.must(admin, 200, "POST", "/destruction", asJSON(DestructionOrder{Day: "2025-03-02"})))
	checkCertificate(t, w, &d, byHand)
	w.must(admin, 409, "POST", "/destruction", asJSON(DestructionOrder{Day: "2025-03-02"}))
	for _, path := range []string{"/communes/21014/list", "/communes/21014/check-ins", "/communes/21014/bureaux/3/documents/minutes.pdf", "/communes/21014/absent-members"} {
		w.must(expert, 410, "GET", path, nil)
	}
	if all := decode[[]HandOver](t, w.must(admin, 200, "GET", "/custody", nil)); len(all) != 1 || all[0].To != "commune" || all[0].ToPerson != "" {
		t.Errorf("hand-overs after destruction: %+v", all)
	}
	w.must(admin, 200, "GET", "/codes", nil)
	if st := decode[LedgerStatus](t, w.must(expert, 200, "GET", "/communes/21014/ledger", nil)); st.Agrees != "yes" || st.Size != uint64(len(w.days[josse].entries)) {
		t.Errorf("the ledger after destruction: %+v", st)
	}
	w.close()
	w.open() // and after a start
	for ins, day := range w.days {
		dir := filepath.Join(t.TempDir(), "export")
		if err := w.region.ExportLedger(ins, dir); err != nil {
			t.Fatal(err)
		}
		verifyExport(t, dir, uint64(len(day.entries)))
		if hits := searchFiles(t, dir, secrets); len(hits) > 0 {
			t.Error(hits)
		}
	}
	w.logged()
	w.close()
	for _, hit := range searchDatabase(t, w.dir, secrets) {
		if !strings.HasSuffix(hit, fmt.Sprintf("%q", testPerson)) {
			t.Error(hit)
		}
	}
	// The certificate names the official who destroyed; he is no elector.
	for _, dir := range []string{w.dir, filepath.Dir(w.options.Backups), filepath.Dir(byHand)} {
		if _, err := os.Stat(dir); err != nil {
			t.Fatal(err)
		}
		for _, hit := range searchTree(t, dir, secrets) {
			if !strings.HasSuffix(hit, fmt.Sprintf("%q", testPerson)) {
				t.Error(hit)
			}
		}
	}
}

// searchDatabase looks through all that the database holds: in its files it lies in compressed blocks.
func searchDatabase(t *testing.T, dir string, secrets []string) (hits []string) {
	t.Helper()
	db, err := pebble.Open(filepath.Join(dir, databaseDir), &pebble.Options{ReadOnly: true, Logger: pebbleLogger{slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	records := 0
	for ok := all.First(); ok; ok = all.Next() {
		records++
		text := string(all.Key()) + "\x00" + string(all.Value())
		for _, s := range secrets {
			if strings.Contains(text, s) {
				hits = append(hits, fmt.Sprintf("record %q holds %q", all.Key(), s))
			}
		}
	}
	if err := all.Error(); err != nil || records == 0 {
		t.Fatalf("%d records, %v", records, err)
	}
	return hits
}

// What would lie in the database in clear is found, in compressed tables too: the search of the test above can fail.
func TestASearchOfTheDatabaseFindsWhatIsPlanted(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	d := w.days[josse]
	secrets := secretsOf(w)
	number := d.numbers[2].Digits()
	for i := range 200 {
		value := []byte(strings.Repeat("the same again and again ", 40) + number + strings.Repeat(" and again", 40))
		if err := w.region.st.db.Set(fmt.Appendf(nil, "planted %d", i), value, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.region.st.db.Flush(), w.region.st.db.Compact(t.Context(), []byte("planted"), []byte("planted~"), false)); err != nil {
		t.Fatal(err)
	}
	w.close()
	hits := searchDatabase(t, w.dir, secrets)
	if len(hits) != 200 || !strings.HasSuffix(hits[0], fmt.Sprintf("%q", number)) {
		t.Errorf("%d hits: %.300v", len(hits), hits)
	}
}

// searchTree is searchFiles in a directory that may have no file left.
func searchTree(t *testing.T, dir string, secrets []string) []string {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		return nil
	}
	return searchFiles(t, dir, secrets)
}

func checkCertificate(t *testing.T, w *world, d *Destruction, byHand string) {
	t.Helper()
	v, err := note.NewVerifier(w.region.LogVKey())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(d.Certificate), note.VerifierList(v))
	if err != nil {
		t.Fatalf("%v\n%s", err, d.Certificate)
	}
	for _, want := range []string{
		"day: 2025-03-02\n", "by: " + testPerson + ", administration, code ", "validated: 21019 on 2024-12-01", "lawful from: 2025-03-02",
		"keys/21014.key", "keys/21006.key", "keys/region.key", "0 handed over for destruction, 12 not", w.options.Backups, byHand,
	} {
		if !strings.Contains(n.Text, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, n.Text)
		}
	}
	if again := decode[Destruction](t, w.must(w.as(Expert), 200, "GET", "/destruction", nil)); again.Certificate != d.Certificate {
		t.Error("another certificate is shown later")
	}
}

// A destruction that was cut short is taken up before anybody is served.
func TestADestructionThatWasCutShortIsCompletedAtTheStart(t *testing.T) {
	w := lived(t)
	secrets := secretsOnDisk(t, w)
	b := w.region.st.db.NewBatch()
	d := &Destruction{Day: "2025-03-02", Person: testPerson, By: "code x", Backups: []string{}}
	if err := errors.Join(putDestruction(b, d), b.Set([]byte{regionPrefix, 'k'}, []byte(keysDestroyed), nil), b.Commit(nil), b.Close()); err != nil {
		t.Fatal(err)
	}
	w.close()
	w.open()
	got, err := w.region.readDestruction()
	if err != nil || got.Certificate == "" {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := w.region.vault.of(josse); !errors.Is(err, ErrDestroyed) {
		t.Errorf("a key is there: %v", err)
	}
	for _, hit := range searchFiles(t, w.dir, secrets) {
		if !strings.HasSuffix(hit, fmt.Sprintf("%q", testPerson)) {
			t.Error(hit)
		}
	}
}

// A key that is lost is never silently replaced.
func TestALostCommuneKeyStopsTheStart(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	w.close()
	name := filepath.Join(w.dir, keysDir, fmt.Sprint(josse)+keySuffix)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	s, err := Open(w.dir, w.serverOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := OpenRegion(s, w.dir, w.options); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened: %v", err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("a new key was made")
	}
}

// Keys that were put on another disk, and a copy that was moved there, lie behind links.
func TestKeysAndCopiesBehindLinksAreDestroyed(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	away := t.TempDir()
	moved := func(from, name string) string {
		t.Helper()
		to := filepath.Join(away, name)
		if err := errors.Join(os.Rename(from, to), os.Symlink(to, from)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	byHand := filepath.Join(t.TempDir(), "by-hand")
	if err := w.region.Backup(byHand); err != nil {
		t.Fatal(err)
	}
	w.close()
	keys, one, copied := moved(filepath.Join(w.dir, keysDir), keysDir), "", moved(byHand, "copy")
	one = moved(filepath.Join(keys, fmt.Sprint(josse)+keySuffix), "one key of them")
	secret, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(away, "another's")
	if err := errors.Join(os.WriteFile(other, []byte("kept"), 0o600), os.Symlink(other, filepath.Join(copied, "note"))); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.lawful()
	w.clock.Store(time.Date(2025, 3, 2, 9, 0, 0, 0, time.UTC).UnixMilli())
	d := decode[Destruction](t, w.must(w.as(Administration), 200, "POST", "/destruction", asJSON(DestructionOrder{Day: "2025-03-02"})))
	for _, want := range []string{"overwritten and removed: " + one + "\n", "keys/21006.key", " files overwritten and removed: "} {
		if !strings.Contains(d.Certificate, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, d.Certificate)
		}
	}
	if strings.Contains(d.Certificate, "by hand: ") || strings.Contains(d.Certificate, "before a restart") {
		t.Error(d.Certificate)
	}
	for _, gone := range []string{one, filepath.Join(keys, fmt.Sprint(evere)+keySuffix), copied} {
		if _, err := os.Lstat(gone); err == nil {
			t.Errorf("%s is left", gone)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("what a stranger's link leads to is gone: %v", err)
	}
	if hits := searchTree(t, away, []string{strings.TrimSpace(string(secret))}); len(hits) > 0 {
		t.Error(hits)
	}
}
