package ledger

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Status is what became of a batch that was proposed; numbered for ever.
type Status uint8

// The statuses.
const (
	// Placed: the batch stands in the ledger. Proposing it again gives the same answer.
	Placed Status = 1
	// Parked: a batch before it is missing; the outcome is unknown so far.
	Parked Status = 2
	// Contradicted: it stands as evidence; the author needs a new session.
	Contradicted Status = 3
	// Rejected: no entry was made; Reason says why.
	Rejected Status = 4
)

// Reason is why a command left no entry; numbered for ever.
type Reason uint8

// The reasons.
const (
	NoReason Reason = 0
	// Malformed: not a batch.
	Malformed Reason = 1
	// NotSigned: of another election or commune, by no author of this group, or with a
	// signature that does not hold.
	NotSigned Reason = 2
	// ParkingFull: too many batches of this author wait; retry later.
	ParkingFull Reason = 3
	// SessionClosed: evidence stands against this session.
	SessionClosed Reason = 4
)

// Answer is the apply result of one batch, alike at every member.
type Answer struct {
	Status Status
	Reason Reason
	// Position is the entry's, for Placed and Contradicted.
	Position uint64
	// Verdicts has one for each statement, for Placed.
	Verdicts []Verdict
}

// Encode is the answer's one form.
func (a *Answer) Encode() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(a.Status))
	b.AddUint8(uint8(a.Reason))
	b.AddUint64(a.Position)
	addVerdicts(b, a.Verdicts)
	return b.BytesOrPanic()
}

