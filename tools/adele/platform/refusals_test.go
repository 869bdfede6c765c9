package platform

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// refusalsOf are the log's entries on what was refused of an act, by the reason, and it names nobody.
func (w *world) refusalsOf(act string) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, e := range w.logged() {
		if e.Act != act || e.Outcome != outcomeRefused {
			continue
		}
		out[e.Why]++
		raw, err := e.Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range append(secretsOf(w), testPerson) {
			if strings.Contains(string(raw), s) {
				w.t.Errorf("the log names %q: %s", s, raw)
			}
		}
	}
	return out
}

// Every refused attempt to sign in is in the log with the code that was tried, if there is one.
func TestRefusedSignInsAreInTheLog(t *testing.T) {
	w := newWorld(t, 3)
	admin := w.as(Administration)
	try := func(want int, code string) {
		t.Helper()
		if status, text := w.trySignIn(code); status != want || strings.Count(text, "\n") != 1 {
			t.Errorf("%d %q, want %d", status, text, want)
		}
	}
	used := w.code(CodeOrder{Role: Expert, Days: 2})
	w.signIn(used)
	try(http.StatusConflict, used) // a second person, or a second machine
	withdrawn := decode[IssuedCode](t, w.must(admin, 201, "POST", "/codes", asJSON(CodeOrder{Role: Expert, Person: testPerson, Days: 2})))
	w.must(admin, 200, "DELETE", "/codes/"+withdrawn.ID, nil)
	try(http.StatusUnauthorized, withdrawn.Code)
	wrong := used[:len(used)-1] + map[bool]string{true: "1", false: "0"}[used[len(used)-1] == '0']
	for range MaxWrongCodes {
		try(http.StatusUnauthorized, wrong)
	}
	try(http.StatusTooManyRequests, used)
	try(http.StatusUnauthorized, "password")
	w.clock.Add((72 * time.Hour).Milliseconds())
	try(http.StatusUnauthorized, used)
	got := w.refusalsOf(actSignIn)
	for why, n := range map[string]int{"code in use": 1, "revoked code": 1, "wrong code": MaxWrongCodes, "throttled": 1, "malformed code": 1, "expired code": 1} {
		if got[why] != n {
			t.Errorf("%q stands %d times in the log, want %d: %v", why, got[why], n, got)
		}
	}
	id, _, _ := strings.Cut(used, "-")
	actors := map[string]bool{}
	for _, e := range w.logged() {
		if e.Act == actSignIn && e.Outcome == outcomeRefused {
			actors[e.Why+" "+e.Actor+" "+e.Content] = true
		}
	}
	for _, want := range []string{"code in use code " + id + " ", "expired code code " + id + " ", "revoked code code " + withdrawn.ID + " ", "wrong code nobody code " + id} {
		if !actors[want] {
			t.Errorf("%q is not in the log: %v", want, actors)
		}
	}
}

// cut sends a request's head and half its body over TLS, and breaks the connection without a word.
func (w *world) cut(by caller, method, path string, body []byte) {
	w.t.Helper()
	raw, err := net.Dial("tcp", strings.TrimPrefix(w.url, "https://"))
	if err != nil {
		w.t.Fatal(err)
	}
	config := w.client(by.device).Transport.(*http.Transport).TLSClientConfig.Clone()
	conn := tls.Client(raw, config)
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: adele\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", method, path, by.session, len(body))
	if _, err := conn.Write(body[:len(body)/2]); err != nil {
		w.t.Fatal(err)
	}
	if err := raw.(*net.TCPConn).SetLinger(0); err != nil { // a reset, as of a cable that is pulled
		w.t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// The connection breaks in the middle of every kind of upload: nothing of it is kept, and the attempt is in the log.
func TestABrokenConnectionLeavesNothingButTheAttempt(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	d := w.days[josse]
	officer, admin, machine := w.as(Officer, josse), w.as(Administration), w.as(PrincipalMachine, josse)
	before := w.state(officer, machine)
	for _, c := range []struct {
		act          Resource
		by           caller
		method, path string
		body         []byte
	}{
		{ListUpload, officer, "PUT", "/communes/21014/list?replace=yes", d.list},
		{ElectorChange, officer, "POST", "/communes/21014/changes", asJSON([]Change{{Action: "strike", NationalNumber: d.numbers[5].Digits(), Reason: "death"}})},
		{MembersWrite, officer, "PUT", "/communes/21014/members", []byte("member,national_number,bureau,function\n1," + d.numbers[3].Digits() + ",1,assessor\n")},
		{CandidatesMark, admin, "PUT", "/communes/21014/candidates", []byte("national_number\n" + d.numbers[2].Digits() + "\n")},
		{LedgerUpload, machine, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries...)},
		{DocumentWrite, machine, "PUT", "/communes/21014/bureaux/1/documents/minutes.pdf", bytes.Repeat([]byte("minutes of "+d.names[0]+"\n"), 1000)},
		{TokenKeyWrite, machine, "PUT", "/communes/21014/token-key", fmt.Appendf(nil, "%x", d.k)},
	} {
		w.cut(c.by, c.method, c.path, c.body)
		deadline := time.Now().Add(20 * time.Second)
		for w.refusalsOf(string(c.act))["cut short"] == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the attempt is not in the log: %v", c.act, w.refusalsOf(string(c.act)))
			}
		}
		if now := w.state(officer, machine); now != before {
			t.Errorf("%s: something was kept:\n%s\nwas\n%s", c.act, now, before)
		}
	}
}

