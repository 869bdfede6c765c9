package networks

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Kind is how a site hides its machines behind its public address.
type Kind uint8

const (
	// Public hides nothing: one machine with the site's public address.
	Public Kind = iota
	// Independent gives an inner port one outer port, whoever is called, and lets in only answers: what a school's or a
	// carrier's router does (RFC 4787: endpoint-independent mapping, address- and port-dependent filtering).
	Independent
	// Symmetric gives an inner port another outer port for each one that is called.
	Symmetric
)

// String names the kind.
func (k Kind) String() string {
	return [...]string{"public", "endpoint-independent NAT", "symmetric NAT"}[k]
}

// How long a NAT remembers, at least; cheap routers forget UDP that soon, and TCP after some hours (RFC 5382).
const (
	forgetUDP = 30 * time.Second
	forgetTCP = 2 * time.Hour
	// firstOuter and lastOuter are the ports that a NAT gives out.
	firstOuter, lastOuter = 20_000, 60_000
)

// nat is the memory of one site's NAT. Its site's lock guards it.
type nat struct {
	kind  Kind
	outer netip.Addr
	out   map[inner]*mapping
	in    map[outerPort]*mapping
}

// inner is whom a mapping is for; peer is set only by a symmetric NAT.
type inner struct {
	proto byte
	at    netip.AddrPort
	peer  netip.AddrPort
}

type outerPort struct {
	proto byte
	port  uint16
}

type mapping struct {
	key    inner
	outer  outerPort
	called map[netip.AddrPort]time.Time // whose answers pass, and when they were last called
}

func newNAT(kind Kind, outer netip.Addr) *nat {
	return &nat{kind: kind, outer: outer, out: map[inner]*mapping{}, in: map[outerPort]*mapping{}}
}

func lasts(proto byte) time.Duration {
	if proto == protocolTCP {
		return forgetTCP
	}
	return forgetUDP
}

// leave translates what goes out.
func (n *nat) leave(p packet, now time.Time) {
	key := inner{proto: p.proto, at: p.source()}
	if n.kind == Symmetric {
		key.peer = p.target()
	}
	m := n.out[key]
	if m != nil && n.forgotten(m, now) {
		n.drop(m)
		m = nil
	}
	if m == nil {
		m = &mapping{key: key, outer: n.free(p.proto), called: map[netip.AddrPort]time.Time{}}
		n.out[key], n.in[m.outer] = m, m
	}
	m.called[p.target()] = now
	p.setSource(netip.AddrPortFrom(n.outer, m.outer.port))
}

// enter translates what comes in; false for what nobody here has called.
func (n *nat) enter(p packet, now time.Time) bool {
	m := n.in[outerPort{p.proto, p.target().Port()}]
	if m == nil {
		return false
	}
	called, ok := m.called[p.source()]
	if !ok || now.Sub(called) > lasts(p.proto) {
		return false
	}
	p.setTarget(m.key.at)
	return true
}

func (n *nat) forgotten(m *mapping, now time.Time) bool {
	for _, called := range m.called {
		if now.Sub(called) <= lasts(m.key.proto) {
			return false
		}
	}
	return true
}

func (n *nat) drop(m *mapping) {
	delete(n.out, m.key)
	delete(n.in, m.outer)
}

// free draws an outer port that is not in use.
func (n *nat) free(proto byte) outerPort {
	for {
		p := outerPort{proto, uint16(firstOuter + rand.IntN(lastOuter-firstOuter))}
		if n.in[p] == nil {
			return p
		}
	}
}
