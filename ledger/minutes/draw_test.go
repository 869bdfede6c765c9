package minutes

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

func TestBrusselsClocksChangeAtOneInTheMorningUTC(t *testing.T) {
	for at, want := range map[string]string{
		"2024-10-13T06:00:03Z": "13/10/2024 08:00:03 (UTC+2)", "2024-10-27T00:59:59Z": "27/10/2024 02:59:59 (UTC+2)", "2024-10-27T01:00:00Z": "27/10/2024 02:00:00 (UTC+1)",
		"2026-03-29T00:59:59Z": "29/03/2026 01:59:59 (UTC+1)", "2026-03-29T01:00:00Z": "29/03/2026 03:00:00 (UTC+2)", "2030-12-31T23:30:00Z": "01/01/2031 00:30:00 (UTC+1)",
	} {
		u, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := stamp(ledger.Instant(u.UnixMilli())); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

func TestRootOfEverySizeIsTheTrees(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 40, nil)
	c := d.Started(1)
	var x tree
	x.add(ledger.LeafHash(d.Entries[0].Encoded))
	x.add(ledger.LeafHash(d.Entries[1].Encoded))
	for i := range 17 {
		c.Put(ledgertest.Admission(2 * i))
		x.add(ledger.LeafHash(d.Entries[2+i].Encoded))
		if want := d.Checkpoint(); x.root() != want.Root || x.size != want.Size {
			t.Errorf("size %d: root %v, want %v", x.size, x.root(), want.Root)
		}
	}
}

// unpackRuns is what a reader of PDF makes of run lengths.
func unpackRuns(in []byte) (out []byte, err error) {
	for i := 0; i < len(in); {
		switch n := int(in[i]); {
		case n == 128:
			if i != len(in)-1 {
				return nil, errors.New("more behind the end")
			}
			return out, nil
		case n < 128:
			out = append(out, in[i+1:i+2+n]...)
			i += 2 + n
		default:
			out = append(out, bytes.Repeat(in[i+1:i+2], 257-n)...)
			i += 2
		}
	}
	return nil, errors.New("no end")
}

func TestRunLengthsUnpackToWhatTheyWereMadeFrom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var in []byte
		for range r.IntN(40) {
			in = append(in, bytes.Repeat([]byte{byte(r.IntN(3))}, r.IntN(300))...)
		}
		got, err := unpackRuns(runLengths(in))
		if err != nil || !bytes.Equal(got, in) {
			t.Fatalf("%d bytes became %d: %v", len(in), len(got), err)
		}
	}
}

func TestNothingInAFileDependsOnACompressor(t *testing.T) {
	for name, d := range documents(t) {
		pdf, err := d.PDF()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(pdf, []byte("FlateDecode")) || !bytes.Contains(pdf, []byte("RunLengthDecode")) {
			t.Errorf("%s: a stream is compressed", name)
		}
		// Every reference of the table leads to the object of its number.
		starts, table, err := objects(pdf)
		if err != nil {
			t.Fatal(err)
		}
		at := map[int]bool{}
		for _, s := range starts[:len(starts)-1] {
			at[s] = true
		}
		for i, m := range regexp.MustCompile(`(\d{10}) 00000 n`).FindAllSubmatch(pdf[table:], -1) {
			var n int
			fmt.Sscan(strings.TrimLeft(string(m[1]), "0"), &n)
			if !at[n] || !bytes.HasPrefix(pdf[n:], fmt.Appendf(nil, "%d 0 obj", i+1)) {
				t.Errorf("%s: object %d is not at %d", name, i+1, n)
			}
		}
	}
}

