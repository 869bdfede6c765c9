package register

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"

	"pointage/ledger"
)

var testBinding = Binding{Election: "brussels-2030", Commune: 21014}

// identity draws a bureau's key.
func identity(t testing.TB) *age.HybridIdentity {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// electors makes n electors with the names given, in turn; the others have
// names of their own.
func electors(t testing.TB, n int, names ...[2]string) []Elector {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	syllables := strings.Fields("van ber der jan sen pee ters ma es ja cobs mer du bois lam bert mar tin dial lo bah bar ry ngu yen so w el ha dad")
	out := make([]Elector, n)
	for i := range out {
		// Days of 1930 to 2007 in turn, then the next odd or even serial.
		body := uint64(30+i/28/12%70)*1e7 + uint64(i/28%12+1)*1e5 + uint64(i%28+1)*1e3 + uint64(i/23520)*2
		number, err := ledger.NationalNumberOf(body*100 + ledger.NationalCheckDigits(body, false))
		if err != nil {
			t.Fatal(err)
		}
		convocation, err := ledger.NewConvocationNumber(testBinding.Commune, uint32(i), ledger.Complement)
		if err != nil {
			t.Fatal(err)
		}
		name := [2]string{}
		if i < len(names) {
			name = names[i]
		} else {
			for range 2 + rng.IntN(3) {
				name[0] += syllables[rng.IntN(len(syllables))]
			}
			for k := range 1 + rng.IntN(3) {
				if k > 0 {
					name[1] += " "
				}
				for range 2 + rng.IntN(2) {
					name[1] += syllables[rng.IntN(len(syllables))]
				}
			}
		}
		out[i] = Elector{name[0], name[1], number, convocation, ledger.BureauNumber(i%12 + 1), Language(i%2 + 1)}
	}
	rng.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func contents(e []Elector) Contents {
	return Contents{Binding: testBinding, Method: ledger.Complement, Key: [32]byte{1, 2, 3}, Electors: e}
}

func sealed(t testing.TB, c Contents, ids ...*age.HybridIdentity) []byte {
	t.Helper()
	var recipients []age.Recipient
	for _, id := range ids {
		recipients = append(recipients, id.Recipient())
	}
	var out bytes.Buffer
	if err := Seal(&out, c, recipients); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func opened(t testing.TB, e []Elector) *Register {
	t.Helper()
	id := identity(t)
	r, err := Open(bytes.NewReader(sealed(t, contents(e), id)), id, testBinding)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestEveryElectorIsFoundByEveryNumber(t *testing.T) {
	all := electors(t, 3000)
	id, other := identity(t), identity(t)
	file := sealed(t, contents(all), other, id)
	r, err := Open(bytes.NewReader(file), id, testBinding)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Len() != len(all) || r.Binding() != testBinding || r.Method() != ledger.Complement {
		t.Fatalf("%d electors, %v, %v", r.Len(), r.Binding(), r.Method())
	}
	for _, e := range all {
		i, ok := r.FindNationalNumber(e.NationalNumber)
		if !ok || r.At(i) != e || r.Bureau(i) != e.Bureau {
			t.Fatalf("elector %d is not the one sealed", i)
		}
		if j, ok := r.FindConvocationNumber(e.ConvocationNumber); !ok || j != i {
			t.Fatalf("by convocation number: %d, %v; want %d", j, ok, i)
		}
		token := ledger.Token([32]byte{1, 2, 3}, e.NationalNumber)
		if j, ok := r.FindToken(token); !ok || j != i || r.Token(i) != token {
			t.Fatalf("by token: %d, %v; want %d", j, ok, i)
		}
	}
}

func TestStrangersAreNotFound(t *testing.T) {
	all := electors(t, 200)
	r := opened(t, all[:100])
	for _, e := range all[100:] {
		if _, ok := r.FindNationalNumber(e.NationalNumber); ok {
			t.Error("found by national number")
		}
		if _, ok := r.FindConvocationNumber(e.ConvocationNumber); ok {
			t.Error("found by convocation number")
		}
		if _, ok := r.FindToken(ledger.Token([32]byte{1, 2, 3}, e.NationalNumber)); ok {
			t.Error("found by token")
		}
	}
	// A token with the first bytes of somebody's and another end.
	token := r.Token(0)
	token[31] ^= 1
	if _, ok := r.FindToken(token); ok {
		t.Error("found by a token that only begins alike")
	}
}

func TestRegisterOfAnotherElectionIsRefused(t *testing.T) {
	id := identity(t)
	file := sealed(t, contents(electors(t, 3)), id)
	for name, want := range map[string]Binding{
		"commune":  {Election: testBinding.Election, Commune: 21015},
		"election": {Election: "brussels-2036", Commune: testBinding.Commune},
		"live":     {Election: testBinding.Election, Commune: testBinding.Commune, Live: true},
	} {
		_, err := Open(bytes.NewReader(file), id, want)
		if !errors.Is(err, ErrForeign) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(bytes.NewReader(file), identity(t), testBinding); !errors.Is(err, ErrKey) {
		t.Errorf("another bureau's key: %v", err)
	}
}

func TestEveryAlteredByteIsFound(t *testing.T) {
	id := identity(t)
	file := sealed(t, contents(electors(t, 5)), id)
	for i := range file {
		file[i] ^= 1
		if r, err := Open(bytes.NewReader(file), id, testBinding); err == nil {
			r.Close()
			t.Errorf("byte %d of %d", i, len(file))
		}
		file[i] ^= 1
		if _, err := Open(bytes.NewReader(file[:i]), id, testBinding); err == nil {
			t.Errorf("cut at %d of %d", i, len(file))
		}
	}
	if _, err := Open(bytes.NewReader(append(file, 0)), id, testBinding); err == nil {
		t.Error("a byte after the end")
	}
}

func TestUnfitElectorsAreNotSealed(t *testing.T) {
	other, err := ledger.NewConvocationNumber(21015, 1, ledger.Complement)
	if err != nil {
		t.Fatal(err)
	}
	remainder, err := ledger.NewConvocationNumber(testBinding.Commune, 1, ledger.Remainder)
	if err != nil {
		t.Fatal(err)
	}
	id := identity(t)
	for name, spoil := range map[string]func(c *Contents){
		"national number twice":    func(c *Contents) { c.Electors[1].NationalNumber = c.Electors[0].NationalNumber },
		"convocation number twice": func(c *Contents) { c.Electors[1].ConvocationNumber = c.Electors[0].ConvocationNumber },
		"no national number":       func(c *Contents) { c.Electors[1].NationalNumber = ledger.NationalNumber{} },
		"another commune's number": func(c *Contents) { c.Electors[1].ConvocationNumber = other },
		"the other method":         func(c *Contents) { c.Electors[1].ConvocationNumber = remainder },
		"bureau 0":                 func(c *Contents) { c.Electors[1].Bureau = 0 },
		"bureau too high":          func(c *Contents) { c.Electors[1].Bureau = ledger.MaxBureaux + 1 },
		"no language":              func(c *Contents) { c.Electors[1].Language = 3 },
		"no surname":               func(c *Contents) { c.Electors[1].Surname = "" },
		"long name":                func(c *Contents) { c.Electors[1].FirstNames = strings.Repeat("a", MaxName+1) },
		"two lines":                func(c *Contents) { c.Electors[1].Surname = "a\nb" },
		"no UTF-8":                 func(c *Contents) { c.Electors[1].Surname = "Lef\xe8vre" },
		"no key":                   func(c *Contents) { c.Key = [32]byte{} },
		"no method":                func(c *Contents) { c.Method = 0 },
		"no election":              func(c *Contents) { c.Binding.Election = "" },
		"nobody's number, live":    func(c *Contents) { c.Binding.Live = true },
	} {
		c := contents(electors(t, 10))
		spoil(&c)
		if err := Seal(new(bytes.Buffer), c, []age.Recipient{id.Recipient()}); err == nil {
			t.Error(name)
		}
	}
	if err := Seal(new(bytes.Buffer), contents(nil), nil); err == nil {
		t.Error("no recipients")
	}
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := Seal(new(bytes.Buffer), contents(nil), []age.Recipient{classic.Recipient()}); err == nil {
		t.Error("a recipient that is not post-quantum")
	}
}

// plainFile makes a decrypted file by hand.
func plainFile(t testing.TB, opening string, header []byte, chunks ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	write := func(b []byte) {
		if _, err := gz.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte(opening))
	for _, c := range append([][]byte{header}, chunks...) {
		write([]byte{byte(len(c) >> 8), byte(len(c))})
		write(c)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// baseHeader is a header as Seal writes it, for n electors.
func baseHeader(n byte) []byte {
	h := append([]byte{byte(len(testBinding.Election))}, testBinding.Election...)
	h = append(h, 0, 0, 0x52, 0x16, 0, byte(ledger.Complement))
	return append(append(h, bytes.Repeat([]byte{7}, 32)...), 0, 0, 0, n)
}

const baseOpening = "pointreg\x01\x01"

func TestOtherEncodingsAreRefused(t *testing.T) {
	e := electors(t, 3)
	order := byNationalNumber(e)
	var r [3][]byte
	for k, i := range order {
		r[k] = encodeElector(&e[i])
	}
	good := plainFile(t, baseOpening, baseHeader(2), append(bytes.Clone(r[0]), r[1]...), nil)
	reg, err := readRegister(bytes.NewReader(good), testBinding)
	if err != nil {
		t.Fatal(err)
	}
	reg.Close()
	twice := func(rec []byte) []byte { // the next national number, the same convocation number
		c := bytes.Clone(r[1])
		copy(c[5:9], rec[5:9])
		return c
	}
	for name, file := range map[string][]byte{
		"no gzip":            []byte(baseOpening),
		"other magic":        plainFile(t, "pointres\x01\x01", baseHeader(0), nil),
		"other version":      plainFile(t, "pointreg\x02\x01", baseHeader(0), nil),
		"file of addresses":  plainFile(t, "pointreg\x01\x02", baseHeader(0), nil),
		"no header":          plainFile(t, baseOpening, nil, nil),
		"long header":        plainFile(t, baseOpening, append(baseHeader(0), 0), nil),
		"no end":             plainFile(t, baseOpening, baseHeader(1), r[0]),
		"trailing bytes":     plainFile(t, baseOpening, baseHeader(1), r[0], nil, nil),
		"after gzip":         append(bytes.Clone(good), 0),
		"second gzip member": append(bytes.Clone(good), plainFile(t, "", nil)...),
		"too few":            plainFile(t, baseOpening, baseHeader(2), r[0], nil),
		"too many":           plainFile(t, baseOpening, baseHeader(1), append(bytes.Clone(r[0]), r[1]...), nil),
		"out of order":       plainFile(t, baseOpening, baseHeader(2), append(bytes.Clone(r[1]), r[0]...), nil),
		"elector twice":      plainFile(t, baseOpening, baseHeader(2), append(bytes.Clone(r[0]), r[0]...), nil),
		"number twice":       plainFile(t, baseOpening, baseHeader(2), append(bytes.Clone(r[0]), twice(r[0])...), nil),
		"chunk not full":     plainFile(t, baseOpening, baseHeader(2), r[0], r[1], nil),
		"record cut short":   plainFile(t, baseOpening, baseHeader(1), r[0][:len(r[0])-1], nil),
		"method 3":           plainFile(t, baseOpening, bytes.Replace(baseHeader(0), []byte{0x52, 0x16, 0, 1}, []byte{0x52, 0x16, 0, 3}, 1), nil),
		"kind 2":             plainFile(t, baseOpening, bytes.Replace(baseHeader(0), []byte{0x52, 0x16, 0, 1}, []byte{0x52, 0x16, 2, 1}, 1), nil),
		"count above limit":  plainFile(t, baseOpening, append(bytes.Clone(baseHeader(0)[:len(baseHeader(0))-4]), 0xff, 0xff, 0xff, 0xff), nil),
	} {
		reg, err := readRegister(bytes.NewReader(file), testBinding)
		if err == nil {
			reg.Close()
		}
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClosedRegisterIsWiped(t *testing.T) {
	id := identity(t)
	all := electors(t, 50, [2]string{"Wiersbowska", "Ewa"})
	r, err := Open(bytes.NewReader(sealed(t, contents(all), id)), id, testBinding)
	if err != nil {
		t.Fatal(err)
	}
	names, numbers, text := r.names, r.numbers, r.words.text
	token := r.Token(0)
	r.Close()
	r.Close()
	if !bytes.Equal(names, make([]byte, len(names))) || !bytes.Equal(text, make([]byte, len(text))) || r.key != [32]byte{} {
		t.Error("names or key stay in memory")
	}
	for _, n := range numbers {
		if !n.IsZero() {
			t.Error("a national number stays in memory")
		}
	}
	if found, total := r.Search("Wiersbowska", 5); found != nil || total != 0 {
		t.Error("found by name after Close")
	}
	_, byNumber := r.FindNationalNumber(all[0].NationalNumber)
	_, byConvocation := r.FindConvocationNumber(all[0].ConvocationNumber)
	_, byToken := r.FindToken(token)
	if byNumber || byConvocation || byToken || r.Len() != 0 || r.At(0) != (Elector{}) || r.Token(0) != (ledger.ElectorToken{}) || r.Bureau(0) != 0 {
		t.Error("a closed register answers")
	}
}

func TestNoElectorIsPrinted(t *testing.T) {
	e := electors(t, 1, [2]string{"Zwartjes", "Ottoline"})[0]
	a := Address{e.NationalNumber, "Rue Zwartjes", "1", "", "1210", "Ottoline"}
	k := Keys{Identity: "Zwartjes", Seed: [32]byte{1}}
	var out bytes.Buffer
	for _, v := range []any{e, &e, []Elector{e}, a, k, Found{Elector: e}} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(encoded)
	}
	for _, secret := range []string{"Zwartjes", "Ottoline", e.NationalNumber.Digits(), e.ConvocationNumber.Digits()} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is printed:\n%s", secret, out.String())
		}
	}
}

// heapOf is how many bytes of heap make keeps alive.
func heapOf(make func() any) (bytes uint64, kept any) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept = make()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - before.HeapAlloc, kept
}

func TestNinetyThousandElectorsStayUnderSixteenMiB(t *testing.T) {
	id := identity(t)
	file := sealed(t, contents(electors(t, 90_000)), id)
	size, kept := heapOf(func() any {
		r, err := Open(bytes.NewReader(file), id, testBinding)
		if err != nil {
			t.Error(err)
		}
		return r
	})
	r := kept.(*Register)
	defer r.Close()
	t.Logf("sealed file %d bytes, register %d bytes of heap, %d distinct words", len(file), size, len(r.words.words))
	if size > 16<<20 {
		t.Errorf("%d electors take %d bytes", r.Len(), size)
	}
}

func BenchmarkOpen90000(b *testing.B) {
	id := identity(b)
	file := sealed(b, contents(electors(b, 90_000)), id)
	b.ReportAllocs()
	for b.Loop() {
		r, err := Open(bytes.NewReader(file), id, testBinding)
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkSearch90000(b *testing.B) {
	r := opened(b, electors(b, 90_000))
	b.ReportAllocs()
	for b.Loop() {
		r.Search("van den jansenpeters maria", 20)
	}
}

func BenchmarkFindNationalNumber90000(b *testing.B) {
	r := opened(b, electors(b, 90_000))
	n := r.At(54321).NationalNumber
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.FindNationalNumber(n); !ok {
			b.Fatal("not found")
		}
	}
}

func FuzzRegister(f *testing.F) {
	e := electors(f, 4)
	var chunk []byte
	for _, i := range byNationalNumber(e) {
		chunk = append(chunk, encodeElector(&e[i])...)
	}
	f.Add(baseHeader(4), chunk)
	f.Fuzz(func(t *testing.T, header, chunk []byte) {
		if len(header) > maxChunk || len(chunk) > maxChunk {
			return
		}
		file := plainFile(t, baseOpening, header, chunk, nil)
		if len(chunk) == 0 {
			file = plainFile(t, baseOpening, header, nil)
		}
		r, err := readRegister(bytes.NewReader(file), testBinding)
		if err != nil {
			return
		}
		defer r.Close()
		var again []byte
		for i := range r.Len() {
			e := r.At(i)
			again = append(again, encodeElector(&e)...)
			r.Search(e.Surname+" "+e.FirstNames, 3)
		}
		if !bytes.Equal(again, chunk) {
			t.Error("another encoding of the same electors is read")
		}
	})
}
