package register

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestPassphraseIsReadAsPeopleTypeIt(t *testing.T) {
	for _, draw := range []func() (string, error){
		func() (string, error) { return Passphrase(rand.Reader) },
		func() (string, error) { return Code(rand.Reader) },
	} {
		p, err := draw()
		if err != nil {
			t.Fatal(err)
		}
		for _, typed := range []string{
			p, strings.ToUpper(p), strings.ReplaceAll(p, "-", " "), strings.ReplaceAll(p, "-", ""), " " + p + "\r\n",
		} {
			if got, err := ParsePassphrase(typed); err != nil || got != p {
				t.Errorf("a form of a passphrase is not read: %v", err)
			}
		}
	}
}

// The letters that follow from given bytes: a change would lock every sealed
// file made before it.
func TestPassphraseVectors(t *testing.T) {
	p, err := Passphrase(bytes.NewReader([]byte{0, 0, 127, 0, 0, 1, 63, 84, 255, 255}))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p, "babab-lusab-babad-gutih-zuzuz-") || len(p) != 35 {
		t.Error(p)
	}
	if _, err := Passphrase(bytes.NewReader(make([]byte, 9))); err == nil {
		t.Error("drawn from too few bytes")
	}
	code, err := Code(bytes.NewReader(make([]byte, 16)))
	if err != nil || len(code) != 53 {
		t.Error(code, err)
	}
}

func TestMistypedPassphraseIsToldFromAWrongOne(t *testing.T) {
	p, err := Passphrase(bytes.NewReader([]byte{0, 0, 127, 0, 0, 1, 63, 84, 255, 255}))
	if err != nil {
		t.Fatal(err)
	}
	missed := 0
	for i := range p {
		for _, c := range "abdz" {
			typed := p[:i] + string(c) + p[i+1:]
			if typed == p || p[i] == '-' {
				continue
			}
			if _, err := ParsePassphrase(typed); err == nil {
				missed++
			} else if !errors.Is(err, ErrPassphrase) {
				t.Error(err)
			}
		}
	}
	if missed > 0 {
		t.Errorf("%d single slips pass", missed)
	}
	for _, typed := range []string{"", "correct horse battery staple", p + p, p[:29], strings.Repeat("babab-", 1000), p + "é"} {
		if _, err := ParsePassphrase(typed); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%.40q: %v", typed, err)
		}
	}
}

func testKeys(t *testing.T) Keys {
	t.Helper()
	return Keys{
		Binding: testBinding, Bureau: 7, Incarnation: 1, Identity: identity(t).String(),
		Seed: [32]byte{1}, Journal: [32]byte{2}, Log: &[32]byte{3},
	}
}

