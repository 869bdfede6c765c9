package platform

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

func csvLines(raw []byte) [][]string {
	var out [][]string
	for line := range strings.Lines(string(raw)) {
		out = append(out, strings.Split(strings.TrimSpace(line), ","))
	}
	return out[1:]
}

// the whole list or nothing of it; every bad row by its line, nobody by name.
func TestABadListIsRefusedRowByRow(t *testing.T) {
	w := newWorld(t, 4)
	officer, d := w.as(Officer, josse), w.days[josse]
	lines := strings.Split(strings.TrimSpace(string(d.list)), "\n")
	edit := func(n int, f func([]string)) string {
		fields := strings.Split(lines[n], ",")
		f(fields)
		return strings.Join(fields, ",")
	}
	other, err := ledger.NewConvocationNumber(josse, 3, ledger.Remainder) // the election's are by complement
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Join([]string{
		lines[0], lines[1], lines[1],
		edit(2, func(f []string) { f[0] = f[0][:10] + "X" }),
		edit(2, func(f []string) { f[7] = "Evere" }),
		edit(3, func(f []string) { f[9] = "44" }),
		edit(3, func(f []string) { f[10] = "140000099" }),
		strings.Split(strings.TrimSpace(string(w.days[evere].list)), "\n")[1],
		edit(1, func(f []string) { f[1] = "Somebodyelse" }),
		edit(4, func(f []string) { f[10] = other.Digits() }),
	}, "\n")
	raw := w.must(officer, 422, "PUT", "/communes/21014/list", []byte(bad))
	for _, want := range []string{`"refused":8`, `"line":9,"reason":"national_number: the same as on line 2, there under another name: find out whose it is"`, `"line":10,"reason":"convocation_number`, `"line":3,"reason":"national_number: the same as on line 2"`, `"line":5,"reason":"municipality`, `"line":6,"reason":"bureau`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
	for _, s := range secretsOf(w) {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("the answer names %q", s)
		}
	}
	if got := w.refusalsOf(string(ListUpload)); got["bad rows"] != 1 {
		t.Errorf("the log: %v", got)
	}
	for name, body := range map[string][]byte{
		"UTF-16":    append([]byte{0xff, 0xfe}, d.list...),
		"ISO 8859":  bytes.Replace(d.list, []byte("Street"), []byte("Rue de l'\xe9t\xe9 "), 1),
		"no column": []byte("surname\nx\n"),
		"nobody":    []byte(lines[0] + "\n"),
	} {
		if code, raw := w.ask(officer, "PUT", "/communes/21014/list", body); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, code, raw)
		} else if strings.HasPrefix(name, "UTF") || strings.HasPrefix(name, "ISO") {
			if !strings.Contains(string(raw), name) {
				t.Errorf("%s is called %s", name, raw)
			}
		}
	}
	if rows := csvLines(w.must(officer, 200, "GET", "/communes/21014/list", nil)); len(rows) != 0 {
		t.Errorf("%d rows were kept", len(rows))
	}
	w.must(officer, 201, "PUT", "/communes/21014/list", d.list)
	w.must(officer, 200, "PUT", "/communes/21014/list", d.list) // again
	w.must(officer, 409, "PUT", "/communes/21014/list", []byte(lines[0]+"\n"+lines[1]+"\n"))
	w.must(officer, 201, "PUT", "/communes/21014/list?replace=yes", []byte(lines[0]+"\n"+lines[1]+"\n"))
}

func TestAnUploadThatIsCutOrTooLargeLeavesNothing(t *testing.T) {
	w := newWorld(t, 4)
	officer, d := w.as(Officer, josse), w.days[josse]
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT /communes/21014/list HTTP/1.1\r\nHost: adele\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		officer.session, len(d.list), d.list[:len(d.list)/2])
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 256)
	if n, _ := conn.Read(answer); !bytes.Contains(answer[:n], []byte(" 400 ")) {
		t.Errorf("a cut upload: %q", answer[:n])
	}
	conn.Close()
	request, err := http.NewRequest("PUT", w.url+"/communes/21014/list", &zeros{left: 2 << 30})
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+officer.session)
	if got, err := w.client(nil).Do(request); err == nil {
		got.Body.Close()
		if got.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("2 GB: %d", got.StatusCode)
		}
	}
	if rows := csvLines(w.must(officer, 200, "GET", "/communes/21014/list", nil)); len(rows) != 0 {
		t.Errorf("%d rows were kept", len(rows))
	}
	why := map[string]bool{}
	for _, e := range w.logged() {
		if e.Act == string(ListUpload) && e.Outcome == outcomeRefused {
			why[e.Why] = true
		}
	}
	if !why["cut short"] || !why["too large"] {
		t.Errorf("the log knows of %v", why)
	}
}

