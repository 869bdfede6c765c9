package store

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// Apply gives committed commands their places; commands[i] has Raft index first+i. Each
// reply is an encoded ledger.Answer, alike at every member; a command that was applied
// before has no effect and no reply. All goes into one batch of the database with the
// index in it. That is not synced: Raft's log has the commands, and after a power cut
// Applied says from where they are to be applied again.
//
// A store that can't go on takes nothing and replies nothing. It does not panic, as other
// bureaux may be at work in the process: the owner, who watches Failed, leaves the group.
func (s *Store) Apply(first uint64, commands [][]byte) [][]byte {
	replies, placed, err := s.apply(first, commands)
	if err != nil {
		if !s.isClosing() {
			s.fail(err)
		}
		return make([][]byte, len(commands))
	}
	if s.opt.OnPlaced != nil && len(placed) > 0 {
		s.opt.OnPlaced(placed)
	}
	return replies
}

func (s *Store) apply(first uint64, commands [][]byte) (replies [][]byte, placed []ledger.PlacedEntry, err error) {
	defer s.recovered(&err)
	replies = make([][]byte, len(commands))
	applied := s.Applied()
	skip := 0
	if applied >= first {
		skip = int(min(applied-first+1, uint64(len(commands))))
	}
	if skip == len(commands) {
		return replies, nil, nil
	}
	err = s.read(func(pebble.Reader) error {
		written := 0
		placed, written, err = s.take(first+uint64(skip), commands[skip:], replies[skip:])
		if err != nil {
			return err
		}
		if err := s.pace.wrote(s.db, written, s.failed); err != nil {
			s.fail(err) // what is published is told all the same
		}
		return nil
	})
	return replies, placed, err
}

// cores are the turns of the stores of one process. Without them a hundred bureaux on two cores, each at work on
// the same commands, leave all else in the process, heartbeats first, behind a hundred turns of the scheduler.
var cores = make(chan struct{}, runtime.GOMAXPROCS(0))

// take gives new commands their places, fills in their replies and publishes; written is the bytes of it.
func (s *Store) take(first uint64, commands, replies [][]byte) (placed []ledger.PlacedEntry, written int, err error) {
	cores <- struct{}{}
	defer func() { <-cores }()
	end := s.end
	t := newStep(s.g, s.db, &end)
	defer t.b.Close()
	for i, c := range s.verify(commands) {
		ans := ledger.Answer{Status: ledger.Rejected, Reason: c.reason}
		if c.batch != nil {
			ans, _ = t.place(c.batch)
		}
		replies[i] = ans.Encode()
	}
	applied := first + uint64(len(commands)) - 1
	if err := s.Err(); err != nil {
		return nil, 0, err
	}
	if err := t.commit(applied, pebble.NoSync); err != nil {
		return nil, 0, err
	}
	// Pebble does not know that the commit went nowhere.
	if err := s.Err(); err != nil {
		return nil, 0, err
	}
	s.end = end
	s.publish(t.head(), applied)
	return t.placed, t.b.Len(), nil
}

// recovered makes an error of a panic: a broken invariant of the ledger stops this replica
// as a fault of its disk does, and not the process.
func (s *Store) recovered(err *error) {
	r := recover()
	if r == nil {
		return
	}
	if bad, ok := r.(fault); ok {
		*err = bad.err
		return
	}
	s.opt.Logger.Error("broken invariant", "stack", string(debug.Stack()))
	*err = fmt.Errorf("broken invariant: %v", r)
}

// step is a stretch of the chain in the making: it reaches the database whole, or not
// at all.
type step struct {
	g      *ledger.Group
	v      *view
	end    *end
	b      *pebble.Batch
	placed []ledger.PlacedEntry
}

// newStep goes on from what the database holds; end is the chain's, or the zero one of an
// empty database, and moves.
func newStep(g *ledger.Group, db *database, end *end) *step {
	if end.memory == nil {
		end.memory, end.filter = newMemory(), newFilter()
	}
	v := &view{r: db, changes: map[string][]byte{}, memory: end.memory, filter: end.filter}
	return &step{g: g, v: v, end: end, b: db.NewBatch()}
}

func (t *step) head() ledger.ChainHead { return ledger.ReadHead(t.v) }

// begin places the first genesis, in an empty database.
func (t *step) begin(chain []byte) {
	t.put(metaKey(metaFormat), binary.BigEndian.AppendUint64(nil, format))
	t.put(metaKey(metaChain), chain)
	t.add([]ledger.PlacedEntry{ledger.Begin(t.g, t.v)})
}

// beginEpoch places the genesis of the next epoch; the chain must stand where its seed does.
func (t *step) beginEpoch(seed *ledger.Seed) error {
	e, err := ledger.BeginEpoch(t.g, t.v, seed, t.end.tree.root(t.head().Size))
	if err != nil {
		return err
	}
	t.end.tree = edge{}
	t.add([]ledger.PlacedEntry{e})
	return nil
}

// place places a verified batch and those that waited for it.
func (t *step) place(b *ledger.Batch) (ledger.Answer, []ledger.PlacedEntry) {
	ans, placed := ledger.Place(t.g, t.v, b)
	t.add(placed)
	return ans, placed
}

// add stores entries with their hashes and the look-ups of their statements.
func (t *step) add(entries []ledger.PlacedEntry) {
	epoch := t.head().Epoch
	for i, e := range entries {
		pos, leaf := e.Entry.Position, ledger.Hash{}
		if i+1 < len(entries) {
			leaf = entries[i+1].Entry.Previous
		} else {
			leaf = t.head().Last
		}
		ref := ledger.Reference(epoch, pos)
		t.put(entryKey(ref), e.Encoded)
		at := tlog.StoredHashIndex(0, int64(pos))
		for j, h := range t.end.tree.grow(pos, leaf) {
			t.put(hashKey(epoch, at+int64(j)), h[:])
		}
		if e.Batch == nil {
			continue
		}
		t.put(bureauKey(e.Batch.Header.Author.Bureau, ref), nil)
		for j, st := range e.Batch.Statements {
			t.put(timeKey(st.Time, ref, j), nil)
			for _, elector := range electors(st.Body) {
				t.put(tokenKey(elector, ref, j), nil)
			}
		}
	}
	t.placed = append(t.placed, entries...)
}

func (t *step) put(key, value []byte) {
	if err := t.b.Set(key, value, nil); err != nil {
		panic(fault{fmt.Errorf("write ledger: %w", err)})
	}
}

// commit writes the step with the index of the last command in it.
func (t *step) commit(applied uint64, how *pebble.WriteOptions) error {
	t.put(metaKey(metaIndex), binary.BigEndian.AppendUint64(nil, applied))
	t.put(stepKey(t.end.steps), nil)
	t.end.steps++
	if err := t.v.write(t.b); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if err := t.b.Commit(how); err != nil {
		return fmt.Errorf("commit ledger at index %d: %w", applied, err)
	}
	t.v.written()
	return nil
}

// electors are the tokens that a body names, each once.
func electors(body ledger.Body) (out []ledger.ElectorToken) {
	if a, ok := body.(*ledger.AttemptRefused); ok {
		return []ledger.ElectorToken{a.Elector}
	}
	for _, x := range ledger.Touches(body) {
		if len(out) == 0 || out[0] != x.Elector {
			out = append(out, x.Elector)
		}
	}
	return out
}
