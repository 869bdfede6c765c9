package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// controlProtocol is the transport's own, one stream on each connection.
const controlProtocol = "/members/control/1"

// Streams name their protocol as multistream-select 1.0 has it. The opener sends the two lines and its first bytes
// together; the other side repeats the lines as its consent.
const (
	selectHeader  = "/multistream/1.0.0\n"
	notListening  = "na\n"
	maxProtocolID = 128 // bytes of a protocol's name
)

// proposal is what names a protocol, and what consents to it.
func proposal(name protocol.ID) []byte {
	return line(line(nil, selectHeader), string(name)+"\n")
}

// refusal is the answer to a protocol without a listener.
func refusal() []byte { return line(line(nil, selectHeader), notListening) }

func line(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// consent is the answer to a proposal as far as it has been read.
type consent struct {
	want []byte // what is still to come; empty = consented
	err  error  // the refusal, for ever
}

// read reads the rest of the answer. After a deadline it can be called again.
func (c *consent) read(r io.Reader) error {
	for len(c.want) > 0 && c.err == nil {
		buf := make([]byte, len(c.want))
		n, err := r.Read(buf)
		if !bytes.HasPrefix(c.want, buf[:n]) {
			c.err = ErrNotListening
			break
		}
		c.want = c.want[n:]
		if err != nil && len(c.want) > 0 {
			return err
		}
	}
	return c.err
}

// conn is a stream as a net.Conn. One goroutine may read while another writes; deadlines apply to both.
type conn struct {
	l *link
	s network.Stream

	rmu     sync.Mutex // guards consent
	consent consent

	wmu sync.Mutex // keeps the writes of several goroutines apart

	pmu      sync.Mutex // guards proposal; never held while the peer's window can be full
	proposal []byte     // what is to be sent before the first byte; the opener's only

	done   sync.Once
	closed atomic.Bool
}

// open opens a stream on the link. Nothing is sent before the caller writes or reads.
func (l *link) open(ctx context.Context, name string) (net.Conn, error) {
	if len(name) == 0 || len(name) > maxProtocolID {
		return nil, fmt.Errorf("protocol name of %d bytes, want 1 to %d", len(name), maxProtocolID)
	}
	s, err := l.conn.NewStream(network.WithAllowLimitedConn(ctx, "member"))
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	if err := s.SetProtocol(protocol.ID(name)); err != nil {
		_ = s.Reset() // given up
		return nil, fmt.Errorf("open stream: %w", err)
	}
	lines := proposal(protocol.ID(name))
	return l.take(&conn{s: s, proposal: lines, consent: consent{want: lines}}), nil
}

// take counts a new stream of the link.
func (l *link) take(c *conn) *conn {
	c.l = l
	if l.streams.Add(1) == 1 && !l.h.touch(l.m) {
		l.poke() // the link was asked seldom while nothing used it: is it alive?
	}
	return c
}

// Read implements net.Conn. io.EOF follows the last byte of a peer that has closed; os.ErrDeadlineExceeded a deadline.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.readConsent(); err != nil {
		return 0, c.fault("read from", err)
	}
	n, err := c.s.Read(b)
	if n > 0 {
		c.l.heard.Store(c.l.h.now())
		c.l.m.received.Add(uint64(n))
	}
	return n, c.fault("read from", err)
}

// readConsent waits for the peer's answer to the proposal, which it sends first if no Write has.
func (c *conn) readConsent() error {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if len(c.consent.want) == 0 {
		return c.consent.err
	}
	if _, err := c.propose(nil); err != nil {
		return err
	}
	err := c.consent.read(c.s)
	c.l.heard.Store(c.l.h.now())
	return err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if n > 0 {
		c.l.sent.Add(uint64(n))
		c.l.m.sent.Add(uint64(n))
	}
	return n, c.fault("write to", err)
}

// write writes b, behind the proposal if that has not been sent.
func (c *conn) write(b []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	n, err := c.propose(b[:min(len(b), firstBytes)])
	if err != nil || n == len(b) {
		return n, err
	}
	rest, err := c.s.Write(b[n:])
	return n + rest, err
}

// firstBytes are how many of the caller's bytes may go with the proposal: together they fit any window, so that a Read
// which waits for pmu is not held up by a peer that does not read.
const firstBytes = 16 << 10

// propose writes what is left of the proposal, and b with it. When nothing is left it writes nothing.
func (c *conn) propose(b []byte) (int, error) {
	c.pmu.Lock()
	defer c.pmu.Unlock()
	lines := len(c.proposal)
	if lines == 0 {
		return 0, nil
	}
	n, err := c.s.Write(append(c.proposal[:lines:lines], b...))
	c.proposal = c.proposal[min(n, lines):]
	return max(0, n-lines), err
}

