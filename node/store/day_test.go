package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// command is what the group committed at a Raft index.
type command struct {
	index uint64
	bytes []byte
}

// script is a random day of five bureaux as the group's log has it, with what placing it in
// memory makes of it. Indexes have gaps, as where Raft's own entries stand.
type script struct {
	*ledgertest.Day
	rng      *rand.Rand
	chains   []*ledgertest.Chain
	log      []command
	sessions byte

	view    *ledger.MemoryView
	placed  []ledger.PlacedEntry
	replies [][]byte
	hashes  treeHashes
}

type treeHashes []tlog.Hash

func (h treeHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

const scriptBureaux, scriptElectors = 5, 60

// newScript has at least n commands: sessions, admissions (double ones too), releases,
// batches that come late, twice, with a bad signature, as a fork, and plain rubbish. Some
// batches are parked at its end.
func newScript(tb testing.TB, seed uint64, n int) *script {
	tb.Helper()
	s := &script{Day: ledgertest.NewDay(tb, scriptBureaux, scriptElectors, nil), rng: rand.New(rand.NewPCG(seed, 1)), view: ledger.NewMemoryView()}
	s.keep(tb, ledger.Begin(s.Group, s.view))
	for i := range scriptBureaux {
		s.chains = append(s.chains, nil)
		s.session(tb, i, nil)
	}
	for len(s.log) < n {
		s.act(tb, s.rng.IntN(scriptBureaux))
	}
	for i, c := range s.chains {
		late := c.Sign(s.body(i))
		for range 3 {
			s.propose(tb, c.Sign(s.body(i)).Encode())
		}
		if i%2 == 0 {
			s.propose(tb, late.Encode())
		}
	}
	return s
}

func (s *script) session(tb testing.TB, i int, continues *ledger.Head) {
	s.sessions++
	c := s.Session(ledger.BureauNumber(i+1), s.sessions)
	if continues != nil {
		c.At.Previous = continues.Hash
	}
	s.chains[i] = c
	s.propose(tb, c.Sign(&ledger.SessionOpened{Generation: 1, Media: 3, Continues: continues}).Encode())
}

func (s *script) body(i int) ledger.Body {
	e := s.rng.IntN(scriptElectors)
	switch s.rng.IntN(5) {
	case 0:
		return &ledger.Release{Right: ledger.Right{Elector: ledgertest.Elector(e), Kind: ledger.Admit}, To: ledger.BureauNumber(1 + (i+1)%scriptBureaux)}
	case 1:
		return &ledger.AttemptRefused{Elector: ledgertest.Elector(e), Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Attester: 3}
	case 2:
		return &ledger.ProxyAdmission{Holder: ledgertest.Elector(e), Principal: ledgertest.Elector((e + 5) % scriptElectors), Form: []byte("F-1"), Reason: 1, Evidence: 1, Means: ledger.ByCard, Attester: 2}
	}
	return ledgertest.Admission(e)
}

func (s *script) act(tb testing.TB, i int) {
	c := s.chains[i]
	var bodies []ledger.Body
	for range 1 + s.rng.IntN(4) {
		bodies = append(bodies, s.body(i))
	}
	switch s.rng.IntN(12) {
	case 0: // the later one first
		early := c.Sign(bodies...).Encode()
		s.propose(tb, c.Sign(s.body(i)).Encode())
		s.propose(tb, early)
	case 1: // again, whatever it was
		s.propose(tb, s.log[s.rng.IntN(len(s.log))].bytes)
	case 2:
		bad := c.Sign(bodies...).Encode()
		s.propose(tb, damage(bad))
		s.propose(tb, bad)
	case 3:
		s.propose(tb, fmt.Appendf(nil, "rubbish %d", s.rng.Uint64()))
	case 4:
		if s.rng.IntN(4) > 0 {
			return
		}
		head, fork := c.Head(), *c
		s.propose(tb, c.Sign(bodies...).Encode())
		s.propose(tb, fork.Sign(&ledger.Incident{Code: 4}).Encode())
		s.session(tb, i, head)
	default:
		s.propose(tb, c.Sign(bodies...).Encode())
	}
}

// damage changes one bit of an encoded batch's signature.
func damage(batch []byte) []byte {
	out := append([]byte(nil), batch...)
	out[130+7] ^= 4
	return out
}

func (s *script) propose(tb testing.TB, b []byte) {
	tb.Helper()
	index := uint64(3)
	if len(s.log) > 0 {
		index = s.log[len(s.log)-1].index + 1
		if s.rng.IntN(9) == 0 {
			index += 1 + s.rng.Uint64N(3)
		}
	}
	s.log = append(s.log, command{index, b})
	ans := ledger.Answer{Status: ledger.Rejected, Reason: ledger.Malformed}
	if batch, err := ledger.DecodeBatch(b); err == nil {
		ans.Reason = ledger.NotSigned
		if batch.Verify(s.Group) == nil {
			var placed []ledger.PlacedEntry
			ans, placed = ledger.Place(s.Group, s.view, batch)
			s.keep(tb, placed...)
		}
	}
	s.replies = append(s.replies, ans.Encode())
}

func (s *script) keep(tb testing.TB, placed ...ledger.PlacedEntry) {
	for _, p := range placed {
		hs, err := tlog.StoredHashes(int64(p.Entry.Position), p.Encoded, s.hashes)
		if err != nil {
			tb.Fatal(err)
		}
		s.hashes, s.placed = append(s.hashes, hs...), append(s.placed, p)
	}
}

func (s *script) last() uint64 { return s.log[len(s.log)-1].index }

// from is the log from the command with an index on, or the next one.
func (s *script) from(index uint64) []command {
	for i, c := range s.log {
		if c.index >= index {
			return s.log[i:]
		}
	}
	return nil
}

// apply applies commands in calls of at most the length that size gives. done, if given, is
// told the replies to each call.
func apply(s *Store, log []command, size func() int, done func(first uint64, replies [][]byte)) {
	for len(log) > 0 {
		n := 1
		for most := size(); n < most && n < len(log) && log[n].index == log[0].index+uint64(n); {
			n++
		}
		var bs [][]byte
		for _, c := range log[:n] {
			bs = append(bs, c.bytes)
		}
		replies := s.Apply(log[0].index, bs)
		if done != nil {
			done(log[0].index, replies)
		}
		log = log[n:]
	}
}

func each() int { return 1 }

func all() int { return 1 << 30 }

func upTo(rng *rand.Rand, n int) func() int { return func() int { return 1 + rng.IntN(n) } }

// pairs is the whole database but for the numbers of its steps: they say how the log was
// split into calls.
func pairs(tb testing.TB, s *Store) map[string]string {
	tb.Helper()
	out, err := readPairs(s)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func readPairs(s *Store) (map[string]string, error) {
	out := map[string]string{}
	err := s.read(func(r pebble.Reader) error {
		return scan(r, nil, nil, func(k, v []byte) bool {
			if k[0] != keyStep {
				out[string(k)] = string(v)
			}
			return true
		})
	})
	return out, err
}

// same compares two databases.
func same(tb testing.TB, got, want map[string]string) {
	tb.Helper()
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			tb.Fatalf("key %x: %x (there %t), want %x", k, g, ok, v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			tb.Fatalf("key %x is too many", k)
		}
	}
}

// agrees compares a store with what placing the first commands in memory makes.
func (s *script) agrees(tb testing.TB, got *Store) {
	tb.Helper()
	if err := got.Err(); err != nil {
		tb.Fatal(err)
	}
	if h, want := got.Head(), ledger.ReadHead(s.view); h != want {
		tb.Fatalf("head %+v, want %+v", h, want)
	}
	if got.Applied() != s.last() {
		tb.Fatalf("applied to %d, want %d", got.Applied(), s.last())
	}
	for i, p := range s.placed {
		e, err := got.Entry(uint64(i))
		if err != nil || string(e) != string(p.Encoded) {
			tb.Fatalf("entry %d: %x, %v, want %x", i, e, err, p.Encoded)
		}
	}
	for size := range uint64(len(s.placed) + 1) {
		want, err := tlog.TreeHash(int64(size), s.hashes)
		if err != nil {
			tb.Fatal(err)
		}
		if root, err := got.Root(size); err != nil || root != ledger.Hash(want) {
			tb.Fatalf("root of %d: %v, %v, want %v", size, root, err, want)
		}
	}
	views := map[string]string{}
	for k, v := range pairs(tb, got) {
		if k[0] == keyView {
			views[k[1:]] = v
		}
	}
	want := map[string]string{}
	for kind := range 256 {
		s.view.Range([]byte{byte(kind)}, func(k, v []byte) bool { want[string(k)] = string(v); return true })
	}
	same(tb, views, want)
}

func (s *script) open(tb testing.TB, opt Options) *Store {
	tb.Helper()
	if opt.FS == nil {
		opt.FS = vfs.NewMem()
	}
	st, err := Open("ledger", s.Group, opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := st.Close(); err != nil {
			tb.Error(err)
		}
	})
	return st
}
