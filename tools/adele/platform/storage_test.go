package platform

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pointage/node/anchor/anchortest"
)

func newOptions(t *testing.T) Options {
	t.Helper()
	skey, _, err := GenerateKey(rand.Reader, "adele.example/witness")
	if err != nil {
		t.Fatal(err)
	}
	log := anchortest.NewLog(t, origin, 0)
	return Options{Key: skey, Logs: []Log{{origin, log.VKey}}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

func openClose(t *testing.T, dir string, options Options) {
	t.Helper()
	s, err := Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	options := newOptions(t)
	dir := filepath.Join(t.TempDir(), "adele")
	s, err := Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, link} {
		if _, err := Open(name, options); !errors.Is(err, ErrInUse) {
			t.Errorf("second platform in %s: %v", name, err)
		}
	}
}

func TestDirectoriesThatAreNotOursAreRefused(t *testing.T) {
	options := newOptions(t)
	other := newOptions(t)
	for name, test := range map[string]struct {
		prepare func(dir string) error
		options Options
		want    string
	}{
		"foreign file": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "photo.jpg"), nil, 0o600)
		}, options, "not a platform's directory"},
		"newer version": {func(dir string) error {
			openClose(t, dir, options)
			return os.WriteFile(filepath.Join(dir, versionFile), []byte("pointage adele 2\n"), 0o600)
		}, options, "newer program"},
		"damaged version": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, versionFile), []byte("x"), 0o600)
		}, options, "damaged"},
		"another witness": {func(dir string) error {
			openClose(t, dir, options)
			return nil
		}, other, "belongs to the witness adele.example/witness"},
		"lost database": {func(dir string) error {
			openClose(t, dir, options)
			return os.RemoveAll(filepath.Join(dir, databaseDir))
		}, options, "does not exist"},
	} {
		dir := t.TempDir()
		if err := test.prepare(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, test.options); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInterruptedInitialisationIsTakenUp(t *testing.T) {
	options := newOptions(t)
	dir := t.TempDir()
	openClose(t, dir, options)
	if err := os.Remove(filepath.Join(dir, versionFile)); err != nil {
		t.Fatal(err)
	}
	openClose(t, dir, options)
	if _, err := os.Stat(filepath.Join(dir, versionFile)); err != nil {
		t.Error(err)
	}
}

func TestKeysReadBack(t *testing.T) {
	skey, vkey, err := GenerateKey(rand.Reader, "adele.example/witness")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VKey(skey + "\n"); err != nil || got != vkey {
		t.Errorf("vkey %q, %v", got, err)
	}
	for _, bad := range []string{"", vkey, skey[:len(skey)-1], strings.Replace(skey, "adele", "adeli", 1), strings.Replace(skey, "+B", "+A", 1)} {
		if _, err := VKey(bad); err == nil {
			t.Errorf("read as a key: %q", bad)
		}
	}
	for _, name := range []string{"", "two words", "plus+", "line\nbreak", strings.Repeat("x", MaxOrigin+1)} {
		if _, _, err := GenerateKey(rand.Reader, name); err == nil {
			t.Errorf("key named %q", name)
		}
	}
}

func TestOneLogKeyStandsForTenEpochs(t *testing.T) {
	dir := t.TempDir()
	log := anchortest.NewLog(t, "rehearsal/21014/epoch-0", 0)
	commune := filepath.Join(dir, "21014")
	if err := os.Mkdir(commune, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	file := write(filepath.Join(commune, "log.vkey"), log.VKey+"\n")
	write(filepath.Join(commune, "origin"), log.Origin+"\n")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	logs, err := ReadLogs(dir, file, link)
	if err != nil || len(logs) != Epochs {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, l := range logs {
		v, err := note.NewVerifier(l.VKey)
		if err != nil || v.Name() != l.Origin {
			t.Errorf("%s: %v", l.Origin, err)
		}
	}
	if logs[0].VKey != log.VKey || logs[9].Origin != "rehearsal/21014/epoch-9" {
		t.Errorf("first and last: %+v %+v", logs[0], logs[9])
	}
	plain := anchortest.NewLog(t, "example/log", 0)
	list := write(filepath.Join(dir, "list"), "# a comment\n\n"+plain.VKey+"\nother/origin "+plain.VKey+"\n")
	if logs, err := ReadLogs(list); err != nil || len(logs) != 2 || logs[1].Origin != "other/origin" {
		t.Errorf("list: %+v %v", logs, err)
	}
	write(filepath.Join(commune, "origin"), "rehearsal/21015/epoch-0\n")
	if _, err := ReadLogs(dir); err == nil || !strings.Contains(err.Error(), "two logs") {
		t.Errorf("origin of another log: %v", err)
	}
}

func TestListsWithoutUseAreRefused(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                  "names no log",
		"a b c\n":           "list:1: want <vkey>",
		"\nnonsense\n":      "list:2: ",
		"x+00000000+AAAA\n": "list:1: ",
	} {
		path := filepath.Join(dir, "list")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLogs(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "missing"), t.TempDir()} {
		if _, err := ReadLogs(path); err == nil {
			t.Errorf("read %s", path)
		}
	}
}
