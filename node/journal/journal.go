// Package journal is the device's own signed chain, kept encrypted on two of three media
// and durable there before anything is sent or shown.
//
// # Media
//
// A set has three members: 0 is the machine's disk, 1 and 2 are the two keys. Each carries a
// header (header.go) and a file of records (record.go), and is written by a goroutine of its
// own. A record is durable when two media have fsync'ed it; a third goes on behind and is
// level again at Close or at the next opening.
//
// # Opening
//
// Open reads every medium that is attached and takes the union of their records, never the
// longest file: two media may each hold what the other lost. The union is fsync'ed on at
// least two media before a new session begins; its first batch names the head that it
// continues.
//
// # While it is open
//
// A medium that fails is written no more; with fewer than two left the journal stops for good,
// since another machine may go on with the other two. One that comes back is read, levelled and
// only then counts again (Attach). Replace puts a blank medium in the place of one of the set, in a
// new generation: what the newest generation does not name never counts again.
//
// # What a crash leaves
//
// One record is under way at a time, so at most the last one of the chain can stand on one
// medium alone. Nobody was told of it. The next opening that reads it goes on from it; one
// that does not goes on from the batch before, and a later opening that sees both calls it an
// orphan. What can only be a clone's doing is a fork, and refused (ForkError; chain.go).
package journal

import (
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"pointage/ledger"
)

// Limits of what waits and of what a medium holds.
const (
	// members is how many media a set has, quorum how many make a record durable.
	members = 3
	quorum  = 2
	// maxWaiting is how many appends wait for the journal to be free; more wait outside.
	maxWaiting = 4096
	// maxBehind is how many bytes a third medium may be behind; beyond, it has failed.
	maxBehind = 16 << 20
	// maxWrite is how many bytes of waiting records a medium takes under one fsync.
	maxWrite = 1 << 20
	// maxFile is the length of a medium's file of records, in bytes.
	maxFile = 1 << 30
	// maxKept is how many of the newest batches stay in memory.
	maxKept = 64
	// maxNote is the length of a note's value, maxNoteKey of its key, in bytes;
	// maxNotes how many keys there are.
	maxNote    = 4 << 10
	maxNoteKey = 255
	maxNotes   = 256
	// ownNotes is what the keys of the journal's own notes begin with.
	ownNotes = "journal/"
	// maxStatementBytes is what the statements of one batch take, their lengths
	// included: room is left for header and signature.
	maxStatementBytes = ledger.MaxBatch - 512
)

// Medium is one place of the set.
type Medium struct {
	// Path is the directory, empty when the medium is absent. One that is not there
	// is absent too: the journal makes no directory, since under the mount point of
	// a key that is not plugged in it would lie on the machine's disk.
	Path string
	// Hardware identifies the piece of hardware, at most 255 bytes; a copy on another
	// one is refused. Empty stands for a random identity kept in the directory, which
	// can't tell a copy of the whole directory from the original.
	Hardware string
}

// Options are what a journal is made and opened with.
type Options struct {
	Group       *ledger.Group
	Bureau      ledger.BureauNumber
	Incarnation ledger.Incarnation
	// Key is the incarnation's device key; JournalKey encrypts the records.
	Key        ed25519.PrivateKey
	JournalKey [32]byte
	// Media are the disk and the two keys. Two keys may change places.
	Media  [members]Medium
	Random io.Reader
	Now    func() ledger.Instant
	Logger *slog.Logger
	// files is the file system; nil is the machine's. verify checks a batch; nil is the batch's
	// own check against Group.
	files  files
	verify func(*ledger.Batch) error
}

// ErrStopped is the fault of a journal with fewer than two media: it records nothing more.
// Whatever was not durable by then may be found by the next opening all the same.
var ErrStopped = errors.New("the journal has stopped, fewer than two of its three media can be written: replace the medium or free space on it, or bring the keys to a spare machine, and open again")

// ErrClosed is the fault of acts after Close.
var ErrClosed = errors.New("the journal is closed")

// Journal is one bureau's chain in one session. Its methods may be called by many
// goroutines.
type Journal struct {
	opt    Options
	author ledger.Author
	// round is this session's; unfenced says what its opening does.
	round    uint64
	unfenced bool

	// queue goes to the writer. closing is closed first, then the writer ends and
	// closes ended; failed is closed by halt.
	queue   chan *appending
	closing chan struct{}
	ended   chan struct{}
	failed  chan struct{}
	writers sync.WaitGroup // the media's goroutines

	// changing is held by whoever takes a medium up or off; claim is the media's generation,
	// which only he changes.
	changing chan struct{}
	claim    claim
	// since is what was made durable while a medium is being read, nil when none is. The
	// writer owns it.
	since *since

	mu sync.Mutex
	// media are those that are attached, by member; the
	// slice is replaced, never changed, once the journal is open. absent says of the other
	// places why.
	media  []*medium
	absent []*MediumError
	point  ledger.Point
	// chain lists the durable batches in order, off those beside the chain.
	chain, off []entry
	grown      chan struct{} // closed and replaced when chain grows
	// inherited are the batches of incarnations before, heirs their indexes.
	inherited []entry
	heirs     map[ledger.Hash]int
	// statements and bytes are what the chain's batches hold and take on one medium.
	statements uint64
	bytes      int64
	// reader is the furthest cursor that Next was asked for; moved is closed and replaced when
	// it moves, nil before the first.
	reader   Cursor
	moved    chan struct{}
	notes    map[string]note
	serial   uint64 // of this session's newest note
	findings []Finding
	err      error
	closed   bool
}

// entry is one durable batch and where it stands on the media.
type entry struct {
	at spans
	// kept is the batch itself, for the newest only.
	kept *recorded
}

// spans says where one record stands on each member; n is 0 where it does not.
type spans [members]span

type span struct {
	off int64
	n   int32
}

// size is the record's length on a medium, in bytes.
func (s spans) size() (n int64) {
	for m := range s {
		n = max(n, int64(s[m].n))
	}
	return n
}

// String lists the members.
func (s spans) String() string {
	var on []string
	for m := range s {
		if s[m].n > 0 {
			on = append(on, strconv.Itoa(m))
		}
	}
	return strings.Join(on, ",")
}

// recorded is a batch with the exact times of its statements.
type recorded struct {
	batch *ledger.Batch
	exact []ledger.Instant
}

// Durable names statements that are durable now.
type Durable struct {
	Batch *ledger.Batch
	// First is the index in the batch of the first of Count statements.
	First, Count int
}

// Author is who signs in this session.
func (j *Journal) Author() ledger.Author { return j.author }

// Point is the durable end of this session's chain.
func (j *Journal) Point() ledger.Point {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.point
}

// Note is the newest durable value of a key.
func (j *Journal) Note(key string) ([]byte, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, ok := j.notes[key]
	return append([]byte(nil), n.value...), ok
}

// Findings lists what opening found on the media that people should know.
func (j *Journal) Findings() []Finding {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Finding(nil), j.findings...)
}

// Failed is closed when fewer than two media are left; Err says why.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Err is why the journal has stopped, nil while it goes on.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}
