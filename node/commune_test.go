package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
	"pointage/tools/adele/platform"
	"pointage/tools/prepare/preparation"
)

const (
	// patience bounds every wait of a test.
	patience = 4 * time.Minute
	// town is the commune that the tests play, of three bureaux; nextTown is another one of the
	// same election.
	town, nextTown ledger.Commune = 21014, 21001
	townElectors                  = 90
	// barrier is longer than the law's second, so that a busy machine is not taken for a group
	// that doesn't answer.
	barrier = 3 * time.Second
	// atATime is how many tests run at a time: most of what they do is waiting.
	atATime = "4"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atATime); err != nil {
		panic(err)
	}
	code := m.Run()
	if elections.made != "" {
		os.RemoveAll(elections.made)
	}
	os.Exit(code)
}

// elections are prepared once for all tests, which only read them.
var elections struct {
	mu   sync.Mutex
	made string
	skey map[string]string
}

// anElection is the directory of a prepared election and its witness's secret key.
func anElection(t *testing.T, name string) (dir, skey string) {
	t.Helper()
	elections.mu.Lock()
	defer elections.mu.Unlock()
	if elections.made == "" {
		made, err := os.MkdirTemp("", "pointage-node-*")
		if err != nil {
			t.Fatal(err)
		}
		elections.made, elections.skey = made, map[string]string{}
	}
	dir = filepath.Join(elections.made, name)
	if elections.skey[name] == "" {
		elections.skey[name] = prepareElection(t, dir, name)
	}
	return dir, elections.skey[name]
}

