package platform

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/node/adele"
)

// The two communes of the test region, and their figures.
const (
	josse, evere  ledger.Commune = 21014, 21006
	testBureaux                  = 3
	testElectors                 = 24
	testPerson                   = "Official of the test"
	testAfterPoll                = 9 * time.Hour
)

// testDay is one commune's election day: its electors, their key K and its ledger in memory.
type testDay struct {
	ins     ledger.Commune
	k       [32]byte
	numbers []ledger.NationalNumber
	list    []byte // CSV
	names   []string
	roll    *ledger.Roll
	group   *ledger.Group
	view    *ledger.MemoryView
	entries [][]byte
	hashes  memoryHashes
	heads   map[ledger.BureauNumber]ledger.Point
}

func testKey(ins ledger.Commune, name string) ed25519.PrivateKey {
	return ledgertest.Key(fmt.Sprintf("%d %s", ins, name))
}

func (d *testDay) device(n ledger.BureauNumber) ed25519.PrivateKey {
	return testKey(d.ins, ledgertest.DeviceName(n, 0))
}

func newTestDay(t testing.TB, ins ledger.Commune, electors int) *testDay {
	t.Helper()
	d := &testDay{ins: ins, k: sha256.Sum256(fmt.Appendf(nil, "test K %d", ins)), view: ledger.NewMemoryView(), heads: map[ledger.BureauNumber]ledger.Point{}}
	var csv strings.Builder
	csv.WriteString("national_number,surname,first_names,street,number,box,postcode,municipality,language,bureau,convocation_number\n")
	var rows []ledger.RollRow
	for i := range electors {
		body := (uint64(40+ins%100)*10_000+uint64(101+i/900/28*100+i/900%28))*1000 + uint64(1+i%900)
		n, err := ledger.NationalNumberOf(body*100 + ledger.NationalCheckDigits(body, false))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ledger.NewConvocationNumber(ins, uint32(i), ledger.Complement)
		if err != nil {
			t.Fatal(err)
		}
		home := ledger.BureauNumber(1 + i%testBureaux)
		name := fmt.Sprintf("Surname%d%05d", ins, i)
		fmt.Fprintf(&csv, "%s,%s,Firstname%05d,Street %d,%d,,1000,%s,fr,%d,%s\n", n.Digits(), name, i, i, i, communeName(ins), home, c.Digits())
		d.numbers, d.names = append(d.numbers, n), append(d.names, name)
		rows = append(rows, ledger.RollRow{Elector: ledger.Token(d.k, n), Home: home})
	}
	d.list = []byte(csv.String())
	var err error
	if d.roll, err = ledger.NewRoll(rows); err != nil {
		t.Fatal(err)
	}
	return d
}

func communeName(ins ledger.Commune) string {
	return map[ledger.Commune]string{josse: "Saint-Josse-ten-Noode", evere: "Evere"}[ins]
}

// commune is the manifest's part of the day.
func (d *testDay) commune() election.Commune {
	public := func(name string) ed25519.PublicKey { return testKey(d.ins, name).Public().(ed25519.PublicKey) }
	c := ledgertest.Manifest(testBureaux, d.roll).Communes[0]
	c.INS, c.NameFR, c.NameNL, c.LogKey = d.ins, communeName(d.ins), communeName(d.ins), public("log")
	for i := range c.Bureaux {
		for k := range c.Bureaux[i].Keys {
			n, inc := c.Bureaux[i].Number, ledger.Incarnation(k)
			c.Bureaux[i].Keys[k] = election.MachineKeys{Device: public(ledgertest.DeviceName(n, inc)), Cosigner: public(ledgertest.CosignerName(n, inc))}
		}
	}
	return c
}

func (d *testDay) add(t testing.TB, placed ...ledger.PlacedEntry) {
	t.Helper()
	for _, p := range placed {
		hs, err := tlog.StoredHashes(int64(len(d.entries)), p.Encoded, d.hashes)
		if err != nil {
			t.Fatal(err)
		}
		d.hashes, d.entries = append(d.hashes, hs...), append(d.entries, p.Encoded)
	}
}

