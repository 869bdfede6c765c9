package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pointage/node/provenance"
)

// nfpm packs; it stays outside go.mod.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// packaging is where the package's own files lie among the sources.
const packaging = "tools/release/deb"

// papers are the documents that the package brings, by their place among the sources.
var papers = []string{"LICENSE", "node/RUNBOOK.md", "SECURITY.md"}

// debFile is the package's name, with Debian's words.
func debFile(t target) string {
	_, processor, _ := strings.Cut(string(t), "/")
	return "pointage_" + provenance.Version + "_" + processor + ".deb"
}

// pack makes the Debian package of the bureau's program that was built into out. Every date in it is the version's.
func pack(ctx context.Context, src, out string, t target) error {
	dir, err := os.MkdirTemp("", "pointage-deb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(filepath.Join(src, filepath.FromSlash(packaging)), dir); err != nil {
		return err
	}
	for _, p := range papers {
		if err := copyTo(filepath.Join(src, filepath.FromSlash(p)), filepath.Join(dir, filepath.Base(p))); err != nil {
			return err
		}
	}
	for _, p := range []string{"pointage", "pointage-card"} {
		if err := copyTo(filepath.Join(out, t.dir(), p), filepath.Join(dir, p)); err != nil {
			return err
		}
	}
	_, processor, _ := strings.Cut(string(t), "/")
	cmd := exec.CommandContext(ctx, "go", "run", nfpm, "package", "--config", "nfpm.yaml", "--packager", "deb", "--target", filepath.Join(out, debFile(t)))
	// nfpm itself runs on this machine, whatever the target is.
	cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), []string{
		"GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "PWD=" + dir, "POINTAGE_VERSION=" + provenance.Version, "POINTAGE_PROCESSOR=" + processor,
		"SOURCE_DATE_EPOCH=" + strconv.FormatInt(provenance.Dated, 10),
	})
	if err := said(cmd); err != nil {
		return fmt.Errorf("pack %s with nfpm: %w", debFile(t), err)
	}
	return nil
}

func copyTo(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	return errors.Join(put(to, f), f.Close())
}