// Close ends the stream both ways. The peer still reads what was written before, then io.EOF; what it writes fails.
// Nothing of the stream is left open for it to end.
func (c *conn) Close() error {
	c.done.Do(func() {
		c.closed.Store(true)
		// yamux: a reset behind the end of the data cuts only the other direction. QUIC's Close does both by itself,
		// while its Reset would drop data on its way.
		err := c.s.CloseWrite()
		if c.l.quic && err == nil {
			_ = c.s.Close() // the data was handed over above
		} else {
			_ = c.s.Reset() // nothing is left that could fail
		}
		c.l.streams.Add(-1)
	})
	return nil
}

// fault puts an error of the stream in net's words.
func (c *conn) fault(verb string, err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF) && verb == "read from":
		return err
	case isTimeout(err):
		return os.ErrDeadlineExceeded
	case c.closed.Load():
		return net.ErrClosed
	}
	return fmt.Errorf("%s %s: %w", verb, c.l.m.name, err)
}

// addr is a peer ID as a net.Addr.
type addr string

// Network implements net.Addr.
func (addr) Network() string { return "peer" }

// String returns the peer ID.
func (a addr) String() string { return string(a) }

// LocalAddr returns this machine's peer ID.
func (c *conn) LocalAddr() net.Addr { return addr(c.l.h.self) }

// RemoteAddr returns the other machine's peer ID.
func (c *conn) RemoteAddr() net.Addr { return addr(c.l.m.name) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.s.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.s.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.s.SetWriteDeadline(t) }

// accept takes a stream that a member has opened, as far as a listener's queue. It is libp2p's stream handler, in a
// goroutine that the swarm starts and Close waits for.
func (h *Host) accept(s network.Stream) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		_ = s.Reset() // the connection is about to close
		return
	}
	h.wg.Add(1)
	h.mu.Unlock()
	defer h.wg.Done()
	if err := h.receive(s); err != nil {
		_ = s.Reset() // the opener learns of it by that
	}
}

// receive reads what protocol an incoming stream is for, consents, and hands it over.
func (h *Host) receive(s network.Stream) error {
	h.mu.Lock()
	l := h.links[s.Conn()]
	h.mu.Unlock()
	if l == nil {
		return errors.New("connection has ended")
	}
	if err := s.SetDeadline(time.Now().Add(negotiateTimeout)); err != nil {
		return err
	}
	name, err := readProposal(s)
	if err != nil {
		return err
	}
	if err := s.SetProtocol(name); err != nil {
		h.refusedStream(l.m.id)
		return err
	}
	if name == controlProtocol {
		return l.receiveControl(s)
	}
	serve, err := h.serviceFor(l, s)
	if err != nil {
		return err
	}
	h.mu.Lock()
	ln := h.listeners[string(name)]
	h.mu.Unlock()
	if serve != nil {
		if _, err := s.Write(proposal(name)); err != nil {
			return err
		}
		if err := s.SetDeadline(time.Time{}); err != nil {
			return err
		}
		serve(s)
		return nil
	}
	if ln == nil {
		// The refusal arrives before the reset behind it.
		if _, err := s.Write(refusal()); err != nil {
			return err
		}
		if err := s.CloseWrite(); err != nil || l.quic {
			return errors.Join(err, s.Close())
		}
		return ErrNotListening
	}
	// A peer that wrote and closed takes no answer any more; its bytes are read all the same.
	_, _ = s.Write(proposal(name))
	if err := s.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return ln.hand(l, s)
}

// receiveControl hands the control stream to the link's goroutine.
func (l *link) receiveControl(s network.Stream) error {
	if _, err := s.Write(proposal(controlProtocol)); err != nil {
		return err
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if l.conn.Stat().Direction == network.DirOutbound {
		return errors.New("control stream from the side that was dialled")
	}
	select {
	case l.control <- s:
		return nil
	default:
		return errors.New("second control stream")
	}
}

// readProposal reads the two lines of a proposal and returns the protocol's name.
func readProposal(r io.Reader) (protocol.ID, error) {
	header, err := multistream.ReadNextToken[string](r)
	if err != nil {
		return "", err
	}
	if header+"\n" != selectHeader {
		return "", fmt.Errorf("multistream header %q", header)
	}
	name, err := multistream.ReadNextToken[protocol.ID](r)
	if err == nil && len(name) > maxProtocolID {
		err = errors.New("protocol name too long")
	}
	return name, err
}