// put signs and places statements of a bureau; its first batch opens a session.
func (d *testDay) put(t testing.TB, n ledger.BureauNumber, bodies ...ledger.Body) {
	t.Helper()
	at, open := d.heads[n]
	if !open {
		bodies = append([]ledger.Body{&ledger.SessionOpened{Generation: 1, Media: 3}}, bodies...)
	}
	var ss []ledger.Statement
	for _, b := range bodies {
		ss = append(ss, ledger.NewStatement(ledgertest.Opens, b))
	}
	batch, err := ledger.Sign(d.device(n), d.group, ledger.Author{Bureau: n, Session: ledger.SessionID{byte(n)}}, at, ss)
	if err != nil {
		t.Fatal(err)
	}
	ans, placed := ledger.Place(d.group, d.view, batch)
	if ans.Status != ledger.Placed {
		t.Fatalf("batch of bureau %d: %+v", n, ans)
	}
	d.heads[n] = ledger.Point{Next: batch.Header.Next(), Previous: batch.Header.Identity()}
	d.add(t, placed...)
}

func (d *testDay) admission(i int) *ledger.Admission {
	return &ledger.Admission{Elector: ledger.Token(d.k, d.numbers[i]), Means: ledger.ByCard, Attester: 1}
}

func (d *testDay) root(size int) tlog.Hash {
	root, err := tlog.TreeHash(int64(size), d.hashes)
	if err != nil {
		panic(err)
	}
	return root
}

