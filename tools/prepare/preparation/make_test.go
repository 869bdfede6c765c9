package preparation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// testWitness is a cosigner's key, of a seed of zeros.
func testWitness() election.Witness {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	return election.Witness{VKey: ledger.CosignerVKey("adele.example", key), URL: "http://127.0.0.1:1/"}
}

func testOrder(lists ...*List) Order {
	o := Order{
		Election: "brussels-2030", Policy: election.Strict, Where: election.HomeBureau, Method: ledger.Complement,
		Opens: 1_900_000_000_000, Closes: 1_900_000_000_000 + 8*3_600_000, Barrier: time.Second,
		Witnesses: []election.Witness{testWitness()}, Simulation: true,
	}
	for _, l := range lists {
		o.Groups = append(o.Groups, Group{List: l})
	}
	return o
}

// numbered is a synthetic list, divided and numbered.
func numbered(t testing.TB, ins ledger.Commune, electors, bureaux int) *List {
	t.Helper()
	var text bytes.Buffer
	if err := Synthetic(&text, 7, ins, electors); err != nil {
		t.Fatal(err)
	}
	list, bad, err := Import(context.Background(), &text, Rules{Commune: ins})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if err := errors.Join(list.Divide(bureaux), list.Number(ledger.Complement)); err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func passphrase(t testing.TB, parts ...string) string {
	return strings.TrimSuffix(string(read(t, parts...)), "\n")
}

// TestMadeElection makes one election of two communes, since each passphrase
// costs its scrypt, and looks at it from all sides.
func TestMadeElection(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "election")
	lists := []*List{numbered(t, 21015, 120, 3), numbered(t, 21014, 50, 1)}
	made, err := Make(t.Context(), dir, testOrder(lists...))
	if err != nil {
		t.Fatal(err)
	}
	file := read(t, dir, ManifestFile)
	m, err := election.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if made.Manifest != election.Hash(file) || len(made.Communes) != 2 || made.Communes[0] != (MadeCommune{21014, 50, 1, 50, 50}) {
		t.Errorf("%+v", made)
	}
	e := prepared{dir, m, lists, map[string]register.Keys{}}
	t.Run("EveryBureauHasTheKeysThatTheManifestLists", e.testKeys)
	t.Run("RegistersOpenForTheirBureauxAlone", e.testRegisters)
	t.Run("OriginAndLogKeyAreThoseOfTheLedger", e.testNames)
	t.Run("AuthorityAndSignatoriesHaveTheirKeys", e.testSignatories)
	t.Run("OnlyTheOwnerCanReadIt", e.testModes)
}

// prepared is a made election and its manifest, read back.
type prepared struct {
	dir   string
	m     *election.Manifest
	lists []*List
	keys  map[string]register.Keys // opened so far
}

func binding(ins ledger.Commune) register.Binding {
	return register.Binding{Election: "brussels-2030", Commune: ins}
}

func (e *prepared) openKeys(t *testing.T, ins ledger.Commune, n ledger.BureauNumber, i ledger.Incarnation) register.Keys {
	t.Helper()
	name, beside := KeysFile, PassphraseFile
	if i > 0 {
		name, beside = EnvelopeFile(i), CodeFile(i)
	}
	at := filepath.Join(e.dir, BureauDir(ins, n))
	if k, ok := e.keys[filepath.Join(at, name)]; ok {
		return k
	}
	k, err := register.OpenKeys(bytes.NewReader(read(t, at, name)), passphrase(t, at, beside), binding(ins))
	if err != nil {
		t.Fatal(err)
	}
	if k.Bureau != n || k.Incarnation != i {
		t.Errorf("%s of bureau %d is for bureau %d, incarnation %d", name, n, k.Bureau, k.Incarnation)
	}
	e.keys[filepath.Join(at, name)] = k
	return k
}

func (e *prepared) testKeys(t *testing.T) {
	m := e.m
	seen := map[[32]byte]bool{}
	for _, c := range m.Communes {
		for _, b := range c.Bureaux {
			for i := range b.Keys {
				k := e.openKeys(t, c.INS, b.Number, ledger.Incarnation(i))
				public := election.SecretsFrom(k.Seed).Public()
				if !public.Device.Equal(b.Keys[i].Device) || !public.Cosigner.Equal(b.Keys[i].Cosigner) {
					t.Errorf("bureau %d, incarnation %d: other keys than the manifest's", b.Number, i)
				}
				if seen[k.Seed] || seen[k.Journal] {
					t.Error("a secret has two uses")
				}
				seen[k.Seed], seen[k.Journal] = true, true
				leads := b.Number == c.Principal || b.Number == c.Deputy
				if (k.Log != nil) != leads {
					t.Errorf("bureau %d has the log key: %v", b.Number, k.Log != nil)
				}
				if k.Log != nil && !ed25519.NewKeyFromSeed(k.Log[:]).Public().(ed25519.PublicKey).Equal(c.LogKey) {
					t.Error("another log key than the manifest's")
				}
			}
		}
		if !slices.Contains(c.Voting, c.Principal) || !slices.Contains(c.Voting, c.Deputy) || len(c.Voting) != min(len(c.Bureaux), election.MaxVoting) {
			t.Errorf("voting members %v", c.Voting)
		}
	}
}

