package minutes

import (
	"fmt"
	"html"
	"strings"
)

// style is the page's own; nothing is fetched.
const style = `body{font:16px/1.45 sans-serif;color:#000;background:#fff;max-width:62rem;margin:1rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.2rem;border-bottom:1px solid #666;margin-top:2rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}caption{text-align:left;font-weight:bold;padding:.25rem 0}
th,td{border:1px solid #777;padding:.25rem .5rem;text-align:left;vertical-align:top}td{overflow-wrap:anywhere}td.n,th.n{text-align:right}
.alert{border:3px solid #000;padding:.5rem 1rem;font-weight:bold}.sign{border-bottom:1px solid #000;padding-bottom:4rem}
.foot{color:#444;font-size:.85rem;overflow-wrap:anywhere}svg{background:#fff}
@media print{body{font-size:11px;max-width:none}tr,.alert{break-inside:avoid}thead{display:table-header-group}}`

// HTML is the document as one page of HTML, without script and without anything to fetch: its language is named,
// tables have headers and captions, and the code says what it is.
func (d *Document) HTML() ([]byte, error) {
	w := &page{}
	w.add(`<!DOCTYPE html>`, "\n", `<html lang="`, d.Language.String(), `-BE">`, "\n", `<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>`)
	w.text(d.Title)
	w.add("</title><style>", style, "</style></head>\n<body>\n<main>\n")
	if d.Banner != "" {
		w.element("p", ` class="alert"`, d.Banner)
	}
	w.element("h1", "", d.Title)
	w.element("p", "", d.Subtitle)
	for _, b := range d.Blocks {
		if err := w.block(b); err != nil {
			return nil, err
		}
	}
	w.element("p", ` class="foot"`, d.Foot)
	w.add("</main>\n</body>\n</html>\n")
	return []byte(w.String()), nil
}

// page is a page of HTML under way.
type page struct{ strings.Builder }

func (w *page) add(parts ...string) {
	for _, s := range parts {
		w.WriteString(s)
	}
}

func (w *page) text(s string) {
	w.add(strings.ReplaceAll(html.EscapeString(s), "\n", "<br>"))
}

func (w *page) element(name, attributes, text string) {
	w.add("<", name, attributes, ">")
	w.text(text)
	w.add("</", name, ">\n")
}

func (w *page) block(b Block) error {
	switch b := b.(type) {
	case Heading:
		w.element("h2", "", b.Text)
	case Text:
		w.element("p", "", b.Text)
	case Alert:
		w.element("p", ` class="alert"`, b.Text)
	case Facts:
		w.facts(b)
	case Table:
		w.table(b)
	case Code:
		return w.code(b)
	case Signatures:
		w.element("p", "", b.Made)
		for _, who := range b.Who {
			w.element("p", ` class="sign"`, who)
		}
	}
	return nil
}

func (w *page) facts(f Facts) {
	w.add("<table>\n")
	if f.Caption != "" {
		w.element("caption", "", f.Caption)
	}
	w.add("<tbody>\n")
	for _, r := range f.Rows {
		w.add("<tr>")
		w.element("th", ` scope="row"`, r[0])
		w.element("td", "", r[1])
		w.add("</tr>\n")
	}
	w.add("</tbody>\n</table>\n")
}

func (w *page) table(t Table) {
	number := func(i int) string {
		if t.Columns[i].Right {
			return ` class="n"`
		}
		return ""
	}
	w.add("<table>\n")
	if t.Caption != "" {
		w.element("caption", "", t.Caption)
	}
	w.add("<thead><tr>")
	for i, c := range t.Columns {
		w.element("th", ` scope="col"`+number(i), c.Title)
	}
	w.add("</tr></thead>\n<tbody>\n")
	for _, r := range t.Rows {
		w.add("<tr>")
		for i, cell := range r {
			if t.Boxes && i == 0 {
				box := "☐"
				if cell != "" {
					box = "☒"
				}
				cell = strings.TrimSpace(box + " " + cell)
			}
			w.element("td", number(i), cell)
		}
		w.add("</tr>\n")
	}
	w.add("</tbody>\n</table>\n")
}

// code is drawn in the page itself.
func (w *page) code(c Code) error {
	squares, err := modules(c.Content)
	if err != nil {
		return err
	}
	n := len(squares)
	w.add(fmt.Sprintf(`<p><svg role="img" width="%d" height="%d" viewBox="-2 -2 %d %d" aria-label="`, 4*n, 4*n, n+4, n+4), html.EscapeString(c.Alt), `"><path d="`)
	for y, row := range squares {
		for x, dark := range row {
			if dark {
				w.add(fmt.Sprintf("M%d %dh1v1h-1z", x, y))
			}
		}
	}
	w.add("\"/></svg></p>\n")
	w.element("p", "", c.Text)
	return nil
}
