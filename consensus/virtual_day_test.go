package consensus

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pointage/consensus/consensustest"
)

const (
	levelWithin   = time.Minute                  // after healing, until every machine has what was acknowledged before
	leaderWithin  = transferCap + 30*time.Second // and until the principal (or the deputy, without it) leads
	afterHealing  = 20 * time.Second             // proposers go on for so long
	judgeWithin   = 30 * time.Second             // real time for the histories of one key
	forgottenMost = 50                           // commands that a crash takes from a machine that doesn't fsync each
)

// shape is what a faulted day looks like, but for what its seed decides.
type shape struct {
	voting, receivers int
	length            time.Duration // until everything is healed
	fault             time.Duration // mean time between two faults
	pause             time.Duration // mean time between two commands of one proposer
	proposers         int           // at each machine
	impatient         bool          // proposers try again at once
	kinds             []faultKind   // nil for all
	mutant            mutant
}

// day is one run of a group through a plan of faults, in one bubble.
type day struct {
	seed    uint64
	shape   shape
	began   time.Time
	network *consensustest.Network
	config  Config
	peers   []string
	plan    dayPlan
	history consensustest.History
	stop    chan struct{} // closed when proposers begin nothing new
	ending  sync.WaitGroup

	principalMayCome bool // on a day that it is away

	mu       sync.Mutex
	nodes    map[string]*node
	cuts     map[[2]string]int // faults that hold a direction cut
	replicas map[string][]consensustest.Applied
	offences []error
	report   report
}

// node is one machine: what is left of it by a crash, and what runs on it.
type node struct {
	number  uint64
	started bool // under this number
	disk    *memoryDisk
	machine *consensustest.Claims
	seals   *seals
	group   *Group // nil for off
	life    int    // counts crashes
	lost    string // the server ID under which it asks to be let in after its store was lost, until a leader lists it
}

// report is what one day was like; add sums days up.
type report struct {
	days, operations, unknown, refused, faults, crashes, lostStores, leaders, demotions int
	level, leader                                                                       time.Duration // longest
	virtual                                                                             time.Duration
}

func (r *report) add(o report) {
	r.days, r.operations, r.unknown, r.refused = r.days+o.days, r.operations+o.operations, r.unknown+o.unknown, r.refused+o.refused
	r.faults, r.crashes, r.lostStores, r.leaders = r.faults+o.faults, r.crashes+o.crashes, r.lostStores+o.lostStores, r.leaders+o.leaders
	r.demotions += o.demotions
	r.level, r.leader, r.virtual = max(r.level, o.level), max(r.leader, o.leader), r.virtual+o.virtual
}

func newDay(seed uint64, s shape) *day {
	random := rand.New(rand.NewPCG(seed, 0))
	d := &day{
		seed: seed, shape: s, network: consensustest.NewSeededNetwork(seed), stop: make(chan struct{}),
		nodes: map[string]*node{}, cuts: map[[2]string]int{}, replicas: map[string][]consensustest.Applied{},
	}
	for i := range s.voting + s.receivers {
		peer := fmt.Sprintf("m%d", i)
		d.peers = append(d.peers, peer)
		d.config.Members = append(d.config.Members, Member{Peer: peer, Voting: i < s.voting})
		d.nodes[peer] = &node{
			disk: newMemoryDisk(seed, uint64(i)), machine: consensustest.NewClaims(),
			seals: &seals{peer: peer, believes: s.mutant == believesLies},
		}
		switch {
		case s.mutant == skipsApply && i == 1:
			d.nodes[peer].machine.Defect = consensustest.SkipsCommands
		case s.mutant == appliesTwice:
			d.nodes[peer].machine.Defect = consensustest.AppliesAgain
		}
		d.network.Host(peer)
	}
	withPrincipal(&d.config)
	d.plan = newPlan(random, d.peers, s)
	for _, p := range d.peers {
		for _, q := range d.peers {
			d.network.Delay(p, q, time.Duration(random.Int64N(int64(d.plan.far)+1)))
		}
	}
	if d.plan.snapshots {
		d.config.Snapshots = Snapshots{Interval: 20 * time.Second, Threshold: 150, Trailing: 60}
	}
	return d
}

