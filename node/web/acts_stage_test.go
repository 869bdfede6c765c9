package web

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/plaintext"
	"pointage/ledger/proxies"
	"pointage/node/daybook"
	"pointage/node/pollbook"
)

// updateActs writes the golden screens of the acts anew.
var updateActs = flag.Bool("update-acts", false, "write the golden screens of attendance, proxies, counts, flow, messages, accounts and dashboard anew")

// pollDay is eight o'clock in Brussels on 13 October 2030; every time of the stage counts from it.
const pollDay ledger.Instant = 1918101600000

// script is what somebody could write into any text, to see it run.
const script = `<script>alert("x")</script>`

// stage is a bureau that stands still: the rules are the real ones of ledger and daybook, what it knows is fixed, so
// that a screen looks the same in every run. The node's own tests play the same acts on real bureaux.
type stage struct {
	mu        sync.Mutex
	kept      map[string][]byte
	members   []daybook.Member
	accounts  []string
	tallies   []daybook.Tally
	messages  []daybook.Message
	proxies   []Proxy
	queue     int
	handings  []daybook.Handing
	principal bool
	payOffice bool
	// recorded are minutes by their bureau; closed and closings say that and how often it closed; failing is why recording fails.
	recorded map[ledger.BureauNumber]*daybook.Stated
	closed   bool
	closings int
	failing  error
	// plain has people with names as they are, for pictures.
	plain bool
}

// said is a text of the stage: a picture has none that would run.
func (s *stage) said(text string) string {
	if s.plain {
		return strings.ReplaceAll(text, script, "Amina")
	}
	return text
}

// shownStage is one for pictures.
func shownStage() *stage {
	s := newStage()
	s.plain = true
	for i := range s.members {
		s.members[i].FirstNames = s.said(s.members[i].FirstNames)
	}
	for i := range s.messages {
		s.messages[i].Text = strings.Replace(s.messages[i].Text, script, "Qui a du temps ?", 1)
	}
	return s
}

func newStage() *stage {
	two := 2
	return &stage{
		kept: map[string][]byte{}, recorded: map[ledger.BureauNumber]*daybook.Stated{}, principal: true, payOffice: true, queue: -1,
		members: []daybook.Member{
			{Number: 1, Function: "president", Surname: "Peeters", FirstNames: "Nathalie", Presence: ledger.Active, Account: true},
			{Number: 2, Function: "secretary", Surname: "Janssens", FirstNames: script, Presence: ledger.Absent},
			{Number: 3, Function: "assessor", Surname: "Benali", FirstNames: "Youssef"},
			{Number: 16384, Function: "secretary", Surname: "Maes", FirstNames: "Éléonore", Presence: ledger.Active, Replaces: &two},
		},
		messages: []daybook.Message{
			{From: 3, To: 1, Time: pollDay + 40*60_000, Text: script + "\nDeux isoloirs sont libres.", Record: "00/1"},
			{From: 1, To: 0, Time: pollDay + 50*60_000, Text: "Merci.", Record: "00/2"},
			{From: 2, To: 0, Time: pollDay + 55*60_000, Unreadable: true, Record: "00/3"},
		},
	}
}

func (s *stage) Facts() Facts {
	f := Facts{
		Election: "stage-2030", Commune: 21014, NameFR: "Saint-Josse-ten-Noode", NameNL: "Sint-Joost-ten-Node", Bureau: 1, Principal: 1, Deputy: 2,
		Opens: time.UnixMilli(int64(pollDay)), Closes: time.UnixMilli(int64(pollDay + 8*3600_000)), Where: election.FreeChoice, Policy: election.Strict,
		Method: ledger.Complement, Electors: 13_000, Home: 1_080,
	}
	if !s.principal {
		f.Bureau = 3
	}
	return f
}

func (s *stage) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Open: !s.closed, Closed: s.closed, Link: pollbook.Linked, Connected: 2, Others: 2, Admitted: 63, Proxies: 4, Media: [3]Medium{{Attached: true}, {Attached: true}, {Attached: true}}}
}

