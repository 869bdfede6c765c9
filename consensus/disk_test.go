package consensus

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// gatedLog is a log whose writes hang while it is closed, and fail while it is broken.
type gatedLog struct {
	raft.LogStore

	mu     sync.Mutex
	gate   chan struct{} // nil for open
	broken error
}

func (g *gatedLog) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = make(chan struct{})
}

func (g *gatedLog) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.gate)
	g.gate = nil
}

func (g *gatedLog) breakWith(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = err
}

func (g *gatedLog) pass() error {
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

func (g *gatedLog) StoreLogs(entries []*raft.Log) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.LogStore.StoreLogs(entries)
}

// brokenStable is a stable store whose writes fail while it is broken.
type brokenStable struct {
	raft.StableStore

	mu     sync.Mutex
	broken error
}

func (b *brokenStable) breakWith(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *brokenStable) state() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

func (b *brokenStable) Set(key, value []byte) error {
	if err := b.state(); err != nil {
		return err
	}
	return b.StableStore.Set(key, value)
}

func (b *brokenStable) SetUint64(key []byte, value uint64) error {
	if err := b.state(); err != nil {
		return err
	}
	return b.StableStore.SetUint64(key, value)
}

// gate puts a gatedLog in front of a machine's log, before it is started.
func (c *cluster) gate(peer string) *gatedLog {
	g := &gatedLog{LogStore: c.stores[peer].log}
	c.stores[peer].log = g
	return g
}

// Raft's issue 683: a leader whose disk hangs goes on with its heartbeats, and the group waits for it for ever.
func TestLeaderWithAStalledDiskStepsDownAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		gates := map[string]*gatedLog{}
		for _, p := range c.peers {
			gates[p] = c.gate(p)
		}
		c.start(c.peers...)
		leader := c.leader()
		at := c.other(leader)
		c.propose(at, "before")
		gates[leader].close()
		began := time.Now()
		if err := c.try(leader, "stuck"); !isOneOf(err, ErrUnknownOutcome) {
			t.Errorf("a proposal on a stalled disk: %v, want ErrUnknownOutcome", err)
		}
		c.propose(at, "meanwhile")
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("the group stood still for %s, want at most 7 s", took)
		}
		if s := c.group(leader).Status(); s.State != Stalled || s.Fault == "" || c.group(leader).IsLeader() {
			t.Errorf("status of the stalled machine: %+v", s)
		}
		if err := c.try(leader, "none"); !isOneOf(err, ErrNoLeader) {
			t.Errorf("a proposal at the stalled machine: %v, want ErrNoLeader", err)
		}
		<-time.After(5 * time.Minute)
		gates[leader].open()
		c.propose(leader, "back")
		c.level(10 * time.Second)
		c.end()
	})
}

func TestGroupCanBeClosedWhenItsDiskIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		gates := map[string]*gatedLog{}
		for _, p := range c.peers {
			gates[p] = c.gate(p)
		}
		c.start(c.peers...)
		leader := c.leader()
		gates[leader].close()
		if err := c.try(leader, "stuck"); err == nil {
			t.Error("a command was acknowledged by a stalled disk")
		}
		g := c.group(leader)
		if err := g.Close(); err == nil {
			t.Error("Close reports success while a write has not returned")
		}
		gates[leader].open()
		c.end()
	})
}

func TestDiskThatRefusesWritesIsUsedAgainWhenItTakesThem(t *testing.T) {
	full := errors.New("no space left on device")
	for name, fail := range map[string]func(l *gatedLog, s *brokenStable, err error){
		"log":    func(l *gatedLog, _ *brokenStable, err error) { l.breakWith(err) },
		"stable": func(_ *gatedLog, s *brokenStable, err error) { s.breakWith(err) },
		"both":   func(l *gatedLog, s *brokenStable, err error) { l.breakWith(err); s.breakWith(err) },
	} {
		for _, role := range []string{"leader", "follower"} {
			t.Run(name+" of the "+role, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 3, 0, nil)
					logs, stables := map[string]*gatedLog{}, map[string]*brokenStable{}
					for _, p := range c.peers {
						logs[p] = c.gate(p)
						stables[p] = &brokenStable{StableStore: c.stores[p].stable}
						c.stores[p].stable = stables[p]
					}
					c.start(c.peers...)
					victim := c.leader()
					if role == "follower" {
						victim = c.other(victim)
					}
					at := c.other(victim)
					c.propose(at, "before")
					fail(logs[victim], stables[victim], full)
					c.proposeMany(at, "meanwhile", 10)
					// A new term must be saved: that is where Raft would panic.
					if role == "follower" {
						leader := c.leader()
						c.stop(leader)
						<-time.After(10 * time.Second)
						c.start(leader)
					}
					<-time.After(time.Minute)
					fail(logs[victim], stables[victim], nil)
					c.propose(victim, "back")
					c.level(15 * time.Second)
					c.end()
				})
			})
		}
	}
}

func TestEntryThatRottedIsNeverApplied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		c.proposeMany("m0", "x", 200)
		c.level(5 * time.Second)
		victim := c.other(c.leader())
		c.stop(victim)
		store := c.stores[victim].log
		var entry raft.Log
		if err := store.GetLog(100, &entry); err != nil {
			t.Fatal(err)
		}
		entry.Data = append([]byte(nil), entry.Data...)
		entry.Data[0] ^= 1
		if err := store.StoreLogs([]*raft.Log{&entry}); err != nil {
			t.Fatal(err)
		}
		c.machines[victim].Forget(50) // so that the entry is needed
		_, err := startOver(c.configOf(victim).withDefaults(), c.network.Host(victim), c.machines[victim], c.stores[victim])
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("start over a rotten log: %v, want ErrDamaged", err)
		}
		if n := c.machines[victim].Applied(); n > 99 {
			t.Errorf("applied up to %d, past the rotten entry", n)
		}
		c.end()
	})
}

func TestDiskDeletesInAnOrderThatLeavesOneLog(t *testing.T) {
	for name, cut := range map[string][2]uint64{"head": {1, 9000}, "tail": {500, 10_000}, "all": {1, 10_000}} {
		t.Run(name, func(t *testing.T) {
			s := memoryStores()
			watched := &rangesLog{LogStore: s.log}
			s.log = watched
			d := newDisk(s, func(err error, _ bool) { t.Error(err) })
			var all []*raft.Log
			for i := range uint64(10_000) {
				all = append(all, &raft.Log{Index: i + 1, Term: 1})
			}
			if err := d.StoreLogs(all); err != nil {
				t.Fatal(err)
			}
			if err := d.DeleteRange(cut[0], cut[1]); err != nil {
				t.Fatal(err)
			}
			first, last := uint64(1), uint64(10_000)
			for _, r := range watched.deleted {
				if r[1]-r[0] >= deleteChunk {
					t.Errorf("%d to %d deleted at once", r[0], r[1])
				}
				switch {
				case r[0] == first:
					first = r[1] + 1
				case r[1] == last:
					last = r[0] - 1
				default:
					t.Errorf("%d to %d deleted from the middle of %d to %d", r[0], r[1], first, last)
				}
			}
			if n := last + 1 - first; n != 10_000-(cut[1]-cut[0]+1) {
				t.Errorf("%d entries left", n)
			}
		})
	}
}

type rangesLog struct {
	raft.LogStore
	deleted [][2]uint64
}

func (r *rangesLog) DeleteRange(from, to uint64) error {
	r.deleted = append(r.deleted, [2]uint64{from, to})
	return r.LogStore.DeleteRange(from, to)
}
