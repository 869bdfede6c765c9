package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

func TestPrincipalBureausBackupIsKeptAndRestored(t *testing.T) {
	t.Parallel()
	safe := t.TempDir()
	c := newCommune(t, func(cfg *Config) {
		if cfg.Bureau == 1 {
			cfg.Backup, cfg.BackupEvery = safe, Duration(50*time.Millisecond)
		}
	})
	c.witness.start()
	c.opened(1, 2, 3)
	principal := c.bureaux[1]
	principal.admits(c.home(1, 0))
	principal.replicates(c.home(1, 0))
	c.until("both backups are there and verify", func() bool {
		for _, name := range BackupDirs {
			if _, err := os.Stat(filepath.Join(safe, name, ledger.CheckpointFile)); err != nil {
				return false
			}
		}
		return true
	})
	c.until("a backup has the admission", func() bool {
		kept := filepath.Join(safe, "kept")
		err := errors.Join(os.RemoveAll(kept), principal.node.Export(kept))
		return err == nil && c.verify(kept).Admitted == 1
	})
	kept := filepath.Join(safe, "kept")
	var input InputError
	if _, err := RestoreBackup(t.Context(), principal.config(), kept); err == nil {
		t.Error("a running bureau's ledger was replaced")
	}
	principal.stop()
	if _, err := RestoreBackup(t.Context(), principal.config(), kept); !errors.As(err, &input) {
		t.Errorf("over a ledger: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(principal.dir, "data")); err != nil {
		t.Fatal(err)
	}

	// A backup that was tampered with leaves nothing.
	file := filepath.Join(kept, "tile", "entries", "000.p")
	bundles, err := os.ReadDir(file)
	if err != nil || len(bundles) != 1 {
		t.Fatal(bundles, err)
	}
	file = filepath.Join(file, bundles[0].Name())
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	if err := os.WriteFile(file, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreBackup(t.Context(), principal.config(), kept); !errors.As(err, &input) {
		t.Errorf("a changed byte: %v", err)
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	// What was cut short where the anchors go is done again.
	inTheWay := filepath.Join(principal.dir, "data", "anchors")
	if err := errors.Join(os.MkdirAll(filepath.Dir(inTheWay), 0o700), os.WriteFile(inTheWay, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	entries, err := RestoreBackup(t.Context(), principal.config(), kept)
	if err != nil {
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		entries, err = RestoreBackup(t.Context(), principal.config(), kept)
	}
	if err != nil || entries < 4 {
		t.Fatal(entries, err)
	}
	c.bureaux[2].admits(c.home(2, 0)) // while it was away
	principal.start()
	c.linked(1, 2, 3)
	if a := principal.checkIn(c.home(2, 0)); a.Admitted {
		t.Error("whom another bureau admitted meanwhile is admitted")
	}
	if got := principal.node.Status().AnchoredSize; got == 0 {
		t.Error("the anchors were not restored")
	}
	size := principal.node.Head().Size
	c.until("the whole is anchored", func() bool { return principal.node.Status().AnchoredSize >= size })
	dir := filepath.Join(t.TempDir(), "export")
	if err := principal.node.Export(dir); err != nil {
		t.Fatal(err)
	}
	if r := c.verify(dir); r.Admitted != 2 {
		t.Errorf("%d admitted", r.Admitted)
	}
}

func TestABackupDiskThatIsGoneIsToldAndNotMadeUp(t *testing.T) {
	t.Parallel()
	disk := filepath.Join(t.TempDir(), "disk")
	c := newCommune(t, func(cfg *Config) {
		if cfg.Bureau == 1 {
			cfg.Backup, cfg.BackupEvery = disk, Duration(50*time.Millisecond)
		}
	})
	c.witness.start()
	c.opened(1, 2)
	principal := c.bureaux[1]
	c.until("it is anchored", func() bool { return principal.node.Status().AnchoredSize > 0 })
	c.until("people are told", func() bool { return strings.Contains(principal.log.String(), "no backup was written") })
	if _, err := os.Stat(disk); err == nil {
		t.Error("the backups lie on the disk that they are to survive")
	}
	if err := os.MkdirAll(filepath.Join(disk, "backup-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.until("the disk is back, and used", func() bool {
		_, err := os.Stat(filepath.Join(disk, BackupDirs[0], ledger.CheckpointFile))
		return err == nil
	})
}
