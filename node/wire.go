package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Network is what the bureau's own protocols need: transport.Host has it.
type Network interface {
	Self() string
	Dial(ctx context.Context, peer, protocol string) (net.Conn, error)
	Listen(protocol string) (net.Listener, error)
}

// The bureau's own protocols. Each stream carries one question and its answer,
// both as a uint32 length and bytes.
const (
	protocolRights = "/pointage/rights/1"
	protocolCosign = "/pointage/cosign/1"
)

const (
	// maxFrame is the length of a question or an answer, in bytes.
	maxFrame = 64 << 10
	// answerTimeout bounds one question on the answering side.
	answerTimeout = 10 * time.Second
	// maxAnswering is how many questions of one protocol are answered at a time,
	// maxAnsweringPeer those of one peer: one that is slow leaves room for the others.
	maxAnswering, maxAnsweringPeer = 256, 32
)

var errFrame = fmt.Errorf("frame over %d bytes", maxFrame)

func writeFrame(w io.Writer, b []byte) error {
	if len(b) > maxFrame {
		return errFrame
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	l := binary.BigEndian.Uint32(n[:])
	if l > maxFrame {
		return nil, errFrame
	}
	b := make([]byte, l)
	_, err := io.ReadFull(r, b)
	return b, err
}

// question asks a peer one thing; the context bounds it all.
func question(ctx context.Context, n Network, peer, protocol string, q []byte) ([]byte, error) {
	conn, err := n.Dial(ctx, peer, protocol)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	if at, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(at); err != nil {
			return nil, fmt.Errorf("set deadline: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := writeFrame(conn, q); err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	a, err := readFrame(conn)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return a, nil
}

// answerer serves one protocol until Close.
type answerer struct {
	l    net.Listener
	f    func(peer string, q []byte) []byte
	work sync.WaitGroup

	mu sync.Mutex
	// conns are the questions being answered, peers how many are whose.
	conns  map[net.Conn]bool
	peers  map[string]int
	closed bool
}

// serve answers each question with f, given the peer that asked. A nil answer closes the
// stream without one.
func serve(n Network, protocol string, f func(peer string, q []byte) []byte) (*answerer, error) {
	l, err := n.Listen(protocol)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", protocol, err)
	}
	a := &answerer{l: l, f: f, conns: map[net.Conn]bool{}, peers: map[string]int{}}
	a.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !a.take(conn) {
				conn.Close()
				continue
			}
			a.work.Go(func() {
				defer a.done(conn)
				a.answer(conn)
			})
		}
	})
	return a, nil
}

// take makes room for a question; false when there is none.
func (a *answerer) take(conn net.Conn) bool {
	peer := conn.RemoteAddr().String()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.conns) >= maxAnswering || a.peers[peer] >= maxAnsweringPeer {
		return false
	}
	a.conns[conn] = true
	a.peers[peer]++
	return true
}

func (a *answerer) done(conn net.Conn) {
	conn.Close()
	peer := conn.RemoteAddr().String()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, conn)
	if a.peers[peer]--; a.peers[peer] == 0 {
		delete(a.peers, peer)
	}
}

func (a *answerer) answer(conn net.Conn) {
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return
	}
	q, err := readFrame(conn)
	if err != nil {
		return
	}
	out := a.f(conn.RemoteAddr().String(), q)
	if out == nil || writeFrame(conn, out) != nil {
		return
	}
	// Closing resets the stream: wait until the asker has the answer and closes first.
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return
	}
}

// Close ends the serving, cuts questions under way short, and waits for it all.
func (a *answerer) Close() error {
	err := a.l.Close()
	a.mu.Lock()
	a.closed = true
	for conn := range a.conns {
		conn.Close()
	}
	a.mu.Unlock()
	a.work.Wait()
	return err
}
