// Package journal is the device's own signed chain on two of three media: encrypted, and
// durable on two of them before anything is sent or shown.
package journal

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"pointage/ledger"
)

// Limits of what waits and of what a medium holds.
const (
	// maxWaiting is how many appends wait for the journal to be free.
	maxWaiting = 4096
	// maxBehind is how many records a slow third medium may be behind.
	maxBehind = 1024
	// maxNote is the length of a note's value, maxNoteKey of its key, in bytes.
	maxNote    = 4 << 10
	maxNoteKey = 255
	// quorum is how many media make a record durable.
	quorum = 2
)

// Medium is one place of the set.
type Medium struct {
	// Path is the directory, empty when the medium is absent.
	Path string
	// Hardware identifies the piece of hardware; a copy on another one is refused. Empty
	// is not compared.
	Hardware string
}

// Options are what a journal is opened with.
type Options struct {
	Group       *ledger.Group
	Bureau      ledger.BureauNumber
	Incarnation ledger.Incarnation
	// Key is the incarnation's device key; JournalKey encrypts the records.
	Key        ed25519.PrivateKey
	JournalKey [32]byte
	// Media are the disk and the two keys.
	Media [3]Medium
	// Unfenced marks an incarnation whose predecessor may still be at work.
	Unfenced bool
	Random   io.Reader
	Now      func() ledger.Instant
	Logger   *slog.Logger
	// files is the file system; nil is the machine's.
	files files
}

// ErrStopped: fewer than two media are left; nothing can be recorded any longer.
var ErrStopped = errors.New("the journal has stopped: fewer than two of its three media can be written; bring the keys to a spare machine")

// ErrClosed is the fault of acts after Close.
var ErrClosed = errors.New("the journal is closed")

// Journal is one bureau's chain in one session. Its methods may be called by many
// goroutines.
type Journal struct {
	opt    Options
	author ledger.Author
	seal   *sealer
	queue  chan *appending
	failed chan struct{}
	closed chan struct{}
	// ended is closed when the writer has ended.
	ended chan struct{}

	mu    sync.Mutex
	media []*medium
	// at is where the chain stands, as far as it is durable.
	at ledger.Point
	// batches are the durable ones from cursor base on, in chain order.
	batches []recorded
	base    Cursor
	grown   chan struct{}
	// moved is closed and replaced when Next lets go of batches.
	moved   chan struct{}
	notes   map[string]note
	err     error
	closing bool
	found   []Finding
}

// recorded is a durable batch with the exact times of its statements.
type recorded struct {
	batch *ledger.Batch
	exact []ledger.Instant
}

type note struct {
	version uint64
	value   []byte
}

// Durable names statements that are durable now.
type Durable struct {
	Batch *ledger.Batch
	// First is the index in the batch of the first of Count statements.
	First, Count int
}

// Finding is something about the media that people should know.
type Finding struct {
	Member int
	What   string
}

// Author is who signs in this session.
func (j *Journal) Author() ledger.Author { return j.author }

// Point is the durable end of this session's chain.
func (j *Journal) Point() ledger.Point {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at
}

// Findings lists what opening found on the media.
func (j *Journal) Findings() []Finding {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Finding(nil), j.found...)
}

// Failed is closed when fewer than two media are left; Err says why.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Err is why the journal has stopped, nil while it goes on.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// MediumStatus is one member of the set as it is now.
type MediumStatus struct {
	Member   int
	Attached bool
	// Fault is why an attached medium is no longer written.
	Fault error
	// Bytes is the length of its journal.
	Bytes int64
}

// Status lists the three members.
func (j *Journal) Status() []MediumStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := []MediumStatus{{Member: 0}, {Member: 1}, {Member: 2}}
	for _, m := range j.media {
		m.mu.Lock()
		out[m.member] = MediumStatus{Member: m.member, Attached: true, Fault: m.err, Bytes: m.size}
		m.mu.Unlock()
	}
	return out
}

// Cursor counts batches in chain order, from 0.
type Cursor uint64

// Start is the cursor of the oldest batch on the media.
func (j *Journal) Start() Cursor { return 0 }

// Next waits for the batch at the cursor and returns it with the cursor after it. It lets go
// of those before: one reader goes forward.
func (j *Journal) Next(ctx context.Context, c Cursor) (*ledger.Batch, Cursor, error) {
	for {
		j.mu.Lock()
		if c < j.base {
			j.mu.Unlock()
			return nil, c, fmt.Errorf("batch %d was let go, the oldest is %d", c, j.base)
		}
		if k := c - j.base; k < Cursor(len(j.batches)) {
			b := j.batches[k].batch
			j.letGo(c)
			j.mu.Unlock()
			return b, c + 1, nil
		}
		j.letGo(c)
		grown := j.grown
		j.mu.Unlock()
		select {
		case <-grown:
		case <-j.closed:
			return nil, c, ErrClosed
		case <-ctx.Done():
			return nil, c, ctx.Err()
		}
	}
}

// letGo drops the batches before the cursor, under the lock.
func (j *Journal) letGo(c Cursor) {
	if c > j.base {
		j.batches, j.base = j.batches[c-j.base:], c
		close(j.moved)
		j.moved = make(chan struct{})
	}
}

// Behind is how many durable batches come at and after the cursor.
func (j *Journal) Behind(c Cursor) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int(j.base) + len(j.batches) - int(c)
}

// Replay calls f for every batch on the media, in chain order, with the exact times of its
// statements. It is for the time before Next is first called.
func (j *Journal) Replay(f func(b *ledger.Batch, exact []ledger.Instant) error) error {
	j.mu.Lock()
	if j.base != 0 {
		j.mu.Unlock()
		return errors.New("replay journal: its beginning was let go")
	}
	all := append([]recorded(nil), j.batches...)
	j.mu.Unlock()
	for _, r := range all {
		if err := f(r.batch, r.exact); err != nil {
			return err
		}
	}
	return nil
}

// Note is the newest value of a durable note.
func (j *Journal) Note(key string) ([]byte, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, ok := j.notes[key]
	return n.value, ok
}
