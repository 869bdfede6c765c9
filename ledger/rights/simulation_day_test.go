package rights

import (
	"crypto/ed25519"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// A simulated election day: 25 bureaux, their machines, their electors, the network between them
// and the group, in one thread and from one seed. What decides is the production Step and
// Recover; what is written are the ledger's own batches. Simulated time is in milliseconds from
// the opening.
//
// Until some time in the afternoon everything may fail; then all is connected and nothing fails
// any longer. Nothing here depends on real time or on the order of a map.
const simBureaux = 25

// simCommune is what all days of one size have in common; nobody changes it.
type simCommune struct {
	electors int
	group    *ledger.Group
	// rights are every elector's right to be admitted, then every elector's to carry a proxy: both are at
	// home at the bureau that the number leaves over after a division by simBureaux.
	rights []ledger.Right
	number map[ledger.ElectorToken]int32
	keys   [simBureaux]ed25519.PrivateKey
}

// of is a right's number; an admit right's is its elector's.
func (c *simCommune) of(x ledger.Right) int32 {
	n := c.number[x.Elector]
	if x.Kind == ledger.Carry {
		n += int32(c.electors)
	}
	return n
}

var (
	simCommunesMu sync.Mutex
	simCommunes   = map[int]*simCommune{}
)

// newSimCommune is the commune of that many electors, made once.
func newSimCommune(t *testing.T, electors int) *simCommune {
	t.Helper()
	simCommunesMu.Lock()
	defer simCommunesMu.Unlock()
	if c := simCommunes[electors]; c != nil {
		return c
	}
	c := &simCommune{electors: electors, group: ledgertest.NewDay(t, simBureaux, electors, nil).Group, number: map[ledger.ElectorToken]int32{}}
	if electors%simBureaux != 0 {
		t.Fatalf("%d electors at %d bureaux", electors, simBureaux)
	}
	for e := range electors {
		c.rights = append(c.rights, ledger.Right{Elector: ledgertest.Elector(e), Kind: ledger.Admit})
		c.number[c.rights[e].Elector] = int32(e)
	}
	for e := range electors {
		c.rights = append(c.rights, ledger.Right{Elector: c.rights[e].Elector, Kind: ledger.Carry})
	}
	for b := range simBureaux {
		c.keys[b] = ledgertest.Key(ledgertest.DeviceName(number(b), 0))
	}
	simCommunes[electors] = c
	return c
}

// simFault is what breaks an assumption of S1 on a day.
type simFault uint8

const (
	// simClean: nothing does.
	simClean simFault = iota
	// simCloned: a bureau's journal is copied, and two machines go on from it (A1).
	simCloned
	// simRolledBack: all of a bureau's media are put back to an older state (A2); what they had
	// is found in the evening.
	simRolledBack
	// simErased: as before, and it is never found but by the group, as far as that has it.
	simErased
)

var simFaultNames = [...]string{"clean", "cloned", "rolled back", "erased"}

// simSabotage is a driver that does not do its part, to see that a day notices.
type simSabotage uint8

const (
	simNone simSabotage = iota
	// simPatient: the barrier has no end.
	simPatient
	// simForgetful: no message is sent twice, and the ledger carries none.
	simForgetful
	// simResigned: what the group has not answered at once is never proposed again.
	simResigned
	// simBlind: the chain of one of two clones is not read in the evening.
	simBlind
	// simSlanderous: of one bureau's chain a second continuation is read that it never made.
	simSlanderous
	// simForgetsHolder: of a proxy in its chain a machine that restarts takes up the principal's right only.
	simForgetsHolder
)

// simConfig is what a day is made from, beside its seed.
type simConfig struct {
	dropped rules
	fault   simFault
	// restless is the share of electors who try for a second ballot, fragile the chance that a
	// machine crashes in one write.
	restless, fragile float64
	// echo is the most that an old message comes again with a new one about the same right.
	echo float64
	// proxies is how many forms there are to an elector.
	proxies  float64
	sabotage simSabotage
	// judged: the union of all chains is placed in the evening.
	judged bool
	// watch is an elector whose story is kept, -1 for none.
	watch int32
}

// simLight is a ballot that was handed over and not taken back.
type simLight struct {
	record ledger.StatementID
	bureau int
}

// simTally counts a day.
type simTally struct {
	asked, admitted, away, refused, voided, annulled, mistakes   int
	forms, byProxy                                               int
	messages, crashes, adopted, orphans, alarms, troubles, stops int
	longest                                                      int64
	doubles, found, unfound, accused, batches, statements        int
}

type simDay struct {
	*simCommune
	simConfig
	seed     uint64
	rnd      *rand.Rand
	now      int64
	queue    simQueue
	coming   []uint64
	machines []*simMachine
	openings [simBureaux]int
	members  simGroup
	// the network
	messages       []simMessage
	said           map[int32][]int32
	side           [simBureaux + 1]uint8
	isolated       [simBureaux + 1]bool
	cut            [simBureaux + 1][simBureaux + 1]uint8
	weather        simWeather
	calm, ended    bool
	healed, level  int64
	lastAt, victim int
	clone          *simMachine
	lost           []*ledger.Batch
	// the electors
	lit          [][]simLight
	habit        []simHabit
	tries        []uint8
	forms        []simForm
	formOf       map[[2]int32]int32
	doubleVoters []int32
	// what is to be told of the day
	steps  int
	digest uint64
	broken string
	blamed int32
	story  []string
	tally  simTally
}

func newSimDay(c *simCommune, cfg simConfig, seed uint64) *simDay {
	d := &simDay{simCommune: c, simConfig: cfg, seed: seed, rnd: rand.New(rand.NewPCG(seed, 25)), digest: 14695981039346656037, level: math.MaxInt64 / 2}
	d.said, d.formOf = map[int32][]int32{}, map[[2]int32]int32{}
	d.lit, d.habit, d.tries = make([][]simLight, len(c.rights)), make([]simHabit, c.electors), make([]uint8, c.electors)
	arena := make([]simLight, c.electors)
	d.members = simGroup{leader: -1, live: make([][]simLive, len(c.rights)), arena: make([]simLive, c.electors)}
	for e := range c.electors {
		d.lit[e], d.members.live[e] = arena[e:e:e+1], d.members.arena[e:e:e+1]
	}
	return d
}

// run is the day from the opening to the evening. It returns what was broken, empty for nothing.
func (d *simDay) run() string {
	for b := range simBureaux {
		d.newMachine(b).start()
	}
	d.arrivals()
	d.giveProxies()
	d.victim = d.rnd.IntN(simBureaux)
	d.begin()
	d.rewire()
	for d.broken == "" && (len(d.coming) > 0 || len(d.queue.heap) > 0) {
		if len(d.coming) > 0 && (len(d.queue.heap) == 0 || int64(d.coming[0]>>20) <= d.queue.heap[0].at) {
			d.now = int64(d.coming[0] >> 20)
			e := int32(d.coming[0] & (1<<20 - 1))
			d.coming = d.coming[1:]
			d.come(e)
			continue
		}
		d.happen(d.queue.pop())
	}
	d.evening()
	return d.broken
}

// happen lets one event take place.
func (d *simDay) happen(e simEvent) {
	d.now = e.at
	for _, v := range [...]uint64{uint64(e.at), uint64(e.kind), uint64(e.machine), uint64(e.elector), uint64(e.arg)} {
		d.digest = (d.digest ^ v) * 1099511628211
	}
	m := d.machines[e.machine]
	if e.opening != 0 && (e.opening != m.opening || !m.up && e.kind != simRestart) {
		return
	}
	if d.watch >= 0 && (e.elector == d.watch && (e.kind <= simAgain || e.kind == simBarrier || e.kind == simDeliver) || e.kind == simCrash || e.kind == simRestart || e.kind >= simTamper) {
		d.note("%s (machine %d, %d)", simKindNames[e.kind], e.machine, e.arg)
	}
	switch e.kind {
	case simAsk:
		d.ask(m, e.elector, false)
	case simAskProxy:
		d.askProxy(m, e.arg)
	case simLeave, simUndo, simAnnul, simStray, simGiveBack:
		if m.up {
			d.act(m, e)
		}
	case simAgain:
		m.askAgain(e.elector)
	case simFlushed:
		m.flushed()
	case simBarrier:
		m.waited(e.elector, e.arg)
	case simPropose:
		m.propose()
	case simCommit:
		m.commit(int(e.arg))
	case simReply:
		m.reply(int(e.arg))
	case simDeliver:
		d.deliver(e.arg)
	case simPlaced:
		m.placed()
	default:
		d.shake(m, e)
	}
}

// act is something that somebody does at a table, at which he may not be.
func (d *simDay) act(m *simMachine, e simEvent) {
	r := m.row(e.elector)
	switch e.kind {
	case simLeave:
		m.step(e.elector, Leave{})
		if r.s.Desk == Idle {
			r.asked = 0
		}
	case simGiveBack:
		m.step(e.elector, Leave{})
	case simUndo:
		m.step(e.elector, Undo{Reason: 2})
	case simStray:
		m.step(e.elector, Expired{})
	case simAnnul:
		d.annul(m, e.elector, r)
	}
}

// annul: two persons attest that there was no ballot, which is true. Where there was one, one
// person tries alone.
func (d *simDay) annul(m *simMachine, e int32, r *simRow) {
	by := r.s.Record.By
	switch {
	case r.s.Record.State != ledger.Admitted || !r.s.Handed || r.s.Pending != nil || r.s.Desk != Idle:
	case d.isLit(e, by) && !r.mistake:
		m.step(e, Annul{Reason: 1, Attesters: [2]uint16{2, 2}})
	default:
		// They know it from now on, whether the statement becomes durable or not.
		d.takeBack(e, by)
		if other, ok := r.s.Other(d.rights[e]); ok {
			d.takeBack(d.of(other), by)
		}
		m.step(e, Annul{Reason: 1, Attesters: [2]uint16{2, 1}})
	}
}

func (d *simDay) isLit(e int32, by ledger.StatementID) bool {
	for _, l := range d.lit[e] {
		if l.record == by {
			return true
		}
	}
	return false
}

// takeBack: the ballot was not handed over after all.
func (d *simDay) takeBack(e int32, by ledger.StatementID) {
	for i, l := range d.lit[e] {
		if l.record == by {
			d.lit[e] = append(d.lit[e][:i], d.lit[e][i+1:]...)
			return
		}
	}
}

// note keeps a line of the watched elector's story.
func (d *simDay) note(format string, args ...any) {
	d.story = append(d.story, fmt.Sprintf("%02d:%02d:%06.3f ", d.now/simHour, d.now/simMinute%60, float64(d.now%simMinute)/1000)+fmt.Sprintf(format, args...))
}

// fail notes the first promise that was broken; the day ends there.
func (d *simDay) fail(e int32, format string, args ...any) {
	if d.broken == "" {
		d.broken = fmt.Sprintf("elector %d at %02d:%02d:%06.3f: ", e, d.now/simHour, d.now/simMinute%60, float64(d.now%simMinute)/1000) + fmt.Sprintf(format, args...)
		d.blamed = e
	}
}
