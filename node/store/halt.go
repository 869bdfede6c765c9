package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"pointage/node/machine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// haltFS is the disk as Pebble sees it. Pebble answers a write that fails with a panic, maybe
// in a goroutine of its own and with a lock let go twice, which ends the process, or with
// trying again for ever, with Close waiting for it. So it never hears of one: the first is
// told to fault, which closes stopped, and all writes from then on seem to succeed and go
// nowhere. The disk keeps what a crash at the fault would have left, and the database,
// which still runs, can be closed. Whoever writes asks for the fault before it believes.
type haltFS struct {
	vfs.FS
	fault   func(error)
	stopped <-chan struct{}
}

func (h haltFS) halted() bool {
	select {
	case <-h.stopped:
		return true
	default:
		return false
	}
}

// write does what changes the disk, unless that is over.
func (h haltFS) write(act func() error) {
	if h.halted() {
		return
	}
	if err := act(); err != nil {
		h.fault(err)
	}
}

// remove is write for what may be gone already.
func (h haltFS) remove(act func() error) (err error) {
	h.write(func() error {
		if err = act(); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// file makes a file that is written, in memory when the disk can't.
func (h haltFS) file(act func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	h.write(func() (err error) { f, err = act(); return err })
	if f == nil {
		var err error
		if f, err = vfs.NewMem().Create("lost", vfs.WriteCategoryUnspecified); err != nil {
			return nil, err
		}
	}
	return haltFile{f, h}, nil
}

// Unwrap implements vfs.FS.
func (h haltFS) Unwrap() vfs.FS { return h.FS }

// Create implements vfs.FS.
func (h haltFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.file(func() (vfs.File, error) {
		f, err := h.FS.Create(name, c)
		// Pebble makes this name durable together with the one that points to it, and
		// can't open when a power cut leaves only the latter.
		if dir, base := filepath.Split(name); err == nil && strings.HasPrefix(base, "MANIFEST") {
			if err := syncDir(h.FS, dir); err != nil {
				h.fault(err)
			}
		}
		return f, err
	})
}

// OpenReadWrite implements vfs.FS.
func (h haltFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return h.file(func() (vfs.File, error) { return h.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS.
func (h haltFS) ReuseForWrite(was, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.file(func() (vfs.File, error) { return h.FS.ReuseForWrite(was, name, c) })
}

// OpenDir implements vfs.FS.
func (h haltFS) OpenDir(name string) (vfs.File, error) {
	return h.file(func() (vfs.File, error) { return h.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (h haltFS) Link(was, name string) error {
	h.write(func() error { return h.FS.Link(was, name) })
	return nil
}

// Rename implements vfs.FS.
func (h haltFS) Rename(was, name string) error {
	h.write(func() error { return h.FS.Rename(was, name) })
	return nil
}

// MkdirAll implements vfs.FS.
func (h haltFS) MkdirAll(dir string, perm fs.FileMode) error {
	h.write(func() error { return h.FS.MkdirAll(dir, perm) })
	return nil
}

// Remove implements vfs.FS.
func (h haltFS) Remove(name string) error {
	return h.remove(func() error { return h.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (h haltFS) RemoveAll(name string) error {
	return h.remove(func() error { return h.FS.RemoveAll(name) })
}

// haltFile is a file that is written. Preallocate is not here: it is a wish.
type haltFile struct {
	vfs.File
	h haltFS
}

// Write implements vfs.File.
func (f haltFile) Write(p []byte) (int, error) {
	f.h.write(func() error { _, err := f.File.Write(p); return err })
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f haltFile) WriteAt(p []byte, at int64) (int, error) {
	f.h.write(func() error { _, err := f.File.WriteAt(p, at); return err })
	return len(p), nil
}

// Sync implements vfs.File.
func (f haltFile) Sync() error {
	f.h.write(f.File.Sync)
	return nil
}

// SyncData implements vfs.File.
func (f haltFile) SyncData() error {
	f.h.write(f.File.SyncData)
	return nil
}

// SyncTo implements vfs.File.
func (f haltFile) SyncTo(length int64) (full bool, _ error) {
	f.h.write(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

// Close implements vfs.File: it lets the file go even when writing is over.
func (f haltFile) Close() error {
	if err := f.File.Close(); err != nil && !f.h.halted() {
		f.h.fault(err)
	}
	return nil
}

// refusal is an error that says itself what to do.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// What a person can do about a fault.
const (
	freeSpace  = "free space on its disk and start the bureau again"
	allowWrite = "let the bureau write to that directory and start it again"
	setAside   = "start the bureau again; if that does not help, move its directory away and the group fills a new one"
)

// withRemedy ends an error with what to do about it.
func withRemedy(err error) error {
	var says refusal
	switch {
	case errors.As(err, &says):
		return err
	case machine.IsFull(err):
		return remedied{err, freeSpace}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return remedied{err, allowWrite}
	}
	return remedied{err, setAside}
}

// remedied is a fault with its remedy.
type remedied struct {
	error
	todo string
}

// Error implements error, in one line.
func (r remedied) Error() string {
	return strings.ReplaceAll(r.error.Error(), "\n", "; ") + ": " + r.todo
}

// Unwrap is the fault.
func (r remedied) Unwrap() error { return r.error }
