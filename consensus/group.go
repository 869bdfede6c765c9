package consensus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	graceToCommit = 500 * time.Millisecond // Close waits so long for what is in flight
	closeTimeout  = 30 * time.Second       // and so long for a disk that hangs, or a machine that is overloaded
	firstRetry    = 250 * time.Millisecond // between attempts to use a disk again; doubles up to
	lastRetry     = 5 * time.Second

	observationQueue = 64 // what Raft reports and nobody has looked at yet; one tells as much as many
)

var errStalled = errors.New("a write of the log takes too long")

// Group is one machine's part in a group of machines.
type Group struct {
	cfg     Config
	id      string // server ID
	network Network
	sm      StateMachine
	stores  *stores

	listeners []net.Listener
	raftIn    *inbound
	streamsIn *inbound
	limits    *limiter
	forwards  forwards
	watch     watch // owned by watchLoop

	closing   chan struct{} // closed by Close
	ended     chan struct{} // closed when every goroutine has ended and the stores are closed
	closeOnce sync.Once
	closeErr  error
	ctx       context.Context // ends with closing
	goroutine sync.WaitGroup  // all but run

	mu      sync.Mutex
	engine  *engine // nil between two lives
	trouble error   // why the last life ended, while there is none
	fault   error   // why there will be no other
	changed chan struct{}
	seen    view
	history history
	joins   map[string]joinRequest // by peer
}

// view is what subscribers are told about.
type view struct {
	leader string
	state  State
	fault  string
}

// Start takes up this machine's part in the group: where it stopped, or from nothing. The machines may start in any order;
// commands are committed as soon as a majority of the voting members is there. The caller closes the Group before the
// network and the state machine.
//
// Errors: ErrStoreLost, ErrWrongStore, ErrDamaged; a configuration that can't be; a directory or protocol in use.
func Start(cfg Config, network Network, sm StateMachine) (*Group, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(network.Self()); err != nil {
		return nil, fmt.Errorf("start group: %w", err)
	}
	s, err := openStores(cfg.Dir, newQuietLog(cfg.Logger))
	if err != nil {
		return nil, fmt.Errorf("start group: %w", err)
	}
	return startOver(cfg, network, sm, s)
}

// startOver starts over opened stores, and closes them if it can't.
func startOver(cfg Config, network Network, sm StateMachine, s *stores) (*Group, error) {
	g := &Group{
		cfg: cfg, id: ServerID(network.Self(), cfg.StoreNumber), network: network, sm: sm, stores: s,
		raftIn: newInbound(maxInboundRaft), streamsIn: newInbound(maxInboundStream), limits: newLimiter(),
		closing: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}),
		joins: map[string]joinRequest{},
	}
	g.forwards.streams = map[string]*forward{}
	if err := g.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("start group: %w", err), s.close())
	}
	var cancel context.CancelFunc
	g.ctx, cancel = context.WithCancel(context.Background())
	g.goroutine.Add(3)
	go g.acceptRaft(g.listeners[0])
	go g.acceptStreams(g.listeners[1])
	go g.watchLoop()
	go g.run(cancel)
	return g, nil
}

// open listens and begins the first life of Raft.
func (g *Group) open() error {
	fresh, err := g.stores.fresh(g.id, g.cfg.StoreExisted)
	if err != nil {
		return err
	}
	for _, protocol := range []string{ProtocolRaft, ProtocolPropose} {
		l, err := g.network.Listen(protocol)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for %s: %w", protocol, err), g.closeListeners())
		}
		g.listeners = append(g.listeners, l)
	}
	e, err := startEngine(g.cfg, g.id, g.network, g.stores, g.sm, fresh)
	if err != nil {
		return errors.Join(err, g.closeListeners())
	}
	if err := g.stores.set(keyServer, []byte(g.id)); err != nil {
		return errors.Join(fmt.Errorf("write identity of store: %w", err), e.retire(), g.closeListeners())
	}
	g.adopt(e)
	return nil
}

// adopt makes an engine the group's and watches it for changes.
func (g *Group) adopt(e *engine) {
	seen := make(chan raft.Observation, observationQueue)
	e.raft.RegisterObserver(raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	}))
	g.mu.Lock()
	g.engine, g.trouble = e, nil
	g.mu.Unlock()
	g.publish()
	g.goroutine.Go(func() {
		for {
			select {
			case <-seen:
				g.publish()
			case <-e.gone:
				return
			}
		}
	})
}

