package journal

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"pointage/node/machine"
)

// files is what the journal needs of a file system. It has two implementations: the
// machine's, and one of the tests that cuts and tears every operation.
type files interface {
	IsDir(name string) bool
	Open(name string, how access) (file, error)
	Rename(from, to string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Free is how many bytes the directory's file system has left for this program.
	Free(dir string) (int64, error)
}

// access is how a file is opened.
type access uint8

const (
	toRead access = iota
	// toWrite is to read and write a file that is there.
	toWrite
	// toMake is toWrite, making the file if need be.
	toMake
)

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
}

// machineFiles is the machine's own file system.
type machineFiles struct{}

func (machineFiles) IsDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

func (machineFiles) Open(name string, how access) (file, error) {
	f, err := os.OpenFile(name, [...]int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE}[how], 0o600)
	if err != nil {
		return nil, err
	}
	return machineFile{f}, nil
}

func (machineFiles) Rename(from, to string) error { return os.Rename(from, to) }

func (machineFiles) SyncDir(dir string) error {
	return machine.SyncDir(dir)
}

func (machineFiles) Free(dir string) (int64, error) {
	n, err := machine.Free(dir)
	return int64(min(n, math.MaxInt64)), err
}

type machineFile struct{ *os.File }

func (f machineFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// replace writes a file whole: a crash leaves the old one or the new one, and perhaps a
// .new beside it, which the next replace overwrites.
func replace(fs files, name string, b []byte) error {
	f, err := fs.Open(name+".new", toMake)
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(name))
}

// readSmall reads a file of at most limit bytes.
func readSmall(fs files, name string, limit int) ([]byte, error) {
	f, err := fs.Open(name, toRead)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > int64(limit) {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", filepath.Base(name), size, limit)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return b, nil
}
