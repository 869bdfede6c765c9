package rights

import (
	"encoding/binary"
	"fmt"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// simSession is one session of a bureau. A clone shares those from before it was made.
type simSession struct {
	id      ledger.SessionID
	parent  *simSession
	opening *ledger.SessionOpened
	// next is the next sequence number, at the next batch's point; both in the chain, not in
	// the group.
	next uint64
	at   ledger.Point
	// placed is the group's next sequence number; continued: another session goes on from here.
	placed    uint64
	continued bool
}

// simStatement is a durable statement.
type simStatement struct {
	body    ledger.Body
	session *simSession
	// elector is -1 when there is none, flush the journal's write that carried it.
	elector, flush int32
	sequence       uint64
	at             int64
	// batch is its number among the machine's batches, -1 while it has none.
	batch   int32
	in      *ledger.Batch
	extract []byte
	// placed is its place in the group's order, -1 while it has none.
	placed  int32
	verdict ledger.Verdict
}

func (s *simStatement) id() ledger.StatementID {
	return ledger.StatementID{Session: s.session.id, Sequence: s.sequence}
}

// simChain is a bureau's chain on one machine: real batches, but signed only when something
// of them travels or the day is judged. Until then a statement's extract is a name of it.
type simChain struct {
	commune    *simCommune
	bureau     int
	log        []*simStatement
	sealed     int
	batches    []*ledger.Batch
	session    *simSession
	arena      []simStatement
	names      []byte
	signatures int
}

// simBatchRoom leaves room below ledger.MaxBatch for what size only estimates.
const simBatchRoom = ledger.MaxBatch * 3 / 4

// open begins a session; opened tells sessions of one bureau apart.
func (c *simChain) open(opened int, now int64) {
	before := c.session
	s := &simSession{id: ledger.SessionID{byte(c.bureau + 1), byte(opened >> 8), byte(opened)}, parent: before}
	s.opening = &ledger.SessionOpened{Generation: 1, Media: 7}
	if before != nil {
		c.seal(len(c.log))
		s.opening.Continues = &ledger.Head{Session: before.id, Next: before.at.Next, Hash: before.at.Previous}
		s.at.Previous = before.at.Previous
	}
	c.session = s
	c.add(s.opening, -1, 0, now)
}

// add joins a statement that is durable.
func (c *simChain) add(body ledger.Body, elector, flush int32, now int64) int {
	if len(c.arena) == cap(c.arena) {
		c.arena = make([]simStatement, 0, 512)
	}
	c.arena = append(c.arena, simStatement{
		body: body, session: c.session, sequence: c.session.next, elector: elector, flush: flush, at: now, batch: -1, placed: -1,
	})
	c.session.next++
	c.log = append(c.log, &c.arena[len(c.arena)-1])
	return len(c.log) - 1
}

// simNameLength is that of the name that stands for an extract nobody has asked for.
const simNameLength = 5

// name stands for the extract of the n-th statement.
func (c *simChain) name(n int) []byte {
	if cap(c.names)-len(c.names) < simNameLength {
		c.names = make([]byte, 0, 1024*simNameLength)
	}
	from := len(c.names)
	c.names = binary.BigEndian.AppendUint32(append(c.names, 'n'), uint32(n))
	return c.names[from:len(c.names):len(c.names)]
}

// real is the extract that a name stands for; an extract is itself.
func (c *simChain) real(x []byte) []byte {
	if len(x) != simNameLength || x[0] != 'n' {
		return x
	}
	n := int(binary.BigEndian.Uint32(x[1:]))
	s := c.log[n]
	if s.in == nil {
		c.seal(n + 1)
	}
	return s.encoded()
}

// encoded is the extract of a statement that is in a batch.
func (s *simStatement) encoded() []byte {
	if s.extract == nil {
		enc, err := s.in.Extract(int(s.sequence - s.in.Header.First)).Encode()
		if err != nil {
			panic(err)
		}
		s.extract = enc
	}
	return s.extract
}

// size is about what a statement takes in a batch, in bytes.
func (s *simStatement) size() int {
	switch b := s.body.(type) {
	case *ledger.Hold:
		return 128 + len(b.Release)
	case *ledger.Return:
		return 128 + len(b.Release)
	case *ledger.Restored:
		return 128 + len(b.Return)
	case *ledger.AttemptRefused:
		return 128 + len(b.Denial)
	}
	return 128
}

// seal makes batches of the statements below n.
func (c *simChain) seal(n int) {
	for c.sealed < n {
		from, s := c.sealed, c.log[c.sealed].session
		size := 0
		for c.sealed < n && c.sealed-from < ledger.MaxStatements && c.log[c.sealed].session == s {
			if size += c.log[c.sealed].size(); size > simBatchRoom {
				break
			}
			c.sealed++
		}
		b := c.sign(s, s.at, c.log[from:c.sealed])
		for _, st := range c.log[from:c.sealed] {
			st.batch, st.in = int32(len(c.batches)), b
		}
		s.at = ledger.Point{Next: b.Header.Next(), Previous: b.Header.Identity()}
		c.batches = append(c.batches, b)
	}
}

func (c *simChain) sign(s *simSession, at ledger.Point, log []*simStatement) *ledger.Batch {
	c.signatures++
	statements := make([]ledger.Statement, len(log))
	for i, st := range log {
		statements[i] = ledger.NewStatement(ledgertest.Opens+ledger.Instant(st.at), st.body)
	}
	b, err := ledger.Sign(c.commune.keys[c.bureau], c.commune.group, ledger.Author{Bureau: number(c.bureau), Session: s.id}, at, statements)
	if err != nil {
		panic(fmt.Sprintf("bureau %d: %v", number(c.bureau), err))
	}
	return b
}

// early is an extract of a statement that is not durable: what a bureau without R2 or R5 sends.
func (c *simChain) early(body ledger.Body, now int64) []byte {
	st := simStatement{body: body, at: now}
	b := c.sign(c.session, ledger.Point{Next: c.session.next}, []*simStatement{&st})
	enc, err := b.Extract(0).Encode()
	if err != nil {
		panic(err)
	}
	return enc
}

// fork is a second copy of the chain as it stands.
func (c *simChain) fork() simChain {
	c.seal(len(c.log))
	f := *c
	f.arena, f.names = nil, nil
	f.log = append([]*simStatement(nil), c.log...)
	f.batches = append([]*ledger.Batch(nil), c.batches...)
	return f
}

// cutBack forgets the newest batches, about n statements, and returns them: an older state of
// the media. The session that is left goes on from there, in another session.
func (c *simChain) cutBack(n int) (lost []*ledger.Batch) {
	c.seal(len(c.log))
	keep := len(c.batches)
	for keep > 1 && len(c.log)-c.first(keep-1) <= n && c.log[c.first(keep-1)].session == c.session && c.batches[keep-1].Header.First > 0 {
		keep--
	}
	if keep == len(c.batches) {
		return nil
	}
	lost = append(lost, c.batches[keep:]...)
	first := c.first(keep)
	c.log, c.batches, c.sealed = c.log[:first:first], c.batches[:keep:keep], first
	last := c.batches[keep-1]
	c.session.at = ledger.Point{Next: last.Header.Next(), Previous: last.Header.Identity()}
	return lost
}

// first is the index of the first statement of the k-th batch.
func (c *simChain) first(k int) int {
	n := len(c.log)
	for n > 0 && int(c.log[n-1].batch) >= k {
		n--
	}
	return n
}

// slander is a batch in the place of the chain's second one, under the bureau's own key.
func (c *simChain) slander() *ledger.Batch {
	h := c.batches[1].Header
	st := simStatement{body: &ledger.Count{CheckedIn: 1}}
	for _, s := range c.log {
		if s.in == c.batches[1] {
			return c.sign(s.session, ledger.Point{Next: h.First, Previous: h.Previous}, []*simStatement{&st})
		}
	}
	panic("a batch of no session")
}