func (g *Group) closeListeners() error {
	var errs []error
	for _, l := range g.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Close leaves the group: proposals in flight get a moment to finish, then hear ErrUnknownOutcome. It returns when
// nothing of the group runs any more; with an error, after closeTimeout, if the disk hangs.
func (g *Group) Close() error {
	g.closeOnce.Do(func() { close(g.closing) })
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case <-g.ended:
		return g.closeErr
	case <-timeout.C:
		return fmt.Errorf("close group: a write or the state machine has not returned for %s", closeTimeout)
	}
}

// run owns the engine: it ends each life and begins the next, until the group is closed or can't go on.
func (g *Group) run(cancel context.CancelFunc) {
	defer close(g.ended)
	var errs []error
	for g.current() != nil {
		e := g.current()
		select {
		case <-e.gone:
		case <-g.closing:
			select {
			case <-e.tasks.drain():
			case <-time.After(graceToCommit):
			case <-e.gone:
			}
		}
		reason, forGood := e.verdict()
		g.mu.Lock()
		g.engine, g.trouble = nil, reason
		g.mu.Unlock()
		g.publish()
		errs = append(errs, e.retire())
		if g.isClosing() {
			break
		}
		g.cfg.Logger.Error("group member cut itself off", "server", g.id, "error", reason)
		if forGood {
			g.fail(reason)
			break
		}
		g.revive()
	}
	<-g.closing
	cancel()
	errs = append(errs, g.closeListeners())
	g.raftIn.closeAll()
	g.streamsIn.closeAll()
	g.forwards.closeAll()
	g.goroutine.Wait()
	errs = append(errs, g.stores.close())
	g.closeErr = errors.Join(errs...)
}

// revive begins the next life when the disk takes writes again.
func (g *Group) revive() {
	for wait := firstRetry; !g.isClosing(); wait = min(2*wait, lastRetry) {
		err := g.stores.probe()
		if err == nil {
			var e *engine
			e, err = startEngine(g.cfg, g.id, g.network, g.stores, g.sm, false)
			if err == nil {
				g.cfg.Logger.Info("group member is back", "server", g.id)
				g.adopt(e)
				return
			}
		}
		if errors.Is(err, ErrDamaged) {
			g.fail(err)
			return
		}
		select {
		case <-time.After(wait):
		case <-g.closing:
		}
	}
}

func (g *Group) isClosing() bool {
	select {
	case <-g.closing:
		return true
	default:
		return false
	}
}

func (g *Group) current() *engine {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.engine
}

// fail ends the group's part for good, but for Close.
func (g *Group) fail(err error) {
	g.mu.Lock()
	g.engine, g.fault = nil, err
	g.mu.Unlock()
	g.publish()
	g.cfg.Logger.Error("group member stopped for good", "server", g.id, "error", err)
}

// usable returns the engine if proposals can be given to it, or why not.
func (g *Group) usable() (*engine, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.isClosing():
		return nil, ErrClosed
	case g.fault != nil:
		return nil, fmt.Errorf("%w: %w", ErrClosed, g.fault)
	case g.engine == nil || g.engine.lost():
		return nil, fmt.Errorf("%w: this machine's disk does not answer", ErrNoLeader)
	}
	return g.engine, nil
}

// acceptRaft hands connections under ProtocolRaft to the engine there is.
func (g *Group) acceptRaft(l net.Listener) {
	defer g.goroutine.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			if g.pauseAccept() {
				continue
			}
			return
		}
		if !g.knows(conn.RemoteAddr().String()) {
			_ = conn.Close()
			continue
		}
		conn = g.raftIn.admit(conn)
		g.goroutine.Go(func() {
			from, to, err := greet(conn)
			e := g.current()
			if err == nil && e != nil {
				err = e.links.deliver(conn, from, to)
			} else {
				err = errors.Join(err, conn.Close())
			}
			if err != nil {
				g.cfg.Logger.Debug("connection refused", "peer", conn.RemoteAddr().String(), "error", err)
			}
		})
	}
}

// pauseAccept says whether to accept again after an error.
func (g *Group) pauseAccept() bool {
	select {
	case <-g.ctx.Done():
		return false
	case <-time.After(firstRetry):
		return true
	}
}

// knows says whether a peer is in the membership list, or may come later.
func (g *Group) knows(peer string) bool {
	if slices.Contains(g.cfg.Later, peer) {
		return true
	}
	for _, m := range g.cfg.Members {
		if m.Peer == peer {
			return true
		}
	}
	return false
}
