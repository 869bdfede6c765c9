package consensus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	enqueueTimeout = time.Second // for Raft's main loop to take a command
)

// engine is one life of Raft over the stores. A disk that hangs or fails, and a leadership transfer that never ends, are
// cured by ending that life and beginning another, which is what a restart of the machine would do.
type engine struct {
	raft  *raft.Raft
	links *links
	trans *transport
	disk  *disk
	fsm   *machine
	tasks tasks
	began time.Time

	// since when this leader refuses commands because of a leadership transfer; nil for not
	refusingSince atomic.Pointer[time.Time]
	underWay      underWay

	gone chan struct{} // closed by giveUp

	mu      sync.Mutex
	reason  error // why gone
	forGood bool  // another life over the same stores would end the same way
}

// giveUp cuts the engine off from the group. Nothing it still does reaches anyone. It doesn't wait, and is called from
// anywhere, Raft's own goroutines included.
func (e *engine) giveUp(err error, forGood bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reason != nil {
		return
	}
	e.reason, e.forGood = err, forGood
	e.links.cut()
	close(e.gone)
}

func (e *engine) lost() bool {
	select {
	case <-e.gone:
		return true
	default:
		return false
	}
}

func (e *engine) verdict() (reason error, forGood bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reason, e.forGood
}

// leading says whether this server leads and is not cut off.
func (e *engine) leading() bool { return e.raft.State() == raft.Leader && !e.lost() }

// leader returns the server ID of the leader that this engine knows, "" for none.
func (e *engine) leader() string {
	if e.lost() {
		return ""
	}
	_, id := e.raft.LeaderWithID()
	return string(id)
}

// raftConfig translates a Config.
func raftConfig(cfg Config, id string, logger hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id)
	c.HeartbeatTimeout, c.ElectionTimeout = cfg.Timing.Heartbeat, cfg.Timing.Heartbeat
	c.LeaderLeaseTimeout, c.CommitTimeout = cfg.Timing.Lease, cfg.Timing.Commit
	c.MaxAppendEntries, c.BatchApplyCh = maxAppend, true
	c.SnapshotInterval, c.SnapshotThreshold = cfg.Snapshots.Interval, cfg.Snapshots.Threshold
	c.TrailingLogs = cfg.Snapshots.Trailing
	c.ShutdownOnRemove = false // a removed leader goes on as a follower that nobody calls
	c.NoLegacyTelemetry = true
	c.Logger = logger
	return c
}

// startEngine begins a life of Raft. fresh stores of a voting member's first store are given the group's first
// configuration, the same on each: they need no one to begin with.
func startEngine(cfg Config, id string, network Network, s *stores, sm StateMachine, fresh bool) (_ *engine, err error) {
	e := &engine{gone: make(chan struct{}), began: time.Now()}
	e.links = newLinks(id, network, 2*cfg.Timing.Heartbeat)
	e.disk = newDisk(s, e.giveUp)
	e.fsm = newMachine(sm, e.disk.discarded)
	logger := newQuietLog(cfg.Logger)
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: e.links, MaxPool: pooledLinks, MaxRPCsInFlight: rpcsInFlight, Timeout: rpcTimeout,
		ServerAddressProvider: lanes{}, MsgpackUseNewTimeFormat: true, Logger: logger,
	})
	var running atomic.Pointer[raft.Raft] // set below, after Raft's goroutines have begun to ask
	e.trans = newTransport(e.links, cfg.Timing, inner, wanted(&running))
	defer func() {
		if r := recover(); r != nil { // Raft panics when an entry that it needs isn't there
			err = fmt.Errorf("%w: start raft: %v", ErrDamaged, r)
		}
		if err != nil {
			e.links.cut()
			err = errors.Join(err, inner.Close())
		}
	}()
	conf := raftConfig(cfg, id, logger)
	if fresh {
		if err := bootstrap(cfg, conf, id, s, e); err != nil {
			return nil, err
		}
	}
	if conf.NoSnapshotRestoreOnStart, err = s.restorable(e.fsm.indexed); err != nil {
		return nil, err
	}
	cache, err := raft.NewLogCache(logCache, e.disk)
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	if e.raft, err = raft.NewRaft(conf, e.fsm, cache, e.disk, s.snaps, e.trans); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	running.Store(e.raft)
	if reason, _ := e.verdict(); reason != nil {
		return nil, errors.Join(reason, e.raft.Shutdown().Error())
	}
	return e, nil
}

// wanted says, for the transport, whether Raft still leads in a term with a server among its followers, and whether that
// one is voting.
func wanted(running *atomic.Pointer[raft.Raft]) func(uint64, raft.ServerID) (bool, bool) {
	return func(term uint64, id raft.ServerID) (leading, voting bool) {
		r := running.Load()
		if r == nil {
			return true, true
		}
		for _, server := range r.GetConfiguration().Configuration().Servers {
			if server.ID == id {
				return r.State() == raft.Leader && r.CurrentTerm() == term, server.Suffrage == raft.Voter
			}
		}
		return false, false
	}
}

// bootstrap writes the first configuration into the fresh stores of a voting member, and the store's identity into any
// fresh stores. A crash between the two leaves stores that are no longer fresh and have no identity: they get it at the
// next start.
func bootstrap(cfg Config, conf *raft.Config, id string, s *stores, e *engine) error {
	self := peerOf(id)
	if cfg.StoreNumber == 0 && slices.Contains(cfg.Members, Member{Peer: self, Voting: true}) {
		var first raft.Configuration
		for _, m := range cfg.Members {
			if cfg.Founder && m.Peer != self {
				continue
			}
			server := raft.Server{ID: raft.ServerID(ServerID(m.Peer, 0)), Address: raft.ServerAddress(m.Peer), Suffrage: raft.Nonvoter}
			if m.Voting {
				server.Suffrage = raft.Voter
			}
			first.Servers = append(first.Servers, server)
		}
		slices.SortFunc(first.Servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
		if err := raft.BootstrapCluster(conf, e.disk, e.disk, s.snaps, e.trans, first); err != nil {
			return fmt.Errorf("write first configuration: %w", err)
		}
	}
	if reason, _ := e.verdict(); reason != nil {
		return fmt.Errorf("write first configuration: %w", reason)
	}
	return nil
}

// retire ends this life once everything handed to Raft was answered: it leaves no goroutine behind. The links are cut
// first, so that a leader without its group gives up what it can't commit.
func (e *engine) retire() error {
	e.giveUp(errCut, false)
	<-e.tasks.drain()
	err := e.raft.Shutdown().Error() // closes the transport
	e.links.wait()
	return err
}

// tasks counts what was handed to Raft and not answered yet. Raft leaves futures unanswered when it is shut down, for
// ever: it is shut down when there are none.
type tasks struct {
	mu      sync.Mutex
	n       int
	closed  bool
	drained chan struct{}
}

// enter is false once draining has begun.
func (t *tasks) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.n++
	return true
}

func (t *tasks) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.closed && t.n == 0 {
		close(t.drained)
	}
}

// drain lets nothing more in; the channel is closed when the last has left.
func (t *tasks) drain() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed, t.drained = true, make(chan struct{})
		if t.n == 0 {
			close(t.drained)
		}
	}
	return t.drained
}
