package consensustest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// window is how many bytes are under way in one direction of one connection before Write waits.
const window = 256 << 10

// half is one direction of a connection.
type half struct {
	link *link

	mu      sync.Mutex
	chunks  []chunk
	size    int
	ended   bool          // the writer closed
	refused bool          // the reader closed
	dead    bool          // a machine at one end crashed: neither side hears of the other any more
	changed chan struct{} // closed and replaced when anything here changes
}

type chunk struct {
	data []byte
	at   time.Time // when it arrives
}

func newHalf(l *link) *half { return &half{link: l, changed: make(chan struct{})} }

func (h *half) notify() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notifyLocked()
}

func (h *half) notifyLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// conn is one side of a connection: it reads from in and writes to out.
type conn struct {
	in, out       *half
	local, remote addr

	mu              sync.Mutex
	closed          bool
	broken          error
	readBy, writeBy time.Time
	onClose         func(*conn)
}

type addr string

func (a addr) Network() string { return "consensustest" }
func (a addr) String() string  { return string(a) }

// state returns the deadline that applies, or the error that ends every call.
func (c *conn) state(deadline *time.Time) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return time.Time{}, c.broken
	}
	if c.closed {
		return time.Time{}, net.ErrClosed
	}
	return *deadline, nil
}

// await waits for a change of the half, for an instant (zero for none), or for the deadline.
func await(changed <-chan struct{}, until, deadline time.Time) error {
	if !deadline.IsZero() && (until.IsZero() || deadline.Before(until)) {
		until = deadline
	}
	if until.IsZero() {
		<-changed
		return nil
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
	if !deadline.IsZero() && !time.Now().Before(deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		h := c.in
		h.mu.Lock()
		changed := h.changed
		deadline, err := c.state(&c.readBy)
		if err != nil {
			h.mu.Unlock()
			return 0, err
		}
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		cut, _ := h.link.state()
		var until time.Time
		switch {
		case cut:
		case len(h.chunks) > 0 && !time.Now().Before(h.chunks[0].at):
			n := copy(b, h.chunks[0].data)
			h.chunks[0].data = h.chunks[0].data[n:]
			if len(h.chunks[0].data) == 0 {
				h.chunks = h.chunks[1:]
			}
			h.size -= n
			h.notifyLocked()
			h.mu.Unlock()
			return n, nil
		case len(h.chunks) > 0:
			until = h.chunks[0].at
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.mu.Unlock()
		if err := await(changed, until, deadline); err != nil {
			return 0, err
		}
	}
}

func (c *conn) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		h := c.out
		h.mu.Lock()
		changed := h.changed
		deadline, err := c.state(&c.writeBy)
		if err == nil && !deadline.IsZero() && !time.Now().Before(deadline) {
			err = os.ErrDeadlineExceeded
		}
		if back, _ := c.in.link.state(); err == nil && h.refused && !back {
			err = io.ErrClosedPipe
		}
		if err != nil {
			h.mu.Unlock()
			return written, err
		}
		if room := window - h.size; room > 0 {
			n := min(room, len(b)-written)
			if !h.dead {
				h.chunks = append(h.chunks, chunk{append([]byte(nil), b[written:written+n]...), time.Now().Add(h.link.send())})
			}
			h.size += n
			written += n
			h.notifyLocked()
			h.mu.Unlock()
			continue
		}
		h.mu.Unlock()
		if err := await(changed, time.Time{}, deadline); err != nil {
			return written, err
		}
	}
	return written, nil
}

// Close ends both directions; over a cut link the other side hears of it when the link is healed.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.onClose(c)
	c.out.mu.Lock()
	c.out.ended = !c.out.dead
	c.out.notifyLocked()
	c.out.mu.Unlock()
	c.in.mu.Lock()
	c.in.refused = !c.in.dead
	c.in.notifyLocked()
	c.in.mu.Unlock()
	return nil
}

// fail makes every call on this side return err.
func (c *conn) fail(err error) {
	c.mu.Lock()
	c.broken = err
	c.mu.Unlock()
	c.in.notify()
	c.out.notify()
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.readBy, c.writeBy = t, t
	c.mu.Unlock()
	c.in.notify()
	c.out.notify()
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.readBy = t
	c.mu.Unlock()
	c.in.notify()
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.writeBy = t
	c.mu.Unlock()
	c.out.notify()
	return nil
}
