package platform

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrInUse means that another platform, in this process or another one, has the
// directory open.
var ErrInUse = errors.New("another platform has this directory open: stop it first")

const (
	versionFile   = "adele-version"
	versionText   = "pointage adele 1\n"
	versionPrefix = "pointage adele "
	databaseDir   = "db"
)

// Keys of the database. A log is named by the SHA-256 of its origin, numbers are
// big-endian, so that records read back in the order in which they were shown.
//
//	m                        vkey of the witness that owns the directory
//	s <log>                  logState
//	c <log> <sequence>       Record signed by the log
//	t <log> <text's SHA-256> one byte: the weightiest verdict kept of this text
//	i <log> <size>           root that was cosigned at this size
//	u <sequence>             Record that no known log has signed
var metaKey = []byte("m")

// weight orders what can be said of one text. The same text is written down again only
// when it has become weightier; a cosigned one is evidence of nothing.
func weight(v Verdict) byte {
	switch v {
	case Cosigned:
		return 4
	case Fork:
		return 3
	case Inconsistent:
		return 2
	default:
		return 1
	}
}

func logKey(kind byte, origin string, rest ...byte) []byte {
	id := sha256.Sum256([]byte(origin))
	return append(append([]byte{kind}, id[:]...), rest...)
}

func numberedKey(kind byte, origin string, n uint64) []byte {
	return logKey(kind, origin, binary.BigEndian.AppendUint64(nil, n)...)
}

func textKey(origin, text string) []byte {
	id := sha256.Sum256([]byte(text))
	return logKey('t', origin, id[:]...)
}

func unsignedKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'u'}, n) }

// A logState is what a witness must never forget of one log. It changes in the same
// batch as the record that changes it: a crash leaves both or neither.
type logState struct {
	Known    bool      `json:"known"` // a checkpoint was cosigned
	Size     int64     `json:"size"`
	Root     tlog.Hash `json:"root"`
	Time     int64     `json:"time"`     // of the last cosignature, Unix seconds
	Note     []byte    `json:"note"`     // the last cosigned checkpoint, with its cosignature
	Next     uint64    `json:"next"`     // sequence of the next record
	Cosigned int       `json:"cosigned"` // records
	Refused  int       `json:"refused"`  // records
	Forks    int       `json:"forks"`    // records among the refused ones
}

// storage owns the directory: its version, its lock and the database.
type storage struct {
	db   *pebble.DB
	lock *pebble.Lock
}

// openStorage opens dir for the witness that vkey names, or makes it. The version file
// is written last: a directory without it holds no state worth keeping, one with it is
// never silently begun anew.
func openStorage(files vfs.FS, dir, vkey string, log *slog.Logger) (*storage, error) {
	begun, err := checkDir(files, dir)
	if err != nil {
		return nil, err
	}
	path := files.PathJoin(dir, databaseDir)
	if err := files.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	lock, err := pebble.LockDirectory(path, files)
	if err != nil {
		var inPath *fs.PathError
		if errors.As(err, &inPath) {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, ErrInUse)
	}
	s := &storage{lock: lock}
	if err := s.open(files, path, vkey, begun, log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if !begun {
		if err := writeVersion(files, dir); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *storage) open(files vfs.FS, path, vkey string, begun bool, log *slog.Logger) error {
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref()
	db, err := pebble.Open(path, &pebble.Options{
		FS:                 files,
		Lock:               s.lock,
		Cache:              cache,
		MemTableSize:       memTableSize,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		ErrorIfNotExists:   begun,
		Logger:             pebbleLogger{log},
	})
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.db = db
	owner, err := s.get(metaKey)
	if err != nil {
		return err
	}
	if owner == nil {
		if begun {
			return errors.New("the database has lost its owner's key: restore the directory from a copy")
		}
		if err := db.Set(metaKey, []byte(vkey), pebble.Sync); err != nil {
			return fmt.Errorf("write owner: %w", err)
		}
		return nil
	}
	if string(owner) != vkey {
		return fmt.Errorf("the directory belongs to the witness %s: start it with that one's key", owner)
	}
	return nil
}

func (s *storage) close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, s.lock.Close())
}

