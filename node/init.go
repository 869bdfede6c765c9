package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"

	"pointage/node/journal"
)

// ConfigFile is the name of a bureau's configuration in its directory.
const ConfigFile = "bureau.toml"

// Init prepares a machine for its bureau: it opens the keys with the passphrase, formats the
// journal's media (the first, the machine's disk, is made; at least two must be there, and none
// may have a journal already) and writes dir/bureau.toml. Paths in cfg are relative to dir.
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
		return err
	}
	if err := journal.Create(journalOptions(cfg, p.Group, k, s.Device, log)); err != nil {
		unmake()
		return inLine(err)
	}
	return writeFile(file, written, 0o600)
}

// makeDirs makes directories; unmake takes away again those that were not there and are empty.
func makeDirs(dirs ...string) (unmake func(), err error) {
	var made []string
	unmake = func() {
		for _, d := range slices.Backward(made) {
			_ = os.Remove(d) // it stays when there is something in it
		}
	}
	for _, d := range dirs {
		if d == "" {
			continue
		}
		if _, err := os.Stat(d); errors.Is(err, os.ErrNotExist) {
			made = append(made, d)
		}
		if err := os.MkdirAll(d, 0o700); err != nil {
			unmake()
			return nil, fmt.Errorf("make %s: %w", d, err)
		}
	}
	return unmake, nil
}
