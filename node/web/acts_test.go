package web

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/proxies"
)

// actPages are the screens of this file's tests.
var actPages = []string{"proxies", "flow", "counts", "messages", "attendance", "accounts", "dashboard"}

// maxPage is how long a page may be, in bytes.
const maxPage = 60_000

var changing = regexp.MustCompile(`name="token" value="[^"]+"`)

// golden compares a page's content with the one that is kept.
func golden(t *testing.T, name, body string) {
	t.Helper()
	if len(body) > maxPage {
		t.Errorf("%s: %d bytes, at most %d", name, len(body), maxPage)
	}
	if strings.Contains(body, "<script>alert") {
		t.Errorf("%s: a script in a text would run", name)
	}
	_, body, ok := strings.Cut(body, "<main")
	body, _, end := strings.Cut(body, "</main>")
	if !ok || !end {
		t.Fatalf("%s: no page", name)
	}
	body = changing.ReplaceAllString(body, `name="token" value=""`)
	file := filepath.Join("testdata", "acts", name+".html")
	if *updateActs {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run with -update-acts and look at it", err)
	}
	if string(want) != body {
		t.Errorf("%s has changed: run with -update-acts and look at the difference", name)
	}
}

// signed is the last step of the wizard with everything in order.
func signed(more ...string) url.Values {
	out := url.Values{
		"holder": {"0"}, "means": {"3"}, "principal": {"1"}, "form": {"21014/7"}, "reason": {"8"}, "evidence": {"4"},
		"principal-signed": {"1"}, "holder-signed": {"1"}, "principal-number": {"1"}, "holder-number": {"1"}, "mayor-on": {"12/10/2030"},
	}
	for i := 0; i < len(more); i += 2 {
		out.Set(more[i], more[i+1])
	}
	return out
}

func TestActsScreensAreAsTheyWereLookedAt(t *testing.T) {
	for _, lang := range []language{french, dutch} {
		t.Run(string(lang), func(t *testing.T) {
			g := visiting(t, newStage(), lang)
			for _, p := range actPages {
				golden(t, p+"."+string(lang), g.see("/"+p))
			}
			name := func(step string) string { return "proxies-" + step + "." + string(lang) }
			steps := []struct {
				step, path string
				form       url.Values
			}{
				{"2-principal", "/proxies/holder", url.Values{"number": {nationalNumbers[0]}}},
				{"2-wrong-digits", "/proxies/principal", url.Values{"number": {"80.01.01-008.98"}, "holder": {"0"}, "means": {"3"}}},
				{"2-same-person", "/proxies/principal", url.Values{"number": {nationalNumbers[0]}, "holder": {"0"}, "means": {"3"}}},
				{"3-form", "/proxies/principal", url.Values{"number": {nationalNumbers[1]}, "holder": {"0"}, "means": {"3"}}},
				{"4-signatures", "/proxies/form", url.Values{"holder": {"0"}, "means": {"3"}, "principal": {"1"}, "form": {"21014/7"}, "reason": {"8"}, "evidence": {"4"}}},
				{"5-refused", "/proxies/admit", signed("mayor-on", "2030-10-13", "holder-signed", "")},
				{"5-admitted", "/proxies/admit", signed()},
				{"5-second-of-holder", "/proxies/admit", signed("principal", "2")},
			}
			for _, s := range steps {
				code, body := g.post(s.path, s.form)
				if code != http.StatusOK {
					t.Fatalf("%s: %d %.300s", s.step, code, body)
				}
				golden(t, name(s.step), body)
			}
			if _, body := g.post("/counts/record", url.Values{"issued": {"75"}, "scanned": {"75"}}); true {
				golden(t, "counts-alert."+string(lang), body)
			}
			if _, body := g.post("/flow/queue", url.Values{"waiting": {"9"}}); true {
				golden(t, "flow-queue."+string(lang), body)
			}
		})
	}
}

