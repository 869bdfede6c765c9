package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight and TileWidth are those of C2SP tlog-tiles v0.1.0.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// TilePath is where a hash tile lies in an export: tile/<L>/<N>[.p/<W>].
// Level -1 is the entry bundle: tile/entries/<N>[.p/<W>].
func TilePath(t tlog.Tile) string {
	// x/mod writes tile/<H>/<L or "data">/…; C2SP has no height and says "entries".
	p := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", TileHeight))
	if r, ok := strings.CutPrefix(p, "data/"); ok {
		p = "entries/" + r
	}
	return "tile/" + p
}

// HashTiles lists the hash tiles of a tree of the given size, the widest form of each.
func HashTiles(size uint64) []tlog.Tile {
	var out []tlog.Tile
	for level, n := 0, size; n > 0; level, n = level+1, n>>TileHeight {
		out = append(out, tiles(level, n)...)
	}
	return out
}

// EntryBundles lists the entry bundles of a tree of the given size.
func EntryBundles(size uint64) []tlog.Tile { return tiles(-1, size) }

func tiles(level int, n uint64) (out []tlog.Tile) {
	for i := uint64(0); i*TileWidth < n; i++ {
		out = append(out, tlog.Tile{H: TileHeight, L: level, N: int64(i), W: int(min(n-i*TileWidth, TileWidth))})
	}
	return out
}

// AppendToBundle adds an encoded entry to an entry bundle: uint16 length, bytes.
func AppendToBundle(bundle, entry []byte) []byte {
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(entry))), entry...)
}

// SplitBundle is the entries of a bundle, exactly n of them.
func SplitBundle(bundle []byte, n int) ([][]byte, error) {
	out := make([][]byte, 0, n)
	for range n {
		if len(bundle) < 2 {
			return out, errors.New("entry bundle: ends early")
		}
		l := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+l {
			return out, errors.New("entry bundle: ends early")
		}
		out, bundle = append(out, bundle[2:2+l]), bundle[2+l:]
	}
	if len(bundle) > 0 {
		return out, errors.New("entry bundle: trailing bytes")
	}
	return out, nil
}
