package consensus

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"pointage/consensus/consensustest"
)

// faultKind is what can happen to a group.
type faultKind string

const (
	kill      faultKind = "kill"       // a process dies; its operating system says so
	powerCut  faultKind = "power cut"  // a machine is gone without a word
	blackout  faultKind = "blackout"   // several machines at once, often all
	split     faultKind = "split"      // two parts
	isolation faultKind = "isolation"  // one machine alone
	oneWay    faultKind = "one way"    // one direction between two machines
	deafness  faultKind = "deafness"   // one machine hears nobody, or nobody hears it
	roughness faultKind = "roughness"  // loss, delay and reordering on the links of some machines
	resets    faultKind = "resets"     // a machine's connections break
	stall     faultKind = "stall"      // a disk hangs
	diskFault faultKind = "disk fault" // a disk refuses writes
	lostStore faultKind = "lost store" // a machine crashes and comes back with an empty disk
	lies      faultKind = "lies"       // a machine that leads answers what is not so, under seals that don't hold
	blinks    faultKind = "blinks"     // some machines die and are back at once, three times
	ambush    faultKind = "ambush"     // half are cut off; of those that went on one loses its store and the others crash
)

var allKinds = []faultKind{
	kill, kill, powerCut, powerCut, blackout, split, split, isolation, isolation, oneWay, oneWay, deafness, roughness, roughness,
	resets, stall, diskFault, lostStore, ambush, blinks, lies,
}

// event is one act of a plan.
type event struct {
	at time.Duration
	do func(*day)
}

// dayPlan is what happens on a day; it is drawn before the day begins, so that a seed gives the same plan every time.
type dayPlan struct {
	events        []event // by time
	counts        map[faultKind]int
	principalAway bool               // the principal comes when all else is healed
	snapshots     bool               // the log is cut short again and again
	far           time.Duration      // how far the machines are from one another at most, one way
	slow          map[string]float64 // how slowly a machine's clock runs, as a factor; 1 if not there
}

// newPlan draws a plan.
func newPlan(random *rand.Rand, peers []string, s shape) dayPlan {
	p := dayPlan{slow: map[string]float64{}, counts: map[faultKind]int{}, principalAway: random.IntN(5) == 0 && s.kinds == nil, snapshots: random.IntN(3) == 0}
	gap, longOf := s.fault, 8
	if s.kinds == nil {
		p.far = time.Duration(random.Int64N(int64(50*time.Millisecond))) * time.Duration(random.IntN(2))
		wrongClocks(&p, random, peers)
		// On calm days a leader stays long enough to replace those that are silent.
		if random.IntN(2) == 0 {
			gap, longOf = 8*gap, 3
		}
	}
	kinds := allKinds
	if s.kinds != nil {
		kinds = s.kinds
	}
	for at := 3 * time.Second; ; {
		at += time.Duration(random.ExpFloat64() * float64(gap))
		if at >= s.length {
			break
		}
		f := drawing{random: random, peers: peers, voting: s.voting, at: at}
		// Most faults pass soon; some last long enough for a voting member to be replaced.
		f.until = at + time.Duration(random.ExpFloat64()*float64(15*time.Second))
		if random.IntN(longOf) == 0 {
			f.until = at + time.Minute + time.Duration(random.Int64N(int64(time.Minute)))
		}
		f.until = min(f.until, s.length)
		kind := kinds[random.IntN(len(kinds))]
		p.counts[kind]++
		p.events = append(p.events, f.events(kind)...)
	}
	slices.SortStableFunc(p.events, func(a, b event) int { return int(a.at - b.at) })
	return p
}

// wrongClocks lets the clocks of all machines run up to a tenth fast or slow, on one day in three. What time of day they
// show means nothing to a group (TestNothingReadsTheTimeOfDay).
func wrongClocks(p *dayPlan, random *rand.Rand, peers []string) {
	if random.IntN(3) != 0 {
		return
	}
	for _, peer := range peers {
		p.slow[peer] = 0.9 + 0.2*random.Float64()
	}
}

// drawing is one fault being drawn.
type drawing struct {
	random    *rand.Rand
	peers     []string
	voting    int
	at, until time.Duration
}

