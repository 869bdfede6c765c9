package platform

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// An Intake says where the platform's copy of a ledger stands: upload from Size of Epoch on.
type Intake struct {
	Epoch uint8  `json:"epoch"`
	Size  uint64 `json:"size"`
	Root  string `json:"root,omitempty"` // base64; of Size entries
	// Refused says why an upload was not taken.
	Refused string `json:"refused,omitempty"`
}

func conflict(why string, at Intake, line string) *outcome {
	at.Refused = line
	out := answerJSON(http.StatusConflict, at)
	out.refused, out.why = true, why
	return out
}

// uploadEntries is PUT /communes/{ins}/ledger/{epoch}/entries?from=N: an entry bundle (uint16
// length, bytes) of the entries from N on. What is here already must be the same, so that an
// upload can be repeated; the others are placed again by the ledger's rules before they are taken,
// all of them or none.
func (rg *Region) uploadEntries(c *call) (*outcome, error) {
	epoch, err1 := strconv.ParseUint(c.r.PathValue("epoch"), 10, 8)
	from, err2 := strconv.ParseUint(c.r.URL.Query().Get("from"), 10, 56)
	if err1 != nil || err2 != nil || epoch > ledger.MaxEpoch || from > ledger.MaxEntries {
		return refuse(http.StatusBadRequest, "malformed", "epoch and from are numbers: ledger/<epoch>/entries?from=<first>"), nil
	}
	raw, out := c.body(MaxEntriesUpload)
	if out != nil {
		return out, nil
	}
	entries, err := splitUpload(raw)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "no bundle", err.Error()), nil
	}
	l := rg.communes[c.commune]
	l.mu.Lock()
	c.ends = append(c.ends, l.mu.Unlock)
	in := &intake{rg: rg, l: l, epoch: uint8(epoch), view: rg.view(l), fresh: map[int64]tlog.Hash{}, generation: l.generation, presence: map[uint16]ledger.Presence{}}
	entries, out, err = in.overlap(from, entries)
	if out != nil || err != nil {
		return out, err
	}
	if out, err := in.place(entries); out != nil || err != nil {
		return out, err
	}
	return in.settled(entries)
}

// splitUpload is the entries of a bundle of any number.
func splitUpload(raw []byte) ([][]byte, error) {
	var out [][]byte
	for len(raw) > 0 {
		if len(raw) < 2 || len(raw) < 2+int(binary.BigEndian.Uint16(raw)) {
			return nil, errors.New("the bundle is cut short: send it again")
		}
		n := int(binary.BigEndian.Uint16(raw))
		out, raw = append(out, raw[2:2+n]), raw[2+n:]
	}
	if len(out) == 0 || len(out) > MaxUploadCount {
		return nil, fmt.Errorf("%d entries, 1 to %d", len(out), MaxUploadCount)
	}
	return out, nil
}

// intake is one upload in the making; its commune's ledger is locked.
type intake struct {
	rg         *Region
	l          *communeLedger
	epoch      uint8
	size       uint64 // of the epoch, so far
	began      uint64 // before this upload
	view       *ledgerView
	generation uint32 // of the view, above the ledger's after a recovery
	fresh      map[int64]tlog.Hash
	presence   map[uint16]ledger.Presence
	anchored   []*ledger.Anchored
}

func (in *intake) at() Intake { return Intake{Epoch: in.epoch, Size: in.size} }

// overlap compares what is here already, and leaves what is new.
func (in *intake) overlap(from uint64, entries [][]byte) ([][]byte, *outcome, error) {
	head := ledger.ReadHead(in.view)
	var err error
	if in.size, err = in.rg.held(in.l.ins, in.epoch); err != nil {
		return nil, nil, err
	}
	in.began = in.size
	if in.epoch > head.Epoch+1 || in.epoch > 0 && head.Size == 0 {
		return nil, conflict("epoch", Intake{Epoch: head.Epoch, Size: head.Size}, "an epoch before is missing: upload it first"), nil
	}
	if from > in.size {
		return nil, conflict("gap", in.at(), fmt.Sprintf("%d entries are here: go on from there", in.size)), nil
	}
	for len(entries) > 0 && from < in.size {
		have, err := in.rg.entryAt(in.l.ins, in.epoch, from)
		if err != nil {
			return nil, nil, err
		}
		if !bytes.Equal(have, entries[0]) {
			out := conflict("fork", in.at(), fmt.Sprintf("another entry %d is here: the two ledgers are not the same, call the college of experts", from))
			out.content = fmt.Sprintf("%d %v", from, ledger.LeafHash(entries[0]))
			return nil, out, nil
		}
		from, entries = from+1, entries[1:]
	}
	if in.epoch < head.Epoch && len(entries) > 0 {
		return nil, conflict("epoch", Intake{Epoch: head.Epoch, Size: head.Size}, "this epoch is over: upload the next one"), nil
	}
	return entries, nil, nil
}

