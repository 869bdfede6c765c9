package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// marker says that a directory is a testnet's and may be replaced.
const marker = ".pointage-testnet"

// claimOut makes the output directory, or empties one that an earlier run left.
// The prepared election inside is kept when keep says so.
func claimOut(dir string, keep string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("--out: %w", err)
	case len(entries) > 0:
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("--out %s is not a testnet's directory: name another one, or empty it", dir)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, marker), []byte("written by go run ./testnet, which replaces this directory's content\n"), 0o644); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Name() == marker || keep != "" && within(path, keep) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

// within says whether one path is, or contains, the other.
func within(path, inner string) bool {
	a, err1 := filepath.Abs(path)
	b, err2 := filepath.Abs(inner)
	if err1 != nil || err2 != nil {
		return false
	}
	rel, err := filepath.Rel(a, b)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

func writeSummary(dir string, s *Summary) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "summary.json"), append(b, '\n'), 0o644)
}
