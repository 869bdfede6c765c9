package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// files is what the journal needs of a file system, so that tests can cut every
// operation.
type files interface {
	ReadFile(name string) ([]byte, error)
	// Append opens a file for writing at its end, making it if need be.
	Append(name string) (file, error)
	// Replace writes a file whole: a crash leaves the old one, the new one, or none.
	Replace(name string, b []byte) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	IsDir(name string) bool
}

// file is an open journal.
type file interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

// machineFiles is the machine's own file system.
type machineFiles struct{}

func (machineFiles) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (machineFiles) Append(name string) (file, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func (m machineFiles) Replace(name string, b []byte) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return m.SyncDir(filepath.Dir(name))
}

func (machineFiles) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (machineFiles) IsDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}
