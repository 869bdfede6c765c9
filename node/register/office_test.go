package register

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestOfficeKeyComesBackForItsElectionAlone(t *testing.T) {
	code, err := Code(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := Office{Election: "brussels-2030", Name: "commune-21014", Seed: [32]byte{1, 2, 3}}
	var sealed bytes.Buffer
	if err := SealOffice(&sealed, want, code); err != nil {
		t.Fatal(err)
	}
	got, err := OpenOffice(bytes.NewReader(sealed.Bytes()), code, "brussels-2030")
	if err != nil || got.Name != want.Name || got.Seed != want.Seed || got.Election != want.Election {
		t.Fatal(got, err)
	}
	if _, err := OpenOffice(bytes.NewReader(sealed.Bytes()), code, "brussels-2036"); !errors.Is(err, ErrForeign) {
		t.Errorf("another election's key: %v", err)
	}
	other, err := Code(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffice(bytes.NewReader(sealed.Bytes()), other, "brussels-2030"); !errors.Is(err, ErrKey) {
		t.Errorf("another passphrase: %v", err)
	}
	if err := SealOffice(&sealed, Office{Election: "brussels-2030"}, code); err == nil {
		t.Error("an office without a name is sealed")
	}
	var keys bytes.Buffer
	if err := SealKeys(&keys, testKeys(t), code); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffice(&keys, code, "brussels-2030"); !errors.Is(err, ErrMalformed) {
		t.Errorf("a bureau's keys: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %x", want, want, want); bytes.Contains([]byte(text), []byte("01020")) {
		t.Errorf("an office's key is printed: %s", text)
	}
}

func TestKeyIsFoundInEveryForm(t *testing.T) {
	c := contents(electors(t, 3))
	for i := range c.Key {
		c.Key[i] = byte(200 + i)
	}
	id := identity(t)
	reg, err := Open(bytes.NewReader(sealed(t, c, id)), id, c.Binding)
	if err != nil {
		t.Fatal(err)
	}
	f := reg.KeyFinder()
	reg.Close()
	for _, form := range []string{
		string(c.Key[:]), hex.EncodeToString(c.Key[:]), fmt.Sprintf("%X", c.Key[:]), base64.StdEncoding.EncodeToString(c.Key[:]), base64.URLEncoding.EncodeToString(c.Key[:]),
	} {
		if !f.In([]byte("before " + form + " behind")) {
			t.Errorf("%q is not found", form)
		}
	}
	c.Key[31]++
	if f.In(c.Key[:]) {
		t.Error("another key is found")
	}
	f.Wipe()
	if c.Key[31]--; f.In(c.Key[:]) {
		t.Error("a wiped finder still holds the key")
	}
}

// The work factor is the base-two logarithm of scrypt's N, as the header says that age writes.
func TestWorkFactorIsFifteenForPassphrasesAndTenForCodes(t *testing.T) {
	for _, c := range []struct {
		draw func(io.Reader) (string, error)
		bits int
		want string
	}{{Passphrase, 80, " 15\n"}, {Code, 128, " 10\n"}} {
		secret, err := c.draw(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		// All words but the last carry sixteen bits; the last one checks them.
		if bits := 16 * strings.Count(secret, "-"); bits < c.bits {
			t.Errorf("%d bits, at least %d", bits, c.bits)
		}
		var sealed bytes.Buffer
		if err := SealKeys(&sealed, testKeys(t), secret); err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(sealed.String(), "\n-> scrypt ")
		if line, _, _ := strings.Cut(rest, "\n"); !strings.HasSuffix(line+"\n", c.want) {
			t.Errorf("its scrypt line is %q, want the end %q", line, c.want)
		}
	}
}
