package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
	"pointage/tools/prepare/preparation"
)

// wrong is a bureau that must not start, with what its president is told.
type wrong struct {
	name string
	// spoil makes it wrong; input says that it is about the files or words given.
	spoil func(*spoiled)
	input bool
	says  []string
	// opened: the ledger itself was opened to see whose it is.
	opened bool
}

// spoiled is bureau 1 of a commune whose election is a copy.
type spoiled struct {
	t    *testing.T
	c    *commune
	cfg  Config
	pass string
}

func (s *spoiled) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// alter changes one file of the election.
func (s *spoiled) alter(name string, change func([]byte) []byte) {
	s.t.Helper()
	name = filepath.Join(s.cfg.Election, name)
	b, err := os.ReadFile(name)
	s.must(err)
	s.must(os.WriteFile(name, change(b), 0o600))
}

// sign puts a changed manifest in its place, under the authority's key or a new one.
func (s *spoiled) sign(foreign bool, change func(*election.Manifest)) {
	s.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	if !foreign {
		b, err := os.ReadFile(filepath.Join(s.cfg.Election, preparation.AuthorityFile))
		s.must(err)
		block, _ := pem.Decode(b)
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		s.must(err)
		key = k.(ed25519.PrivateKey)
	}
	s.alter(preparation.ManifestFile, func(b []byte) []byte {
		m, err := election.Parse(b)
		s.must(err)
		change(m)
		b, err = m.Sign(key)
		s.must(err)
		return b
	})
}

func flip(at func(int) int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at(len(b))] ^= 1
		return b
	}
}

func middle(n int) int { return n / 2 }

func end(n int) int { return n - 1 }

var inTown = fmt.Sprint(town)

