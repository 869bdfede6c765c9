package store

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pointage/ledger"
)

var errSnapshot = errors.New("damaged snapshot")

func damaged(cause error) error {
	if cause == nil {
		return errSnapshot
	}
	return fmt.Errorf("%w: %w", errSnapshot, cause)
}

// restoreStep is how many entries are placed at a time while restoring, and told at a time
// after it.
const restoreStep = 256

// Restore replaces the ledger by a snapshot of the same chain, which must go on from what
// is here. Every signature in it is checked and every batch placed again, so that neither
// a damaged snapshot nor a lying leader's becomes the ledger.
//
// The new database is made beside the old one and takes its place by renames: a crash
// leaves the old one, or the new one whole. A snapshot that is refused leaves the old.
func (s *Store) Restore(r io.Reader) error {
	if err := s.Err(); err != nil {
		return err
	}
	from := s.Head()
	err := s.rebuild(func(n *nursery) error {
		return n.fill(&summed{r: bufio.NewReaderSize(r, snapshotBuffer), sum: sha256.New()})
	})
	if err != nil {
		return fmt.Errorf("restore ledger: %w", err)
	}
	return s.tell(from.Epoch, from.Size, s.Size())
}

// rebuild makes a database and puts it in the place of the one that is here.
func (s *Store) rebuild(fill func(*nursery) error) error {
	next := filepath.Join(s.dir, "db.next")
	if err := s.build(next, fill); err != nil {
		// What is left of it costs room only; the next opening or restoring tries again.
		if err := s.opt.FS.RemoveAll(next); err != nil {
			s.opt.Logger.Warn("remove the half restored ledger", "err", err)
		}
		return err
	}
	return s.replace(next)
}

// build makes a database, durable when it returns.
func (s *Store) build(dir string, fill func(*nursery) error) (err error) {
	if err := s.opt.FS.RemoveAll(dir); err != nil {
		return withRemedy(err)
	}
	n := &nursery{s: s, stopped: make(chan struct{})}
	if n.db, err = s.openDB(dir, n.stop, n.stopped); err != nil {
		return n.stands(withRemedy(err))
	}
	defer func() { err = n.stands(cmp.Or(err, n.db.Close())) }()
	defer s.recovered(&err)
	if err := fill(n); err != nil {
		return err
	}
	return n.durable()
}

// nursery is a database that grows from entries.
type nursery struct {
	s    *Store
	db   *database
	end  end
	pace pace

	once    sync.Once
	fault   error // read after stopped is closed
	stopped chan struct{}
}

func (n *nursery) stop(err error) {
	n.once.Do(func() {
		n.fault = err
		close(n.stopped)
	})
}

// stands says whether the database took what was written so far.
func (n *nursery) stands(err error) error {
	select {
	case <-n.stopped:
		return withRemedy(n.fault)
	default:
		return err
	}
}

func (n *nursery) durable() error {
	err := n.pace.flush(n.db, n.stopped)
	if err == nil {
		err = n.pace.wait(n.stopped)
	}
	return n.stands(err)
}

func (n *nursery) fill(in *summed) error {
	head := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != snapshotMagic {
		return damaged(err)
	}
	chain, err := in.blob(ledger.MaxEntry)
	if err != nil {
		return err
	}
	if string(chain) != string(n.s.chain) {
		return errForeign
	}
	var index [8]byte
	if _, err := io.ReadFull(in, index[:]); err != nil {
		return damaged(err)
	}
	applied := binary.BigEndian.Uint64(index[:])
	if err := n.entries(in, applied); err != nil {
		return err
	}
	if err := n.waiting(in, applied); err != nil {
		return err
	}
	if err := in.end(); err != nil {
		return err
	}
	got, have := n.head(), n.s.Head()
	switch {
	case got.Epoch != have.Epoch:
		return fmt.Errorf("the snapshot is of epoch %d, the ledger of epoch %d", got.Epoch, have.Epoch)
	case got.Size < have.Size || applied < n.s.Applied():
		return fmt.Errorf("the snapshot, of %d entries at index %d, is older than the ledger, of %d at %d", got.Size, applied, have.Size, n.s.Applied())
	}
	return nil
}

