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
	// Contradicted: it stands as evidence, whole. The machine that signed it works on a
	// line that is not the ledger's; all that goes on from it will be evidence too.
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
	// SessionClosed is not given any more: what comes after evidence is placed (SPEC 6.4).
	SessionClosed Reason = 4
)

// Answer is the apply result of one batch, alike at every member.
type Answer struct {
	Status Status
	Reason Reason
	// Position refers to the entry (Reference), for Placed and Contradicted.
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
	a := r.answer()
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	return &a, nil
}

func (r *reader) answer() Answer {
	a := Answer{Status: Status(r.u8()), Reason: Reason(r.u8()), Position: r.u64(), Verdicts: r.verdicts()}
	placed, rejected := a.Status == Placed, a.Status == Rejected
	if a.Status < Placed || a.Status > Rejected || a.Reason > SessionClosed || rejected != (a.Reason != NoReason) ||
		placed != (len(a.Verdicts) > 0) || a.Position != 0 && !placed && a.Status != Contradicted {
		r.fail()
	}
	return a
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
	if len(placed) == 0 {
		return ans, nil
	}
	stirred := stirs(placed[0])
	for len(stirred) > 0 {
		next := nextParked(v, stirred[0])
		if next == nil {
			stirred = stirred[1:]
			continue
		}
		v.Delete(parkedKey(&next.Header))
		_, more := place(g, v, next)
		for _, p := range more {
			placed, stirred = append(placed, p), append(stirred, stirs(p)...)
		}
	}
	return ans, placed
}

// stirs lists the bureaux whose waiting batches may fit after an entry: the author's, and
// those whose media it says were read.
func stirs(p PlacedEntry) []BureauNumber {
	out := []BureauNumber{p.Batch.Header.Author.Bureau}
	for i, v := range p.Entry.Verdicts {
		if m, ok := p.Batch.Statements[i].Body.(*Imported); ok && v.Validity == Valid {
			out = append(out, m.Bureau)
		}
	}
	return out
}

// place is Place without those that waited.
func place(g *Group, v View, b *Batch) (Answer, []PlacedEntry) {
	a := b.Header.Author
	if ans := Reanswer(v, b); ans.Status == Placed || ans.Status == Contradicted {
		return ans, nil
	}
	if at, ok := fromEvidence(v, b); ok {
		return contradict(v, b, FromEvidence, at)
	}
	s, known := readSession(v, a)
	if known && b.Header.First < s.Next {
		return earlier(g, v, s, b)
	}
	if known && b.Header.First == s.Next && b.Header.Previous != s.Previous {
		return contradict(v, b, WrongPrevious, s.at)
	}
	waits, why := waits(v, s, b)
	if why != 0 {
		return contradict(v, b, why, Reference(ReadHead(v).Epoch, 0))
	}
	if waits && !imported(v, a) {
		return park(v, b), nil
	}
	ans, first := put(g, v, s, b, waits)
	return ans, []PlacedEntry{first}
}

// waits says whether something that the batch goes on from is not in the ledger yet, or,
// as an offence, that it goes on from nothing.
func waits(v View, s session, b *Batch) (bool, Offence) {
	a := b.Header.Author
	if b.Header.First > s.Next {
		return true, 0
	}
	waiting := false
	if open, ok := b.Statements[0].Body.(*SessionOpened); ok {
		ready, why := openable(v, b, open)
		if why != 0 {
			return false, why
		}
		waiting = !ready
	}
	for _, st := range b.Statements {
		m, ok := st.Body.(*Settled)
		if !ok || m.Head == nil || m.Incarnation >= a.Incarnation {
			continue
		}
		old := Author{a.Bureau, m.Incarnation, m.Head.Session}
		if reach(v, old, *m.Head) == ahead && !imported(v, old) {
			waiting = true
		}
	}
	return waiting, 0
}

