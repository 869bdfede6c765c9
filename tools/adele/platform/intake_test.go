package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/node/adele"
)

// bundle is a body of entries.
func bundle(entries ...[]byte) (out []byte) {
	for _, e := range entries {
		out = ledger.AppendToBundle(out, e)
	}
	return out
}

// anchor has the witness cosign the day at a size, over its own address's handler.
func (w *world) anchor(d *testDay, old, size int) []byte {
	w.t.Helper()
	proof := tlog.TreeProof{}
	if old > 0 {
		var err error
		if proof, err = tlog.ProveTree(int64(size), int64(old), d.hashes); err != nil {
			w.t.Fatal(err)
		}
	}
	note := d.checkpoint(w.t, size)
	a, err := w.server.add(body(int64(old), proof, note))
	if err != nil || a.verdict != Cosigned {
		w.t.Fatalf("anchor %d: %+v %v", size, a, err)
	}
	return append(note, a.line...)
}

// poll is a small day: twelve electors vote, one of them by proxy, members turn up or not.
func (d *testDay) poll(t *testing.T) {
	t.Helper()
	d.put(t, 1, &ledger.Attendance{Member: 1, Presence: ledger.Active}, &ledger.Attendance{Member: 2, Presence: ledger.Absent})
	for i := range 12 {
		d.put(t, ledger.BureauNumber(1+i%testBureaux), d.admission(i))
	}
}

func (w *world) adeleClient(d *testDay, n ledger.BureauNumber) *adele.Client {
	w.t.Helper()
	c, err := adele.NewClient(adele.Options{URL: w.url, Pin: w.region.Pin(), Device: d.device(n)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// What ADELE holds equals the ledger.
func TestUploadedEntriesAreTheLedgerThatWasAnchored(t *testing.T) {
	w := newWorld(t, testElectors)
	d := w.days[josse]
	c := w.adeleClient(d, 1)
	d.poll(t)
	w.anchor(d, 0, 5)
	st, err := c.Sync(t.Context(), josse, d)
	if err != nil || st.Size != uint64(len(d.entries)) || st.Root != d.root(len(d.entries)).String() {
		t.Fatalf("%+v %v", st, err)
	}
	note := w.anchor(d, 5, len(d.entries))
	if err := c.Checkpoint(t.Context(), josse, 0, note); err != nil {
		t.Fatal(err)
	}
	st, err = c.Status(t.Context(), josse)
	if err != nil || st.Agrees != "yes" || st.AnchoredSize != st.Size || st.AnchoredRoot != st.Root {
		t.Fatalf("%+v %v", st, err)
	}
	// An expert downloads every file and verifies it as any other export.
	expert := w.as(Expert)
	dir := fstest.MapFS{}
	for name := range strings.Lines(string(w.must(expert, 200, "GET", "/communes/21014/ledger/files/", nil))) {
		name = strings.TrimSpace(name)
		dir[name] = &fstest.MapFile{Data: w.must(expert, 200, "GET", "/communes/21014/ledger/files/"+name, nil)}
	}
	x, err := election.OpenExport(dir)
	if err != nil {
		t.Fatal(err)
	}
	report, err := ledger.Verify(t.Context(), dir, x.Group, x.Epoch, ledger.Options{})
	if err != nil || report.Entries != uint64(len(d.entries)) || report.Anchors != 2 {
		t.Fatalf("%+v %v", report, err)
	}
}

func TestAnUploadGoesOnWhereItWasCut(t *testing.T) {
	w := newWorld(t, testElectors)
	d := w.days[josse]
	d.poll(t)
	one := w.as(PrincipalMachine, josse)
	put := func(from int, body []byte) (int, []byte) {
		return w.ask(one, "PUT", fmt.Sprintf("/communes/21014/ledger/0/entries?from=%d", from), body)
	}
	all := bundle(d.entries[:6]...)
	if code, _ := put(0, all[:len(all)-3]); code != http.StatusUnprocessableEntity {
		t.Errorf("a bundle cut short: %d", code)
	}
	if st := decode[LedgerStatus](t, w.must(one, 200, "GET", "/communes/21014/ledger", nil)); st.Size != 0 {
		t.Fatalf("a refused upload left %d entries", st.Size)
	}
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", all)
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", all) // again
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=3", bundle(d.entries[3:8]...))
	code, raw := put(10, bundle(d.entries[10]))
	if st := decode[Intake](t, raw); code != http.StatusConflict || st.Size != 8 {
		t.Errorf("a gap: %d %s", code, raw)
	}
	st, err := w.adeleClient(d, 2).Sync(t.Context(), josse, d) // the deputy goes on
	if err != nil || st.Size != uint64(len(d.entries)) {
		t.Fatalf("%+v %v", st, err)
	}
}

func TestEntriesThatTheRulesDoNotGiveAreRefused(t *testing.T) {
	w := newWorld(t, testElectors)
	d, other := w.days[josse], w.days[evere]
	d.poll(t)
	one := w.as(PrincipalMachine, josse)
	w.must(one, 422, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(other.entries[0]))
	w.must(one, 403, "PUT", "/communes/21006/ledger/0/entries?from=0", bundle(other.entries[0]))
	w.must(w.as(BureauMachine, josse), 403, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries[0]))
	for i := range d.entries[3] {
		forged := append([]byte{}, d.entries[3]...)
		forged[i] ^= 1
		if code, _ := w.ask(one, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries[0], d.entries[1], d.entries[2], forged)); code != http.StatusUnprocessableEntity {
			t.Fatalf("byte %d changed: %d", i, code)
		}
	}
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries[:5]...))
	forged := append([]byte{}, d.entries[3]...)
	forged[60] ^= 1
	w.must(one, 409, "PUT", "/communes/21014/ledger/0/entries?from=3", bundle(forged))
	w.must(one, 422, "PUT", "/communes/21014/ledger/1/entries?from=0", bundle(d.entries[5]))
	w.must(one, 422, "PUT", "/communes/21014/ledger/0/checkpoint", []byte("no note"))
	w.must(one, 409, "PUT", "/communes/21014/ledger/0/checkpoint", d.checkpoint(t, 6)) // beyond what is here
}

