package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"pointage/ledger"
)

// held is one record of the union.
type held struct {
	at spans
	// node is the batch's place among the chains; nil for the other kinds.
	node *node
}

// union is what all attached media hold together. Opening owns it.
type union struct {
	opt *Options
	// records by the SHA-256 of their plain text, order as first met: by member, then by place.
	records map[[32]byte]*held
	order   []*held
	nodes   map[ledger.Hash]*node
	notes   map[string]note
	rounds  map[ledger.SessionID]uint64
	newest  uint64 // the highest round
	// inherited are the batches of incarnations before, each once, in the order of records.
	inherited []inheritance
	known     map[ledger.Hash]bool
}

// inheritance is a batch of an incarnation before.
type inheritance struct {
	id   ledger.Hash
	held *held
}

func newUnion(o *Options) *union {
	return &union{
		opt: o, records: map[[32]byte]*held{}, nodes: map[ledger.Hash]*node{},
		notes: map[string]note{}, rounds: map[ledger.SessionID]uint64{}, known: map[ledger.Hash]bool{},
	}
}

// add takes one record that stands on a member. A record that opens but is none of this
// program's, or a batch that is not this machine's own, can only be a newer
// program's or the work of somebody who has the journal's key: neither is passed over.
func (u *union) add(member int, off int64, size int, plain []byte) error {
	sum := sha256.Sum256(plain)
	h := u.records[sum]
	if h == nil {
		r, err := decodeRecord(plain)
		if err != nil {
			return err
		}
		h = new(held)
		if err := u.take(h, r); err != nil {
			return err
		}
		u.records[sum], u.order = h, append(u.order, h)
	}
	h.at[member].off, h.at[member].n = off, int32(size)
	return nil
}

func (o *Options) check(b *ledger.Batch) error {
	if o.verify != nil {
		return o.verify(b)
	}
	return b.Verify(o.Group)
}

func (u *union) take(h *held, r record) error {
	switch r.kind {
	case noteRecord:
		if old, ok := u.notes[r.note.key]; !ok || r.note.newer(&old) {
			u.notes[r.note.key] = r.note
		}
	case roundRecord:
		u.rounds[r.round.session] = max(u.rounds[r.round.session], r.round.number)
		u.newest = max(u.newest, r.round.number)
	case batchRecord, inheritedRecord:
		b := r.batch.batch
		a := b.Header.Author
		own := a.Incarnation == u.opt.Incarnation && r.kind == batchRecord
		before := a.Incarnation < u.opt.Incarnation && r.kind == inheritedRecord
		if a.Bureau != u.opt.Bureau || !own && !before {
			return fmt.Errorf("%w: a batch of %v", errRecord, a)
		}
		if err := u.opt.check(b); err != nil {
			return fmt.Errorf("%w: a batch of %v: %w", errRecord, a, err)
		}
		id := b.Header.Identity()
		if before {
			if !u.known[id] {
				u.known[id], u.inherited = true, append(u.inherited, inheritance{id, h})
			}
			return nil
		}
		if n := u.nodes[id]; n != nil {
			h.node = n // the same batch under other exact times: the first stands
			return nil
		}
		h.node = newNode(id, b)
		h.node.held = h
		u.nodes[id] = h.node
	}
	return nil
}

// scanned is what one reading of a medium's records met.
type scanned struct {
	// end is the offset after the last good record, number the next record's.
	end    int64
	number uint64
	// size is the file's length; beyond end it is torn.
	size  int64
	found []Finding
}

// scan reads a medium's records into the union. Whatever does not open is skipped
// to the next record that does. The error is the operating system's, or that of a record
// that opens and must not be there.
func (m *medium) scan(u *union) (s scanned, err error) {
	if s.size, err = m.f.Size(); err != nil {
		return s, err
	}
	if m.limit > 0 {
		s.size = min(s.size, m.limit)
	}
	if s.size > maxFile {
		return s, fmt.Errorf("%d bytes of records, at most %d", s.size, maxFile)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(m.f, 0, s.size), 2*maxFrame)
	for at := int64(0); at < s.size; {
		b, err := in.Peek(int(min(int64(maxFrame), s.size-at)))
		if err != nil && !errors.Is(err, io.EOF) {
			return s, err
		}
		if len(b) == 0 {
			return s, fmt.Errorf("the file ends at %d, it had %d bytes", at, s.size)
		}
		step := skip(b)
		// A number below the next one is a record out of its place: damage.
		if number, plain, size, ok := m.seal.openFrame(b); ok && number >= s.number {
			if err := u.add(m.member, at, size, plain); err != nil {
				return s, fmt.Errorf("record %d at %d: %w", number, at, err)
			}
			if at > s.end || number > s.number {
				s.found = append(s.found, Finding{
					Kind: DamagedRecord, Member: m.member, Offset: s.end, Bytes: at - s.end,
					What: fmt.Sprintf("%d bytes at %d are bad, %d records are missing there: the other media's are taken", at-s.end, s.end, number-s.number),
				})
			}
			s.end, s.number, step = at+int64(size), number+1, size
		}
		n, err := in.Discard(step)
		if at += int64(n); err != nil {
			return s, err
		}
	}
	if s.size > s.end {
		s.found = append(s.found, Finding{
			Kind: TornTail, Member: m.member, Offset: s.end, Bytes: s.size - s.end,
			What: fmt.Sprintf("%d bytes after the last good record are cut off, as a crash leaves them", s.size-s.end),
		})
	}
	return s, nil
}

// skip is how far the next place is where a record may begin.
func skip(b []byte) int {
	if i := bytes.Index(b[1:], []byte(frameMagic)); i >= 0 {
		return 1 + i
	}
	return max(1, len(b)-len(frameMagic)+1)
}