// peer draws a machine, a voting one more often.
func (f drawing) peer() string {
	n := len(f.peers)
	if f.random.IntN(2) == 0 {
		n = f.voting
	}
	return f.peers[f.random.IntN(n)]
}

// some draws at least n machines, in any order.
func (f drawing) some(n int) []string {
	all := slices.Clone(f.peers)
	f.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), n+f.random.IntN(len(all)))]
}

// forgotten is how many of its last commands a machine loses with its power.
func (f drawing) forgotten() int {
	switch f.random.IntN(4) {
	case 0:
		return 1 << 30
	case 1, 2:
		return f.random.IntN(forgottenMost)
	}
	return 0
}

func (f drawing) events(kind faultKind) []event {
	switch kind {
	case kill, powerCut:
		return f.crash(f.peer(), kind == powerCut)
	case blackout:
		var all []event
		for _, p := range f.some(2) {
			all = append(all, f.crash(p, true)...)
		}
		return all
	case blinks:
		var all []event
		for range 3 {
			for _, p := range f.some(1) {
				f.until = f.at + time.Duration(f.random.Int64N(int64(100*time.Millisecond)))
				all = append(all, f.crash(p, false)...)
			}
			f.at += time.Duration(f.random.Int64N(int64(1500 * time.Millisecond)))
		}
		return all
	case lostStore:
		return f.loss(f.peer())
	case ambush:
		return f.ambush()
	case lies:
		return f.lying()
	case roughness:
		return f.rough()
	case resets:
		peer := f.peer()
		return []event{{f.at, func(d *day) {
			for _, p := range d.peers {
				d.network.Break(peer, p)
			}
		}}}
	case stall:
		return f.disk(func(m *memoryDisk, on bool) { m.stall(on) })
	case diskFault:
		return f.disk(func(m *memoryDisk, on bool) {
			m.fail(nil)
			if on {
				m.fail(errors.New("no space left on device"))
			}
		})
	}
	return f.cut(f.directions(kind))
}

func (f drawing) crash(peer string, silent bool) []event {
	forget := f.forgotten()
	return []event{
		{f.at, func(d *day) { d.crash(peer, silent, forget) }},
		{f.until, func(d *day) { d.start(peer) }},
	}
}

// directions are what a kind of cut cuts.
func (f drawing) directions(kind faultKind) [][2]string {
	var cut [][2]string
	peer := f.peer()
	switch kind {
	case oneWay:
		return [][2]string{{peer, f.peer()}}
	case split:
		side := f.some(1)
		for _, a := range side {
			for _, b := range f.peers {
				if !slices.Contains(side, b) {
					cut = append(cut, [2]string{a, b}, [2]string{b, a})
				}
			}
		}
	case isolation, deafness:
		hears := f.random.IntN(2)
		for _, p := range f.peers {
			if kind == isolation || hears == 0 {
				cut = append(cut, [2]string{p, peer})
			}
			if kind == isolation || hears == 1 {
				cut = append(cut, [2]string{peer, p})
			}
		}
	}
	return cut
}

func (f drawing) cut(directions [][2]string) []event {
	return []event{
		{f.at, func(d *day) { d.cut(directions, 1) }},
		{f.until, func(d *day) { d.cut(directions, -1) }},
	}
}

// cut counts the faults that hold a direction, so that the end of one doesn't heal what another cut.
func (d *day) cut(directions [][2]string, by int) {
	for _, l := range directions {
		if l[0] == l[1] {
			continue
		}
		d.cuts[l] += by
		if d.cuts[l] > 0 {
			d.network.Cut(l[0], l[1])
		} else {
			d.network.Heal(l[0], l[1])
		}
	}
}

func (f drawing) rough() []event {
	side := f.some(1)
	bad := consensustest.Rough{
		Jitter: time.Duration(f.random.Int64N(int64(400*time.Millisecond))) + time.Millisecond, Loss: 0.3 * f.random.Float64(),
	}
	set := func(r consensustest.Rough) func(*day) {
		return func(d *day) {
			for _, a := range side {
				for _, b := range d.peers {
					if a != b {
						d.network.Roughen(a, b, r)
						d.network.Roughen(b, a, r)
					}
				}
			}
		}
	}
	return []event{{f.at, set(bad)}, {f.until, set(consensustest.Rough{})}}
}