func (n *nursery) head() ledger.ChainHead { return ledger.ReadHead(&view{r: n.db}) }

// entries places the snapshot's entries.
func (n *nursery) entries(in *summed, applied uint64) error {
	for placed, more := 0, true; ; {
		var raw [][]byte
		for len(raw) < restoreStep {
			b, err := in.blob(ledger.MaxEntry)
			if err != nil {
				return err
			}
			if more = b != nil; !more {
				break
			}
			raw = append(raw, b)
		}
		if err := n.place(raw, applied); err != nil {
			return err
		}
		if placed += len(raw); placed == 0 {
			return damaged(errors.New("no entries"))
		}
		if !more {
			return nil
		}
	}
}

// place places consecutive entries and compares each with what it was read as.
func (n *nursery) place(raw [][]byte, applied uint64) error {
	if len(raw) == 0 {
		return nil
	}
	t := newStep(n.s.g, n.db, &n.end)
	defer t.b.Close()
	entries, commands := make([]*ledger.Entry, len(raw)), make([][]byte, len(raw))
	for i, b := range raw {
		var err error
		if entries[i], err = ledger.DecodeEntry(b); err != nil && t.head().Size == 0 && i == 0 {
			return fmt.Errorf("entry 0: %w", errForeign)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ledger.EntryName(t.head().Size+uint64(i)), err)
		}
		commands[i] = entries[i].Batch
	}
	for i, c := range n.s.verify(commands) {
		head := t.head()
		if err := t.replay(entries[i], raw[i], c.batch, n.s.chain); err != nil {
			return fmt.Errorf("%s: %w", ledger.EntryName(ledger.Reference(head.Epoch, head.Size)), err)
		}
	}
	return n.put(t, applied)
}

// replay places an entry again: its batch, whose signature holds, or a genesis.
func (t *step) replay(e *ledger.Entry, raw []byte, b *ledger.Batch, chain []byte) error {
	before := len(t.placed)
	switch {
	case e.Kind != ledger.GenesisEntry && b == nil:
		return errors.New("holds no batch that its author signed")
	case e.Kind != ledger.GenesisEntry:
		t.place(b)
	case t.head().Size == 0:
		t.begin(chain)
		if !bytes.Equal(t.placed[before].Encoded, raw) {
			return errForeign
		}
	default:
		seed, err := ledger.DecodeSeed(e.Genesis.Seed)
		if err == nil {
			err = t.beginEpoch(seed)
		}
		if err != nil {
			return err
		}
	}
	if len(t.placed) != before+1 || !bytes.Equal(t.placed[before].Encoded, raw) {
		return errors.New("is not what the rules make of its batch")
	}
	return nil
}

// put writes a step and compares with the chain that is here.
func (n *nursery) put(t *step, applied uint64) error {
	have := n.s.Head()
	for _, e := range t.placed {
		if t.head().Epoch == have.Epoch && e.Entry.Position+1 == have.Size && ledger.LeafHash(e.Encoded) != have.Last {
			return fmt.Errorf("entry %d: is another than the one here", e.Entry.Position)
		}
	}
	err := t.commit(applied, pebble.NoSync)
	if err == nil {
		err = n.pace.wrote(n.db, t.b.Len(), n.stopped)
	}
	return n.stands(err)
}

// waiting parks the batches that wait.
func (n *nursery) waiting(in *summed, applied uint64) error {
	t := newStep(n.s.g, n.db, &n.end)
	defer t.b.Close()
	for {
		b, err := in.blob(ledger.MaxBatch)
		if err != nil {
			return err
		}
		if b == nil {
			return n.put(t, applied)
		}
		c := n.s.check(b)
		if c.batch == nil {
			return errors.New("a batch that waits is not signed by its author")
		}
		if ans, _ := t.place(c.batch); ans.Status != ledger.Parked {
			return errors.New("a batch that waits has no reason to")
		}
	}
}

