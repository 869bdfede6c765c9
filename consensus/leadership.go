package consensus

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	levelSlack     = 64              // a log at most so many entries behind is level: the transfer itself sends them
	deputyAfter    = 5 * time.Second // the principal's absence before the deputy is made to lead
	transferWait   = 2 * time.Second // after the wanted member lost its lead, or was not made leader; doubled for each
	transferCap    = 2 * time.Minute // further time within transferMemory, up to this
	transferMemory = 10 * time.Minute
	maxLosses      = 32 // remembered

	lookSpread = 6 // members look for a new leader so many to a heartbeat time
)

var errStuckTransfer = errors.New("a leadership transfer does not end")

// history is who led, as far as this machine noticed.
type history struct {
	last    string // server ID of the last leader
	failed  transferred
	changes uint64
	losses  []loss // oldest first, at most maxLosses
}

// transferred is the last transfer that this leader saw fail: Raft may have left a word for the goroutine that replicates to
// the target, which has not taken it; the next transfer would wait behind that word for ever if this lead ended meanwhile.
type transferred struct {
	to    string // server ID
	term  uint64
	index uint64 // the leader's last then
}

// waits says whether a target must first be seen to take what came after a failed transfer to it in the same term.
func (f transferred) waits(target *server, term uint64) bool {
	return f.to == target.id && f.term == term && target.match <= f.index
}

// loss is the end of a peer's lead, or a transfer to it that failed.
type loss struct {
	peer string
	at   time.Time
}

// note takes in the present leader, "" for none.
func (h *history) note(leader string, now time.Time) {
	if leader == "" || leader == h.last {
		return
	}
	if h.last != "" {
		h.lost(peerOf(h.last), now)
	}
	h.last = leader
	h.changes++
}

func (h *history) lost(peer string, now time.Time) {
	if len(h.losses) == maxLosses {
		h.losses = append(h.losses[:0], h.losses[1:]...)
	}
	h.losses = append(h.losses, loss{peer, now})
}

// mayLead is the earliest instant to transfer leadership to a peer.
func (h *history) mayLead(peer string, now time.Time) time.Time {
	last, wait := now, time.Duration(0)
	for _, l := range h.losses {
		if l.peer != peer || now.Sub(l.at) > transferMemory {
			continue
		}
		last, wait = l.at, min(max(transferWait, 2*wait), transferCap)
	}
	return last.Add(wait)
}

// watch is what watchLoop remembers.
type watch struct {
	term   uint64               // in which this machine was seen to lead; 0 for not leading
	since  time.Time            // since when it leads in that term
	behind map[string]time.Time // since when a server is not level without advancing
	busy   chan struct{}        // closed when the duty under way has ended; nil for none
	join   joining
	looked time.Time // when lookForLeader last did something
	sought time.Time // since when there has been no leader; zero while there is one
}

// watchLoop looks after what Raft leaves to others: a leader with a stalled disk steps down, a transfer that never ends is
// ended, the wanted member leads, silent voting members are replaced, new stores are let in.
func (g *Group) watchLoop() {
	defer g.goroutine.Done()
	tick := time.NewTicker(max(g.cfg.Timing.Heartbeat/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.ctx.Done():
			return
		}
		g.publish()
		e := g.current()
		if e == nil || e.lost() {
			g.watch.term = 0
			continue
		}
		g.hurry(e)
		if !e.leading() {
			g.watch.term = 0
			e.refusingSince.Store(nil)
			g.tryJoin(e)
			g.lookForLeader(e)
			continue
		}
		g.watchLeader(e)
	}
}

// lookForLeader makes Raft see at once that the leader is silent. By itself it looks after one to two heartbeat times, and
// if it looks a moment too early, after as much again; and a member is not let lead before a majority has seen it. The
// members look one after the other, so that they don't ask for the same at the same time: the one whose turn completes
// the majority gets it, and is the principal or the deputy if they are there.
func (g *Group) lookForLeader(e *engine) {
	beat, now := g.cfg.Timing.Heartbeat, time.Now()
	turn := g.turn()
	if turn < 0 || e.raft.State() != raft.Follower || now.Sub(g.watch.looked) < 2*beat {
		return
	}
	heard := later(e.raft.LastContact(), e.began)
	if now.Sub(heard) < beat+time.Duration(turn)*beat/lookSpread {
		return
	}
	g.watch.looked = now
	// A shorter heartbeat time, by any amount, is what makes Raft look.
	g.reload(e, e.raft.ReloadableConfig().HeartbeatTimeout-1)
}

// hurry lets a member that asks to lead, and failed, ask again after one to two leases instead of heartbeat times: those
// are meant for messages that are late, not for two members that asked at once. Where nobody leads for long, messages are
// late after all, or the machines are: then it leaves the answers more and more time.
func (g *Group) hurry(e *engine) {
	now, t, w := e.raft.ReloadableConfig().HeartbeatTimeout, g.cfg.Timing, &g.watch
	if e.leader() != "" {
		w.sought = time.Time{}
	} else if w.sought.IsZero() {
		w.sought = time.Now()
	}
	const looked = time.Microsecond // lookForLeader takes less than that off in all
	switch e.raft.State() {
	case raft.Candidate:
		if want := t.askAgain(time.Since(w.sought)); now != want {
			g.reload(e, want)
		}
	default:
		if (now - t.Heartbeat).Abs() > looked {
			g.reload(e, t.Heartbeat)
		}
	}
}