func (e *prepared) testRegisters(t *testing.T) {
	dir, m, lists := e.dir, e.m, e.lists
	for _, list := range lists {
		ins := list.Commune.INS
		c, err := m.Commune(ins)
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, fmt.Sprint(ins))
		sealed, addresses := read(t, at, RegisterFile), read(t, at, AddressesFile)
		if ledger.Hash(sha256.Sum256(sealed)) != c.Register || ledger.Hash(sha256.Sum256(addresses)) != c.Addresses {
			t.Error("the manifest has other hashes")
		}
		roll, err := ledger.DecodeRoll(read(t, at, RollFile))
		if err != nil || roll.Hash() != c.Roll || roll.Len() != len(list.People) || int(c.Electors) != roll.Len() {
			t.Fatalf("roll: %v", err)
		}
		for _, b := range c.Bureaux {
			id, err := age.ParseHybridIdentity(e.openKeys(t, ins, b.Number, 0).Identity)
			if err != nil {
				t.Fatal(err)
			}
			r, err := register.Open(bytes.NewReader(sealed), id, binding(ins))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list.People {
				i, ok := r.FindNationalNumber(p.NationalNumber)
				home, onRoll := roll.Home(r.Token(i))
				if !ok || r.At(i) != p.Elector || !onRoll || home != p.Bureau {
					t.Fatalf("the elector of line %d is not the one in register and roll", p.Line)
				}
			}
			r.Close()
			a, err := register.OpenAddresses(bytes.NewReader(addresses), id, binding(ins))
			switch {
			case b.Number == c.Principal && err != nil:
				t.Errorf("the principal bureau can't open the addresses: %v", err)
			case b.Number != c.Principal && !errors.Is(err, register.ErrKey):
				t.Errorf("bureau %d and the addresses: %v", b.Number, err)
			case err == nil:
				if got, ok := a.Find(list.People[0].NationalNumber); !ok || got != list.People[0].Address {
					t.Error("another address")
				}
				a.Close()
			}
			other := ledger.Commune(21014 + 21015 - int(ins))
			if _, err := register.Open(bytes.NewReader(read(t, dir, fmt.Sprint(other), RegisterFile)), id, binding(other)); !errors.Is(err, register.ErrKey) {
				t.Errorf("bureau %d of %d opens the register of %d: %v", b.Number, ins, other, err)
			}
		}
	}
}

func (e *prepared) testNames(t *testing.T) {
	dir, m := e.dir, e.m
	for _, c := range m.Communes {
		at := filepath.Join(dir, fmt.Sprint(c.INS))
		roll, err := ledger.DecodeRoll(read(t, at, RollFile))
		if err != nil {
			t.Fatal(err)
		}
		g, err := m.Group(election.Hash(read(t, dir, ManifestFile)), c.INS, roll)
		if err != nil {
			t.Fatal(err)
		}
		if origin := string(read(t, at, OriginFile)); origin != g.Origin(0)+"\n" {
			t.Errorf("origin %q", origin)
		}
		if vkey := string(read(t, at, LogVKeyFile)); vkey != ledger.LogVKey(g.Origin(0), c.LogKey)+"\n" {
			t.Errorf("log.vkey %q", vkey)
		}
	}
}

func (e *prepared) testSignatories(t *testing.T) {
	dir, m := e.dir, e.m
	block, _ := pem.Decode(read(t, dir, AuthorityFile))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Sign(key.(ed25519.PrivateKey))
	if err != nil || !bytes.Equal(again, read(t, dir, ManifestFile)) {
		t.Error("authority.key did not sign the manifest")
	}
	if len(m.Signatories) != 6 {
		t.Errorf("%d signatories", len(m.Signatories))
	}
	for _, s := range m.Signatories {
		at := filepath.Join(dir, fmt.Sprint(s.Commune))
		k, err := register.OpenSignatory(bytes.NewReader(read(t, at, SignatoryFile(s.Number))),
			passphrase(t, at, fmt.Sprintf("passphrase-signatory-%d", s.Number)), binding(s.Commune))
		if err != nil || k.Number != s.Number || !ed25519.NewKeyFromSeed(k.Seed[:]).Public().(ed25519.PublicKey).Equal(s.Key) {
			t.Errorf("signatory %d: %v", s.Number, err)
		}
	}
}

