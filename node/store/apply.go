package store

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// Apply gives committed commands their places; commands[i] has Raft index first+i. Each
// reply is an encoded ledger.Answer, alike at every member. All goes into one batch of the
// database with the index in it. The batch is not synced: Raft's log has the commands, and
// after a power cut Applied says from where they are to be applied again. What was
// applied before gets its answer again and has no effect.
//
// A fault here stops the replica: it panics after Failed is closed.
func (s *Store) Apply(first uint64, commands [][]byte) [][]byte {
	verified := s.verify(commands)
	replies := make([][]byte, len(commands))
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		panic("apply to a closed ledger")
	}
	b := s.db.NewIndexedBatch()
	defer b.Close()
	v := &view{b}
	applied := s.Applied()
	var placed []ledger.PlacedEntry
	for i, c := range verified {
		var ans ledger.Answer
		if c.batch == nil {
			ans = ledger.Answer{Status: ledger.Rejected, Reason: c.reason}
		} else if first+uint64(i) <= applied {
			ans = ledger.Reanswer(v, c.batch)
		} else {
			var out []ledger.PlacedEntry
			ans, out = ledger.Place(s.g, v, c.batch)
			for _, e := range out {
				s.index(v, e)
			}
			placed = append(placed, out...)
		}
		replies[i] = ans.Encode()
	}
	s.commit(v, max(applied, first+uint64(len(commands))-1), placed)
	return replies
}

func (s *Store) commit(v *view, applied uint64, placed []ledger.PlacedEntry) {
	v.put(metaKey(metaIndex), binary.BigEndian.AppendUint64(nil, applied))
	head := ledger.ReadHead(v)
	if err := v.batch().Commit(pebble.NoSync); err != nil {
		s.fail(err)
		panic(fmt.Sprintf("commit ledger at index %d: %v", applied, err))
	}
	s.publish(head, applied)
	if s.opt.OnPlaced != nil && len(placed) > 0 {
		s.opt.OnPlaced(placed)
	}
}

// index stores an entry with its hashes and the look-ups of its statements.
func (s *Store) index(v *view, e ledger.PlacedEntry) {
	pos := e.Entry.Position
	v.put(entryKey(pos), e.Encoded)
	hs, err := tlog.StoredHashes(int64(pos), e.Encoded, hashes{v.r})
	if err != nil {
		panic(fmt.Sprintf("tree at entry %d: %v", pos, err))
	}
	at := tlog.StoredHashIndex(0, int64(pos))
	for i, h := range hs {
		v.put(hashKey(at+int64(i)), h[:])
	}
	if e.Batch == nil {
		return
	}
	v.put(bureauKey(e.Batch.Header.Author.Bureau, pos), nil)
	for i, st := range e.Batch.Statements {
		v.put(timeKey(st.Time, pos, i), nil)
		for _, t := range electors(st.Body) {
			v.put(tokenKey(t, pos, i), nil)
		}
	}
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

// hashes reads stored hashes through a batch being made.
type hashes struct{ r pebble.Reader }

// ReadHashes implements tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) { return readHashes(h.r, indexes) }

// checked is a command that was decoded and whose signature holds, or the reason why
// it has no batch.
type checked struct {
	batch  *ledger.Batch
	reason ledger.Reason
}

// verify decodes the commands and checks their signatures, on all cores.
func (s *Store) verify(commands [][]byte) []checked {
	out := make([]checked, len(commands))
	if len(commands) == 1 {
		out[0] = s.check(commands[0])
		return out
	}
	workers := min(runtime.GOMAXPROCS(0), len(commands))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(commands); i += workers {
				out[i] = s.check(commands[i])
			}
		})
	}
	wg.Wait()
	return out
}

func (s *Store) check(command []byte) checked {
	b, err := ledger.DecodeBatch(command)
	if err != nil {
		return checked{reason: ledger.Malformed}
	}
	if !s.opt.Verified.verify(b, s.g) {
		return checked{reason: ledger.NotSigned}
	}
	return checked{batch: b}
}

// maxVerified is how many batches a Verified remembers.
const maxVerified = 16 << 10

// Verified remembers batches whose signatures hold, so that the many bureaux of a
// simulated commune in one process check each once. A real bureau has none: it checks
// every signature itself.
type Verified struct {
	mu   sync.Mutex
	seen map[verifiedKey]bool
	// older is the generation before, dropped when seen is full.
	older map[verifiedKey]bool
}

type verifiedKey struct {
	identity  ledger.Hash
	signature [64]byte
}

// NewVerified is an empty memory.
func NewVerified() *Verified { return &Verified{seen: map[verifiedKey]bool{}} }

func (m *Verified) verify(b *ledger.Batch, g *ledger.Group) bool {
	if m == nil {
		return b.Verify(g) == nil
	}
	// The identity covers manifest, commune and author, and so the key.
	k := verifiedKey{b.Header.Identity(), b.Signature}
	m.mu.Lock()
	known := m.seen[k] || m.older[k]
	m.mu.Unlock()
	if known {
		return true
	}
	if b.Verify(g) != nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= maxVerified {
		m.older, m.seen = m.seen, map[verifiedKey]bool{}
	}
	m.seen[k] = true
	return true
}
