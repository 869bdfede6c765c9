package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// link is one connection with a member. Its goroutine, serve, owns the control stream's reading and the keep-alive's
// state; the link ends when that goroutine does.
type link struct {
	h       *Host
	m       *member
	conn    network.Conn
	quic    bool
	relayed bool         // it goes through a relay
	seen    ma.Multiaddr // what the member was told of its own address; serve's alone, at a relay
	since   time.Time
	control chan network.Stream // the control stream, on the side that was called; capacity 1
	gone    chan struct{}       // closed when the connection has ended
	ended   chan struct{}       // closed when serve has ended and the link is out of use

	ready bool // the other side has greeted; Host.mu guards it

	wmu     sync.Mutex     // guards writing to out, and what follows
	out     network.Stream // the control stream; set before the first write
	greeted bool           // the greeting has been read: from now on poke may cut the reading short

	streams atomic.Int32  // streams given out that are still open
	sent    atomic.Uint64 // bytes of those
	heard   atomic.Int64  // Host.now of the last bytes received
	poked   atomic.Bool   // asks serve to ping now
}

// attach takes a connection whose handshake has ended. It runs before any stream of it is accepted.
func (h *Host) attach(c network.Conn) {
	h.mu.Lock()
	m := h.members[c.RemotePeer()]
	if h.closed || m == nil {
		h.mu.Unlock()
		c.Close() // retired, or closing, while the handshake went on
		return
	}
	l := &link{
		h: h, m: m, conn: c, quic: c.ConnState().Transport == "quic-v1", since: time.Now(),
		relayed: relayed(c),
		control: make(chan network.Stream, 1), gone: make(chan struct{}), ended: make(chan struct{}),
	}
	l.heard.Store(h.now())
	h.links[c] = l
	m.links, m.later = append(slices.Clone(m.links), l), false
	h.wg.Add(1)
	h.mu.Unlock()
	go l.serve()
}

// detached hears that a connection has ended.
func (h *Host) detached(c network.Conn) {
	h.mu.Lock()
	l := h.links[c]
	delete(h.links, c)
	h.mu.Unlock()
	if l != nil {
		close(l.gone)
	}
}

// lapse takes a link whose connection has ended out of use, and has the member redialled if it was the last.
func (h *Host) lapse(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.ready = false
	// A copy: others read the old slice without the mutex.
	l.m.links = slices.DeleteFunc(slices.Clone(l.m.links), func(other *link) bool { return other == l })
	if time.Since(l.since) > maxRedial {
		l.m.failures = 0 // it lasted
	}
	h.pursue(l.m)
}

// shut closes the connection. Its streams are cut.
func (l *link) shut() { _ = l.conn.Close() } // the socket's own error is of no use to anyone

// serve holds the control conversation until the connection ends, whichever ends first.
func (l *link) serve() {
	defer l.h.wg.Done()
	err := l.converse()
	l.h.mu.Lock()
	was := l.ready
	l.h.mu.Unlock()
	l.shut()
	l.h.lapse(l)
	close(l.ended)
	switch {
	case l.h.ctx.Err() != nil:
	case was:
		l.h.log.Info("connection lost", "peer", l.m.name, "addr", l.conn.RemoteMultiaddr().String(),
			"after", time.Since(l.since).Round(time.Millisecond), "err", err)
	default:
		l.h.log.Debug("connection ended before its greeting", "peer", l.m.name,
			"addr", l.conn.RemoteMultiaddr().String(), "err", err)
	}
}