// checkpoint is the log's signed note at a size.
func (d *testDay) checkpoint(t testing.TB, size int) []byte {
	t.Helper()
	c := ledger.Checkpoint{Origin: d.group.Origin(0), Size: uint64(size), Root: ledger.Hash(d.root(size))}
	signed, err := ledger.SignCheckpoint(c, testKey(d.ins, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Source of node/adele.
func (d *testDay) Head() (uint8, uint64)                   { return 0, uint64(len(d.entries)) }
func (d *testDay) Size(uint8) (uint64, error)              { return uint64(len(d.entries)), nil }
func (d *testDay) Entry(_ uint8, n uint64) ([]byte, error) { return d.entries[n], nil }

// world is a platform that serves over TLS, with its two communes' days.
type world struct {
	t       testing.TB
	dir     string
	skey    string
	days    map[ledger.Commune]*testDay
	options RegionOptions
	clock   atomic.Int64 // Unix milliseconds
	server  *Server
	region  *Region
	url     string
	stop    func()
	clients map[string]*http.Client
}

func newWorld(t testing.TB, electors int) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "adele"), days: map[ledger.Commune]*testDay{}, clients: map[string]*http.Client{}}
	w.clock.Store(int64(ledgertest.Opens) + testAfterPoll.Milliseconds())
	seed := ledgertest.Key("witness").Seed()
	c := newCosigner(ledgertest.WitnessName, seed)
	w.skey = fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", c.name, c.hash, base64.StdEncoding.EncodeToString(append([]byte{algorithmCosignature}, seed...)))
	w.makeElection(electors)
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

func (w *world) makeElection(electors int) {
	w.t.Helper()
	for _, ins := range []ledger.Commune{evere, josse} {
		w.days[ins] = newTestDay(w.t, ins, electors)
	}
	m := ledgertest.Manifest(testBureaux, w.days[josse].roll)
	m.Signatories = nil
	m.Communes = []election.Commune{w.days[evere].commune(), w.days[josse].commune()}
	file, err := m.Sign(ledgertest.Key("authority"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.options = RegionOptions{Manifest: file, Rolls: map[ledger.Commune][]byte{}, Backups: filepath.Join(w.t.TempDir(), "backups")}
	for ins, d := range w.days {
		w.options.Rolls[ins] = d.roll.Encode()
		if d.group, err = m.Group(election.Hash(file), ins, d.roll); err != nil {
			w.t.Fatal(err)
		}
		d.add(w.t, ledger.Begin(d.group, d.view))
	}
}

func (w *world) serverOptions() Options {
	var logs []Log
	for _, d := range w.days {
		origin := d.group.Origin(0)
		logs = append(logs, Log{origin, ledger.LogVKey(origin, d.group.LogKey)})
	}
	return Options{Key: w.skey, Logs: logs, Now: func() time.Time { return time.UnixMilli(w.clock.Load()) }, Logger: slog.New(slog.DiscardHandler)}
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.server, err = Open(w.dir, w.serverOptions()); err != nil {
		w.t.Fatal(err)
	}
	if w.region, err = OpenRegion(w.server, w.dir, w.options); err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.url = "https://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.region.Serve(ctx, listener) }()
	w.stop = func() {
		for _, c := range w.clients {
			c.CloseIdleConnections()
		}
		clear(w.clients)
		cancel()
		if err := <-served; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) close() {
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	if err := w.server.Close(); err != nil {
		w.t.Error(err)
	}
}

// client speaks as a machine, or with nil as nobody or a person.
func (w *world) client(device ed25519.PrivateKey) *http.Client {
	name := string(device)
	if c := w.clients[name]; c != nil {
		return c
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	if device != nil {
		certificate, err := adele.Certificate(device)
		if err != nil {
			w.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 20 * time.Second}
	w.clients[name] = c
	return c
}

// caller is who asks in a test: a session, or a machine.
type caller struct {
	session string
	device  ed25519.PrivateKey
}

// ask sends one request and returns the status and the body.
func (w *world) ask(by caller, method, path string, body []byte) (int, []byte) {
	w.t.Helper()
	request, err := http.NewRequest(method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if by.session != "" {
		request.Header.Set("Authorization", "Bearer "+by.session)
	}
	answer, err := w.client(by.device).Do(request)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, raw
}

func (w *world) must(by caller, want int, method, path string, body []byte) []byte {
	w.t.Helper()
	code, raw := w.ask(by, method, path, body)
	if code != want {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, code, raw, want)
	}
	return raw
}

func asJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func decode[T any](t testing.TB, raw []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return v
}

// code has the platform give one.
func (w *world) code(order CodeOrder) string {
	w.t.Helper()
	if order.Person == "" {
		order.Person = testPerson
	}
	if order.Days == 0 {
		order.Days = 30
	}
	issued, err := w.region.IssueCode(order)
	if err != nil {
		w.t.Fatal(err)
	}
	return issued.Code
}

func (w *world) signIn(code string) caller {
	w.t.Helper()
	raw := w.must(caller{}, 200, "POST", "/session", asJSON(map[string]string{"code": code}))
	return caller{session: decode[SignedIn](w.t, raw).Session}
}

// as signs somebody in under a role, in a commune if the role has one.
func (w *world) as(role Role, communes ...ledger.Commune) caller {
	w.t.Helper()
	switch role {
	case PrincipalMachine:
		return caller{device: w.days[communes[0]].device(1)}
	case BureauMachine:
		return caller{device: w.days[communes[0]].device(3)}
	case Nobody:
		return caller{}
	}
	order := CodeOrder{Role: role}
	if !role.regional() {
		order.Communes = communes
	}
	if role == Elector {
		order.NationalNumber = w.days[communes[0]].numbers[0].Digits()
	}
	return w.signIn(w.code(order))
}

// filled uploads both lists and token keys.
func (w *world) filled() {
	w.t.Helper()
	for ins, d := range w.days {
		w.must(w.as(Officer, ins), 201, "PUT", fmt.Sprintf("/communes/%d/list", ins), d.list)
		w.must(w.as(PrincipalMachine, ins), 204, "PUT", fmt.Sprintf("/communes/%d/token-key", ins), fmt.Appendf(nil, "%x\n", d.k))
	}
}

// logged reads the access log through the library, verified.
func (w *world) logged() []LogEntry {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "log")
	if err := w.region.ExportLog(dir); err != nil {
		w.t.Fatal(err)
	}
	return readLog(w.t, dir, w.region.LogVKey())
}