// zeros reads as so many bytes.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(len(p), z.left)
	if n == 0 {
		return 0, fmt.Errorf("nobody reads 2 GB")
	}
	z.left -= n
	clear(p[:n])
	return n, nil
}

func TestACommunesNameIsReadAsItIsWritten(t *testing.T) {
	l := &communeLedger{names: [2]string{"Saint-Josse-ten-Noode", "Sint-Joost-ten-Node"}}
	for text, want := range map[string]bool{
		"saint josse ten noode": true, "SINT-JOOST-TEN-NODE": true, "Sáint-Josse-ten-Noode": true, "Saint-Josse": false, "": false, "Evere": false,
	} {
		if l.isNamed(text) != want {
			t.Errorf("%q is the commune: %v", text, !want)
		}
	}
}

func TestLookUpsFindByEitherNumberAndByName(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	officer, d := w.as(Officer, josse), w.days[josse]
	conv := csvLines(d.list)[7][10]
	for _, f := range []Find{{NationalNumber: d.numbers[7].Printed()}, {ConvocationNumber: conv}, {Surname: strings.ToLower(d.names[7])}} {
		found := decode[[]elector](t, w.must(officer, 200, "POST", "/communes/21014/find", asJSON(f)))
		if len(found) != 1 || found[0].Surname != d.names[7] || found[0].ConvocationNumber != conv {
			t.Errorf("%+v: %+v", f, found)
		}
	}
	found := decode[[]elector](t, w.must(officer, 200, "POST", "/communes/21014/find", asJSON(Find{NationalNumber: w.days[evere].numbers[7].Digits()})))
	if len(found) != 0 {
		t.Errorf("an elector of another commune is found: %+v", found)
	}
	w.must(officer, 400, "POST", "/communes/21014/find", []byte(`{"surname":"x"}`))
	w.must(officer, 400, "POST", "/communes/21014/find", []byte(`{"address":"x"}`))
}

// R-13 §2, R-15: the elector sees his own record with its trace, and nothing else.
func TestAnElectorSeesHisOwnRecordWithItsTrace(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	officer, d := w.as(Officer, josse), w.days[josse]
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{
		{Action: "amend", NationalNumber: d.numbers[0].Digits(), Reason: "court-decision", Reference: "judgment 7", Fields: map[string]string{"street": "Other street"}},
	}))
	me := w.as(Elector, josse)
	e := decode[elector](t, w.must(me, 200, "GET", "/record", nil))
	if e.Surname != d.names[0] || e.Street != "Other street" || len(e.History) != 1 || e.History[0].Before["street"] != "Street 0" || e.History[0].Reference != "judgment 7" {
		t.Errorf("%+v", e)
	}
}

