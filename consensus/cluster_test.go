package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"pointage/consensus/consensustest"
)

// memoryStores returns stores that outlive a Group, as a disk does.
func memoryStores() *stores {
	s := raft.NewInmemStore()
	return &stores{log: s, stable: s, snaps: raft.NewInmemSnapshotStore(), close: func() error { return nil }}
}

// cluster is a group of machines in one test, over a network in memory.
type cluster struct {
	t       *testing.T
	network *consensustest.Network
	config  Config // what all have in common
	answers func(peer string) Answers
	peers   []string

	mu       sync.Mutex
	groups   map[string]*Group
	numbers  map[string]uint64
	stores   map[string]*stores
	machines map[string]*consensustest.Machine
	acked    [][]byte
}

// newCluster makes a group of so many voting members, m0, m1, …, and receivers behind them. None is started.
func newCluster(t *testing.T, voting, receivers int, adjust func(*Config)) *cluster {
	t.Helper()
	c := &cluster{
		t: t, network: consensustest.NewNetwork(), groups: map[string]*Group{}, numbers: map[string]uint64{},
		stores: map[string]*stores{}, machines: map[string]*consensustest.Machine{},
	}
	for i := range voting + receivers {
		peer := fmt.Sprintf("m%d", i)
		c.peers = append(c.peers, peer)
		c.config.Members = append(c.config.Members, Member{Peer: peer, Voting: i < voting})
		c.stores[peer] = memoryStores()
		c.machines[peer] = consensustest.NewMachine()
		c.network.Host(peer)
	}
	if testing.Verbose() && testLogs {
		c.config.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if adjust != nil {
		adjust(&c.config)
	}
	return c
}

// add is a machine outside the list, with the number of its store.
func (c *cluster) add(peer string, number uint64) {
	c.peers = append(c.peers, peer)
	c.stores[peer], c.numbers[peer], c.machines[peer] = memoryStores(), number, consensustest.NewMachine()
	c.network.Host(peer)
}

const testLogs = false // true to see what a failing test logs, with -v

func (c *cluster) configOf(peer string) Config {
	cfg := c.config
	cfg.StoreNumber = c.numbers[peer]
	if c.answers != nil {
		cfg.Answers = c.answers(peer)
	}
	if cfg.Logger != nil {
		cfg.Logger = cfg.Logger.With("at", peer)
	}
	return cfg
}

func (c *cluster) start(peers ...string) {
	c.t.Helper()
	for _, peer := range peers {
		g, err := startOver(c.configOf(peer).withDefaults(), c.network.Host(peer), c.machines[peer], c.stores[peer])
		if err != nil {
			c.t.Fatalf("start %s: %v", peer, err)
		}
		c.mu.Lock()
		c.groups[peer] = g
		c.mu.Unlock()
	}
}

func (c *cluster) stop(peers ...string) {
	c.t.Helper()
	for _, peer := range peers {
		c.mu.Lock()
		g := c.groups[peer]
		delete(c.groups, peer)
		c.mu.Unlock()
		if g == nil {
			continue
		}
		if err := g.Close(); err != nil {
			c.t.Errorf("close %s: %v", peer, err)
		}
	}
}

// end stops everything and checks that the replicas agree.
func (c *cluster) end() {
	c.t.Helper()
	c.stop(c.peers...)
	c.agree()
	if n := c.network.Open(); n != 0 {
		c.t.Errorf("%d sides of connections are still open", n)
	}
}

func (c *cluster) agree() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	replicas := map[string][]consensustest.Applied{}
	for peer, m := range c.machines {
		replicas[peer] = m.Log()
	}
	if err := consensustest.Agree(replicas, c.acked); err != nil {
		c.t.Error(err)
	}
}

func (c *cluster) group(peer string) *Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.groups[peer]
}

// until polls a condition, which it names when it never holds.
func (c *cluster) until(within time.Duration, what string, holds func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			for _, p := range c.peers {
				if g := c.group(p); g != nil {
					c.t.Logf("%s: %+v", p, g.Status())
				}
			}
			c.t.Fatalf("not within %s: %s", within, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// leader waits until some member leads and one of the others knows it, and returns it.
func (c *cluster) leader() string {
	c.t.Helper()
	var leader string
	c.until(30*time.Second, "a leader", func() bool {
		for _, p := range c.peers {
			if g := c.group(p); g != nil && g.IsLeader() {
				leader = p
				return true
			}
		}
		return false
	})
	return leader
}

func (c *cluster) leads(peer string) func() bool {
	return func() bool { g := c.group(peer); return g != nil && g.IsLeader() }
}

func (c *cluster) other(peers ...string) string {
	for _, p := range c.peers {
		used := false
		for _, q := range peers {
			used = used || p == q
		}
		if !used {
			return p
		}
	}
	c.t.Fatal("no other machine")
	return ""
}

// try proposes once, with a second to answer, and remembers what was acknowledged.
func (c *cluster) try(at string, command string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	g := c.group(at)
	if g == nil {
		return ErrClosed
	}
	_, err := g.Propose(ctx, []byte(command))
	if err == nil {
		c.mu.Lock()
		c.acked = append(c.acked, []byte(command))
		c.mu.Unlock()
	}
	return err
}

// propose proposes the same bytes until they are acknowledged.
func (c *cluster) propose(at string, command string) {
	c.t.Helper()
	var err error
	c.until(30*time.Second, "proposal "+command+" at "+at, func() bool {
		err = c.try(at, command)
		return err == nil
	})
}

func (c *cluster) proposeMany(at, name string, n int) {
	c.t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				c.propose(at, fmt.Sprintf("%s-%d", name, i))
			}
		})
	}
	wg.Wait()
}

// level waits until every running machine has applied the same.
func (c *cluster) level(within time.Duration) {
	c.t.Helper()
	c.until(within, "all machines level", func() bool {
		longest, shortest := 0, 1<<60
		for _, p := range c.peers {
			if c.group(p) == nil {
				continue
			}
			n := len(c.machines[p].Log())
			longest, shortest = max(longest, n), min(shortest, n)
		}
		return longest == shortest
	})
}

func isOneOf(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