func (s *spoiled) occupied(network string) string {
	s.t.Helper()
	if network == "udp" {
		l, err := net.ListenPacket(network, freePort(s.t))
		s.must(err)
		s.t.Cleanup(func() { l.Close() })
		return l.LocalAddr().String()
	}
	l, err := net.Listen(network, freePort(s.t))
	s.must(err)
	s.t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// ran starts the bureau once and stops it, so that it has data.
func (s *spoiled) ran() {
	s.t.Helper()
	s.c.bureaux[1].start()
	s.c.bureaux[1].stop()
}

func wrongFiles() []wrong {
	return []wrong{
		{name: "mistyped passphrase", spoil: func(s *spoiled) { s.pass = "x" + s.pass[1:] }, input: true, says: []string{"passphrase", "from th"}},
		{name: "another bureau's passphrase", spoil: func(s *spoiled) { s.pass = s.c.bureaux[2].pass }, input: true, says: []string{"passphrase", "from th"}},
		{name: "no passphrase", spoil: func(s *spoiled) { s.pass = "" }, input: true, says: []string{"passphrase", "from th"}},
		{name: "another bureau's keys", spoil: func(s *spoiled) { s.cfg.Keys, s.pass = s.c.keys(2, preparation.KeysFile), s.c.bureaux[2].pass }, input: true, says: []string{"belongs to bureau 2", "use the keys and the letter of bureau 1"}},
		{name: "no keys", spoil: func(s *spoiled) { s.cfg.Keys += ".none" }, input: true, says: []string{"is missing", "put it there"}},
		{name: "altered manifest", spoil: func(s *spoiled) { s.alter(preparation.ManifestFile, flip(middle)) }, input: true, says: []string{"manifest", "get the manifest from the election authority again"}},
		{name: "manifest with a wrong signature", spoil: func(s *spoiled) { s.alter(preparation.ManifestFile, flip(end)) }, input: true, says: []string{election.ErrSignature.Error(), "get the manifest"}},
		{name: "manifest of another authority", spoil: func(s *spoiled) { s.sign(true, func(*election.Manifest) {}) }, input: false, says: []string{"belongs to another election: attach"}},
		{name: "no manifest", spoil: func(s *spoiled) { s.cfg.Election = filepath.Join(s.cfg.Election, "none") }, input: true, says: []string{"manifest is missing", "put it there"}},
		{name: "another commune's register", spoil: func(s *spoiled) {
			other, err := os.ReadFile(filepath.Join(s.cfg.Election, fmt.Sprint(nextTown), preparation.RegisterFile))
			s.must(err)
			s.alter(filepath.Join(inTown, preparation.RegisterFile), func([]byte) []byte { return other })
		}, input: true, says: []string{"not the register that the manifest names for commune 21014", "take it from the bureau's key again"}},
		{name: "altered register", spoil: func(s *spoiled) { s.alter(filepath.Join(inTown, preparation.RegisterFile), flip(middle)) }, input: true, says: []string{"not the register", "take it from"}},
		{name: "altered roll", spoil: func(s *spoiled) { s.alter(filepath.Join(inTown, preparation.RollFile), flip(middle)) }, input: true, says: []string{"roll", "take it from"}},
		{name: "no register", spoil: func(s *spoiled) { s.must(os.Remove(filepath.Join(s.cfg.Election, inTown, preparation.RegisterFile))) }, input: true, says: []string{"register is missing", "put it there"}},
		{name: "a rehearsal's keys in a live election", spoil: func(s *spoiled) {
			s.sign(false, func(m *election.Manifest) { m.Kind = election.Live })
		}, input: true, says: []string{"belongs to another election", "take the files from"}},
		{name: "a rehearsal's register in a live election", spoil: rehearsalRegister, input: true, says: []string{"belongs to another election", "take the files from"}},
		{name: "commune of no election", spoil: func(s *spoiled) { s.cfg.Commune = 21002 }, input: true, says: []string{"21002", `correct "commune"`}},
		{name: "bureau of no commune", spoil: func(s *spoiled) { s.cfg.Bureau = 9 }, input: true, says: []string{"commune 21014 has no bureau 9", `correct "bureau"`}},
		{name: "peer of no commune", spoil: func(s *spoiled) { s.cfg.Peers[0].Bureau = 9 }, input: true, says: []string{`"peers" names bureau 9`, "take it out"}},
		{name: "no witness's address", spoil: func(s *spoiled) { s.cfg.Witness = "adele" }, input: true, says: []string{`"witness"`, "http(s)://"}},
	}
}

// rehearsalRegister makes all live but the register itself, as far as the authority can err.
func rehearsalRegister(s *spoiled) {
	s.t.Helper()
	s.sign(false, func(m *election.Manifest) { m.Kind = election.Live })
	sealed, err := os.ReadFile(s.cfg.Keys)
	s.must(err)
	rehearsal := register.Binding{Election: "one", Commune: town}
	k, err := register.OpenKeys(bytes.NewReader(sealed), s.pass, rehearsal)
	s.must(err)
	k.Binding.Live = true
	var live bytes.Buffer
	s.must(register.SealKeys(&live, k, s.pass))
	s.cfg.Keys = filepath.Join(s.cfg.Election, "live.age")
	s.must(os.WriteFile(s.cfg.Keys, live.Bytes(), 0o600))
}

func wrongPlaces() []wrong {
	return []wrong{
		{name: "the interface's port is taken", spoil: func(s *spoiled) { s.cfg.API = s.occupied("tcp") }, input: false, says: []string{"is taken", `change "api"`}},
		{name: "the port for TCP is taken", spoil: func(s *spoiled) { s.cfg.Listen = []string{s.occupied("tcp")} }, input: false, says: []string{"is taken", `change "listen"`}},
		{name: "the port for QUIC is taken", spoil: func(s *spoiled) { s.cfg.Listen = []string{s.occupied("udp")} }, input: false, says: []string{"is taken", `change "listen"`}},
		{name: "no address to listen at", spoil: func(s *spoiled) { s.cfg.Listen = []string{"nowhere"} }, input: false, says: []string{"nowhere", `"listen"`}},
		{name: "a relay that the commune does not have", spoil: func(s *spoiled) { s.cfg.Relays = []ledger.BureauNumber{99} }, input: true, says: []string{"bureau 99", `"relays"`}},
		{name: "data of a newer version", spoil: func(s *spoiled) {
			s.ran()
			s.must(os.WriteFile(filepath.Join(s.cfg.Data, versionFile), []byte("2\n"), 0o600))
		}, input: true, says: []string{`version "2"`, "use the program that wrote it"}},
		{name: "data of another bureau", spoil: func(s *spoiled) {
			s.c.bureaux[2].start()
			s.c.bureaux[2].stop()
			s.cfg.Data = filepath.Join(s.c.bureaux[2].dir, "data")
		}, input: true, says: []string{"another bureau or election", "use this bureau's own"}},
		{name: "data of another election", spoil: otherElectionsData, input: true, says: []string{"another bureau or election", "use this bureau's own"}},
		{name: "a ledger of another election", spoil: func(s *spoiled) {
			otherElectionsData(s)
			s.must(os.Remove(filepath.Join(s.cfg.Data, ownerFile)))
		}, input: false, says: []string{"another election or commune", "use another directory"}, opened: true},
		{name: "the bureau runs", spoil: func(s *spoiled) { s.c.bureaux[1].start() }, input: false, says: []string{"is in use", "stop it first"}},
		{name: "the bureau runs with other data", spoil: func(s *spoiled) {
			s.c.bureaux[1].start()
			s.c.bureaux[1].mediaLevel()
			s.cfg.Data, s.cfg.API, s.cfg.Listen = filepath.Join(s.c.dir, "other"), freePort(s.t), []string{freePort(s.t)}
		}, input: false, says: []string{"is in use", "stop it first"}},
		{name: "no medium", spoil: func(s *spoiled) { s.cfg.Media = []string{"", "", ""} }, input: false, says: []string{"0 of the bureau's three media", "attach it"}},
		{name: "the media are not attached", spoil: func(s *spoiled) {
			s.cfg.Media = []string{s.c.dir + "/a", s.c.dir + "/b", s.c.dir + "/c"}
		}, input: false, says: []string{"0 of the bureau's three media", "attach it"}},
		{name: "one medium only", spoil: func(s *spoiled) { s.cfg.Media[0], s.cfg.Media[2] = "", "" }, input: false, says: []string{"1 of the bureau's three media", "attach it"}},
		{name: "another bureau's keys attached", spoil: func(s *spoiled) {
			s.cfg.Media[1], s.cfg.Media[2] = filepath.Join(s.c.bureaux[2].dir, "key1"), filepath.Join(s.c.bureaux[2].dir, "key2")
		}, input: false, says: []string{"1 of the bureau's three media", "belongs to another bureau: hand it back"}},
	}
}

func otherElectionsData(s *spoiled) {
	s.t.Helper()
	s.ran()
	s.sign(true, func(*election.Manifest) {})
	for i, m := range s.cfg.Media { // new media, the data of before
		s.cfg.Media[i] = m + "-new"
		s.must(os.Mkdir(s.cfg.Media[i], 0o700))
	}
	s.must(Init(filepath.Join(s.c.dir, "new"), s.cfg, s.pass, nil))
}

func TestWrongFilesAndWordsAreRefusedInOneLineAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	for _, w := range wrongFiles() {
		t.Run(w.name, func(t *testing.T) { refused(t, c, w) })
	}
}

func TestWrongPlacesAreRefusedInOneLineAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, w := range wrongPlaces() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			refused(t, newCommune(t, nil), w)
		})
	}
}

func refused(t *testing.T, c *commune, w wrong) {
	copied := filepath.Join(t.TempDir(), "election")
	if err := os.CopyFS(copied, os.DirFS(c.election)); err != nil {
		t.Fatal(err)
	}
	s := &spoiled{t: t, c: c, cfg: c.bureaux[1].config(), pass: c.bureaux[1].pass}
	s.cfg.Election = copied
	w.spoil(s)
	before := contents(t, c.dir, copied)
	n, err := Start(s.cfg, Options{Passphrase: s.pass})
	if err == nil {
		n.Close()
		t.Fatal("it starts")
	}
	if !w.opened && c.bureaux[1].node == nil { // the one that runs writes
		before.same(t)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, says := range w.says {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	var input InputError
	if errors.As(err, &input) != w.input {
		t.Errorf("%q: an input error is %v, want %v", err, !w.input, w.input)
	}
}

func TestAWrongConfigurationIsToldByItsKey(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	file := filepath.Join(c.bureaux[1].dir, ConfigFile)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct{ old, new, says string }{
		{"election =", "elektion =", `unknown key "elektion"`},
		{"", "colour = \"red\"\n", `unknown key "colour"`},
		{"[[peers]]", "[[peers]]\ncolour = 1", `unknown key "peers.colour"`},
		{"bureau = 1", "bureau = ", "line 3"},
		{"bureau = 1", "bureau = -1", "bureau"},
		{"bureau = 1", "bureau = \"one\"", "bureau"},
		{"bureau = 1", "bureau = 0", `"commune" and "bureau"`},
		{`["disk", "key1", "key2"]`, `["disk", "key1"]`, "three places"},
		{`["disk", "key1", "key2"]`, `["disk", "key1", "./key1"]`, "one place twice"},
		{`api = "` + loopback, `api = "10.0.0.1`, "loopback"},
		{`api = "` + loopback + ":", `api = "` + loopback, "host:port"},
		{`listen = ["`, `listen = ["junk", "`, `"listen" has "junk"`},
		{`listen = ["`, `listen = ["127.0.0.1:70000", "`, `"listen" has "127.0.0.1:70000"`},
		{`addresses = ["`, `addresses = ["/ip4/10.0.0.7", "`, `"peers" gives bureau`},
		{`api = "` + loopback + ":", `api = "` + loopback + ":x", "host:port"},
		{`checkpoint_every = "100ms"`, `checkpoint_every = "soon"`, "invalid duration"},
		{`data = "data"`, `data = ""`, `"data" is missing`},
		{`data = "data"`, "data = \"data\"\ndata = \"data\"", "data"},
	} {
		text := strings.Replace(string(good), w.old, w.new, 1)
		if text == string(good) {
			t.Fatalf("%q is not in %s", w.old, good)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(file)
		var input InputError
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), w.says) || !errors.As(err, &input) {
			t.Errorf("%q: %v, want %q in one line", w.new, err, w.says)
		}
	}
}

func TestInitThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	b := c.bureaux[1]
	dir := filepath.Join(c.dir, "new")
	for _, w := range []struct {
		name, says string
		spoil      func(*Config)
	}{
		{"no key", "attach it", func(*Config) {}},
		{"a key in use", "has a journal already", func(cfg *Config) { cfg.Media[1], cfg.Media[2] = b.dir+"/key1", b.dir+"/key2" }},
		{"another bureau", "belongs to bureau 1", func(cfg *Config) { cfg.Bureau = 2 }},
	} {
		cfg := b.config()
		cfg.Media, cfg.Data = []string{"disk", "key1", "key2"}, "data"
		w.spoil(&cfg)
		before := contents(t, c.dir)
		err := Init(dir, cfg, b.pass, nil)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), w.says) {
			t.Errorf("%s: %v, want %q in one line", w.name, err, w.says)
		}
		before.same(t)
	}
}

func TestExportOfAStoppedBureauThatCantBeSaysWhyInOneLine(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	b := c.bureaux[1]
	dir := filepath.Join(c.dir, "export")
	says := func(n ledger.BureauNumber, want string) {
		t.Helper()
		before := contents(t, c.dir)
		if err := ExportStopped(c.bureaux[n].config(), dir); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), want) {
			t.Errorf("bureau %d: %v, want %q in one line", n, err, want)
		}
		before.same(t)
	}
	says(1, "nothing to export")
	says(3, ErrNoLogKey.Error())
	b.start()
	b.stop()
	if err := ExportStopped(b.config(), dir); !errors.Is(err, ErrNotAnchored) {
		t.Errorf("without an anchor: %v", err)
	}
	b.start()
	if err := ExportStopped(b.config(), dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("while it runs: %v", err)
	}
}

func TestAFullDiskAtInitIsToldWithTheWayOut(t *testing.T) {
	t.Parallel()
	err := initFault(fmt.Errorf("create journal: %w", syscall.ENOSPC))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some") || !strings.Contains(err.Error(), "nothing was written") {
		t.Error(err)
	}
}