// updates of one's own commune, all of a request or none.
func TestChangesAreAllMadeOrNone(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	officer, d := w.as(Officer, josse), w.days[josse]
	n := func(i int) string { return d.numbers[i].Digits() }
	strike := Change{Action: "strike", NationalNumber: n(1), Reason: "death"}
	for name, bad := range map[string]Change{
		"no reason":       {Action: "strike", NationalNumber: n(2)},
		"no reference":    {Action: "strike", NationalNumber: n(2), Reason: "court-decision"},
		"twice":           strike,
		"nobody":          {Action: "strike", NationalNumber: w.days[evere].numbers[1].Digits(), Reason: "death"},
		"there already":   {Action: "add", NationalNumber: n(2), Reason: "nationality"},
		"other's number":  {Action: "amend", NationalNumber: n(2), Reason: "correction", Fields: map[string]string{"convocation_number": csvLines(d.list)[3][10]}},
		"other commune":   {Action: "amend", NationalNumber: n(2), Reason: "moved", Fields: map[string]string{"municipality": "Evere"}},
		"nothing changes": {Action: "amend", NationalNumber: n(2), Reason: "correction"},
	} {
		if code, raw := w.ask(officer, "POST", "/communes/21014/changes", asJSON([]Change{strike, bad})); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, code, raw)
		}
	}
	if rows := csvLines(w.must(officer, 200, "GET", "/communes/21014/list", nil)); len(rows) != testElectors {
		t.Fatalf("%d electors are left", len(rows))
	}
	added := Change{Action: "add", NationalNumber: w.days[evere].numbers[2].Digits(), Reason: "moved", Fields: map[string]string{
		"surname": "New", "first_names": "N", "municipality": "Saint-Josse-ten-Noode", "bureau": "2", "convocation_number": newConvocation(t, 99),
	}}
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{strike, added}))
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{{Action: "restore", NationalNumber: n(1), Reason: "correction"}}))
	if rows := csvLines(w.must(officer, 200, "GET", "/communes/21014/list", nil)); len(rows) != testElectors+1 {
		t.Errorf("%d electors", len(rows))
	}
}

func newConvocation(t *testing.T, serial uint32) string {
	t.Helper()
	c, err := ledger.NewConvocationNumber(josse, serial, ledger.Complement)
	if err != nil {
		t.Fatal(err)
	}
	return c.Digits()
}

// candidates are marked, and never members.
func TestACandidateIsNoMember(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	admin, officer, d := w.as(Administration), w.as(Officer, josse), w.days[josse]
	member := func(i int) []byte {
		return fmt.Appendf(nil, "member,national_number,bureau,function\n1,%s,1,president\n", d.numbers[i].Digits())
	}
	w.must(admin, 200, "PUT", "/communes/21014/candidates", []byte("national_number\n"+d.numbers[4].Digits()+"\n"))
	w.must(officer, 422, "PUT", "/communes/21014/members", member(4))
	w.must(officer, 200, "PUT", "/communes/21014/members", member(5))
	w.must(admin, 422, "PUT", "/communes/21014/candidates", []byte("national_number\n"+d.numbers[5].Digits()+"\n"))
	w.must(admin, 200, "PUT", "/communes/21014/candidates", []byte("national_number\n"))
	w.must(officer, 200, "PUT", "/communes/21014/members", member(4))
}

