package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// hold is a named object of the system's, which lives as long as some process has it open: Windows locks no directories.
type hold struct{ mutex windows.Handle }

func take(d *os.File) (*hold, error) {
	info, err := information(d)
	if err != nil {
		return nil, fmt.Errorf("tell %s from other directories: %w", d.Name(), err)
	}
	// A machine's sessions share the names under Global; a disk's serial number and a file's index tell one directory.
	name, err := windows.UTF16PtrFromString(fmt.Sprintf(`Global\pointage-%08x-%08x%08x`, info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow))
	if err != nil {
		return nil, err
	}
	mutex, err := windows.CreateMutex(nil, false, name)
	if err != nil { // there already, or another user's
		if mutex != 0 {
			err = windows.CloseHandle(mutex)
		}
		return nil, errors.Join(ErrHeld, err)
	}
	return &hold{mutex}, nil
}

func (h *hold) release() error { return windows.CloseHandle(h.mutex) }

func information(f *os.File) (info windows.ByHandleFileInformation, err error) {
	err = windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info)
	return info, err
}

func device(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	info, err := information(f)
	return uint64(info.VolumeSerialNumber), errors.Join(err, f.Close())
}

// Free is how many bytes this user may still write on the disk of a directory.
func Free(dir string) (free uint64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, &fs.PathError{Op: "free space", Path: dir, Err: err}
	}
	return free, nil
}

// SyncDir makes the names in a directory durable, where the file system can: NTFS does, those of most keys know no such
// act and write names with the file itself.
func SyncDir(dir string) error {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: err}
	}
	err = windows.FlushFileBuffers(h)
	for _, unknown := range []error{windows.ERROR_ACCESS_DENIED, windows.ERROR_INVALID_FUNCTION, windows.ERROR_INVALID_PARAMETER, windows.ERROR_NOT_SUPPORTED} {
		if errors.Is(err, unknown) {
			err = nil
		}
	}
	return errors.Join(err, windows.CloseHandle(h))
}

// IsFull says that a full disk, or a used-up quota, is behind err.
func IsFull(err error) bool {
	for _, full := range []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED, syscall.ENOSPC} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// IsTaken says that err is about an address at which somebody else listens.
func IsTaken(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

// OnDisk is how many bytes a file takes on its disk: about its length.
func OnDisk(st os.FileInfo) uint64 { return uint64(st.Size()) }
