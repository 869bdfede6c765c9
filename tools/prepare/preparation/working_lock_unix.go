//go:build unix

package preparation

import (
	"os"

	"golang.org/x/sys/unix"
)

// holdLock takes a file's lock for this process; the system lets it go when the
// process ends, however it ends.
func holdLock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
