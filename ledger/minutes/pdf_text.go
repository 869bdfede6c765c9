package minutes

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

// put writes a text whose base line begins at a point.
func (p *painter) put(x, y int, text, style string, size int) {
	if now := (letter{style, size}); p.at != now {
		p.f.SetFont("go", style, pt(size))
		p.at = now
	}
	p.f.Text(pt(x), pt(y), drawable(text))
}

// letter is how text is written.
type letter struct {
	style string
	size  int
}

// width is that of a text.
func (p *painter) width(text, style string, size int) int {
	if now := (letter{style, size}); p.measured != now {
		p.ruler.SetFont("go", style, pt(size))
		p.measured = now
	}
	return p.ruler.GetStringSymbolWidth(drawable(text)) * size / 1000
}

// wrap breaks a text into lines of a width: between words, and within one that is wider than a line. There is
// one line at least.
func (p *painter) wrap(text, style string, size, width int) (lines []string) {
	for paragraph := range strings.Lines(text + "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			joined := word
			if line != "" {
				joined = line + " " + word
			}
			if p.width(joined, style, size) <= width {
				line = joined
				continue
			}
			if line != "" {
				lines = append(lines, line)
			}
			whole := p.pieces(word, style, size, width)
			lines = append(lines, whole[:len(whole)-1]...)
			line = whole[len(whole)-1]
		}
		lines = append(lines, line)
	}
	return lines
}

// softHyphen is where a word may be parted; it shows only there.
const softHyphen = "\u00ad"

// pieces are a word's parts, each as long as fits: parted at its soft hyphens, else anywhere.
func (p *painter) pieces(word, style string, size, width int) (out []string) {
	whole := ""
	for syllable := range strings.SplitSeq(word, softHyphen) {
		if whole != "" && p.width(whole+syllable+"-", style, size) > width {
			out, whole = append(out, whole+"-"), ""
		}
		whole += syllable
	}
	from := 0
	for i, r := range whole {
		if i > from && p.width(whole[from:i]+string(r), style, size) > width {
			out = append(out, whole[from:i])
			from = i
		}
	}
	return append(out, whole[from:])
}

var fonts = sync.OnceValue(func() (out [2]*sfnt.Font) {
	for i, ttf := range [][]byte{goregular.TTF, gobold.TTF} {
		f, err := sfnt.Parse(ttf)
		if err != nil {
			panic(fmt.Sprintf("font %d: %v", i, err))
		}
		out[i] = f
	}
	return out
})

// drawable is the text with each character that the fonts lack as its number: no name loses a letter unseen.
func drawable(text string) string {
	text = strings.ReplaceAll(text, softHyphen, "")
	plain := true
	for _, r := range text {
		plain = plain && r >= ' ' && r < 0x7f
	}
	if plain {
		return text
	}
	var out strings.Builder
	var buf sfnt.Buffer
	for _, r := range text {
		has := r >= ' '
		for _, f := range fonts() {
			i, err := f.GlyphIndex(&buf, r)
			has = has && err == nil && i != 0
		}
		if has {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, "[U+%04X]", r)
		}
	}
	return out.String()
}
