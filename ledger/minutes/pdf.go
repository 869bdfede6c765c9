package minutes

import (
	"bytes"
	"fmt"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Lengths are whole thousandths of a point: sums of floating-point numbers could differ among processors.
const (
	point      = 1000
	pageWidth  = 595_280
	pageHeight = 841_890
	margin     = 45 * point
	headAt     = 34 * point
	footAt     = pageHeight - 28*point
	bottom     = pageHeight - 48*point
	inner      = pageWidth - 2*margin
	padding    = 3 * point
)

// sizes of letters.
const (
	small  = 7 * point
	normal = 8_500
	strong = 11 * point
	large  = 16 * point
)

// MaxPages is how many pages one document has.
const MaxPages = 4000

// PDF is the document as a PDF file. The same document gives the same bytes, whatever machine draws it.
func (d *Document) PDF() ([]byte, error) {
	count, err := d.paint(0)
	if err != nil {
		return nil, err
	}
	// The first time tells how many pages there are, which stands on each of them.
	p, err := d.paint(count.page)
	if err != nil {
		return nil, err
	}
	if p.page != count.page {
		panic(fmt.Sprintf("a document of %d pages has %d once they are counted", count.page, p.page))
	}
	var out bytes.Buffer
	if err := p.f.Output(&out); err != nil {
		return nil, fmt.Errorf("draw document: %w", err)
	}
	return repack(out.Bytes())
}

// Pages is how many pages the document has as PDF.
func (d *Document) Pages() (int, error) {
	p, err := d.paint(0)
	if err != nil {
		return 0, err
	}
	return p.page, nil
}

// painter draws one document from top to bottom.
type painter struct {
	f   *fpdf.Fpdf
	doc *Document
	// y is how far down the page is full, page its number, pages how many there are, 0 while that is not known.
	y, page, pages int
	err            error
	// at is the font that the page is written in at present.
	at letter
	// ruler has the same fonts and no page: what is measured leaves nothing in the file. measured is its present one.
	ruler    *fpdf.Fpdf
	measured letter
}

func withFonts() *fpdf.Fpdf {
	f := fpdf.New("P", "pt", "A4", "")
	f.AddUTF8FontFromBytes("go", "", goregular.TTF)
	f.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	return f
}

func (d *Document) paint(pages int) (*painter, error) {
	f := withFonts()
	f.SetCompression(false)
	f.SetCatalogSort(true)
	f.SetAutoPageBreak(false, 0)
	f.SetMargins(0, 0, 0)
	made := brussels(d.Made)
	f.SetCreationDate(made)
	f.SetModificationDate(made)
	f.SetProducer("pointage", true)
	f.SetTitle(d.Title, true)
	f.SetSubject(d.Subtitle, true)
	f.SetLang(d.Language.String() + "-BE")
	p := &painter{f: f, doc: d, pages: pages, ruler: withFonts()}
	p.turn()
	p.title()
	for _, b := range d.Blocks {
		p.block(b)
	}
	if p.err == nil {
		p.err = f.Error()
	}
	if p.err != nil {
		return nil, fmt.Errorf("draw document: %w", p.err)
	}
	return p, nil
}

func (p *painter) block(b Block) {
	switch b := b.(type) {
	case Heading:
		p.heading(b.Text)
	case Text:
		p.paragraph(b.Text, "", normal, inner)
		p.y += 4 * point
	case Alert:
		p.alert(b.Text)
	case Facts:
		p.facts(b)
	case Table:
		p.table(b)
	case Code:
		p.code(b)
	case Signatures:
		p.signatures(b)
	}
}

func pt(n int) float64 { return float64(n) / point }

// turn begins a page, with what stands on every one.
func (p *painter) turn() {
	if p.page >= MaxPages {
		p.err = fmt.Errorf("more than %d pages", MaxPages)
		p.y = margin
		return
	}
	p.f.AddPage()
	p.page, p.at = p.page+1, letter{}
	p.f.SetLineWidth(0.4)
	p.f.SetDrawColor(120, 120, 120)
	if p.doc.Watermark != "" {
		p.watermark(p.doc.Watermark)
	}
	p.f.SetTextColor(70, 70, 70)
	p.head()
	p.foot()
	p.f.SetTextColor(0, 0, 0)
	p.y = margin
}

// head says on every page but the first, which has it in large letters, what the page is one of: sheets get out of order.
func (p *painter) head() {
	if p.page == 1 {
		return
	}
	const most = 2 // lines; the rest is on the first page
	lines := p.wrap(p.doc.Title+" · "+p.doc.Subtitle, "", small, inner-p.width(" …", "", small))
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] += " …"
	}
	for i, l := range lines {
		p.put(margin, headAt-(len(lines)-1-i)*lineOf(small), l, "", small)
	}
}

// foot has the page's number, and which ledger the document is drawn from: a long name takes a line above and one below.
func (p *painter) foot() {
	number := fmt.Sprintf("%d/%d", p.page, p.pages)
	p.put(pageWidth-margin-p.width(number, "", small), footAt, number, "", small)
	lines := p.wrap(p.doc.Foot, "", small, inner-p.width("  0000/0000", "", small))
	from := footAt - (len(lines)-1)/2*lineOf(small)
	for i, l := range lines {
		p.put(margin, from+i*lineOf(small), l, "", small)
	}
}

