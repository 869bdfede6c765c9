package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pointage/ledger"
)

// logFile is GET /log/{name}: a file of the access log as VerifyLog reads it, or with no name the
// list of them. The log grows by being read: ?size=N shows it as it was with N entries.
func (rg *Region) logFile(c *call) (*outcome, error) {
	size := rg.log.entries()
	if text := c.r.URL.Query().Get("size"); text != "" {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || n > size {
			return refuse(http.StatusBadRequest, "malformed", "size is not one that the log had"), nil
		}
		size = n
	}
	if size == 0 {
		return refuse(http.StatusNotFound, "empty", "the access log is empty"), nil
	}
	out, err := serveFile(rg.log.filesAt(rg.st, size), c.r.PathValue("name"))
	// The list or the checkpoint begins a consultation, the tiles belong to it.
	if out != nil && !out.refused {
		out.quiet = strings.HasPrefix(c.r.PathValue("name"), "tile/")
	}
	return out, err
}

// ExportLog writes the access log into a new directory, for VerifyLog.
func (rg *Region) ExportLog(dir string) error {
	return exportInto(dir, func(write func(string, []byte) error) error {
		for _, f := range rg.log.filesAt(rg.st, rg.log.entries()) {
			content, err := f.make()
			if err == nil {
				err = write(f.name, content)
			}
			if err != nil {
				return fmt.Errorf("write %s: %w", f.name, err)
			}
		}
		return nil
	})
}

// ExportLedger writes a commune's ledger into a new directory, as experts verify it.
func (rg *Region) ExportLedger(c ledger.Commune, dir string) error {
	l := rg.communes[c]
	if l == nil {
		_, err := rg.manifest.Commune(c)
		return err
	}
	return exportInto(dir, func(write func(string, []byte) error) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		files, err := rg.export(l)
		for i := 0; err == nil && i < len(files); i++ {
			var content []byte
			if content, err = files[i].make(); err == nil {
				err = write(files[i].name, content)
			}
		}
		return err
	})
}

// exportInto writes below a new directory; what is cut short has another name.
func exportInto(dir string, fill func(write func(string, []byte) error) error) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, errBackupThere)
	}
	tmp := dir + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	err := fill(func(name string, content []byte) error {
		path := filepath.Join(tmp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o644)
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, dir)
}
