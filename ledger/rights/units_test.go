package rights

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

const (
	bureaux     = 3
	maxElectors = 7
	maxParts    = 3
)

// num numbers a value that a table has.
type num = uint32

// part is one right at one unit, by the numbers of interned values.
type part struct {
	// now is what the machine knows, durable what a restart would.
	now, durable num
	// kept is what only media say that were not read at the opening, 0 for nothing; image is a
	// copy of the media that may be put back. Both are the number of a State plus 1.
	kept, image num
	// posted is the set of statements that others may have got.
	posted num
	// undone counts the admissions that were taken back.
	undone uint8
	// lights is how many ballots were handed over here and not annulled, provisional how many of
	// those were without the right.
	lights, provisional uint8
	// placed is the group's word on the admission; inLedger counts this unit's live ones there.
	placed, inLedger uint8
}

// standing is a machine's.
type standing uint8

const (
	present standing = iota
	absent           // a clone that has not been made
	unfenced
	settled
)

// unit is some rights at one machine of a bureau, which have their events in common.
type unit struct {
	slot, opened uint8
	is           standing
	// what the bounds count
	crashes, voids, annulments, deaths, breaches uint8
	// stray: a right is held that nobody waits for, though there was no restart.
	stray bool
	// lawless: somebody was admitted whom the policy, or what the chain has of him, forbids to admit.
	lawless bool
	parts   [maxParts]part
}

// node is a unit that has a number, with what all that may happen next to it leads to.
type node struct {
	unit
	spent  uint32 // the counts, four bits each
	rights [maxParts]tally
	wrong  string
	moves  atomic.Pointer[[]edge]
}

// tally is what a check of the whole needs to know of one right at a unit.
type tally struct {
	lights, provisional, records, holders, inLedger uint8
	// waitsFor is the bureau whose right the desk waits for, 0 for none; joined: this one is kept
	// from others for a proxy.
	waitsFor uint8
	joined   bool
	// pending: a statement waits for the journal, writes: and it is this right's to write it; awaits:
	// so it is with the group's answer.
	pending, writes, awaits      bool
	used, beside, released, free bool
}

// edge is one thing that may happen to a unit.
type edge struct {
	to    num
	event happening
	cond  condition
}

// condition is what an edge asks of the other units.
type condition uint8

const (
	always condition = iota
	firstInLedger
	laterInLedger
)

// slot is where a unit stands: the rights that it has are the same all day.
type slot struct {
	bureau int
	rights []int
	// clone is the slot that this one is a copy of, plus 1.
	clone int
	// leads: the bureau's crashes are counted here.
	leads bool
}

// said is one signed statement of a bureau.
type said struct {
	id      ledger.StatementID
	body    ledger.Body
	extract []byte
}

// units is the model of rights: every bureau has its rights' states, its durable chain as far
// as it matters, and its ballots; between them is a network that keeps everything that was ever
// signed and may deliver any of it at any time, or never. That is all networks at once: loss,
// doubling, delay, order, relaying.
//
// Step runs once for each distinct event at a distinct state, each distinct statement is signed once,
// and each unit as a whole has a number, so that a search handles small tuples. A statement's
// name is drawn from what it says and from how many admissions were undone before it, which is
// one name for each as a chain's sequence number would be.
type units struct {
	bounds
	tb     testing.TB
	group  *ledger.Group
	rights []ledger.Right
	slots  []slot
	forged [maxParts]num // sets, as posted
	// lenient: a statement that does not follow from a unit's own chain is passed over.
	lenient bool

	mu      sync.Mutex // guards all below; nodes and memos may be read beside a writer
	states  table[State]
	sets    table[[]num]
	said    table[said]
	number  map[unit]num
	chunks  [1 << 12]*[nodeChunk]node
	ways    *seen
	turns   *memo[turn]
	mails   *memo[[]edge]
	steps   map[stepKey]*stepped
	signed  map[signKey]num
	replays map[replayKey]num
}

const nodeChunk = 1 << 12

// table gives equal values equal numbers.
type table[T any] struct {
	values []T
	number map[string]num
}

func (x *table[T]) intern(key string, v T) num {
	n, ok := x.number[key]
	if !ok {
		if x.number == nil {
			x.number = map[string]num{}
		}
		n = num(len(x.values))
		x.values, x.number[key] = append(x.values, v), n
	}
	return n
}

func newUnits(tb testing.TB, b bounds) *units {
	tb.Helper()
	x := &units{bounds: b, tb: tb, number: map[unit]num{}, steps: map[stepKey]*stepped{}, signed: map[signKey]num{}, replays: map[replayKey]num{}}
	x.turns, x.mails, x.ways = newMemo[turn](), newMemo[[]edge](), newSeen(18)
	x.group = ledgertest.NewDay(tb, bureaux, maxElectors, func(m *election.Manifest) {
		if b.provisional {
			m.Policy = election.ProvisionalAdmit
		}
	}).Group
	x.sets.intern("", nil)
	for _, r := range b.rights {
		x.rights = append(x.rights, ledger.Right{Elector: ledgertest.Elector(r.elector), Kind: r.kind})
	}
	for b := range x.bounds.bureaux {
		if x.joint() || x.together {
			all := slot{bureau: b, leads: true}
			for k := range x.rights {
				all.rights = append(all.rights, k)
			}
			x.slots = append(x.slots, all)
			continue
		}
		for k := range x.rights {
			x.slots = append(x.slots, slot{bureau: b, rights: []int{k}, leads: k == 0})
		}
	}
	if b.clones > 0 {
		x.slots = append(x.slots, slot{bureau: 0, rights: x.slots[0].rights, clone: 1})
	}
	if len(x.slots) > len(world{}) || len(x.rights) > maxParts {
		tb.Fatalf("%d units of %d rights", len(x.slots), len(x.rights))
	}
	for k := range x.rights {
		x.forge(k)
	}
	return x
}

