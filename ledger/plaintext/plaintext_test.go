package plaintext

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/proxies"
)

// The registry's own examples, and one account in all forms that people type.
var accounts = []string{
	"BE68 5390 0754 7034", "be68539007547034", "BE68-5390-0754-7034", "BE68\u00a05390\u202f0754 7034", "NL91ABNA0417164300", "FR1420041010050500013M02606",
	"DE89370400440532013000", "LU280019400644750000", "GB29NWBK60161331926819", "NO9386011117947", "MT84MALT011000012345MTLCAST001S", "PL61109010140000071219812874",
}

func TestAccountNumbersOfTheRegistryAreTaken(t *testing.T) {
	for _, text := range accounts {
		a, err := ParseIBAN(text)
		if err != nil {
			t.Errorf("account %d characters long: %v", len(text), err)
		}
		if b, err := ParseIBAN(a.Digits()); err != nil || b != a {
			t.Errorf("read again: %v", err)
		}
	}
}

func TestWrongAccountNumbersAreRefused(t *testing.T) {
	for text, want := range map[string]error{
		"": ErrIBANForm, "BE68": ErrIBANForm, "6853900754703412": ErrIBANForm, "BEXX539007547034": ErrIBANForm, "BE68 5390 0754 703é": ErrIBANForm,
		strings.Repeat("B", 10_000): ErrIBANForm, "<script>alert(1)</script>": ErrIBANForm,
		"XX68539007547034": ErrIBANCountry, "US64SVBKUS6S3300958879": ErrIBANCountry,
		"BE6853900754703": ErrIBANLength, "BE685390075470344": ErrIBANLength, "NL91ABNA04171643000": ErrIBANLength,
		"BE69539007547034": ErrIBANCheck, "BE68539007547043": ErrIBANCheck, "NL91ABNA0417164301": ErrIBANCheck,
	} {
		if _, err := ParseIBAN(text); !errors.Is(err, want) {
			t.Errorf("%.30q: %v, want %v", text, err, want)
		}
	}
}

func TestEverySingleWrongCharacterOfAnAccountIsFound(t *testing.T) {
	good := "BE68539007547034"
	for i := range good {
		for _, c := range "0123456789" {
			bad := good[:i] + string(c) + good[i+1:]
			if _, err := ParseIBAN(bad); err == nil && bad != good {
				t.Errorf("character %d as %c is taken", i, c)
			}
		}
	}
	// 00, 01 and 99 leave the right remainder for some numbers; no bank gives them.
	for _, pair := range [][2]string{{"97", "00"}, {"98", "01"}, {"02", "99"}} {
		for n := range 1000 {
			body := fmt.Sprintf("NL%sABNA%010d", pair[0], n)
			if _, err := ParseIBAN(body); err != nil {
				continue
			}
			if _, err := ParseIBAN("NL" + pair[1] + body[4:]); err == nil {
				t.Errorf("check digits %s are taken", pair[1])
			}
		}
	}
}

