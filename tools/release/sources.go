package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"
)

// sources are the files that a release is built from.
type sources struct {
	dir, from string
	// hash is dirhash.Hash1 over all files, in go.sum's form.
	hash string
}

// takeSources copies the last commit of the repository at root, or the source archive that root is, into dir.
func takeSources(ctx context.Context, root, dir string) (s sources, err error) {
	s = sources{dir: dir, from: "a source archive"}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !bytes.HasPrefix(mod, []byte("module pointage\n")) {
		return s, usageError{errors.New("run it in the repository's directory, where go.mod is")}
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		s.from, err = takeCommit(ctx, root, dir)
		if err != nil {
			return s, err
		}
	} else if err := copyTree(root, dir); err != nil {
		return s, err
	}
	s.hash, err = dirhash.HashDir(dir, "", dirhash.Hash1)
	return s, err
}

// takeCommit writes the files of the last commit and names it.
func takeCommit(ctx context.Context, root, dir string) (commit string, err error) {
	if _, err := exec.LookPath("git"); err != nil {
		return "", usageError{errors.New("git is missing: install it, or build from a source archive")}
	}
	git := func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...)
	}
	head, err := git("rev-parse", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("ask git for the last commit: %w", err)
	}
	archive := git("archive", "--format=tar", "HEAD")
	pipe, err := archive.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := archive.Start(); err != nil {
		return "", fmt.Errorf("start git: %w", err)
	}
	err = unpack(pipe, dir)
	_, _ = io.Copy(io.Discard, pipe) // what follows the last file
	if err := errors.Join(err, archive.Wait()); err != nil {
		return "", fmt.Errorf("take the files of the last commit: %w", err)
	}
	return "commit " + strings.TrimSpace(string(head)), nil
}

func unpack(from io.Reader, dir string) error {
	for files := tar.NewReader(from); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue // directories are made with their files; the commit's name comes apart
		}
		if err := put(filepath.Join(dir, filepath.FromSlash(h.Name)), files); err != nil {
			return err
		}
	}
}

// put writes one source file; which of them can be executed changes nothing in what is built.
func put(name string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// copyTree copies the regular files of a directory.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return put(filepath.Join(to, rel), f)
	})
}
