package transport

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
)

// Limits bound what the other members, and strangers, can make this machine spend. They are fixed at Start; zero fields
// take their defaults. Connections and streams of the whole machine are bounded by those per peer times Members.
type Limits struct {
	Members            int   // members to be ready for, amendments included; default twice the list, at least 64
	ConnsPerPeer       int   // connections with one member; default 8: two in use, the rest for dead ones not yet noticed
	StreamsPerPeer     int   // streams open with one member, each way; default 256
	StreamsPerProtocol int   // of these for one protocol, so that one protocol's flood leaves the others room; default 160
	MemoryPerPeer      int64 // bytes of buffers that one member's streams may reserve; default 96 MiB
	Memory             int64 // bytes of buffers that all may reserve; default 256 MiB + 8 MiB per member. Reserved, not used
	ConnsPerAddress    int   // connections with one IP address or IPv6 /56, as many bureaux share one; default 4 per member + 16
	Backlog            int   // streams waiting for one listener's Accept, at most an eighth of them one member's; default 256
	// Mesh is the largest membership that is kept fully connected. In a larger one a machine keeps connections with the
	// members that it, or they, used in the last ten minutes. Default 32: a group of 120 would need 7,140 connections.
	Mesh int
}

// Defaults of Limits.
const (
	minMembers         = 64
	defaultConns       = 8
	defaultStreams     = 256
	defaultPerProtocol = 160
	defaultPeerMemory  = 96 << 20
	baseMemory         = 256 << 20
	memoryPerMember    = 8 << 20
	defaultBacklog     = 256
	defaultMesh        = 32

	connsPerAddressBase   = 16
	connsPerAddressMember = 4

	// newConnsPerMember is how many connections a second one address may begin, for each member that may be behind it:
	// a redial every 2 s with a margin of 4 for the reconnection of a whole site at once.
	newConnsPerMember = 2
	// controlStreams is how many of the transport's own streams a member may have open: one a connection.
	controlStreams = 2 * defaultConns

	// refusedBurst and refusedPerSecond are how many streams over its limits a member may ask for before it counts as
	// flooding and is disconnected for floodPenalty.
	refusedBurst     = 2000
	refusedPerSecond = 100
)

func (l Limits) withDefaults(members int) Limits {
	fill := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	fill(&l.Members, max(2*members, minMembers))
	fill(&l.ConnsPerPeer, defaultConns)
	fill(&l.StreamsPerPeer, defaultStreams)
	fill(&l.StreamsPerProtocol, min(defaultPerProtocol, l.StreamsPerPeer))
	fill(&l.ConnsPerAddress, connsPerAddressMember*l.Members+connsPerAddressBase)
	fill(&l.Backlog, defaultBacklog)
	fill(&l.Mesh, defaultMesh)
	if l.MemoryPerPeer <= 0 {
		l.MemoryPerPeer = defaultPeerMemory
	}
	if l.Memory <= 0 {
		l.Memory = baseMemory + int64(l.Members)*memoryPerMember
	}
	return l
}

// bounds builds one scope's limits: connections and streams are each way, and twice that in all.
func bounds(conns, streams int, memory int64) rcmgr.ResourceLimits {
	return rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(2 * conns), ConnsInbound: rcmgr.LimitVal(conns), ConnsOutbound: rcmgr.LimitVal(conns),
		Streams: rcmgr.LimitVal(2 * streams), StreamsInbound: rcmgr.LimitVal(streams), StreamsOutbound: rcmgr.LimitVal(streams),
		FD:     rcmgr.LimitVal(2 * conns),
		Memory: rcmgr.LimitVal64(memory),
	}
}

// newResources builds the resource manager. Nothing in it is unlimited and no address is exempt, loopback included.
func (l Limits) newResources() (network.ResourceManager, error) {
	all := bounds(l.Members*l.ConnsPerPeer, l.Members*l.StreamsPerPeer, l.Memory)
	// Transient connections are in their handshake, hence strangers' too: two addresses' worth. Transient streams are
	// members' that have not named their protocol yet: their own limits bound those.
	transient := bounds(2*l.ConnsPerAddress, l.Members*l.StreamsPerPeer, l.Memory/2)
	one := bounds(l.ConnsPerPeer, l.StreamsPerPeer, l.MemoryPerPeer)
	one.Conns = rcmgr.LimitVal(l.ConnsPerPeer)
	perProtocol := bounds(0, l.StreamsPerProtocol, l.MemoryPerPeer)
	control := bounds(0, controlStreams, l.MemoryPerPeer)
	single := bounds(1, 1, l.MemoryPerPeer)
	limits := rcmgr.PartialLimitConfig{
		System: all, Transient: transient,
		AllowlistedSystem: bounds(0, 0, 0), AllowlistedTransient: bounds(0, 0, 0),
		ServiceDefault: all, ServicePeerDefault: one,
		ProtocolDefault: all, ProtocolPeerDefault: perProtocol,
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{controlProtocol: control},
		PeerDefault:  one, Conn: single, Stream: single,
	}.Build(rcmgr.ConcreteLimitConfig{})
	perAddress := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: l.ConnsPerAddress}}
	}
	begin := rate.Limit{RPS: float64(newConnsPerMember * l.Members), Burst: 2 * l.ConnsPerAddress}
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{}),
		rcmgr.WithLimitPerSubnet(perAddress(32), perAddress(56)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: begin}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: begin}},
		}}))
	if err != nil {
		return nil, fmt.Errorf("limit resources: %w", err)
	}
	return rm, nil
}

// meter counts what the resource manager refuses, and tells the Host of each stream refused to a member.
type meter struct {
	network.ResourceManager
	h *Host
}

// OpenConnection implements network.ResourceManager.
func (m *meter) OpenConnection(dir network.Direction, usefd bool, addr ma.Multiaddr) (network.ConnManagementScope, error) {
	scope, err := m.ResourceManager.OpenConnection(dir, usefd, addr)
	if err != nil && dir == network.DirInbound {
		m.h.refused.connections.Add(1)
	}
	return scope, err
}

// OpenStream implements network.ResourceManager.
func (m *meter) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	scope, err := m.ResourceManager.OpenStream(p, dir)
	if err != nil && dir == network.DirInbound {
		m.h.refusedStream(p)
	}
	return scope, err
}
