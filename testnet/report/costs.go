package report

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"pointage/testnet/simulation"
)

// Costs is what communes of several sizes cost, with what is needed to measure it again.
type Costs struct {
	Date             time.Time
	Machine, Command string
	Plan             simulation.ScalePlan
	All              []simulation.Cost
}

// The country that the page reasons about: Belgium's communes and bureaux, and its busiest quarter of an hour as a multiple
// of the mean of an eight-hour day.
const (
	countryCommunes = 581
	countryBureaux  = 10_000
	perBureau       = 850 // electors who come, at one bureau
	dayHours        = 8
	busiest         = 3
)

// costPlots are drawn over the number of bureaux.
var costPlots = []struct {
	file, title, unit string
	of                func(simulation.Cost) float64
}{
	{"processor.svg", "Processor time of a check-in, at all bureaux together", "microseconds", func(c simulation.Cost) float64 { return c.Processor }},
	{"wire.svg", "Bytes over the network for a check-in, to all bureaux together", "KiB", func(c simulation.Cost) float64 { return c.WireBytes / 1024 }},
	{"idle.svg", "Processors taken by a group that does nothing", "cores", func(c simulation.Cost) float64 { return c.IdleCores }},
	{"memory.svg", "Memory of all bureaux in one process, after the load", "MiB", func(c simulation.Cost) float64 { return c.Resident }},
}

// Page is the page in Markdown, which finds its plots in a folder, and the plots by name.
func (c Costs) Page(folder string) (page []byte, plots map[string][]byte, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What communes cost\n\n%s; %s; electors drawn with seed 1. Measured by\n\n```\n%s\n```\n\n", c.Date.Format(time.DateOnly), c.Machine, c.Command)
	fmt.Fprintf(&b, "All bureaux of a commune are in one process, each a whole node with its media, its ledger, its own Raft store and encrypted connections,\nand %d electors come in a second, spread evenly over the bureaux, for %s. What the bureaux share of one process is that a batch's signature is\nchecked once and not at every replica: with a process each, every replica adds one verification a batch. Absolute times are those of a machine that\nothers may have been using; what the sizes say of each other is what counts.\n\n", c.Plan.PerSecond, c.Plan.Load)
	fmt.Fprint(&b, "| bureaux | idle, cores | idle, KiB/s | check-ins/s | p50, ms | p99, ms | went on alone | µs of processors each | entries a processor second | KiB on the wire each | KiB on disks each | MiB | next leader, s | principal leads again, s |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, x := range c.All {
		fmt.Fprintf(&b, "| %d | %.3f | %.1f | %.1f | %.1f | %.1f | %d | %.0f | %.0f | %.1f | %.1f | %.0f | %.1f | %.1f |\n", x.Bureaux, x.IdleCores, x.IdleBytes/1024, x.PerSecond, x.P50, x.P99, x.Alone,
			x.Processor, x.Entries, x.WireBytes/1024, x.DiskBytes/1024, x.Resident, x.NextLeader, x.PrincipalBack)
	}
	b.WriteByte('\n')
	for _, x := range c.All {
		if x.Missed > 0 {
			fmt.Fprintf(&b, "Of three bureaux, one that had missed %d entries was level %.1f s after its start, opening its register included.\n\n", x.Missed, x.Level)
		}
	}
	plots = map[string][]byte{}
	for _, p := range costPlots {
		if plots[p.file], err = c.draw(p.title, p.unit, p.of); err != nil {
			return nil, nil, fmt.Errorf("draw %s: %w", p.file, err)
		}
		fmt.Fprintf(&b, "![%s](%s/%s)\n\n", p.title, folder, p.file)
	}
	c.country(&b)
	return b.Bytes(), plots, nil
}

// line fits figures over the number of bureaux by least squares: at + by for each bureau.
func (c Costs) line(of func(simulation.Cost) float64) (at, by float64) {
	var n, sx, sy, sxx, sxy float64
	for _, x := range c.All {
		b, y := float64(x.Bureaux), of(x)
		n, sx, sy, sxx, sxy = n+1, sx+b, sy+y, sxx+b*b, sxy+b*y
	}
	if d := n*sxx - sx*sx; d > 0 {
		by = (n*sxy - sx*sy) / d
	}
	return (sy - by*sx) / n, by
}

