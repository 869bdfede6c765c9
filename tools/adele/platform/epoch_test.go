package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// recovered is a platform for the ledger of package ledgertest, whose day has gone into a second
// epoch and was anchored there by the platform's key; the platform has none of it yet.
func recovered(t *testing.T) (*world, *ledgertest.Day) {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "adele"), days: map[ledger.Commune]*testDay{}}
	w.clock.Store(int64(ledgertest.Opens))
	seed := ledgertest.Key("witness").Seed()
	c := newCosigner(ledgertest.WitnessName, seed)
	w.skey = fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", c.name, c.hash, base64.StdEncoding.EncodeToString(append([]byte{algorithmCosignature}, seed...)))
	day := ledgertest.NewDay(t, 3, 9, nil)
	day.Started(2).Put(ledgertest.Admission(1))
	day.Recover(uint64(len(day.Entries)))
	day.Started(3)
	w.options = RegionOptions{Manifest: day.File, Rolls: map[ledger.Commune][]byte{ledgertest.INS: day.Roll.Encode()}}
	w.days[ledgertest.INS] = &testDay{ins: ledgertest.INS, group: day.Group}
	w.open()
	t.Cleanup(w.close)
	day.Anchor()
	return w, day
}

// recoveredExtra are entries that the first epoch had beyond the seed of the second.
func recoveredExtra(t *testing.T, day *ledgertest.Day) [][]byte {
	t.Helper()
	lost := ledgertest.NewDay(t, 3, 9, nil)
	lost.Started(2).Put(ledgertest.Admission(1))
	n := len(lost.Entries)
	if n != len(day.EarlierEntries(0)) {
		t.Fatalf("the days have %d and %d entries", n, len(day.EarlierEntries(0)))
	}
	lost.Started(1).Put(ledgertest.Admission(0))
	return encoded(lost.Entries[n:])
}

func encoded(entries []ledger.PlacedEntry) (out [][]byte) {
	for _, e := range entries {
		out = append(out, e.Encoded)
	}
	return out
}

// epochs is a ledger by epoch, as a source of uploads.
type epochs [][][]byte

func (e epochs) Head() (uint8, uint64) { return uint8(len(e) - 1), uint64(len(e[len(e)-1])) }

func (e epochs) Size(epoch uint8) (uint64, error)            { return uint64(len(e[epoch])), nil }
func (e epochs) Entry(epoch uint8, n uint64) ([]byte, error) { return e[epoch][n], nil }

func verifyExport(t *testing.T, dir string, entries uint64) {
	t.Helper()
	x, err := election.OpenExport(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	report, err := ledger.Verify(context.Background(), os.DirFS(dir), x.Group, x.Epoch, ledger.Options{})
	if err != nil || report.Entries != entries {
		t.Fatalf("%+v %v", report, err)
	}
}
