// Package transport carries authenticated streams among the machines of one membership list.
//
// A machine's identity is its Ed25519 key; its name, the peer ID, is computed from the public half. A [Host] keeps
// connections to the other members, over QUIC or TCP, and gives out streams on them as [net.Conn]. Whoever is not on the
// list gets no further than the handshake, whether it calls or is called. The package knows nothing of what the streams
// carry.
package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// What Dial, Listen and the changes of the membership answer. Each is wrapped with its cause: compare with errors.Is.
var (
	// ErrNotMember says that the peer is not on the membership list, or no longer.
	ErrNotMember = errors.New("not a member")
	// ErrClosed says that the Host, or the listener, was closed.
	ErrClosed = net.ErrClosed
	// ErrListening says that the protocol has a listener already.
	ErrListening = errors.New("protocol has a listener already")
	// ErrNotListening says that the peer has no listener for the protocol. As Dial does not wait for the peer's answer,
	// it is the first Read that returns it.
	ErrNotListening = errors.New("peer does not listen for this protocol")
)

// PeerID returns the peer ID of a device's key: the base58 form of the identity multihash of its libp2p public key
// ("12D3KooW…", 52 characters).
func PeerID(pub ed25519.PublicKey) (string, error) {
	if len(pub) != ed25519.PublicKeySize {
		return "", fmt.Errorf("peer ID: public key of %d bytes, want %d", len(pub), ed25519.PublicKeySize)
	}
	key, err := crypto.UnmarshalEd25519PublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("peer ID: %w", err)
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("peer ID: %w", err)
	}
	return id.String(), nil
}

// Member is one machine of the membership list.
type Member struct {
	Peer string // peer ID
	// Addrs are the addresses known beforehand: multiaddrs, or host:port, which stands for TCP and QUIC at that port. A
	// host may be a name. Empty: the member is found by mDNS, by what it or another member tells, or it dials itself.
	Addrs []string
	// Later marks a machine that may take another's place during the day: it is let in, and not sought before it has
	// been here.
	Later bool
}

// Config is what a Host is started with.
type Config struct {
	Key    ed25519.PrivateKey // the device's key, which is its identity
	Listen []string           // where to listen: multiaddrs or host:port; empty = the machine only dials
	// Announce are the addresses that other members are told: nil = those bound, an empty slice = none, so that peers
	// know only the addresses of their own lists.
	Announce []string
	Members  []Member // the membership; the machine itself may be among them
	// Relays are the members, by peer ID, through which others are reached that can't be called: those with an address
	// that everybody can call. Every machine has the same list; one that is on it relays for the members, and for
	// nobody else. A peer ID that is not a member's is an error. Empty = no relaying at all.
	Relays []string
	MDNS   bool // look for members on the local network, and be found there
	Limits Limits
	Times  Times
	Logger *slog.Logger // nil = nothing is logged
}

// Times are the paces of the keep-alive. Zero fields take their defaults.
type Times struct {
	// Ping is how long a connection in use may be silent before the other side is asked whether it lives.
	// Default 1.5 s: with PingTimeout a cut cable is noticed within 6 s, and a busy connection is never asked.
	Ping time.Duration
	// PingTimeout is how long the answer may take. Default 4 s: a mobile link with full buffers answers within 3 s.
	PingTimeout time.Duration
	// IdlePing replaces Ping on a connection without streams, in a membership too large to be kept fully connected.
	// Default 15 s, which keeps the entries of a NAT alive (RFC 4787 asks 2 minutes, cheap routers forget after 30 s).
	IdlePing time.Duration
}

// Defaults of Times, and the waits that are not configured.
const (
	defaultPing        = 1500 * time.Millisecond
	defaultPingTimeout = 4 * time.Second
	defaultIdlePing    = 15 * time.Second

	// bulkTimeout replaces PingTimeout while a connection carries bulk: a ping waits behind what is queued before it, up
	// to a stream's window (1 MiB), 8 s at 1 Mbit/s.
	bulkTimeout = 15 * time.Second
	// bulkBytes sent within one Ping make a connection carry bulk: 0.6 Mbit/s, ten times a busy leader's traffic with one
	// other member.
	bulkBytes = 128 << 10

	// minDial and maxDial bound one attempt to connect: minDial when the peer's round trip is known to be short, so that
	// an attempt lost in a dead link is soon followed by another; maxDial otherwise, and at every third attempt.
	minDial = 2 * time.Second
	maxDial = 5 * time.Second
	// minRedial and maxRedial bound the time from one attempt's beginning to the next one's, which doubles meanwhile.
	minRedial = 250 * time.Millisecond
	maxRedial = 2 * time.Second
	// secondDelay is how long the member with the larger peer ID leaves the dialling to the other one.
	secondDelay = 700 * time.Millisecond

	// greetTimeout bounds the time from a connection's handshake to the other side's greeting.
	greetTimeout = 5 * time.Second
	// negotiateTimeout bounds the time that an incoming stream may take to name its protocol.
	negotiateTimeout = 5 * time.Second
	// wantedFor is how long after its last use a member is still redialled, in a membership that is not kept fully
	// connected.
	wantedFor = 10 * time.Minute
	// floodPenalty is how long a member that flooded is refused.
	floodPenalty = 10 * time.Second
	// upkeepEvery is how often the machine's own addresses are looked at for a change.
	upkeepEvery = 5 * time.Second
)

// withDefaults returns t with its zero fields filled.
func (t Times) withDefaults() Times {
	if t.Ping <= 0 {
		t.Ping = defaultPing
	}
	if t.PingTimeout <= 0 {
		t.PingTimeout = defaultPingTimeout
	}
	if t.IdlePing <= 0 {
		t.IdlePing = defaultIdlePing
	}
	return t
}

// Self returns this machine's peer ID.
func (h *Host) Self() string { return h.self }

// Dial opens a stream to a member for one protocol. The context bounds the dialling, not the stream. While no connection
// exists Dial waits for one until the context ends; the error then names the cause of the last failed attempt. Dial does
// not wait for the peer to accept the stream: see ErrNotListening.
func (h *Host) Dial(ctx context.Context, peer, protocol string) (net.Conn, error) {
	for {
		l, err := h.reach(ctx, peer)
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", peer, err)
		}
		c, err := l.open(ctx, protocol)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil || !l.conn.IsClosed() {
			return nil, fmt.Errorf("dial %s: %w", peer, err)
		}
		h.lapse(l) // the connection ended between reach and open: wait for the next one
	}
}

// Listen receives the streams that members open for one protocol, one listener per protocol. The RemoteAddr().String() of
// each is the member's peer ID. Closing the listener frees the protocol for another Listen and leaves accepted streams
// open.
func (h *Host) Listen(protocol string) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("listen for %s: %w", protocol, ErrClosed)
	}
	if h.listeners[protocol] != nil || protocol == controlProtocol {
		return nil, fmt.Errorf("listen for %s: %w", protocol, ErrListening)
	}
	ln := newListener(h, protocol)
	h.listeners[protocol] = ln
	return ln, nil
}
