// Package thirdparty shows exports to programs of others, which were written against the same
// C2SP documents and know nothing of this project. It is a module of its own: what those
// programs need never enters the product's.
package thirdparty

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// fsck builds tessera's checker at the version of go.mod, from the module cache.
func fsck(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fsck")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput(); err != nil {
		t.Fatalf("build fsck: %v\n%s", err, out)
	}
	return path
}

// check runs fsck on an export; it says on standard error what it found, and exits 0 whatever
// that was, so the words decide.
func check(t *testing.T, program string, files map[string][]byte) (output string, accepted bool) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	// With one worker it waits for ever once that worker has met a wrong tile.
	out, err := exec.CommandContext(ctx, program, "--ui=false", "--logtostderr", "--N=8", "--storage_url=file://"+dir+"/",
		"--public_key="+filepath.Join(dir, ledger.LogVKeyFile)).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("fsck did not end: %v\n%s", err, out)
	}
	return string(out), err == nil && strings.Contains(string(out), "Successfully fsck'd log") && !strings.Contains(string(out), "fsck failed")
}

func exports(t *testing.T) map[string]map[string][]byte {
	small, large := ledgertest.NewDay(t, 3, 12, nil), ledgertest.NewDay(t, 2, 600, nil)
	ledgertest.Full(small)
	c := large.Started(1)
	for i := 0; i < 600; i += 2 {
		c.Put(ledgertest.Admission(i))
	}
	return map[string]map[string][]byte{"partial tiles": small.Export(), "two levels": large.Export()}
}

func TestTesserasFsckAcceptsExports(t *testing.T) {
	program := fsck(t)
	for name, files := range exports(t) {
		if out, ok := check(t, program, files); !ok {
			t.Errorf("%s: refused:\n%s", name, out)
		}
	}
}

func TestTesserasFsckRefusesAnExportWithAChangedByte(t *testing.T) {
	program := fsck(t)
	for _, name := range []string{"tile/0/000", "tile/entries/000", "tile/1/000.p/1", ledger.CheckpointFile} {
		files := exports(t)["two levels"]
		if files[name] == nil {
			t.Fatalf("no file %s", name)
		}
		files[name][len(files[name])/2] ^= 1
		if out, ok := check(t, program, files); ok {
			t.Errorf("%s changed: accepted:\n%s", name, out)
		}
	}
}
