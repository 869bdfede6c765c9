package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestStrangersAreRefused sends what must be refused, each with what would be right but for one thing.
func TestStrangersAreRefused(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	p.get("/check-in")
	number := c.home(1, 0).ConvocationNumber.Digits()
	form := func() string { return url.Values{"token": {p.token}, "number": {number}}.Encode() }
	for _, x := range []struct {
		name   string
		status int
		body   string
		change func(*http.Request)
	}{
		{"foreign Origin", 403, form(), func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example") }},
		{"Origin of another port", 403, form(), func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }},
		{"two Origins", 403, form(), func(r *http.Request) { r.Header.Add("Origin", "https://elsewhere.example") }},
		{"Origin null", 403, form(), func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"no Origin", 403, form(), func(r *http.Request) { r.Header.Del("Origin") }},
		{"foreign Host", 403, form(), func(r *http.Request) { r.Host = "elsewhere.example" }},
		{"Host of another port", 403, form(), func(r *http.Request) { r.Host = "127.0.0.1:1" }},
		{"Host of another address", 403, form(), func(r *http.Request) { r.Host = strings.Replace(r.Host, "127.0.0.1", "127.0.0.9", 1) }},
		{"cross-site form", 403, form(), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"same-site form", 403, form(), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
		{"form without the token", 403, url.Values{"number": {number}}.Encode(), nil},
		{"form with another token", 403, url.Values{"token": {p.token[1:] + p.token[:1] + "x"}, "number": {number}}.Encode(), nil},
		{"form of 10 MB", 413, form() + "&x=" + strings.Repeat("x", 10<<20), nil},
		{"form of 10 MB in pieces", 413, form() + "&x=" + strings.Repeat("x", 10<<20), func(r *http.Request) { r.ContentLength = -1 }},
		{"JSON", 415, `{"number":"` + number + `"}`, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }},
		{"no form", 415, form(), func(r *http.Request) { r.Header.Del("Content-Type") }},
		{"another path", 404, form(), func(r *http.Request) { r.URL.Path = "/check-in/do/more" }},
		{"another method", 405, form(), func(r *http.Request) { r.Method = http.MethodPut }},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, err := p.try(http.MethodPost, "/check-in/do", strings.NewReader(x.body), x.change)
			if err != nil && len(x.body) > 1<<20 { // hung up on before all of it was sent
				got.status = x.status
			} else if err != nil {
				t.Fatal(err)
			}
			if got.status != x.status && (x.status != 405 || got.status != 404) {
				t.Errorf("%d %.200s, want %d", got.status, got.text(), x.status)
			}
			if n := s.node.Status().Admitted; n != 0 {
				t.Fatalf("%d are checked in", n)
			}
		})
	}
	if got := p.checkIn(number); !strings.Contains(got.answerOf(), "PEUT VOTER") {
		t.Errorf("the right one: %d %s", got.status, got.text())
	}
}

func TestWithoutASessionNothingIsSeenAndNothingIsDone(t *testing.T) {
	c, s := alone(t)
	v := s.visitor()
	for _, path := range []string{"/", "/check-in", "/team", "/opening", "/closing", "/correct", "/contest"} {
		if p := v.get(path); p.path != "/sign-in" || strings.Contains(p.body, c.home(1, 0).Surname) {
			t.Errorf("%s leads to %s", path, p.path)
		}
	}
	if p := v.get("/events"); p.status != http.StatusUnauthorized {
		t.Errorf("events: %d", p.status)
	}
	p := v.post("/check-in/do", "number", c.home(1, 0).ConvocationNumber.Digits())
	if p.status != http.StatusUnauthorized || !strings.Contains(p.text(), "n'a pas été fait") || s.node.Status().Admitted != 0 {
		t.Errorf("%d %s", p.status, p.text())
	}
}

func TestAStolenCookieEndsItsSession(t *testing.T) {
	_, s := alone(t)
	p := s.president()
	thief := s.visitor()
	thief.agent = "another browser"
	thief.client.Jar = p.client.Jar
	if got := thief.get("/check-in"); got.path != "/sign-in" {
		t.Fatalf("the thief sees %s", got.path)
	}
	// The thief's answer has put a new cookie into the jar that they share here; the one that was stolen is dead for all.
	if got := p.get("/check-in"); got.path != "/sign-in" {
		t.Errorf("the session lives on at %s", got.path)
	}
}

func TestASignInRotatesTheCookieAndALockKillsIt(t *testing.T) {
	_, s := alone(t)
	v := s.visitor()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	v.get("/sign-in")
	before := v.client.Jar.Cookies(u)
	v.post("/sign-in", "who", "0", "secret", s.pass)
	after := v.client.Jar.Cookies(u)
	if len(before) != 1 || len(after) != 1 || before[0].Value == after[0].Value || len(after[0].Value) != 32 {
		t.Fatalf("cookies %v and %v", before, after)
	}
	v.get("/check-in")
	v.post("/lock")
	v.client.Jar.SetCookies(u, after)
	if p := v.get("/check-in"); p.path != "/sign-in" {
		t.Errorf("a locked table's cookie opens %s", p.path)
	}
	v.client.Jar.SetCookies(u, before)
	if p := v.get("/check-in"); p.path != "/sign-in" {
		t.Errorf("the cookie before signing in opens %s", p.path)
	}
}

