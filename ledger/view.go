package ledger

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// View is the state that placing reads and writes: sorted keys and values,
// wholly made from the entries before. A store backs it with its database, the
// verifier with memory. Keys and values belong to this package.
type View interface {
	// Get returns the value, nil when there is none. It is not kept.
	Get(key []byte) []byte
	Set(key, value []byte)
	Delete(key []byte)
	// Range calls f for each key with the prefix, in order, until it returns false.
	Range(prefix []byte, f func(key, value []byte) bool)
}

// What a key begins with; numbered for ever, since snapshots carry them.
const (
	keyHead       = 'm' // -> head of the commune's chain
	keySession    = 's' // author -> where its chain stands
	keyRoot       = 'f' // bureau, incarnation -> entry of its first session
	keyBatch      = 'b' // author, first sequence -> where that batch stands
	keyRecord     = 'r' // bureau, right -> Record
	keyAdmissions = 'a' // right -> live admissions, oldest first
	keyParked     = 'p' // author, first sequence -> batch that waits
	keyRetired    = 'x' // bureau, incarnation -> entry of the amendment
	keyAmendment  = 'n' // -> number of the last amendment
	keyEnrolled   = 'k' // bureau, incarnation -> entry of the amendment
	keyLabel      = 'l' // bureau -> its place by the last amendment
	keyImported   = 'i' // bureau, incarnation -> entry that says that its media were read
	keySettled    = 'e' // author -> bit for each incarnation before that it has taken over
	keyOrphan     = 'o' // author, first sequence of a listed tail -> its end, entry of the listing
	keyContinued  = 'c' // author -> sequence number from which another session has gone on
	keyEvidence   = 'g' // author, next sequence, identity -> evidence entry of that batch
)

// ChainHead is the end of the commune's chain.
type ChainHead struct {
	// Size is the number of entries.
	Size uint64
	// Last is the leaf hash of the last entry.
	Last  Hash
	Epoch uint8
}

// reference names the entry that would come next.
func (h ChainHead) reference() uint64 { return Reference(h.Epoch, h.Size) }

