package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"pointage/node/machine"
)

// smallDisk is the size of a disk that is filled, in bytes: what a bureau needs for its day, and some more.
const smallDisk = 256 << 20

// ballast is the file that takes the rest of a disk.
const ballast = "ballast"

// diskFull: a bureau's disk, which is a small one, has no room left; then it is given some, and the bureau started again
// if it has stopped.
func (d *day) diskFull(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	if err := d.giveSmallDisk(ctx, i); err != nil {
		return err
	}
	if err := d.fillDisk(ctx, i, d.while(0.25), nil); err != nil {
		return err
	}
	return d.down(ctx, i, false, 0, nil)
}

// onDisk are the directories of a bureau that its machine's disk holds.
func onDisk(u *bureau) []string {
	return []string{filepath.Join(u.dir, "disk"), filepath.Join(u.dir, "data")}
}

// giveSmallDisk moves what a bureau's machine has on its disk to a small one, between two electors.
func (d *day) giveSmallDisk(ctx context.Context, i int) error {
	return d.downBetween(ctx, i, 0, func() error {
		for _, dir := range onDisk(d.bureaux[i]) {
			if err := d.moveToSmallDisk(dir); err != nil {
				return fmt.Errorf("%s on a small disk: %w", dir, err)
			}
		}
		return nil
	})
}

// fillDisk leaves a bureau's small disk without room for a while; at its end something may be done to the bureau.
func (d *day) fillDisk(ctx context.Context, i int, lasts time.Duration, end func() error) error {
	u := d.bureaux[i]
	for _, dir := range onDisk(u) {
		if err := fill(filepath.Join(dir, ballast)); err != nil {
			return err
		}
	}
	d.say("bureau %d has no room left", u.number)
	sleep(ctx, lasts)
	if end != nil {
		if err := end(); err != nil {
			return err
		}
	}
	for _, dir := range onDisk(u) {
		if err := os.Remove(filepath.Join(dir, ballast)); err != nil {
			return err
		}
	}
	return nil
}

// moveToSmallDisk lays a small disk over a directory, with what is in it, until the day's end.
func (d *day) moveToSmallDisk(dir string) error {
	was := dir + ".was"
	if err := os.Rename(dir, was); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	remove, err := mountSmall(dir, smallDisk)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.mounts = append(d.mounts, remove)
	d.mu.Unlock()
	return errors.Join(copyWhole(dir, was), os.RemoveAll(was))
}

// fill writes a file until the disk is full.
func fill(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil && !machine.IsFull(err) {
			return err
		} else if err != nil {
			block = block[:len(block)/2]
		}
	}
	return nil
}

// unmounts takes the small disks away.
func (d *day) unmounts() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, remove := range d.mounts {
		errs = append(errs, remove())
	}
	d.mounts = nil
	return errors.Join(errs...)
}