// country reasons from unit costs.
func (c Costs) country(b *bytes.Buffer) {
	if len(c.All) < 2 {
		return
	}
	at, by := c.line(costPlots[0].of)
	wireAt, wireBy := c.line(func(c simulation.Cost) float64 { return c.WireBytes })
	idle := c.All[len(c.All)-1]
	mean := float64(countryBureaux) / countryCommunes
	rate := func(bureaux float64) float64 { return bureaux * perBureau / (dayHours * 3600) * busiest }
	largest := float64(idle.Bureaux)
	fmt.Fprintf(b, "## Every commune of Belgium\n\n")
	fmt.Fprintf(b, "Groups are communes, and communes share nothing: %d of them with %d bureaux cost %d times the mean commune of %.0f bureaux, whatever the country's size.\nOne check-in takes %.0f µs + %.1f µs for each bureau of its commune (a straight line through the table), over all of the commune's machines; each bureau's own part is\nthat divided by their number.\n\n",
		countryCommunes, countryBureaux, countryCommunes, mean, at, by)
	fmt.Fprintf(b, "- Each bureau admits %d electors in %d hours, and three times the mean in the busiest quarter of an hour. The mean commune then sees %.1f check-ins a second, its processors %.4f cores\n  over all its %.0f machines; the largest measured, with %d bureaux, %.1f check-ins a second and %.3f cores over its %d machines.\n",
		perBureau, dayHours, rate(mean), rate(mean)*(at+by*mean)/1e6, mean, idle.Bureaux, rate(largest), rate(largest)*(at+by*largest)/1e6, idle.Bureaux)
	fmt.Fprintf(b, "- The whole country at its busiest: %.0f check-ins a second, %.1f cores over %d machines, and %.1f Mbit/s over all lines together: %.1f kbit/s at each bureau.\n",
		rate(countryBureaux), countryCommunes*rate(mean)*(at+by*mean)/1e6, countryBureaux, 8*countryCommunes*rate(mean)*(wireAt+wireBy*mean)/1e6, 8*countryCommunes*rate(mean)*(wireAt+wireBy*mean)/1e3/countryBureaux)
	fmt.Fprintf(b, "- At rest a group of %d bureaux takes %.3f cores and %.1f KiB/s: %.2f %% of a core at each.\n", idle.Bureaux, idle.IdleCores, idle.IdleBytes/1024, 100*idle.IdleCores/largest)
	fmt.Fprintf(b, "- What a country adds is on the platform's side alone: %d logs to cosign, %d entries an hour in all when every batch has one check-in.\n", countryCommunes, int(rate(countryBureaux)/busiest*3600))
}

// draw is one plot, to stand alone.
func (c Costs) draw(title, unit string, of func(simulation.Cost) float64) ([]byte, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "bureaux", unit
	p.Title.TextStyle.Font = sans()
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(), sans()
		a.Tick.Marker = plot.TickerFunc(round)
	}
	var xs plotter.XYs
	var most float64
	for _, x := range c.All {
		xs = append(xs, plotter.XY{X: float64(x.Bureaux), Y: of(x)})
		most = max(most, of(x))
	}
	points, err := plotter.NewScatter(xs)
	if err != nil {
		return nil, err
	}
	points.GlyphStyle = draw.GlyphStyle{Color: plotter.DefaultLineStyle.Color, Radius: 3, Shape: draw.CircleGlyph{}}
	joined, err := plotter.NewLine(xs)
	if err != nil {
		return nil, err
	}
	p.Add(plotter.NewGrid(), joined, points)
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, math.Max(most*1.1, 1e-6)
	canvas := vgsvg.New(plotWidth*vg.Length(0.7), plotHeight)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	_, err = canvas.WriteTo(&b)
	return b.Bytes(), err
}