func (e *prepared) testModes(t *testing.T) {
	dir := e.dir
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPassphrasesGoIntoTheFileOfTheLetters(t *testing.T) {
	top := t.TempDir()
	o := testOrder(numbered(t, 21014, 30, 2))
	o.Simulation, o.Passphrases = false, filepath.Join(top, "letters.csv")
	dir := filepath.Join(top, "election")
	if _, err := Make(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(read(t, o.Passphrases))).ReadAll()
	if err != nil || len(rows) != 1+2*3+3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:7] {
		sealed := read(t, dir, row[0], row[2])
		if _, err := register.OpenKeys(bytes.NewReader(sealed), row[3], binding(21014)); err != nil {
			t.Errorf("%s: %v", row[2], err)
		}
	}
	for _, row := range rows[7:] {
		if _, err := register.OpenSignatory(bytes.NewReader(read(t, dir, row[0], row[2])), row[3], binding(21014)); err != nil {
			t.Errorf("%s: %v", row[2], err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, BureauDir(21014, 1), PassphraseFile)); err == nil {
		t.Error("a passphrase lies beside what it opens")
	}
	o.Groups = []Group{{List: numbered(t, 21014, 30, 2)}}
	if _, err := Make(t.Context(), filepath.Join(top, "second"), o); err == nil {
		t.Error("a file of passphrases was written over")
	}
	if _, err := os.Stat(filepath.Join(top, "second")); err == nil {
		t.Error("an election without passphrases was left")
	}
}

// names lists what lies in a directory, hidden files too.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestNothingHalfWrittenIsLeft(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, e := range map[string]struct {
		ctx   context.Context
		spoil func(*Order)
	}{
		"interrupted":             {cancelled, func(*Order) {}},
		"elector without bureau":  {t.Context(), func(o *Order) { o.Groups[0].List.People[3].Bureau = 0 }},
		"number twice":            {t.Context(), func(o *Order) { o.Groups[0].List.People[3].NationalNumber = o.Groups[0].List.People[4].NationalNumber }},
		"no commune":              {t.Context(), func(o *Order) { o.Groups = nil }},
		"other method":            {t.Context(), func(o *Order) { o.Method = ledger.Remainder }},
		"no witness":              {t.Context(), func(o *Order) { o.Witnesses = nil }},
		"wrong name":              {t.Context(), func(o *Order) { o.Election = "Brussels 2030" }},
		"live simulation":         {t.Context(), func(o *Order) { o.Live = true }},
		"no place of passphrases": {t.Context(), func(o *Order) { o.Simulation = false }},
		"test numbers, live": {t.Context(), func(o *Order) {
			o.Live, o.Simulation, o.Passphrases = true, false, filepath.Join(os.TempDir(), "never-written")
		}},
		"principal that is none": {t.Context(), func(o *Order) { o.Groups[0].Principal = 9 }},
		"commune twice":          {t.Context(), func(o *Order) { o.Groups = append(o.Groups, o.Groups[0]) }},
	} {
		top := t.TempDir()
		o := testOrder(numbered(t, 21014, 40, 2))
		e.spoil(&o)
		if _, err := Make(e.ctx, filepath.Join(top, "election"), o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if left := names(t, top); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

func TestARunAfterACrashStartsAfresh(t *testing.T) {
	top := t.TempDir()
	target := filepath.Join(top, "election")
	s, err := stage(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.text("21014/half", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(t.Context(), target, testOrder(numbered(t, 21014, 20, 1))); err != nil {
		t.Fatal(err)
	}
	if left := names(t, top); !slices.Equal(left, []string{"election"}) {
		t.Errorf("%v", left)
	}
	if _, err := os.Stat(filepath.Join(target, "21014", "half")); err == nil {
		t.Error("a file of the run before is in the election")
	}
	if _, err := Make(t.Context(), target, testOrder(numbered(t, 21014, 20, 1))); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("made twice in one place: %v", err)
	}
}

func TestWrittenListIsReadBack(t *testing.T) {
	list := numbered(t, 21014, 300, 4)
	list.People[0].Surname, list.People[1].Sector = `d'"Or", comte`, "A1"
	var text bytes.Buffer
	if err := list.WriteCSV(&text); err != nil {
		t.Fatal(err)
	}
	again, bad, err := Import(t.Context(), &text, Rules{Commune: 21014})
	if err != nil || len(bad) > 0 || again.Bureaux != 4 || again.Method != ledger.Complement || !slices.Equal(list.People, again.People) {
		t.Errorf("%v %v", err, bad)
	}
}

// BenchmarkMake90000 is a list of 90,000 rows imported, divided over 101
// bureaux, numbered and sealed with all keys: with the passphrases of a real
// election, whose scrypt is most of the cost, and with a simulation's.
func BenchmarkMake90000(b *testing.B) {
	var text bytes.Buffer
	if err := Synthetic(&text, 1, 21004, 90_000); err != nil {
		b.Fatal(err)
	}
	for _, simulation := range []bool{false, true} {
		b.Run(map[bool]string{false: "letters", true: "simulation"}[simulation], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				list, bad, err := Import(b.Context(), bytes.NewReader(text.Bytes()), Rules{Commune: 21004})
				if err != nil || len(bad) > 0 {
					b.Fatal(err, bad)
				}
				if err := errors.Join(list.Divide(0), list.Number(ledger.Complement)); err != nil {
					b.Fatal(err)
				}
				dir := b.TempDir()
				o := testOrder(list)
				if o.Simulation = simulation; !simulation {
					o.Passphrases = filepath.Join(dir, "letters.csv")
				}
				if _, err := Make(b.Context(), filepath.Join(dir, "election"), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
