//go:build unix

package machine

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// hold is nothing of its own: the lock goes with the open directory.
type hold struct{}

func take(d *os.File) (*hold, error) {
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, ErrHeld
	}
	return &hold{}, nil
}

func (*hold) release() error { return nil }

func device(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	return uint64(st.Dev), nil
}

// Free is how many bytes this user may still write on the disk of a directory.
func Free(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	size := uint64(st.Bsize)
	return min(st.Bavail, math.MaxUint64/size) * size, nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// IsFull says that a full disk, or a used-up quota, is behind err.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// IsTaken says that err is about an address at which somebody else listens.
func IsTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// OnDisk is how many bytes a file takes on its disk.
func OnDisk(st os.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Blocks) * 512
	}
	return uint64(st.Size())
}
