// Package machine asks the operating system for what Go's library does not offer alike on all of them: free space,
// locks, devices, and directories made durable.
package machine

import (
	"errors"
	"os"
	"path/filepath"
)

// ErrHeld says that another process, or another Lock of this one, has the directory.
var ErrHeld = errors.New("is held by another program")

// A Lock is one directory kept for this process; the system lets it go when the process ends, however it ends.
type Lock struct {
	dir  *os.File
	hold *hold
}

// Hold takes a directory's lock, by the directory itself and not by its name. It writes nothing there. The error is
// ErrHeld, or why the directory can't be opened.
func Hold(dir string) (*Lock, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	h, err := take(d)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &Lock{d, h}, nil
}

// Is says whether the lock is that of a directory, under this name or another.
func (l *Lock) Is(dir string) bool {
	own, err := l.dir.Stat()
	other, oerr := os.Stat(dir)
	return err == nil && oerr == nil && os.SameFile(own, other)
}

// Close gives the directory back.
func (l *Lock) Close() error { return errors.Join(l.hold.release(), l.dir.Close()) }

// Device is a number of the device that a path lies on, or would lie on once it is made; false when the system doesn't say.
func Device(path string) (uint64, bool) {
	for path != "" {
		if n, err := device(path); err == nil {
			return n, true
		}
		up := filepath.Dir(path)
		if up == path {
			break
		}
		path = up
	}
	return 0, false
}
