package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	linkVersion      = 1
	handshakeTimeout = 5 * time.Second // for the other side to say whom it wants to talk to
	acceptQueue      = 16              // connections that Raft has not picked up yet
	maxInboundRaft   = 8               // connections from one peer under ProtocolRaft; the oldest gives way
	maxInboundStream = 4               // the same under ProtocolPropose
)

var errCut = errors.New("cut off from the group")

// A lane keeps connections to one server apart by what they carry, so that a heartbeat never waits behind entries and the
// link can be judged by its heartbeats alone. It is written behind the server ID where Raft's transport wants an address.
const (
	laneBeat    = "#beat"
	laneEntries = "#entries"
	laneCalls   = "#calls"
)

// links is the stream layer of one life of Raft: every connection under ProtocolRaft, in and out. A connection begins with
// both server IDs, so that a server with a new store never answers for the one that it replaced: to answer under the lost
// store's name would forget what that one promised.
type links struct {
	self    string // own server ID
	network Network
	patient time.Duration // for one dialling
	began   time.Time

	accepted chan net.Conn
	done     chan struct{} // closed by cut

	mu    sync.Mutex
	isCut bool
	conns map[*link]struct{}
	open  sync.WaitGroup // conns
}

// link is one connection.
type link struct {
	net.Conn
	owner   *links
	server  string       // the other side's server ID
	lane    string       // "" for one that was accepted
	heard   atomic.Int64 // when something was last read or written: links.clock
	closing sync.Once
}

func newLinks(self string, network Network, patient time.Duration) *links {
	return &links{
		self: self, network: network, patient: patient, began: time.Now(),
		accepted: make(chan net.Conn, acceptQueue), done: make(chan struct{}), conns: map[*link]struct{}{},
	}
}

// clock is an instant as a number, on the clock that nobody sets: the time of day may jump.
func (l *links) clock(t time.Time) int64 { return int64(t.Sub(l.began)) }

// add takes charge of a connection, or closes it if the links are cut.
func (l *links) add(conn net.Conn, server, lane string) (*link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, errors.Join(errCut, conn.Close())
	}
	k := &link{Conn: conn, owner: l, server: server, lane: lane}
	k.heard.Store(l.clock(time.Now()))
	l.conns[k] = struct{}{}
	l.open.Add(1)
	return k, nil
}

// Dial is part of raft.StreamLayer; the address is a server ID and a lane.
func (l *links) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	server, lane := string(address), ""
	if i := strings.LastIndexByte(server, '#'); i >= 0 {
		server, lane = server[:i], server[i:]
	}
	select {
	case <-l.done:
		return nil, errCut
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, l.patient))
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // ends with this call
		select {
		case <-l.done:
			cancel()
		case <-stop:
		}
	}()
	conn, err := l.network.Dial(ctx, peerOf(server), ProtocolRaft)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", server, err)
	}
	k, err := l.add(conn, server, lane)
	if err != nil {
		return nil, err
	}
	hello := []byte{linkVersion, byte(len(server))}
	hello = append(hello, server...)
	hello = append(hello, byte(len(l.self)))
	hello = append(hello, l.self...)
	err = k.SetWriteDeadline(time.Now().Add(l.patient))
	if err == nil {
		_, err = k.Write(hello)
	}
	if err == nil {
		err = k.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("greet %s: %w", server, err), k.Close())
	}
	return k, nil
}

// greet reads how a connection begins, and returns the server that opened it and the one that it wants.
func greet(conn net.Conn) (from, to string, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return "", "", fmt.Errorf("read greeting: %w", err)
	}
	var head [1]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return "", "", fmt.Errorf("read greeting: %w", err)
	}
	if head[0] != linkVersion {
		return "", "", fmt.Errorf("read greeting: version %d, not %d", head[0], linkVersion)
	}
	var names [2]string
	for i := range names {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return "", "", fmt.Errorf("read greeting: %w", err)
		}
		name := make([]byte, head[0])
		if _, err := io.ReadFull(conn, name); err != nil {
			return "", "", fmt.Errorf("read greeting: %w", err)
		}
		names[i] = string(name)
	}
	if peer := conn.RemoteAddr().String(); peerOf(names[1]) != peer {
		return "", "", fmt.Errorf("read greeting: peer %s speaks for %s", peer, names[1])
	}
	return names[1], names[0], conn.SetReadDeadline(time.Time{})
}