// A principal bureau that had another history anchored can't bring this one.
func TestEntriesAgainstTheAnchoredCheckpointAreRefused(t *testing.T) {
	w := newWorld(t, testElectors)
	d := w.days[josse]
	d.poll(t)
	one := w.as(PrincipalMachine, josse)
	false4 := ledger.Checkpoint{Origin: d.group.Origin(0), Size: 4, Root: ledger.Hash{1}}
	note, err := ledger.SignCheckpoint(false4, testKey(josse, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if a, err := w.server.add(body(0, nil, note)); err != nil || a.verdict != Cosigned {
		t.Fatalf("%+v %v", a, err)
	}
	w.must(one, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries[:3]...))
	code, raw := w.ask(one, "PUT", "/communes/21014/ledger/0/entries?from=3", bundle(d.entries[3:8]...))
	if st := decode[Intake](t, raw); code != http.StatusConflict || st.Size != 3 {
		t.Fatalf("%d %s", code, raw)
	}
	if _, err := w.adeleClient(d, 1).Sync(t.Context(), josse, d); err == nil || !strings.Contains(err.Error(), "another ledger") {
		t.Errorf("the client says %v", err)
	}
	w.must(one, 409, "PUT", "/communes/21014/ledger/0/checkpoint", note)
	if st := decode[LedgerStatus](t, w.must(one, 200, "GET", "/communes/21014/ledger", nil)); st.Size != 3 || st.Agrees != "behind" {
		t.Errorf("%+v", st)
	}
}

// After a recovery the ledger goes on in a new epoch from fewer entries than are here.
func TestANewEpochGoesOnFromItsSeed(t *testing.T) {
	w, day := recovered(t)
	c, err := adele.NewClient(adele.Options{URL: w.url, Pin: w.region.Pin(), Device: ledgertest.Key(ledgertest.DeviceName(1, 0))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := day.EarlierEntries(0)
	if _, err := c.Sync(t.Context(), ledgertest.INS, epochs{encoded(first)}); err != nil {
		t.Fatal(err)
	}
	// The platform has seen entries that the seed does not know.
	lost := recoveredExtra(t, day)
	if _, _, err := c.Upload(t.Context(), ledgertest.INS, 0, uint64(len(first)), lost); err != nil {
		t.Fatal(err)
	}
	st, err := c.Sync(t.Context(), ledgertest.INS, epochs{append(encoded(first), lost...), encoded(day.Entries)})
	if err != nil || st.Epoch != 1 || st.Size != uint64(len(day.Entries)) {
		t.Fatalf("%+v %v", st, err)
	}
	want := day.Checkpoint().Root
	if st.Root != base64.StdEncoding.EncodeToString(want[:]) {
		t.Errorf("the new epoch's root is another one")
	}
	note := day.Anchors[len(day.Anchors)-1]
	if err := c.Checkpoint(t.Context(), ledgertest.INS, 1, note); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "export")
	if err := w.region.ExportLedger(ledgertest.INS, dir); err != nil {
		t.Fatal(err)
	}
	verifyExport(t, dir, uint64(len(day.Entries)))
}

func TestMachinesOfARetiredKeyAreUnknown(t *testing.T) {
	w, day := recovered(t)
	client := func(n ledger.BureauNumber) *adele.Client {
		c, err := adele.NewClient(adele.Options{URL: w.url, Pin: w.region.Pin(), Device: ledgertest.Key(ledgertest.DeviceName(n, 0))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	if _, err := client(3).Status(t.Context(), ledgertest.INS); err != nil {
		t.Fatal(err)
	}
	day.Started(1).Put(day.Amend(ledger.Amendment{Number: 1, Act: ledger.Retire, Bureau: 3}))
	if _, err := client(1).Sync(t.Context(), ledgertest.INS, epochs{encoded(day.EarlierEntries(0)), encoded(day.Entries)}); err != nil {
		t.Fatal(err)
	}
	if _, err := client(3).Status(t.Context(), ledgertest.INS); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a retired machine hears %v", err)
	}
}

func TestAWrongPinEndsTheConnection(t *testing.T) {
	w := newWorld(t, 3)
	c, err := adele.NewClient(adele.Options{URL: w.url, Pin: strings.Repeat("00", 32), Device: w.days[josse].device(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(context.Background(), josse); err == nil || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("the client says %v", err)
	}
}