func TestCookieAndHeadersKeepOthersOut(t *testing.T) {
	_, s := alone(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/sign-in", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	cookies := resp.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || !strings.HasSuffix(cookies[0].Name, "-21014-1") {
		t.Errorf("cookies %v", cookies)
	}
	csp := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %q", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestAnIdleTableLocksAndLosesNothing(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	p.checkIn(c.home(1, 0).ConvocationNumber.Digits())
	s.at.forward(9 * time.Minute)
	if got := p.get("/check-in"); got.path != "/check-in" {
		t.Fatalf("locked after nine minutes: %s", got.path)
	}
	s.at.forward(11 * time.Minute)
	got := p.post("/check-in/do", "number", c.home(1, 1).ConvocationNumber.Digits())
	if got.status != http.StatusUnauthorized || !strings.Contains(got.text(), "n'a pas été fait") {
		t.Errorf("%d %s", got.status, got.text())
	}
	if n := s.node.Status().Admitted; n != 1 {
		t.Errorf("%d are checked in, want 1", n)
	}
	p.get("/sign-in")
	if got := p.post("/sign-in", "who", "0", "secret", s.pass); got.path == "/sign-in" {
		t.Errorf("after the lock: %s", got.text())
	}
}

func TestWrongSecretsMustWaitAndTheRightOneStillOpens(t *testing.T) {
	_, s := alone(t)
	v := s.visitor()
	v.get("/sign-in")
	for range 4 {
		if p := v.post("/sign-in", "who", "0", "secret", "wrong"); p.status != http.StatusForbidden || !strings.Contains(p.text(), "n'ouvre pas la clé") {
			t.Fatalf("%d %s", p.status, p.text())
		}
	}
	if p := v.post("/sign-in", "who", "0", "secret", s.pass); p.path != "/sign-in" || !strings.Contains(p.text(), "attendez") {
		t.Errorf("a fifth try at once: %s", p.text())
	}
	s.at.forward(16 * time.Second)
	if p := v.post("/sign-in", "who", "0", "secret", strings.ToUpper(s.pass)); p.path == "/sign-in" {
		t.Errorf("the right one after waiting: %s", p.text())
	}
	if strings.Contains(s.log.String(), s.pass) {
		t.Error("the passphrase is in the log")
	}
}

func TestAssessorsDoNotDoWhatThePresidentDoes(t *testing.T) {
	_, s := alone(t)
	p := s.president()
	a, code := s.assessor(p, 0)
	for _, path := range []string{"/team", "/opening", "/closing"} {
		if got := a.get(path); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	a.get("/check-in")
	if got := a.post("/check-in/search", "query", "Peeters"); got.status != http.StatusBadRequest {
		t.Errorf("search by name: %d", got.status)
	}
	if got := a.post("/check-in/do", "by", "name", "elector", "3"); got.status != http.StatusBadRequest {
		t.Errorf("check-in by name: %d", got.status)
	}
	// A PIN that is taken away ends the table at once.
	p.get("/team")
	p.post("/team/remove", "code", text(code))
	if got := a.get("/check-in"); got.path != "/sign-in" {
		t.Errorf("without a PIN: %s", got.path)
	}
}

func TestPINsOutliveARestartAndAreNowhereReadable(t *testing.T) {
	_, s := alone(t)
	p := s.president()
	_, code := s.assessor(p, 1)
	s.stop()
	s.start(nil)
	v := s.visitor()
	v.get("/sign-in")
	if got := v.post("/sign-in", "who", text(code), "secret", "482916"); got.path == "/sign-in" {
		t.Errorf("after a restart: %s", got.text())
	}
	holdsNowhere(t, s.dir, "482916")
}

func TestWeakPINsAndStrangersToTheListAreRefused(t *testing.T) {
	_, s := alone(t)
	p := s.president()
	code := text(member(1, s, "assessor", 0))
	for _, pin := range []string{"", "12345", "000000", "123456", "987654", "1234567890123", "48291a"} {
		p.get("/team")
		if got := p.post("/team/pin", "code", code, "pin", pin); !strings.Contains(got.text(), "choisissez-en un autre") {
			t.Errorf("PIN %q: %s", pin, got.text())
		}
	}
	if got := p.post("/team/pin", "code", "60000", "pin", "482917"); !strings.Contains(got.text(), "n'est pas un membre") {
		t.Errorf("somebody who is not on the list: %s", got.text())
	}
	v := s.visitor()
	if got := v.get("/sign-in"); strings.Contains(got.body, `value="`+code+`"`) {
		t.Error("somebody without a PIN can sign in")
	}
}

func TestStrangersWhoAskForSignInPagesSignNobodyOut(t *testing.T) {
	_, s := alone(t)
	p := s.president()
	for range 300 {
		s.visitor().get("/sign-in")
	}
	if got := p.get("/check-in"); got.path != "/check-in" {
		t.Errorf("signed out: %s", got.path)
	}
}
