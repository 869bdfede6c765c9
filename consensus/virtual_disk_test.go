package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	syncTime  = time.Millisecond
	slowSync  = 40 * time.Millisecond // one write in slowEvery
	slowEvery = 50
)

var errDiskOff = errors.New("disk is off")

// memoryDisk is a disk in memory that can lose power. It stands where bbolt's file and the snapshot directory do in
// production (behind `stores`): a write to a real file isn't a wait that testing/synctest knows, so that its duration would
// not pass in virtual time, and a file can't be left as a power cut would leave it. What it promises is what they do: a write
// is one transaction, all or nothing, and lasts once it has returned; one under way when the power goes is there or not.
// That the files keep this promise is for the tests with real ones.
type memoryDisk struct {
	mu      sync.Mutex
	random  *rand.Rand
	off     bool
	hang    chan struct{} // non-nil: writes wait until it is closed
	broken  error         // non-nil: writes fail
	pending map[int]func()
	next    int

	low, high uint64
	entries   map[uint64]raft.Log
	values    map[string][]byte
	snaps     []savedSnapshot // newest first, at most keptSnapshots
}

type savedSnapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

func newMemoryDisk(seed, name uint64) *memoryDisk {
	return &memoryDisk{
		random:  rand.New(rand.NewPCG(seed, name)),
		pending: map[int]func(){}, entries: map[uint64]raft.Log{}, values: map[string][]byte{},
	}
}

func (d *memoryDisk) stores() *stores {
	return &stores{log: d, stable: d, snaps: memorySnapshots{d}, close: func() error { return nil }}
}

// commit is one transaction: do runs under mu once the disk has it.
func (d *memoryDisk) commit(do func()) error {
	d.mu.Lock()
	took := syncTime
	if d.random.IntN(slowEvery) == 0 {
		took = slowSync
	}
	hang, id := d.hang, d.next
	d.next++
	d.pending[id] = do
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	<-time.After(took)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, id)
	switch {
	case d.off:
		return errDiskOff
	case d.broken != nil:
		return d.broken
	}
	do()
	return nil
}

// crash turns the disk off and returns what the next start finds on it.
func (d *memoryDisk) crash() *memoryDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(d.pending)) {
		if d.random.IntN(2) == 0 { // it had reached the disk, and nobody was told
			d.pending[id]()
		}
	}
	d.off = true
	d.hang = d.wakeLocked()
	return &memoryDisk{
		random: rand.New(rand.NewPCG(d.random.Uint64(), 0)), pending: map[int]func(){}, low: d.low, high: d.high,
		entries: maps.Clone(d.entries), values: maps.Clone(d.values), snaps: slices.Clone(d.snaps),
	}
}

// forgetLast drops the last entry, as no disk may that said it has it.
func (d *memoryDisk) forgetLast() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.high > d.low {
		delete(d.entries, d.high)
		d.high--
	}
}

func (d *memoryDisk) wakeLocked() chan struct{} {
	if d.hang != nil {
		close(d.hang)
	}
	return nil
}

// stall makes writes hang, or go on.
func (d *memoryDisk) stall(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang = d.wakeLocked()
	if on && !d.off {
		d.hang = make(chan struct{})
	}
}

// fail makes writes fail, or succeed again with nil.
func (d *memoryDisk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

func (d *memoryDisk) FirstIndex() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.low, nil
}

func (d *memoryDisk) LastIndex() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.high, nil
}

func (d *memoryDisk) GetLog(index uint64, entry *raft.Log) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[index]
	if !ok {
		return raft.ErrLogNotFound
	}
	*entry = e
	return nil
}

func (d *memoryDisk) StoreLog(entry *raft.Log) error { return d.StoreLogs([]*raft.Log{entry}) }

func (d *memoryDisk) StoreLogs(entries []*raft.Log) error {
	kept := make([]raft.Log, len(entries))
	for i, e := range entries {
		kept[i] = *e
		kept[i].Data, kept[i].Extensions = bytes.Clone(e.Data), bytes.Clone(e.Extensions)
	}
	return d.commit(func() {
		for _, e := range kept {
			d.entries[e.Index] = e
			if d.low == 0 {
				d.low = e.Index
			}
			d.high = max(d.high, e.Index)
		}
	})
}

func (d *memoryDisk) DeleteRange(from, to uint64) error {
	return d.commit(func() {
		for i := from; i <= to; i++ {
			delete(d.entries, i)
		}
		if from <= d.low {
			d.low = to + 1
		}
		if to >= d.high {
			d.high = from - 1
		}
		if d.low > d.high {
			d.low, d.high = 0, 0
		}
	})
}

func (d *memoryDisk) Set(key, value []byte) error {
	k, v := string(key), bytes.Clone(value)
	return d.commit(func() { d.values[k] = v })
}

func (d *memoryDisk) Get(key []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.values[string(key)]
	if !ok {
		return nil, errors.New("not found")
	}
	return bytes.Clone(v), nil
}

// SetUint64 and GetUint64 are part of raft.StableStore; `disk` turns them into Set and Get.
func (d *memoryDisk) SetUint64([]byte, uint64) error   { return errors.ErrUnsupported }
func (d *memoryDisk) GetUint64([]byte) (uint64, error) { return 0, errors.ErrUnsupported }

// memorySnapshots are the snapshots on a memoryDisk. One that was not closed is not there.
type memorySnapshots struct{ disk *memoryDisk }

func (m memorySnapshots) Create(version raft.SnapshotVersion, index, term uint64, members raft.Configuration, at uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &memorySink{disk: m.disk, meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: members, ConfigurationIndex: at,
	}}, nil
}

func (m memorySnapshots) List() ([]*raft.SnapshotMeta, error) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	var list []*raft.SnapshotMeta
	for _, s := range m.disk.snaps {
		meta := s.meta
		list = append(list, &meta)
	}
	return list, nil
}

func (m memorySnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	for _, s := range m.disk.snaps {
		if s.meta.ID == id {
			meta := s.meta
			return &meta, io.NopCloser(bytes.NewReader(s.data)), nil
		}
	}
	return nil, nil, fmt.Errorf("open snapshot: no %s", id)
}

// memorySink is a snapshot being written.
type memorySink struct {
	disk *memoryDisk
	meta raft.SnapshotMeta
	data bytes.Buffer
	done bool
}

func (s *memorySink) ID() string                  { return s.meta.ID }
func (s *memorySink) Write(b []byte) (int, error) { return s.data.Write(b) }

func (s *memorySink) Cancel() error {
	s.done = true
	return nil
}

func (s *memorySink) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	s.meta.Size = int64(s.data.Len())
	saved := savedSnapshot{s.meta, s.data.Bytes()}
	return s.disk.commit(func() {
		d := s.disk
		d.snaps = slices.DeleteFunc(d.snaps, func(o savedSnapshot) bool { return o.meta.ID == saved.meta.ID })
		d.snaps = append(d.snaps, saved)
		slices.SortFunc(d.snaps, func(a, b savedSnapshot) int {
			if a.meta.Term != b.meta.Term {
				return int(b.meta.Term) - int(a.meta.Term)
			}
			return int(b.meta.Index) - int(a.meta.Index)
		})
		d.snaps = d.snaps[:min(len(d.snaps), keptSnapshots)]
	})
}
