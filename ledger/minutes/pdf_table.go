package minutes

// facts are names with values beside them.
func (p *painter) facts(f Facts) {
	p.caption(f.Caption)
	const share = 38
	left := inner * share / 100
	for _, row := range f.Rows {
		p.row([]cell{
			{x: margin, width: left, lines: p.wrap(row[0], "B", normal, left-2*padding), style: "B"},
			{x: margin + left, width: inner - left, lines: p.wrap(row[1], "", normal, inner-left-2*padding)},
		}, nil)
	}
	p.y += 5 * point
}

func (p *painter) caption(text string) {
	if text == "" {
		return
	}
	p.need(60 * point)
	p.paragraph(text, "B", normal, inner)
	p.y += 2 * point
}

// cell is one of a row on its way to the page.
type cell struct {
	x, width int
	lines    []string
	style    string
	right    bool
	// box is drawn in place of the lines, ticked where the text is not empty.
	box, ticked bool
}

func (p *painter) table(t Table) {
	p.caption(t.Caption)
	widths := p.columns(t.Columns)
	head := p.cells(t, widths, titles(t.Columns), "B")
	header := func() { p.row(head, nil) }
	p.need(height(head) + 3*lineOf(normal))
	header()
	for _, r := range t.Rows {
		p.row(p.cells(t, widths, r, ""), header)
	}
	p.y += 5 * point
}

func titles(cs []Column) (out []string) {
	for _, c := range cs {
		out = append(out, c.Title)
	}
	return out
}

func (p *painter) columns(cs []Column) (widths []int) {
	sum := 0
	for _, c := range cs {
		sum += c.Weight
	}
	for _, c := range cs {
		widths = append(widths, inner*c.Weight/sum)
	}
	return widths
}

func (p *painter) cells(t Table, widths []int, texts []string, style string) (out []cell) {
	x := margin
	for i, text := range texts {
		c := cell{x: x, width: widths[i], style: style, right: t.Columns[i].Right}
		if t.Boxes && i == 0 && style == "" {
			c.box, c.ticked, c.lines = true, text != "", []string{""}
		} else {
			c.lines = p.wrap(text, style, normal, widths[i]-2*padding)
		}
		out = append(out, c)
		x += widths[i]
	}
	return out
}

func height(cells []cell) int {
	most := 0
	for _, c := range cells {
		most = max(most, len(c.lines))
	}
	return most*lineOf(normal) + padding
}

// row draws a row of cells with a line below. One that does not fit goes to the next page, behind the header; one that
// is higher than a page goes on there.
func (p *painter) row(cells []cell, header func()) {
	for from := 0; ; {
		rest := height(cells) - from*lineOf(normal)
		if p.y+rest > bottom && (p.y+2*lineOf(normal)+padding > bottom || rest < (bottom-margin)/2) && p.y > margin {
			p.turn()
			if header != nil {
				header()
			}
		}
		fits := max(1, (bottom-p.y-padding)/lineOf(normal))
		more := false
		for _, c := range cells {
			to := min(len(c.lines), from+fits)
			more = more || to < len(c.lines)
			p.cell(c, min(from, to), to)
		}
		drawn := min(fits, (rest-padding)/lineOf(normal))
		p.y += drawn*lineOf(normal) + padding
		p.f.Line(pt(margin), pt(p.y-1*point), pt(pageWidth-margin), pt(p.y-1*point))
		if !more || p.err != nil {
			return
		}
		from += drawn
		p.turn()
		if header != nil {
			header()
		}
	}
}

func (p *painter) cell(c cell, from, to int) {
	if c.box {
		const side = 9 * point
		x, y := c.x+padding, p.y+point
		p.f.SetDrawColor(0, 0, 0)
		p.f.Rect(pt(x), pt(y), pt(side), pt(side), "D")
		if c.ticked {
			p.f.Line(pt(x), pt(y), pt(x+side), pt(y+side))
			p.f.Line(pt(x), pt(y+side), pt(x+side), pt(y))
		}
		p.f.SetDrawColor(120, 120, 120)
		return
	}
	y := p.y
	for _, l := range c.lines[from:to] {
		x := c.x + padding
		if c.right {
			x = c.x + c.width - padding - p.width(l, c.style, normal)
		}
		p.put(x, y+normal, l, c.style, normal)
		y += lineOf(normal)
	}
}