func viewKey(prefix byte, parts ...[]byte) []byte {
	k := []byte{prefix}
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func beU16(v uint16) []byte { return []byte{byte(v >> 8), byte(v)} }

func beU64(v uint64) []byte {
	return []byte{byte(v >> 56), byte(v >> 48), byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

func machineKey(n BureauNumber, i Incarnation) []byte { return append(beU16(uint16(n)), byte(i)) }

func authorKey(a Author) []byte { return append(machineKey(a.Bureau, a.Incarnation), a.Session[:]...) }

func rightKey(x Right) []byte { return append(x.Elector[:], byte(x.Kind)) }

// mustRead decodes a value of the view; what this package wrote it can read.
func mustRead(key, value []byte, f func(*reader)) {
	r := &reader{s: value}
	f(r)
	if err := r.done(); err != nil {
		panic(fmt.Sprintf("view key %q: value %x: %v", key[:1], value, err))
	}
}

// ReadHead is the end of the chain that the view stands at.
func ReadHead(v View) (h ChainHead) {
	k := viewKey(keyHead)
	if b := v.Get(k); b != nil {
		mustRead(k, b, func(r *reader) { h.Size, h.Last, h.Epoch = r.u64(), r.hash(), r.u8() })
	}
	return h
}

func putHead(v View, h ChainHead) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint64(h.Size)
	b.AddBytes(h.Last[:])
	b.AddUint8(h.Epoch)
	v.Set(viewKey(keyHead), b.BytesOrPanic())
}

// session is where one author's chain stands.
type session struct {
	Point
	// at is the entry of the last placed batch.
	at uint64
	// unfenced stands from the session's opening to its end.
	unfenced bool
	// continued by another session, whose first entry is at continuedAt.
	continued   bool
	continuedAt uint64
}

// readSession is where the author's chain stands; known says that a batch of it is placed. One that
// is not may have been gone on from.
func readSession(v View, a Author) (s session, known bool) {
	k := viewKey(keySession, authorKey(a))
	b := v.Get(k)
	if b == nil {
		return s, false
	}
	mustRead(k, b, func(r *reader) {
		s.Next, s.Previous, s.at = r.u64(), r.hash(), r.u64()
		// The second flag was a closed session's; none is closed any more.
		s.unfenced, _, s.continued, s.continuedAt = r.flag(), r.flag(), r.flag(), r.u64()
	})
	return s, s.Next > 0
}

func putSession(v View, a Author, s session) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint64(s.Next)
	b.AddBytes(s.Previous[:])
	b.AddUint64(s.at)
	addFlag(b, s.unfenced)
	addFlag(b, false)
	addFlag(b, s.continued)
	b.AddUint64(s.continuedAt)
	v.Set(viewKey(keySession, authorKey(a)), b.BytesOrPanic())
}

// continuedFrom is the sequence number from which another session has gone on.
func continuedFrom(v View, a Author) uint64 {
	next, _ := readPosition(v, viewKey(keyContinued, authorKey(a)))
	return next
}

// covering is the placed batch that has the sequence number.
func covering(v View, a Author, sequence uint64) (p placedBatch, ok bool) {
	for first := sequence; sequence-first < MaxStatements; first-- {
		if p, ok := readBatch(v, a, first); ok {
			return p, first+uint64(len(p.verdicts)) > sequence
		}
		if first == 0 {
			break
		}
	}
	return placedBatch{}, false
}

// endingAt is the placed batch whose last statement comes before the sequence number.
func endingAt(v View, a Author, next uint64) (p placedBatch, ok bool) {
	if s, known := readSession(v, a); !known || next == 0 || next > s.Next {
		return placedBatch{}, false
	}
	first := next - 1
	for ; next-first <= MaxStatements; first-- {
		if p, ok := readBatch(v, a, first); ok {
			return p, first+uint64(len(p.verdicts)) == next
		}
		if first == 0 {
			break
		}
	}
	return placedBatch{}, false
}

// placedBatch is where a batch stands.
type placedBatch struct {
	position           uint64
	identity, previous Hash
	verdicts           []Verdict
}

func readBatch(v View, a Author, first uint64) (p placedBatch, ok bool) {
	k := viewKey(keyBatch, authorKey(a), beU64(first))
	b := v.Get(k)
	if b == nil {
		return p, false
	}
	mustRead(k, b, func(r *reader) {
		p.position, p.identity, p.previous, p.verdicts = r.u64(), r.hash(), r.hash(), r.verdicts()
	})
	return p, true
}

func putBatch(v View, a Author, first uint64, p placedBatch) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint64(p.position)
	b.AddBytes(p.identity[:])
	b.AddBytes(p.previous[:])
	addVerdicts(b, p.verdicts)
	v.Set(viewKey(keyBatch, authorKey(a), beU64(first)), b.BytesOrPanic())
}

// ReadRecord is what the bureau's chain, as far as it has been placed, says of a
// right.
func (g *Group) ReadRecord(v View, n BureauNumber, x Right) (rec Record) {
	k := viewKey(keyRecord, beU16(uint16(n)), rightKey(x))
	b := v.Get(k)
	if b == nil {
		home, ok := g.Home(x.Elector)
		return InitialRecord(ok && home == n)
	}
	mustRead(k, b, func(r *reader) {
		rec.State, rec.Nonce, rec.To = State(r.u8()), r.u32(), BureauNumber(r.u16())
		r.copy(rec.By.Session[:])
		rec.By.Sequence, rec.Proxy = r.u64(), r.flag()
	})
	return rec
}

func putRecord(v View, n BureauNumber, x Right, rec Record) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(rec.State))
	b.AddUint32(rec.Nonce)
	b.AddUint16(uint16(rec.To))
	b.AddBytes(rec.By.Session[:])
	b.AddUint64(rec.By.Sequence)
	addFlag(b, rec.Proxy)
	v.Set(viewKey(keyRecord, beU16(uint16(n)), rightKey(x)), b.BytesOrPanic())
}

// LiveAdmission is an admission that is neither voided nor annulled.
type LiveAdmission struct {
	// Position refers to the entry that holds it (Reference).
	Position uint64
	Bureau   BureauNumber
	ID       StatementID
}