// disk does something to the disk that a machine has at that time, for at most 20 s.
func (f drawing) disk(set func(disk *memoryDisk, on bool)) []event {
	peer := f.peer()
	var disk *memoryDisk
	return []event{
		{f.at, func(d *day) {
			disk = d.nodes[peer].disk
			set(disk, true)
		}},
		{min(f.until, f.at+20*time.Second), func(*day) { set(disk, false) }},
	}
}

// loss takes a machine's disk away. It comes back under a new number, with its own state or without.
func (f drawing) loss(peer string) []event {
	number, seed, keeps := f.random.Uint64()>>1+1, f.random.Uint64(), f.random.IntN(2) == 0
	taken := false
	return []event{
		{f.at, func(d *day) {
			if taken = d.mayLose(peer); taken {
				d.crash(peer, true, 0)
			}
		}},
		{f.until, func(d *day) {
			if taken {
				d.replaceStore(peer, number, seed, keeps)
				d.start(peer)
			}
		}},
	}
}

// ambush is the worst that a lost store can meet: the voting members that didn't take part while half were cut off are a
// majority together with the one that forgot. It must not count.
func (f drawing) ambush() []event {
	voting := slices.Clone(f.peers[:f.voting])
	f.random.Shuffle(len(voting), func(i, j int) { voting[i], voting[j] = voting[j], voting[i] })
	half := (f.voting - 1) / 2
	begin := f.at
	var all []event
	for _, p := range voting[:half] {
		for _, q := range f.peers {
			f.until = begin + 10*time.Second
			all = append(all, f.cut([][2]string{{p, q}, {q, p}})...)
		}
	}
	f.at, f.until = begin+8*time.Second, begin+9*time.Second
	all = append(all, f.loss(voting[half])...)
	for _, p := range voting[half+1:] {
		f.until = begin + 30*time.Second
		all = append(all, f.crash(p, true)...)
	}
	return all
}

// mayLose keeps to what Raft promises: acknowledged commands survive the loss of fewer stores than half of those that
// vote, so that a store is lost only after the one lost before it has been replaced.
func (d *day) mayLose(peer string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	few := d.shape.voting < 5 && d.shape.mutant != emptyStore // one of three: then none may be missing already
	if d.nodes[peer].group == nil || few && (d.plan.principalAway || d.report.lostStores > 0) {
		return false
	}
	for _, n := range d.nodes {
		if n.lost != "" && !d.listedLocked(n.lost) {
			return false
		}
		n.lost = ""
	}
	d.report.lostStores++
	d.nodes[peer].lost = "?"
	return true
}

// listedLocked says whether a leader has let a server in.
func (d *day) listedLocked(id string) bool {
	for _, n := range d.nodes {
		if n.group == nil || !n.group.IsLeader() {
			continue
		}
		for _, m := range n.group.Status().Members {
			if m.ID == id {
				return true
			}
		}
	}
	return false
}

// replaceStore puts an empty disk in place of a lost one, unless the machine was started with the old one meanwhile.
func (d *day) replaceStore(peer string, number, seed uint64, keeps bool) {
	d.mu.Lock()
	n := d.nodes[peer]
	n.lost = ""
	if n.group != nil {
		d.mu.Unlock()
		return
	}
	n.disk = newMemoryDisk(d.seed, seed)
	if !keeps {
		n.machine = consensustest.NewClaims()
	}
	old := d.config
	old.StoreNumber, old.StoreExisted = n.number, true
	n.started = false
	if d.shape.mutant != emptyStore {
		n.number, n.lost = number, ServerID(peer, number)
	}
	machine, disk := n.machine, n.disk
	d.mu.Unlock()
	g, err := startOver(old.withDefaults(), d.network.Host(peer), machine, disk.stores())
	if !errors.Is(err, ErrStoreLost) {
		d.offence("an empty store under the number of the lost one: %v, want ErrStoreLost", err)
	}
	if err == nil {
		d.close(peer, g)
	}
}
