package consensus

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	rpcTimeout   = 10 * time.Second // one call with entries; a snapshot gets this for every 256 KiB
	rpcsInFlight = 4                // appends under way to one follower: DESIGN.md, "Timing"
	pooledLinks  = 2                // idle connections kept per follower and lane
	heldFor      = time.Second      // how often a held call looks whether it is still wanted
	paceAfter    = 16               // appends with nothing to say, one within pacePause of the other, are let through
	pacePause    = 2 * time.Millisecond
)

var errNoLongerLeading = errors.New("no longer leading")

// transport is Raft's network transport, watched. What it adds, and Raft does not tell:
//   - how far each follower's log is and when each was last heard of;
//   - a follower that doesn't answer heartbeats is sent no entries: the call waits here until it answers again. Raft would
//     fail, and then sleep for up to 10 s at a time without looking;
//   - a heartbeat without an answer within twice its interval closes its connection, and the first answer after a silence
//     closes what was opened before it, so that nothing waits for a connection that died with the link;
//   - appends that carry nothing new are not sent, but for one in every heartbeat time;
//   - heartbeats to receivers, whose silence no lease depends on, are spread further apart.
type transport struct {
	*raft.NetworkTransport
	links *links
	beat  time.Duration // Timing.Heartbeat

	// wanted says whether this server still leads in a term and has the follower, and whether that one is voting.
	wanted func(term uint64, server raft.ServerID) (leading, voting bool)

	mu        sync.Mutex
	followers map[raft.ServerID]*follower
}

// follower is what is known of one server while this one leads.
type follower struct {
	mu      sync.Mutex
	term    uint64        // the leader's term in which match holds
	match   uint64        // its log equals ours up to here
	contact time.Time     // last answer of any kind
	moved   time.Time     // match last rose
	up      chan struct{} // closed by the next answered heartbeat; nil while heartbeats are answered
}

// lanes makes Raft's transport dial the server ID and lane that it is given for an ID.
type lanes struct{}

func (lanes) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	return raft.ServerAddress(id), nil
}

func newTransport(l *links, timing Timing, inner *raft.NetworkTransport, wanted func(uint64, raft.ServerID) (bool, bool)) *transport {
	return &transport{
		NetworkTransport: inner, links: l, beat: timing.Heartbeat, wanted: wanted,
		followers: map[raft.ServerID]*follower{},
	}
}

// EncodePeer is part of raft.Transport: in messages, too, a server's address is its peer ID.
func (t *transport) EncodePeer(_ raft.ServerID, address raft.ServerAddress) []byte {
	return []byte(address)
}

func (t *transport) follower(id raft.ServerID) *follower {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.followers[id]
	if f == nil {
		f = &follower{}
		t.followers[id] = f
	}
	return f
}

// progress is a follower's state in one term of ours: the index up to which its log equals ours, and when it was last
// heard of and last advanced (zero for not in this term).
type progress struct {
	match          uint64
	contact, moved time.Time
}

func (t *transport) progress(id raft.ServerID, term uint64) progress {
	f := t.follower(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.term != term {
		return progress{contact: f.contact}
	}
	return progress{match: f.match, contact: f.contact, moved: f.moved}
}

// heard notes an answer; matched is the index that it confirmed, 0 for none.
func (f *follower) heard(term, matched uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contact = time.Now()
	if f.term != term {
		f.term, f.match, f.moved = term, 0, time.Time{}
	}
	if matched > f.match {
		f.match, f.moved = matched, f.contact
	}
}

func isBeat(args *raft.AppendEntriesRequest) bool {
	return args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && len(args.Entries) == 0 && args.LeaderCommitIndex == 0
}

// confirmed is the index up to which a successful append proves the follower's log equal to ours.
func confirmed(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) uint64 {
	if !resp.Success {
		return 0
	}
	return args.PrevLogEntry + uint64(len(args.Entries))
}

// AppendEntries is part of raft.Transport.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	f := t.follower(id)
	if isBeat(args) {
		return t.heartbeat(f, id, target, args, resp)
	}
	if err := t.hold(f, id, args.Term); err != nil {
		return err
	}
	err := t.NetworkTransport.AppendEntries(id+laneEntries, target, args, resp)
	if err == nil {
		f.heard(args.Term, confirmed(args, resp))
	}
	return err
}

// hold waits until the follower answers heartbeats, or the call is no longer wanted.
func (t *transport) hold(f *follower, id raft.ServerID, term uint64) error {
	for {
		f.mu.Lock()
		up := f.up
		f.mu.Unlock()
		if up == nil {
			return nil
		}
		look := time.NewTimer(heldFor)
		select {
		case <-up:
		case <-t.links.done:
			look.Stop()
			return errCut
		case <-look.C:
			if leading, _ := t.wanted(term, id); !leading {
				return errNoLongerLeading
			}
		}
		look.Stop()
	}
}