func (s *stage) Place(b ledger.BureauNumber) string {
	if s.plain && b == 3 {
		return "Athénée royal"
	}
	return map[ledger.BureauNumber]string{1: "École communale 1", 2: "Salle des fêtes", 3: script}[b]
}
func (s *stage) OpensKey(passphrase string) bool { return passphrase == "stage" }
func (s *stage) Keep(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[key] = value
	return nil
}

func (s *stage) Kept(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[key]
}

// people are the stage's electors, by their number in the register.
var people = []Elector{
	{Number: 0, Surname: "Peeters", FirstNames: "Nathalie", Home: 1, Language: "fr"},
	{Number: 1, Surname: "Vermeulen", FirstNames: script, Home: 1, Language: "nl"},
	{Number: 2, Surname: "El Amrani", FirstNames: "Fatima", Home: 2, Language: "fr"},
}

// nationalNumbers are those of people.
var nationalNumbers = []string{"80.01.01-008.97", "85.07.30-033.28", "93.05.18-223.61"}

func (s *stage) Find(_ ledger.Means, number string) (Elector, bool, error) {
	n, err := ledger.ParseNationalNumber(number)
	if err != nil {
		return Elector{}, false, err
	}
	for i, text := range nationalNumbers {
		if m, _ := ledger.ParseNationalNumber(text); m == n {
			e, _ := s.Elector(i)
			return e, true, nil
		}
	}
	return Elector{}, false, nil
}

func (s *stage) Elector(number int) (Elector, bool) {
	if number < 0 || number >= len(people) {
		return Elector{}, false
	}
	e := people[number]
	e.FirstNames = s.said(e.FirstNames)
	return e, true
}

func (s *stage) Search(string, int) ([]Elector, int)           { return nil, 0 }
func (s *stage) CheckIn(context.Context, Desk) (Answer, error) { return Answer{}, nil }

func (s *stage) Undo(context.Context, Desk, uint8) (Answer, error) { return Answer{}, nil }

func (s *stage) Annul(context.Context, Desk, uint8, uint16) (Answer, error) { return Answer{}, nil }

func (s *stage) Marked(int) (Answer, error)             { return Answer{}, nil }
func (s *stage) Contest(context.Context, Contest) error { return nil }
func (s *stage) Rows(int) ([]Row, error)                { return nil, nil }
func (s *stage) Open(context.Context) error             { return nil }
func (s *stage) CloseBureau(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.closings = true, s.closings+1
	return nil
}
func (s *stage) Clocks(context.Context) []Clock { return nil }
func (s *stage) ElectionDay() proxies.Date      { return "2030-10-13" }

func (s *stage) MemberName(code uint16) string {
	for _, m := range s.members {
		if m.Number == code {
			return m.FirstNames + " " + m.Surname
		}
	}
	return ""
}

func (s *stage) Attendance(context.Context) (daybook.Attendance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return daybook.Attendance{Members: append([]daybook.Member{}, s.members...), PayOffice: s.payOffice}, nil
}

func (s *stage) RecordAttendance(_ context.Context, member uint16, p ledger.Presence) (daybook.Refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.members {
		if s.members[i].Number == member && p >= ledger.Active && p <= ledger.Absent {
			s.members[i].Presence = p
			return daybook.Recorded, nil
		}
	}
	return daybook.NoSuchMember, nil
}

func (s *stage) Replace(_ context.Context, x daybook.Replacement) (uint16, daybook.Refusal, error) {
	if _, ok, err := s.Find(ledger.ByNationalNumber, x.Number); err != nil {
		return 0, daybook.NumberUnreadable, nil
	} else if !ok {
		return 0, daybook.NotAnElector, nil
	}
	return 16385, daybook.Recorded, nil
}

