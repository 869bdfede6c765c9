package preparation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
)

// A working directory <INS>/ holds a commune's preparation between two acts:
//
//	lock          held by the program at work
//	state.json    what is settled, and which list and how much of the record count
//	list-<n>.csv  the list of version n
//	record        who did what, when and why, and what was refused, in a signed hash chain
//	record.key    the key that signs it
//
// An act writes list-<n+1>.csv, then the record's new lines, then state.json by a
// rename, which is the moment when it is done. A crash before leaves the old
// version whole; what it had written beyond is overwritten by the next act.
const (
	lockFile   = "lock"
	stateFile  = "state.json"
	recordFile = "record"
	// workingFormat is the version of this layout.
	workingFormat = 2
	// maxState bounds state.json, in bytes.
	maxState = 4 << 20
)

// Settled is what the acts on a commune have settled beside its list.
type Settled struct {
	Live    bool            `json:"live"`
	Method  ledger.Modulo97 `json:"modulo97,omitempty"`
	Bureaux int             `json:"bureaux,omitempty"` // 0 before the division
	// Bounds of a bureau's electors, 0 for none.
	Smallest int `json:"smallest,omitempty"`
	Largest  int `json:"largest,omitempty"`
	// Principal and Deputy lead; Seconds are the bureaux of the second persons of
	// amendments; none: one person of no bureau.
	Principal ledger.BureauNumber            `json:"principal,omitempty"`
	Deputy    ledger.BureauNumber            `json:"deputy,omitempty"`
	Seconds   []ledger.BureauNumber          `json:"seconds,omitempty"`
	Places    map[ledger.BureauNumber]string `json:"places,omitempty"`
	// Retired are the serials of electors who were struck off: their letters may
	// be on the way, so nobody else gets them.
	Retired []uint32 `json:"retired,omitempty"`
	// LastMember is the largest number that a member was given.
	LastMember uint16 `json:"last_member,omitempty"`
	// Sources are the files that acts were done from, so that the same one again
	// changes nothing.
	Sources []Source `json:"sources,omitempty"`
}

// Source is a file that an act was done from.
type Source struct {
	Act    string `json:"act"`
	SHA256 Digest `json:"sha256"`
}

type state struct {
	Format  int            `json:"format"`
	Version uint64         `json:"version"`
	Commune ledger.Commune `json:"commune"`
	List    Digest         `json:"list"`
	People  int            `json:"electors"`
	Record  record         `json:"record"`
	Settled
}

// Working is a commune's working state, locked until Close.
type Working struct {
	dir   string
	lock  *os.File
	state state
	fresh bool // nothing is committed yet
	// List is the working list; acts change it and Commit keeps it.
	List *List
	Settled
}

var (
	errBusy  = errors.New("another run is at work there: wait until it has ended")
	errNoSet = errors.New("no list was imported there yet: begin with import")
)

// WorkingDir is a commune's directory under that of all of them.
func WorkingDir(dir string, ins ledger.Commune) string {
	return filepath.Join(dir, strconv.Itoa(int(ins)))
}

// NewWorking begins a commune's working state in dir/<INS>, which it locks. There
// must be none yet; nothing is written but the lock until Commit.
func NewWorking(dir string, list *List, live bool) (*Working, error) {
	w := &Working{dir: WorkingDir(dir, list.Commune.INS), fresh: true, List: list}
	w.Live, w.Method = live, list.Method
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin working list: %w: %w", errTaken, err)
	}
	if err := w.hold(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(w.dir, stateFile)); err == nil {
		return nil, errors.Join(fmt.Errorf("%s holds a list already: change it with update, or %w", w.dir, errTaken), w.Close())
	}
	w.state = state{Format: workingFormat, Commune: list.Commune.INS, Record: newRecord(filepath.Join(w.dir, recordFile), fmt.Sprintf("preparation/%d", list.Commune.INS))}
	return w, nil
}

