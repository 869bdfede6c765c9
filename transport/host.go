package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// Host is one machine's part in the network of the members.
type Host struct {
	self   string
	id     peer.ID
	key    crypto.PrivKey
	limits Limits
	times  Times
	log    *slog.Logger
	relays bool      // Config.Relays names some
	serves bool      // this machine is one of them
	epoch  time.Time // the zero of now()

	stack *stack // libp2p's parts
	swarm *swarm.Swarm
	ctx   context.Context // ends when Close begins
	stop  context.CancelFunc
	wg    sync.WaitGroup // every goroutine of this package; Add only under mu while not closed

	refused counters

	mu        sync.Mutex // guards what follows, and all of member, book and link that says so; never held over I/O
	closed    bool
	members   map[peer.ID]*member
	links     map[network.Conn]*link
	listeners map[string]*listener
	announce  []ma.Multiaddr          // Config.Announce; meaningful if announced
	announced bool                    // false: what is bound is announced
	services  map[protocol.ID]service // the protocols of libp2p's own parts
	record    []byte                  // this machine's own sealed record
	told      []ma.Multiaddr          // the addresses in it
	seq       uint64                  // and its number
}

// member is what a Host knows of one other member. Host.mu guards its fields, but for the atomics.
type member struct {
	id       peer.ID
	name     string // id as text
	book     book
	links    []*link       // attached connections, oldest first
	change   chan struct{} // closed and replaced when a link becomes ready, or the membership ends
	wake     chan struct{} // ends the chase's pause; capacity 1
	chasing  bool          // a goroutine runs chase for this member
	waiting  int           // calls of Dial that wait for a link
	sought   time.Time     // when the chase began; zero when it is over
	used     time.Time     // when a stream was last opened, either way
	dialled  time.Time     // when the last attempt to connect began
	failures int           // attempts since the last connection that lasted
	banned   time.Time     // refused until then, for flooding
	relay    bool          // others are reached through it
	sees     ma.Multiaddr  // where it says that it sees this machine; a relay's only
	later    bool          // may come during the day, and has not been here yet: let in, not sought
	retired  bool
	lastErr  error         // of the last attempt to connect; nil after a success
	rtt      time.Duration // last measured, 0 if never
	flood    quota         // of streams refused

	sent, received atomic.Uint64 // bytes of the streams given out
}

