package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"pointage/node"
)

// restore gives a machine that lost its ledger the one of a backup.
func restore(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("restore", flag.ContinueOnError)
	from := fs.String("from", "", "a backup, or any export of this commune")
	cfg, err := configured(fs, args, "pointage restore --config bureau-001/bureau.toml --from /mnt/backup/backup-1")
	if err != nil {
		return err
	}
	if *from == "" {
		return usageError{errors.New("--from is needed")}
	}
	abs, err := filepath.Abs(*from)
	if err != nil {
		return err
	}
	entries, err := node.RestoreBackup(ctx, cfg, abs)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d entries hold and are restored: pointage run brings the rest from the other bureaux\n", entries)
	return nil
}
