package transport

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Limits of a member's addresses.
const (
	maxAddrs      = 16 // of one source: the list, the member's record, mDNS
	maxCandidates = 3 * maxAddrs
)

// book holds the addresses of one member by where they come from. Host.mu guards it.
type book struct {
	listed []ma.Multiaddr // the membership list's, or SetAddrs'
	told   []ma.Multiaddr // of the member's own signed record
	found  []ma.Multiaddr // by mDNS; anyone on the local network can have sent them

	record []byte // the sealed record that told comes from, to be passed on to members that ask
	seq    uint64 // its number
}

// candidates returns every address worth trying, each once.
func (b *book) candidates() []ma.Multiaddr {
	all := make([]ma.Multiaddr, 0, len(b.listed)+len(b.told)+len(b.found))
	for _, source := range [][]ma.Multiaddr{b.told, b.found, b.listed} {
		for _, a := range source {
			if !slices.ContainsFunc(all, a.Equal) && len(all) < maxCandidates {
				all = append(all, a)
			}
		}
	}
	return all
}

// parseAddrs reads addresses as Config has them. A multiaddr may end in /p2p/ and the peer's ID; another ID is an error,
// as is an address that neither TCP nor QUIC can dial.
func parseAddrs(addrs []string, id peer.ID) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	for _, s := range addrs {
		some, err := parseAddr(s, id)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", s, err)
		}
		all = append(all, some...)
	}
	if len(all) > maxAddrs {
		return nil, fmt.Errorf("%d addresses, at most %d", len(all), maxAddrs)
	}
	return all, nil
}

func parseAddr(s string, id peer.ID) ([]ma.Multiaddr, error) {
	if !strings.HasPrefix(s, "/") {
		return parseHostPort(s)
	}
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, err
	}
	bare, named := peer.SplitAddr(a)
	if named != "" && named != id {
		return nil, fmt.Errorf("names the peer %s instead of %s", named, id)
	}
	if bare == nil || !dialable(bare) {
		return nil, fmt.Errorf("want /ip4, /ip6 or /dns with /tcp/PORT or /udp/PORT/quic-v1")
	}
	return []ma.Multiaddr{bare}, nil
}

// parseHostPort turns host:port into the same place over QUIC and over TCP.
func parseHostPort(s string) ([]ma.Multiaddr, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, err
	}
	kind := "dns"
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		kind = "ip4"
	} else if ip != nil {
		kind = "ip6"
	}
	both := make([]ma.Multiaddr, 0, 2)
	for _, tail := range []string{"udp/" + port + "/quic-v1", "tcp/" + port} {
		a, err := ma.NewMultiaddr("/" + kind + "/" + host + "/" + tail)
		if err != nil {
			return nil, err
		}
		both = append(both, a)
	}
	return both, nil
}

// dialable says whether an address is a host and a TCP port or a QUIC one, and nothing more. No relayed address passes.
func dialable(a ma.Multiaddr) bool {
	var codes []int
	for _, c := range a {
		codes = append(codes, c.Protocol().Code)
	}
	if len(codes) < 2 {
		return false
	}
	switch codes[0] {
	case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
	default:
		return false
	}
	return slices.Equal(codes[1:], []int{ma.P_TCP}) || slices.Equal(codes[1:], []int{ma.P_UDP, ma.P_QUIC_V1})
}

// usable keeps the dialable ones among addresses that another machine sent, at most maxAddrs of them.
func usable(addrs []ma.Multiaddr) []ma.Multiaddr {
	var kept []ma.Multiaddr
	for _, a := range addrs {
		if dialable(a) && len(kept) < maxAddrs {
			kept = append(kept, a)
		}
	}
	return kept
}
