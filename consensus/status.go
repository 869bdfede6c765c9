package consensus

import (
	"time"

	"github.com/hashicorp/raft"
)

// State is what one machine does in the group.
type State string

// The states of a member.
const (
	Leading   State = "leading"   // orders commands
	Following State = "following" // receives from a leader, or waits for one
	Looking   State = "looking"   // asks the others to let it lead
	Stalled   State = "stalled"   // its disk does not answer; it comes back by itself
	Stopped   State = "stopped"   // closed, or it can't go on: Status.Fault
)

// MemberStatus is one server as this machine knows it.
type MemberStatus struct {
	ID          string // server ID
	Peer        string
	Voting      bool
	Leader      bool
	Match       uint64    // at the leader: its log equals the leader's up to here, 0 for not known yet
	LastContact time.Time // at the leader: its last answer; zero for none
}

// Status is a group as one machine knows it.
type Status struct {
	ID            string // own server ID
	State         State
	Leader        string // peer ID, "" for none known
	LeaderChanges uint64 // since Start
	Term          uint64
	Last          uint64 // index of the last entry in the log
	Commit        uint64 // index up to which entries are known to be committed
	Applied       uint64 // index of the last command given to the state machine; entries without one may follow it
	Members       []MemberStatus
	Fault         string // why the state is Stalled or Stopped
}

// Leader returns the peer that leads, as far as this machine knows.
func (g *Group) Leader() (peer string, ok bool) {
	e := g.current()
	if e == nil {
		return "", false
	}
	id := e.leader()
	if id == "" {
		return "", false
	}
	return peerOf(id), true
}

// IsLeader says whether this machine leads.
func (g *Group) IsLeader() bool {
	e := g.current()
	return e != nil && e.leading()
}

// Changes returns a channel that is closed when the leader, or this machine's State or Fault, next changes. Take it
// before looking, and take another after it was closed.
func (g *Group) Changes() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// publish closes the channel of Changes if there is something new.
func (g *Group) publish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := view{state: g.stateLocked()}
	if g.engine != nil {
		now.leader = g.engine.leader()
	}
	if g.fault != nil {
		now.fault = g.fault.Error()
	}
	if now == g.seen {
		return
	}
	if now.leader != g.seen.leader {
		g.cfg.Logger.Info("leader changed", "server", g.id, "leader", now.leader)
	}
	g.history.note(now.leader, time.Now())
	g.seen = now
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Group) stateLocked() State {
	switch {
	case g.isClosing() || g.fault != nil:
		return Stopped
	case g.engine == nil || g.engine.lost():
		return Stalled
	}
	switch g.engine.raft.State() {
	case raft.Leader:
		return Leading
	case raft.Candidate:
		return Looking
	default:
		return Following
	}
}

// Status returns what this machine knows of the group.
func (g *Group) Status() Status {
	g.mu.Lock()
	s := Status{ID: g.id, State: g.stateLocked(), LeaderChanges: g.history.changes}
	e, fault := g.engine, g.trouble
	if g.fault != nil {
		fault = g.fault
	}
	g.mu.Unlock()
	if e != nil && fault == nil {
		fault, _ = e.verdict()
	}
	if fault != nil {
		s.Fault = fault.Error()
	}
	if e == nil {
		return s
	}
	leader := e.leader()
	s.Leader = peerOf(leader)
	s.Term, s.Last, s.Commit = e.raft.CurrentTerm(), e.raft.LastIndex(), e.raft.CommitIndex()
	s.Applied = e.fsm.given.Load()
	for _, server := range e.raft.GetConfiguration().Configuration().Servers {
		m := MemberStatus{
			ID: string(server.ID), Peer: string(server.Address),
			Voting: server.Suffrage == raft.Voter, Leader: string(server.ID) == leader,
		}
		if e.leading() && m.ID != g.id {
			p := e.trans.progress(server.ID, s.Term)
			m.Match, m.LastContact = p.match, p.contact
		}
		s.Members = append(s.Members, m)
	}
	return s
}