// earlier answers for a sequence number below the session's next one: a batch that fills a gap is
// placed late, any other is evidence.
func earlier(g *Group, v View, s session, b *Batch) (Answer, []PlacedEntry) {
	a, id := b.Header.Author, b.Header.Identity()
	for i := range uint64(b.Header.Count) {
		if p, ok := covering(v, a, b.Header.First+i); ok {
			return contradict(v, b, DoubleSequence, p.position)
		}
	}
	if p, ok := endingAt(v, a, b.Header.First); ok && p.identity != b.Header.Previous {
		return contradict(v, b, WrongPrevious, p.position)
	}
	if p, ok := readBatch(v, a, b.Header.Next()); ok && p.previous != id {
		return contradict(v, b, WrongPrevious, p.position)
	}
	if open, ok := b.Statements[0].Body.(*SessionOpened); ok {
		if _, why := openable(v, b, open); why != 0 {
			return contradict(v, b, why, Reference(ReadHead(v).Epoch, 0))
		}
	}
	ans, first := put(g, v, s, b, true)
	return ans, []PlacedEntry{first}
}

// contradict makes an evidence entry: the other batch is in the ledger whole already, so the
// entry need only carry this one. The ledger's own line of the session goes on as if it were not
// there, since which of the two was the clone's nobody can tell.
func contradict(v View, b *Batch, why Offence, against uint64) (Answer, []PlacedEntry) {
	at := ReadHead(v).reference()
	putEvidence(v, &b.Header, at)
	// A ballot handed over on either side of a fork counts, one that this side took back does not.
	for i, st := range b.Statements {
		a, id := b.Header.Author, StatementID{b.Header.Author.Session, b.Header.First + uint64(i)}
		switch body := st.Body.(type) {
		case *Admission, *ProxyAdmission, *Provisional:
			admit(v, Touches(body), LiveAdmission{at, a.Bureau, id})
		case *Void:
			unadmit(v, body.Rights, LiveAdmission{at, a.Bureau, StatementID{a.Session, body.Sequence}}, true)
		case *Annulment:
			unadmit(v, body.Rights, LiveAdmission{at, a.Bureau, body.Record}, true)
		}
	}
	e := link(v, &Entry{Kind: EvidenceEntry, Batch: b.Encode(), Offence: why, Against: against}, b)
	return Answer{Status: Contradicted, Position: at}, []PlacedEntry{e}
}

// openable judges the head that a new session names: not there yet (not ready), not there
// at all (an offence), or there.
func openable(v View, b *Batch, open *SessionOpened) (ready bool, why Offence) {
	a := b.Header.Author
	if open.Continues == nil {
		if b.Header.Previous != (Hash{}) {
			return true, ContinuesNothing
		}
		return true, 0
	}
	h := *open.Continues
	if b.Header.Previous != h.Hash || h.Session == a.Session {
		return true, ContinuesNothing
	}
	switch reach(v, Author{a.Bureau, a.Incarnation, h.Session}, h) {
	case ahead:
		return false, 0
	case elsewhere:
		return true, ContinuesNothing
	}
	return true, 0
}

// reached says how a session that has been placed stands to a head of it.
type reached int

const (
	ahead     reached = iota // not placed up to there
	there                    // the head is its
	elsewhere                // another batch stands there
)

func reach(v View, a Author, h Head) reached {
	if p, ok := endingAt(v, a, h.Next); ok {
		return sameHash(p.identity, h.Hash)
	}
	if p, ok := readBatch(v, a, h.Next); ok {
		return sameHash(p.previous, h.Hash)
	}
	if _, ok := covering(v, a, h.Next-1); ok {
		return elsewhere
	}
	return ahead
}

func sameHash(a, b Hash) reached {
	if a == b {
		return there
	}
	return elsewhere
}