func (t *transport) heartbeat(f *follower, id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if _, voting := t.wanted(args.Term, id); !voting {
		pause := time.NewTimer(t.beat / 4)
		select {
		case <-pause.C:
		case <-t.links.done:
		}
		pause.Stop()
	}
	began := time.Now()
	server := string(id)
	late := time.AfterFunc(2*t.beat, func() {
		t.links.closeIf(func(k *link) bool { return k.server == server && k.lane == laneBeat })
	})
	err := t.NetworkTransport.AppendEntries(id+laneBeat, target, args, resp)
	late.Stop()
	f.mu.Lock()
	recovered := f.up
	if err != nil && f.up == nil {
		f.up = make(chan struct{})
	} else if err == nil && f.up != nil {
		f.up = nil
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	f.heard(args.Term, 0)
	if recovered != nil {
		silent := t.links.clock(began.Add(-t.beat))
		t.links.closeIf(func(k *link) bool {
			return k.server == server && k.lane != laneBeat && k.lane != "" && k.heard.Load() < silent
		})
		close(recovered)
	}
	return nil
}

// RequestVote, RequestPreVote and TimeoutNow are part of raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id+laneCalls, target, args, resp)
}

func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id+laneCalls, target, args, resp)
}

func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id+laneCalls, target, args, resp)
}

// InstallSnapshot is part of raft.Transport. Its connection is used once.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	f := t.follower(id)
	if err := t.hold(f, id, args.Term); err != nil {
		return err
	}
	err := t.NetworkTransport.InstallSnapshot(id+laneCalls, target, args, resp, data)
	if err == nil && resp.Success {
		f.heard(args.Term, args.LastLogIndex)
	}
	return err
}

// AppendEntriesPipeline is part of raft.Transport.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id+laneEntries, target)
	if err != nil {
		return nil, err
	}
	p := &pipeline{
		AppendPipeline: inner, follower: t.follower(id), idle: t.beat,
		out: make(chan raft.AppendFuture), closed: make(chan struct{}), failed: make(chan struct{}), ended: make(chan struct{}),
	}
	go p.decode()
	return p, nil
}

var errPipeline = errors.New("an append before this one failed")

// pipeline is a stream of appends to a follower that is level.
type pipeline struct {
	raft.AppendPipeline
	follower *follower
	idle     time.Duration

	// Owned by Raft's sending goroutine.
	commit uint64    // commit index last sent
	sent   time.Time // when
	// appends not sent since, and when the last of them was
	skipped int
	skip    time.Time

	out                   chan raft.AppendFuture
	closed, failed, ended chan struct{}
	once                  sync.Once
}

// AppendEntries sends nothing when there is nothing new: Raft asks after every Commit time, mostly in vain. To Raft it
// looks like an answer that is late; no lease is prolonged by it.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	select {
	case <-p.failed:
		return nil, errPipeline
	default:
	}
	if len(args.Entries) == 0 && args.LeaderCommitIndex == p.commit && time.Since(p.sent) < p.idle {
		p.pace()
		return nil, nil
	}
	p.commit, p.sent, p.skipped = args.LeaderCommitIndex, time.Now(), 0
	return p.AppendPipeline.AppendEntries(args, resp)
}

// pace slows down a caller that asks again and again in vain: a leadership transfer does while it waits for the follower's
// answer, which with Raft's own transport takes as long as its messages do.
func (p *pipeline) pace() {
	if time.Since(p.skip) < pacePause {
		p.skipped++
	} else {
		p.skipped = 0
	}
	p.skip = time.Now()
	if p.skipped < paceAfter {
		return
	}
	pause := time.NewTimer(pacePause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-p.failed:
	case <-p.closed:
	}
	p.skip = time.Now()
}

// Consumer is part of raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.out }

// decode passes answers on. One that failed is not: Raft would take it for a sign of life. The next append fails instead,
// and Raft goes back to single calls.
func (p *pipeline) decode() {
	defer close(p.ended)
	in := p.AppendPipeline.Consumer()
	for {
		select {
		case future := <-in:
			if future.Error() != nil {
				close(p.failed)
				return
			}
			p.follower.heard(future.Request().Term, confirmed(future.Request(), future.Response()))
			select {
			case p.out <- future:
			case <-p.closed:
				return
			}
		case <-p.closed:
			return
		}
	}
}

// Close is part of raft.AppendPipeline.
func (p *pipeline) Close() error {
	err := p.AppendPipeline.Close()
	p.once.Do(func() { close(p.closed) })
	<-p.ended
	return err
}