// DecodeAnswer reads what Answer.Encode writes.
func DecodeAnswer(in []byte) (*Answer, error) {
	r := &reader{s: in}
	a := &Answer{Status: Status(r.u8()), Reason: Reason(r.u8()), Position: r.u64(), Verdicts: r.verdicts()}
	placed, rejected := a.Status == Placed, a.Status == Rejected
	if a.Status < Placed || a.Status > Rejected || a.Reason > SessionClosed || rejected != (a.Reason != NoReason) ||
		placed != (len(a.Verdicts) > 0) || a.Position != 0 && !placed && a.Status != Contradicted {
		r.fail()
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	return a, nil
}

// PlacedEntry is a new entry with what it was made from.
type PlacedEntry struct {
	Entry *Entry
	// Encoded is the entry's bytes.
	Encoded []byte
	// Batch is nil for the genesis.
	Batch *Batch
}

// Begin places entry 0: what the chain is bound to. The view must be empty.
func Begin(g *Group, v View) PlacedEntry {
	if h := ReadHead(v); h.Size != 0 {
		panic(fmt.Sprintf("begin a chain that has %d entries", h.Size))
	}
	return link(v, &Entry{Kind: GenesisEntry, Genesis: &Genesis{Manifest: g.Manifest, Roll: g.Roll.Hash(), Commune: g.Commune}}, nil)
}

// link gives the entry its place at the end of the chain.
func link(v View, e *Entry, b *Batch) PlacedEntry {
	h := ReadHead(v)
	e.Position, e.Previous = h.Size, h.Last
	enc, err := e.Encode()
	if err != nil {
		panic(fmt.Sprintf("entry of a batch within its limits: %v", err))
	}
	putHead(v, ChainHead{Size: h.Size + 1, Last: LeafHash(enc), Epoch: h.Epoch})
	return PlacedEntry{Entry: e, Encoded: enc, Batch: b}
}

// Place gives a batch that Verify has accepted its place, or says why it has none;
// batches that waited for it follow. It is a pure function of the view and the batch,
// so all members answer alike.
func Place(g *Group, v View, b *Batch) (Answer, []PlacedEntry) {
	ans, placed := place(g, v, b)
	if ans.Status == Placed && len(placed) > 0 {
		placed = append(placed, unpark(g, v, b.Header.Author.Bureau)...)
	}
	return ans, placed
}

// place is Place without those that waited.
func place(g *Group, v View, b *Batch) (Answer, []PlacedEntry) {
	a := b.Header.Author
	s, known := readSession(v, a)
	switch {
	case s.closed && b.Header.First >= s.Next:
		return Answer{Status: Rejected, Reason: SessionClosed}, nil
	case !known && b.Header.First > 0 || known && b.Header.First > s.Next:
		return park(v, b), nil
	case known && b.Header.First < s.Next:
		return again(v, s, b)
	case known && b.Header.Previous != s.Previous:
		return contradict(v, s, b, WrongPrevious, s.at)
	}
	if !known {
		open := b.Statements[0].Body.(*SessionOpened)
		st, offence, ready := openable(v, b, open)
		if !ready {
			return park(v, b), nil
		}
		if offence != 0 {
			return contradict(v, st, b, offence, 0)
		}
		s = session{unfenced: open.Unfenced}
	}
	ans, first := put(g, v, s, b)
	return ans, []PlacedEntry{first}
}

// again answers for a sequence number that is taken: the same batch gets the same
// answer, another is evidence.
func again(v View, s session, b *Batch) (Answer, []PlacedEntry) {
	a, id := b.Header.Author, b.Header.Identity()
	p, ok := readBatch(v, a, b.Header.First)
	if ok && p.identity == id {
		return Answer{Status: Placed, Position: p.position, Verdicts: p.verdicts}, nil
	}
	return contradict(v, s, b, DoubleSequence, covering(v, a, b.Header.First))
}

// covering is the entry of the placed batch that has the sequence number.
func covering(v View, a Author, sequence uint64) uint64 {
	for first := sequence; sequence-first < MaxStatements; first-- {
		if p, ok := readBatch(v, a, first); ok {
			return p.position
		}
		if first == 0 {
			break
		}
	}
	panic(fmt.Sprintf("%v: no batch has sequence number %d, below the next one", a, sequence))
}

// contradict makes an evidence entry, once for each session: the earlier batch is in
// the ledger whole already, so the entry need only carry the later one.
func contradict(v View, s session, b *Batch, why Offence, against uint64) (Answer, []PlacedEntry) {
	if s.closed {
		return Answer{Status: Rejected, Reason: SessionClosed}, nil
	}
	s.closed = true
	putSession(v, b.Header.Author, s)
	// A ballot handed over on either side of a fork counts.
	for i, st := range b.Statements {
		switch st.Body.(type) {
		case *Admission, *ProxyAdmission, *Provisional:
			id := StatementID{b.Header.Author.Session, b.Header.First + uint64(i)}
			admit(v, Touches(st.Body), LiveAdmission{ReadHead(v).Size, b.Header.Author.Bureau, id})
		}
	}
	e := link(v, &Entry{Kind: EvidenceEntry, Batch: b.Encode(), Offence: why, Against: against}, b)
	return Answer{Status: Contradicted, Position: e.Entry.Position}, []PlacedEntry{e}
}

// openable judges the head that a new session names: not there yet (ready is
// false), not there at all (an offence), or there.
func openable(v View, b *Batch, open *SessionOpened) (s session, why Offence, ready bool) {
	a := b.Header.Author
	if open.Continues == nil {
		if b.Header.Previous != (Hash{}) {
			return s, ContinuesNothing, true
		}
		return s, 0, true
	}
	h := open.Continues
	if b.Header.Previous != h.Hash || h.Session == a.Session {
		return s, ContinuesNothing, true
	}
	before, ok := readSession(v, Author{a.Bureau, a.Incarnation, h.Session})
	if !ok || before.Next < h.Next {
		return s, 0, false
	}
	if before.Next == h.Next && before.Previous == h.Hash {
		return s, 0, true
	}
	next, ok := readBatch(v, Author{a.Bureau, a.Incarnation, h.Session}, h.Next)
	if ok && next.previous == h.Hash {
		return s, 0, true
	}
	return s, ContinuesNothing, true
}

// put links the batch in, with a verdict on each statement.
func put(g *Group, v View, s session, b *Batch) (Answer, PlacedEntry) {
	a, pos := b.Header.Author, ReadHead(v).Size
	standing := stand(v, s, b, pos)
	verdicts := make([]Verdict, len(b.Statements))
	for i, st := range b.Statements {
		id := StatementID{a.Session, b.Header.First + uint64(i)}
		verdicts[i] = judge(g, v, Standing{a, s.unfenced}, id, st.Body, pos)
		if verdicts[i].Class == Accepted {
			verdicts[i].Class, verdicts[i].Against = standing.Class, standing.Against
		}
	}
	identity := b.Header.Identity()
	putBatch(v, a, b.Header.First, placedBatch{pos, identity, b.Header.Previous, verdicts})
	s.Point, s.at = Point{Next: b.Header.Next(), Previous: identity}, pos
	putSession(v, a, s)
	e := link(v, &Entry{Kind: BatchEntry, Batch: b.Encode(), Verdicts: verdicts}, b)
	return Answer{Status: Placed, Position: pos, Verdicts: verdicts}, e
}

// stand is the class that the batch as a whole has by its author's standing, and
// notes which session goes on from which.
func stand(v View, s session, b *Batch, pos uint64) Verdict {
	a := b.Header.Author
	if at, ok := readPosition(v, viewKey(keyRetired, machineKey(a.Bureau, a.Incarnation))); ok {
		return Verdict{Class: AfterRetirement, Against: at}
	}
	if b.Header.First > 0 {
		if s.continued {
			return Verdict{Class: Forked, Against: s.continuedAt}
		}
		return Verdict{}
	}
	open := b.Statements[0].Body.(*SessionOpened)
	if open.Continues == nil {
		k := viewKey(keyRoot, machineKey(a.Bureau, a.Incarnation))
		if at, ok := readPosition(v, k); ok {
			return Verdict{Class: Forked, Against: at}
		}
		v.Set(k, beU64(pos))
		return Verdict{}
	}
	prior := Author{a.Bureau, a.Incarnation, open.Continues.Session}
	before, ok := readSession(v, prior)
	if !ok {
		panic(fmt.Sprintf("%v continues %v, which has no session", a, prior))
	}
	if before.continued {
		return Verdict{Class: Forked, Against: before.continuedAt}
	}
	before.continued, before.continuedAt = true, pos
	putSession(v, prior, before)
	if next, ok := readBatch(v, prior, open.Continues.Next); ok {
		return Verdict{Class: Forked, Against: next.position}
	}
	return Verdict{}
}

// Reanswer is the answer for a batch that has been through Place before, without any
// effect: what became of it.
func Reanswer(v View, b *Batch) Answer {
	a := b.Header.Author
	if p, ok := readBatch(v, a, b.Header.First); ok && p.identity == b.Header.Identity() {
		return Answer{Status: Placed, Position: p.position, Verdicts: p.verdicts}
	}
	if v.Get(viewKey(keyParked, authorKey(a), beU64(b.Header.First))) != nil {
		return Answer{Status: Parked}
	}
	return Answer{Status: Rejected, Reason: SessionClosed}
}
