package rights

import (
	"fmt"
	"math/bits"
	"testing"
)

// The media of one bureau: disk, key 1, key 2, and a blank one that may take another's place; and
// its two machines, of which the second is the spare.
const (
	mediaCount   = 4
	blankMedium  = 3
	machineCount = 2
	inDrawer     = machineCount
)

// medium is one of a bureau's media.
type medium struct {
	at      uint8 // the machine, or in a drawer
	gen     uint8 // 0: blank, no header of this set
	members uint8 // the set that its header names, a bit for each medium
	round   uint8 // of the newest opening that wrote here
	dead    bool
	copyOf  uint8 // the medium whose copy this is, plus 1: on another piece of hardware
	log     num   // the batches on it
}

// phase is what a machine does with its media.
type phase uint8

const (
	off phase = iota
	// numbering: the opening's number is being made durable.
	numbering
	// levelling: what was read is being written back.
	levelling
	// naming: the session's first batch is being made durable, which names what it goes on from.
	naming
	running
	// writing: a batch is being made durable.
	writing
	// replacing: the next generation is being made durable.
	replacing
)

// machine is one that may hold the bureau's media.
type machine struct {
	phase    phase
	attached uint8 // media that were read and not detached since
	gen      uint8
	members  uint8
	round    uint8 // this opening's number
	has      uint8 // media that have what is being written
	log      num   // numbering, levelling: what was read; then the chain's last batch, or the pending one
	unit     num   // what the program knows, from naming on; before, the session
}

// benches are the bureau with its media, and its peer.
type benches struct {
	media    [mediaCount]medium
	machines [machineCount]machine
	peer     num
	// lights are the ballots handed over here, by right.
	lights [2]uint8
	// posted is what others may have of the first right's statements.
	posted                               num
	moves, fails, crashes, openings, put uint8
	// ended: the bureau was closed on this machine, plus 1.
	ended uint8
}

// mediaRule is a set of the media's rules that are not in force.
type mediaRule uint32

const (
	oneMedium     mediaRule = 1 << iota // 1: a record is durable on one medium
	openOne                             // 2: opens with one medium
	readOne                             // 2: reads the first, not all
	longest                             // 2: the longest medium instead of the union
	latest                              // 2: the medium of the newest opening instead of the union
	byLength                            // the longest history of the union, not the newest round's
	onlyShared                          // 2: what one medium alone has is left out of the union
	noLevel                             // 2: what was read is not written back
	noRound                             // sessions: openings are not numbered durably
	blankCounts                         // 2: a blank disk counts
	noReread                            // 3: a medium that comes back is not read
	noStop                              // 3: works on with fewer than two
	noGeneration                        // 4: a medium is replaced without a new generation
	removedCounts                       // 4: a medium that was replaced counts again
	emptyNew                            // 4: the new medium gets a header, not the chain
	laggardOut                          // 4: a medium whose generation is behind does not count, though the next one names it
	oneSurvivor                         // 4: the new generation is on one survivor when the new medium gets it
	copiesCount                         // 6: a copy on other hardware is taken for the medium
	closeUnlevel                        // 7: closing does not level the media
	orphansCount                        // sessions: a tail beside the chain has effect
	lateName                            // sessions: acts on what it reads before its first batch is durable
	halfBatch                           // batches: a part of a batch is read as if it were whole
)

// mediaBounds make the space finite.
type mediaBounds struct {
	name                                     string
	moves, fails, crashes, openings, replace int
	copies                                   bool
	// lazy: a machine may not notice at once that a medium is gone, only that it can't write on it.
	lazy bool
	// blankAt is the machine where the blank medium lies, plus 1, and stays; 0: a drawer, whence it
	// may be fetched.
	blankAt uint8
	// electors is how many are at home here; the first may go to the peer.
	electors int
	// voids are how often the bureau's chain may take an admission back.
	voids   int
	without mediaRule
	// onlyBallots asks for no more than S1.
	onlyBallots bool
	bits        int
}

