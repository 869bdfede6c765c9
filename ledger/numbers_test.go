package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// nationalNumbers are worked examples with the year that their check digits
// decide.
var nationalNumbers = []struct {
	printed string
	year    int
	known   bool
	bis     bool
}{
	{"85.07.30-033.28", 1985, true, false},
	{"93.05.18-223.61", 1993, true, false},
	{"17.07.30-033.84", 2017, true, false},
	{"25.04.16-123.47", 1925, true, false},
	{"25.04.16-123.76", 2025, true, false},
	{"80.01.01-008.97", 1980, true, false},
	{"98.47.28-997.65", 1998, true, true},
}

func TestWorkedNationalNumbersAreRead(t *testing.T) {
	for _, example := range nationalNumbers {
		bare := strings.NewReplacer(".", "", "-", "").Replace(example.printed)
		for _, text := range []string{
			example.printed, bare, " " + bare + "\t", bare[:6] + " " + bare[6:9] + " " + bare[9:],
			strings.ReplaceAll(example.printed, "-", "\u2013"), strings.ReplaceAll(example.printed, ".", "\u00a0"),
			bare[:6] + "/" + bare[6:],
		} {
			n, err := ParseNationalNumber(text)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if n.Printed() != example.printed || n.Digits() != bare {
				t.Errorf("%q is read as %s, %s", text, n.Printed(), n.Digits())
			}
			year, known := n.BirthYear()
			if year != example.year || known != example.known || n.IsBis() != example.bis {
				t.Errorf("%q: year %d (known: %v), bis %v", text, year, known, n.IsBis())
			}
		}
	}
}

// national makes the eleven digits of a body, by the rule as the National
// Register words it, independently of the code under test.
func national(body uint64, from2000 bool) string {
	n := body
	if from2000 {
		n += 2_000_000_000
	}
	return fmt.Sprintf("%09d%02d", body, 97-n%97)
}

func TestUnknownDatesAndBisNumbersAreRead(t *testing.T) {
	for _, example := range []struct {
		body  uint64
		known bool
		bis   bool
	}{
		{0, false, false},          // nothing known
		{1_001, false, false},      // 00.00.01: a counter in place of the day
		{400_000_001, true, false}, // 40.00.00
		{400_001_033, true, false}, // 40.00.01
		{850_700_033, true, false}, // 85.07.00
		{852_000_033, true, true},  // bis, month unknown
		{853_231_033, true, true},  // bis, December
		{854_000_033, true, true},  // bis, month unknown
		{855_231_033, true, true},  // bis, December
		{850_230_033, true, false}, // no such day: the Register's number all the same
	} {
		n, err := ParseNationalNumber(national(example.body, false))
		if err != nil {
			t.Errorf("body %d: %v", example.body, err)
			continue
		}
		if _, known := n.BirthYear(); known != example.known || n.IsBis() != example.bis {
			t.Errorf("body %d: known %v, bis %v", example.body, known, n.IsBis())
		}
	}
}

func TestWrongNationalNumbersAreRefused(t *testing.T) {
	for _, example := range []struct {
		text string
		want error
	}{
		{"", ErrNumberLength},
		{"8507300332", ErrNumberLength},
		{"850730033281", ErrNumberLength},
		{"85.07.30-033.29", ErrNumberCheckDigits},
		{"85.07.30-033.00", ErrNumberCheckDigits},
		{"80.01.01-008.00", ErrNumberCheckDigits},
		{"85.07.30-033.2x", ErrNumberText},
		{"٨٥٠٧٣٠٠٣٣٢٨", ErrNumberText},
		{"85073003328\xff", ErrNumberText},
		{"-" + strings.Repeat(" ", MaxNumberText) + "85073003328", ErrNumberLength},
		{national(851_330_033, false), ErrNumberDate},
		{national(851_930_033, true), ErrNumberDate},
		{national(853_330_033, false), ErrNumberDate},
		{national(855_330_033, false), ErrNumberDate},
		{national(850_732_033, false), ErrNumberDate},
	} {
		n, err := ParseNationalNumber(example.text)
		if !errors.Is(err, example.want) || !n.IsZero() {
			t.Errorf("%q: got %v, want %v", example.text, err, example.want)
		}
	}
}

func TestEverySingleWrongDigitIsFound(t *testing.T) {
	for _, example := range nationalNumbers {
		n, err := ParseNationalNumber(example.printed)
		if err != nil {
			t.Fatal(err)
		}
		for place, digit := range n.Digits() {
			for wrong := '0'; wrong <= '9'; wrong++ {
				if wrong == digit {
					continue
				}
				text := n.Digits()[:place] + string(wrong) + n.Digits()[place+1:]
				// 97 is prime, so one wrong digit never passes in the same
				// century; it may pass in the other one.
				got, err := ParseNationalNumber(text)
				before, _ := n.BirthYear()
				after, _ := got.BirthYear()
				if err == nil && (before < 2000) == (after < 2000) {
					t.Errorf("%s passes for %s", text, n.Digits())
				}
			}
		}
	}
}