func (s *stage) RecordAccount(_ context.Context, member uint16, iban string) (daybook.Refusal, error) {
	if _, err := plaintext.ParseIBAN(iban); err != nil {
		return daybook.AccountCheck, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = append(s.accounts, fmt.Sprint(member))
	return daybook.Recorded, nil
}

// stageQuarters are the check-ins of the stage's day so far.
func stageQuarters() (out []daybook.Quarter) {
	for i, n := range []int{12, 17, 9, 21, 4} {
		out = append(out, daybook.Quarter{From: pollDay + ledger.Instant(i)*15*60_000, CheckIns: n, Proxies: i % 3, FirstEntry: fmt.Sprint("entry ", 10*i), LastEntry: fmt.Sprint("entry ", 10*i+n)})
	}
	return out
}

func (s *stage) Counts(context.Context) (daybook.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := daybook.Counts{CheckedIn: 63, ByProxy: 4, Tallies: append([]daybook.Tally{}, s.tallies...)}
	if n := len(s.tallies); n > 0 && s.tallies[n-1].Alert {
		c.Look = stageQuarters()[1:3]
	}
	return c, nil
}

func (s *stage) RecordCount(_ context.Context, issued, scanned uint32) (daybook.Tally, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := daybook.Tally{Time: pollDay + 70*60_000, CheckedIn: 63, Issued: issued, Scanned: scanned, GapIssued: int(issued) - 63, GapScanned: int(scanned) - int(issued)}
	t.Alert = gapOf(&t) >= 10
	s.tallies = append(s.tallies, t)
	return t, nil
}

func (s *stage) loads() []daybook.Load {
	here := s.Facts().Bureau
	tally := daybook.Tally{Time: pollDay, CheckedIn: 80, Issued: 92, Scanned: 92, GapIssued: 12, Alert: true}
	return []daybook.Load{
		{Bureau: 1, Place: s.Place(1), Principal: true, Here: here == 1, State: daybook.Linked, Electors: 1080, CheckIns: 63, Proxies: 4, LastQuarter: 4, Best: 21, Waiting: s.queue, CountedAt: pollDay + 70*60_000, WaitMinutes: s.queue},
		{Bureau: 2, Place: s.Place(2), Here: here == 2, State: daybook.Alone, Electors: 1100, CheckIns: 80, Proxies: 1, LastQuarter: 15, Best: 19, Waiting: 12, CountedAt: pollDay + 65*60_000, WaitMinutes: 12, Heard: pollDay, Tally: &tally},
		{Bureau: 3, Place: s.Place(3), Here: here == 3, State: daybook.Silent, Electors: 1090, Waiting: -1, WaitMinutes: -1, Heard: pollDay + 10*60_000},
	}
}

func (s *stage) Flow(context.Context) (daybook.Flow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return daybook.Flow{Now: pollDay + 75*60_000, Quarters: stageQuarters(), Bureaux: s.loads()}, nil
}

func (s *stage) ReportQueue(_ context.Context, waiting int) (daybook.Refusal, error) {
	if waiting > plaintext.MaxWaiting {
		return daybook.QueueTooLong, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = waiting
	return daybook.Recorded, nil
}

func (s *stage) Messages(context.Context) ([]daybook.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]daybook.Message{}, s.messages...), nil
}

func (s *stage) SendMessage(_ context.Context, to ledger.BureauNumber, text string) (daybook.Refusal, error) {
	if plaintext.CheckText(text) != nil {
		return daybook.MessageUnfit, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, daybook.Message{From: 1, To: to, Time: pollDay + 3600_000, Text: text})
	return daybook.Recorded, nil
}

func (s *stage) Dashboard(context.Context) (daybook.Dashboard, daybook.Refusal, error) {
	if !s.principal {
		return daybook.Dashboard{}, daybook.PrincipalOnly, nil
	}
	return daybook.Dashboard{
		LedgerSize: 210, AnchoredSize: 200, AnchorAgeSeconds: 12.4, Cosigners: 2, Certificate: true, PlatformSize: 198, Forks: 1, RefusedProxies: 2, Replacements: 1,
		CheckIns: 143, Proxies: 5, Bureaux: s.loads(), Keys: []daybook.Key{{Bureau: 1, Key: 1, Step: daybook.AtBureau, At: pollDay}, {Bureau: 1, Key: 2}, {Bureau: 2, Key: 1, Step: daybook.AtPrincipal, At: pollDay + 9*3600_000}},
	}, daybook.Recorded, nil
}