// batch is one signed batch of a bureau's chain, with what it goes on from.
type batch struct {
	parent         num // plus 1; 0 for the first
	session, round uint8
	said           []num
	height         int
}

// mediaModel is one bureau with its media, sessions and batches in detail, and a peer whose journal
// is taken for granted.
//
// A record is on a medium or it is not: a torn one fails its check and is not read. Media die, are
// moved, copied and replaced; machines crash between any two writes; statements that wait
// together are signed together.
type mediaModel struct {
	mediaBounds
	u *units
	// u.mu guards the tables; what was read from them once is in done.
	batches table[batch]
	logs    table[[]num] // the last batches of a medium's histories
	bare    map[num]stripped
	done    *memo[num]
}

// stripped is a unit whose ballots and messages are counted elsewhere.
type stripped struct {
	unit   num
	lights [2]uint8
	posted num
}

func newMedia(tb testing.TB, b mediaBounds) *mediaModel {
	tb.Helper()
	rights := admitOf(0, 3)[:b.electors]
	m := &mediaModel{mediaBounds: b, bare: map[num]stripped{}, done: newMemo[num]()}
	m.u = newUnits(tb, bounds{bureaux: 2, rights: rights, together: true, releases: 1, voids: b.voids, demands: allPromises})
	m.u.slots[1].rights = []int{0}
	m.u.lenient = b.without != 0
	m.logs.intern("", nil)
	return m
}

