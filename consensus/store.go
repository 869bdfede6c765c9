package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

const (
	storeFile   = "raft.db"
	lockTimeout = time.Second // for another process to let go of the store
	deleteChunk = 4096        // entries deleted in one transaction, so that a long deletion doesn't look like a stalled disk
)

var (
	keyServer = []byte("pointage/server") // stable store: the server ID that this store belongs to
	keyProbe  = []byte("pointage/probe")  // stable store: written to see whether the disk takes writes
	keyTerm   = []byte("CurrentTerm")     // hashicorp/raft's own

	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errDiscarded = errors.New("disk was given up")
)

// stores is what a server keeps between two starts.
type stores struct {
	log    raft.LogStore
	stable raft.StableStore
	snaps  raft.SnapshotStore
	gap    uint64 // at opening: checkBoltFile
	close  func() error
}

// openStores opens the log, the stable values and the snapshots in dir, and creates what isn't there.
//
// The log is in bbolt: one B+tree file, fsync'ed by every transaction. Its list of free pages is not written (it is
// rebuilt at opening) and is kept as a map, so that a transaction writes the pages that it changed and no more.
func openStores(dir string, logger hclog.Logger) (s *stores, err error) {
	defer func() {
		if r := recover(); r != nil { // bbolt panics on pages that make no sense
			s, err = nil, fmt.Errorf("%w: open %s: %v", ErrDamaged, dir, r)
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	path := filepath.Join(dir, storeFile)
	gap, err := checkBoltFile(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		MsgpackUseNewTimeFormat: true,
		BoltOptions:             &bbolt.Options{Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	switch {
	case errors.Is(err, bbolt.ErrTimeout):
		return nil, fmt.Errorf("open %s: another process has it open", path)
	case errors.Is(err, bbolt.ErrInvalid), errors.Is(err, bbolt.ErrChecksum), errors.Is(err, bbolt.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: open %s: %w", ErrDamaged, path, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open snapshots: %w", err), bolt.Close())
	}
	return &stores{log: bolt, stable: bolt, snaps: snaps, gap: gap, close: bolt.Close}, nil
}

// fresh says whether the stores are new, and refuses those of another server than id, and new ones that existed before.
func (s *stores) fresh(id string, existed bool) (bool, error) {
	owner, err := s.get(keyServer)
	switch {
	case err == nil && string(owner) != id:
		return false, fmt.Errorf("%w: %s, not %s", ErrWrongStore, owner, id)
	case err == nil:
		return false, nil
	case !isNotFound(err):
		return false, fmt.Errorf("read identity of store: %w", err)
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return false, fmt.Errorf("%w: read log: %w", ErrDamaged, err)
	}
	_, err = s.get(keyTerm)
	if err != nil && !isNotFound(err) {
		return false, fmt.Errorf("read term: %w", err)
	}
	state := last > 0 || err == nil
	if !state && existed {
		return false, fmt.Errorf("%w (server %s)", ErrStoreLost, id)
	}
	return !state, nil
}

// isNotFound is the contract of a raft.StableStore for a key that it doesn't have.
func isNotFound(err error) bool { return err.Error() == "not found" }

// set writes a stable value with its checksum, get compares it.
func (s *stores) set(key, value []byte) error {
	return s.stable.Set(key, binary.BigEndian.AppendUint32(bytes.Clone(value), stableSum(key, value)))
}

func (s *stores) get(key []byte) ([]byte, error) {
	b, err := s.stable.Get(key)
	if err != nil {
		return nil, err
	}
	n := len(b) - crc32.Size
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != stableSum(key, b[:n]) {
		return nil, fmt.Errorf("%w: checksum of %s differs", ErrDamaged, key)
	}
	return b[:n], nil
}

func stableSum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// restorable says whether the state machine is already past the newest snapshot, and refuses a log whose beginning is
// missing. indexed is nil for a machine that doesn't survive restarts.
func (s *stores) restorable(indexed Indexed) (skip bool, err error) {
	list, err := s.snaps.List()
	if err != nil {
		return false, fmt.Errorf("list snapshots: %w", err)
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	newest := uint64(0)
	if len(list) > 0 {
		newest = list[0].Index
	}
	if from := max(first, s.gap); from > newest+1 {
		return false, fmt.Errorf("%w: nothing before entry %d, and the newest snapshot is at %d", ErrDamaged, from, newest)
	}
	return indexed != nil && newest > 0 && indexed.Applied() >= newest, nil
}

// disk stands between one life of Raft and its stores. It times every write, keeps a checksum with every entry, and turns
// whatever the disk refuses into one call of giveUp, after which nothing is written any more.
//
// hashicorp/raft goes on with a disk that hangs (its issue 683), panics when the term can't be saved or an entry can't be
// read back, and is left with a wrong idea of its log when an append fails half way. None of that may reach the group: the
// instance is cut off from the network first (giveUp does so before it returns) and then told whatever makes it stop.
type disk struct {
	stores *stores
	giveUp func(err error, forGood bool)

	mu     sync.Mutex
	writes map[uint64]time.Time // begun and not ended
	next   uint64
	gone   bool
}

func newDisk(s *stores, giveUp func(err error, forGood bool)) *disk {
	return &disk{stores: s, giveUp: giveUp, writes: map[uint64]time.Time{}}
}

// begin returns the end of a write, or false once the disk was given up.
func (d *disk) begin() (end func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return nil, false
	}
	d.next++
	n := d.next
	d.writes[n] = time.Now()
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.writes, n)
	}, true
}

// stalled returns for how long the oldest write has been under way.
func (d *disk) stalled() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	longest := time.Duration(0)
	for _, began := range d.writes {
		longest = max(longest, time.Since(began))
	}
	return longest
}