// What the old list knew beside its columns goes on in the new one, and each change is traced.
func TestAListThatReplacesAnotherForgetsNobody(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	admin, officer, d := w.as(Administration), w.as(Officer, josse), w.days[josse]
	n := func(i int) string { return d.numbers[i].Digits() }
	member := func(i int) []byte {
		return fmt.Appendf(nil, "member,national_number,bureau,function\n1,%s,1,president\n", n(i))
	}
	find := func(i int) elector {
		t.Helper()
		found := decode[[]elector](t, w.must(officer, 200, "POST", "/communes/21014/find", asJSON(Find{NationalNumber: n(i)})))
		if len(found) != 1 {
			t.Fatalf("elector %d: %+v", i, found)
		}
		return found[0]
	}
	w.must(admin, 200, "PUT", "/communes/21014/candidates", []byte("national_number\n"+n(4)+"\n"))
	w.must(officer, 200, "PUT", "/communes/21014/members", member(6))
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{{Action: "strike", NationalNumber: n(1), Reason: "death"}}))
	lines := strings.Split(strings.TrimSpace(string(d.list)), "\n")
	lines[4] = strings.Replace(lines[4], "Street 3", "Other street", 1) // number 3 moves, 1 is there again, 2 is left out
	gone := csvLines(d.list)[2][10]
	list := []byte(strings.Join(slices.Delete(lines, 3, 4), "\n"))
	w.must(officer, 201, "PUT", "/communes/21014/list?replace=yes", list)

	if e := find(4); !e.Candidate || len(e.History) != 1 {
		t.Errorf("the candidate's mark is gone: %+v", e)
	}
	w.must(officer, 422, "PUT", "/communes/21014/members", member(4))
	if rows := csvLines(w.must(officer, 200, "GET", "/communes/21014/members", nil)); len(rows) != 1 || rows[0][1] != n(6) {
		t.Errorf("the members are gone: %v", rows)
	}
	last := func(i int) electorChange { h := find(i).History; return h[len(h)-1] }
	for i, want := range map[int]string{1: "restore", 2: "strike", 3: "amend"} {
		if h := last(i); h.Action != want || h.Reason != reasonNewList || !strings.HasPrefix(h.Actor, "code ") || h.At.IsZero() {
			t.Errorf("elector %d: %+v, want %s", i, h, want)
		}
	}
	if h := last(3); h.Before["street"] != "Street 3" {
		t.Errorf("%+v", h)
	}
	if e := find(5); len(e.History) != 0 {
		t.Errorf("who was not changed has a trace: %+v", e)
	}
	if e := find(2); !e.Struck || len(find(1).History) != 2 {
		t.Errorf("%+v, %+v", e, find(1))
	}
	entries := w.logged()
	var upload LogEntry
	for _, e := range entries {
		if e.Act == string(ListUpload) && e.Why == "replaced" {
			upload = e
		}
	}
	if len(upload.Subjects) != 3 || upload.Count != testElectors-1 {
		t.Errorf("the log: %+v", upload)
	}
	// The number of who was left out is given to somebody else, and he comes back.
	w.must(officer, 422, "POST", "/communes/21014/changes", asJSON([]Change{{Action: "amend", NationalNumber: n(7), Reason: "correction", Fields: map[string]string{"convocation_number": gone}}}))
	other := strings.Replace(string(list), csvLines(d.list)[7][10], gone, 1)
	w.must(officer, 201, "PUT", "/communes/21014/list?replace=yes", []byte(other))
	back := Change{Action: "restore", NationalNumber: n(2), Reason: "correction"}
	w.must(officer, 422, "POST", "/communes/21014/changes", asJSON([]Change{back}))
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{
		{Action: "amend", NationalNumber: n(2), Reason: "correction", Fields: map[string]string{"convocation_number": newConvocation(t, 99)}},
	}))
	w.must(officer, 200, "POST", "/communes/21014/changes", asJSON([]Change{back}))
	for number, want := range map[string]int{gone: 7, newConvocation(t, 99): 2} {
		found := decode[[]elector](t, w.must(officer, 200, "POST", "/communes/21014/find", asJSON(Find{ConvocationNumber: number})))
		if len(found) != 1 || found[0].NationalNumber != n(want) {
			t.Errorf("%s leads to %+v, want elector %d", number, found, want)
		}
	}
}

// Nobody is absent while the poll is open: who has not voted yet is nobody's business then.
func TestNobodyIsAbsentBeforeThePollHasClosed(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	d := w.days[josse]
	d.poll(t)
	w.must(caller{device: d.device(1)}, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries...))
	w.clock.Store(int64(w.region.manifest.Closes) - 1)
	president := w.as(PrincipalPresident, josse)
	for _, path := range []string{"/communes/21014/absent-electors", "/communes/21014/absent-electors/addresses"} {
		w.must(president, 409, "GET", path, nil)
	}
	w.clock.Store(int64(w.region.manifest.Closes))
	w.must(president, 200, "GET", "/communes/21014/absent-electors", nil)
}