// state is all that these uploads could change, as text.
func (w *world) state(officer, machine caller) string {
	w.t.Helper()
	var out strings.Builder
	for _, path := range []string{"/communes/21014/list", "/communes/21014/members"} {
		out.Write(w.must(officer, 200, "GET", path, nil))
	}
	for _, path := range []string{"/communes/21014/ledger", "/communes/21014/bureaux/1/documents"} {
		out.Write(w.must(machine, 200, "GET", path, nil))
	}
	return out.String()
}

// The encoding of a list is told by its name; with a byte order mark UTF-8 is UTF-8.
func TestEncodingsOfAListAreToldByName(t *testing.T) {
	w := newWorld(t, 4)
	officer, list := w.as(Officer, josse), string(w.days[josse].list)
	wide := func(order string) []byte {
		out := []byte(map[string]string{"little": "\xff\xfe", "big": "\xfe\xff", "none": ""}[order])
		for _, u := range utf16.Encode([]rune(list)) {
			if order == "big" {
				out = append(out, byte(u>>8), byte(u))
			} else {
				out = append(out, byte(u), byte(u>>8))
			}
		}
		return out
	}
	for want, body := range map[string][]byte{
		"UTF-16 (little-endian)": wide("little"), "UTF-16 (big-endian)": wide("big"), "UTF-16, or no text": wide("none"),
		"ISO 8859-1 (Latin-1) or Windows-1252": []byte(strings.Replace(list, "Street", "Rue de l'\xe9t\xe9", 1)),
		"but Windows-1252":                     []byte(strings.Replace(list, "Street", "Rue de l\x92\xe9t\xe9", 1)),
	} {
		raw := w.must(officer, 422, "PUT", "/communes/21014/list", body)
		if !strings.Contains(string(raw), want) || strings.Count(string(raw), "\n") != 1 {
			t.Errorf("%s is called %s", want, raw)
		}
	}
	if got := w.refusalsOf(string(ListUpload)); got["encoding"] != 5 {
		t.Errorf("the log: %v", got)
	}
	w.must(officer, 201, "PUT", "/communes/21014/list", []byte("\ufeff"+list))
}

// Two gigabytes are read as far as a list can be long, and no further.
func TestTwoGigabytesAreNotReadToTheirEnd(t *testing.T) {
	w := newWorld(t, 4)
	officer := w.as(Officer, josse)
	body := &zeros{left: 2 << 30}
	request, err := http.NewRequest("PUT", w.url+"/communes/21014/list", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+officer.session)
	began := time.Now()
	if answer, err := w.client(nil).Do(request); err == nil { // who still sends may not hear the answer
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("2 GB: %d", answer.StatusCode)
		}
	}
	if read := 2<<30 - body.left; read > 2*MaxListUpload {
		t.Errorf("%d MB were read", read>>20)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := w.refusalsOf(string(ListUpload)); got["too large"] != 1 {
		t.Errorf("the log: %v", got)
	}
}
