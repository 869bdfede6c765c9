package consensus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	writeTimeout = 10 * time.Second // for the other side to take what is written under ProtocolPropose
	streamBuffer = 16 << 10
)

var errStreamCut = errors.New("connection to the leader lost")

// forwards are the connections over which this machine hands proposals to leaders, one for each peer.
type forwards struct {
	mu      sync.Mutex
	closed  bool
	streams map[string]*forward
}

// forward is one of them. Many proposals are under way on it at once.
type forward struct {
	ready chan struct{} // closed when dialling has ended
	down  chan struct{} // closed when the connection can't be used (any more)
	conn  net.Conn      // set before ready is closed
	out   chan outgoing
	once  sync.Once

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan<- frame
	silent  time.Time // since when nothing was heard although something was asked; zero for not
}

// outgoing is a frame to be written, with the place that it holds until then.
type outgoing struct {
	bytes []byte
	place *held
}

// stop ends the connection. Whoever waits on it hears errStreamCut.
func (f *forward) stop() {
	f.once.Do(func() {
		close(f.down)
		if f.conn != nil {
			_ = f.conn.Close()
		}
	})
}

// forward hands a proposal to the leader and waits for its answer.
func (g *Group) forward(ctx context.Context, leader string, command []byte, place *slot) ([]byte, error) {
	answer, err := g.ask(ctx, leader, askPropose, command, place)
	if err != nil {
		return nil, err
	}
	switch answer.code {
	case answerReply:
		return g.opened(leader, command, answer.payload)
	case answerNotLeader:
		return nil, fmt.Errorf("%w: %s does not lead", ErrNoLeader, leader)
	case answerBusy:
		return nil, fmt.Errorf("%w at the leader", ErrBusy)
	case answerTooLarge:
		return nil, fmt.Errorf("%w for the leader", ErrTooLarge)
	default:
		return nil, fmt.Errorf("%w at the leader", ErrUnknownOutcome)
	}
}

// opened is the reply in a leader's answer. One that is not accepted is none.
func (g *Group) opened(leader string, command, sealed []byte) ([]byte, error) {
	if g.cfg.Answers == nil {
		return sealed, nil
	}
	reply, err := g.cfg.Answers.Open(leader, command, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: answer of %s: %w", ErrUnknownOutcome, leader, err)
	}
	return reply, nil
}

// ask sends one frame to a peer and waits for the answer to it. It releases the place. An error is ErrNoLeader as long as
// nothing was sent, ErrUnknownOutcome afterwards.
func (g *Group) ask(ctx context.Context, peer string, code byte, payload []byte, place *slot) (frame, error) {
	defer place.release()
	f, err := g.stream(ctx, peer)
	if err != nil {
		return frame{}, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	answer := make(chan frame, 1)
	f.mu.Lock()
	f.next++
	id := f.next
	f.waiting[id] = answer
	if f.silent.IsZero() {
		f.silent = time.Now()
	}
	f.mu.Unlock()
	defer f.forget(id)
	queued := place.share()
	defer func() {
		select {
		case <-f.down: // runForward may have emptied the queue before this was in it
			queued.release()
		default:
		}
	}()
	select {
	case f.out <- outgoing{bytes: frame{code: code, id: id, payload: payload}.bytes(), place: queued}:
	case <-f.down:
		return frame{}, fmt.Errorf("%w: %w", ErrNoLeader, errStreamCut)
	case <-ctx.Done():
		queued.release()
		return frame{}, fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	}
	select {
	case a := <-answer:
		return a, nil
	case <-f.down:
		return frame{}, fmt.Errorf("%w: %w", ErrUnknownOutcome, errStreamCut)
	case <-ctx.Done():
		f.mu.Lock()
		dead := time.Since(f.silent) > 2*g.cfg.Timing.Heartbeat && !f.silent.IsZero()
		f.mu.Unlock()
		if dead { // the connection may be dead without knowing it: the next proposal dials
			f.stop()
		}
		return frame{}, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
	}
}

func (f *forward) forget(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, id)
}

// stream returns the connection to a peer, which it opens if there is none.
func (g *Group) stream(ctx context.Context, peer string) (*forward, error) {
	g.forwards.mu.Lock()
	if g.forwards.closed {
		g.forwards.mu.Unlock()
		return nil, ErrClosed
	}
	f := g.forwards.streams[peer]
	if f == nil {
		f = &forward{
			ready: make(chan struct{}), down: make(chan struct{}), out: make(chan outgoing, MaxInFlightPerPeer),
			waiting: map[uint64]chan<- frame{},
		}
		g.forwards.streams[peer] = f
		g.goroutine.Go(func() { g.runForward(peer, f) })
	}
	g.forwards.mu.Unlock()
	select {
	case <-f.ready:
		return f, nil
	case <-f.down:
		return nil, fmt.Errorf("dial %s: %w", peer, errStreamCut)
	case <-ctx.Done():
		return nil, fmt.Errorf("dial %s: %w", peer, ctx.Err())
	}
}

// runForward is one connection's life. It owns the writing side.
func (g *Group) runForward(peer string, f *forward) {
	defer func() {
		f.stop()
		g.forwards.mu.Lock()
		if g.forwards.streams[peer] == f {
			delete(g.forwards.streams, peer)
		}
		g.forwards.mu.Unlock()
		for {
			select {
			case o := <-f.out:
				o.place.release()
			default:
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(g.ctx, 2*g.cfg.Timing.Heartbeat)
	defer cancel()
	conn, err := g.network.Dial(ctx, peer, ProtocolPropose)
	if err != nil {
		g.cfg.Logger.Debug("peer not reached", "peer", peer, "error", err)
		return
	}
	f.conn = conn
	close(f.ready)
	// The group may have been closed while the connection was being made: closeAll didn't see it then.
	defer context.AfterFunc(g.ctx, f.stop)()
	var reader sync.WaitGroup
	reader.Go(func() {
		defer f.stop()
		f.read(conn)
	})
	f.write(conn)
	f.stop()
	reader.Wait()
}

// read passes answers on until the connection ends.
func (f *forward) read(conn net.Conn) {
	r := bufio.NewReaderSize(conn, streamBuffer)
	for {
		a, err := readFrame(r, MaxReply+MaxSeal)
		if err != nil {
			return
		}
		f.mu.Lock()
		waiter := f.waiting[a.id]
		delete(f.waiting, a.id)
		f.silent = time.Time{}
		if len(f.waiting) > 0 {
			f.silent = time.Now()
		}
		f.mu.Unlock()
		if waiter != nil {
			waiter <- a // has room for the one answer
		}
	}
}

// write sends what is asked until the connection ends.
func (f *forward) write(conn net.Conn) {
	w := bufio.NewWriterSize(conn, streamBuffer)
	for {
		select {
		case o := <-f.out:
			if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				o.place.release()
				return
			}
			for more := true; more; {
				_, err := w.Write(o.bytes)
				o.place.release()
				if err != nil {
					return
				}
				select {
				case o = <-f.out:
				default:
					more = false
				}
			}
			if w.Flush() != nil {
				return
			}
		case <-f.down:
			return
		}
	}
}

// closeAll ends every connection and lets no other begin.
func (s *forwards) closeAll() {
	s.mu.Lock()
	s.closed = true
	var all []*forward
	for _, f := range s.streams {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		select {
		case <-f.ready:
			f.stop()
		default: // dialling: ends with the group's context
		}
	}
}