// replace puts the restored database in the place of the old one.
func (s *Store) replace(next string) error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.db == nil || s.Err() != nil {
		return s.gone()
	}
	err := s.db.Close()
	s.db = nil
	err = cmp.Or(s.Err(), err)
	if err == nil {
		err = swap(s.opt.FS, s.current(), next, s.old())
	}
	if err == nil {
		s.db, err = s.openDB(s.current(), s.fail, s.failed)
	}
	if err == nil {
		err = cmp.Or(s.Err(), s.reload())
	}
	if err != nil {
		s.fail(err)
		return s.Err()
	}
	// What is left of the old one costs room only; the next opening tries again.
	if err := s.opt.FS.RemoveAll(s.old()); err != nil {
		s.opt.Logger.Warn("remove the replaced ledger", "err", err)
	}
	return nil
}

func (s *Store) old() string { return filepath.Join(s.dir, "db.old") }

// swap renames durably, one after the other: after a crash db is the old database, or
// absent with db.old there, or the new one.
func swap(in vfs.FS, current, next, old string) error {
	dir := filepath.Dir(current)
	if err := in.RemoveAll(old); err != nil {
		return err
	}
	if err := syncDir(in, dir); err != nil {
		return err
	}
	for _, r := range [][2]string{{current, old}, {next, current}} {
		if err := in.Rename(r[0], r[1]); err != nil {
			return err
		}
		if err := syncDir(in, dir); err != nil {
			return err
		}
	}
	return nil
}

// finishRestore clears what a crash during Restore left: between the two renames only
// db.old is there, and it goes back, so that the snapshot is restored again.
func (s *Store) finishRestore() error {
	_, err := s.opt.FS.Stat(s.current())
	if errors.Is(err, fs.ErrNotExist) {
		err = s.opt.FS.Rename(s.old(), s.current())
		if errors.Is(err, fs.ErrNotExist) { // a new directory, or one that was being founded
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("put the ledger back: %w", err)
	}
	return cmp.Or(syncDir(s.opt.FS, s.dir), s.opt.FS.RemoveAll(filepath.Join(s.dir, "db.next")), s.opt.FS.RemoveAll(s.old()))
}

// tell gives OnPlaced the entries of an epoch from one position up to another.
func (s *Store) tell(epoch uint8, from, to uint64) error {
	for s.opt.OnPlaced != nil && from < to {
		var out []ledger.PlacedEntry
		for ; from < to && len(out) < restoreStep; from++ {
			e, err := s.placed(ledger.Reference(epoch, from))
			if err != nil {
				s.fail(err)
				return s.Err()
			}
			out = append(out, e)
		}
		s.opt.OnPlaced(out)
	}
	return nil
}

func (s *Store) placed(ref uint64) (p ledger.PlacedEntry, err error) {
	if p.Encoded, err = s.Entry(ref); err != nil {
		return p, err
	}
	if p.Entry, err = ledger.DecodeEntry(p.Encoded); err != nil {
		return p, fmt.Errorf("%s: %w", ledger.EntryName(ref), err)
	}
	if p.Entry.Kind != ledger.GenesisEntry {
		p.Batch, err = ledger.DecodeBatch(p.Entry.Batch)
	}
	return p, err
}

// summed reads and sums up what was read.
type summed struct {
	r   *bufio.Reader
	sum hash.Hash
}

// Read implements io.Reader.
func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	return n, err
}

// blob is the next bytes behind a length, nil for an end mark.
func (s *summed) blob(limit uint32) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(s, n[:]); err != nil {
		return nil, damaged(err)
	}
	l := binary.BigEndian.Uint32(n[:])
	if l == endMark {
		return nil, nil
	}
	if l > limit {
		return nil, errSnapshot
	}
	b := make([]byte, l)
	if _, err := io.ReadFull(s, b); err != nil {
		return nil, damaged(err)
	}
	return b, nil
}

// end compares the sum; nothing follows it.
func (s *summed) end() error {
	want, got := s.sum.Sum(nil), make([]byte, sha256.Size)
	if _, err := io.ReadFull(s.r, got); err != nil || !bytes.Equal(got, want) {
		return damaged(err)
	}
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		return damaged(err)
	}
	return nil
}