// converse opens or awaits the control stream, exchanges greetings, and then keeps the connection alive. It returns why
// the connection is to end.
func (l *link) converse() error {
	s, err := l.controlStream()
	if err != nil {
		return fmt.Errorf("open control stream: %w", err)
	}
	defer s.Reset()
	l.wmu.Lock()
	l.out = s
	l.wmu.Unlock()
	if err := l.send(frameGreeting, l.h.ownRecord()); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	frames := newFrameReader(s)
	if err := s.SetReadDeadline(time.Now().Add(greetTimeout)); err != nil {
		return fmt.Errorf("await greeting: %w", err)
	}
	kind, payload, err := frames.next()
	if err != nil || kind != frameGreeting {
		return fmt.Errorf("await greeting: frame %d: %w", kind, err)
	}
	if err := l.h.learnGreeting(l.m, payload); err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	l.wmu.Lock()
	l.greeted = true
	l.wmu.Unlock()
	l.h.settle(l)
	if err := l.h.tellSeen(l); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	return (&keepAlive{l: l, frames: frames, in: s, quota: quota{burst: 4 * framesPerSecond, perSecond: framesPerSecond}}).run()
}

// controlStream returns the connection's control stream, which its dialler opens.
func (l *link) controlStream() (network.Stream, error) {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(l.h.ctx, "member"), greetTimeout)
	defer cancel()
	if l.conn.Stat().Direction == network.DirOutbound {
		s, err := l.conn.NewStream(ctx)
		if err != nil {
			return nil, err
		}
		if err := choose(s, controlProtocol); err != nil {
			_ = s.Reset() // the stream is given up
			return nil, err
		}
		return s, nil
	}
	select {
	case s := <-l.control:
		return s, nil
	case <-l.gone:
		return nil, errors.New("connection ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// choose names the protocol of a new stream and reads the other side's consent.
func choose(s network.Stream, name protocol.ID) error {
	if err := s.SetProtocol(name); err != nil {
		return err
	}
	if err := s.SetDeadline(time.Now().Add(greetTimeout)); err != nil {
		return err
	}
	if _, err := s.Write(proposal(name)); err != nil {
		return err
	}
	consent := consent{want: proposal(name)}
	if err := consent.read(s); err != nil {
		return err
	}
	return s.SetDeadline(time.Time{})
}

// settle puts a link in use: the other side has greeted, so that it has admitted this one too.
func (h *Host) settle(l *link) {
	h.mu.Lock()
	if l.m.retired || h.closed || !slices.Contains(l.m.links, l) {
		h.mu.Unlock()
		return // serve is about to find the connection closed
	}
	l.ready = true
	l.m.lastErr = nil
	l.m.signal()
	others := l.m.links
	if l.m.relay && !l.relayed {
		for _, m := range h.members {
			m.rouse() // there is a way now to those that were not reached
		}
	}
	switch {
	case l.relayed:
		h.wg.Add(1)
		go h.straighten(l)
	case l.m.relay && !h.serves:
		h.wg.Add(1)
		go h.keepPlace(l)
	}
	took := time.Since(l.m.sought)
	if l.m.sought.IsZero() {
		took = 0
	}
	l.m.sought = time.Time{}
	h.mu.Unlock()
	h.log.Info("member connected", "peer", l.m.name, "addr", l.conn.RemoteMultiaddr().String(),
		"dialled", l.conn.Stat().Direction == network.DirOutbound, "relayed", l.relayed, "sought", took.Round(time.Millisecond))
	for _, other := range others {
		// A second connection often means that the other side has lost the first: ask it at once.
		if other != l {
			other.poke()
		}
	}
}

// poke asks the link's goroutine to ping now.
func (l *link) poke() {
	l.poked.Store(true)
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.greeted {
		_ = l.out.SetReadDeadline(time.Now()) // an ended stream wakes its reader anyway
	}
}

// send writes one frame to the control stream. A stream that takes no frame for PingTimeout is a dead connection's.
func (l *link) send(kind byte, payload []byte) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.out == nil {
		return errors.New("no control stream")
	}
	if err := l.out.SetWriteDeadline(time.Now().Add(l.h.times.PingTimeout)); err != nil {
		return err
	}
	_, err := l.out.Write(frame(kind, payload))
	return err
}
