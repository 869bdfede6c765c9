package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	ma "github.com/multiformats/go-multiaddr"
)

// reach returns a link with the member that can be used, waiting for one until the context ends.
func (h *Host) reach(ctx context.Context, name string) (*link, error) {
	id, err := peer.Decode(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMember, err)
	}
	counted := false
	for {
		h.mu.Lock()
		m := h.members[id]
		if counted && m != nil {
			m.waiting--
		}
		if h.closed || m == nil {
			closed := h.closed
			h.mu.Unlock()
			if closed {
				return nil, ErrClosed
			}
			return nil, ErrNotMember
		}
		m.used = time.Now()
		if l := m.best(); l != nil {
			h.mu.Unlock()
			return l, nil
		}
		m.waiting++
		counted = true
		change := m.change
		h.pursue(m)
		h.mu.Unlock()
		select {
		case <-change:
		case <-h.ctx.Done():
		case <-ctx.Done():
			return nil, h.giveUp(ctx, m)
		}
	}
}

// giveUp ends a wait for a link.
func (h *Host) giveUp(ctx context.Context, m *member) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.waiting--
	if m.lastErr != nil {
		return fmt.Errorf("not connected: %w (last attempt: %w)", ctx.Err(), m.lastErr)
	}
	return fmt.Errorf("not connected: %w", ctx.Err())
}

// mesh says whether every member is to be connected. Host.mu is held.
func (h *Host) mesh() bool {
	n := 0
	for _, m := range h.members {
		if !m.later {
			n++
		}
	}
	return n <= h.limits.Mesh
}

// wanted says whether a connection with the member is to be sought. Host.mu is held.
func (h *Host) wanted(m *member) bool {
	return !h.closed && !m.retired &&
		(m.waiting > 0 || !m.later && (m.relay || h.mesh()) || !m.used.IsZero() && time.Since(m.used) < wantedFor)
}

// touch notes a use of the member, and says whether its links are asked often even when they carry nothing.
func (h *Host) touch(m *member) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.used = time.Now()
	return h.mesh()
}

// pursue starts the chase for a member that is wanted and not connected. Host.mu is held.
func (h *Host) pursue(m *member) {
	if m.chasing || len(m.links) > 0 || !h.wanted(m) {
		return
	}
	m.chasing = true
	m.sought = time.Now()
	h.wg.Add(1)
	go h.chase(m)
}

// chase dials a member until it is connected or no longer wanted. At most one such goroutine runs for each member.
func (h *Host) chase(m *member) {
	defer h.wg.Done()
	if h.id > m.id {
		// The other side dials first. Both at once would make two connections.
		h.pause(m, jitter(secondDelay))
	}
	for {
		next := h.prospect(m)
		switch {
		case next.ends:
			return
		case next.link != nil:
			h.await(m, next.link)
		case next.wait > 0:
			h.pause(m, next.wait)
		case len(next.addrs) == 0:
			h.ask(m)
			h.pause(m, jitter(maxRedial))
		default:
			h.attempt(m, next)
			if next.failures%3 == 1 {
				h.ask(m)
			}
		}
	}
}

// prospect is what a chase does next.
type prospect struct {
	ends     bool           // connected, retired, or no longer wanted
	link     *link          // a connection that has not greeted yet: await it
	wait     time.Duration  // until the next attempt is due
	addrs    []ma.Multiaddr // to dial now
	failures int            // attempts before, without a lasting connection
	patience time.Duration  // for this attempt
}

// prospect says what the member's chase does next; when it says that the chase ends, it has.
func (h *Host) prospect(m *member) prospect {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.best() != nil || !h.wanted(m) {
		m.chasing = false
		return prospect{ends: true}
	}
	if len(m.links) > 0 {
		return prospect{link: m.links[len(m.links)-1]}
	}
	if m.failures > 0 {
		if wait := backoff(m.failures) - time.Since(m.dialled); wait > 0 {
			return prospect{wait: jitter(wait)}
		}
	}
	p := prospect{addrs: append(m.book.candidates(), h.circuits(m)...), failures: m.failures, patience: maxDial}
	if m.rtt > 0 && m.failures%3 != 2 {
		p.patience = min(max(minDial, 10*m.rtt), maxDial) // a handshake takes five round trips
	}
	if len(p.addrs) > 0 {
		// Counted as a failure until the connection has lasted: lapse.
		m.dialled = time.Now()
		m.failures++
	}
	return p
}

// attempt dials all of a member's addresses, QUIC a moment before TCP and both before relays, and keeps the first that answers with the member's
// key.
func (h *Host) attempt(m *member, p prospect) {
	ctx, cancel := context.WithTimeout(h.ctx, p.patience)
	defer cancel()
	ctx = network.WithDialPeerTimeout(ctx, maxDial)
	// The swarm's own back-off lasts up to five minutes, and its address book keeps what the member's book has dropped.
	h.swarm.Backoff().Clear(m.id)
	h.stack.peers.ClearAddrs(m.id)
	h.stack.peers.AddAddrs(m.id, p.addrs, peerstore.TempAddrTTL)
	_, err := h.swarm.DialPeer(ctx, m.id)
	if err == nil || h.ctx.Err() != nil {
		return
	}
	wrongKey := errors.As(err, new(sec.ErrPeerIDMismatch))
	if wrongKey {
		h.refused.wrongKeys.Add(1)
	}
	h.mu.Lock()
	first := m.lastErr == nil
	m.lastErr = err
	h.mu.Unlock()
	if first {
		h.log.Info("member not reached", "peer", m.name, "addrs", len(p.addrs), "wrong_key", wrongKey, "err", err)
	}
}

// await waits until a new connection is ready or has ended.
func (h *Host) await(m *member, l *link) {
	h.mu.Lock()
	change := m.change
	ready := l.ready
	h.mu.Unlock()
	if ready {
		return
	}
	select {
	case <-change:
	case <-l.ended:
	case <-h.ctx.Done():
	}
}

// backoff is the time between the beginnings of two attempts.
func backoff(failures int) time.Duration {
	return min(minRedial<<min(failures-1, 10), maxRedial)
}

// jitter spreads d by a quarter downwards, lest a whole site redials in step.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// pause waits, until something has changed for the member at most.
func (h *Host) pause(m *member, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.wake:
	case <-h.ctx.Done():
	}
}

// readyLinks returns one link of each connected member, in no order.
func (h *Host) readyLinks() []*link {
	h.mu.Lock()
	defer h.mu.Unlock()
	links := make([]*link, 0, len(h.members))
	for _, m := range h.members {
		if l := m.best(); l != nil {
			links = append(links, l)
		}
	}
	return links
}

// askedMembers is how many members are asked for another one's address.
const askedMembers = 3

// ask asks a few connected members where this one is. Their answers rouse the chase.
func (h *Host) ask(m *member) {
	links := h.readyLinks()
	rand.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	question := slices.Concat([]byte{byte(len(m.id))}, []byte(m.id))
	for _, l := range links[:min(len(links), askedMembers)] {
		if err := l.send(frameWhere, question); err != nil {
			l.shut()
		}
	}
}