// checkDir makes dir if it is missing and says whether a platform was begun in it.
func checkDir(files vfs.FS, dir string) (begun bool, err error) {
	if err := files.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make %s: %w", dir, err)
	}
	names, err := files.List(dir)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", dir, err)
	}
	for _, name := range names {
		if name == versionFile {
			return true, checkVersion(files, dir)
		}
	}
	for _, name := range names {
		// Both are what an initialisation that was cut short leaves behind.
		if name != databaseDir && name != versionFile+".new" {
			return false, fmt.Errorf("%s is not a platform's directory (it holds %s): name an empty one", dir, name)
		}
	}
	return false, nil
}

func checkVersion(files vfs.FS, dir string) error {
	f, err := files.Open(files.PathJoin(dir, versionFile))
	if err != nil {
		return fmt.Errorf("read version of %s: %w", dir, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return fmt.Errorf("read version of %s: %w", dir, err)
	}
	if string(text) == versionText {
		return nil
	}
	if version, ok := strings.CutPrefix(string(text), versionPrefix); ok {
		return fmt.Errorf("%s was written by storage version %s, this program knows version 1: use the newer program", dir, strings.TrimSpace(version))
	}
	return fmt.Errorf("%s holds a damaged %s: restore the directory from a copy", dir, versionFile)
}

func writeVersion(files vfs.FS, dir string) error {
	path := files.PathJoin(dir, versionFile)
	if err := writeSynced(files, path+".new", versionText); err != nil {
		return fmt.Errorf("write version: %w", err)
	}
	if err := files.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write version: %w", err)
	}
	// Without this the database could outlive a power cut that the version does not,
	// and the next start would take the directory for a new one.
	for _, d := range []string{dir, files.PathDir(dir)} {
		if err := syncDir(files, d); err != nil {
			return fmt.Errorf("write version: %w", err)
		}
	}
	return nil
}

func writeSynced(files vfs.FS, path, text string) error {
	f, err := files.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// get returns nil for a key that is not there.
func (s *storage) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read database: %w", err)
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// set writes one value, synced.
func (s *storage) set(key, value []byte) error {
	if err := s.db.Set(key, value, pebble.Sync); err != nil {
		return fmt.Errorf("write database: %w", err)
	}
	return nil
}

// scan gives f every key with the prefix, in order, and its value; neither is to be kept.
func (s *storage) scan(prefix []byte, f func(key, value []byte) error) error {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("read database: %w", err)
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := f(iter.Key(), iter.Value()); err != nil {
			return errors.Join(err, iter.Close())
		}
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		return fmt.Errorf("read database: %w", err)
	}
	return nil
}

// prefixEnd is the first key after all that have the prefix, none of which is all 0xff.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte{}, prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	panic(fmt.Sprintf("prefix %x has no end", prefix))
}

func (s *storage) loadState(origin string) (logState, error) {
	var state logState
	raw, err := s.get(logKey('s', origin))
	if err != nil || raw == nil {
		return state, err
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return state, fmt.Errorf("read state of %s: %w", origin, err)
	}
	return state, nil
}

// records returns up to limit records between two keys, lower inclusive.
func (s *storage) records(lower, upper []byte, limit int) ([]Record, error) {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	records := []Record{}
	for ok := iter.First(); ok && len(records) < limit; ok = iter.Next() {
		var r Record
		if err := json.Unmarshal(iter.Value(), &r); err != nil {
			return nil, errors.Join(fmt.Errorf("read record: %w", err), iter.Close())
		}
		records = append(records, r)
	}
	if err := iter.Close(); err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	return records, nil
}

// nextUnsigned is one more than the sequence of the last unsigned record.
func (s *storage) nextUnsigned() (uint64, error) {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{'u'}, UpperBound: []byte{'u' + 1}})
	if err != nil {
		return 0, fmt.Errorf("read records: %w", err)
	}
	var next uint64
	if iter.Last() {
		next = binary.BigEndian.Uint64(iter.Key()[1:]) + 1
	}
	if err := iter.Close(); err != nil {
		return 0, fmt.Errorf("read records: %w", err)
	}
	return next, nil
}

// realDir makes dir and names it in one way: within a process the lock is known by its
// path.
func realDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("name directory: %w", err)
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("name directory: %w", err)
	}
	return path, nil
}

// pebbleLogger passes on what needs a person.
type pebbleLogger struct{ log *slog.Logger }

func (pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("database", "err", fmt.Sprintf(format, args...))
}

// Fatalf is how Pebble says that a write may be lost (full or failing disk). It must not
// return, and a witness that can't remember must not sign: the process ends here, what
// was answered is on disk.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.log.Error("database stopped: free or replace the disk and start again", "err", fmt.Sprintf(format, args...))
	os.Exit(1)
}
