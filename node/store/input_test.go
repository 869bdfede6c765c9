package store

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// otherDay is another election of the same commune and roll as a script's.
func otherDay(tb testing.TB) *ledgertest.Day {
	return ledgertest.NewDay(tb, scriptBureaux, scriptElectors, func(m *election.Manifest) { m.BarrierMillis++ })
}

// badDirectory makes a directory that is refused, and is what its refusal says.
type badDirectory struct {
	make func(*testing.T, string)
	says string
}

// badDirectories are named for what they are.
func badDirectories(sc *script) map[string]badDirectory {
	edited := func(change func(*pebble.DB) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			founded(t, sc, dir)
			edit(t, dir, change)
		}
	}
	set := func(key, value []byte) func(*testing.T, string) {
		return edited(func(db *pebble.DB) error { return db.Set(key, value, pebble.Sync) })
	}
	without := func(from, to []byte) func(*testing.T, string) {
		return edited(func(db *pebble.DB) error { return db.DeleteRange(from, to, pebble.Sync) })
	}
	return map[string]badDirectory{
		"a file in its place":    {letter(""), "is a file"},
		"a file in the database": {letter("db"), "move its directory away"},
		"another election": {func(t *testing.T, dir string) {
			s, err := Open(dir, otherDay(t).Group, Options{})
			if err != nil || s.Close() != nil {
				t.Fatal(err)
			}
		}, "another election or commune: use another directory"},
		"a newer version":  {set(metaKey(metaFormat), binary.BigEndian.AppendUint64(nil, format+1)), "format 2, this program knows 1: use the program that wrote it"},
		"a newer database": {func(t *testing.T, dir string) { founded(t, sc, dir); newer(t, dir) }, "use the program that wrote it"},
		"another database": {func(t *testing.T, dir string) {
			edit(t, dir, func(db *pebble.DB) error { return db.Set([]byte("k"), nil, pebble.Sync) })
		}, "no ledger"},
		"a damaged format": {set(metaKey(metaFormat), []byte("1")), "damaged"},
		"a damaged index":  {set(metaKey(metaIndex), []byte("1")), "damaged"},
		"no index":         {without(metaKey(metaIndex), after(metaKey(metaIndex))), "damaged"},
		"a lost step":      {without(stepKey(1), stepKey(2)), "a part of it is lost"},
		"no steps":         {without([]byte{keyStep}, []byte{keyStep + 1}), "a part of it is lost"},
		"a lost hash":      {without([]byte{keyHash}, []byte{keyHash + 1}), "move its directory away"},
	}
}

// letter makes a file that is none of ours.
func letter(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("a letter"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectoryThatIsNoLedgerOfThisGroupIsRefusedInOneLine(t *testing.T) {
	sc := newScript(t, 50, 30)
	for name, c := range badDirectories(sc) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			c.make(t, dir)
			for range 2 { // refusing changes nothing
				s, err := Open(dir, sc.Group, Options{})
				if err == nil {
					s.Close()
					t.Fatal("it opens")
				}
				if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("want one line with %q: %v", c.says, err)
				}
			}
		})
	}
}

// founded makes a ledger of three steps at least.
func founded(t *testing.T, sc *script, dir string) {
	t.Helper()
	s, err := Open(dir, sc.Group, Options{})
	if err != nil {
		t.Fatal(err)
	}
	apply(s, sc.log, upToTen, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func upToTen() int { return 10 }

func edit(t *testing.T, dir string, f func(*pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: pebbleLog{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f(db); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// newer renames Pebble's marker of its format to that of a later one.
func newer(t *testing.T, dir string) {
	t.Helper()
	was, err := filepath.Glob(filepath.Join(dir, "db", "marker.format-version.*"))
	if err != nil || len(was) != 1 {
		t.Fatalf("markers %v, %v", was, err)
	}
	name := filepath.Base(was[0])
	parts := strings.Split(name, ".")
	parts[len(parts)-1] = "999"
	if err := os.Rename(was[0], filepath.Join(filepath.Dir(was[0]), strings.Join(parts, "."))); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerInUseIsRefusedUntilItIsClosed(t *testing.T) {
	sc := newScript(t, 51, 20)
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			one, err := Open(dir, sc.Group, Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, sc.Group, Options{FS: fs}); err == nil || !strings.HasSuffix(err.Error(), string(errInUse)) {
				t.Fatalf("opened twice: %v", err)
			}
			apply(one, sc.log, all, nil)
			if err := one.Close(); err != nil {
				t.Fatal(err)
			}
			two, err := Open(dir, sc.Group, Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			defer two.Close()
			sc.agrees(t, two)
		})
	}
}
