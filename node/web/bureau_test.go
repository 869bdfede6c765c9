package web_test

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	"html"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node"
	"pointage/node/register"
	"pointage/node/web"
	"pointage/tools/adele/platform"
	"pointage/tools/prepare/preparation"
)

const (
	// patience bounds every wait of a test.
	patience = 4 * time.Minute
	// town is the commune that the tests play, of three bureaux; nextTown another one of the election.
	town, nextTown ledger.Commune = 21014, 21009
	townElectors                  = 120
	browser                       = "a browser of these tests"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		// What runs beside each other mostly waits, for a bureau that does not answer or for the browser.
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	web.EndChromium()
	for _, dir := range prepared.dirs {
		os.RemoveAll(filepath.Dir(dir))
	}
	os.Exit(code)
}

// prepared are elections by their orders, made once.
var prepared struct {
	mu   sync.Mutex
	dirs map[string]string
}

// order is what an election of these tests may differ in.
type order struct {
	where    election.Where
	policy   election.Policy
	electors int
	bureaux  int
	// barrier is how long a check-in waits for the group.
	barrier time.Duration
}

func usual() order {
	return order{where: election.FreeChoice, policy: election.Strict, electors: townElectors, bureaux: 3, barrier: 3 * time.Second}
}

// prepare makes an election.
func prepare(t *testing.T, o order) string {
	t.Helper()
	prepared.mu.Lock()
	defer prepared.mu.Unlock()
	key := fmt.Sprint(o)
	if dir := prepared.dirs[key]; dir != "" {
		return dir
	}
	parent, err := os.MkdirTemp("", "pointage-web-*")
	if err != nil {
		t.Fatal(err)
	}
	if prepared.dirs == nil {
		prepared.dirs = map[string]string{}
	}
	dir := filepath.Join(parent, "election")
	prepared.dirs[key] = dir
	_, vkey, err := platform.GenerateKey(rand.Reader, "adele.test/witness")
	if err != nil {
		t.Fatal(err)
	}
	opens := time.Date(2030, 10, 13, 8, 0, 0, 0, time.UTC)
	_, err = preparation.Make(t.Context(), dir, preparation.Order{
		Election: "screens", Policy: o.policy, Where: o.where, Method: ledger.Complement,
		Opens: ledger.Instant(opens.UnixMilli()), Closes: ledger.Instant(opens.Add(8 * time.Hour).UnixMilli()), Barrier: o.barrier, Simulation: true,
		Witnesses: []election.Witness{{VKey: vkey, URL: "http://127.0.0.1:1"}},
		Groups:    []preparation.Group{{List: electors(t, town, o.electors, o.bureaux)}, {List: electors(t, nextTown, 20, 1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// electors are synthetic; eight of each bureau are convened as members of it.
func electors(t *testing.T, ins ledger.Commune, n, bureaux int) *preparation.List {
	t.Helper()
	var csv bytes.Buffer
	if err := preparation.Synthetic(&csv, 1, ins, n); err != nil {
		t.Fatal(err)
	}
	list, bad, err := preparation.Import(t.Context(), &csv, preparation.Rules{Commune: ins})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if err := list.Divide(bureaux); err != nil {
		t.Fatal(err)
	}
	if err := list.Number(ledger.Complement); err != nil {
		t.Fatal(err)
	}
	convene(list)
	return list
}

// convene makes a president, a deputy, a secretary and three assessors for each bureau.
func convene(list *preparation.List) {
	functions := []register.Function{register.President, register.DeputyPresident, register.Secretary, register.Assessor, register.Assessor, register.Assessor}
	given := map[ledger.BureauNumber]int{}
	next := uint16(0)
	for i := range list.People {
		p := &list.People[i]
		if k := given[p.Bureau]; k < len(functions) {
			next++
			p.Member, p.Serves, p.Function = next, p.Bureau, functions[k]
			given[p.Bureau]++
		}
	}
}

// station is one bureau with its screens.
type station struct {
	t       *testing.T
	number  ledger.BureauNumber
	dir     string
	pass    string
	log     *record
	node    *node.Node
	screens *web.Server
	url     string
	at      *clock
	// behind, if any, is put between the screens and the bureau.
	behind func(web.Bureau) web.Bureau
}

// record is what was logged.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// clock is the screens' own, which tests put forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// commune lays out the bureaux of an election.
type commune struct {
	t        *testing.T
	election string
	stations map[ledger.BureauNumber]*station
	electors []register.Elector
}

func newCommune(t *testing.T, o order) *commune {
	t.Helper()
	c := &commune{t: t, election: prepare(t, o), stations: map[ledger.BureauNumber]*station{}}
	listen := map[ledger.BureauNumber]string{}
	for n := range ledger.BureauNumber(o.bureaux) {
		listen[n+1] = freePort(t)
	}
	for n := range listen {
		c.lay(n, listen)
	}
	p, err := node.ReadPrepared(c.election, town)
	if err != nil {
		t.Fatal(err)
	}
	s := c.stations[1]
	k, _, err := p.OpenKeys(c.keys(1, preparation.KeysFile), s.pass, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.OpenRegister(k.Identity)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range r.Len() {
		c.electors = append(c.electors, r.At(i))
	}
	return c
}

func (c *commune) keys(n ledger.BureauNumber, file string) string {
	return filepath.Join(c.election, filepath.FromSlash(preparation.BureauDir(town, n)), file)
}

func (c *commune) lay(n ledger.BureauNumber, listen map[ledger.BureauNumber]string) {
	c.t.Helper()
	pass, err := os.ReadFile(c.keys(n, preparation.PassphraseFile))
	if err != nil {
		c.t.Fatal(err)
	}
	s := &station{t: c.t, number: n, dir: filepath.Join(c.t.TempDir(), fmt.Sprint("bureau-", n)), pass: string(bytes.TrimSpace(pass)), log: &record{}, at: &clock{}}
	cfg := node.Config{
		Election: c.election, Commune: town, Bureau: n, Keys: c.keys(n, preparation.KeysFile), Data: "data", Media: []string{"disk", "key1", "key2"},
		Listen: []string{listen[n]}, Announce: []string{}, API: "127.0.0.1:0", Witness: "http://127.0.0.1:1", CardProgram: "none",
	}
	for m, at := range listen {
		if m != n {
			cfg.Peers = append(cfg.Peers, node.Peer{Bureau: m, Addresses: []string{at}})
		}
	}
	for _, m := range cfg.Media {
		if err := os.MkdirAll(filepath.Join(s.dir, m), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := node.Init(s.dir, cfg, s.pass, slog.New(slog.DiscardHandler)); err != nil {
		c.t.Fatal(err)
	}
	c.stations[n] = s
	c.t.Cleanup(s.stop)
}

// start brings a bureau up with its screens; cards may be nil.
func (s *station) start(cards <-chan web.Card) {
	s.t.Helper()
	cfg, err := node.LoadConfig(filepath.Join(s.dir, node.ConfigFile))
	if err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if s.node, err = node.Start(cfg, node.Options{Passphrase: s.pass, Logger: log}); err != nil {
		s.t.Fatal(err)
	}
	table, err := s.node.Table()
	if err != nil {
		s.t.Fatal(err)
	}
	if s.behind != nil {
		table = s.behind(table)
	}
	if s.screens, err = web.NewAt(web.Config{Bureau: table, Cards: cards, Logger: log}, s.at.now); err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	s.screens.Serve(l)
}

func (s *station) stop() {
	s.t.Helper()
	if s.screens != nil {
		if err := s.screens.Close(); err != nil {
			s.t.Error(err)
		}
		s.screens = nil
	}
	if s.node != nil {
		if err := s.node.Close(); err != nil {
			s.t.Error(err)
		}
		s.node = nil
	}
}

// alone is a single bureau of the usual election, open.
func alone(t *testing.T) (*commune, *station) {
	t.Helper()
	c := newCommune(t, usual())
	s := c.stations[1]
	s.start(nil)
	if err := s.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// home is the i-th elector at home at a bureau.
func (c *commune) home(n ledger.BureauNumber, i int) register.Elector {
	c.t.Helper()
	for _, e := range c.electors {
		if e.Bureau == n {
			if i--; i < 0 {
				return e
			}
		}
	}
	c.t.Fatalf("bureau %d has not so many electors", n)
	return register.Elector{}
}

// member is the number of the i-th member of a function at a bureau: see convene.
func member(n ledger.BureauNumber, s *station, function string, i int) uint16 {
	s.t.Helper()
	a, err := s.node.Attendance(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range a.Members {
		if m.Function == function {
			if i--; i < 0 {
				return m.Number
			}
		}
	}
	s.t.Fatalf("bureau %d has no such %s", n, function)
	return 0
}

// visitor is a browser without script.
type visitor struct {
	t      *testing.T
	s      *station
	client *http.Client
	token  string
	agent  string
}

func (s *station) visitor() *visitor {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &visitor{t: s.t, s: s, agent: browser, client: &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}}
}

// page is an answer.
type page struct {
	status int
	path   string
	body   string
}

var tokenIn = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (v *visitor) do(method, path string, body io.Reader, change func(*http.Request)) page {
	v.t.Helper()
	p, err := v.try(method, path, body, change)
	if err != nil {
		v.t.Fatal(err)
	}
	return p
}

// try is do for a server that may hang up in the middle.
func (v *visitor) try(method, path string, body io.Reader, change func(*http.Request)) (page, error) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.s.url+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("User-Agent", v.agent)
	r.Header.Set("Accept-Language", "fr")
	if method == http.MethodPost {
		r.Header.Set("Origin", v.s.url)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return page{}, err
	}
	if m := tokenIn.FindSubmatch(b); m != nil {
		v.token = string(m[1])
	}
	return page{resp.StatusCode, resp.Request.URL.Path, string(b)}, nil
}

func (v *visitor) get(path string) page {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil, nil)
}

func (v *visitor) post(path string, fields ...string) page {
	v.t.Helper()
	form := url.Values{"token": {v.token}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()), nil)
}

// president signs in with the passphrase.
func (s *station) president() *visitor {
	s.t.Helper()
	v := s.visitor()
	v.get("/sign-in")
	if p := v.post("/sign-in", "who", "0", "secret", s.pass); p.path == "/sign-in" {
		s.t.Fatalf("the president could not sign in: %d %s", p.status, p.text())
	}
	return v
}

// assessor signs in with a PIN that the president has set.
func (s *station) assessor(president *visitor, i int) (*visitor, uint16) {
	s.t.Helper()
	code := member(s.number, s, "assessor", i)
	pin := fmt.Sprintf("%06d", 482915+i)
	president.get("/team")
	president.post("/team/pin", "code", fmt.Sprint(code), "pin", pin)
	v := s.visitor()
	v.get("/sign-in")
	if p := v.post("/sign-in", "who", fmt.Sprint(code), "secret", pin); p.path == "/sign-in" {
		s.t.Fatalf("assessor %d could not sign in: %d %s", code, p.status, p.text())
	}
	return v, code
}

// checks is checkIn for whoever works beside the test.
func (v *visitor) checks(number string) (page, error) {
	form := url.Values{"token": {v.token}, "number": {number}}
	return v.try(http.MethodPost, "/check-in/do", strings.NewReader(form.Encode()), nil)
}

// file is what a page gives out.
func (v *visitor) file(path string) []byte {
	v.t.Helper()
	return []byte(v.get(path).body)
}

func (v *visitor) checkIn(number string) page {
	v.t.Helper()
	v.get("/check-in")
	return v.post("/check-in/do", "number", number)
}

var (
	tags   = regexp.MustCompile(`(?s)<(script|style).*?</(script|style)>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is what can be read on a page.
func (p page) text() string {
	return strings.TrimSpace(spaces.ReplaceAllString(p.words(), " "))
}

// words is text with its white space.
func (p page) words() string { return html.UnescapeString(tags.ReplaceAllString(p.body, " ")) }

// answerOf is the part of a page that answers a check-in.
func (p page) answerOf() string {
	_, rest, _ := strings.Cut(p.body, `<section class="answer`)
	body, _, _ := strings.Cut(rest, "</section>")
	return page{body: `<section class="answer` + body}.text()
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// freePort is below those that the system gives to outgoing connections, at a loopback address of this process's own.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := net.JoinHostPort(ownLoopback, strconv.Itoa(10_000+mathrand.IntN(22_000)))
		if _, given := givenPorts.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port on the loopback")
	return ""
}

var givenPorts sync.Map

var ownLoopback = func() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+mathrand.IntN(254), mathrand.IntN(256), 1+mathrand.IntN(254))
}()
