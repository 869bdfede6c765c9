package consensus

import (
	"errors"
	"fmt"
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
)

var errStuckTransfer = errors.New("a leadership transfer does not end")

// history is who led, as far as this machine noticed.
type history struct {
	last    string // server ID of the last leader
	changes uint64
	losses  []loss // oldest first, at most maxLosses
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
}

// watchLoop looks after what Raft leaves to others: a leader with a stalled disk steps down, a transfer that never ends is
// ended, the wanted member leads, silent voting members are replaced, new stores are let in.
func (g *Group) watchLoop() {
	defer g.goroutine.Done()
	tick := time.NewTicker(max(g.cfg.Timing.Heartbeat/8, time.Millisecond))
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
		if !e.leading() {
			g.watch.term = 0
			e.refusingSince.Store(0)
			g.tryJoin(e)
			continue
		}
		g.watchLeader(e)
	}
}

// watchLeader is one look at a leading engine.
func (g *Group) watchLeader(e *engine) {
	if e.disk.stalled() > g.cfg.StallLimit {
		e.giveUp(errStalled, false)
		return
	}
	// A transfer ends within two heartbeat times, or never.
	since := e.refusingSince.Load()
	if since != 0 && time.Since(time.Unix(0, since)) > 3*g.cfg.Timing.Heartbeat {
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
	if since != 0 {
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
		e.refusingSince.Store(0)
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
	earliest := g.history.mayLead(target.peer, s.now)
	g.mu.Unlock()
	if s.now.Before(earliest) {
		return nil
	}
	return target
}

// transfer makes another server lead. It is called for a level one only: Raft's transfer to one that is behind may never
// end.
func (g *Group) transfer(e *engine, target server) error {
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
	g.mu.Unlock()
	return errors.Join(fmt.Errorf("transfer leadership to %s: %w", target.id, err), e.confirm())
}
