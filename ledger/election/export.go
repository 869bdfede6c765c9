package election

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"pointage/ledger"
)

// Export is what an export says of itself: whose it is, and by which rules it is judged.
type Export struct {
	Manifest *Manifest
	// Hash is that of the manifest file: what an expert compares with the one that was
	// made public before the day. Without that, all else holds for whoever signed it.
	Hash  ledger.Hash
	Group *ledger.Group
	Epoch uint8
}

var originLine = regexp.MustCompile(`^([a-z0-9.-]{2,64})/([0-9]{5})/epoch-([0-9])\n$`)

// OpenExport reads manifest, origin and roll of an export (SPEC 9), for ledger.Verify. What
// does not hold is returned as *ledger.Offended; any other error means that the export could
// not be read.
func OpenExport(dir fs.FS) (*Export, error) {
	file, err := ledger.ReadExported(dir, ledger.ManifestFile, MaxManifest)
	if err != nil {
		return nil, err
	}
	x := &Export{Hash: Hash(file)}
	if x.Manifest, err = Parse(file); err != nil {
		return x, at(ledger.ManifestFile, err)
	}
	origin, err := ledger.ReadExported(dir, ledger.OriginFile, MaxName)
	if err != nil {
		return x, err
	}
	m := originLine.FindSubmatch(origin)
	if m == nil {
		return x, at(ledger.OriginFile, errors.New("is not <election>/<INS code>/epoch-<n> on one line"))
	}
	if string(m[1]) != x.Manifest.Election {
		return x, at(ledger.OriginFile, fmt.Errorf("names the election %q, the manifest %q", m[1], x.Manifest.Election))
	}
	ins, err := strconv.ParseUint(string(m[2]), 10, 32)
	if err != nil {
		return x, at(ledger.OriginFile, err)
	}
	x.Epoch = m[3][0] - '0'
	if _, err := x.Manifest.Commune(ledger.Commune(ins)); err != nil {
		return x, at(ledger.OriginFile, err)
	}
	rows, err := ledger.ReadExported(dir, ledger.RollFile, ledger.MaxRoll)
	if err != nil {
		return x, err
	}
	roll, err := ledger.DecodeRoll(rows)
	if err != nil {
		return x, at(ledger.RollFile, err)
	}
	if x.Group, err = x.Manifest.Group(x.Hash, ledger.Commune(ins), roll); err != nil {
		return x, at(ledger.RollFile, err)
	}
	return x, nil
}

func at(file string, err error) error { return &ledger.Offended{Where: "file " + file, Err: err} }
