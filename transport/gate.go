package transport

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gate lets members through, and nobody else. libp2p asks it before a dial and after each handshake, when the other
// side's key is proved, before any stream.
type gate struct{ h *Host }

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.h.allowed(p) }

// InterceptAddrDial implements connmgr.ConnectionGater. Only addresses that this package chose reach it.
func (g *gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater. An address says nothing of who calls: several members may share
// one with a stranger. The resource manager bounds how many call from one.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gate) InterceptSecured(dir network.Direction, p peer.ID, addrs network.ConnMultiaddrs) bool {
	if g.h.allowed(p) {
		return true
	}
	if dir == network.DirInbound {
		n := g.h.refused.strangers.Add(1)
		if g.h.refused.mayLog(g.h.now()) {
			g.h.log.Warn("stranger refused", "peer", p.String(), "addr", addrs.RemoteMultiaddr().String(), "refused", n)
		}
	}
	return false
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// allowed says whether p is a member and not under the penalty for flooding.
func (h *Host) allowed(p peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[p]
	return m != nil && !h.closed && (m.banned.IsZero() || time.Now().After(m.banned))
}

// logEvery bounds the lines that strangers can write into the log.
const logEvery = 10 * time.Second

// counters count what was refused since Start.
type counters struct {
	strangers   atomic.Uint64
	wrongKeys   atomic.Uint64
	connections atomic.Uint64
	streams     atomic.Uint64
	backlog     atomic.Uint64
	floods      atomic.Uint64
	circuits    atomic.Uint64

	lastLog atomic.Int64 // Host.now of the last line on a stranger, 0 = never
}

// mayLog says whether a line on a stranger is due.
func (c *counters) mayLog(now int64) bool {
	last := c.lastLog.Load()
	return (last == 0 || now-last > int64(logEvery)) && c.lastLog.CompareAndSwap(last, now)
}

// quota is a token bucket: burst at once, then perSecond. The zero time is full. Its owner guards it.
type quota struct {
	burst, perSecond float64
	spent            float64
	at               time.Time
}

// take spends one token and says whether there was one.
func (q *quota) take(now time.Time) bool {
	q.spent = max(0, q.spent-now.Sub(q.at).Seconds()*q.perSecond)
	q.at = now
	if q.spent >= q.burst {
		return false
	}
	q.spent++
	return true
}

// refusedStream counts a stream that a member asked for beyond its limits, and disconnects the member when it floods. It
// runs in the goroutine that accepts the connection's streams.
func (h *Host) refusedStream(p peer.ID) {
	h.refused.streams.Add(1)
	now := time.Now()
	h.mu.Lock()
	m := h.members[p]
	if m == nil || m.flood.take(now) {
		h.mu.Unlock()
		return
	}
	m.flood.spent = 0
	m.banned = now.Add(floodPenalty)
	links := m.links
	h.mu.Unlock()
	h.refused.floods.Add(1)
	h.log.Warn("member floods with streams, refused for a while", "peer", m.name, "for", floodPenalty)
	for _, l := range links {
		l.shut()
	}
}