// deliver hands an accepted connection to Raft; it is closed if it is meant for another store of this machine.
func (l *links) deliver(conn net.Conn, from, to string) error {
	if to != l.self {
		return errors.Join(fmt.Errorf("%s asks for %s, this is %s", from, to, l.self), conn.Close())
	}
	k, err := l.add(conn, from, "")
	if err != nil {
		return err
	}
	select {
	case l.accepted <- k:
		return nil
	case <-l.done:
		return errors.Join(errCut, k.Close())
	}
}

// Accept is part of raft.StreamLayer.
func (l *links) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.done:
		return nil, errCut
	}
}

// Addr is part of raft.StreamLayer: a server's address is its peer ID.
func (l *links) Addr() net.Addr { return address(peerOf(l.self)) }

// Close is part of raft.StreamLayer.
func (l *links) Close() error {
	l.cut()
	return nil
}

// cut closes every connection and lets no other open. It doesn't wait.
func (l *links) cut() {
	l.mu.Lock()
	if l.isCut {
		l.mu.Unlock()
		return
	}
	l.isCut = true
	close(l.done)
	l.mu.Unlock()
	l.closeIf(func(*link) bool { return true })
}

// closeIf closes the connections that a predicate picks; whoever uses them hears an error.
func (l *links) closeIf(pick func(*link) bool) {
	l.mu.Lock()
	var picked []*link
	for k := range l.conns {
		if pick(k) {
			picked = append(picked, k)
		}
	}
	l.mu.Unlock()
	for _, k := range picked {
		_ = k.Close() // the other side's complaint, if any, changes nothing
	}
}

// wait returns once every connection was let go of.
func (l *links) wait() {
	for {
		select {
		case conn := <-l.accepted:
			_ = conn.Close()
			continue
		default:
		}
		break
	}
	l.open.Wait()
}

func (k *link) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	if n > 0 {
		k.heard.Store(k.owner.clock(time.Now()))
	}
	return n, err
}

func (k *link) Write(b []byte) (int, error) {
	n, err := k.Conn.Write(b)
	if n > 0 {
		k.heard.Store(k.owner.clock(time.Now()))
	}
	return n, err
}

func (k *link) Close() error {
	var err error
	k.closing.Do(func() {
		err = k.Conn.Close()
		k.owner.mu.Lock()
		delete(k.owner.conns, k)
		k.owner.mu.Unlock()
		k.owner.open.Done()
	})
	return err
}

// address is a peer ID as a net.Addr.
type address string

func (a address) Network() string { return "pointage" }
func (a address) String() string  { return string(a) }

// inbound counts the connections that peers opened to us under one protocol. Beyond the limit the oldest is closed, not
// the new one refused: a machine that comes back from a power cut is not locked out by what it left behind.
type inbound struct {
	limit int

	mu    sync.Mutex
	peers map[string][]net.Conn // oldest first
}

func newInbound(limit int) *inbound { return &inbound{limit: limit, peers: map[string][]net.Conn{}} }

// admit takes a connection in; its Close lets go of its place.
func (n *inbound) admit(conn net.Conn) net.Conn {
	peer := conn.RemoteAddr().String()
	c := &counted{Conn: conn}
	c.release = func() { n.remove(peer, c) }
	n.mu.Lock()
	n.peers[peer] = append(n.peers[peer], c)
	var oldest net.Conn
	if len(n.peers[peer]) > n.limit {
		oldest = n.peers[peer][0]
	}
	n.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
	return c
}

func (n *inbound) remove(peer string, conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.peers[peer]
	for i, c := range list {
		if c == conn {
			n.peers[peer] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(n.peers[peer]) == 0 {
		delete(n.peers, peer)
	}
}

// closeAll closes what is open.
func (n *inbound) closeAll() {
	n.mu.Lock()
	var all []net.Conn
	for _, list := range n.peers {
		all = append(all, list...)
	}
	n.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

type counted struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *counted) Close() error {
	var err error
	c.once.Do(func() {
		err = c.Conn.Close()
		c.release()
	})
	return err
}