// TestAWizardThatWasLockedInTheMiddleLosesAndDoublesNothing plays a session that ends while a proxy is typed.
func TestAWizardThatWasLockedInTheMiddleLosesAndDoublesNothing(t *testing.T) {
	g := visiting(t, newStage(), french)
	g.see("/proxies")
	g.mu.Lock()
	*g.now = g.now.Add(lockAfter + time.Minute)
	g.mu.Unlock()
	form := signed()
	code, body := g.post("/proxies/admit", form)
	if code != http.StatusUnauthorized || !strings.Contains(html.UnescapeString(body), french.say("sign-in.not-done")) || len(g.stage.proxies) != 0 {
		t.Fatalf("a locked table: %d, %d proxies recorded, %.400s", code, len(g.stage.proxies), body)
	}
	if code, body = g.post("/sign-in", url.Values{"who": {"0"}, "secret": {"stage"}, "to": {"/proxies"}}); code != http.StatusOK || !strings.Contains(html.UnescapeString(body), french.say("proxies.resumed")) {
		t.Fatalf("signed in again: %d %.600s", code, body)
	}
	for _, want := range []string{`name="holder" value="0"`, `name="principal" value="1"`, `name="form" value="21014/7"`, `action="/proxies/admit"`} {
		if !strings.Contains(body, want) {
			t.Errorf("what was typed is lost: no %s", want)
		}
	}
	for i := range 3 { // a press, another, and the browser's history
		code, body = g.post("/proxies/admit", form)
		if want := map[bool]string{true: french.say("proxies.done"), false: french.say("refusal.1.what", 1)}[i == 0]; code != http.StatusOK || !strings.Contains(html.UnescapeString(body), want) {
			t.Errorf("press %d: %d, no %q", i, code, want)
		}
	}
	if len(g.stage.proxies) != 1 {
		t.Errorf("%d proxies are recorded", len(g.stage.proxies))
	}
	p := g.stage.proxies[0]
	if p.Holder != 0 || p.Principal != 1 || p.Means != ledger.ByNationalNumber || p.Attester != 1 || p.Paper.MayorOn != "2030-10-12" || p.Paper.Reason != proxies.StayAbroad {
		t.Errorf("recorded: %+v", p)
	}
}

func TestAnAccountComesBackOnNoPage(t *testing.T) {
	const good, bad = "BE68 5390 0754 7034", "BE69 5390 0754 7034"
	g := visiting(t, newStage(), french)
	g.see("/accounts")
	for _, iban := range []string{good, bad, script, strings.Repeat("7", 10_000)} {
		code, body := g.post("/accounts/record", url.Values{"member": {"1"}, "secret-account": {iban}})
		if code != http.StatusOK || strings.Contains(body, "5390") || strings.Contains(body, "777777") || strings.Contains(body, "<script>alert") {
			t.Errorf("%.20q: %d, or it comes back", iban, code)
		}
	}
	if len(g.stage.accounts) != 1 || g.stage.accounts[0] != "1" {
		t.Errorf("recorded: %v", g.stage.accounts)
	}
	g.mu.Lock()
	*g.now = g.now.Add(lockAfter + time.Minute)
	g.mu.Unlock()
	code, body := g.post("/accounts/record", url.Values{"member": {"1"}, "secret-account": {good}})
	if code != http.StatusUnauthorized || strings.Contains(body, "5390") {
		t.Errorf("a locked table: %d", code)
	}
	code, body = g.post("/sign-in", url.Values{"who": {"0"}, "secret": {"stage"}, "to": {"/accounts"}})
	if code != http.StatusOK || strings.Contains(body, "5390") || len(g.stage.accounts) != 1 {
		t.Errorf("signed in again: %d", code)
	}
}

