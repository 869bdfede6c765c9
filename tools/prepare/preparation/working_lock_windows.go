package preparation

import (
	"os"

	"golang.org/x/sys/windows"
)

// holdLock takes a file's lock for this process; the system lets it go when the
// process ends, however it ends.
func holdLock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}
