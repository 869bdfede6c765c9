package consensus

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// server is one server of the present configuration as the leader sees it.
type server struct {
	id, peer string
	voting   bool
	self     bool      // the leader
	listed   bool      // voting in the membership list
	match    uint64    // its log equals the leader's up to here
	contact  time.Time // last answer, or the beginning of this lead
	behind   time.Time // since when it is not level without advancing; zero for level
}

// situation is what a leader decides on, at one instant.
type situation struct {
	now, since   time.Time // since: the beginning of this lead
	last         uint64    // last index of the leader's log
	beat         time.Duration
	replaceAfter time.Duration
	voting       int // how many members should be voting
	servers      []server
	principal    string
	deputy       string
	joins        []string // server IDs that ask to be let in
}

// changeKind is what a leader can do to the configuration.
type changeKind string

const (
	keep    changeKind = ""
	promote changeKind = "promote" // a receiver becomes voting
	demote  changeKind = "demote"  // a voting member becomes a receiver
	add     changeKind = "add"     // a server becomes a receiver
	remove  changeKind = "remove"
)

// change is one step. Raft takes one at a time.
type change struct {
	kind changeKind
	id   string
}

// situation looks at the group. Only watchLoop calls it, while this machine leads.
func (g *Group) situation(e *engine, now time.Time) situation {
	w := &g.watch
	s := situation{
		now: now, since: w.since, last: e.raft.LastIndex(), beat: g.cfg.Timing.Heartbeat, replaceAfter: g.cfg.ReplaceAfter,
		principal: g.cfg.Principal, deputy: g.cfg.Deputy,
	}
	listed := map[string]bool{}
	for _, m := range g.cfg.Members {
		if m.Voting {
			listed[m.Peer] = true
			s.voting++
		}
	}
	for _, r := range e.raft.GetConfiguration().Configuration().Servers {
		v := server{
			id: string(r.ID), peer: string(r.Address), voting: r.Suffrage == raft.Voter,
			listed: listed[string(r.Address)], self: string(r.ID) == g.id, contact: now, match: s.last,
		}
		if !v.self {
			p := e.trans.progress(r.ID, w.term)
			v.match, v.contact = p.match, later(p.contact, w.since)
			if s.level(&v) {
				delete(w.behind, v.id)
			} else {
				v.behind = later(w.behind[v.id], p.moved)
				if v.behind.IsZero() {
					v.behind = now
				}
				w.behind[v.id] = v.behind
			}
		}
		s.servers = append(s.servers, v)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for peer, j := range g.joins {
		if now.Sub(j.at) > joinMemory {
			delete(g.joins, peer)
			continue
		}
		s.joins = append(s.joins, j.id)
	}
	slices.Sort(s.joins)
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *situation) of(peer string) *server {
	for i := range s.servers {
		if s.servers[i].peer == peer {
			return &s.servers[i]
		}
	}
	return nil
}

// level says whether a server's log is as good as the leader's.
func (s *situation) level(v *server) bool { return v.match > 0 && v.match+levelSlack >= s.last }

// absent says whether a server has not answered just now. One of which this leader has not heard yet is present for one
// heartbeat time.
func (s *situation) absent(v *server) bool { return !v.self && s.now.Sub(v.contact) > s.beat }

// failing says whether a voting member has been silent, or stuck behind, for too long.
func (s *situation) failing(v *server) bool {
	if v.self {
		return false
	}
	return s.now.Sub(v.contact) > s.replaceAfter || !v.behind.IsZero() && s.now.Sub(v.behind) > s.replaceAfter
}

// next is the change to make now, if any.
func (s *situation) next() change {
	if c := s.letIn(); c.kind != keep {
		return c
	}
	voting := 0
	for i := range s.servers {
		if s.servers[i].voting {
			voting++
		}
	}
	best := s.bestReceiver()
	if best == nil {
		return change{}
	}
	if voting < s.voting {
		return change{promote, best.id}
	}
	for i := range s.servers {
		v := &s.servers[i]
		if v.voting && v.peer != s.principal && s.failing(v) && s.majorityWithout(v) {
			return change{demote, v.id}
		}
	}
	if best.peer == s.principal || best.peer == s.deputy {
		if v := s.leastWanted(); v != nil && s.majorityWithout(v) {
			return change{demote, v.id}
		}
	}
	return change{}
}

// letIn removes the old number of a member that asks to be let in under a new one, then adds the new one.
func (s *situation) letIn() change {
	for _, id := range s.joins {
		old := s.of(peerOf(id))
		switch {
		case old == nil:
			return change{add, id}
		case old.id != id && !old.self && (!old.voting || s.majorityWithout(old)):
			return change{remove, old.id}
		}
	}
	return change{}
}

// bestReceiver is the level receiver to be promoted first: the principal, the deputy, then those voting in the list.
func (s *situation) bestReceiver() *server {
	var best *server
	for i := range s.servers {
		v := &s.servers[i]
		if v.voting || s.absent(v) || !s.level(v) || s.failing(v) {
			continue
		}
		if best == nil || s.rank(v) < s.rank(best) {
			best = v
		}
	}
	return best
}

func (s *situation) rank(v *server) int {
	switch {
	case v.peer == s.principal:
		return 0
	case v.peer == s.deputy:
		return 1
	case v.listed:
		return 2
	}
	return 3
}

// leastWanted is the voting member that makes room for the principal or the deputy.
func (s *situation) leastWanted() *server {
	var least *server
	for i := range s.servers {
		v := &s.servers[i]
		if !v.voting || v.self || s.rank(v) < 2 {
			continue
		}
		if least == nil || s.rank(v) > s.rank(least) || s.rank(v) == s.rank(least) && v.contact.Before(least.contact) {
			least = v
		}
	}
	return least
}

// majorityWithout says whether the voting members that answer are a majority of those that stay when one goes.
func (s *situation) majorityWithout(leaving *server) bool {
	stay, present := 0, 0
	for i := range s.servers {
		v := &s.servers[i]
		if !v.voting || v.id == leaving.id {
			continue
		}
		stay++
		if !s.absent(v) {
			present++
		}
	}
	return present > stay/2
}

// change asks Raft for one change of the configuration and waits until it is committed or can't be.
func (g *Group) change(e *engine, c change) error {
	id, address := raft.ServerID(c.id), raft.ServerAddress(peerOf(c.id))
	var future raft.IndexFuture
	switch c.kind {
	case promote:
		future = e.raft.AddVoter(id, address, 0, enqueueTimeout)
	case demote:
		future = e.raft.DemoteVoter(id, 0, enqueueTimeout)
	case add:
		future = e.raft.AddNonvoter(id, address, 0, enqueueTimeout)
	case remove:
		future = e.raft.RemoveServer(id, 0, enqueueTimeout)
	default:
		return nil
	}
	if err := future.Error(); err != nil {
		return fmt.Errorf("%s %s: %w", c.kind, c.id, err)
	}
	g.cfg.Logger.Info("members changed", "change", string(c.kind), "server", c.id)
	return nil
}