// OpenWorking opens and locks a commune's working state and checks that list and
// record are those that the last act has left.
func OpenWorking(ctx context.Context, dir string, ins ledger.Commune) (*Working, error) {
	w, err := openState(dir, ins)
	if err != nil {
		return nil, err
	}
	err = w.load(ctx)
	if err == nil {
		err = w.state.Record.traces(nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open working list: %w", err), w.Close())
	}
	return w, nil
}

// openState opens and locks without the list.
func openState(dir string, ins ledger.Commune) (*Working, error) {
	w := &Working{dir: WorkingDir(dir, ins)}
	if _, err := os.Lstat(filepath.Join(w.dir, stateFile)); errors.Is(err, os.ErrNotExist) {
		return nil, wrongUse("%s: %w", w.dir, errNoSet)
	}
	if err := w.hold(); err != nil {
		return nil, err
	}
	b, err := readBounded(filepath.Join(w.dir, stateFile), maxState)
	if err == nil {
		err = json.Unmarshal(b, &w.state)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("open working list: %s: %w", filepath.Join(w.dir, stateFile), err)
	case w.state.Format != workingFormat || w.state.Commune != ins:
		err = fmt.Errorf("open working list: %s is of format %d and commune %d, this program reads format %d, and %d is asked for",
			w.dir, w.state.Format, w.state.Commune, workingFormat, ins)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.state.Record.path = filepath.Join(w.dir, recordFile)
	if err := w.state.Record.readKey(w.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open working list: %w", err), w.Close())
	}
	w.Settled = w.state.Settled
	return w, nil
}

func (w *Working) hold() error {
	f, err := os.OpenFile(filepath.Join(w.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock working list: %w", err)
	}
	if err := holdLock(f); err != nil {
		f.Close()
		return wrongUse("%s: %w", w.dir, errBusy)
	}
	w.lock = f
	return nil
}

func (w *Working) load(ctx context.Context) error {
	name := w.listFile(w.state.Version)
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	digest := sha256.New()
	list, bad, err := Import(ctx, io.TeeReader(f, digest), Rules{Commune: w.state.Commune, Live: w.Live, Method: w.Method, working: true})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case Digest(digest.Sum(nil)) != w.state.List, len(bad) > 0:
		return fmt.Errorf("%s was changed outside this program: bring back a copy", name)
	}
	w.List = list
	w.List.Bureaux = max(list.Bureaux, w.Bureaux)
	return nil
}

func (w *Working) listFile(version uint64) string {
	return filepath.Join(w.dir, fmt.Sprintf("list-%d.csv", version))
}

// Version counts the acts on the commune.
func (w *Working) Version() uint64 { return w.state.Version }

// Done says whether an act was already done from this very file.
func (w *Working) Done(s Source) bool { return slices.Contains(w.Sources, s) }

// Commit keeps list, settings and the act's traces: all or nothing.
func (w *Working) Commit(traces []Trace) error {
	next := w.state
	next.Version++
	next.Settled = w.Settled
	next.People = len(w.List.People)
	digest := sha256.New()
	name := w.listFile(next.Version)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keep working list: %w", err)
	}
	err := writeFile(name, func(out io.Writer) error { return w.List.write(io.MultiWriter(out, digest), true) })
	if err != nil {
		return fmt.Errorf("keep working list: %w", err)
	}
	digest.Sum(next.List[:0])
	if w.fresh {
		if err := next.Record.writeKey(w.dir); err != nil {
			return fmt.Errorf("keep working list: %w", err)
		}
	}
	if err := next.Record.append(traces); err != nil {
		return fmt.Errorf("keep working list: %w", err)
	}
	if err := next.keep(w.dir); err != nil {
		return fmt.Errorf("keep working list: %w", err)
	}
	old := w.listFile(w.state.Version)
	w.state, w.fresh = next, false
	if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the list before: %w", err)
	}
	return nil
}

// actRefused is the act of a record's line on what was refused; the details name which it was.
const actRefused = "refused"

// refuse adds a line to the record and changes nothing else, not even the version; what a refused act has
// changed in memory is not kept.
func (w *Working) refuse(t Trace) error {
	next := w.state
	if err := next.Record.append([]Trace{t}); err != nil {
		return fmt.Errorf("record a refusal: %w", err)
	}
	if err := next.keep(w.dir); err != nil {
		return fmt.Errorf("record a refusal: %w", err)
	}
	w.state = next
	return nil
}

// keep puts the state in the place of the one before.
func (s *state) keep(dir string) error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, stateFile), append(text, '\n'))
}

// Traces hands on the record's lines, the oldest first.
func (w *Working) Traces(each func(*Trace) error) error { return w.state.Record.traces(each) }

// Close lets go of the directory; one in which nothing was kept disappears.
func (w *Working) Close() error {
	if w.lock == nil {
		return nil
	}
	if w.fresh {
		if _, err := os.Lstat(filepath.Join(w.dir, stateFile)); errors.Is(err, os.ErrNotExist) {
			// What Commit had half written; the directory only when nothing else is in it.
			for _, name := range []string{w.listFile(1), filepath.Join(w.dir, recordFile), filepath.Join(w.dir, recordKeyFile), filepath.Join(w.dir, lockFile), w.dir} {
				os.Remove(name)
			}
		}
	}
	err := w.lock.Close()
	w.lock = nil
	return err
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes: it is another file", name, limit)
	}
	return b, err
}

// replaceFile puts a file in the place of one: the old or the new is there, whole.
func replaceFile(name string, text []byte) error {
	next := name + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := writeFile(next, func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(text)); return err }); err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// phrase checks what a person gives as a name or a reason.
func phrase(flag, text string) error {
	if text == "" || len(text) > MaxPhrase || singleSpaced(text) != text || !printable(text) {
		return wrongUse("--%s: give a line of 1 to %d bytes", flag, MaxPhrase)
	}
	return nil
}

// instant is a time as the record keeps it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// printable says that a text can stand on one line of a letter or a screen.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}
