package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"

	"pointage/testnet/simulation"
)

// figure is one plot, its key, and the numbers that it is drawn from.
type figure struct {
	ID, Title, About string
	SVG              template.HTML
	Keys             []key
	Head             []string
	Rows             [][]string
}

// key is how one line is drawn: its CSS variable and its dashes.
type key struct {
	Name   string
	Paint  template.CSS
	Dashes string
}

// keysOf names the lines in the order in which they are drawn.
func keysOf(lines []line) (out []key) {
	for i, l := range lines {
		dashes := ""
		for _, d := range seriesDashes[i] {
			dashes += fmt.Sprintf("%g ", float64(d))
		}
		out = append(out, key{l.name, template.CSS("var(--" + seriesPaints[i].name + ")"), strings.TrimSpace(dashes)})
	}
	return out
}

// scene is what all figures share.
type scene struct {
	day    []Interval
	clock  clock
	faults []simulation.FaultSpan
	last   simulation.Sample
}

func (s *scene) figures() (out []figure, err error) {
	for _, draw := range []func() (figure, error){s.arrivals, s.waits, s.lag, s.ledger} {
		f, err := draw()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// linear draws lines from zero up, with room for the faults' names above them.
func (s *scene) linear(f *figure, unit string, least float64, lines []line, behind func(p *plot.Plot) error) error {
	p := newPlot(s.day, s.clock, s.faults, unit)
	if behind != nil {
		if err := behind(p); err != nil {
			return err
		}
	}
	if err := addLines(p, ends(s.day, s.clock), lines); err != nil {
		return err
	}
	p.Y.Min, p.Y.Max = 0, most(least, lines...)/(1-(&ground{s.clock, s.faults, s.day[len(s.day)-1].To}).headroom())*1.05
	f.Keys = append(f.Keys, keysOf(lines)...)
	return f.draw(p)
}

func (f *figure) draw(p *plot.Plot) error {
	svg, err := drawSVG(p, f.ID, f.Title, f.About)
	f.SVG = template.HTML(svg) // drawSVG escapes what it is given
	return err
}

// row begins a row of a figure's table with its interval.
func row(i Interval, cells ...string) []string {
	return append([]string{fmt.Sprintf("%.2f", i.From.Seconds()), fmt.Sprintf("%.2f", i.To.Seconds())}, cells...)
}

var rowHead = []string{"from s", "to s"}

func (s *scene) arrivals() (figure, error) {
	f := figure{ID: "arrivals", Title: "Arrivals and check-ins", About: "Electors who came to a bureau, and green lights shown, in each interval, a second. Who comes a second time is counted again."}
	come, lit := line{name: "arrivals a second"}, line{name: "check-ins a second"}
	f.Head = append(slices.Clone(rowHead), "arrivals", "check-ins", "refused", "arrivals/s", "check-ins/s")
	for _, i := range s.day {
		secs := (i.To - i.From).Seconds()
		come.y, lit.y = append(come.y, float64(i.Arrived)/secs), append(lit.y, float64(i.CheckIns)/secs)
		f.Rows = append(f.Rows, row(i, fmt.Sprint(i.Arrived), fmt.Sprint(i.CheckIns), fmt.Sprint(i.Refused), fmt.Sprintf("%.1f", float64(i.Arrived)/secs), fmt.Sprintf("%.1f", float64(i.CheckIns)/secs)))
	}
	return f, s.linear(&f, "a second", 1, []line{come, lit}, nil)
}

// quantiles that are drawn.
const half, most99 = 0.5, 0.99

func (s *scene) waits() (figure, error) {
	f := figure{ID: "waits", Title: "From Enter to the answer", About: "How long a table waits for its answer, refusals too: half of the electors no longer than p50, 99 of 100 no longer than p99. The scale is logarithmic. Elsewhere the home bureau is asked first."}
	lines := []line{{name: "at home, p50"}, {name: "at home, p99"}, {name: "elsewhere, p50"}, {name: "elsewhere, p99"}}
	f.Head = append(slices.Clone(rowHead), "answers at home", "p50 ms", "p99 ms", "longest ms", "answers elsewhere", "p50 ms", "p99 ms", "longest ms")
	lo, hi := math.Inf(1), 1.0
	for _, i := range s.day {
		cells := []string{}
		for k, w := range []simulation.Waits{i.Home, i.Away} {
			cells = append(cells, fmt.Sprint(w.Len()))
			for j, q := range []float64{half, most99} {
				y := math.NaN()
				if w.Len() > 0 {
					y = millis(w.Quantile(q))
					lo, hi = min(lo, y), max(hi, y)
				}
				lines[2*k+j].y = append(lines[2*k+j].y, y)
				cells = append(cells, inMillis(w, q))
			}
			cells = append(cells, inMillis(w, 1))
		}
		f.Rows = append(f.Rows, row(i, cells...))
	}
	p := newPlot(s.day, s.clock, s.faults, "milliseconds")
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	lo = max(min(lo, hi/10), 0.01)
	lo, hi = lo/1.2, hi*1.2
	if err := addLines(p, ends(s.day, s.clock), lines); err != nil {
		return f, err
	}
	p.Y.Min, p.Y.Max = lo, lo*math.Pow(hi/lo, 1/(1-(&ground{s.clock, s.faults, s.day[len(s.day)-1].To}).headroom()))
	f.Keys = keysOf(lines)
	return f, f.draw(p)
}

// millis is at least a hundredth, which a logarithm needs.
func millis(t time.Duration) float64 { return max(float64(t)/float64(time.Millisecond), 0.01) }

func inMillis(w simulation.Waits, q float64) string {
	if w.Len() == 0 {
		return "–"
	}
	return figures3(float64(w.Quantile(q)) / float64(time.Millisecond))
}

// figures3 is a number with about three figures.
func figures3(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// decades marks 1, 2 and 5 of each power of ten, and names them where few fit.
func decades(lo, hi float64) (out []plot.Tick) {
	wide := math.Log10(hi/lo) > 3
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, e)
			if v < lo || v > hi {
				continue
			}
			t := plot.Tick{Value: v}
			if m == 1 || !wide {
				t.Label = fmt.Sprintf("%g", math.Round(v*100)/100)
			}
			out = append(out, t)
		}
	}
	return out
}

