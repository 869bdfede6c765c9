package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"pointage/node/provenance"
)

// A target is system/processor, as Go names them.
type target string

// allTargets are built when none are named.
const allTargets = "linux/amd64,linux/arm64,windows/amd64,darwin/arm64"

func (t target) linux() bool { return strings.HasPrefix(string(t), "linux/") }

// dir is the target's directory in a release.
func (t target) dir() string { return strings.ReplaceAll(string(t), "/", "-") }

// programs are what is built, by package.
var programs = []string{
	"./node/cmd/pointage", "./node/cmd/pointage-card", "./tools/prepare", "./tools/adele", "./tools/verify", "./tools/minutes", "./testnet",
}

// fixed are the settings that reach the bytes, whatever the machine's own are. A library of C's would bring the machine's.
var fixed = []string{
	"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GODEBUG=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0",
}

// The files beside the programs.
const (
	buildFile = "BUILD"
	sumsFile  = "SHA256SUMS"
)

// builder builds one release.
type builder struct {
	src     sources
	targets []target
	deb     bool
	say     io.Writer
}

// flags are those of go build.
func (b builder) flags() []string {
	return []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w -X pointage/node/provenance.sources=" + b.src.hash}
}

// all builds every target from the sources in dir into out; cache is the build cache's directory, empty for the machine's.
func (b builder) all(ctx context.Context, dir, out, cache string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return usageError{errors.New("go is missing: install Go 1.26")}
	}
	if cache != "" {
		if err := verifyModules(ctx, dir); err != nil {
			return err
		}
	}
	for _, t := range b.targets {
		to := filepath.Join(out, t.dir())
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, b.flags(), []string{"-o", to + string(filepath.Separator)}, programs)...)
		system, processor, _ := strings.Cut(string(t), "/")
		cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), fixed, []string{"PWD=" + dir, "GOOS=" + system, "GOARCH=" + processor})
		if cache != "" {
			cmd.Env = append(cmd.Env, "GOCACHE="+cache)
		}
		if err := said(cmd); err != nil {
			return fmt.Errorf("build for %s: %w", t, err)
		}
		fmt.Fprintf(b.say, "%s: %d programs\n", t, len(programs))
		if b.deb && t.linux() {
			if err := pack(ctx, dir, out, t); err != nil {
				return err
			}
			fmt.Fprintf(b.say, "%s: %s\n", t, debFile(t))
		}
	}
	return nil
}

// verifyModules holds what was downloaded against go.sum.
func verifyModules(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "verify")
	cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), fixed, []string{"PWD=" + dir})
	if err := said(cmd); err != nil {
		return fmt.Errorf("compare the modules with go.sum: %w", err)
	}
	return nil
}

// said runs a command; what it said is the error when it fails.
func said(cmd *exec.Cmd) error {
	b, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(b))
	}
	return nil
}

// hashes are the SHA-256 of every file under dir, by slash-separated name.
func hashes(dir string) (map[string]string, error) {
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		_, err = io.Copy(h, f)
		found[name] = fmt.Sprintf("%x", h.Sum(nil))
		return err
	})
	return found, err
}

// same says which files of two builds differ.
func same(one, other string) error {
	a, aerr := hashes(one)
	b, berr := hashes(other)
	if err := errors.Join(aerr, berr); err != nil {
		return fmt.Errorf("compare the two builds: %w", err)
	}
	var differ []string
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if a[name] != b[name] {
			differ = append(differ, name)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("not reproducible: %s differ between the two builds", strings.Join(differ, ", "))
	}
	return nil
}

// write says beside the programs how they were built and what their hashes are.
func (b builder) write(ctx context.Context, dir string) (sums string, err error) {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "version %s\nsources %s\ngo %s\nflags %s\n", provenance.Version, b.src.hash, strings.TrimSpace(string(version)), strings.Join(b.flags(), " "))
	fmt.Fprintf(&text, "settings %s\n", strings.Join(fixed, " "))
	if err := os.WriteFile(filepath.Join(dir, buildFile), []byte(text.String()), 0o644); err != nil {
		return "", err
	}
	found, err := hashes(dir)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		sums += found[name] + "  " + name + "\n"
	}
	return sums, os.WriteFile(filepath.Join(dir, sumsFile), []byte(sums), 0o644)
}
