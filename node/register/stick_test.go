package register

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
)

func authority(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func digestsOf(fsys fstest.MapFS) *Digests {
	d := &Digests{Election: "test-2030", Subject: RegionSubject, Files: map[string]ledger.Hash{}}
	for name := range fsys {
		h, err := fileDigest(fsys, name)
		if err != nil {
			panic(err)
		}
		d.Files[name] = h
	}
	return d
}

func TestEveryChangedFileIsFoundByTheSignedList(t *testing.T) {
	fsys := fstest.MapFS{"manifest": {Data: []byte("a")}, "21014/register": {Data: []byte("b")}, "21015/register": {Data: []byte("c")}}
	d := digestsOf(fsys)
	file, err := d.Sign(authority(1))
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseDigests(file, "test-2030", authority(1).Public().(ed25519.PublicKey))
	if err != nil || back.text() != d.text() {
		t.Fatalf("%v, %v", back, err)
	}
	if err := back.Check(fsys); err != nil {
		t.Error(err)
	}
	if got := back.In("21014"); !slices.Equal(got, []string{"21014/register"}) {
		t.Errorf("in 21014: %v", got)
	}
	for name := range fsys {
		whole := fsys[name]
		fsys[name] = &fstest.MapFile{Data: []byte("x")}
		if err := back.Check(fsys); !errors.Is(err, ErrDigest) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s altered: %v", name, err)
		}
		delete(fsys, name)
		if err := back.Check(fsys, name); !errors.Is(err, ErrDigest) {
			t.Errorf("%s missing: %v", name, err)
		}
		fsys[name] = whole
	}
	if err := back.Check(fsys, "21016/register"); !errors.Is(err, ErrDigest) {
		t.Errorf("a file that is not on the list: %v", err)
	}
}