// Start brings a machine into the network of its members. It returns once the addresses of Config.Listen are bound;
// connections follow by themselves. Close ends it.
func Start(cfg Config) (*Host, error) {
	h, err := newHost(cfg)
	if err != nil {
		return nil, fmt.Errorf("start transport: %w", err)
	}
	listen, err := parseAddrs(cfg.Listen, h.id)
	if err != nil {
		return nil, fmt.Errorf("start transport: listen: %w", err)
	}
	if h.stack, err = newStack(h, listen); err != nil {
		return nil, fmt.Errorf("start transport: %w", err)
	}
	h.swarm = h.stack.swarm
	h.swarm.Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { h.attach(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { h.detached(c) },
	})
	h.swarm.SetStreamHandler(h.accept)
	h.refreshRecord()
	if err := h.stack.openRelay(h); err != nil {
		return nil, errors.Join(fmt.Errorf("start transport: %w", err), h.Close())
	}
	if len(listen) > 0 {
		// Only now: whoever is accepted finds the handlers above in place.
		if err := h.stack.listen(listen); err != nil {
			return nil, errors.Join(fmt.Errorf("start transport: %w", err), h.Close())
		}
		h.refreshRecord()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wg.Add(1)
	go h.upkeep(cfg.MDNS)
	for _, m := range h.members {
		h.pursue(m)
	}
	return h, nil
}

// newHost makes the Host's own part, without the network.
func newHost(cfg Config) (*Host, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("key of %d bytes, want %d", len(cfg.Key), ed25519.PrivateKeySize)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	h := &Host{
		self: id.String(), id: id, key: key,
		limits:    cfg.Limits.withDefaults(len(cfg.Members)),
		times:     cfg.Times.withDefaults(),
		log:       cfg.Logger,
		epoch:     time.Now(),
		members:   make(map[peer.ID]*member, len(cfg.Members)),
		links:     make(map[network.Conn]*link),
		listeners: make(map[string]*listener),
		services:  make(map[protocol.ID]service),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	if cfg.Announce != nil {
		h.announced = true
		if h.announce, err = parseAddrs(cfg.Announce, id); err != nil {
			return nil, fmt.Errorf("announce: %w", err)
		}
	}
	for _, listed := range cfg.Members {
		m, err := h.admit(listed.Peer)
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue // this machine
		}
		m.later = listed.Later
		if m.book.listed, err = parseAddrs(listed.Addrs, m.id); err != nil {
			return nil, fmt.Errorf("member %s: %w", listed.Peer, err)
		}
	}
	return h, h.nameRelays(cfg.Relays)
}

// nameRelays marks the relays among the members.
func (h *Host) nameRelays(names []string) error {
	for _, name := range names {
		id, err := peer.Decode(name)
		if err != nil {
			return fmt.Errorf("relay %q: %w", name, err)
		}
		m := h.members[id]
		switch {
		case id == h.id:
			h.serves = true
		case m == nil:
			return fmt.Errorf("relay %s: %w", name, ErrNotMember)
		default:
			m.relay = true
		}
		h.relays = true
	}
	return nil
}

// now is the time since the Host began, in nanoseconds, monotonic.
func (h *Host) now() int64 { return int64(time.Since(h.epoch)) }

// admit adds a member, nil for the machine itself. The caller holds mu or has the Host to itself.
func (h *Host) admit(name string) (*member, error) {
	id, err := peer.Decode(name)
	if err != nil {
		return nil, fmt.Errorf("member %q: %w", name, err)
	}
	if id == h.id {
		return nil, nil
	}
	if m := h.members[id]; m != nil {
		return m, nil
	}
	if len(h.members) >= h.limits.Members {
		return nil, fmt.Errorf("member %s: more than %d members", name, h.limits.Members)
	}
	m := &member{
		id: id, name: id.String(),
		change: make(chan struct{}), wake: make(chan struct{}, 1),
		flood: quota{burst: refusedBurst, perSecond: refusedPerSecond},
	}
	h.members[id] = m
	return m, nil
}

// Admit adds a member during the day; its addresses come by SetAddrs, by mDNS or from the member itself. Admitting a
// member again changes nothing. A peer ID that can't be read is an error, as is one member more than Limits.Members.
func (h *Host) Admit(peer string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, err := h.admit(peer)
	if err != nil {
		return fmt.Errorf("admit: %w", err)
	}
	if m != nil {
		h.pursue(m)
	}
	return nil
}

// Retire ends a membership: the peer's connections are closed, with all their streams, and it is refused from then on.
// Retiring a peer that is not a member changes nothing.
func (h *Host) Retire(name string) {
	id, err := peer.Decode(name)
	if err != nil {
		return
	}
	h.mu.Lock()
	m := h.members[id]
	if m == nil {
		h.mu.Unlock()
		return
	}
	delete(h.members, id)
	m.retired = true
	m.signal()
	m.rouse()
	links := m.links
	m.links = nil
	h.mu.Unlock()
	for _, l := range links {
		l.shut()
	}
	// A connection whose handshake ends meanwhile finds no member in attach, which closes it.
	h.log.Info("member retired", "peer", m.name)
}

// SetAddrs replaces the listed addresses of a member, as Member.Addrs; the next attempt to connect uses them, at once if
// the member is not connected. Those that the member tells itself stay.
func (h *Host) SetAddrs(name string, addrs []string) error {
	id, err := peer.Decode(name)
	if err != nil {
		return fmt.Errorf("set addresses of %q: %w", name, err)
	}
	parsed, err := parseAddrs(addrs, id)
	if err != nil {
		return fmt.Errorf("set addresses of %s: %w", name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[id]
	if m == nil {
		return fmt.Errorf("set addresses of %s: %w", name, ErrNotMember)
	}
	m.book.listed = parsed
	m.rouse()
	h.pursue(m)
	return nil
}

// Close ends all connections and returns when nothing of the Host runs any more. Streams are cut; a Dial or an Accept that
// waits answers ErrClosed. Closing again does nothing.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		h.wg.Wait()
		return nil
	}
	h.closed = true
	h.stop()
	listeners := h.listeners
	h.listeners = map[string]*listener{}
	h.mu.Unlock()
	for _, ln := range listeners {
		ln.shut()
	}
	err := h.stack.close()
	h.wg.Wait()
	if err != nil {
		return fmt.Errorf("close transport: %w", err)
	}
	return nil
}

// signal tells whoever waits for a change of the member. Host.mu is held.
func (m *member) signal() {
	close(m.change)
	m.change = make(chan struct{})
}

// rouse has the member dialled at once if it is chased: its addresses have changed. Host.mu is held.
func (m *member) rouse() {
	m.failures = 0
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// best returns the link for a new stream: the newest direct one that is ready, else a relayed one, nil if none. Host.mu
// is held.
func (m *member) best() *link {
	if l := m.direct(); l != nil {
		return l
	}
	for i := len(m.links) - 1; i >= 0; i-- {
		if m.links[i].ready {
			return m.links[i]
		}
	}
	return nil
}
