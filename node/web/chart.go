package web

import (
	"fmt"
	"html"
	"html/template"
	"strings"

	"pointage/node/daybook"
)

const (
	// maxBars is how many quarters of an hour a chart shows, the newest: ten hours.
	maxBars = 40
	// The chart's size in its own units, and the room under and beside the bars.
	barWidth, barGap, chartHeight, chartFoot, chartSide = 14, 4, 120, 22, 30
)

// chart draws check-ins by fifteen minutes as bars, those by proxy in them marked by their own colour and by a pattern of
// lines. The numbers stand in the table beside it: the picture has its words for who does not see it.
func chart(quarters []daybook.Quarter, title string, clock func(daybook.Quarter) string) template.HTML {
	quarters = quarters[max(0, len(quarters)-maxBars):]
	most := 4
	for _, q := range quarters {
		most = max(most, q.CheckIns)
	}
	most += (4 - most%4) % 4 // four lines at whole numbers
	width := chartSide + len(quarters)*(barWidth+barGap) + barGap
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" role="img" preserveAspectRatio="xMinYMid" viewBox="0 0 %d %d" xmlns="http://www.w3.org/2000/svg"><title>%s</title>`, width, chartHeight+chartFoot, html.EscapeString(title))
	for i := range 5 {
		n := most * i / 4
		y := chartHeight - (chartHeight-8)*n/most
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%d" y2="%d"/><text class="axis" x="%d" y="%d" text-anchor="end">%d</text>`, chartSide, width, y, y, chartSide-4, y+4, n)
	}
	for i, q := range quarters {
		x := chartSide + barGap + i*(barWidth+barGap)
		bar(&b, "bar", x, q.CheckIns, most)
		bar(&b, "bar proxy", x, q.Proxies, most)
		if i%4 == 0 {
			fmt.Fprintf(&b, `<text class="axis" x="%d" y="%d">%s</text>`, x, chartHeight+16, html.EscapeString(clock(q)))
		}
	}
	b.WriteString(`</svg>`)
	// Every part is a number, a constant, or escaped here.
	return template.HTML(b.String())
}

func bar(b *strings.Builder, class string, x, n, most int) {
	if n <= 0 {
		return
	}
	h := (chartHeight - 8) * n / most
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`, class, x, chartHeight-h, barWidth, max(h, 1))
}