func (d *disk) discard(err error, forGood bool) {
	d.mu.Lock()
	d.gone = true
	d.mu.Unlock()
	d.giveUp(err, forGood)
}

// discarded says whether what was read or written since may be wrong.
func (d *disk) discarded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// write runs one write under the watch, and gives the disk up when it fails.
func (d *disk) write(verb string, f func() error) (err error) {
	end, ok := d.begin()
	if !ok {
		return errDiscarded
	}
	defer end()
	forGood := false
	defer func() {
		if r := recover(); r != nil {
			err, forGood = fmt.Errorf("%v", r), true
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", verb, err)
			d.discard(err, forGood)
		}
	}()
	return f()
}

func (d *disk) FirstIndex() (uint64, error) { return d.stores.log.FirstIndex() }
func (d *disk) LastIndex() (uint64, error)  { return d.stores.log.LastIndex() }

// GetLog returns the entry at an index, after its checksum has been compared.
func (d *disk) GetLog(index uint64, entry *raft.Log) error {
	err := errDiscarded
	if !d.discarded() {
		err = d.read(index, entry)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrLogNotFound) && !d.missing(index):
		return raft.ErrLogNotFound
	}
	d.discard(fmt.Errorf("%w: read entry %d: %w", ErrDamaged, index, err), true)
	// Raft panics if it is told. It is cut off by now, and the machine is given nothing more: an empty entry does no harm.
	*entry = raft.Log{Index: index, Type: raft.LogNoop}
	return nil
}

func (d *disk) read(index uint64, entry *raft.Log) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if err := d.stores.log.GetLog(index, entry); err != nil {
		return err
	}
	if entry.Index != index || len(entry.Extensions) != crc32.Size ||
		binary.BigEndian.Uint32(entry.Extensions) != checksum(entry) {
		return errors.New("checksum differs")
	}
	entry.Extensions = nil
	return nil
}

// missing says whether an entry that isn't there should be: it is neither before the log, nor after it, nor covered by a
// snapshot (a snapshot received from the leader leaves a hole behind older entries).
func (d *disk) missing(index uint64) bool {
	first, err := d.stores.log.FirstIndex()
	if err != nil || first == 0 || index < first {
		return err != nil
	}
	last, err := d.stores.log.LastIndex()
	if err != nil || index > last {
		return err != nil
	}
	list, err := d.stores.snaps.List()
	return err != nil || len(list) == 0 || index > list[0].Index
}

// checksum covers what makes two entries different to Raft: index, term, kind and data.
func checksum(entry *raft.Log) uint32 {
	var head [17]byte
	binary.BigEndian.PutUint64(head[:], entry.Index)
	binary.BigEndian.PutUint64(head[8:], entry.Term)
	head[16] = byte(entry.Type)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, entry.Data)
}

func (d *disk) StoreLog(entry *raft.Log) error { return d.StoreLogs([]*raft.Log{entry}) }

func (d *disk) StoreLogs(entries []*raft.Log) error {
	sums := make([]byte, crc32.Size*len(entries))
	sealed := make([]raft.Log, len(entries))
	list := make([]*raft.Log, len(entries))
	for i, entry := range entries {
		sum := sums[i*crc32.Size : (i+1)*crc32.Size]
		binary.BigEndian.PutUint32(sum, checksum(entry))
		sealed[i] = *entry
		sealed[i].Extensions = sum
		list[i] = &sealed[i]
	}
	return d.write("append to log", func() error { return d.stores.log.StoreLogs(list) })
}

// DeleteRange deletes entries in transactions of deleteChunk, in the order that leaves one contiguous log if a crash comes
// between two: the head of the log from its beginning, its tail from its end.
func (d *disk) DeleteRange(from, to uint64) error {
	first, err := d.stores.log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	head := first >= from
	for from <= to {
		a, b := from, to
		if head {
			b = min(to, from+deleteChunk-1)
			from = b + 1
		} else {
			a = max(from, to-min(to, deleteChunk-1))
			to = a - 1
		}
		if err := d.write("shorten log", func() error { return d.stores.log.DeleteRange(a, b) }); err != nil {
			return err
		}
	}
	return nil
}

// Set hides a failure to save the term, which would make Raft panic: the instance has been cut off and forgets that term
// when it is dropped, and no message of that term can leave it.
func (d *disk) Set(key, value []byte) error {
	err := d.write("write stable value", func() error { return d.stores.set(key, value) })
	if bytes.Equal(key, keyTerm) {
		return nil
	}
	return err
}

func (d *disk) SetUint64(key []byte, value uint64) error {
	return d.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

func (d *disk) Get(key []byte) ([]byte, error) { return d.stores.get(key) }

func (d *disk) GetUint64(key []byte) (uint64, error) {
	b, err := d.stores.get(key)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: %s has %d bytes, not 8", ErrDamaged, key, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// probe writes something, to learn whether the disk takes writes.
func (s *stores) probe() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return s.set(keyProbe, []byte{1})
}