func prepareElection(t *testing.T, dir, name string) (skey string) {
	t.Helper()
	skey, vkey, err := platform.GenerateKey(rand.Reader, "adele.test/witness")
	if err != nil {
		t.Fatal(err)
	}
	_, err = preparation.Make(t.Context(), dir, preparation.Order{
		Election: name, Policy: election.Strict, Where: election.FreeChoice, Method: ledger.Complement,
		Opens: 1, Closes: 2, Barrier: barrier, Simulation: true,
		Witnesses: []election.Witness{{VKey: vkey, URL: "http://127.0.0.1:1"}},
		Groups:    []preparation.Group{{List: electorsOf(t, town, townElectors, 3)}, {List: electorsOf(t, nextTown, 20, 1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return skey
}

func electorsOf(t *testing.T, ins ledger.Commune, n, bureaux int) *preparation.List {
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
	return list
}

// commune is the three bureaux of town and their witness: real files, real libp2p on loopback.
type commune struct {
	t        *testing.T
	election string
	dir      string
	witness  *witness
	bureaux  map[ledger.BureauNumber]*bureau
	electors []register.Elector
}

// bureau is one of them. The test's goroutine owns it.
type bureau struct {
	c      *commune
	number ledger.BureauNumber
	dir    string
	pass   string
	log    *record
	node   *Node
}

// record is what a bureau logs.
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

// newCommune makes all bureaux' directories; change, when given, alters each configuration
// before it is written.
func newCommune(t *testing.T, change func(*Config)) *commune {
	t.Helper()
	dir, skey := anElection(t, "one")
	return newCommuneOf(t, dir, skey, change)
}

// newCommuneOf is newCommune for another election of the same town.
func newCommuneOf(t *testing.T, dir, skey string, change func(*Config)) *commune {
	t.Helper()
	c := &commune{t: t, election: dir, dir: t.TempDir(), bureaux: map[ledger.BureauNumber]*bureau{}}
	c.witness = newWitness(t, dir, skey)
	listen := map[ledger.BureauNumber]string{}
	for n := range ledger.BureauNumber(3) {
		listen[n+1] = freePort(t)
	}
	for n := range listen {
		c.lay(n, listen, change)
	}
	p := c.prepared()
	k, _, err := p.OpenKeys(c.keys(1, preparation.KeysFile), c.bureaux[1].pass, 1)
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

func (c *commune) prepared() *Prepared {
	c.t.Helper()
	p, err := ReadPrepared(c.election, town)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *commune) keys(n ledger.BureauNumber, file string) string {
	return filepath.Join(c.election, filepath.FromSlash(preparation.BureauDir(town, n)), file)
}

// lay makes one bureau's directory as init does.
func (c *commune) lay(n ledger.BureauNumber, listen map[ledger.BureauNumber]string, change func(*Config)) {
	c.t.Helper()
	pass, err := os.ReadFile(c.keys(n, preparation.PassphraseFile))
	if err != nil {
		c.t.Fatal(err)
	}
	b := &bureau{c: c, number: n, dir: filepath.Join(c.dir, fmt.Sprint("bureau-", n)), pass: string(bytes.TrimSpace(pass)), log: &record{}}
	cfg := Config{
		Election: c.election, Commune: town, Bureau: n, Keys: c.keys(n, preparation.KeysFile), Data: "data", Media: []string{"disk", "key1", "key2"},
		Listen: []string{listen[n]}, Announce: []string{}, API: freePort(c.t), Witness: c.witness.url(), CheckpointEvery: Duration(100 * time.Millisecond),
	}
	for m, at := range listen {
		if m != n {
			cfg.Peers = append(cfg.Peers, Peer{Bureau: m, Addresses: []string{at}})
		}
	}
	if change != nil {
		change(&cfg)
	}
	for _, m := range []string{"disk", "key1", "key2"} {
		if err := os.MkdirAll(filepath.Join(b.dir, m), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := Init(b.dir, cfg, b.pass, slog.New(slog.DiscardHandler)); err != nil {
		c.t.Fatal(err)
	}
	c.bureaux[n] = b
	c.t.Cleanup(b.stop)
}

func (b *bureau) config() Config {
	b.c.t.Helper()
	cfg, err := LoadConfig(filepath.Join(b.dir, ConfigFile))
	if err != nil {
		b.c.t.Fatal(err)
	}
	return cfg
}

func (b *bureau) options() Options {
	return Options{Passphrase: b.pass, Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

func (b *bureau) start() {
	b.c.t.Helper()
	n, err := Start(b.config(), b.options())
	if err != nil {
		b.c.t.Fatalf("start bureau %d: %v", b.number, err)
	}
	b.node = n
}

func (b *bureau) stop() {
	b.c.t.Helper()
	if b.node == nil {
		return
	}
	if err := b.node.Close(); err != nil {
		b.c.t.Errorf("close bureau %d: %v", b.number, err)
	}
	b.node = nil
}

// opened starts bureaux, all at a time, declares them open and waits until they are linked.
func (c *commune) opened(numbers ...ledger.BureauNumber) {
	c.t.Helper()
	var starting sync.WaitGroup
	for _, n := range numbers {
		starting.Go(func() {
			b := c.bureaux[n]
			var err error
			if b.node, err = Start(b.config(), b.options()); err != nil {
				c.t.Errorf("start bureau %d: %v", n, err)
			}
		})
	}
	starting.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	for _, n := range numbers {
		if err := c.bureaux[n].node.Open(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
	c.linked(numbers...)
}

// linked waits until the group answers the bureaux.
func (c *commune) linked(numbers ...ledger.BureauNumber) {
	c.t.Helper()
	for _, n := range numbers {
		c.until(fmt.Sprintf("bureau %d is linked", n), func() bool { return c.bureaux[n].node.Status().Link == "linked" })
	}
}

// until waits for what must come by itself.
func (c *commune) until(what string, is func() bool) {
	c.t.Helper()
	until(c.t, what, is)
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
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

func byNational(e register.Elector) Identification {
	return Identification{By: "national", Number: e.NationalNumber.Digits(), Attester: 3}
}

func (b *bureau) checkIn(e register.Elector) Answer {
	b.c.t.Helper()
	ctx, cancel := context.WithTimeout(b.c.t.Context(), patience)
	defer cancel()
	a, err := b.node.CheckIn(ctx, byNational(e))
	if err != nil {
		b.c.t.Fatalf("bureau %d: %v", b.number, err)
	}
	return a
}

func (b *bureau) admits(e register.Elector) Answer {
	b.c.t.Helper()
	a := b.checkIn(e)
	if !a.Admitted || !a.Recorded || a.Refusal != ledger.NotRefused || a.Record == "" {
		b.c.t.Fatalf("bureau %d: %+v, want an admission", b.number, a)
	}
	return a
}

// replicates waits until the group has an elector's admission here, which a second attempt tells.
func (b *bureau) replicates(e register.Elector) {
	b.c.t.Helper()
	b.c.until("the admission is replicated", func() bool {
		a := b.checkIn(e)
		if a.Admitted || a.Refusal != ledger.AlreadyAdmitted || a.At != b.number {
			b.c.t.Fatalf("bureau %d: %+v after the admission", b.number, a)
		}
		return a.When != ""
	})
}

// freePort is below those that the system gives to outgoing connections, so that none is taken
// while a bureau is down.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := net.JoinHostPort(loopback, strconv.Itoa(10_000+mathrand.IntN(22_000)))
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

// loopback is an address of this process's own, where the system has more than one: tests of other
// packages look for free ports at the same time.
var loopback = func() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+mathrand.IntN(254), mathrand.IntN(256), 1+mathrand.IntN(254))
}()

// witness is the reference platform, which can be away.
type witness struct {
	t              *testing.T
	dir, key, addr string
	logs           []platform.Log
	server         *platform.Server
	stop           context.CancelFunc
	served         chan error
}

// newWitness is away until start.
func newWitness(t *testing.T, election, key string) *witness {
	t.Helper()
	logs, err := platform.ReadLogs(filepath.Join(election, fmt.Sprint(town)))
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{t: t, dir: t.TempDir(), key: key, addr: freePort(t), logs: logs}
	t.Cleanup(w.end)
	return w
}

func (w *witness) url() string { return "http://" + w.addr }

func (w *witness) start() {
	w.t.Helper()
	s, err := platform.Open(w.dir, platform.Options{Key: w.key, Logs: w.logs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.server, w.stop, w.served = s, stop, make(chan error, 1)
	go func() { w.served <- s.Serve(ctx, l) }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	until(w.t, "the witness answers", func() bool {
		resp, err := client.Get(w.url() + "/health")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	})
}

func (w *witness) end() {
	w.t.Helper()
	if w.server == nil {
		return
	}
	w.stop()
	if err := <-w.served; err != nil {
		w.t.Error(err)
	}
	if err := w.server.Close(); err != nil {
		w.t.Error(err)
	}
	w.server = nil
}
