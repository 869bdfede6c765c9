package transport

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// listener receives the streams of one protocol.
type listener struct {
	h        *Host
	protocol string
	queue    chan *conn    // streams that wait for Accept
	done     chan struct{} // closed by shut

	mu      sync.Mutex      // guards what follows
	closed  bool            // nothing enters queue any more
	pending map[peer.ID]int // how many of queue are whose, so that one member can't fill it
}

func newListener(h *Host, protocol string) *listener {
	return &listener{
		h: h, protocol: protocol,
		queue:   make(chan *conn, h.limits.Backlog),
		done:    make(chan struct{}),
		pending: map[peer.ID]int{},
	}
}

// hand puts a stream in the queue, or refuses it.
func (ln *listener) hand(l *link, s network.Stream) error {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return ErrClosed
	}
	share := max(1, ln.h.limits.Backlog/8)
	if ln.pending[l.m.id] >= share || len(ln.queue) == cap(ln.queue) {
		ln.h.refused.backlog.Add(1)
		return errors.New("too many streams wait to be accepted")
	}
	ln.pending[l.m.id]++
	ln.queue <- l.take(&conn{s: s}) // has room: only hand sends, under mu
	return nil
}

// Accept implements net.Listener. After Close it answers ErrClosed.
func (ln *listener) Accept() (net.Conn, error) {
	select {
	case <-ln.done:
	case c := <-ln.queue:
		ln.took(c)
		return c, nil
	}
	return nil, fmt.Errorf("accept %s: %w", ln.protocol, ErrClosed)
}

// took notes that a stream has left the queue.
func (ln *listener) took(c *conn) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.pending[c.l.m.id]--; ln.pending[c.l.m.id] == 0 {
		delete(ln.pending, c.l.m.id)
	}
}

// Close implements net.Listener. Streams not yet accepted are reset.
func (ln *listener) Close() error {
	ln.h.mu.Lock()
	if ln.h.listeners[ln.protocol] == ln {
		delete(ln.h.listeners, ln.protocol)
	}
	ln.h.mu.Unlock()
	ln.shut()
	return nil
}

func (ln *listener) shut() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return
	}
	ln.closed = true
	close(ln.done)
	for {
		select {
		case c := <-ln.queue:
			_ = c.s.Reset() // its opener learns that nobody took it
			_ = c.Close()   // counts; never fails
		default:
			return
		}
	}
}

// Addr returns this machine's peer ID.
func (ln *listener) Addr() net.Addr { return addr(ln.h.self) }
