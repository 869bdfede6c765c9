package web

import (
	"image"
	"image/color"
	"slices"
	"testing"
)

// colours is how many a picture has: flat areas and the greys of letters need no more.
const colours = 32

// fewColours is a picture in its most frequent colours, every other one shown by the nearest of them.
func fewColours(img image.Image) *image.Paletted {
	b := img.Bounds()
	count := map[color.RGBA]int{}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[rgbaOf(img.At(x, y))]++
		}
	}
	all := make([]color.RGBA, 0, len(count))
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		if n := count[b] - count[a]; n != 0 {
			return n
		}
		return int(a.R)<<16 + int(a.G)<<8 + int(a.B) - int(b.R)<<16 - int(b.G)<<8 - int(b.B)
	})
	palette := color.Palette{}
	for _, c := range all {
		if len(palette) == colours {
			break
		}
		if len(palette) == 0 || distance(c, palette[palette.Index(c)]) > 300 {
			palette = append(palette, c)
		}
	}
	near := map[color.RGBA]uint8{}
	for _, c := range all {
		near[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(b, palette)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			out.SetColorIndex(x, y, near[rgbaOf(img.At(x, y))])
		}
	}
	return out
}

func rgbaOf(c color.Color) color.RGBA {
	r, g, b, _ := c.RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
}

// distance is the square of how far two colours are apart.
func distance(c color.RGBA, d color.Color) int {
	e := rgbaOf(d)
	r, g, b := int(c.R)-int(e.R), int(c.G)-int(e.G), int(c.B)-int(e.B)
	return r*r + g*g + b*b
}

func TestPicturesKeepTheColoursThatCount(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 100, 10))
	for x := range 100 {
		for y := range 10 {
			img.Set(x, y, color.RGBA{uint8(x), 255, 0, 255}) // a hundred greens, nearly all alike
		}
	}
	red := color.RGBA{255, 0, 0, 255}
	img.Set(50, 5, red)
	got := fewColours(img)
	if got.At(50, 5) != red || len(got.Palette) > colours {
		t.Errorf("%v of %d colours", got.At(50, 5), len(got.Palette))
	}
	if d := distance(color.RGBA{99, 255, 0, 255}, got.At(99, 0)); d > 300 {
		t.Errorf("a colour is %d off", d)
	}
}