func TestWrongInputOfActsIsToldAndRecordsNothing(t *testing.T) {
	g := visiting(t, newStage(), dutch)
	g.see("/counts")
	for _, x := range []struct {
		path string
		form url.Values
		want string
	}{
		{"/counts/record", url.Values{"issued": {"seven"}, "scanned": {"1"}}, "counts.unreadable"},
		{"/counts/record", url.Values{"issued": {"-1"}, "scanned": {"1"}}, "counts.unreadable"},
		{"/counts/record", url.Values{}, "counts.unreadable"},
		{"/messages/send", url.Values{"to": {"0"}, "text": {strings.Repeat("x", 10_000)}}, "act-refusal.13"},
		{"/messages/send", url.Values{"to": {"0"}, "text": {strings.Repeat("x", 20_000)}}, "act-refusal.13"},
		{"/messages/send", url.Values{"to": {"x"}, "text": {"x"}}, "act-refusal.14"},
		{"/flow/queue", url.Values{"waiting": {"5001"}}, "act-refusal.15"},
		{"/flow/queue", url.Values{"waiting": {""}}, "act-refusal.15"},
		{"/attendance/presence", url.Values{"member": {"99"}, "presence": {"1"}}, "act-refusal.1"},
		{"/attendance/presence", url.Values{"member": {"1"}}, "act-refusal.2"},
		{"/attendance/replace", url.Values{"number": {"80.01.01-008.98"}, "function": {"assessor"}}, "act-refusal.17"},
		{"/attendance/replace", url.Values{"number": {nationalNumbers[0]}, "function": {"captain"}}, "act-refusal.12"},
		{"/dashboard/custody", url.Values{"hand": {"x-4"}}, "act-refusal.18"},
		{"/proxies/form", url.Values{"holder": {"0"}, "means": {"3"}, "principal": {"1"}, "form": {""}, "reason": {""}}, "proxies.incomplete"},
		{"/proxies/admit", signed("mayor-on", "yesterday"), "proxies.date"},
	} {
		code, body := g.post(x.path, x.form)
		if code != http.StatusOK || !strings.Contains(html.UnescapeString(body), dutch.say(x.want)) {
			t.Errorf("%s %v: %d, not %q", x.path, x.form, code, dutch.say(x.want))
		}
	}
	for _, form := range []url.Values{
		{"holder": {"99"}, "means": {"3"}, "number": {nationalNumbers[1]}},
		{"holder": {"0"}, "means": {"9"}, "number": {nationalNumbers[1]}},
		{"holder": {strings.Repeat("1", 1000)}, "means": {"3"}},
	} {
		if code, _ := g.post("/proxies/principal", form); code != http.StatusBadRequest {
			t.Errorf("a form that no page sends: %d", code)
		}
	}
	if len(g.stage.tallies)+len(g.stage.proxies)+len(g.stage.handings) != 0 || len(g.stage.messages) != 3 || g.stage.queue != -1 {
		t.Errorf("something was recorded: %d %d %d", len(g.stage.tallies), len(g.stage.proxies), len(g.stage.messages))
	}
}

func TestOnlyThePrincipalBureauListsItsDashboard(t *testing.T) {
	s := newStage()
	s.principal = false
	g := visiting(t, s, french)
	if body := g.see("/flow"); strings.Contains(body, `href="/dashboard"`) {
		t.Error("another bureau's menu has the dashboard")
	}
	if body := g.see("/dashboard"); !strings.Contains(html.UnescapeString(body), french.say("dashboard.elsewhere")) || strings.Contains(body, french.say("dashboard.custody-help")) {
		t.Error("another bureau sees the dashboard")
	}
}

func TestDatesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]proxies.Date{
		"2030-10-12": "2030-10-12", "12/10/2030": "2030-10-12", "12.10.2030": "2030-10-12", "1/2/2030": "2030-02-01", "12-10-2030": "2030-10-12",
		"31/02/2030": "", "12/10": "", "12/10/30": "", "x/y/z": "", "2030/10/12": "", "99999/1/1": "", "1/1/-2030": "2030-01-01",
	} {
		if got, err := dateOf(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestEveryWordOfActsIsThereInEachLanguage(t *testing.T) {
	used := regexp.MustCompile(`\.T "((?:acts|proxies|flow|counts|messages|attendance|accounts|dashboard)\.[a-z0-9-]+)"`)
	said := regexp.MustCompile(`"((?:acts|proxies|flow|counts|messages|attendance|accounts|dashboard)\.[a-z0-9-]+)"`)
	keys := map[string]bool{}
	for _, p := range actPages {
		keys[p+".title"], keys[p+".nav"] = true, true
		for file, find := range map[string]*regexp.Regexp{"templates/" + p + ".html": used, p + ".go": said} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range find.FindAllStringSubmatch(string(text), -1) {
				keys[m[1]] = true
			}
		}
	}
	for _, k := range actKeys() {
		keys[k] = true
	}
	holes := regexp.MustCompile(`\{[0-9]\}`)
	for k := range keys {
		for _, l := range languages {
			if _, ok := catalogue[l][k]; !ok {
				t.Errorf("%s has no %s", l, k)
			}
			if a, b := len(holes.FindAllString(catalogue[l][k], -1)), len(holes.FindAllString(catalogue[french][k], -1)); a != b {
				t.Errorf("%s: %s has %d places to fill, French %d", k, l, a, b)
			}
		}
	}
	for k := range catalogue[french] {
		prefix, _, _ := strings.Cut(k, ".")
		if strings.Contains(" acts proxies flow counts messages attendance accounts dashboard ", " "+prefix+" ") && !keys[k] {
			t.Errorf("nobody says %s", k)
		}
	}
	if fmt.Sprint(len(keys)) == "0" {
		t.Error("no words")
	}
}
