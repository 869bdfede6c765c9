package minutes

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/proxies"
)

var update = flag.Bool("update", false, "write testdata anew")

func keyOf(number string) ledger.Hash { return sha256.Sum256([]byte(number)) }

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("%s, line %d:\n got %q\nwant %q (-update writes it anew)", name, i+1, a[i], append(b, "", "")[min(i, len(b))])
			}
		}
		t.Fatalf("%s has more lines (-update writes it anew)", name)
	}
}

// documents are all that a day prints, by name.
func documents(t *testing.T) map[string]*Document {
	t.Helper()
	out := map[string]*Document{}
	for kind, name := range map[election.Kind]string{election.Live: "live", election.Rehearsal: "rehearsal"} {
		c := collected(t, fullDay(t, kind))
		for _, lang := range Languages {
			key := func(what string) string { return fmt.Sprintf("%s-%s-%v", name, what, lang) }
			out[key("bureau-1")] = Compose(minutesOf(t, c, 1, nil), lang)
			if kind == election.Rehearsal {
				continue
			}
			out[key("bureau-2")] = Compose(minutesOf(t, c, 2, names(t)), lang)
			out[key("commune")] = Compose(minutesOf(t, c, 0, names(t)), lang)
			out[key("absent-electors")] = c.AbsentElectors(lang, person)
			out[key("absent-members")] = AbsentMembers(minutesOf(t, c, 0, names(t)), lang)
			var rows []Listed
			for i := 1; i < 24; i += 3 {
				who, _ := person(ledgertest.Elector(i))
				row := Listed{Person: who}
				if in, ok := c.CheckedIn(ledgertest.Elector(i)); ok {
					row.In = &in
				}
				rows = append(rows, row)
			}
			out[key("fallback-2")] = Fallback(&c.frame, lang, 2, ledgertest.Opens+3*3600*1000, "test-2024/21014/epoch-0", rows)
		}
	}
	return out
}

// person makes a name for every elector but the last.
func person(e ledger.ElectorToken) (Person, bool) {
	for i := range 23 {
		if e == ledgertest.Elector(i) {
			surname := []string{"Éloy", "De Smet", "élan", "Ó Briain", "Zwaenepoel", "Van Der Elst"}[i%6]
			return Person{surname, fmt.Sprintf("Prénom-%d", i), fmt.Sprintf("80.01.01-%03d.%02d", i, i), fmt.Sprintf("14 00%03d 00", i), fmt.Sprintf("Rue de la Limite %d, 1210 Saint-Josse-ten-Noode", i)}, true
		}
	}
	return Person{}, false
}

func TestDocumentsAreAsAgreed(t *testing.T) {
	var sums strings.Builder
	docs := documents(t)
	for _, name := range sortedKeys(docs) {
		d := docs[name]
		golden(t, name+".txt", []byte(d.Plain()))
		pdf, err := d.PDF()
		if err != nil {
			t.Fatal(err)
		}
		page, err := d.HTML()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s.pdf\n%x  %s.html\n", sha256.Sum256(pdf), name, sha256.Sum256(page), name)
	}
	golden(t, "sha256", []byte(sums.String()))
}

