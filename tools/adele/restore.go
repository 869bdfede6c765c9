package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pointage/tools/adele/platform"
)

// maxSeenFile is the length of a checkpoint's file, in bytes.
const maxSeenFile = 32 << 10

// restore puts a backup back and has the witness take up what it cosigned since, as far as people
// can show it.
func (a *act) restore(options platform.Options, out io.Writer) error {
	if a.from == "" {
		return fmt.Errorf("restore needs --from BACKUP: %w", errUsage)
	}
	seen, err := a.checkpoints()
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if err := platform.Restore(a.from, *a.dir); err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	server, err := platform.Open(*a.dir, options)
	if err != nil {
		return fmt.Errorf("--dir %s: %w: %w", *a.dir, err, errUsage)
	}
	learned, others := 0, 0
	for _, note := range seen {
		is, err := server.Learn(note)
		switch {
		case errors.Is(err, platform.ErrTwoHistories):
			return errors.Join(err, server.Close())
		case err != nil:
			others++
		case is:
			learned++
		}
	}
	if err := server.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "restored to %s; %d newer checkpoints taken up, %d files were not of this witness\n"+
		"what it cosigned since the copy and nobody has shown with --seen it does not know\n", *a.dir, learned, others)
	return err
}

// checkpoints reads the files of --seen; of a directory those named checkpoint and those below an
// anchors directory.
func (a *act) checkpoints() ([][]byte, error) {
	var all [][]byte
	for _, root := range a.seen {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if name != root && d.Name() != "checkpoint" && filepath.Base(filepath.Dir(name)) != "anchors" {
				return nil
			}
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			note, err := io.ReadAll(io.LimitReader(f, maxSeenFile))
			all = append(all, note)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read --seen: %w", err)
		}
	}
	return all, nil
}
