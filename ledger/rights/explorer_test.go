package rights

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// The explorer drives the production Step through all that three bureaux, their desks, a
// lossy network, crashes and any answers of the group can do within its bounds. A
// network that keeps everything that was ever signed, and may deliver any of it at any
// time or never, is all networks at once: loss, doubling, delay, order, relaying.
//
// Step runs once for each distinct (state, event) and each distinct statement is signed
// once; the rest is bookkeeping on small numbers. A new kind of right, of medium or of
// session is one more cell in place.
const (
	bureaux     = 3
	maxElectors = 2
)

// bounds make the space finite.
type bounds struct {
	electors, releases, crashes, voids, annulments int
	dropped                                        rules
	// onlyLights asks for no invariant but S1, so that a mutant is caught by the double
	// admission that its rule prevents and by nothing less.
	onlyLights bool
	// silent: a home bureau at whose table an elector stands does not send the release again.
	silent bool
	// maxPlaces ends an exploration that would not end.
	maxPlaces int
}

// num numbers a value that a table has.
type num = uint32

// cell is one right at one bureau, by the numbers of the interned values.
type cell struct {
	state, chain num
	// lights is how many ballots were handed over here and not annulled.
	lights uint8
}

// place is one state of the whole.
type place struct {
	cells [maxElectors][bureaux]cell
	// opened counts each bureau's sessions from 0: its crashes.
	opened [bureaux]uint8
	// voids and annulments are how many there were.
	voids, annulments uint8
	// early is the set of messages that were sent before they were durable; none, but for
	// mutants.
	early num
}

// said is one durable statement of a bureau about a right.
type said struct {
	id      ledger.StatementID
	body    ledger.Body
	extract []byte
}

// event kinds of the explorer; the argument is a bureau or a statement.
type kind uint8

const (
	doAsk kind = iota
	doLeave
	doUndo
	doAnnul
	doWrite
	doAccept
	doConflict
	doExpire
	doUnreach
	doRequest
	doRelease
	doDeny
	doReturn
	kinds
)

var kindNames = [kinds]string{
	"asks", "leaves", "undoes", "annuls", "writes", "is accepted", "is in conflict", "hears no answer", "can't reach home",
	"is asked by", "gets release", "gets denial", "gets return",
}

type memoKey struct {
	elector, bureau, opened uint8
	state, chain            num
	kind                    kind
	arg                     num
}

// outcome is what Step made of one event, in numbers.
type outcome struct {
	cell  cell
	light bool
	// writes: a statement joined the chain; void and annul say which budget it used.
	writes, void, annul bool
	early               []num
	// sent is for the probe, that must live with what is really sent.
	sent     []sending
	deferred bool
}

type sending struct {
	to   int
	kind kind
	arg  num
}

type explorer struct {
	bounds
	t        *testing.T
	group    *ledger.Group
	rights   [maxElectors]ledger.Right
	states   table[State]
	chains   table[[]num]
	said     table[said]
	earlies  table[[]num]
	memo     map[memoKey]*outcome
	recovery map[memoKey]num
	signed   map[memoKey]said
	// ways are the answers of wayOn.
	ways map[wayKey]bool
	// forged is a release and a return of each elector by somebody who lacks the key.
	forged [maxElectors][]num
}

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

func newExplorer(t *testing.T, b bounds) *explorer {
	t.Helper()
	x := &explorer{bounds: b, t: t, group: ledgertest.NewDay(t, bureaux, maxElectors, nil).Group, memo: map[memoKey]*outcome{}, recovery: map[memoKey]num{}, signed: map[memoKey]said{}, ways: map[wayKey]bool{}}
	x.chains.intern("", nil)
	x.earlies.intern("", nil)
	for e := range x.electors {
		x.rights[e] = ledger.Right{Elector: ledgertest.Elector(e), Kind: ledger.Admit}
		x.forge(e)
	}
	return x
}

// forge adds what a stranger may send: a home's release and a holder's return under
// another bureau's key.
func (x *explorer) forge(e int) {
	home, away, thief := number(e), number((e+1)%bureaux), number((e+2)%bureaux)
	for n := range uint32(x.releases) {
		r := x.sign(home, thief, 900+uint64(n), &ledger.Release{Right: x.rights[e], Nonce: n, To: away})
		ret := x.sign(away, thief, 950+uint64(n), &ledger.Return{Right: x.rights[e], Nonce: n, Release: r.extract})
		for _, s := range []said{r, ret} {
			x.forged[e] = append(x.forged[e], x.said.intern(string(s.extract), s))
		}
	}
}