func (s *stage) RecordCustody(_ context.Context, x daybook.Handing) (daybook.Refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handings = append(s.handings, x)
	return daybook.Recorded, nil
}

func (s *stage) AdmitByProxy(_ context.Context, x Proxy) (ProxyAnswer, error) {
	if broken := proxies.Check(x.Paper, s.ElectionDay()); len(broken) > 0 {
		return ProxyAnswer{Rules: broken}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, before := range s.proxies {
		if before.Principal == x.Principal {
			return ProxyAnswer{Answer: Answer{Receipt: pollbook.Receipt{Refusal: ledger.AlreadyAdmitted, Of: ledger.Admit, At: 1}}}, nil
		}
		if before.Holder == x.Holder {
			return ProxyAnswer{Answer: Answer{Receipt: pollbook.Receipt{Refusal: ledger.ProxyAlreadyHeld, Of: ledger.Carry, At: 1}}}, nil
		}
	}
	s.proxies = append(s.proxies, x)
	return ProxyAnswer{Answer: Answer{Receipt: pollbook.Receipt{Recorded: true, Replicated: true, Record: ledger.StatementID{Sequence: 7}}}}, nil
}

// guest is a browser without its script: a cookie jar and the pages' own forms.
type guest struct {
	t     *testing.T
	base  string
	http  *http.Client
	token string
	stage *stage
	// now moves the screens' clock.
	now *time.Time
	mu  *sync.Mutex
}

var tokenOf = regexp.MustCompile(`name="token" value="([^"]+)"`)

// visiting serves a stage and signs its president in, in a language.
func visiting(t *testing.T, s *stage, lang language) *guest {
	t.Helper()
	g := visitingAt(t, s, lang)
	g.stage = s
	return g
}

// visitingAt is visiting for a bureau that differs from a stage.
func visitingAt(t *testing.T, b Bureau, lang language) *guest {
	t.Helper()
	return visitingWith(t, Config{Bureau: b}, lang)
}

// visitingWith is visitingAt for screens that are made otherwise.
func visitingWith(t *testing.T, cfg Config, lang language) *guest {
	t.Helper()
	at := time.UnixMilli(int64(pollDay + 75*60_000))
	g := &guest{t: t, now: &at, mu: &sync.Mutex{}}
	srv, err := newServer(cfg, func() time.Time { g.mu.Lock(); defer g.mu.Unlock(); return *g.now })
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Serve(l)
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.base, g.http = "http://"+l.Addr().String(), &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	g.signIn()
	if _, body := g.post("/language", url.Values{"language": {string(lang)}, "here": {"/flow"}}); !strings.Contains(body, `<html lang="`+string(lang)+`"`) {
		t.Fatalf("the screens do not speak %s", lang)
	}
	return g
}

func (g *guest) signIn() {
	g.t.Helper()
	g.see("/sign-in")
	if code, body := g.post("/sign-in", url.Values{"who": {"0"}, "secret": {"stage"}}); code != http.StatusOK {
		g.t.Fatalf("sign in: %d %s", code, body)
	}
	g.see("/flow")
}

// see gets a page and remembers its forms' token.
func (g *guest) see(path string) string {
	g.t.Helper()
	code, body := g.do(http.MethodGet, path, nil)
	if code != http.StatusOK {
		g.t.Fatalf("GET %s: %d %.200s", path, code, body)
	}
	return body
}

func (g *guest) post(path string, form url.Values) (int, string) {
	g.t.Helper()
	form.Set("token", g.token)
	return g.do(http.MethodPost, path, form)
}

func (g *guest) do(method, path string, form url.Values) (int, string) {
	g.t.Helper()
	req, err := http.NewRequest(method, g.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Origin", g.base)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if m := tokenOf.FindStringSubmatch(b.String()); m != nil {
		g.token = m[1]
	}
	return resp.StatusCode, b.String()
}
