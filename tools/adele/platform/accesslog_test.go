package platform

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"pointage/ledger"
)

// readLog verifies an exported access log.
func readLog(t testing.TB, dir, vkey string) []LogEntry {
	t.Helper()
	var all []LogEntry
	c, err := VerifyLog(os.DirFS(dir), vkey, func(e *LogEntry) { all = append(all, *e) })
	if err != nil {
		t.Fatal(err)
	}
	if c.Size != uint64(len(all)) {
		t.Fatalf("the checkpoint has %d entries, %d were read", c.Size, len(all))
	}
	return all
}

// Arts. 14 and 15: who, when, what, why; never a personal datum in clear.
func TestEveryAccessIsInTheSignedLogWithoutPersonalData(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	college := w.as(College)
	d := w.days[josse]
	w.must(college, 200, "POST", "/communes/21014/find", asJSON(Find{NationalNumber: d.numbers[5].Digits()}))
	w.must(college, 200, "GET", "/communes/21014/list", nil)
	officer := w.as(Officer, josse)
	w.must(officer, 403, "GET", "/communes/21006/list", nil)
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{{Action: "strike", NationalNumber: d.numbers[5].Digits(), Reason: "death"}}))
	w.must(caller{}, 401, "POST", "/session", asJSON(map[string]string{"code": "abcdefgh-jkmnp-qrstv-wxyz0-12345"}))
	w.must(caller{}, 401, "GET", "/communes/21014/list", nil)

	entries := w.logged()
	find := func(act Resource, outcome string, commune ledger.Commune) *LogEntry {
		for i := range entries {
			if e := &entries[i]; e.Act == string(act) && e.Outcome == outcome && e.Commune == commune {
				return e
			}
		}
		t.Fatalf("no entry of %s %s in %d", act, outcome, commune)
		return nil
	}
	found, struck := find(ElectorFind, outcomeDone, josse), find(ElectorChange, outcomeDone, josse)
	if found.Role != College || !strings.HasPrefix(found.Actor, "code ") || found.At.UnixMilli() != w.clock.Load()/1000*1000 {
		t.Errorf("the consultation of the college: %+v", found)
	}
	if len(found.Subjects) != 1 || len(struck.Subjects) != 1 || found.Subjects[0] != struck.Subjects[0] || struck.Why != "strike death" {
		t.Errorf("one elector has two pseudonyms, or none: %+v %+v", found, struck)
	}
	if refused := find(ListRead, outcomeRefused, evere); refused.Role != Officer || refused.Why != "other commune" {
		t.Errorf("the refused access: %+v", refused)
	}
	if e := find(actSignIn, outcomeRefused, 0); e.Actor != "nobody" || e.Why != "wrong code" {
		t.Errorf("the wrong code: %+v", e)
	}
	if e := find(ListRead, outcomeDone, josse); e.Count != testElectors {
		t.Errorf("the list read: %+v", e)
	}
	for _, e := range entries {
		raw, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range append(secretsOf(w), testPerson) {
			if strings.Contains(string(raw), secret) {
				t.Fatalf("entry %d holds %q", e.Position, secret)
			}
		}
	}
}

// The log is read over the API while reading it makes it grow, and every use of a code is in it.
func TestTheAccessLogIsReadAsItWasAtOneSize(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	expert := w.as(Expert)
	size := len(w.logged())
	dir := fstest.MapFS{}
	for name := range strings.Lines(string(w.must(expert, 200, "GET", fmt.Sprintf("/log/?size=%d", size), nil))) {
		name = strings.TrimSpace(name)
		dir[name] = &fstest.MapFile{Data: w.must(expert, 200, "GET", fmt.Sprintf("/log/%s?size=%d", name, size), nil)}
	}
	read := 0
	if c, err := VerifyLog(dir, w.region.LogVKey(), func(*LogEntry) { read++ }); err != nil || read != size || c.Size != uint64(size) {
		t.Fatalf("%d of %d entries: %v", read, size, err)
	}
	w.must(expert, 400, "GET", "/log/?size=100000", nil)
	w.must(expert, 200, "GET", "/communes/21014/ledger", nil)
	uses := map[string]int{}
	for _, e := range w.logged()[size:] {
		uses[e.Act]++
		if e.Role != Expert {
			t.Errorf("%+v", e)
		}
	}
	if uses[string(LogRead)] < 2 || uses[string(LedgerRead)] != 1 {
		t.Errorf("logged: %v", uses)
	}
}

// secretsOf are every elector's name and numbers, and each K.
func secretsOf(w *world) (out []string) {
	for _, d := range w.days {
		for i, n := range d.numbers {
			out = append(out, d.names[i], n.Digits())
		}
		for line := range strings.Lines(string(d.list)) {
			if f := strings.Split(strings.TrimSpace(line), ","); f[0] != "national_number" {
				out = append(out, f[len(f)-1], f[2])
			}
		}
		out = append(out, string(d.k[:]))
	}
	return out
}

func TestAnAlteredAccessLogIsFound(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	dir := filepath.Join(t.TempDir(), "log")
	if err := w.region.ExportLog(dir); err != nil {
		t.Fatal(err)
	}
	all := readLog(t, dir, w.region.LogVKey())
	changed := 0
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		good, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, at := range []int{0, len(good) / 2, len(good) - 1} {
			bad := append([]byte{}, good...)
			bad[at] ^= 1
			if err := os.WriteFile(name, bad, 0o600); err != nil {
				return err
			}
			if _, err := VerifyLog(os.DirFS(dir), w.region.LogVKey(), func(*LogEntry) {}); err == nil {
				t.Errorf("%s: a bit of byte %d may be changed", name, at)
			}
			changed++
		}
		return os.WriteFile(name, good, 0o600)
	})
	if err != nil || changed < 12 {
		t.Fatalf("%d changes, %v", changed, err)
	}
	if again := readLog(t, dir, ""); len(again) != len(all) {
		t.Error("the log was not put back")
	}
}
