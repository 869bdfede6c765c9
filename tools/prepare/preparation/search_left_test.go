package preparation

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"pointage/ledger"
	"pointage/node/register"
)

// TestSearchFindsEveryForm writes an elector's number and name, and K, in the forms that a
// file left behind may have.
func TestSearchFindsEveryForm(t *testing.T) {
	s := newSearcher()
	s.add("73.06.10-000.14", "060000151", "Van den Berghe", "Élise Marie")
	s.add("85.07.30-033.28", "", "Li", "An")
	key := [32]byte{0: 0xc3, 31: 0x5a}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	b := register.Binding{Election: "brussels-2030", Commune: 21014}
	if err := register.Seal(&sealed, register.Contents{Binding: b, Method: ledger.Complement, Key: key}, []age.Recipient{id.Recipient()}); err != nil {
		t.Fatal(err)
	}
	reg, err := register.Open(&sealed, id, b)
	if err != nil {
		t.Fatal(err)
	}
	s.keys = append(s.keys, reg.KeyFinder())
	reg.Close()
	noise := strings.Repeat("a1b2 ", 1000)
	for _, hit := range []string{
		"73.06.10-000.14", "73061000014", "730610-000-14", "73 06 10 000 14", "x73061000014y", `{"nr":73061000014}`, "060000151", "06 00001 51", "no. 060000151.",
		"van den berghe élise", "BERGHE, ÉLISE", "Élise,Van den Berghe", "Li;An", string(key[:]), fmt.Sprintf("%x", key),
	} {
		if !s.in([]byte(noise+hit+"\n"+noise), true) {
			t.Errorf("%q is not found", hit)
		}
	}
	for _, clean := range []string{
		"73.06.10-000.15", "730610000141", "ab060000151cd", "Berghe and nobody", "Élise at one end, of one two three four five six the Berghe", "\xff\xfeLi An",
	} {
		if s.in([]byte(noise+clean+"\n"+noise), true) {
			t.Errorf("%q is found", clean)
		}
	}
	// On the seam between two pieces of a large file.
	name := filepath.Join(t.TempDir(), "large")
	for _, at := range []int{searchChunk - 5, searchChunk + searchOverlap - 5, 2*searchChunk + 7} {
		text := bytes.Repeat([]byte("-"), 3*searchChunk)
		copy(text[at:], "73061000014")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := s.file(name); err != nil || !l.hit {
			t.Errorf("a number at %d is not found: %v", at, err)
		}
	}
}

// TestSearchLooksIntoWhatIsLeftLying plants an elector, and K, in files of every kind that may be left.
func TestSearchLooksIntoWhatIsLeftLying(t *testing.T) {
	dir := t.TempDir()
	s := newSearcher()
	s.add("73.06.10-000.14", "060000151", "Van den Berghe", "Élise Marie")
	text := "1;73.06.10-000.14;\n2;Van den Berghe;Élise Marie\n"
	number, name := text[:20], text[20:]
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	pack := func(with func(*bytes.Buffer) io.WriteCloser, text string) string { return packed(t, with, text) }
	inGzip := func(b *bytes.Buffer) io.WriteCloser { return gzip.NewWriter(b) }
	inZip := func(b *bytes.Buffer) io.WriteCloser { return newZipOf(t, b, "xl/sharedStrings.xml") }
	inSeal := func(b *bytes.Buffer) io.WriteCloser {
		w, err := age.Encrypt(b, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	inPDF := func(b *bytes.Buffer) io.WriteCloser {
		b.WriteString("%PDF-1.7\n1 0 obj << /Filter /FlateDecode >> stream\r\n")
		return zlib.NewWriter(b)
	}
	encode := func(e encoding.Encoding, text string) string { return encoded(t, e, text) }
	little, big := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	drawn := "%PDF-1.3\n(" + encode(big, "BERGHE") + ") Tj ET BT 1 2 Td (" + encode(big, "Élise") + ") Tj"
	for what, file := range map[string]string{
		"number": number, "name": name, "number, little-endian": encode(little, number), "name, little-endian": encode(little, name),
		"number, big-endian": encode(big, number), "name, big-endian": encode(big, name), "name, Windows-1252": encode(charmap.Windows1252, name),
		"number, gzip": pack(inGzip, number), "name, gzip": pack(inGzip, name), "name, gzip in gzip": pack(inGzip, pack(inGzip, name)),
		"name, spreadsheet": pack(inZip, "<si><t>Van den Berghe</t></si><si><t>Élise Marie</t></si>"), "number, spreadsheet": pack(inZip, "<v>73061000014</v>"),
		"spreadsheet in gzip": pack(inGzip, pack(inZip, number)), "number, compressed PDF": pack(inPDF, "BT (73.06.10-000.14) Tj ET"), "name in a PDF of ours": drawn,
		"paper list": pack(inSeal, "nothing that can be read"), "paper list in a spreadsheet": pack(inZip, pack(inSeal, "x")),
	} {
		if err := os.WriteFile(filepath.Join(dir, "left"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := s.search(t.Context(), []string{dir}, false, func(string) bool { return false })
		if err != nil || len(out.found) != 1 {
			t.Errorf("%s: %+v %v", what, out, err)
		}
	}
	// What is clean is not found, what can't be read is told.
	clean := strings.ReplaceAll(strings.ReplaceAll(text, "14", "15"), "Berghe", "Bergh")
	for what, file := range map[string]string{
		"text": clean, "little-endian": encode(little, clean), "Windows-1252": encode(charmap.Windows1252, clean), "gzip": pack(inGzip, clean), "spreadsheet": pack(inZip, clean),
		"sealed key": sealedUnderPassphrase(t), "opaque image": "\x89PNG\r\n", "opaque PDF": pack(inPDF, "BT <0012> Tj"), "opaque archive": pack(inGzip, clean)[:30],
		"opaque nesting": pack(inGzip, pack(inGzip, pack(inGzip, pack(inGzip, pack(inGzip, clean))))),
	} {
		if err := os.WriteFile(filepath.Join(dir, "left"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := s.search(t.Context(), []string{dir}, false, func(string) bool { return false })
		if err != nil || len(out.found) != 0 || (len(out.opaque) == 1) != strings.HasPrefix(what, "opaque") {
			t.Errorf("%s: %+v %v", what, out, err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "left"), filepath.Join(dir, "berghe élise.txt")); err != nil {
		t.Fatal(err)
	}
	if out, err := s.search(t.Context(), []string{dir}, false, func(string) bool { return false }); err != nil || len(out.found) != 1 {
		t.Errorf("a file's name: %+v %v", out, err)
	}
}

func packed(t *testing.T, with func(*bytes.Buffer) io.WriteCloser, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := with(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func encoded(t *testing.T, e encoding.Encoding, text string) string {
	t.Helper()
	out, err := e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newZipOf writes one file of a zip archive, and the archive's end when it is closed.
func newZipOf(t *testing.T, b *bytes.Buffer, name string) io.WriteCloser {
	t.Helper()
	z := zip.NewWriter(b)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	return struct {
		io.Writer
		io.Closer
	}{w, z}
}

func sealedUnderPassphrase(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	r, err := age.NewScryptRecipient("a letter's words")
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(10)
	w, err := age.Encrypt(&b, r)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