func (d *day) offence(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offences = append(d.offences, fmt.Errorf("at %s: "+format, append([]any{time.Since(d.began)}, args...)...))
}

// run is the whole day, from within a bubble. What it finds wrong is in offences; judge says the rest.
func (d *day) run() {
	d.began = time.Now()
	for _, p := range d.peers {
		d.start(p)
	}
	var proposers sync.WaitGroup
	for i, p := range d.peers {
		for j := range d.shape.proposers {
			w := newProposer(d, p, i*d.shape.proposers+j)
			proposers.Go(w.run)
		}
	}
	watched := d.watchMembers()
	for _, e := range d.plan.events {
		if wait := e.at - time.Since(d.began); wait > 0 {
			<-time.After(wait)
		}
		e.do(d)
	}
	d.heal()
	<-time.After(afterHealing)
	close(d.stop)
	proposers.Wait()
	<-watched
	d.within(levelWithin, "all machines have the same", func() bool { return d.spread() == 0 })
	for _, p := range d.peers {
		d.end(p)
	}
	d.ending.Wait()
	if n := d.network.Open(); n != 0 {
		d.offence("%d sides of connections are still open", n)
	}
	d.report.virtual = time.Since(d.began)
}

// heal undoes every fault that is left and sees whether the group keeps its word.
func (d *day) heal() {
	for _, p := range d.peers {
		for _, q := range d.peers {
			if p != q {
				d.network.Heal(p, q)
				d.network.Roughen(p, q, consensustest.Rough{})
			}
		}
		n := d.node(p)
		n.seals.lies.Store(false)
		n.disk.stall(false)
		n.disk.fail(nil)
		d.start(p)
	}
	before := d.longest()
	level, _ := d.within(levelWithin, "every machine has what was acknowledged before the healing", func() bool { return d.shortest() >= before })
	leads := func(peer string) func() bool {
		return func() bool { g := d.group(peer); return g != nil && g.IsLeader() }
	}
	var leader time.Duration
	if d.plan.principalAway {
		_, _ = d.within(leaderWithin, "the deputy leads without the principal", leads(d.config.Deputy))
		d.principalMayCome = true
		d.start(d.config.Principal)
	}
	leader, _ = d.within(leaderWithin, "the principal leads", leads(d.config.Principal))
	d.report.level, d.report.leader = level, level+leader
	_, _ = d.within(levelWithin, "as many vote as should", func() bool {
		g := d.group(d.config.Principal)
		return g != nil && votingIn(g.Status()) == d.shape.voting
	})
}

// within polls a condition, and names it when it doesn't hold in time.
func (d *day) within(limit time.Duration, what string, holds func() bool) (took time.Duration, ok bool) {
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			d.offence("not within %s: %s\n%s", limit, what, d.describe())
			return limit, false
		}
		<-time.After(50 * time.Millisecond)
	}
	return time.Since(began), true
}

func (d *day) describe() string {
	var all string
	for _, p := range d.peers {
		if g := d.group(p); g != nil {
			s := g.Status()
			all += fmt.Sprintf("  %s: %s, %s in term %d, log to %d, committed %d, applied %d, holds %d; %s; members", s.ID, s.State, s.Leader, s.Term, s.Last, s.Commit, s.Applied, d.node(p).machine.Len(), s.Fault)
			for _, m := range s.Members {
				all += fmt.Sprintf(" %s", m.ID)
				if m.Voting {
					all += "(v)"
				}
			}
			all += "\n"
		} else {
			all += fmt.Sprintf("  %s: off\n", p)
		}
	}
	return all
}

func (d *day) node(peer string) node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *d.nodes[peer]
}

func (d *day) group(peer string) *Group { return d.node(peer).group }

// lengths are how many commands each running machine has applied.
func (d *day) lengths() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []int
	for _, n := range d.nodes {
		if n.group != nil {
			all = append(all, n.machine.Len())
		}
	}
	return all
}