func TestWorkedConvocationNumbers(t *testing.T) {
	for _, example := range []struct {
		commune    Commune
		serial     uint32
		complement string
		remainder  string
	}{
		{21001, 1, "01 00001 06", "01 00001 91"},
		{21004, 1, "04 00001 27", "04 00001 70"},
		{21015, 12345, "15 12345 79", "15 12345 18"},
		{21001, 7, "01 00007 97", "01 00007 97"},
	} {
		for method, want := range map[Modulo97]string{Complement: example.complement, Remainder: example.remainder} {
			c, err := NewConvocationNumber(example.commune, example.serial, method)
			if err != nil || c.Printed() != want {
				t.Errorf("%d/%d %v: %s, %v; want %s", example.commune, example.serial, method, c.Printed(), err, want)
			}
			read, err := ParseConvocationNumber(want, method)
			if err != nil || read != c || read.Serial() != example.serial || !read.IsOf(example.commune) {
				t.Errorf("%s is read as %s, %v", want, read.Printed(), err)
			}
			if read.IsOf(example.commune + 1) {
				t.Errorf("%s belongs to two communes", want)
			}
		}
		if example.complement != example.remainder {
			if _, err := ParseConvocationNumber(example.complement, Remainder); !errors.Is(err, ErrNumberCheckDigits) {
				t.Errorf("%s passes the other method: %v", example.complement, err)
			}
		}
	}
}

func TestWrongConvocationNumbersAreRefused(t *testing.T) {
	if _, err := NewConvocationNumber(21001, MaxConvocationSerial+1, Complement); !errors.Is(err, ErrNumberSerial) {
		t.Error(err)
	}
	if _, err := NewConvocationNumber(21001, 1, 0); !errors.Is(err, ErrNumberVariant) {
		t.Error(err)
	}
	if _, err := ParseConvocationNumber("010000106", 3); !errors.Is(err, ErrNumberVariant) {
		t.Error(err)
	}
	for text, want := range map[string]error{
		"": ErrNumberLength, "01000010": ErrNumberLength, "0100001060": ErrNumberLength,
		"01000010A": ErrNumberText, "010000100": ErrNumberCheckDigits, "010000196": ErrNumberCheckDigits,
	} {
		if _, err := ParseConvocationNumber(text, Complement); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestNoNumberPrintsItself(t *testing.T) {
	n, err := ParseNationalNumber("85.07.30-033.28")
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConvocationNumber(21015, 12345, Complement)
	if err != nil {
		t.Fatal(err)
	}
	held := struct {
		n NationalNumber
		c ConvocationNumber
		N NationalNumber
		C *ConvocationNumber
	}{n, c, n, &c}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%x", "%s", "%q", "%T"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", n, c, held)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("print", "national", n, "convocation", c, "held", held)
	}
	encoded, err := json.Marshal([]any{n, c, held})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, secret := range []string{"85073003328", "85.07.30", "151234579", "15 12345"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is printed in %s", secret, out.String())
		}
	}
	if n.String() != withheld || c.String() != withheld {
		t.Error("String shows a number")
	}
}

func TestUnassignedSerialsAreKnown(t *testing.T) {
	for text, want := range map[string]bool{
		national(850_730_000, false): true, national(850_730_999, false): true, national(850_730_033, false): false,
	} {
		if n, err := ParseNationalNumber(text); err != nil || n.IsUnassigned() != want {
			t.Errorf("%s: %v, %v", text, n.IsUnassigned(), err)
		}
	}
}

func TestNumbersOrderAsTheirDigits(t *testing.T) {
	low, _ := ParseNationalNumber("17.07.30-033.84")
	high, _ := ParseNationalNumber("98.47.28-997.65")
	if low.Compare(high) >= 0 || high.Compare(low) <= 0 || low.Compare(low) != 0 {
		t.Error("national numbers are out of order")
	}
	first, _ := NewConvocationNumber(21001, 1, Complement)
	second, _ := NewConvocationNumber(21015, 0, Complement)
	if first.Compare(second) >= 0 || second.Compare(first) <= 0 {
		t.Error("convocation numbers are out of order")
	}
}

// The expected value was computed with Python's hmac module.
func TestTokenIsHMACOfTheDigits(t *testing.T) {
	n, err := ParseNationalNumber("85.07.30-033.28")
	if err != nil {
		t.Fatal(err)
	}
	var key [32]byte
	for i := range key {
		key[i] = byte(i)
	}
	token := Token(key, n)
	if got := hex.EncodeToString(token[:]); got != "0d5092f2ce8d406422a0f4a34668e7b13104ad2545646dad5dec76c08c2c85de" {
		t.Error(got)
	}
}

func FuzzNationalNumber(f *testing.F) {
	for _, example := range nationalNumbers {
		f.Add(example.printed)
	}
	f.Add("00000000097")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseNationalNumber(text)
		if err != nil {
			// Only these constant errors, which repeat nothing of the text.
			switch err {
			case ErrNumberText, ErrNumberLength, ErrNumberDate, ErrNumberCheckDigits:
			default:
				t.Errorf("another error: %v", err)
			}
			return
		}
		again, err := ParseNationalNumber(n.Printed())
		if err != nil || again != n {
			t.Errorf("%s is read back as %s, %v", n.Printed(), again.Printed(), err)
		}
		if of, err := NationalNumberOf(n.Uint64()); err != nil || of != n {
			t.Errorf("%d: %v", n.Uint64(), err)
		}
		body, check := n.Uint64()/100, n.Uint64()%100
		if (body+check)%97 != 0 && (body+2_000_000_000+check)%97 != 0 {
			t.Errorf("%s passes", n.Digits())
		}
	})
}

func FuzzConvocationNumber(f *testing.F) {
	f.Add("01 00001 06", uint8(1))
	f.Add("010000191", uint8(2))
	f.Fuzz(func(t *testing.T, text string, method uint8) {
		c, err := ParseConvocationNumber(text, Modulo97(method))
		if err != nil {
			return
		}
		built, err := NewConvocationNumber(Commune(c.Uint32()/10_000_000), c.Serial(), Modulo97(method))
		if err != nil || built != c {
			t.Errorf("%s is built as %s, %v", c.Printed(), built.Printed(), err)
		}
	})
}
