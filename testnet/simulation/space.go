package simulation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pointage/node/machine"
)

// What a day takes on the disk, in bytes, with a margin: every bureau has two databases,
// which make room beforehand, three journals, and the whole commune's ledger.
const (
	spaceOfBureau  = 20 << 20
	spaceOfElector = 1200 // at every bureau, when he comes
	spaceOfADELE   = 24 << 20
	// spaceLeft is what must stay free: below it the day ends before any database fails.
	spaceLeft = 16 << 20
)

// spaceEvery is the pace of looks at the disk.
const spaceEvery = 500 * time.Millisecond

// A FullError says that the disk of the output directory can't hold the day.
type FullError struct {
	Dir string
	// Free of Wanted bytes are there; Wanted is 0 when the disk has become full on the way.
	Free, Wanted uint64
}

// Error is one line for people.
func (e FullError) Error() string {
	if e.Wanted == 0 {
		return fmt.Sprintf("the disk of %s is full: free some space, or name another place with --out; nothing of this run is kept", e.Dir)
	}
	return fmt.Sprintf("the disk of %s has %d MiB free, this day takes about %d MiB: free some space, name another place with --out, or play a smaller day",
		e.Dir, e.Free>>20, e.Wanted>>20+1)
}

// space is about what the plan takes on the disk, in bytes.
func (p *Plan) space() uint64 {
	each := uint64(spaceOfBureau) + uint64(float64(p.Electors)*p.Turnout*spaceOfElector)
	if p.PrepareOnly {
		return uint64(p.Electors) * spaceOfElector
	}
	return spaceLeft + spaceOfADELE + uint64(p.Bureaux)*each
}

// freeSpace is how many bytes the disk of a directory, or of the nearest one above it, has left.
func freeSpace(dir string) (uint64, error) {
	for {
		free, err := machine.Free(dir)
		if err == nil {
			return free, nil
		}
		if up := filepath.Dir(dir); up != dir && errors.Is(err, os.ErrNotExist) {
			dir = up
			continue
		}
		return 0, fmt.Errorf("--out: look at the disk of %s: %w", dir, err)
	}
}

// hasSpace says, before anything is written or removed, whether the disk can hold the day.
// What an earlier run left counts as free.
func (d *day) hasSpace() error {
	n, err := d.free(d.plan.Out)
	if err != nil {
		return err
	}
	want := d.plan.space()
	if n >= want {
		return nil
	}
	for _, name := range d.out.remains() {
		n += size(d.out.path(name))
	}
	if n < want {
		return FullError{d.plan.Out, n, want}
	}
	return nil
}

// size is what a file or a directory takes on the disk, in bytes.
func size(path string) (n uint64) {
	// What vanishes meanwhile takes nothing.
	_ = filepath.WalkDir(path, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil {
			n += machine.OnDisk(info)
		}
		return nil
	})
	return n
}

// watchSpace ends the day, by the cause of its context, when the disk has become full.
func (d *day) watchSpace(ctx context.Context, end context.CancelCauseFunc) {
	for sleep(ctx, spaceEvery) {
		if n, err := d.free(d.plan.Out); err == nil && n < spaceLeft {
			end(FullError{Dir: d.plan.Out})
			return
		}
	}
}

// fullDisk is the line for a full disk when one is behind err, or behind the end of ctx.
func (d *day) fullDisk(ctx context.Context, err error) (full FullError, is bool) {
	switch {
	case errors.As(context.Cause(ctx), &full), errors.As(err, &full):
		return full, true
	case machine.IsFull(err):
		return FullError{Dir: d.plan.Out}, true
	}
	return full, false
}