func flag8(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// pack is the whole in small numbers.
func (b *benches) pack() (w world) {
	for i, m := range b.media {
		if m.log >= 1<<16 {
			panic("too many histories")
		}
		w[i] = uint32(m.at) | uint32(m.gen)<<2 | uint32(m.members)<<4 | uint32(m.round)<<8 | flag8(m.dead)<<11 | uint32(m.copyOf)<<12 | m.log<<15
	}
	for i, m := range b.machines {
		if m.log >= 1<<12 {
			panic("too many batches")
		}
		w[4+i] = uint32(m.phase) | uint32(m.attached)<<3 | uint32(m.gen)<<7 | uint32(m.members)<<9 | uint32(m.round)<<13 | uint32(m.has)<<16 | m.log<<20
		w[6+i] = m.unit
	}
	w[8] = b.peer
	w[9] = uint32(b.moves) | uint32(b.fails)<<3 | uint32(b.crashes)<<5 | uint32(b.openings)<<8 | uint32(b.put)<<11 | uint32(b.lights[0])<<13 | uint32(b.lights[1])<<15 | uint32(b.ended)<<17 | b.posted<<19
	return w
}

func unpack(w *world) (b benches) {
	for i := range b.media {
		v := w[i]
		b.media[i] = medium{uint8(v & 3), uint8(v >> 2 & 3), uint8(v >> 4 & 15), uint8(v >> 8 & 7), v>>11&1 == 1, uint8(v >> 12 & 7), v >> 15}
	}
	for i := range b.machines {
		v := w[4+i]
		b.machines[i] = machine{phase(v & 7), uint8(v >> 3 & 15), uint8(v >> 7 & 3), uint8(v >> 9 & 15), uint8(v >> 13 & 7), uint8(v >> 16 & 15), v >> 20, w[6+i]}
	}
	v := w[9]
	b.peer = w[8]
	b.moves, b.fails, b.crashes, b.openings, b.put = uint8(v&7), uint8(v>>3&3), uint8(v>>5&7), uint8(v>>8&7), uint8(v>>11&3)
	b.lights, b.ended, b.posted = [2]uint8{uint8(v >> 13 & 3), uint8(v >> 15 & 3)}, uint8(v>>17&3), v>>19
	return b
}

// start is the morning: the three media at the first machine, nothing on them.
func (m *mediaModel) start() world {
	b := benches{peer: m.u.start()[1]}
	for i := range blankMedium {
		b.media[i] = medium{gen: 1, members: 7}
	}
	b.media[blankMedium].at = inDrawer
	if m.blankAt > 0 {
		b.media[blankMedium].at = m.blankAt - 1
	}
	return b.pack()
}

// strip takes what others count out of a unit.
func (m *mediaModel) strip(n num) stripped {
	m.u.mu.Lock()
	defer m.u.mu.Unlock()
	if s, ok := m.bare[n]; ok {
		return s
	}
	u := m.u.node(n).unit
	s := stripped{posted: u.parts[0].posted}
	for i := range m.u.slots[0].rights {
		s.lights[i] = u.parts[i].lights
		u.parts[i].lights, u.parts[i].provisional, u.parts[i].posted = 0, 0, 0
	}
	s.unit = m.u.internUnit(u)
	m.bare[n] = s
	return s
}

func count(mask uint8) int { return bits.OnesCount8(mask) }

// check says which promise is broken.
func (m *mediaModel) check(w *world) string {
	b := unpack(w)
	peer := m.u.node(b.peer)
	if peer.wrong != "" {
		return peer.wrong
	}
	for i := range m.electors {
		lights := b.lights[i]
		if i == 0 {
			lights += peer.rights[0].lights
		}
		if lights > 1 {
			return fmt.Sprintf("S1: %d ballots by the right of elector %d", lights, m.u.bounds.rights[i].elector)
		}
	}
	if m.onlyBallots {
		return ""
	}
	if b.ended > 0 {
		return m.evening(&b)
	}
	return m.anyTwo(&b)
}

// anyTwo demands that any two media that count know every ballot, whatever the machines do now, so
// that a spare can go on (rule 5), and that one can be handed over to whoever has none yet.
func (m *mediaModel) anyTwo(b *benches) string {
	at := *b
	for i := range at.media {
		at.media[i].at = 0
	}
	c := m.counted(&at, 0)
	if m.living(b) >= 2 && count(c.media) < 2 {
		return "L1: two media of the set are there, and no machine opens with them"
	}
	for i := range mediaCount {
		for j := range i {
			if c.media>>i&1 == 1 && c.media>>j&1 == 1 {
				if why := m.knows(b, m.union(b.media[i].log, b.media[j].log)); why != "" {
					return fmt.Sprintf("media %d and %d: %s", j, i, why)
				}
			}
		}
	}
	return ""
}

// living counts the media of the newest set, the copies apart, that have a header of it or of the one before.
func (m *mediaModel) living(b *benches) (n int) {
	newest := medium{}
	for _, x := range b.media {
		if !x.dead && x.copyOf == 0 && x.gen > newest.gen {
			newest = x
		}
	}
	for i, x := range b.media {
		if !x.dead && x.copyOf == 0 && x.gen > 0 && newest.members>>i&1 == 1 {
			n++
		}
	}
	return n
}

// evening demands that each medium that was there when the bureau was closed knows every ballot.
func (m *mediaModel) evening(b *benches) string {
	for i := range b.media {
		if b.machines[b.ended-1].attached>>i&1 == 1 {
			if why := m.knows(b, b.media[i].log); why != "" {
				return fmt.Sprintf("medium %d alone, in the evening: %s", i, why)
			}
		}
	}
	return ""
}

// knows says what a machine that opens with this log would not know: a ballot, or what others may
// have got and would accuse it of having taken back.
func (m *mediaModel) knows(b *benches, log num) string {
	d := m.u.node(m.recovered(log, 7))
	for i := range m.electors {
		if b.lights[i] > 0 && d.rights[i].records == 0 {
			return fmt.Sprintf("the ballot of elector %d is forgotten", m.u.bounds.rights[i].elector)
		}
	}
	if !m.tells(log, b.posted) {
		return "a statement that was sent is not in the chain"
	}
	return ""
}
