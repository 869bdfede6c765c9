package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDifferentBytesAreNamed(t *testing.T) {
	one := write(t, t.TempDir(), map[string]string{"linux-amd64/pointage": "a", "linux-amd64/verify": "b", "x.deb": "c"})
	if err := same(one, write(t, t.TempDir(), map[string]string{"linux-amd64/pointage": "a", "linux-amd64/verify": "b", "x.deb": "c"})); err != nil {
		t.Error(err)
	}
	for _, other := range []map[string]string{
		{"linux-amd64/pointage": "a", "linux-amd64/verify": "B", "x.deb": "c"},
		{"linux-amd64/pointage": "a", "x.deb": "c"},
		{"linux-amd64/pointage": "a", "linux-amd64/verify": "b", "linux-amd64/more": "", "x.deb": "c"},
	} {
		err := same(one, write(t, t.TempDir(), other))
		if err == nil || !strings.Contains(err.Error(), "not reproducible: linux-amd64/") || strings.Contains(err.Error(), "x.deb") {
			t.Errorf("%v: %v", other, err)
		}
	}
}

func TestACommitAndItsArchiveAreTheSameSources(t *testing.T) {
	files := map[string]string{"go.mod": "module pointage\n\ngo 1.26.0\n", "a/a.go": "package a\n", ".ci/run": "#!/bin/sh\n"}
	repo := write(t, t.TempDir(), files)
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-q", "-m", "a"}} {
		if out, err := exec.Command("git", append([]string{"-C", repo}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	write(t, repo, map[string]string{"a/a.go": "package a // changed since\n", "a/new.go": "package a\n"})
	commit, err := takeSources(t.Context(), repo, filepath.Join(t.TempDir(), "commit"))
	if err != nil || !strings.HasPrefix(commit.from, "commit ") {
		t.Fatal(commit, err)
	}
	archive, err := takeSources(t.Context(), write(t, t.TempDir(), files), filepath.Join(t.TempDir(), "archive"))
	if err != nil || archive.hash != commit.hash || !strings.HasPrefix(archive.hash, "h1:") {
		t.Errorf("the archive is %v, the commit %v, %v", archive, commit, err)
	}
	changed, err := takeSources(t.Context(), write(t, t.TempDir(), map[string]string{"go.mod": files["go.mod"], "a/a.go": "package a // other\n", ".ci/run": files[".ci/run"]}), filepath.Join(t.TempDir(), "changed"))
	if err != nil || changed.hash == commit.hash {
		t.Errorf("changed sources have the same hash %s, %v", changed.hash, err)
	}
}

func TestWrongWordsAndForeignDirectoriesGetOneLine(t *testing.T) {
	foreign := write(t, t.TempDir(), map[string]string{"letter": "dear"})
	for want, args := range map[string][]string{
		"--out is needed":              {},
		"unexpected word":              {"--out", "x", "linux/amd64"},
		"these are built: linux/amd64": {"--out", "x", "--targets", "plan9/386"},
		"--deb needs a Linux target":   {"--out", "x", "--targets", "windows/amd64", "--deb"},
		"not defined":                  {"--out", "x", "--fast"},
		"is no release":                {"--out", foreign},
		"run it in the repository":     {"--out", filepath.Join(t.TempDir(), "new")}, // a test runs in its package's directory
	} {
		var out, errs bytes.Buffer
		if code := answer(args, &out, &errs); code != exitUsage || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit %d, %q; want one line with %q", args, code, errs.String(), want)
		}
	}
	if b, err := os.ReadFile(filepath.Join(foreign, "letter")); err != nil || string(b) != "dear" {
		t.Errorf("what lay in the foreign directory: %q, %v", b, err)
	}
	var out, errs bytes.Buffer
	if code := answer([]string{"--help"}, &out, &errs); code != exitDone || !strings.Contains(out.String(), "Example:") {
		t.Errorf("--help: exit %d, %s", code, out.String())
	}
	t.Setenv("PATH", t.TempDir())
	repo := write(t, t.TempDir(), map[string]string{"go.mod": "module pointage\n", ".git/HEAD": "x"})
	if _, err := takeSources(t.Context(), repo, filepath.Join(t.TempDir(), "new")); err == nil || !strings.Contains(err.Error(), "git is missing") {
		t.Errorf("without git: %v", err)
	}
	if err := (builder{say: &out}).all(t.Context(), repo, t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "go is missing") {
		t.Errorf("without go: %v", err)
	}
}