func sortedKeys(docs map[string]*Document) (out []string) {
	for name := range docs {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestTheSameDayGivesTheSameBytes(t *testing.T) {
	d := fullDay(t, election.Live)
	var before []byte
	for range 3 {
		pdf, err := Compose(minutesOf(t, collected(t, d), 0, names(t)), French).PDF()
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(pdf, before) {
			t.Fatal("two files of one day differ")
		}
		before = pdf
	}
}

func TestFiguresAreThoseOfTheLedger(t *testing.T) {
	for name, d := range map[string]*ledgertest.Day{"full": fullDay(t, election.Live), "recovered": recoveredDay(t)} {
		c := collected(t, d)
		m := minutesOf(t, c, 0, nil)
		records, voted := 0, 0
		ledger.RangeAdmissions(d.View, func(x ledger.Right, as []ledger.LiveAdmission) bool {
			if x.Kind == ledger.Admit {
				records, voted = records+len(as), voted+1
			}
			got := c.standing.of(x)
			if len(got) != len(as) {
				t.Errorf("%s: %d records of a right, the ledger has %d", name, len(got), len(as))
				return true
			}
			for i, a := range as {
				if got[i].bureau != a.Bureau || got[i].id != a.ID || got[i].at != a.Position {
					t.Errorf("%s: record %+v, the ledger has %+v", name, got[i], a)
				}
			}
			return true
		})
		if m.Total.CheckedIn() != records || m.Total.Voted != voted {
			t.Errorf("%s: %d check-ins of %d electors, the ledger has %d of %d", name, m.Total.CheckedIn(), m.Total.Voted, records, voted)
		}
		sum := 0
		for _, n := range m.Total.ByMeans {
			sum += n
		}
		if sum != records {
			t.Errorf("%s: %d check-ins by means of %d", name, sum, records)
		}
		if want := d.Checkpoint(); m.Ledger.Root != want.Root || m.Ledger.Size != want.Size || m.Ledger.Origin != want.Origin || m.Ledger.Head != ledger.ReadHead(d.View).Last {
			t.Errorf("%s: %+v, the checkpoint is %+v", name, m.Ledger, want)
		}
	}
}

// recoveredDay goes on in a second epoch after its last entry was lost.
func recoveredDay(t *testing.T) *ledgertest.Day {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, two := d.Started(1), d.Started(2)
	one.Put(ledgertest.Admission(0), ledgertest.Admission(3))
	lost := two.Sign(ledgertest.Admission(1))
	d.Place(lost)
	d.Recover(uint64(len(d.Entries)) - 1)
	d.Place(lost)
	one.Put(ledgertest.Admission(6))
	return d
}

func TestEarlierEpochsStandInTheMinutes(t *testing.T) {
	m := minutesOf(t, collected(t, recoveredDay(t)), 0, nil)
	if len(m.Ledger.Earlier) != 1 || m.Ledger.Earlier[0].Origin != "test-2024/21014/epoch-0" || m.Ledger.Epoch != 1 {
		t.Errorf("%+v", m.Ledger)
	}
	if m.Total.CheckedIn() != 4 {
		t.Errorf("%d check-ins, want 4", m.Total.CheckedIn())
	}
}

func TestAnnulledAndVoidedDoNotCount(t *testing.T) {
	m := minutesOf(t, collected(t, fullDay(t, election.Live)), 0, nil)
	one, two := m.Bureaux[0], m.Bureaux[1]
	if one.Voided != 1 || two.Annulled != 1 {
		t.Errorf("voided %d, annulled %d", one.Voided, two.Annulled)
	}
	if one.Own != 3 || two.Own != 2 || two.Away != 1 || two.Proxies != 1 || one.Elsewhere != 1 {
		t.Errorf("%+v\n%+v", one.Figures, two.Figures)
	}
}

func TestDoubleAdmissionShowsBothRecords(t *testing.T) {
	c := collected(t, fullDay(t, election.Live))
	for n, want := range map[ledger.BureauNumber]int{0: 1, 1: 1, 2: 0, 3: 1} {
		m := minutesOf(t, c, n, nil)
		if len(m.Doubles.Rows) != want {
			t.Fatalf("bureau %d: %d doubles, want %d", n, len(m.Doubles.Rows), want)
		}
		if want == 0 {
			continue
		}
		if rs := m.Doubles.Rows[0].Records; len(rs) != 2 || rs[0].Bureau != 3 || rs[1].Bureau != 1 || rs[0].Entry == 0 || rs[0].Entry >= rs[1].Entry {
			t.Errorf("bureau %d: %+v", n, rs)
		}
	}
}

func TestOwnStatementsCountBeforeTheyHaveAPlace(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 8, nil)
	one := d.Started(1)
	one.Put(ledgertest.Admission(0))
	c := collected(t, d)
	before := minutesOf(t, c, 1, nil)
	waiting := one.Sign(ledgertest.Admission(2), ledgertest.Admission(4), &ledger.BureauClosed{CheckedIn: 3})
	f := c.Fork()
	f.Own(waiting, len(waiting.Statements))
	m := minutesOf(t, f, 1, nil)
	if m.Pending != 3 || m.Bureaux[0].Own != 3 || m.Bureaux[0].Closed == nil || m.Ledger.Size != before.Ledger.Size {
		t.Errorf("%+v", m)
	}
	if again := minutesOf(t, c, 1, nil); !reflect.DeepEqual(again, before) {
		t.Errorf("reading own statements changed what they were added to:\n%+v\n%+v", again, before)
	}
	// Once they have their place the figures are the same.
	d.Place(waiting)
	if placed := minutesOf(t, collected(t, d), 1, nil); placed.Pending != 0 || placed.Bureaux[0].Figures != m.Bureaux[0].Figures {
		t.Errorf("placed %+v, before %+v", placed.Bureaux[0], m.Bureaux[0])
	}
}

func TestRecordedMinutesAreDrawnAgainFromTheWholeLedger(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 8, nil)
	one, two := d.Started(1), d.Started(2)
	one.Put(ledgertest.Admission(0))
	upTo := uint64(len(d.Entries))
	// Bureau 1 is cut off: what it states is placed later, behind another bureau's.
	waiting := []*ledger.Batch{one.Sign(ledgertest.Admission(2), &ledger.BureauClosed{CheckedIn: 2})}
	c := collected(t, d).Fork()
	c.Own(waiting[0], 2)
	before, err := Compose(minutesOf(t, c, 1, nil), Dutch).PDF()
	if err != nil {
		t.Fatal(err)
	}
	// Between the drawing and the statement somebody else wrote into the chain.
	waiting = append(waiting, one.Sign(&ledger.Message{Sealed: []byte("late")}, &ledger.Minutes{Bureau: 1, UpTo: upTo, Own: one.At.Next, Dutch: sha256.Sum256(before)}))
	two.Put(ledgertest.Admission(1))
	for _, b := range waiting {
		d.Place(b)
	}
	two.Put(ledgertest.Admission(3))
	next := func(ref uint64) (uint64, []byte, error) {
		if ref >= uint64(len(d.Entries)) {
			return 0, nil, nil
		}
		return ref, d.Entries[ref].Encoded, nil
	}
	whole, err := NewCollector(d.Manifest, d.Group)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Read(t.Context(), next, 0); err != nil {
		t.Fatal(err)
	}
	drawn := whole.Drawn()
	if len(drawn) != 1 {
		t.Fatalf("%d recorded", len(drawn))
	}
	again, err := NewCollector(d.Manifest, d.Group)
	if err == nil {
		err = again.Read(t.Context(), next, drawn[0].UpTo)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := again.Recorded(t.Context(), next, &drawn[0])
	if err != nil {
		t.Fatal(err)
	}
	after, err := Compose(minutesOf(t, f, 1, nil), Dutch).PDF()
	if err != nil || sha256.Sum256(after) != drawn[0].Dutch {
		t.Errorf("drawn up again they are another file: %v", err)
	}
	if _, err := whole.Recorded(t.Context(), next, &drawn[0]); err == nil {
		t.Error("a collector that has read on draws minutes of before")
	}
}

func TestForkLeavesItsSourceAlone(t *testing.T) {
	d := fullDay(t, election.Live)
	c, err := NewCollector(d.Manifest, d.Group)
	if err != nil {
		t.Fatal(err)
	}
	half := len(d.Entries) / 2
	read(c, 0, d.Entries[:half])
	before, f := minutesOf(t, c, 0, nil), c.Fork()
	for i, e := range d.Entries[half:] {
		f.Entry(uint64(half+i), e.Entry, e.Batch)
	}
	if !reflect.DeepEqual(minutesOf(t, c, 0, nil), before) {
		t.Error("a fork wrote into what it was made from")
	}
	if want := minutesOf(t, collected(t, d), 0, nil); !reflect.DeepEqual(minutesOf(t, f, 0, nil), want) {
		t.Error("a fork that has read the rest is not the same as the whole")
	}
}

func TestAlertFromAGapOfTen(t *testing.T) {
	for issued, alert := range map[uint32]bool{9: false, 10: true, 0: false} {
		d := ledgertest.NewDay(t, 2, 4, nil)
		d.Started(1).Put(&ledger.Count{CheckedIn: 0, Issued: issued, Scanned: issued})
		c := collected(t, d)
		for n := range ledger.BureauNumber(2) {
			said := strings.Contains(Compose(minutesOf(t, c, n, nil), French).Plain(), "!! ALERTE")
			if said != alert {
				t.Errorf("gap %d in minutes of %d: alert %v", issued, n, said)
			}
		}
	}
}

func TestRehearsalIsOnEveryPageAndLiveOnNone(t *testing.T) {
	for name, d := range documents(t) {
		rehearsal := strings.HasPrefix(name, "rehearsal")
		if (d.Watermark != "") != rehearsal || (d.Banner != "") != rehearsal {
			t.Errorf("%s: watermark %q, banner %q", name, d.Watermark, d.Banner)
		}
		if said := strings.Contains(d.Plain(), "RÉPÉTITION") || strings.Contains(d.Plain(), "OEFENING"); said != rehearsal {
			t.Errorf("%s: says rehearsal %v", name, said)
		}
	}
}

func TestAbsentElectorsAreThoseWithoutACheckIn(t *testing.T) {
	c := collected(t, fullDay(t, election.Live))
	m := minutesOf(t, c, 0, nil)
	d := c.AbsentElectors(French, person)
	var rows [][]string
	for _, b := range d.Blocks {
		if table, ok := b.(Table); ok {
			rows = table.Rows
		}
	}
	unknown := 1 // elector 23 is not on the register at hand, and the list says so
	if want := 24 - m.Total.Voted; len(rows)+unknown != want || !strings.Contains(d.Plain(), "ne se trouvent pas dans le registre ouvert ici : 1.") {
		t.Errorf("%d absent and %d unknown, want %d in all", len(rows), unknown, want)
	}
	order := ""
	for _, r := range rows {
		if key := letters(r[1]) + " " + letters(r[2]); key < order {
			t.Errorf("%q comes behind %q", key, order)
		} else {
			order = key
		}
	}
}

func TestNamesComeFromTheSealedListAndElseNumbers(t *testing.T) {
	c := collected(t, fullDay(t, election.Live))
	with, without := minutesOf(t, c, 2, names(t)), minutesOf(t, c, 2, nil)
	if !with.Named || without.Named {
		t.Error("minutes with names don't say so, or those without do")
	}
	got := map[uint16]string{}
	for _, m := range with.Members.Rows {
		got[m.Number] = m.Name
	}
	if len(with.Members.Rows) != 4 || !strings.HasPrefix(got[3], "van den Bossche") || got[16448] != "Lemaire Zoë" {
		t.Errorf("%v", got)
	}
	for _, m := range without.Members.Rows {
		if m.Name != "" || m.Function != 0 {
			t.Errorf("member %d has a name or a function that nobody handed in", m.Number)
		}
	}
	if last := with.Members.Rows[2]; last.Number != 5 || last.Presence != ledger.Absent {
		t.Errorf("%+v: the last word on a presence counts", last)
	}
}

func TestEveryNumberHasItsWords(t *testing.T) {
	for _, lang := range Languages {
		c := &composer{words: words{lang}}
		other := RefusalText(0, lang)
		for r := ledger.NotRefused + 1; r.Known(); r++ {
			if r > MaxRefusal || RefusalText(r, lang) == other {
				t.Errorf("%v: refusal %d has no words", lang, r)
			}
		}
		for _, r := range proxies.Reasons() {
			if r > MaxReason || ProxyReason(uint8(r), lang) == other {
				t.Errorf("%v: reason %d has no words", lang, r)
			}
		}
		for k := ledger.KindSessionOpened; k <= ledger.KindMinutes; k++ {
			if c.kind(k) == "" {
				t.Errorf("%v: %v has no words", lang, k)
			}
		}
		for v := ledger.NotHeld; v <= ledger.Unauthorised; v++ {
			if c.verdict(ledger.Verdict{Validity: v}) == "" {
				t.Errorf("%v: %v has no words", lang, v)
			}
		}
		for k := ledger.AlreadyAdmittedClass; k <= ledger.Orphaned; k++ {
			if v := (ledger.Verdict{Class: k}); !v.Clean() && c.verdict(v) == "" {
				t.Errorf("%v: %v has no words", lang, k)
			}
		}
	}
}

func TestOneBureausFloodDoesNotCrowdOutAnothersRows(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 4, nil)
	one, two := d.Started(1), d.Started(2)
	for range MaxListed/50 + 2 {
		var many []ledger.Body
		for range 50 {
			many = append(many, &ledger.Incident{Code: 9})
		}
		one.Put(many...)
	}
	two.Put(&ledger.Incident{Code: 5})
	c := collected(t, d)
	if m := minutesOf(t, c, 2, nil); len(m.Incidents.Rows) != 1 || m.Incidents.Rows[0].Code != 5 || m.Incidents.More != 0 {
		t.Errorf("bureau 2 has %d rows and %d more", len(m.Incidents.Rows), m.Incidents.More)
	}
	for _, n := range []ledger.BureauNumber{0, 1} {
		m := minutesOf(t, c, n, nil)
		if all := len(m.Incidents.Rows) + m.Incidents.More; len(m.Incidents.Rows) != MaxListed || all != MaxListed+100+int(1-n) {
			t.Errorf("minutes of %d: %d rows and %d more", n, len(m.Incidents.Rows), m.Incidents.More)
		}
		if !strings.Contains(Compose(m, French).Plain(), "Lignes du registre qui ne sont pas imprimées ici : 10") {
			t.Errorf("minutes of %d do not say that rows are left out", n)
		}
	}
}