// put links the batch in, with a verdict on each statement; gap says that something before
// it is missing.
func put(g *Group, v View, s session, b *Batch, gap bool) (Answer, PlacedEntry) {
	a, pos := b.Header.Author, ReadHead(v).reference()
	if open, ok := b.Statements[0].Body.(*SessionOpened); ok {
		s.unfenced = open.Unfenced
		if h := open.Continues; h != nil {
			putSettled(v, a, readSettled(v, a)|readSettled(v, Author{a.Bureau, a.Incarnation, h.Session}))
		}
	}
	standing := stand(v, s, b, pos, gap)
	verdicts := make([]Verdict, len(b.Statements))
	for i, st := range b.Statements {
		if standing.Class == Orphaned {
			verdicts[i] = standing
			continue
		}
		id := StatementID{a.Session, b.Header.First + uint64(i)}
		verdicts[i] = judge(g, v, Standing{a, s.unfenced || !settled(v, a)}, id, st.Body, pos)
		if verdicts[i].Class == Accepted {
			verdicts[i].Class, verdicts[i].Against = standing.Class, standing.Against
		}
	}
	identity := b.Header.Identity()
	putBatch(v, a, b.Header.First, placedBatch{pos, identity, b.Header.Previous, verdicts})
	if b.Header.Next() > s.Next {
		s.Point, s.at = Point{Next: b.Header.Next(), Previous: identity}, pos
	}
	putSession(v, a, s)
	e := link(v, &Entry{Kind: BatchEntry, Batch: b.Encode(), Verdicts: verdicts}, b)
	return Answer{Status: Placed, Position: pos, Verdicts: verdicts}, e
}

// stand is the class that the batch as a whole has by its author's standing, and
// notes which session goes on from which.
func stand(v View, s session, b *Batch, pos uint64, gap bool) Verdict {
	a := b.Header.Author
	if at, ok := orphaned(v, s, &b.Header); ok {
		return Verdict{Class: Orphaned, Against: at}
	}
	if at, ok := Retired(v, a.Bureau, a.Incarnation); ok {
		return Verdict{Class: AfterRetirement, Against: at}
	}
	from := Verdict{}
	if open, ok := b.Statements[0].Body.(*SessionOpened); ok {
		from = goOn(v, a.Bureau, a.Incarnation, open.Continues, pos)
	} else if s.continued && b.Header.First >= continuedFrom(v, a) {
		from = Verdict{Class: Forked, Against: s.continuedAt}
	}
	if from.Class == Accepted && gap {
		return Verdict{Class: Gap}
	}
	return from
}

// goOn notes that the entry at pos goes on from a head of the machine, or, without one, begins
// it; a second that does so is a fork, and so is one from where the session itself has gone on.
func goOn(v View, n BureauNumber, i Incarnation, h *Head, pos uint64) Verdict {
	if h == nil {
		k := viewKey(keyRoot, machineKey(n, i))
		if at, ok := readPosition(v, k); ok {
			return Verdict{Class: Forked, Against: at}
		}
		v.Set(k, beU64(pos))
		return Verdict{}
	}
	prior := Author{n, i, h.Session}
	before, _ := readSession(v, prior)
	if before.continued {
		return Verdict{Class: Forked, Against: before.continuedAt}
	}
	before.continued, before.continuedAt = true, pos
	putSession(v, prior, before)
	v.Set(viewKey(keyContinued, authorKey(prior)), beU64(h.Next))
	if next, ok := readBatch(v, prior, h.Next); ok {
		return Verdict{Class: Forked, Against: next.position}
	}
	return Verdict{}
}

// Reanswer is the answer for a batch that has been through Place before, without any
// effect: what became of it.
func Reanswer(v View, b *Batch) Answer {
	a, id := b.Header.Author, b.Header.Identity()
	if s, known := readSession(v, a); known && b.Header.First < s.Next {
		if p, ok := readBatch(v, a, b.Header.First); ok && p.identity == id {
			return Answer{Status: Placed, Position: p.position, Verdicts: p.verdicts}
		}
	}
	if at, ok := readEvidence(v, a, b.Header.Next(), id); ok {
		return Answer{Status: Contradicted, Position: at}
	}
	if v.Get(parkedKey(&b.Header)) != nil {
		return Answer{Status: Parked}
	}
	return Answer{Status: Rejected, Reason: ParkingFull}
}