func (d *day) spread() int   { l := d.lengths(); return slices.Max(l) - slices.Min(l) }
func (d *day) shortest() int { return slices.Min(d.lengths()) }

// longest is the most that any machine has applied, or had before a crash.
func (d *day) longest() int {
	n := slices.Max(d.lengths())
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, log := range d.replicas {
		n = max(n, len(log))
	}
	return n
}

// start begins a machine's next life over what it kept, if it is off and may come.
func (d *day) start(peer string) {
	d.mu.Lock()
	n := d.nodes[peer]
	if n.group != nil || d.plan.principalAway && peer == d.config.Principal && !d.principalMayCome {
		d.mu.Unlock()
		return
	}
	cfg := d.config
	cfg.StoreNumber, cfg.StoreExisted = n.number, n.started
	// A clock that runs fast or slow is a machine whose timers do: Raft and this package know no other clock.
	t := TimingFor(len(d.peers))
	if slow := d.plan.slow[peer]; slow > 0 {
		t = Timing{scale(t.Heartbeat, slow), scale(t.Lease, slow), scale(t.Commit, slow)}
	}
	cfg.Timing, cfg.Answers = t, n.seals
	disk, machine := n.disk, n.machine
	d.mu.Unlock()
	disk.stall(false) // Start on a disk that hangs hangs: that is for its caller to see
	disk.fail(nil)
	g, err := startOver(cfg.withDefaults(), d.network.Host(peer), machine, disk.stores())
	if err != nil {
		d.offence("start %s: %v", ServerID(peer, cfg.StoreNumber), err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.group, n.started = g, true
}

func scale(t time.Duration, by float64) time.Duration { return time.Duration(float64(t) * by) }

// crash takes a machine away from one instant to the next. What still runs of it has no disk and no network any more, and
// is then ended; nothing that it says counts.
func (d *day) crash(peer string, silent bool, forget int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.nodes[peer]
	if n.group == nil {
		return
	}
	d.report.crashes++
	d.report.leaders += int(n.group.Status().LeaderChanges)
	g := n.group
	n.group = nil
	n.life++
	n.disk = n.disk.crash()
	if d.shape.mutant == losesSynced {
		n.disk.forgetLast()
	}
	d.network.Crash(peer, silent)
	log := n.machine.Log()
	d.replicas[fmt.Sprintf("%s before crash %d", peer, n.life)] = log
	if keep := len(log) - forget; keep > 0 {
		n.machine = n.machine.AfterCrash(log[keep-1].Index)
	} else {
		n.machine = n.machine.AfterCrash(0)
	}
	d.ending.Go(func() { d.close(peer, g) })
}

func (d *day) close(peer string, g *Group) {
	if err := g.Close(); err != nil && !errors.Is(err, errDiskOff) {
		d.offence("close %s: %v", peer, err)
	}
}

// end stops a machine in the evening.
func (d *day) end(peer string) {
	d.mu.Lock()
	n := d.nodes[peer]
	g := n.group
	n.group = nil
	d.mu.Unlock()
	if g == nil {
		return
	}
	leaders := int(g.Status().LeaderChanges)
	d.close(peer, g)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.leaders += leaders
	d.replicas[peer] = n.machine.Log()
}

// judge returns everything that was wrong with the day. It is called outside the bubble.
func (d *day) judge() error {
	errs := d.offences
	errs = append(errs, consensustest.Agree(d.replicas, d.history.Commands(consensustest.Answered)))
	errs = append(errs, consensustest.Absent(d.replicas, d.history.Commands(consensustest.Refused)))
	errs = append(errs, d.history.Linearizable(judgeWithin))
	d.report.days = 1
	for _, o := range d.history.Operations() {
		d.report.operations++
		switch o.Outcome {
		case consensustest.Unknown:
			d.report.unknown++
		case consensustest.Refused:
			d.report.refused++
		}
	}
	for _, n := range slices.Sorted(maps.Keys(d.plan.counts)) {
		d.report.faults += d.plan.counts[n]
	}
	return errors.Join(errs...)
}
