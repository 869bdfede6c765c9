package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"pointage/ledger"
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
	protocolRights  = "/pointage/rights/1"
	protocolCosign  = "/pointage/cosign/1"
	protocolHeads   = "/pointage/heads/1"
	protocolChain   = "/pointage/chain/1"
	protocolApplied = "/pointage/applied/1"
	protocolEntries = "/pointage/entries/1"
	protocolNewest  = "/pointage/newest/1"
	protocolClock   = "/pointage/clock/1"
)

const (
	// maxQuestion is the length of a question, maxAnswer that of an answer, in bytes: heads of a
	// commune, and a part of a chain.
	maxQuestion, maxAnswer = 256 << 10, ledger.MaxChain
	// answerTimeout bounds one question on the answering side.
	answerTimeout = 10 * time.Second
	// maxAnswering is how many questions of one protocol are answered at a time,
	// maxAnsweringPeer those of one peer: one that is slow leaves room for the others.
	maxAnswering, maxAnsweringPeer = 256, 32
)

var errFrame = errors.New("frame is too long")

func writeFrame(w io.Writer, b []byte, most int) error {
	if len(b) > most {
		return errFrame
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readFrame(r io.Reader, most uint32) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	l := binary.BigEndian.Uint32(n[:])
	if l > most {
		return nil, errFrame
	}
	// What is kept grows with what has come, not with what is announced.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(l)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
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
	if err := writeFrame(conn, q, maxQuestion); err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	a, err := readFrame(conn, maxAnswer)
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
	q, err := readFrame(conn, maxQuestion)
	if err != nil {
		return
	}
	out := a.f(conn.RemoteAddr().String(), q)
	if out == nil || writeFrame(conn, out, maxAnswer) != nil {
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