func sealedKeys(t *testing.T, k Keys, passphrase string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := SealKeys(&out, k, passphrase); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func drawn(t *testing.T) string {
	t.Helper()
	p, err := Passphrase(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKeysComeBackWithTheirPassphrase(t *testing.T) {
	k := testKeys(t)
	code, err := Code(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{drawn(t), code} {
		for _, log := range []*[32]byte{k.Log, nil} {
			k.Log = log
			got, err := OpenKeys(bytes.NewReader(sealedKeys(t, k, secret)), strings.ToUpper(secret), testBinding)
			if err != nil {
				t.Fatal(err)
			}
			same := got.Binding == k.Binding && got.Bureau == k.Bureau && got.Incarnation == k.Incarnation &&
				got.Identity == k.Identity && got.Seed == k.Seed && got.Journal == k.Journal
			if !same || (got.Log == nil) != (log == nil) || log != nil && *got.Log != *log {
				t.Error("the keys are not those sealed")
			}
		}
	}
}

func TestKeysStayShut(t *testing.T) {
	passphrase := drawn(t)
	file := sealedKeys(t, testKeys(t), passphrase)
	if _, err := OpenKeys(bytes.NewReader(file), drawn(t), testBinding); !errors.Is(err, ErrKey) {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := OpenKeys(bytes.NewReader(file), passphrase+"x", testBinding); !errors.Is(err, ErrPassphrase) {
		t.Errorf("mistyped: %v", err)
	}
	other := testBinding
	other.Live = true
	if _, err := OpenKeys(bytes.NewReader(file), passphrase, other); !errors.Is(err, ErrForeign) {
		t.Errorf("a rehearsal's keys in a live election: %v", err)
	}
	for _, cut := range []int{0, 10, len(file) / 2, len(file) - 1} {
		if _, err := OpenKeys(bytes.NewReader(file[:cut]), passphrase, testBinding); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	if !strings.Contains(string(file[:200]), " 15\n") {
		t.Error("the work factor is not 15")
	}
}

func TestUnfitKeysAreNotSealed(t *testing.T) {
	passphrase := drawn(t)
	for name, spoil := range map[string]func(*Keys){
		"bureau 0":      func(k *Keys) { k.Bureau = 0 },
		"incarnation 3": func(k *Keys) { k.Incarnation = 3 },
		"no identity":   func(k *Keys) { k.Identity = "" },
		"no election":   func(k *Keys) { k.Binding.Election = "" },
	} {
		k := testKeys(t)
		spoil(&k)
		if err := SealKeys(new(bytes.Buffer), k, passphrase); err == nil {
			t.Error(name)
		}
	}
	if err := SealKeys(new(bytes.Buffer), testKeys(t), "a weak one"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a passphrase that a person made up: %v", err)
	}
}

func TestAddressesComeBack(t *testing.T) {
	all := electors(t, 1500)
	var addresses []Address
	for i, e := range all[:1400] {
		addresses = append(addresses, Address{e.NationalNumber, "Rue de l'Église", strings.Repeat("1", i%200), "b 3", "1210", "Saint-Josse-ten-Noode"})
	}
	id := identity(t)
	var file bytes.Buffer
	if err := SealAddresses(&file, testBinding, addresses, []age.Recipient{id.Recipient()}); err != nil {
		t.Fatal(err)
	}
	a, err := OpenAddresses(bytes.NewReader(file.Bytes()), id, testBinding)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range addresses {
		if got, ok := a.Find(want.NationalNumber); !ok || got != want {
			t.Fatal("an address is not the one sealed")
		}
	}
	if _, ok := a.Find(all[1450].NationalNumber); ok || a.Len() != len(addresses) {
		t.Error("an address of somebody else")
	}
	a.Close()
	if _, ok := a.Find(addresses[0].NationalNumber); ok || a.Len() != 0 {
		t.Error("closed, and it answers")
	}
	if _, err := OpenAddresses(bytes.NewReader(file.Bytes()), identity(t), testBinding); !errors.Is(err, ErrKey) {
		t.Errorf("an ordinary bureau's key: %v", err)
	}
	if _, err := OpenAddresses(bytes.NewReader(file.Bytes()), id, Binding{Election: "x", Commune: 21014}); !errors.Is(err, ErrForeign) {
		t.Errorf("another election: %v", err)
	}
	if _, err := Open(bytes.NewReader(file.Bytes()), id, testBinding); !errors.Is(err, ErrMalformed) {
		t.Errorf("addresses opened as electors: %v", err)
	}
	twice := append(addresses, addresses[0])
	if err := SealAddresses(new(bytes.Buffer), testBinding, twice, []age.Recipient{id.Recipient()}); err == nil {
		t.Error("an elector with two addresses")
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(keysMagic + "\x01\x0dbrussels-2030\x00\x00\x52\x16\x00\x00\x07\x00"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		if k, err := decodeKeys(plain, testBinding); err == nil && k.Binding != testBinding {
			t.Error("keys of another election are read")
		}
	})
}

func TestSignatoryKeyComesBack(t *testing.T) {
	passphrase := drawn(t)
	want := Signatory{Binding: testBinding, Number: 3, Seed: [32]byte{9}}
	var file bytes.Buffer
	if err := SealSignatory(&file, want, passphrase); err != nil {
		t.Fatal(err)
	}
	got, err := OpenSignatory(bytes.NewReader(file.Bytes()), passphrase, testBinding)
	if err != nil || got.Number != want.Number || got.Seed != want.Seed || got.Binding != want.Binding {
		t.Error("the key is not the one sealed", err)
	}
	if _, err := OpenSignatory(bytes.NewReader(file.Bytes()), drawn(t), testBinding); !errors.Is(err, ErrKey) {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := OpenSignatory(bytes.NewReader(file.Bytes()), passphrase, Binding{Election: "x"}); !errors.Is(err, ErrForeign) {
		t.Errorf("another election: %v", err)
	}
	if _, err := OpenKeys(bytes.NewReader(file.Bytes()), passphrase, testBinding); !errors.Is(err, ErrMalformed) {
		t.Errorf("opened as a bureau's keys: %v", err)
	}
	if _, err := OpenSignatory(bytes.NewReader(sealedKeys(t, testKeys(t), passphrase)), passphrase, testBinding); !errors.Is(err, ErrMalformed) {
		t.Errorf("a bureau's keys opened as a signatory's: %v", err)
	}
}
