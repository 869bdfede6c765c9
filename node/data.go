package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// dataVersion is the version of the data directory's layout.
const dataVersion = "1"

// lockData makes the data directory, checks its version and takes its lock: one
// program at a time. The lock goes with the file, also at kill -9.
func lockData(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use: another pointage runs this bureau; stop it first", dir)
	}
	if err := checkVersion(filepath.Join(dir, "version")); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkVersion(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return writeFile(file, []byte(dataVersion+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("read data version: %w", err)
	}
	if v := strings.TrimSpace(string(b)); v != dataVersion {
		return fmt.Errorf("%s says version %q, this program knows %s: use the program that wrote it", file, v, dataVersion)
	}
	return nil
}

// writeFile replaces a file whole: a crash leaves the old one or the new one.
func writeFile(name string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
