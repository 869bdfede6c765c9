package transport

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
)

// mdnsName is the DNS-SD service under which members find one another on a local network.
const mdnsName = "_p2p-members._udp"

// upkeep follows the machine from one network to another: it looks at the addresses now and then, tells the members of a
// change, has the connections checked, and starts mDNS again, which names the addresses it was started with.
func (h *Host) upkeep(withMDNS bool) {
	defer h.wg.Done()
	var local mdns.Service
	defer func() {
		if local != nil {
			_ = local.Close() // it only stops
		}
	}()
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	for changed := false; ; {
		if withMDNS && (changed || local == nil) {
			if local != nil {
				_ = local.Close()
			}
			local = h.startMDNS()
		}
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
		if changed = h.refreshRecord(); changed {
			h.relocate()
		}
	}
}

// relocate tells and checks everyone after this machine's addresses have changed.
func (h *Host) relocate() {
	h.log.Info("own addresses changed", "addrs", len(h.Addrs()))
	for _, l := range h.readyLinks() {
		l.poke()
	}
	h.publish()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.members {
		m.rouse()
	}
}

// startMDNS starts answering and asking on the local network; nil if there is none now.
func (h *Host) startMDNS() mdns.Service {
	s := mdns.NewMdnsService(mdnsFace{id: h.id, net: h.swarm}, mdnsName, discovered{h})
	if err := s.Start(); err != nil {
		h.log.Warn("mdns not started, to be tried again", "err", err)
		_ = s.Close()
		return nil
	}
	return s
}

// mdnsFace is as much of libp2p's host as its mDNS asks for.
type mdnsFace struct {
	host.Host
	id  peer.ID
	net network.Network
}

// ID implements host.Host.
func (f mdnsFace) ID() peer.ID { return f.id }

// Network implements host.Host.
func (f mdnsFace) Network() network.Network { return f.net }

// discovered hears what mDNS has found.
type discovered struct{ h *Host }

// HandlePeerFound takes a peer's addresses. A stranger is dropped. Anyone can claim addresses for a member: the handshake
// shows who answers there, and a later claim replaces the earlier.
func (d discovered) HandlePeerFound(found peer.AddrInfo) {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	m := d.h.members[found.ID]
	addrs := usable(found.Addrs)
	if m == nil || d.h.closed || slices.EqualFunc(addrs, m.book.found, ma.Multiaddr.Equal) {
		return
	}
	m.book.found = addrs
	m.rouse()
	d.h.pursue(m)
}
