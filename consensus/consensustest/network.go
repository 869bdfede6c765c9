// Package consensustest is what tests of a group need: a network in memory whose links can be cut, delayed and healed, a
// state machine that remembers, and the checker of agreement that every test with several members ends with.
//
// Everything in it waits on channels and timers only, so that it runs inside a testing/synctest bubble.
package consensustest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// acceptQueue is how many connections wait for a listener's Accept.
const acceptQueue = 64

// Network is machines and the links between them. Each link has two directions, which fail on their own.
type Network struct {
	seed uint64

	mu      sync.Mutex
	hosts   map[string]*Host
	links   map[[2]string]*link
	conns   map[*conn]struct{}
	changed chan struct{} // closed and replaced when a link or a listener changes
}

// link is one direction between two machines.
type link struct {
	random *rand.Rand // guarded by mu

	mu    sync.Mutex
	cut   bool
	delay time.Duration
	rough Rough
	count int
}

// send counts a piece and returns how long it is under way.
func (l *link) send() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	return l.delay + l.rough.detour(l.random)
}

func (l *link) state() (cut bool, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut, l.delay
}

// NewNetwork returns a network without machines.
func NewNetwork() *Network { return NewSeededNetwork(0) }

// NewSeededNetwork returns one whose Rough links draw their lots from a seed: the fate of the n-th piece on a link depends
// on the seed, the link and n alone.
func NewSeededNetwork(seed uint64) *Network {
	return &Network{
		seed: seed, hosts: map[string]*Host{}, links: map[[2]string]*link{}, conns: map[*conn]struct{}{}, changed: make(chan struct{}),
	}
}

// Host returns the machine with a peer ID, which exists from the first call on, and anew after a Crash. It is a
// consensus.Network.
func (n *Network) Host(peer string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[peer]
	if h == nil || h.off {
		h = &Host{network: n, peer: peer, listeners: map[string]*listener{}}
		n.hosts[peer] = h
		n.resetDeadLocked(peer)
		n.notifyLocked()
	}
	return h
}

func (n *Network) linkLocked(from, to string) *link {
	l := n.links[[2]string{from, to}]
	if l == nil {
		l = &link{random: rand.New(rand.NewPCG(n.seed, nameOf(from, to)))}
		n.links[[2]string{from, to}] = l
	}
	return l
}

// set changes one direction, and wakes whoever waits on it.
func (n *Network) set(from, to string, f func(*link)) {
	n.mu.Lock()
	l := n.linkLocked(from, to)
	l.mu.Lock()
	f(l)
	l.mu.Unlock()
	var woken []*conn
	for c := range n.conns {
		woken = append(woken, c)
	}
	n.notifyLocked()
	n.mu.Unlock()
	for _, c := range woken {
		c.in.notify()
		c.out.notify()
	}
}

func (n *Network) notifyLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Cut holds back what goes from one machine to another, as a network does that swallows packets: nobody is told, and what
// was written arrives if the link is healed while the connection is still open.
func (n *Network) Cut(from, to string) { n.set(from, to, func(l *link) { l.cut = true }) }

// Heal undoes Cut in one direction.
func (n *Network) Heal(from, to string) { n.set(from, to, func(l *link) { l.cut = false }) }

// Delay makes what is written from now on take so long from one machine to another.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.set(from, to, func(l *link) { l.delay = d })
}

// peers returns every machine but one.
func (n *Network) peers(but string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for p := range n.hosts {
		if p != but {
			all = append(all, p)
		}
	}
	return all
}

// Isolate cuts a machine off from all others, both ways.
func (n *Network) Isolate(peer string) {
	for _, p := range n.peers(peer) {
		n.Cut(peer, p)
		n.Cut(p, peer)
	}
}

// Rejoin undoes Isolate.
func (n *Network) Rejoin(peer string) {
	for _, p := range n.peers(peer) {
		n.Heal(peer, p)
		n.Heal(p, peer)
	}
}

// Break ends every connection between two machines; new ones can be made.
func (n *Network) Break(a, b string) {
	n.mu.Lock()
	var broken []*conn
	for c := range n.conns {
		l, r := string(c.local), string(c.remote)
		if l == a && r == b || l == b && r == a {
			broken = append(broken, c)
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.fail(errors.New("connection reset"))
	}
}

// Sent counts the messages (pieces written) from one machine to another so far.
func (n *Network) Sent(from, to string) int {
	n.mu.Lock()
	l := n.linkLocked(from, to)
	n.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// Open counts the sides of connections that are open.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// Host is one machine on a Network.
type Host struct {
	network *Network
	peer    string

	// Guarded by network.mu.
	listeners map[string]*listener
	off       bool // the machine crashed; what comes after it is another Host
	silent    bool // and nobody answers in its place
}

// Self returns the peer ID.
func (h *Host) Self() string { return h.peer }

// Dial connects to a peer that listens for the protocol; it waits as long as a link is cut.
func (h *Host) Dial(ctx context.Context, peer, protocol string) (net.Conn, error) {
	n := h.network
	for {
		n.mu.Lock()
		there, back := n.linkLocked(h.peer, peer), n.linkLocked(peer, h.peer)
		changed := n.changed
		cutThere, delayThere := there.state()
		cutBack, delayBack := back.state()
		if h.off {
			n.mu.Unlock()
			return nil, fmt.Errorf("dial %s: %w", peer, errOff)
		}
		if !cutThere && !cutBack && !n.silentLocked(peer) {
			n.mu.Unlock()
			return h.connect(ctx, peer, protocol, there, back, delayThere+delayBack)
		}
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("dial %s: %w", peer, ctx.Err())
		}
	}
}

func (h *Host) connect(ctx context.Context, peer, protocol string, there, back *link, roundTrip time.Duration) (net.Conn, error) {
	if roundTrip > 0 {
		timer := time.NewTimer(roundTrip)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("dial %s: %w", peer, ctx.Err())
		}
	}
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.off {
		return nil, fmt.Errorf("dial %s: %w", peer, errOff)
	}
	var l *listener
	if other := n.hosts[peer]; other != nil {
		l = other.listeners[protocol]
	}
	if l == nil {
		return nil, fmt.Errorf("dial %s: nobody listens for %s", peer, protocol)
	}
	out, in := newHalf(there), newHalf(back)
	near := &conn{in: in, out: out, local: addr(h.peer), remote: addr(peer), onClose: n.forget}
	far := &conn{in: out, out: in, local: addr(peer), remote: addr(h.peer), onClose: n.forget}
	select {
	case l.queue <- far:
	default:
		return nil, fmt.Errorf("dial %s: its queue for %s is full", peer, protocol)
	}
	n.conns[near] = struct{}{}
	n.conns[far] = struct{}{}
	return near, nil
}

func (n *Network) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// Listen receives connections for a protocol; one listener at a time.
func (h *Host) Listen(protocol string) (net.Listener, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.off {
		return nil, fmt.Errorf("listen: %w", errOff)
	}
	if h.listeners[protocol] != nil {
		return nil, fmt.Errorf("listen: %s already listens for %s", h.peer, protocol)
	}
	l := &listener{host: h, protocol: protocol, queue: make(chan *conn, acceptQueue), done: make(chan struct{})}
	h.listeners[protocol] = l
	return l, nil
}

type listener struct {
	host     *Host
	protocol string
	queue    chan *conn
	done     chan struct{}
	once     sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		n := l.host.network
		n.mu.Lock()
		delete(l.host.listeners, l.protocol)
		n.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.queue:
				_ = c.Close()
			default:
				return
			}
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return addr(l.host.peer) }
