package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"pointage/ledger"
	"pointage/node/machine"
)

// dataVersion is the version of the data directory's layout.
const dataVersion = "1"

const (
	versionFile = "version"
	// ownerFile says whose data it is, so that a directory that was mixed up is refused
	// before the journal begins a session.
	ownerFile = "bureau"
)

// locked is directories that this program alone has open. The lock is the directory's own, so
// that taking it writes nothing; it goes with the process, also at kill -9.
type locked struct {
	mu   sync.Mutex
	dirs []*machine.Lock
	// made is a data directory that was not there before; Close takes it away again unless
	// something was written in it.
	made string
}

// lock takes directories: one program at a time, whatever configuration it was given. Those
// that are not there, such as a key that is not attached, are left out.
func (l *locked) lock(dirs ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, dir := range dirs {
		if dir == "" || slices.ContainsFunc(l.dirs, func(had *machine.Lock) bool { return had.Is(dir) }) {
			continue
		}
		had, err := machine.Hold(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, machine.ErrHeld):
			return fmt.Errorf("%s is in use: another pointage runs this bureau; stop it first", dir)
		case err != nil:
			return fmt.Errorf("lock %s: %w", dir, err)
		default:
			l.dirs = append(l.dirs, had)
		}
	}
	return nil
}

// Close gives the directories back.
func (l *locked) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != "" {
		_ = os.Remove(l.made) // it stays when there is something in it
	}
	var errs []error
	for _, f := range l.dirs {
		errs = append(errs, f.Close())
	}
	l.dirs, l.made = nil, ""
	return errors.Join(errs...)
}

// lockData makes the data directory, takes it, and checks whose it is.
func (l *locked) lockData(dir, owner string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		l.made = dir
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := l.lock(dir); err != nil {
		return err
	}
	if err := ownData(dir, owner); err != nil {
		return InputError{err}
	}
	return nil
}

// ownerOf names one bureau of one election.
func ownerOf(g *ledger.Group, n ledger.BureauNumber) string {
	return fmt.Sprintf("manifest %v commune %d bureau %d", g.Manifest, g.Commune, n)
}

// claimData says in the directory what it is, once the media have opened.
func claimData(dir, owner string) error {
	for _, f := range [][2]string{{versionFile, dataVersion}, {ownerFile, owner}} {
		name := filepath.Join(dir, f[0])
		if was, err := readLine(name); err == nil && was == f[1] {
			continue
		}
		if err := writeFile(name, []byte(f[1]+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readLine reads a file of one short line, empty when there is none.
func readLine(name string) (string, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
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
	return machine.SyncDir(dir)
}