// askAgain is how long a member that asked to lead waits for answers when nobody has led for so long: the lease, and twice
// as long each time that four of the longest such waits were in vain, up to four heartbeat times.
func (t Timing) askAgain(leaderless time.Duration) time.Duration {
	wait := t.Lease
	for ; wait < 4*t.Heartbeat && leaderless >= 8*wait; wait *= 2 {
	}
	return min(wait, 4*t.Heartbeat)
}

func (g *Group) reload(e *engine, beat time.Duration) {
	conf := e.raft.ReloadableConfig()
	conf.HeartbeatTimeout, conf.ElectionTimeout = max(beat, g.cfg.Timing.Lease), max(beat, g.cfg.Timing.Lease)
	if err := e.raft.ReloadConfig(conf); err != nil {
		g.cfg.Logger.Warn("timing not changed", "server", g.id, "error", err)
	}
}

// turn is this machine's place among the voting members of the list, -1 for a receiver. The principal and the deputy stand
// where a majority of the others has gone before.
func (g *Group) turn() int {
	var order, wanted []string
	for _, m := range g.cfg.Members {
		switch {
		case !m.Voting:
		case m.Peer == g.cfg.Principal, m.Peer == g.cfg.Deputy:
			wanted = append(wanted, m.Peer)
		default:
			order = append(order, m.Peer)
		}
	}
	slices.Sort(order)
	half := min((len(order)+len(wanted))/2, len(order))
	order = slices.Insert(order, half, wanted...)
	return slices.Index(order, g.network.Self())
}

// watchLeader is one look at a leading engine.
func (g *Group) watchLeader(e *engine) {
	if e.disk.stalled() > g.cfg.StallLimit {
		e.giveUp(errStalled, false)
		return
	}
	// A transfer ends within two heartbeat times, or never.
	since := e.refusingSince.Load()
	if since != nil && time.Since(*since) > 3*g.cfg.Timing.Heartbeat {
		e.giveUp(errStuckTransfer, false)
		return
	}
	now, w := time.Now(), &g.watch
	if term := e.raft.CurrentTerm(); w.term != term {
		w.term, w.since, w.behind = term, now, map[string]time.Time{}
		g.duty(e, func() error { return e.confirm() })
		return
	}
	situation := g.situation(e, now)
	if since != nil {
		g.duty(e, func() error { return e.confirm() })
	} else if change := situation.next(); change.kind != keep {
		g.duty(e, func() error { return g.change(e, change) })
	} else if target := g.wantedLeader(situation); target != nil {
		g.duty(e, func() error { return g.transfer(e, *target) })
	}
}

// duty runs one task of the leader beside the loop, one at a time: it may have to wait for the group.
func (g *Group) duty(e *engine, task func() error) {
	if g.watch.busy != nil {
		select {
		case <-g.watch.busy:
		default:
			return
		}
	}
	if !e.tasks.enter() {
		return
	}
	done := make(chan struct{})
	g.watch.busy = done
	go func() { // waited for by tasks.drain
		defer e.tasks.leave()
		defer close(done)
		if err := task(); err != nil {
			g.cfg.Logger.Info("leader's task not done", "server", g.id, "error", err)
		}
	}()
}

// confirm sees whether this leader can commit, and notes it if a leadership transfer keeps it from it: one that was cut
// short under an earlier term leaves Raft refusing every command in a later one (its issue 696).
func (e *engine) confirm() error {
	err := e.raft.Barrier(enqueueTimeout).Error()
	switch {
	case err == nil:
		e.refusingSince.Store(nil)
		return nil
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		e.refused()
		return nil
	}
	return fmt.Errorf("confirm leadership: %w", err)
}

// wantedLeader is the server that should lead in this one's place now, nil for none.
func (g *Group) wantedLeader(s situation) *server {
	self := g.network.Self()
	if g.cfg.Principal == "" || self == g.cfg.Principal {
		return nil
	}
	target := s.of(g.cfg.Principal)
	if target == nil || s.absent(target) {
		if self == g.cfg.Deputy || s.now.Sub(s.since) < deputyAfter || target != nil && s.now.Sub(target.contact) < deputyAfter {
			return nil
		}
		target = s.of(g.cfg.Deputy)
	}
	if target == nil || !target.voting || s.absent(target) || !s.level(target) {
		return nil
	}
	g.mu.Lock()
	earliest, waits := g.history.mayLead(target.peer, s.now), g.history.failed.waits(target, g.watch.term)
	g.mu.Unlock()
	if waits || s.now.Before(earliest) {
		return nil
	}
	return target
}

// transfer makes another server lead. It is called for a level one only: Raft's transfer to one that is behind may never
// end.
func (g *Group) transfer(e *engine, target server) error {
	term := e.raft.CurrentTerm()
	err := e.raft.LeadershipTransferToServer(raft.ServerID(target.id), raft.ServerAddress(target.peer)).Error()
	if err == nil && !e.leading() {
		g.mu.Lock()
		g.history.note(target.id, time.Now()) // it may lose its lead before this machine hears of it
		g.mu.Unlock()
		g.cfg.Logger.Info("leadership transferred", "to", target.id)
		return nil
	}
	g.mu.Lock()
	g.history.lost(target.peer, time.Now())
	g.history.failed = transferred{to: target.id, term: term, index: e.raft.LastIndex()}
	g.mu.Unlock()
	// The barrier is an entry behind that index.
	return errors.Join(fmt.Errorf("transfer leadership to %s: %w", target.id, err), e.confirm())
}