// Admissions lists the live admissions of a right, oldest entry first. More
// than one is a double admission.
func Admissions(v View, x Right) (out []LiveAdmission) {
	k := viewKey(keyAdmissions, rightKey(x))
	if b := v.Get(k); b != nil {
		mustRead(k, b, func(r *reader) { out = r.admissions() })
	}
	return out
}

func (r *reader) admissions() (out []LiveAdmission) {
	for !r.bad && !r.s.Empty() {
		a := LiveAdmission{Position: r.u64(), Bureau: BureauNumber(r.u16())}
		r.copy(a.ID.Session[:])
		a.ID.Sequence = r.u64()
		out = append(out, a)
	}
	return out
}

func putAdmissions(v View, x Right, as []LiveAdmission) {
	k := viewKey(keyAdmissions, rightKey(x))
	if len(as) == 0 {
		v.Delete(k)
		return
	}
	b := cryptobyte.NewBuilder(nil)
	for _, a := range as {
		b.AddUint64(a.Position)
		b.AddUint16(uint16(a.Bureau))
		b.AddBytes(a.ID.Session[:])
		b.AddUint64(a.ID.Sequence)
	}
	v.Set(k, b.BytesOrPanic())
}

// RangeAdmissions calls f for every right that has a live admission.
func RangeAdmissions(v View, f func(Right, []LiveAdmission) bool) {
	v.Range([]byte{keyAdmissions}, func(k, b []byte) bool {
		var x Right
		var as []LiveAdmission
		mustRead(k, k[1:], func(r *reader) { x = r.right() })
		mustRead(k, b, func(r *reader) { as = r.admissions() })
		return f(x, as)
	})
}

// Retired is the entry (Reference) of the amendment that retired a machine's key: peers refuse its
// connections and releases.
func Retired(v View, n BureauNumber, i Incarnation) (at uint64, ok bool) {
	return readPosition(v, viewKey(keyRetired, machineKey(n, i)))
}

// Enrolled is the entry (Reference) of the first amendment that enrolled a machine's key. A next
// incarnation that speaks without one was activated with the code of its sealed envelope.
func Enrolled(v View, n BureauNumber, i Incarnation) (at uint64, ok bool) {
	return readPosition(v, viewKey(keyEnrolled, machineKey(n, i)))
}

// ImportedAt is the entry (Reference) that says that a machine's media were read.
func ImportedAt(v View, n BureauNumber, i Incarnation) (at uint64, ok bool) {
	return readPosition(v, viewKey(keyImported, machineKey(n, i)))
}

// Relabelled is the place that the last amendment gave a bureau.
func Relabelled(v View, n BureauNumber) (place string, ok bool) {
	b := v.Get(viewKey(keyLabel, beU16(uint16(n))))
	return string(b), b != nil
}

// LastAmendment is the number of the last amendment that took effect, 0 before the first.
func LastAmendment(v View) uint16 {
	n, _ := readPosition(v, viewKey(keyAmendment))
	return uint16(n)
}

func readPosition(v View, key []byte) (pos uint64, ok bool) {
	b := v.Get(key)
	if b == nil {
		return 0, false
	}
	mustRead(key, b, func(r *reader) { pos = r.u64() })
	return pos, true
}

// MemoryView is a View in memory, for the verifier and for tests.
type MemoryView struct {
	// by what a key begins with, so that a range over one kind (the parked
	// batches, nearly always none) doesn't read the others.
	m [256]map[string][]byte
}

// NewMemoryView is an empty view.
func NewMemoryView() *MemoryView {
	v := &MemoryView{}
	for i := range v.m {
		v.m[i] = map[string][]byte{}
	}
	return v
}

// Get implements View.
func (v *MemoryView) Get(key []byte) []byte { return v.m[key[0]][string(key)] }

// Set implements View.
func (v *MemoryView) Set(key, value []byte) { v.m[key[0]][string(key)] = value }

// Delete implements View.
func (v *MemoryView) Delete(key []byte) { delete(v.m[key[0]], string(key)) }

// Range implements View.
func (v *MemoryView) Range(prefix []byte, f func(key, value []byte) bool) {
	var keys []string
	for k := range v.m[prefix[0]] {
		if strings.HasPrefix(k, string(prefix)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !f([]byte(k), v.m[prefix[0]][k]) {
			return
		}
	}
}
