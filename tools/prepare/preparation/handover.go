package preparation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"pointage/ledger"
	"pointage/node/register"
)

// Names in the directory of all keys: the record of hand-overs, its state (see
// record), and the lock.
const (
	handoversFile      = "handovers"
	handoversStateFile = "handovers.json"
	handoverAct        = "hand over"
)

// HandOver is one key given to a person against a receipt (decree, article 7 §1).
type HandOver struct {
	Key    string // its number, as on the receipt
	Digest string // at least the first sixteen digits of the receipt's
	From   string
	To     string
	At     time.Time
}

// HandOvers is the record of a directory of keys, locked until Close.
type HandOvers struct {
	dir    string
	lock   *os.File
	record record
	given  map[string]*Trace
}

// OpenHandOvers opens and locks the record of hand-overs in a directory of keys.
func OpenHandOvers(dir string) (*HandOvers, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, wrongUse("%s is no directory of keys: give the one that prepare keys has written", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open hand-overs: %w", err)
	}
	if err := holdLock(f); err != nil {
		f.Close()
		return nil, wrongUse("%s: %w", dir, errBusy)
	}
	h := &HandOvers{dir: dir, lock: f, given: map[string]*Trace{}}
	text, err := readBounded(filepath.Join(dir, handoversStateFile), maxState)
	if err == nil {
		err = json.Unmarshal(text, &h.record)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	h.record.path = filepath.Join(dir, handoversFile)
	if err == nil {
		err = h.record.traces(func(t *Trace) error {
			h.given[t.Details["key"]] = t
			return nil
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open hand-overs: %w", err), h.Close())
	}
	return h, nil
}

// Close lets go of the record.
func (h *HandOvers) Close() error { return h.lock.Close() }

// Check says why a hand-over can't be recorded: the key is not there, the digest is
// another one, or the key was handed over before.
func (h *HandOvers) Check(o HandOver) error {
	_, err := h.trace(o)
	return err
}

func (h *HandOvers) trace(o HandOver) (Trace, error) {
	ins, n, which, err := register.ParseStickNumber(o.Key)
	if err != nil {
		return Trace{}, err
	}
	k, err := readStickOwn(filepath.Join(h.dir, filepath.FromSlash(StickDir(ins, n, which))))
	if errors.Is(err, os.ErrNotExist) || err != nil && k == nil {
		return Trace{}, fmt.Errorf("there is no key %s among these: %w", o.Key, err)
	}
	switch before := h.given[o.Key]; {
	case !digestMatches(o.Digest, k.Digest):
		return Trace{}, fmt.Errorf("the digest is not that of key %s: give at least the first %d digits of its receipt, and do not hand it over if they differ", o.Key, minDigestTyped)
	case before != nil:
		return Trace{}, fmt.Errorf("key %s was handed over on %s: look it up with handover --list", o.Key, before.At.Format(time.DateTime))
	}
	for _, text := range []string{o.From, o.To} {
		if text == "" || len(text) > MaxPhrase || !printable(text) {
			return Trace{}, fmt.Errorf("who hands over and who receives is a line of 1 to %d bytes", MaxPhrase)
		}
	}
	return Trace{
		At: instant(o.At), By: o.From, Act: handoverAct, Why: "decree of 16 July 2024, article 7 §1",
		Details: map[string]string{"key": o.Key, "digest": k.Digest.String(), "to": o.To},
	}, nil
}

// Record writes hand-overs down: all of them or none.
func (h *HandOvers) Record(all []HandOver) error {
	traces := make([]Trace, len(all))
	seen := map[string]bool{}
	for i, o := range all {
		var err error
		if traces[i], err = h.trace(o); err != nil {
			return err
		}
		if seen[o.Key] {
			return fmt.Errorf("key %s is named twice", o.Key)
		}
		seen[o.Key] = true
	}
	next := h.record
	if err := next.append(traces); err != nil {
		return fmt.Errorf("record hand-over: %w", err)
	}
	text, err := json.Marshal(&next)
	if err != nil {
		return fmt.Errorf("record hand-over: %w", err)
	}
	if err := replaceFile(filepath.Join(h.dir, handoversStateFile), append(text, '\n')); err != nil {
		return fmt.Errorf("record hand-over: %w", err)
	}
	h.record = next
	for i := range traces {
		h.given[all[i].Key] = &traces[i]
	}
	return nil
}

// Given is the hand-over of a key, nil when it was not handed over.
func (h *HandOvers) Given(key string) *Trace { return h.given[key] }

// Keys are the numbers of all keys in the directory, in order.
func (h *HandOvers) Keys() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(h.dir, "[0-9][0-9][0-9][0-9][0-9]", "bureau-[0-9][0-9][0-9]", "key-[12]"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, dir := range dirs {
		bureau := filepath.Dir(dir)
		ins, n, which := uint32(0), uint16(0), 0
		if _, err := fmt.Sscanf(filepath.Base(filepath.Dir(bureau))+" "+filepath.Base(bureau)+" "+filepath.Base(dir), "%d bureau-%d key-%d", &ins, &n, &which); err != nil {
			return nil, fmt.Errorf("read the directory of keys: %s: %w", dir, err)
		}
		out = append(out, register.StickNumber(ledger.Commune(ins), ledger.BureauNumber(n), which))
	}
	return out, nil
}

// The columns of a file of hand-overs; at is a time as 2030-10-12T14:00:00+02:00.
var handoverColumns = []string{"key", "digest", "from", "to", "at"}

// ReadHandOvers reads a file of hand-overs and checks each against the keys.
func (h *HandOvers) ReadHandOvers(ctx context.Context, r io.Reader) ([]HandOver, []BadRow, error) {
	var out []HandOver
	lines := map[string]int{}
	t := table{columns: handoverColumns, required: len(handoverColumns), maxRows: register.Sticks * ledger.MaxBureaux * len(Communes)}
	err := t.read(ctx, r, func(line int, get []string) error {
		at, err := time.Parse(time.RFC3339, get[4])
		if err != nil {
			return errors.New("at: no time, as 2030-10-12T14:00:00+02:00")
		}
		o := HandOver{Key: get[0], Digest: get[1], From: get[2], To: get[3], At: at}
		if lines[o.Key] > 0 {
			return fmt.Errorf("key: the same as on line %d", lines[o.Key])
		}
		lines[o.Key] = line
		out = append(out, o)
		return h.Check(o)
	})
	return out, t.bad, err
}
