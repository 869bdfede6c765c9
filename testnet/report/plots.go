package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"pointage/testnet/simulation"
)

// line is one line of a plot; NaN is a gap.
type line struct {
	name string
	y    []float64
}

// clock says in which unit a day's time is drawn.
type clock struct {
	name string
	unit time.Duration
}

func clockFor(day time.Duration) clock {
	switch {
	case day > 10*time.Hour:
		return clock{"hours", time.Hour}
	case day > 20*time.Minute:
		return clock{"minutes", time.Minute}
	}
	return clock{"seconds", time.Second}
}

func (c clock) of(t time.Duration) float64 { return float64(t) / float64(c.unit) }

// textSize is that of all text in plots, in points of the plot.
const textSize = 11

func sans() font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: textSize}
}

// newPlot is an empty plot with the day as its axis and the faults as its ground.
func newPlot(day []Interval, c clock, faults []simulation.FaultSpan, unit string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = c.name+" since the opening", unit
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Tick.Color, a.Label.TextStyle.Color, a.Tick.Label.Color = muted.mark, muted.mark, ink.mark, ink.mark
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(), sans()
		a.Label.Padding = 4
	}
	p.X.Padding, p.Y.Padding = 0, 0
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = nil, grid.mark
	end := day[len(day)-1].To
	p.Add(&ground{clock: c, spans: faults, end: end}, g)
	p.X.Min, p.X.Max = 0, c.of(end)
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(round), plot.TickerFunc(round)
	return p
}

// addLines draws lines over the ends of the intervals, each in its own paint and dashes.
func addLines(p *plot.Plot, x []float64, lines []line) error {
	for i, l := range lines {
		style := draw.LineStyle{Color: seriesPaints[i].mark, Width: 1.6, Dashes: seriesDashes[i]}
		if err := addLine(p, x, l.y, style); err != nil {
			return err
		}
	}
	return nil
}

// addLine draws one line, in pieces where it has gaps; a piece of one point is a dot.
func addLine(p *plot.Plot, x, y []float64, style draw.LineStyle) error {
	for from := 0; from < len(y); {
		to := from
		for to < len(y) && !math.IsNaN(y[to]) {
			to++
		}
		if to == from {
			from++
			continue
		}
		var piece plotter.XYs
		for i := from; i < to; i++ {
			piece = append(piece, plotter.XY{X: x[i], Y: y[i]})
		}
		if len(piece) == 1 {
			dot, err := plotter.NewScatter(piece)
			if err != nil {
				return err
			}
			dot.GlyphStyle = draw.GlyphStyle{Color: style.Color, Radius: 1.5, Shape: draw.CircleGlyph{}}
			p.Add(dot)
		} else {
			l, err := plotter.NewLine(piece)
			if err != nil {
				return err
			}
			l.LineStyle = style
			p.Add(l)
		}
		from = to
	}
	return nil
}

// round marks round numbers, some five to ten of them.
func round(lo, hi float64) (out []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10(hi-lo)))
	for _, finer := range []float64{2, 2.5, 2} { // 5, 2 and 1 of the power below
		if (hi-lo)/step >= 5 {
			break
		}
		step /= finer
	}
	for n := math.Ceil(lo / step); n*step <= hi; n++ {
		out = append(out, plot.Tick{Value: n * step, Label: fmt.Sprintf("%.6g", n*step)})
	}
	return out
}

// ends are the intervals' ends on the clock.
func ends(day []Interval, c clock) (out []float64) {
	for _, i := range day {
		out = append(out, c.of(i.To))
	}
	return out
}

// most is the largest of all lines, at least the least.
func most(least float64, lines ...line) float64 {
	for _, l := range lines {
		for _, y := range l.y {
			if !math.IsNaN(y) {
				least = max(least, y)
			}
		}
	}
	return least
}

// maxNamed is how many faults are named in a plot; when there are more, they bear their numbers in the table.
const maxNamed = 4

// ground shades the faults' spans and names them, each name in a row of its own where names would meet.
type ground struct {
	clock clock
	spans []simulation.FaultSpan
	end   time.Duration
}

// laneHeight is a row of names, in points.
const laneHeight = textSize + 3

// label is what stands on the i-th span.
func (g *ground) label(i int) string {
	if len(g.spans) > maxNamed {
		return fmt.Sprint(i + 1)
	}
	return fmt.Sprintf("%d %s", i+1, g.spans[i].Name)
}

// lanes gives each span a row for its name, and says how many rows there are.
func (g *ground) lanes(width vg.Length, style text.Style) (of []int, n int) {
	var free []vg.Length // where each row's next name may begin
	for i, s := range g.spans {
		from := width * vg.Length(g.clock.of(s.Began)/g.clock.of(g.end))
		w := style.Width(g.label(i)) + 8
		from = min(from, width-w)
		row := slices.IndexFunc(free, func(until vg.Length) bool { return until <= from })
		if row < 0 {
			row, free = len(free), append(free, 0)
		}
		free[row] = from + w
		of = append(of, row)
	}
	return of, len(free)
}

func labelStyle() text.Style {
	return text.Style{Color: ink.mark, Font: sans(), XAlign: text.XLeft, YAlign: text.YTop, Handler: plot.DefaultTextHandler}
}

// headroom is the share of a plot's height that the names take.
func (g *ground) headroom() float64 {
	_, n := g.lanes(plotWidth*0.9, labelStyle())
	return min(0.5, float64(n*laneHeight)/float64(plotHeight*0.78))
}

// Plot implements plot.Plotter.
func (g *ground) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	style := labelStyle()
	rows, _ := g.lanes(c.Max.X-c.Min.X, style)
	for i, s := range g.spans {
		ended := g.end
		if s.Over {
			ended = min(s.Ended, g.end)
		}
		from, to := x(g.clock.of(min(s.Began, g.end))), x(g.clock.of(ended))
		to = max(to, from+1)
		c.FillPolygon(shade.mark, []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
		edge := draw.LineStyle{Color: muted.mark, Width: 0.5}
		for _, at := range []vg.Length{from, to} {
			c.StrokeLine2(edge, at, c.Min.Y, at, c.Max.Y)
		}
		at := min(from+3, c.Max.X-style.Width(g.label(i))-3)
		c.FillText(style, vg.Point{X: at, Y: c.Max.Y - vg.Length(rows[i]*laneHeight) - 2}, g.label(i))
	}
}

// faint is how lines are drawn that are not told apart.
var faint = draw.LineStyle{Color: muted.mark, Width: 0.6}
