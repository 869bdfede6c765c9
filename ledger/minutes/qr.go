package minutes

import (
	"fmt"
	"image/color"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
)

// MaxCode is the length of what a QR code says, in bytes.
const MaxCode = 512

// modules is the QR code of a text as squares, row by row; true is dark.
func modules(text string) ([][]bool, error) {
	if len(text) > MaxCode {
		return nil, fmt.Errorf("draw code: %d bytes, at most %d", len(text), MaxCode)
	}
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("draw code: %w", err)
	}
	return squares(code), nil
}

func squares(code barcode.Barcode) [][]bool {
	b := code.Bounds()
	out := make([][]bool, b.Dy())
	for y := range out {
		out[y] = make([]bool, b.Dx())
		for x := range out[y] {
			out[y][x] = color.GrayModel.Convert(code.At(b.Min.X+x, b.Min.Y+y)).(color.Gray).Y < 128
		}
	}
	return out
}