// place places each entry again: the rules must make these very bytes.
func (in *intake) place(entries [][]byte) (*outcome, error) {
	for i, raw := range entries {
		p, err := in.placeOne(raw)
		if err != nil {
			out := refuse(http.StatusUnprocessableEntity, "rules", fmt.Sprintf("%s: %v", ledger.EntryName(ledger.Reference(in.epoch, in.size)), err))
			out.content = fmt.Sprintf("%d %v", in.size, ledger.LeafHash(raw))
			return out, nil
		}
		leaf := tlog.Hash(ledger.LeafHash(raw))
		hashes, err := tlog.StoredHashesForRecordHash(int64(in.size), leaf, in.rg.tree(in.l.ins, in.epoch, in.fresh))
		if err != nil {
			return nil, fmt.Errorf("tree at entry %d: %w", in.size, err)
		}
		at := tlog.StoredHashIndex(0, int64(in.size))
		for j, h := range hashes {
			in.fresh[at+int64(j)] = h
		}
		in.size++
		in.attend(&p)
		if in.size > ledger.MaxEntries {
			return refuse(http.StatusUnprocessableEntity, "full", fmt.Sprintf("entry %d: an epoch has at most %d", i, ledger.MaxEntries)), nil
		}
	}
	return nil, nil
}

func (in *intake) placeOne(raw []byte) (ledger.PlacedEntry, error) {
	if in.size > 0 || in.epoch == 0 {
		return ledger.Replay(in.l.group, in.view, raw)
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return ledger.PlacedEntry{}, err
	}
	if e.Kind != ledger.GenesisEntry || e.Genesis.Epoch != in.epoch {
		return ledger.PlacedEntry{}, errors.New("an epoch begins with its genesis")
	}
	seed, err := ledger.DecodeSeed(e.Genesis.Seed)
	if err != nil {
		return ledger.PlacedEntry{}, err
	}
	c, err := in.l.group.CheckSeed(in.epoch, seed)
	if err != nil {
		return ledger.PlacedEntry{}, err
	}
	if err := in.rewind(c.Size); err != nil {
		return ledger.PlacedEntry{}, err
	}
	p, err := in.begin(seed, c.Size)
	if err == nil && !bytes.Equal(p.Encoded, raw) {
		err = errors.New("the genesis is bound to another manifest, roll, commune or seed")
	}
	return p, err
}

// begin places the genesis that goes on from the first size entries of the epoch before.
func (in *intake) begin(seed *ledger.Seed, size uint64) (ledger.PlacedEntry, error) {
	root, err := tlog.TreeHash(int64(size), in.rg.tree(in.l.ins, ledger.ReadHead(in.view).Epoch, nil))
	if err != nil {
		return ledger.PlacedEntry{}, err
	}
	return ledger.BeginEpoch(in.l.group, in.view, seed, ledger.Hash(root))
}

// rewind makes the view anew where the new epoch goes on from fewer entries than are here; those
// behind stay in the database, as what was lost.
func (in *intake) rewind(size uint64) error {
	head := ledger.ReadHead(in.view)
	if size > head.Size {
		return fmt.Errorf("it goes on from %d entries of the epoch before, %d are here: upload the others first", size, head.Size)
	}
	if size == head.Size {
		return nil
	}
	in.generation++
	in.view = newLedgerView(in.rg.st, in.l.ins, in.generation)
	for epoch := range head.Epoch + 1 {
		if err := in.again(epoch, head.Epoch, size); err != nil {
			return err
		}
	}
	return nil
}

// again replays an epoch from the database up to where the next goes on: size for the last one.
func (in *intake) again(epoch, last uint8, size uint64) error {
	if epoch < last {
		_, s, err := in.rg.seedOf(in.l, epoch+1)
		if err != nil {
			return err
		}
		size = s
	}
	for n := range size {
		if n == 0 && epoch > 0 {
			seed, before, err := in.rg.seedOf(in.l, epoch)
			if err == nil {
				_, err = in.begin(seed, before)
			}
			if err != nil {
				return err
			}
			continue
		}
		raw, err := in.rg.entryAt(in.l.ins, epoch, n)
		if err == nil {
			_, err = ledger.Replay(in.l.group, in.view, raw)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ledger.EntryName(ledger.Reference(epoch, n)), err)
		}
	}
	return nil
}