func number(b int) ledger.BureauNumber { return ledger.BureauNumber(b + 1) }

// sign makes a statement of author's with signer's key.
func (x *explorer) sign(author, signer ledger.BureauNumber, sequence uint64, body ledger.Body) said {
	return signed(x.t, x.group, ledger.Author{Bureau: author, Session: session(int(author)-1, 0)}, signer, sequence, body)
}

func signed(tb testing.TB, g *ledger.Group, a ledger.Author, signer ledger.BureauNumber, sequence uint64, body ledger.Body) said {
	tb.Helper()
	b, err := ledger.Sign(ledgertest.Key(ledgertest.DeviceName(signer, 0)), g, a, ledger.Point{Next: sequence}, []ledger.Statement{ledger.NewStatement(ledgertest.Opens, body)})
	if err != nil {
		tb.Fatal(err)
	}
	enc, err := b.Extract(0).Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return said{ledger.StatementID{Session: a.Session, Sequence: sequence}, body, enc}
}

func session(b, opened int) ledger.SessionID { return ledger.SessionID{byte(b + 1), byte(opened + 1)} }

func (x *explorer) context(e, b int, opened uint8) *Context {
	c := &Context{
		Group: x.group, Right: x.rights[e], Home: number(e), Away: true, dropped: x.dropped,
		Standing: ledger.Standing{Author: ledger.Author{Bureau: number(b), Session: session(b, int(opened))}},
	}
	if x.dropped != 0 {
		c.lax = lax
	}
	return c
}

// internState numbers a state. Values that are the same for Step get the same number.
func (x *explorer) internState(s State) num {
	var k strings.Builder
	blob := func(b []byte) {
		k.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		k.Write(b)
	}
	fmt.Fprint(&k, s.Record.State, s.Record.Nonce, s.Record.To, s.Record.By.Session[:], s.Record.By.Sequence, s.Handed, s.Desk)
	for _, b := range [][]byte{s.Proof, s.Release, s.LastReturn} {
		blob(b)
	}
	if s.Pending != nil {
		enc, err := ledger.NewStatement(0, s.Pending).Encode()
		if err != nil {
			x.t.Fatal(err)
		}
		blob(enc)
	}
	return x.states.intern(k.String(), s)
}

// append joins a statement to a chain.
func (x *explorer) append(chain num, s said) num {
	old := x.chains.values[chain]
	now := append(append([]num(nil), old...), x.said.intern(string(s.extract), s))
	return x.chains.intern(numbers(now), now)
}

func numbers(ns []num) string {
	var k []byte
	for _, n := range ns {
		k = binary.BigEndian.AppendUint32(k, n)
	}
	return string(k)
}

// next is the statement that the pending one becomes when it is durable; each is signed
// once.
func (x *explorer) next(e, b int, opened uint8, c cell) said {
	key := memoKey{elector: uint8(e), bureau: uint8(b), opened: opened, state: c.state, arg: num(len(x.chains.values[c.chain]))}
	if s, ok := x.signed[key]; ok {
		return s
	}
	a := ledger.Author{Bureau: number(b), Session: session(b, int(opened))}
	sequence := uint64(1+100*e) + uint64(key.arg)
	s := signed(x.t, x.group, a, number(b), sequence, x.states.values[c.state].Pending)
	x.signed[key] = s
	return s
}

// recover is what a bureau knows that reads its chain in a new session.
func (x *explorer) recover(e, b int, opened uint8, chain num) num {
	key := memoKey{elector: uint8(e), bureau: uint8(b), opened: opened, chain: chain}
	if n, ok := x.recovery[key]; ok {
		return n
	}
	c := x.context(e, b, opened)
	s := c.Start()
	if all := x.chains.values[chain]; len(all) > 0 {
		before := x.chains.number[numbers(all[:len(all)-1])]
		was := x.said.values[all[len(all)-1]]
		var why ledger.Validity
		if s, why = c.Recover(x.states.values[x.recover(e, b, opened, before)], was.id, was.body, was.extract); why != ledger.Valid && x.dropped == 0 {
			x.t.Fatalf("bureau %d reads its own chain: %v from %v: %v", number(b), was.body.Kind(), s.Record.State, why)
		}
	}
	n := x.internState(s)
	x.recovery[key] = n
	return n
}

// start is the morning.
func (x *explorer) start() (p place) {
	for e := range x.electors {
		for b := range bureaux {
			p.cells[e][b].state = x.recover(e, b, 0, 0)
		}
	}
	return p
}
