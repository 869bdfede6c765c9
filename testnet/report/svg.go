package report

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"regexp"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a plot, in points of its own; a page scales it.
const (
	plotWidth  = 760 * vg.Length(1)
	plotHeight = 250 * vg.Length(1)
)

// paint is a colour by its role: what is drawn with it is written as a CSS variable, so that the page has
// the say in the light, in the dark and on paper.
type paint struct {
	mark color.RGBA
	name string
}

var (
	ink   = paint{color.RGBA{1, 2, 3, 255}, "ink"}
	muted = paint{color.RGBA{4, 5, 6, 255}, "muted"}
	grid  = paint{color.RGBA{7, 8, 9, 255}, "grid"}
	shade = paint{color.RGBA{10, 11, 12, 255}, "shade"}
)

// seriesPaints are for lines that must be told apart; dashes tell them apart too.
var seriesPaints = func() (out []paint) {
	for i := range len(seriesDashes) {
		out = append(out, paint{color.RGBA{20, 21, uint8(30 + i), 255}, fmt.Sprintf("s%d", i+1)})
	}
	return out
}()

// seriesDashes are in points: on, off.
var seriesDashes = [][]vg.Length{{}, {7, 3}, {2, 2}, {9, 3, 2, 3}, {4, 4}, {12, 3}}

var paints = append([]paint{ink, muted, grid, shade}, seriesPaints...)

var (
	svgHead = regexp.MustCompile(`(?s)^.*?<svg[^>]*viewBox="([^"]*)"[^>]*>`)
	svgFont = regexp.MustCompile(`font-family:[^"]*?font-style:[^;"]*;`)
)

// drawSVG draws a plot to stand in a page: named and described for who does not see it, coloured by the page.
func drawSVG(p *plot.Plot, id, title, description string) (string, error) {
	c := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", fmt.Errorf("draw %s: %w", id, err)
	}
	s := b.String()
	head := svgHead.FindStringSubmatch(s)
	if head == nil {
		return "", fmt.Errorf("draw %s: the drawing has no head", id)
	}
	s = strings.TrimPrefix(s, head[0])
	s = svgFont.ReplaceAllString(s, "")
	for _, p := range paints {
		s = strings.ReplaceAll(s, fmt.Sprintf("#%02X%02X%02X", p.mark.R, p.mark.G, p.mark.B), "var(--"+p.name+")")
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="%[1]s" role="img" aria-labelledby="%[2]s-title %[2]s-desc"><title id="%[2]s-title">%[3]s</title><desc id="%[2]s-desc">%[4]s</desc>%[5]s`,
		head[1], id, html.EscapeString(title), html.EscapeString(description), strings.TrimSpace(s)), nil
}