// seedOf is what an epoch that is here goes on from, and how many entries that has.
func (rg *Region) seedOf(l *communeLedger, epoch uint8) (*ledger.Seed, uint64, error) {
	raw, err := rg.entryAt(l.ins, epoch, 0)
	if err != nil {
		return nil, 0, err
	}
	e, err := ledger.DecodeEntry(raw)
	if err != nil {
		return nil, 0, err
	}
	seed, err := ledger.DecodeSeed(e.Genesis.Seed)
	if err != nil {
		return nil, 0, err
	}
	c, err := l.group.CheckSeed(epoch, seed)
	return seed, c.Size, err
}

// attend notes what a bureau's president says of convened members (decree, art. 8 §1), and what
// the principal bureau says was anchored.
func (in *intake) attend(p *ledger.PlacedEntry) {
	if p.Batch == nil || p.Entry.Kind != ledger.BatchEntry {
		return
	}
	for i, s := range p.Batch.Statements {
		if !p.Entry.Verdicts[i].Clean() {
			continue
		}
		switch a := s.Body.(type) {
		case *ledger.Attendance:
			in.presence[a.Member] = a.Presence
		case *ledger.Anchored:
			in.anchored = append(in.anchored, a)
		}
	}
}

// settled holds what the platform would hold against every checkpoint that it has cosigned, and
// takes the upload.
func (in *intake) settled(entries [][]byte) (*outcome, error) {
	root, err := tlog.TreeHash(int64(in.size), in.rg.tree(in.l.ins, in.epoch, in.fresh))
	if err != nil {
		return nil, fmt.Errorf("tree of %d entries: %w", in.size, err)
	}
	out := answerJSON(http.StatusOK, Intake{Epoch: in.epoch, Size: in.size, Root: base64.StdEncoding.EncodeToString(root[:])})
	if len(entries) == 0 {
		out.quiet = true // told before
		return out, nil
	}
	for _, a := range in.anchored {
		if err := in.rg.learnAnchored(in.l.group, a); err != nil {
			return nil, err
		}
	}
	size, err := in.disagrees()
	if err != nil {
		return nil, err
	}
	if size > 0 {
		out := conflict("not what was anchored", Intake{Epoch: in.epoch, Size: in.began},
			fmt.Sprintf("the checkpoint of %d entries that was anchored here has another root: these are not its entries, call the college of experts", size))
		out.content = fmt.Sprintf("%d %v", size, ledger.Hash(root))
		return out, nil
	}
	out.count = len(entries)
	out.content = fmt.Sprintf("epoch %d size %d root %v", in.epoch, in.size, ledger.Hash(root))
	out.change = func(b *pebble.Batch) error { return in.write(b, entries) }
	out.after = func() { in.l.generation = in.generation }
	return out, nil
}

// disagrees is the size of a cosigned checkpoint that the entries contradict, 0 when none does.
func (in *intake) disagrees() (size uint64, err error) {
	origin := in.l.group.Origin(in.epoch)
	stop := errors.New("found")
	err = in.rg.st.scan(logKey('i', origin), func(key, root []byte) error {
		n := binary.BigEndian.Uint64(key[len(key)-8:])
		if n <= in.began || n > in.size {
			return nil
		}
		have, err := tlog.TreeHash(int64(n), in.rg.tree(in.l.ins, in.epoch, in.fresh))
		if err != nil {
			return err
		}
		if !bytes.Equal(have[:], root) {
			size = n
			return stop
		}
		return nil
	})
	if errors.Is(err, stop) {
		err = nil
	}
	return size, err
}

func (in *intake) write(b *pebble.Batch, entries [][]byte) error {
	c := in.l.ins
	errs := []error{in.view.write(b), b.Set(ledgerKey('z', c, in.epoch), be64(in.size), nil)}
	for i, raw := range entries {
		n := in.size - uint64(len(entries)) + uint64(i)
		errs = append(errs, b.Set(ledgerKey('e', c, be64(ledger.Reference(in.epoch, n))...), raw, nil))
	}
	key := ledgerHashKey(c, in.epoch)
	for index, h := range in.fresh {
		errs = append(errs, b.Set(key(index), h[:], nil))
	}
	for m, p := range in.presence {
		errs = append(errs, b.Set(ledgerKey('a', c, binary.BigEndian.AppendUint16(nil, m)...), []byte{byte(p)}, nil))
	}
	if in.generation != in.l.generation {
		old := newLedgerView(in.rg.st, c, in.l.generation).prefix
		errs = append(errs, b.DeleteRange(old, prefixEnd(old), nil), b.Set(ledgerKey('m', c), binary.BigEndian.AppendUint32(nil, in.generation), nil))
	}
	return errors.Join(errs...)
}
