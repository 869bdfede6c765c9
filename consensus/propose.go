package consensus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// outcome is what became of one proposal.
type outcome struct {
	reply []byte
	err   error // ErrNoLeader, ErrBusy, ErrTooLarge or ErrUnknownOutcome, wrapped
}

// Propose asks the leader to put a command into the group's order, and returns what the leader's state machine replied to
// it. It tries once: it returns at once with ErrNoLeader when no leader is known, and waits for the reply until the
// context ends (at the leader itself for a second more, if Raft is too busy to take the command). Any number of calls may run at the same time; those of one goroutine are ordered, others are not.
//
// Errors: ErrNoLeader, ErrBusy, ErrTooLarge and ErrClosed mean that nothing was proposed; ErrUnknownOutcome means that the
// same bytes, and no others, must be proposed again.
func (g *Group) Propose(ctx context.Context, command []byte) (reply []byte, err error) {
	if len(command) > g.cfg.MaxCommand {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(command), g.cfg.MaxCommand)
	}
	e, err := g.usable()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	leader := e.leader()
	if leader == "" {
		return nil, ErrNoLeader
	}
	slot, ok := g.limits.acquire(g.network.Self(), len(command))
	if !ok {
		return nil, ErrBusy
	}
	if leader != g.id {
		return g.forward(ctx, peerOf(leader), command, slot)
	}
	answer := make(chan outcome, 1)
	e.submit(bytes.Clone(command), func(o outcome) {
		slot.release()
		answer <- o
	})
	select {
	case o := <-answer:
		return o.reply, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
	case <-e.gone:
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, errCut)
	}
}

// underWay are the proposals that Raft has not answered yet: who waits for each, by the hash of its command.
type underWay struct {
	mu      sync.Mutex
	waiting map[[sha256.Size]byte][]func(outcome)
}

// join adds to those who wait for a command; first says that there was nobody.
func (u *underWay) join(command [sha256.Size]byte, done func(outcome)) (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waiting == nil {
		u.waiting = map[[sha256.Size]byte][]func(outcome){}
	}
	u.waiting[command] = append(u.waiting[command], done)
	return len(u.waiting[command]) == 1
}

// end returns those who waited.
func (u *underWay) end(command [sha256.Size]byte) []func(outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.waiting[command]
	delete(u.waiting, command)
	return all
}

// submit gives a command to Raft, in the order of the calls, and calls done once, from another goroutine, with what became
// of it. The engine keeps the command's bytes. The same bytes are given once while Raft has not answered: whoever lost
// patience asks again, and in a group that is slow each such entry would make it slower.
func (e *engine) submit(command []byte, done func(outcome)) {
	if !e.leading() || !e.tasks.enter() {
		done(outcome{err: ErrNoLeader})
		return
	}
	key := sha256.Sum256(command)
	if !e.underWay.join(key, done) {
		e.tasks.leave()
		return
	}
	future := e.raft.Apply(command, enqueueTimeout)
	go func() { // waited for by tasks.drain
		defer e.tasks.leave()
		o := e.outcome(future)
		for _, done := range e.underWay.end(key) {
			done(o)
		}
	}()
}

// outcome translates Raft's answer. What it does not know to be untouched is unknown.
func (e *engine) outcome(future raft.ApplyFuture) outcome {
	switch err := future.Error(); {
	case err == nil:
		e.refusingSince.Store(nil)
		if reply, ok := future.Response().([]byte); ok {
			return outcome{reply: reply}
		}
		return outcome{err: fmt.Errorf("%w: %w", ErrUnknownOutcome, errHalted)}
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		e.refused()
		return outcome{err: fmt.Errorf("%w: %w", ErrNoLeader, err)}
	case errors.Is(err, raft.ErrNotLeader):
		return outcome{err: fmt.Errorf("%w: %w", ErrNoLeader, err)}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return outcome{err: fmt.Errorf("%w: %w", ErrBusy, err)}
	default:
		return outcome{err: fmt.Errorf("%w: %w", ErrUnknownOutcome, err)}
	}
}

// refused notes since when this leader refuses commands for the sake of a leadership transfer.
func (e *engine) refused() {
	now := time.Now()
	e.refusingSince.CompareAndSwap(nil, &now)
}

// limiter bounds the proposals that this machine has in hand: its own, and as the leader those of others.
type limiter struct {
	mu    sync.Mutex
	all   load
	peers map[string]*load
}

type load struct{ n, bytes int }

func newLimiter() *limiter { return &limiter{peers: map[string]*load{}} }

// slot is one proposal's place. It is free again when each of its holders has released it: one, unless it is shared.
type slot struct {
	limiter *limiter
	peer    string
	bytes   int
	holders atomic.Int32
}

// acquire takes a place for a command of so many bytes from a peer, unless there is none.
func (l *limiter) acquire(peer string, size int) (*slot, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.peers[peer]
	if mine == nil {
		mine = &load{}
	}
	if l.all.n >= MaxInFlight || l.all.bytes+size > MaxInFlightBytes ||
		mine.n >= MaxInFlightPerPeer || mine.bytes+size > MaxInFlightBytesPerPeer {
		return nil, false
	}
	l.peers[peer] = mine
	mine.n, mine.bytes = mine.n+1, mine.bytes+size
	l.all.n, l.all.bytes = l.all.n+1, l.all.bytes+size
	s := &slot{limiter: l, peer: peer, bytes: size}
	s.holders.Store(1)
	return s, true
}

func (s *slot) release() {
	if s.holders.Add(-1) > 0 {
		return
	}
	l := s.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.peers[s.peer]
	mine.n, mine.bytes = mine.n-1, mine.bytes-s.bytes
	l.all.n, l.all.bytes = l.all.n-1, l.all.bytes-s.bytes
	if mine.n == 0 {
		delete(l.peers, s.peer)
	}
}

// share adds a holder.
func (s *slot) share() *held {
	s.holders.Add(1)
	return &held{slot: s}
}

// held is one holder of a slot, who may release it more than once.
type held struct {
	slot *slot
	once sync.Once
}

func (h *held) release() { h.once.Do(h.slot.release) }
