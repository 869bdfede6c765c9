package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/BurntSushi/toml"

	"pointage/ledger"
	"pointage/node/journal"
	"pointage/node/machine"
)

// ConfigFile is the name of a bureau's configuration in its directory.
const ConfigFile = "bureau.toml"

// Init prepares a machine for its bureau: it opens the keys with the passphrase, formats the
// journal's media (the first, the machine's disk, is made; at least two must be there, and none
// may have a journal already) and writes dir/bureau.toml. Paths in cfg are relative to dir.
// After an error nothing of it is left.
func Init(dir string, cfg Config, passphrase string, log *slog.Logger) error {
	file := filepath.Join(dir, ConfigFile)
	if _, err := os.Stat(file); err == nil {
		return InputError{fmt.Errorf("%s exists: this bureau is initialised already", file)}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find %s: %w", dir, err)
	}
	// The file keeps the paths as they were given; so a directory can be moved whole.
	written, err := toml.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	cfg.Media = slices.Clone(cfg.Media) // the caller's stays as it is
	if err := cfg.complete(abs); err != nil {
		return InputError{err}
	}
	p, err := ReadPrepared(cfg.Election, cfg.Commune)
	if err != nil {
		return InputError{err}
	}
	if err := p.has(cfg); err != nil {
		return InputError{err}
	}
	k, s, err := p.OpenKeys(cfg.Keys, passphrase, cfg.Bureau)
	if err != nil {
		return InputError{err}
	}
	unmake, err := makeDirs(dir, cfg.Media[0]) // the disk is always there, keys must be attached
	if err != nil {
		return initFault(err)
	}
	before := namesIn(cfg.Media)
	err = journal.Create(journalOptions(cfg, p.Group, k, s.Device, func() ledger.Instant { return instantOf(time.Now()) }, log))
	if err == nil {
		err = writeFile(file, written, 0o600)
	}
	if err != nil {
		before.restore()
		unmake()
		return initFault(err)
	}
	return nil
}

// initFault says what to do about a full disk, in the one line that is told.
func initFault(err error) error {
	if machine.IsFull(err) {
		return fmt.Errorf("no space is left: free some, and repeat init; nothing was written (%w)", inLine(err))
	}
	return inLine(err)
}

// names are what lay in directories before something was written there.
type names map[string]map[string]bool

func namesIn(dirs []string) names {
	before := names{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if dir == "" || err != nil {
			continue // it is not attached: nothing is written there
		}
		before[dir] = map[string]bool{}
		for _, e := range entries {
			before[dir][e.Name()] = true
		}
	}
	return before
}

// restore takes away what was added since; what can't be is left to whoever reads the error.
func (n names) restore() {
	for dir, before := range n {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !before[e.Name()] && !e.IsDir() {
				_ = os.Remove(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// makeDirs makes directories; unmake takes away again those that were not there and are empty.
func makeDirs(dirs ...string) (unmake func(), err error) {
	var made []string // those above before those below
	unmake = func() {
		for _, d := range slices.Backward(made) {
			_ = os.Remove(d) // it stays when there is something in it
		}
	}
	for _, d := range dirs {
		if d == "" {
			continue
		}
		at := len(made)
		for up := filepath.Clean(d); !slices.Contains(made, up); up = filepath.Dir(up) {
			if _, err := os.Stat(up); !errors.Is(err, os.ErrNotExist) {
				break
			}
			made = slices.Insert(made, at, up)
		}
		if err := os.MkdirAll(d, 0o700); err != nil {
			unmake()
			return nil, fmt.Errorf("make %s: %w", d, err)
		}
	}
	return unmake, nil
}
