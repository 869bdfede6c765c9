package transport

import (
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	ma "github.com/multiformats/go-multiaddr"
)

// face is as much of libp2p's host as its circuits and its hole punching ask for. It opens streams on links that are
// there and never dials for them.
type face struct {
	host.Host
	h   *Host
	via *link // where NewStream opens, nil = the best link for the protocol
}

// ID implements host.Host.
func (f face) ID() peer.ID { return f.h.id }

// Peerstore implements host.Host.
func (f face) Peerstore() peerstore.Peerstore { return f.h.stack.peers }

// Addrs implements host.Host. A relay's addresses are in the members' configuration; none is told with a place.
func (f face) Addrs() []ma.Multiaddr { return nil }

// Network implements host.Host.
func (f face) Network() network.Network { return f.h.stack.swarm }

// ConnManager implements host.Host: the transport decides by itself which connections to keep.
func (f face) ConnManager() connmgr.ConnManager { return connmgr.NullConnMgr{} }

// SetStreamHandler implements host.Host.
func (f face) SetStreamHandler(name protocol.ID, serve network.StreamHandler) {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	f.h.services[name] = service(serve)
}

// RemoveStreamHandler implements host.Host.
func (f face) RemoveStreamHandler(name protocol.ID) {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	delete(f.h.services, name)
}

// NewStream implements host.Host: a relay's protocols on a direct link, hole punching's on a relayed one.
func (f face) NewStream(ctx context.Context, p peer.ID, names ...protocol.ID) (network.Stream, error) {
	l := f.via
	if l == nil {
		l = f.h.linkFor(p, names[0])
	}
	if l == nil {
		return nil, fmt.Errorf("open stream for %s: not connected with %s", names[0], p)
	}
	s, err := l.conn.NewStream(network.WithAllowLimitedConn(ctx, "member"))
	if err != nil {
		return nil, fmt.Errorf("open stream for %s: %w", names[0], err)
	}
	if err := choose(s, names[0]); err != nil {
		_ = s.Reset() // given up
		return nil, fmt.Errorf("open stream for %s: %w", names[0], err)
	}
	return s, nil
}

// linkFor returns the newest ready link with a peer that the protocol may use, nil if none.
func (h *Host) linkFor(p peer.ID, name protocol.ID) *link {
	over := name != proto.ProtoIDv2Hop && name != proto.ProtoIDv2Stop
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[p]
	if m == nil {
		return nil
	}
	for _, l := range slices.Backward(m.links) {
		if l.ready && l.relayed == over {
			return l
		}
	}
	return nil
}

// Connect implements host.Host: it dials the addresses of one peer, directly where the context says so.
func (f face) Connect(ctx context.Context, to peer.AddrInfo) error {
	f.h.stack.peers.AddAddrs(to.ID, to.Addrs, peerstore.TempAddrTTL)
	f.h.swarm.Backoff().Clear(to.ID)
	_, err := f.h.swarm.DialPeer(ctx, to.ID)
	return err
}