// maxTold is how many bureaux' lags are told apart in the plot; the rest are drawn alike.
const maxTold = 5

func (s *scene) lag() (figure, error) {
	f := figure{ID: "lag", Title: "How far each bureau is behind", About: "Entries that the longest ledger has more than the bureau's own, the most in each interval; a bureau that is down falls behind as the others go on."}
	f.Head = slices.Clone(rowHead)
	numbers := bureaux(s.last)
	all := make([]line, len(numbers))
	order := make([]int, len(numbers))
	for b, n := range numbers {
		all[b].name, order[b] = fmt.Sprintf("bureau %d", n), b
		f.Head = append(f.Head, all[b].name)
	}
	for _, i := range s.day {
		var cells []string
		for b, n := range i.Behind {
			all[b].y = append(all[b].y, float64(n))
			cells = append(cells, fmt.Sprint(n))
			if i.Down[b] {
				cells[b] += " down"
			}
		}
		f.Rows = append(f.Rows, row(i, cells...))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(most(0, all[b]), most(0, all[a])) })
	var told []line
	for _, b := range order[:min(maxTold, len(order))] {
		told = append(told, all[b])
	}
	rest := order[len(told):]
	return f, s.linear(&f, "entries behind", 1, told, func(p *plot.Plot) error {
		for _, b := range rest {
			if err := addLine(p, ends(s.day, s.clock), all[b].y, faint); err != nil {
				return err
			}
		}
		if len(rest) > 0 {
			f.Keys = append(f.Keys, key{fmt.Sprintf("the other %d", len(rest)), template.CSS("var(--" + muted.name + ")"), ""})
		}
		return nil
	})
}

func (s *scene) ledger() (figure, error) {
	f := figure{ID: "ledger", Title: "The ledger and its anchor", About: "Entries of the longest ledger, and how many of them a witness has cosigned."}
	size, anchored := line{name: "entries"}, line{name: "anchored"}
	f.Head = append(slices.Clone(rowHead), "entries", "anchored")
	for _, i := range s.day {
		size.y, anchored.y = append(size.y, float64(i.Ledger)), append(anchored.y, float64(i.Anchored))
		f.Rows = append(f.Rows, row(i, fmt.Sprint(i.Ledger), fmt.Sprint(i.Anchored)))
	}
	return f, s.linear(&f, "entries", 1, []line{size, anchored}, nil)
}