// absent electors and members, by the ledger; addresses for whom the decree says.
func TestAbsentListsAreTheLedgers(t *testing.T) {
	w := newWorld(t, testElectors)
	president := w.as(PrincipalPresident, josse)
	w.must(president, 409, "GET", "/communes/21014/absent-electors", nil)
	w.filled()
	d := w.days[josse]
	w.must(w.as(Officer, josse), 200, "PUT", "/communes/21014/members", fmt.Appendf(nil, "member,national_number,bureau,function\n1,%s,1,president\n2,%s,1,assessor\n3,%s,2,assessor\n",
		d.numbers[0].Digits(), d.numbers[1].Digits(), d.numbers[2].Digits()))
	d.poll(t)
	w.must(caller{device: d.device(1)}, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries...))
	absent := csvLines(w.must(president, 200, "GET", "/communes/21014/absent-electors/addresses", nil))
	if len(absent) != testElectors-12 || absent[0][0] != d.numbers[12].Digits() || absent[0][3] != "Street 12" {
		t.Fatalf("%d absent electors: %v", len(absent), absent[0])
	}
	if rows := csvLines(w.must(w.as(College), 200, "GET", "/communes/21014/absent-electors", nil)); len(rows) != testElectors-12 || len(rows[0]) != 3 {
		t.Errorf("the college sees %v", rows[0])
	}
	if rows := csvLines(w.must(w.as(College), 200, "GET", "/communes/21014/check-ins", nil)); len(rows) != 12 || rows[0][0] != d.numbers[0].Digits() || len(rows[0]) != 3 {
		t.Errorf("the check-in list has %d rows: %v", len(rows), rows)
	}
	rows := csvLines(w.must(w.as(JusticeOfPeace, josse), 200, "GET", "/communes/21014/absent-members", nil))
	if len(rows) != 2 || rows[0][3] != d.numbers[1].Digits() || rows[0][6] != "absent" || rows[1][6] != "not recorded" {
		t.Errorf("absent members: %v", rows)
	}
	// K of another election is not taken.
	w.must(caller{device: d.device(1)}, 422, "PUT", "/communes/21014/token-key", bytes.Repeat([]byte("ab"), 32))
}

// each hand-over follows the one before, overdue keys are named after 24 hours.
func TestCustodyNamesTheKeyThatNeverCameBack(t *testing.T) {
	w := newWorld(t, 3)
	admin, president, college := w.as(Administration), w.as(PrincipalPresident, josse), w.as(College)
	digest := strings.Repeat("ab", 32)
	hand := func(by caller, want int, key, from, to string) {
		t.Helper()
		w.must(by, want, "POST", "/custody", asJSON(HandOver{
			Key: key, Digest: digest, From: from, To: to, FromPerson: "Giver", ToPerson: "Taker", At: time.UnixMilli(w.clock.Load()).UTC(),
		}))
	}
	officer := w.as(Officer, josse)
	for _, key := range []string{"21014-001-1", "21014-001-2"} {
		hand(admin, 201, key, "administration", "commune")
		hand(president, 403, key, "commune", "bureau")
		hand(officer, 201, key, "commune", "bureau")
		hand(officer, 403, key, "bureau", "principal-bureau")
		hand(president, 201, key, "bureau", "principal-bureau")
		// Nobody says that the college has a key but the college.
		hand(president, 403, key, "principal-bureau", "college")
		hand(officer, 403, key, "principal-bureau", "college")
		hand(college, 403, key, "principal-bureau", "bureau")
	}
	hand(president, 403, "21006-001-1", "bureau", "principal-bureau")
	hand(president, 409, "21014-001-1", "bureau", "principal-bureau") // it is there
	hand(president, 400, "21014-009-1", "bureau", "principal-bureau") // no such bureau
	hand(president, 400, "21014-001-1", "principal-bureau", "destruction")
	digest = strings.Repeat("cd", 32)
	hand(college, 409, "21014-001-1", "principal-bureau", "college") // another key with its number
	digest = strings.Repeat("ab", 32)
	hand(college, 201, "21014-001-1", "principal-bureau", "college")
	if late := decode[[]OverdueKey](t, w.must(president, 200, "GET", "/custody/overdue", nil)); len(late) != 0 {
		t.Errorf("overdue on the evening of the poll: %+v", late)
	}
	w.clock.Store(int64(w.region.manifest.Closes) + (24 * time.Hour).Milliseconds())
	president = w.as(PrincipalPresident, josse)
	late := decode[[]OverdueKey](t, w.must(president, 200, "GET", "/custody/overdue", nil))
	if len(late) != 2*testBureaux-1 || late[0].Key != "21014-001-2" || late[0].Last != "principal-bureau" || late[1].Last != "" {
		t.Errorf("%+v", late)
	}
	if all := decode[[]HandOver](t, w.must(president, 200, "GET", "/custody", nil)); len(all) != 7 || all[0].ToPerson != "Taker" {
		t.Errorf("%d hand-overs: %+v", len(all), all)
	}
}
