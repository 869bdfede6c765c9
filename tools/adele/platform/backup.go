package platform

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// backupMark is the file by which a directory is known as a backup.
const backupMark = "adele-backup"

// restoredMark is the same file in a directory that was restored and not opened since, and
// actRestored what the access log says of it.
const (
	restoredMark = "adele-restored"
	actRestored  = "restored"
)

// makeBackup is POST /backups: a copy beside the others in the directory of backups.
func (rg *Region) makeBackup(c *call) (*outcome, error) {
	if rg.backups == "" {
		return refuse(http.StatusConflict, "no directory", "the platform was started without a directory for backups"), nil
	}
	c.lock()
	dir := filepath.Join(rg.backups, rg.now().UTC().Format("20060102-150405"))
	if err := rg.backup(dir, c.who.actor(), c.who.role); err != nil {
		if errors.Is(err, errBackupThere) || errors.Is(err, ErrDestroyed) {
			return refuse(http.StatusConflict, "backup", err.Error()), nil
		}
		return nil, err
	}
	out := answerJSON(http.StatusCreated, map[string]string{"backup": dir})
	out.quiet = true // logged before it was made
	return out, nil
}

// Backup copies the platform into a new directory, while it serves or not. The copy holds the keys
// of the personal data: it is to be guarded as the platform itself, and is destroyed with it. The
// witness's secret key is not in it.
func (rg *Region) Backup(dir string) error {
	rg.acts.Lock()
	defer rg.acts.Unlock()
	return rg.backup(dir, "platform", "")
}

var errBackupThere = errors.New("there is something at that place: name a new directory")

// backup remembers the copy before it makes it: a copy that nobody remembers would escape
// destruction.
func (rg *Region) backup(dir, actor string, role Role) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, errBackupThere)
	}
	done, err := rg.readDestruction()
	if err != nil {
		return err
	}
	if done != nil {
		return ErrDestroyed
	}
	kept := 0
	if err := rg.st.scan([]byte{regionPrefix, 'b'}, func(_, _ []byte) error { kept++; return nil }); err != nil {
		return err
	}
	if kept >= MaxBackups {
		return fmt.Errorf("back up: %d backups are remembered, no more: destroy old ones", kept)
	}
	b := rg.st.db.NewBatch()
	defer b.Close()
	if err := b.Set(binary.BigEndian.AppendUint64([]byte{regionPrefix, 'b'}, uint64(kept)), []byte(path), nil); err != nil {
		return err
	}
	e := LogEntry{At: rg.now(), Actor: actor, Role: role, Act: string(BackupMake), Outcome: outcomeDone, Count: kept + 1}
	if _, err := rg.log.commit(b, e); err != nil {
		return err
	}
	if err := rg.copyTo(path); err != nil {
		_, gone := shredAll(path)
		return errors.Join(fmt.Errorf("back up: %w", err), gone)
	}
	return nil
}

// copyTo copies every byte: Pebble's own copy shares files with the database, and to overwrite
// one would overwrite the other.
func (rg *Region) copyTo(path string) error {
	shared := filepath.Join(rg.dir, "checkpoint.tmp")
	if err := os.RemoveAll(shared); err != nil {
		return err
	}
	defer os.RemoveAll(shared)
	if err := rg.st.db.Checkpoint(shared, pebble.WithFlushedWAL()); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	mark := fmt.Sprintf("%s of %s\nmade %s\n", rg.manifest.Election, rg.server.VKey(), rg.now().UTC().Format(time.RFC3339))
	// The mark comes first: what is cut short is known as a backup too, but has no version file.
	if err := writeFileSynced(filepath.Join(path, backupMark), []byte(mark), 0o600); err != nil {
		return err
	}
	if err := copyTree(shared, filepath.Join(path, databaseDir)); err != nil {
		return err
	}
	if err := copyTree(rg.vault.dir, filepath.Join(path, keysDir)); err != nil {
		return err
	}
	for _, name := range []string{"log.key", tlsFile, versionFile} {
		if err := copyFile(filepath.Join(rg.dir, name), filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return syncPath(path)
}

func copyTree(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue // Pebble and the keys have none
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return syncPath(to)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// Restore copies a backup into dir, which must be empty or missing. The next Open goes on from
// where the backup was made; see Server.Learn for what was cosigned since.
func Restore(backup, dir string) error {
	for _, name := range []string{backupMark, versionFile} {
		if _, err := os.Stat(filepath.Join(backup, name)); err != nil {
			return fmt.Errorf("%s is no whole backup of a platform: %s is missing", backup, name)
		}
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty: move what is there away; it may know more than the backup", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	err := copyTree(filepath.Join(backup, databaseDir), filepath.Join(dir, databaseDir))
	if err == nil {
		err = copyTree(filepath.Join(backup, keysDir), filepath.Join(dir, keysDir))
	}
	for _, name := range []string{"log.key", tlsFile, versionFile} {
		if err == nil {
			err = copyFile(filepath.Join(backup, name), filepath.Join(dir, name))
		}
	}
	if err == nil {
		err = copyFile(filepath.Join(backup, backupMark), filepath.Join(dir, restoredMark))
	}
	if err == nil {
		err = syncPath(dir)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// noteRestored has the access log say that it goes on from a copy: entries of after the copy are
// lost, and whoever holds a later checkpoint of the log sees why. A crash before the mark is gone
// says it twice.
func (rg *Region) noteRestored() error {
	path := filepath.Join(rg.dir, restoredMark)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	b := rg.st.db.NewBatch()
	defer b.Close()
	e := LogEntry{At: rg.now(), Actor: "platform", Act: actRestored, Outcome: outcomeDone, Why: "from a copy"}
	if _, err := rg.log.commit(b, e); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), syncPath(rg.dir))
}