func TestNoAccountPrintsItself(t *testing.T) {
	a, err := ParseIBAN(accounts[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{fmt.Sprint(a), fmt.Sprintf("%+v %#v %q %x", a, a, a, a), fmt.Sprintf("%v", Account{1, 2, a}), fmt.Sprintf("%#v", &Account{1, 2, a}), string(text)} {
		if strings.Contains(said, "5390") || strings.Contains(said, "35333930") {
			t.Errorf("an account prints itself: %q", said)
		}
	}
}

func national(t *testing.T) ledger.NationalNumber {
	t.Helper()
	n, err := ledger.ParseNationalNumber("80.01.01-008.97")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPlaintextsComeBackAndHaveOneForm(t *testing.T) {
	iban, err := ParseIBAN(accounts[4])
	if err != nil {
		t.Fatal(err)
	}
	token := ledger.ElectorToken{1, 2, 3}
	for name, x := range map[string]struct {
		encoded []byte
		want    any
		decode  func([]byte) (any, error)
	}{
		"account":     {(&Account{3, 17, iban}).Encode(), &Account{3, 17, iban}, func(b []byte) (any, error) { return DecodeAccount(b) }},
		"text":        {(&Text{3, 0, "<script>\nà 12 h"}).Encode(), &Text{3, 0, "<script>\nà 12 h"}, func(b []byte) (any, error) { x, _, err := DecodeMessage(b); return x, err }},
		"queue":       {(&Queue{3, 42}).Encode(), &Queue{3, 42}, func(b []byte) (any, error) { _, x, err := DecodeMessage(b); return x, err }},
		"replacement": {(&Replacement{3, 16384, 7, 4, national(t)}).Encode(), &Replacement{3, 16384, 7, 4, national(t)}, func(b []byte) (any, error) { return DecodeReplacement(b) }},
		"refused proxy": {
			(&RefusedProxy{3, []proxies.Rule{1, 10}, "21014/1", token, ledger.ElectorToken{}, 5}).Encode(),
			&RefusedProxy{3, []proxies.Rule{1, 10}, "21014/1", token, ledger.ElectorToken{}, 5},
			func(b []byte) (any, error) { return DecodeRefusedProxy(b) },
		},
	} {
		got, err := x.decode(x.encoded)
		if err != nil || !reflect.DeepEqual(got, x.want) {
			t.Errorf("%s: %v, comes back: %v", name, err, reflect.DeepEqual(got, x.want))
		}
		for i := range x.encoded {
			if _, err := x.decode(x.encoded[:i]); err == nil {
				t.Errorf("%s: cut to %d bytes it is taken", name, i)
			}
		}
		if _, err := x.decode(append(bytes.Clone(x.encoded), 0)); err == nil {
			t.Errorf("%s: a trailing byte is taken", name)
		}
		other := bytes.Clone(x.encoded)
		other[0] = 99
		if _, err := x.decode(other); err == nil {
			t.Errorf("%s: another kind is taken", name)
		}
	}
}

func TestEveryAccountIsOfOneLength(t *testing.T) {
	for _, text := range accounts {
		a, err := ParseIBAN(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := len((&Account{512, 65535, a}).Encode()); n != accountLen {
			t.Errorf("%d bytes", n)
		}
	}
}

func TestUnfitMessagesAreRefused(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("x", MaxText+1), "a\x00b", "\x1b[2J", "\xff", strings.Repeat("é", 10_000)} {
		if CheckText(text) == nil {
			t.Errorf("%.10q is taken", text)
		}
	}
	if err := CheckText(strings.Repeat("x", MaxText)); err != nil {
		t.Error(err)
	}
}

func TestReplacementNumbersAreNobodyElses(t *testing.T) {
	seen := map[uint16]bool{}
	for b := ledger.BureauNumber(1); b <= ledger.MaxBureaux; b++ {
		for i := range MaxReplacements {
			n, ok := ReplacementNumber(b, i)
			if !ok || seen[n] || n < firstReplacement {
				t.Fatalf("bureau %d, %d: %d %v", b, i, n, ok)
			}
			seen[n] = true
		}
	}
	for _, x := range [][2]int{{0, 0}, {1, MaxReplacements}, {1, -1}, {ledger.MaxBureaux + 1, 0}} {
		if _, ok := ReplacementNumber(ledger.BureauNumber(x[0]), x[1]); ok {
			t.Errorf("%v has a number", x)
		}
	}
}

// FuzzPlaintext reads what anybody sealed: it is refused or has one form.
func FuzzPlaintext(f *testing.F) {
	f.Add((&Text{1, 2, "x"}).Encode())
	f.Add((&Queue{1, 2}).Encode())
	f.Add((&RefusedProxy{Bureau: 1, Rules: []proxies.Rule{1, 2}}).Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		var again []byte
		if x, q, err := DecodeMessage(in); err == nil && x != nil {
			again = x.Encode()
		} else if err == nil {
			again = q.Encode()
		} else if x, err := DecodeAccount(in); err == nil {
			again = x.Encode()
		} else if x, err := DecodeReplacement(in); err == nil {
			again = x.Encode()
		} else if x, err := DecodeRefusedProxy(in); err == nil {
			again = x.Encode()
		} else {
			return
		}
		if !bytes.Equal(again, in) {
			t.Errorf("%x encodes as %x", in, again)
		}
	})
}

func TestARemarkIsReadAsItWasWritten(t *testing.T) {
	want := &Remark{Bureau: 3, Elector: ledger.ElectorToken{7}, At: 12, Attester: 41, Text: "n'est pas venu ici\nni ailleurs"}
	got, err := DecodeRemark(want.Encode())
	if err != nil || *got != *want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", strings.Repeat("x", MaxRemark+1), "a\x00b", "\xff"} {
		bad := *want
		bad.Text = text
		if _, err := DecodeRemark(bad.Encode()); err == nil || CheckRemark(text) == nil {
			t.Errorf("a text of %d bytes is taken", len(text))
		}
	}
	if _, err := DecodeRemark(append(want.Encode(), 0)); err == nil {
		t.Error("a trailing byte is taken")
	}
}