// tilt turns by 50 degrees about the middle of the page. It is written out: processors round the products and sums behind
// it in two ways.
var tilt = fpdf.TransformMatrix{A: 0.64279, B: 0.76604, C: -0.76604, D: 0.64279, E: 428.78069, F: -77.63839}

// watermark lies under all else, from corner to corner.
func (p *painter) watermark(text string) {
	size := 90 * point
	for p.width(text, "B", size) > 640*point {
		size -= point
	}
	p.f.SetTextColor(228, 228, 228)
	p.f.TransformBegin()
	p.f.Transform(tilt)
	p.put(pageWidth/2-p.width(text, "B", size)/2, pageHeight/2+size/3, text, "B", size)
	p.f.TransformEnd()
	p.at = letter{} // what was set inside is undone with the turn
	p.f.SetTextColor(0, 0, 0)
}

func (p *painter) title() {
	if p.doc.Banner != "" {
		p.alert(p.doc.Banner)
	}
	p.paragraph(p.doc.Title, "B", large, inner)
	p.paragraph(p.doc.Subtitle, "", strong, inner)
	p.y += 6 * point
}

func (p *painter) heading(text string) {
	p.y += 8 * point
	p.need(110 * point) // a heading never ends a page: caption, header and a row go with it
	p.paragraph(text, "B", strong, inner)
	p.f.Line(pt(margin), pt(p.y), pt(pageWidth-margin), pt(p.y))
	p.y += 5 * point
}

// alert is a framed paragraph.
func (p *painter) alert(text string) {
	lines := p.wrap(text, "B", normal+point, inner-4*padding)
	height := len(lines)*lineOf(normal+point) + 4*padding
	p.need(height)
	p.f.SetLineWidth(1.4)
	p.f.SetDrawColor(0, 0, 0)
	p.f.Rect(pt(margin), pt(p.y), pt(inner), pt(height), "D")
	p.f.SetLineWidth(0.4)
	p.f.SetDrawColor(120, 120, 120)
	p.y += 2 * padding
	for _, l := range lines {
		p.line(margin+2*padding, l, "B", normal+point)
	}
	p.y += 2*padding + 5*point
}

// paragraph wraps a text.
func (p *painter) paragraph(text, style string, size, width int) {
	for _, l := range p.wrap(text, style, size, width) {
		p.need(lineOf(size))
		p.line(margin, l, style, size)
	}
}

// line writes one line at the present height and goes below it.
func (p *painter) line(x int, text, style string, size int) {
	p.put(x, p.y+size, text, style, size)
	p.y += lineOf(size)
}

// need turns the page when less than a height is left of it.
func (p *painter) need(height int) {
	if p.y+height > bottom && p.y > margin {
		p.turn()
	}
}

// lineOf is the height of a line of letters of a size.
func lineOf(size int) int { return size * 13 / 10 }

// code draws a QR code with its text beside it.
func (p *painter) code(c Code) {
	squares, err := modules(c.Content)
	if err != nil {
		p.err = err
		return
	}
	const side, gap = 2_200, 14 * point
	height := len(squares)*side + 2*padding
	left := margin + height + gap
	lines := p.wrap(c.Text, "", normal, pageWidth-margin-left)
	const light = 4 * side // four light squares around, as readers ask for
	p.need(light + max(height, len(lines)*lineOf(normal)) + light)
	p.y += light
	top := p.y
	p.f.SetFillColor(255, 255, 255)
	p.f.Rect(pt(margin-light), pt(top-light), pt(len(squares)*side+2*light), pt(len(squares)*side+2*light), "F")
	p.f.SetFillColor(0, 0, 0)
	for y, row := range squares {
		for x := 0; x < len(row); x++ {
			n := 0
			for x+n < len(row) && row[x+n] {
				n++
			}
			if n > 0 {
				p.f.Rect(pt(margin+x*side), pt(top+y*side), pt(n*side), pt(side), "F")
				x += n
			}
		}
	}
	for _, l := range lines {
		p.line(left, l, "", normal)
	}
	p.y = max(p.y, top+height) + 4*point
}

// signatures are two places to sign beside each other, with what is written above them.
func (p *painter) signatures(s Signatures) {
	const gap, room = 20 * point, 41 * point // to sign in, below the name
	width := (inner - gap) / 2
	p.need(room + 3*lineOf(normal))
	p.paragraph(s.Made, "", normal, inner)
	p.y += 4 * point
	for i := 0; i < len(s.Who); i += 2 {
		var names [][]string
		height := 0
		for _, who := range s.Who[i:min(i+2, len(s.Who))] {
			lines := p.wrap(who, "", normal, width)
			names, height = append(names, lines), max(height, len(lines)*lineOf(normal)+room)
		}
		p.need(height)
		for k, lines := range names {
			x := margin + k*(width+gap)
			for n, l := range lines {
				p.put(x, p.y+n*lineOf(normal)+normal, l, "", normal)
			}
			p.f.Line(pt(x), pt(p.y+height-8*point), pt(x+width), pt(p.y+height-8*point))
		}
		p.y += height
	}
}
