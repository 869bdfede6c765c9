package transport

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// A relayed connection is made straight where the NATs between allow it: by calling the addresses that the other side
// tells now, and by hole punching (DCUtR): both sides send at one moment, agreed through the relay, so that each side's
// NAT takes what comes for an answer. It needs QUIC, whose one socket keeps its outer address whoever is called.

// Paces of the attempts, which end when a direct connection is there.
const (
	firstStraighten = 2 * time.Second
	lastStraighten  = time.Minute
)

// newPunch starts libp2p's hole punching behind a face.
func newPunch(h *Host) (*holepunch.Service, error) {
	// The service begins to work when it is first given an address, and DirectConnect waits for that with no end: it is
	// given one at once, which nobody is told.
	var asked atomic.Bool
	listening := func() []ma.Multiaddr {
		if !asked.Swap(true) {
			return []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/udp/0/quic-v1")}
		}
		return h.outer()
	}
	return holepunch.NewService(face{h: h}, greeted{}, listening,
		holepunch.DirectDialTimeout(maxDial), holepunch.WithAddrFilter(quicOnly{}))
}

// greeted stands for libp2p's identify: what it would bring comes with the greeting. Nobody waits for it; an attempt
// before the greeting finds no link, and straighten makes the next.
type greeted struct{ identify.IDService }

// IdentifyWait implements identify.IDService.
func (greeted) IdentifyWait(network.Conn) <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// quicOnly keeps the addresses that a hole can be punched for, at most maxAddrs.
type quicOnly struct{}

// FilterLocal implements holepunch.AddrFilter.
func (quicOnly) FilterLocal(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr { return overQUIC(addrs) }

// FilterRemote implements holepunch.AddrFilter.
func (quicOnly) FilterRemote(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr { return overQUIC(addrs) }

func overQUIC(addrs []ma.Multiaddr) []ma.Multiaddr {
	return slices.DeleteFunc(usable(addrs), func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_QUIC_V1)
		return err != nil
	})
}

// outer returns this machine's own addresses as the relays see them, where that is a NAT's and not its own; none when
// it announces a list of its own.
func (h *Host) outer() []ma.Multiaddr {
	bound := h.boundAddrs()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.announced {
		return nil
	}
	return h.outerOf(bound)
}

// outerOf is outer with mu held and the bound addresses given. Two relays that see different ports behind one address
// show a NAT that gives every peer another: nobody else can use either, so none is told.
func (h *Host) outerOf(bound []ma.Multiaddr) []ma.Multiaddr {
	var seen []ma.Multiaddr
	for _, m := range h.members {
		if l := m.direct(); m.relay && m.sees != nil && l != nil && l.quic &&
			!slices.ContainsFunc(seen, m.sees.Equal) && !slices.ContainsFunc(bound, m.sees.Equal) {
			seen = append(seen, m.sees)
		}
	}
	if len(seen) > 1 {
		return nil
	}
	return seen
}

// tellSeen tells a member where this relay sees it, when that is not what it was told. A NAT that moves gives the
// connection, which QUIC keeps, another address in the middle. The link's goroutine calls it.
func (h *Host) tellSeen(l *link) error {
	var c *quic.Conn
	if !h.serves || l.relayed || !l.quic || !l.conn.As(&c) || c.RemoteAddr() == nil {
		return nil
	}
	at, err := quicreuse.ToQuicMultiaddr(c.RemoteAddr(), quic.Version1)
	if err != nil || l.seen != nil && l.seen.Equal(at) {
		return nil // an address that has no multiaddr is nobody's to call
	}
	l.seen = at
	return l.send(frameSeen, at.Bytes())
}

// learnSeen takes a relay's word on where it sees this machine, and tells the members of a change.
func (h *Host) learnSeen(l *link, payload []byte) error {
	at, err := ma.NewMultiaddrBytes(payload)
	if err != nil {
		return err
	}
	if !l.m.relay || l.relayed || !l.quic || len(overQUIC([]ma.Multiaddr{at})) == 0 {
		return nil
	}
	h.mu.Lock()
	l.m.sees = at
	h.mu.Unlock()
	if h.refreshRecord() {
		h.publish()
	}
	return nil
}

// straighten seeks a direct connection beside a relayed one, until there is one or the relayed one has ended.
func (h *Host) straighten(l *link) {
	defer h.wg.Done()
	m, began := l.m, time.Now()
	for wait := firstStraighten; ; wait = min(2*wait, lastStraighten) {
		if h.straight(m) {
			return
		}
		h.dialStraight(m)
		h.ask(m) // what it told may have gone under with another relayed connection
		if !h.straight(m) && l.conn.Stat().Direction == network.DirInbound {
			// Only the side that was called, as DCUtR has it: it knows that both are ready. Its error says nothing more
			// than that the next attempt is due.
			if err := h.stack.punch.DirectConnect(m.id); err == nil {
				h.log.Info("hole punched", "peer", m.name, "after", time.Since(began).Round(time.Millisecond))
			} else if errors.Is(err, holepunch.ErrClosed) {
				return
			}
		}
		timer := time.NewTimer(jitter(wait))
		select {
		case <-timer.C:
		case <-m.wake: // its addresses have changed
			timer.Stop()
			wait = firstStraighten
		case <-l.ended:
			timer.Stop()
			return
		case <-h.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// straight says whether the member is connected directly.
func (h *Host) straight(m *member) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return m.retired || h.closed || slices.ContainsFunc(m.links, func(l *link) bool { return !l.relayed })
}

// dialStraight calls the addresses of a member that is connected through a relay.
func (h *Host) dialStraight(m *member) {
	h.mu.Lock()
	addrs := m.book.candidates()
	h.mu.Unlock()
	if len(addrs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(h.ctx, "straighten"), minDial)
	defer cancel()
	h.swarm.Backoff().Clear(m.id)
	h.stack.peers.ClearAddrs(m.id)
	h.stack.peers.AddAddrs(m.id, addrs, peerstore.TempAddrTTL)
	_, _ = h.swarm.DialPeer(ctx, m.id) // a failure is what the relay is there for
}
