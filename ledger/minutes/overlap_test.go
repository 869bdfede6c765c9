package minutes

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pointage/ledger/election"
)

// word is where a word of a rendered page stands, in points from the top left.
type word struct {
	Left   float64 `xml:"xMin,attr"`
	Top    float64 `xml:"yMin,attr"`
	Right  float64 `xml:"xMax,attr"`
	Bottom float64 `xml:"yMax,attr"`
	Text   string  `xml:",chardata"`
}

// over says that two words lie on each other, by more than what letters of two lines share.
func (a word) over(b word) bool {
	const side = 0.7
	within := min(a.Bottom, b.Bottom) - max(a.Top, b.Top)
	return min(a.Right, b.Right)-max(a.Left, b.Left) > side && within > 0.4*min(a.Bottom-a.Top, b.Bottom-b.Top)
}

// crammed is a document in which every text is as long as it may be, where it may be.
func crammed(lang Language) *Document {
	long := strings.Repeat("Vandenbroucke-Hoogstraten", 5) // 125 letters without a space
	words := strings.Repeat("de la Fontaine ", 9)
	d := &Document{Language: lang, Title: "Proces-verbaal " + words, Subtitle: long + " " + words, Foot: strings.Repeat("W", election.MaxName) + "/21014/epoch-0 · 100000 elementen · kop " + strings.Repeat("0f", 32), Banner: words + long}
	row := func(n int) (out []string) {
		for i := range n {
			out = append(out, []string{long, words, "123456789012", ""}[i%4])
		}
		return out
	}
	many := Table{Caption: words, Boxes: true}
	figures := Table{}
	for i := range 5 {
		many.Columns = append(many.Columns, Column{words, 10 + 15*i, i%2 == 0})
	}
	for i := range 11 {
		figures.Columns = append(figures.Columns, Column{"Voor\u00adlopig " + long, 14, i%2 == 0})
	}
	for range 12 {
		many.Rows, figures.Rows = append(many.Rows, row(5)), append(figures.Rows, row(11))
	}
	d.Blocks = []Block{
		Heading{words + long},
		Text{long + " " + words},
		Alert{words + long},
		Facts{Caption: words, Rows: [][2]string{{long, words}, {words, long}, {"", ""}}},
		many, figures,
		Code{Content: strings.Repeat("x", 300), Text: words + long + words, Alt: "a"},
		Signatures{Made: words, Who: []string{words + long, long + long + words, "Ann", words, long}},
	}
	return d
}

// TestNoWordLiesOnAnotherNorOutsideThePage renders every document, one with texts that are too long for every place among
// them, and asks poppler where each word ended up.
func TestNoWordLiesOnAnotherNorOutsideThePage(t *testing.T) {
	where := tool(t, "pdftotext")
	docs := documents(t)
	docs["crammed"] = crammed(Dutch)
	dir := t.TempDir()
	for name, d := range docs {
		d.Watermark = "" // it lies under all else
		pdf, err := d.PDF()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".pdf")
		if err := os.WriteFile(file, pdf, 0o600); err != nil {
			t.Fatal(err)
		}
		var page struct {
			Pages []struct {
				Words []word `xml:"word"`
			} `xml:"body>doc>page"`
		}
		if err := xml.Unmarshal([]byte(run(t, where, "-bbox", file, "-")), &page); err != nil {
			t.Fatal(err)
		}
		for i, p := range page.Pages {
			at := fmt.Sprintf("%s, page %d", name, i+1)
			if len(p.Words) == 0 {
				t.Errorf("%s has no words", at)
			}
			apart(t, at, p.Words)
			said, number := "", fmt.Sprintf("%d/%d", i+1, len(page.Pages))
			for _, w := range p.Words {
				if w.Text != number {
					said += w.Text
				}
			}
			if !strings.Contains(said, strings.ReplaceAll(d.Foot, " ", "")) {
				t.Errorf("%s: the foot is cut off", at)
			}
			if i > 0 && !strings.Contains(said, strings.ReplaceAll(d.Title, " ", "")) && name != "crammed" {
				t.Errorf("%s does not say what it is a page of", at)
			}
		}
		if i := len(page.Pages); i == 0 {
			t.Errorf("%s has no pages", name)
		}
	}
}

// apart looks at the words of a page.
func apart(t *testing.T, at string, words []word) {
	t.Helper()
	const edge = 44 // the margin, less what a letter may hang over
	for i, a := range words {
		if a.Left < edge || a.Right > 595.3-edge || a.Top < 12 || a.Bottom > 841.9-12 {
			t.Errorf("%s: %q stands at %.0f to %.0f, %.0f to %.0f", at, a.Text, a.Left, a.Right, a.Top, a.Bottom)
		}
		for _, b := range words[i+1:] {
			if a.over(b) {
				t.Errorf("%s: %q lies on %q at %.0f, %.0f", at, a.Text, b.Text, b.Left, b.Top)
			}
		}
	}
}

// TestNoTitleOfAColumnIsBrokenInsideASyllable looks at the tables of every document: a title that is wider than its column
// needs a space or a soft hyphen where it may be parted.
func TestNoTitleOfAColumnIsBrokenInsideASyllable(t *testing.T) {
	p, err := (&Document{Language: French, Title: "t", Foot: "f"}).paint(0)
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for name, d := range documents(t) {
		for _, b := range d.Blocks {
			table, ok := b.(Table)
			if !ok {
				continue
			}
			tables++
			widths := p.columns(table.Columns)
			for i, c := range table.Columns {
				for _, word := range strings.Fields(c.Title) {
					syllables := strings.SplitAfter(word, softHyphen)
					for _, syllable := range syllables {
						if w := p.width(strings.Replace(syllable, softHyphen, "-", 1), "B", normal); w > widths[i]-2*padding {
							t.Errorf("%s: %q of %q is wider than its column by %d points", name, syllable, c.Title, (w-widths[i]+2*padding)/point)
						}
					}
				}
			}
		}
	}
	if tables < 50 {
		t.Errorf("only %d tables were looked at", tables)
	}
}