func TestAlteredListOfDigestsIsRefused(t *testing.T) {
	d := digestsOf(fstest.MapFS{"manifest": {Data: []byte("a")}, "21014/roll": {Data: []byte("b")}})
	file, err := d.Sign(authority(1))
	if err != nil {
		t.Fatal(err)
	}
	public := authority(1).Public().(ed25519.PublicKey)
	for i := range file {
		altered := slices.Clone(file)
		altered[i] ^= 1 << (i % 8)
		if _, err := ParseDigests(altered, "test-2030", public); err == nil {
			t.Fatalf("byte %d bit %d changed and accepted", i, i%8)
		}
	}
	for what, altered := range map[string][]byte{
		"something after it": append(slices.Clone(file), '\n'), "cut": file[:len(file)-1], "empty": nil,
		"a signature twice": append(slices.Clone(file), file[bytes.LastIndex(file, []byte("— ")):]...),
	} {
		if _, err := ParseDigests(altered, "test-2030", public); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := ParseDigests(file, "test-2030", authority(2).Public().(ed25519.PublicKey)); !errors.Is(err, ErrDigest) {
		t.Errorf("another authority's list: %v", err)
	}
	if _, err := ParseDigests(file, "test-2031", public); err == nil {
		t.Error("another election's list")
	}
	for _, name := range []string{"../x", "/x", "a\nb", ".", ""} {
		d.Files = map[string]ledger.Hash{name: {}}
		if _, err := d.Sign(authority(1)); err == nil {
			t.Errorf("%q signed", name)
		}
	}
}

func TestNumberOfAKeyIsReadInItsOneForm(t *testing.T) {
	ins, n, which, err := ParseStickNumber("21014-003-2")
	if err != nil || ins != 21014 || n != 3 || which != 2 {
		t.Errorf("%d %d %d %v", ins, n, which, err)
	}
	for _, bad := range []string{"", "21014-3-1", "21014-003-3", "21014-003-0", "21014-000-1", "21014-003-1 ", "21014-003", "x", "21014-999-1"} {
		if _, _, _, err := ParseStickNumber(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func members() []Member {
	e := []string{"85073003328", "93051822361", "17073003384"}
	var out []Member
	for i, digits := range e {
		n, err := ledger.ParseNationalNumber(digits)
		if err != nil {
			panic(err)
		}
		out = append(out, Member{Number: uint16(10 - i), Bureau: ledger.BureauNumber(i + 1), Function: Function(i + 1), NationalNumber: n})
	}
	return out
}

func TestMembersComeBackInOrder(t *testing.T) {
	id, b := identity(t), Binding{Election: "test-2030", Commune: 21014}
	for _, want := range [][]Member{nil, members()} {
		var sealed bytes.Buffer
		if err := SealMembers(&sealed, b, want, []age.Recipient{id.Recipient()}); err != nil {
			t.Fatal(err)
		}
		got, err := OpenMembers(bytes.NewReader(sealed.Bytes()), id, b)
		slices.Reverse(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d members, want %d: %v", len(got), len(want), err)
		}
		if _, err := OpenMembers(bytes.NewReader(sealed.Bytes()), identity(t), b); !errors.Is(err, ErrKey) {
			t.Errorf("a stranger's key: %v", err)
		}
		if _, err := OpenMembers(bytes.NewReader(sealed.Bytes()), id, Binding{Election: "test-2030", Commune: 21015}); !errors.Is(err, ErrForeign) {
			t.Errorf("another commune: %v", err)
		}
	}
}

func TestUnfitMembersAreNotSealed(t *testing.T) {
	id, b := identity(t), Binding{Election: "test-2030", Commune: 21014}
	for what, spoil := range map[string]func([]Member){
		"number twice":     func(m []Member) { m[1].Number = m[0].Number },
		"no number":        func(m []Member) { m[1].Number = 0 },
		"person twice":     func(m []Member) { m[1].NationalNumber = m[0].NationalNumber },
		"no person":        func(m []Member) { m[1].NationalNumber = ledger.NationalNumber{} },
		"no bureau":        func(m []Member) { m[1].Bureau = 0 },
		"unknown function": func(m []Member) { m[1].Function = 6 },
		"no function":      func(m []Member) { m[1].Function = 0 },
	} {
		m := members()
		spoil(m)
		var sealed bytes.Buffer
		if err := SealMembers(&sealed, b, m, []age.Recipient{id.Recipient()}); err == nil {
			t.Errorf("%s: sealed", what)
		}
	}
	if s := fmt.Sprintf("%v %+v %d", members()[0], members(), members()); strings.Contains(s, "850730") {
		t.Errorf("a member prints: %s", s)
	}
	for f := President; f <= Substitute; f++ {
		if g, err := ParseFunction(f.String()); err != nil || g != f {
			t.Errorf("%v: %v %v", f, g, err)
		}
	}
	if _, err := ParseFunction(""); err == nil {
		t.Error("no function is read")
	}
}

func FuzzDigests(f *testing.F) {
	file, err := digestsOf(fstest.MapFS{"manifest": {Data: []byte("a")}}).Sign(authority(1))
	if err != nil {
		f.Fatal(err)
	}
	text, _, _ := bytes.Cut(file, []byte("\n\n"))
	f.Add(file, string(text))
	public := authority(1).Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		if d, err := ParseDigests(file, "test-2030", public); err == nil {
			again, err := d.Sign(authority(1))
			if err != nil || !bytes.Equal(again, file) {
				t.Fatalf("%q is written %q, %v", file, again, err)
			}
		}
		// What the authority itself has signed badly.
		signed, err := note.Sign(&note.Note{Text: text + "\n"}, authoritySigner{authorityKey("test-2030", public), authority(1)})
		if err != nil {
			return
		}
		if d, err := ParseDigests(signed, "test-2030", public); err == nil {
			if again, err := d.Sign(authority(1)); err != nil || !bytes.Equal(again, signed) {
				t.Fatalf("%q is written %q, %v", signed, again, err)
			}
		}
	})
}

func FuzzMembers(f *testing.F) {
	b := Binding{Election: "test-2030", Commune: 21014}
	header := func(n uint32) []byte {
		var h cryptobyte.Builder
		addBinding(&h, b)
		h.AddUint32(n)
		return h.BytesOrPanic()
	}
	read := func(t testing.TB, header, chunk []byte) ([]Member, error) {
		chunks := [][]byte{chunk, nil}
		if len(chunk) == 0 {
			chunks = chunks[1:]
		}
		return readMembers(bytes.NewReader(plainFile(t, magic+"\x01\x03", header, chunks...)), b)
	}
	m := members()
	slices.Reverse(m)
	three := slices.Concat(encodeMember(&m[0]), encodeMember(&m[1]), encodeMember(&m[2]))
	if got, err := read(f, header(3), three); err != nil || !slices.Equal(got, m) {
		f.Fatal(err)
	}
	f.Add(header(3), three)
	f.Add(header(0), []byte{})
	f.Fuzz(func(t *testing.T, header, chunk []byte) {
		if len(header) > maxChunk || len(chunk) > maxChunk {
			return
		}
		members, err := read(t, header, chunk)
		if err != nil {
			return
		}
		var again []byte
		for i := range members {
			again = append(again, encodeMember(&members[i])...)
		}
		if !bytes.Equal(again, chunk) {
			t.Error("another encoding of the same members is read")
		}
	})
}
