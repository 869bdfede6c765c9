package journal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// drives is how many media the tests' machine has: a set, and a blank one.
const drives = members + 1

// disks is a file system of media, /0 to /3, that remembers every operation, so that
// each can be rebuilt as a power cut would have left it.
type disks struct {
	mu sync.Mutex
	// before is asked before each operation; an error is the operation's, and of a
	// write the first keep bytes are carried out all the same. Set it with ask once
	// the disks are in use.
	before func(op) (keep int, err error)
	names  map[string]int
	inodes [][]byte
	gone   [drives]bool // the directory is not there
	// readOnly refuses to open anything for writing.
	readOnly bool
	log      []op
	// base is what the disks held before the log, nil for nothing.
	base *disks
}

type opKind uint8

const (
	opMake opKind = iota
	opWrite
	opTruncate
	opSync
	opRename
	opSyncDir
)

// op is one operation that changes a medium or makes a change durable.
type op struct {
	kind   opKind
	medium int
	inode  int
	// name is made, or renamed to; from is renamed.
	name, from string
	off        int64
	data       []byte
}

func newDisks() *disks { return &disks{names: map[string]int{}} }

func mediumOf(name string) int { return int(name[1] - '0') }

func (d *disks) at() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

func (d *disks) ask(before func(op) (keep int, err error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

// do carries an operation out and remembers it.
func (d *disks) do(o op) error {
	keep, err := len(o.data), error(nil)
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before != nil {
		if n, e := before(o); e != nil {
			keep, err = min(n, keep), e
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone[o.medium] {
		return errors.New("input/output error")
	}
	if err != nil && (o.kind != opWrite || keep == 0) {
		return err
	}
	o.data = append([]byte(nil), o.data[:keep]...)
	d.log = append(d.log, o)
	switch o.kind {
	case opMake:
		d.names[o.name] = o.inode
	case opRename:
		d.names[o.name] = d.names[o.from]
		delete(d.names, o.from)
	case opWrite, opTruncate:
		d.inodes[o.inode] = o.apply(d.inodes[o.inode])
	}
	return err
}

// apply is what an inode's bytes are after a write or a truncation.
func (o op) apply(b []byte) []byte {
	end := o.off + int64(len(o.data))
	if o.kind == opTruncate && int64(len(b)) > o.off {
		b = b[:o.off]
	}
	if int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[o.off:], o.data)
	return b
}

func (d *disks) IsDir(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.gone[mediumOf(name)]
}

func (d *disks) Open(name string, how access) (file, error) {
	d.mu.Lock()
	if d.readOnly && how != toRead {
		d.mu.Unlock()
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("read-only file system")}
	}
	i, ok := d.names[name]
	if !ok && how == toMake {
		i = len(d.inodes)
		d.inodes = append(d.inodes, nil)
	}
	d.mu.Unlock()
	if !ok && how != toMake {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if !ok {
		if err := d.do(op{kind: opMake, medium: mediumOf(name), inode: i, name: name}); err != nil {
			return nil, err
		}
	}
	return &diskFile{d, mediumOf(name), i}, nil
}

func (d *disks) Rename(from, to string) error {
	return d.do(op{kind: opRename, medium: mediumOf(to), name: to, from: from})
}

func (d *disks) SyncDir(dir string) error { return d.do(op{kind: opSyncDir, medium: mediumOf(dir)}) }

// roomOnDisks is what every disk of the tests has left.
const roomOnDisks = 1 << 20

func (d *disks) Free(dir string) (int64, error) {
	if !d.IsDir(dir) {
		return 0, errors.New("input/output error")
	}
	return roomOnDisks, nil
}

type diskFile struct {
	d             *disks
	medium, inode int
}

func (f *diskFile) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.gone[f.medium] {
		return 0, errors.New("input/output error")
	}
	all := f.d.inodes[f.inode]
	if off >= int64(len(all)) {
		return 0, io.EOF
	}
	n := copy(b, all[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.do(op{kind: opWrite, medium: f.medium, inode: f.inode, off: off, data: b}); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *diskFile) Truncate(size int64) error {
	return f.d.do(op{kind: opTruncate, medium: f.medium, inode: f.inode, off: size})
}

func (f *diskFile) Sync() error {
	return f.d.do(op{kind: opSync, medium: f.medium, inode: f.inode})
}

func (f *diskFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.d.inodes[f.inode])), nil
}

func (*diskFile) Close() error { return nil }

// outcome is what a power cut makes of a medium's operations that were not fsync'ed.
type outcome uint8

const (
	nothing outcome = iota // none was carried out
	whole                  // all were
	torn                   // of the last write, half
	zeros                  // the last write's length, not its bytes
	garbage                // the last write's length, other bytes
	outcomes
)

// cutMedium is one medium while a cut is worked out.
type cutMedium struct {
	names, pendingNames map[string]int
	pending             map[int][]op
	durable             map[int][]byte
}

// cut is the disks as a power cut before operation n of the log could leave them. uncertain
// tells which media have operations that were not fsync'ed.
func (d *disks) cut(n int, how [drives]outcome) (_ *disks, uncertain [drives]bool) {
	var media [drives]cutMedium
	for i := range media {
		media[i] = cutMedium{names: map[string]int{}, pendingNames: map[string]int{}, pending: map[int][]op{}, durable: map[int][]byte{}}
	}
	if d.base != nil {
		for name, i := range d.base.names {
			m := &media[mediumOf(name)]
			m.names[name], m.durable[i] = i, append([]byte(nil), d.base.inodes[i]...)
		}
	}
	for _, o := range d.log[:n] {
		m := &media[o.medium]
		switch o.kind {
		case opMake:
			m.pendingNames[o.name] = o.inode
		case opRename:
			i, ok := m.pendingNames[o.from]
			if !ok {
				i = m.names[o.from]
			}
			m.pendingNames[o.name], m.pendingNames[o.from] = i, -1
		case opWrite, opTruncate:
			m.pending[o.inode] = append(m.pending[o.inode], o)
		case opSync:
			m.settle(o.inode, whole)
		case opSyncDir:
			m.settleNames()
		}
	}
	out := newDisks()
	out.inodes = make([][]byte, len(d.inodes))
	for i := range media {
		m := &media[i]
		uncertain[i] = len(m.pending) > 0 || len(m.pendingNames) > 0
		for inode := range m.pending {
			m.settle(inode, how[i])
		}
		if how[i] != nothing {
			m.settleNames()
		}
		for name, inode := range m.names {
			out.names[name] = inode
			out.inodes[inode] = append([]byte(nil), m.durable[inode]...)
		}
	}
	out.base = &disks{names: maps.Clone(out.names), inodes: make([][]byte, len(out.inodes))}
	for i, b := range out.inodes {
		out.base.inodes[i] = append([]byte(nil), b...)
	}
	return out, uncertain
}

func (m *cutMedium) settleNames() {
	for name, i := range m.pendingNames {
		if i < 0 {
			delete(m.names, name)
		} else {
			m.names[name] = i
		}
	}
	clear(m.pendingNames)
}

func (m *cutMedium) settle(inode int, how outcome) {
	ops := m.pending[inode]
	delete(m.pending, inode)
	if how == nothing {
		return
	}
	for i, o := range ops {
		if i == len(ops)-1 && o.kind == opWrite {
			o.data = append([]byte(nil), o.data...)
			switch how {
			case torn:
				o.data = o.data[:len(o.data)/2]
			case zeros:
				clear(o.data)
			case garbage:
				rand.NewChaCha8([32]byte{byte(len(o.data))}).Read(o.data)
			}
		}
		m.durable[inode] = o.apply(m.durable[inode])
	}
}

// on puts the options' media on the disks, each disk at its place and the last one at the first
// place that is free.
func (d *disks) on(o Options, places ...int) Options {
	o.files = d
	o.Media = [members]Medium{}
	for _, p := range places {
		at := p
		if p == members {
			at = slices.IndexFunc(o.Media[:], func(m Medium) bool { return m.Path == "" })
			for slices.Contains(places, at) {
				at++
			}
		}
		o.Media[at] = disk(p)
	}
	return o
}

func disk(n int) Medium { return Medium{Path: filepath.Join("/", string(rune('0'+n)))} }