func (b *bounds) joint() bool { return len(b.proxies) > 0 }

func number(b int) ledger.BureauNumber { return ledger.BureauNumber(b + 1) }

func (x *units) home(k int) int { return x.bounds.rights[k].elector % bureaux }

// forge adds what a stranger may send: a home's release and a holder's return under
// another bureau's key.
func (x *units) forge(k int) {
	home := x.home(k)
	away, thief := number((home+1)%bureaux), number((home+2)%bureaux)
	a := ledger.Author{Bureau: number(home), Session: ledger.SessionID{9}}
	for n := range uint32(x.releases) {
		r := signed(x.tb, x.group, a, thief, 900+uint64(n), &ledger.Release{Right: x.rights[k], Nonce: n, To: away})
		a.Bureau = away
		ret := signed(x.tb, x.group, a, thief, 950+uint64(n), &ledger.Return{Right: x.rights[k], Nonce: n, Release: r.extract})
		for _, s := range []said{r, ret} {
			x.forged[k] = x.post(x.forged[k], x.said.intern(string(s.extract), s))
		}
	}
}

// signed is a statement of a's under the key of another bureau's first machine, or of its own.
func signed(tb testing.TB, g *ledger.Group, a ledger.Author, signer ledger.BureauNumber, sequence uint64, body ledger.Body) said {
	tb.Helper()
	return signedWith(tb, g, a, ledgertest.DeviceName(signer, 0), sequence, body)
}

func signedWith(tb testing.TB, g *ledger.Group, a ledger.Author, device string, sequence uint64, body ledger.Body) said {
	tb.Helper()
	b, err := ledger.Sign(ledgertest.Key(device), g, a, ledger.Point{Next: sequence}, []ledger.Statement{ledger.NewStatement(ledgertest.Opens, body)})
	if err != nil {
		tb.Fatal(err)
	}
	enc, err := b.Extract(0).Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return said{ledger.StatementID{Session: a.Session, Sequence: sequence}, body, enc}
}

// post adds a statement to a set.
func (x *units) post(set, s num) num {
	old := x.sets.values[set]
	at := 0
	for at < len(old) && old[at] < s {
		at++
	}
	if at < len(old) && old[at] == s {
		return set
	}
	now := append(append(append([]num(nil), old[:at]...), s), old[at:]...)
	return x.sets.intern(numbers(now), now)
}

func numbers(ns []num) string {
	var k []byte
	for _, n := range ns {
		k = binary.BigEndian.AppendUint32(k, n)
	}
	return string(k)
}

// author is who a unit speaks as.
func (x *units) author(u *unit) ledger.Author {
	a := ledger.Author{Bureau: number(x.slots[u.slot].bureau), Session: ledger.SessionID{byte(x.slots[u.slot].bureau + 1), byte(u.opened + 1), byte(x.slots[u.slot].clone)}}
	if u.is == unfenced || u.is == settled {
		a.Incarnation = 1
	}
	return a
}

func (x *units) context(u *unit, k int) *Context {
	c := &Context{
		Group: x.group, Right: x.rights[k], Home: number(x.home(k)), Away: !x.homeOnly || x.without&roams != 0, dropped: x.dropped,
		Standing: ledger.Standing{Author: x.author(u), Unfenced: u.is == unfenced},
	}
	if x.dropped != 0 {
		c.lax = lax
	}
	return c
}

// internState numbers a state. Values that are the same for Step get the same number.
func (x *units) internState(s State) num {
	var k strings.Builder
	blob := func(b []byte) {
		k.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		k.Write(b)
	}
	fmt.Fprint(&k, s.Record.State, s.Record.Nonce, s.Record.To, s.Record.By.Session[:], s.Record.By.Sequence, s.Record.Proxy, s.Handed, s.Desk, s.Pair != nil)
	for _, b := range [][]byte{s.Proof, s.Release, s.LastReturn, s.Beside.Extract} {
		blob(b)
	}
	if s.Pair != nil {
		k.Write(s.Pair.Principal[:])
		k.Write(s.Pair.Holder[:])
	}
	if s.Pending != nil {
		enc, err := ledger.NewStatement(0, s.Pending).Encode()
		if err != nil {
			x.tb.Fatal(err)
		}
		blob(enc)
	}
	return x.states.intern(k.String(), s)
}

// node is the one with this number.
func (x *units) node(n num) *node { return &x.chunks[n/nodeChunk][n%nodeChunk] }

// internUnit numbers a unit. The caller holds mu.
func (x *units) internUnit(u unit) num {
	if n, ok := x.number[u]; ok {
		return n
	}
	n := num(len(x.number))
	x.number[u] = n
	if x.chunks[n/nodeChunk] == nil {
		x.chunks[n/nodeChunk] = new([nodeChunk]node)
	}
	d := x.node(n)
	d.unit = u
	x.judge(d)
	return n
}

// start is the morning.
func (x *units) start() (p world) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, s := range x.slots {
		u := unit{slot: uint8(i)}
		if s.clone > 0 {
			u.is = absent
		}
		for j, k := range s.rights {
			n := x.internState(x.context(&u, k).Start())
			u.parts[j] = part{now: n, durable: n}
		}
		p[i] = x.internUnit(u)
	}
	return p
}