func TestRepackRefusesWhatIsNoFileOfItsMaker(t *testing.T) {
	pdf, err := documents(t)["live-bureau-1-fr"].PDF()
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][]byte{"empty": nil, "half": pdf[:len(pdf)/2], "no table": bytes.Replace(pdf, []byte("xref\n0 "), []byte("xrex\n0 "), 1)} {
		if _, err := repack(in); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestLinesFitAndLoseNothing(t *testing.T) {
	p, err := (&Document{Language: French, Title: "t", Foot: "f"}).paint(0)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	alphabet := []rune("abcdéèŒ -'’ĳiiiWWM§0123 ")
	for range 400 {
		var text strings.Builder
		for range r.IntN(120) {
			text.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		width := 30*point + r.IntN(200*point)
		lines := p.wrap(text.String(), "B", normal, width)
		for _, l := range lines {
			if p.width(l, "B", normal) > width {
				t.Fatalf("%q is wider than %d", l, width)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got := squeeze(strings.Join(lines, "")); got != squeeze(text.String()) {
			t.Fatalf("%q became %q", text.String(), got)
		}
	}
}

func TestCharactersWithoutAGlyphAreShownAsTheirNumber(t *testing.T) {
	if got := drawable("Nguyễn Ștefan 漢\x07"); !strings.HasPrefix(got, "Nguy") || strings.Contains(got, "漢") || !strings.Contains(got, "[U+6F22]") || !strings.HasSuffix(got, "[U+0007]") {
		t.Errorf("%q", got)
	}
	if got := drawable("Éloïse Œuvray-Ĳsbrandt – € §"); got != "Éloïse Œuvray-Ĳsbrandt – € §" {
		t.Errorf("%q", got)
	}
}

func TestRowsHigherThanAPageGoOn(t *testing.T) {
	long := strings.Repeat("mot ", 9000)
	d := &Document{Language: French, Title: "Long", Foot: "f", Blocks: []Block{
		Text{"avant"}, Table{Columns: []Column{{"A", 1, false}, {"B", 1, true}}, Rows: [][]string{{"x", long}, {"y", "z"}}}, Facts{Rows: [][2]string{{"nom", long}}},
	}}
	n, err := d.Pages()
	if err != nil {
		t.Fatal(err)
	}
	if n < 10 {
		t.Errorf("%d pages", n)
	}
	if _, err := d.PDF(); err != nil {
		t.Fatal(err)
	}
}

func TestHTMLIsWholeAndHasNoScript(t *testing.T) {
	for name, d := range documents(t) {
		page, err := d.HTML()
		if err != nil {
			t.Fatal(err)
		}
		text := string(page)
		if !strings.Contains(text, `<html lang="`+d.Language.String()+`-BE">`) || strings.Contains(text, "<script") || strings.Contains(text, "http") {
			t.Errorf("%s: no language, a script, or something to fetch", name)
		}
		if strings.Count(text, "<table>") != strings.Count(text, "<tbody>") || strings.Count(text, "<th ") < strings.Count(text, "<table>") || strings.Contains(text, "<th>") {
			t.Errorf("%s: a table without headers that say what they are of", name)
		}
		// But for the tags without an end it is XML.
		x := xml.NewDecoder(strings.NewReader(regexp.MustCompile(`<(meta[^>]*|br)>`).ReplaceAllString(strings.TrimPrefix(text, "<!DOCTYPE html>"), "")))
		for {
			if _, err := x.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// tool is where a program of poppler lies; a machine without it leaves the test out, and says so.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("left out: %s (Debian's poppler-utils) is not on this machine, so no page was rendered", name)
	}
	return path
}

func TestRenderedPagesCutNothingOff(t *testing.T) {
	ppm, text := tool(t, "pdftoppm"), tool(t, "pdftotext")
	dir := t.TempDir()
	for name, d := range documents(t) {
		pdf, err := d.PDF()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".pdf")
		if err := os.WriteFile(file, pdf, 0o600); err != nil {
			t.Fatal(err)
		}
		pages, err := d.Pages()
		if err != nil {
			t.Fatal(err)
		}
		run(t, ppm, "-r", "40", "-gray", file, filepath.Join(dir, name))
		images, err := filepath.Glob(filepath.Join(dir, name+"-*.pgm"))
		if err != nil || len(images) != pages {
			t.Fatalf("%s: %d pages drawn, %d rendered: %v", name, pages, len(images), err)
		}
		for _, image := range images {
			border(t, image, d.Watermark != "")
		}
		said := run(t, text, "-raw", file, "-")
		for i := range pages {
			if number := fmt.Sprintf("%d/%d", i+1, pages); !strings.Contains(said, number) {
				t.Errorf("%s: page number %s is missing", name, number)
			}
		}
		legible(t, name, d, said)
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v %s", program, err, &stderr)
	}
	return string(out)
}

// border checks that the margins of a rendered page are empty and the page is not.
func border(t *testing.T, image string, watermark bool) {
	t.Helper()
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	var width, height, depth int
	if _, err := fmt.Sscanf(string(b[:20]), "P5\n%d %d\n%d", &width, &height, &depth); err != nil {
		t.Fatal(err)
	}
	pixels := b[len(b)-width*height:]
	edge, dark := width*30/595, 0
	for i, v := range pixels {
		x, y := i%width, i/width
		if v > 128 {
			continue
		}
		dark++
		if x < edge || x >= width-edge || y < edge/2 || y >= height-edge/2 {
			t.Fatalf("%s: something is drawn at %d, %d of %d, %d, in the margin", filepath.Base(image), x, y, width, height)
		}
	}
	if dark == 0 && !watermark {
		t.Errorf("%s is empty", filepath.Base(image))
	}
}

// legible checks that all words of the document can be read in the rendered text.
func legible(t *testing.T, name string, d *Document, said string) {
	t.Helper()
	squeeze := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \n\t\f\u00ad-‐", r) }), "")
	}
	have := squeeze(said)
	read := func(text string) {
		t.Helper()
		if !strings.Contains(have, squeeze(text)) {
			t.Errorf("%s: %q can't be read", name, text)
		}
	}
	for _, b := range d.Blocks {
		switch b := b.(type) {
		case Heading:
			read(b.Text)
		case Text:
			read(b.Text)
		case Alert:
			read(b.Text)
		case Facts:
			for _, row := range b.Rows {
				read(row[0])
				read(row[1])
			}
		case Signatures:
			for _, who := range append(b.Who, b.Made) {
				read(who)
			}
		case Table:
			for _, row := range b.Rows {
				for i, cell := range row {
					if i > 0 || !b.Boxes {
						read(cell)
					}
				}
			}
		}
	}
}
