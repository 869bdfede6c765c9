package consensus

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	answerQueue  = MaxInFlightPerPeer + 64 // answers to one connection that are not written yet
	maxRefusals  = 4096                    // proposals of one connection refused as too many within refusalSpan: it floods
	refusalSpan  = time.Minute
	maxJoinBytes = maxPeerID + 24 // a server ID
)

// acceptStreams serves connections under ProtocolPropose.
func (g *Group) acceptStreams(l net.Listener) {
	defer g.goroutine.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			if g.pauseAccept() {
				continue
			}
			return
		}
		if !g.knows(conn.RemoteAddr().String()) {
			_ = conn.Close()
			continue
		}
		conn = g.streamsIn.admit(conn)
		g.goroutine.Go(func() { g.serve(conn) })
	}
}

// serving is one peer's connection. Its reading side belongs to serve, its writing side to the goroutine that serve waits
// for.
type serving struct {
	group *Group
	peer  string
	conn  net.Conn
	out   chan answering
	down  chan struct{}
	once  sync.Once

	refusals int
	counted  time.Time // since when
}

// answering is an answer to be written, with the place that its proposal holds until then (nil for none).
type answering struct {
	frame frame
	place *held
}

func (a answering) release() {
	if a.place != nil {
		a.place.release()
	}
}

func (s *serving) stop() {
	s.once.Do(func() {
		close(s.down)
		_ = s.conn.Close()
	})
}

// serve reads what a peer asks. A peer that doesn't read its answers is not read from either, and is cut off after
// writeTimeout.
func (g *Group) serve(conn net.Conn) {
	s := &serving{
		group: g, peer: conn.RemoteAddr().String(), conn: conn,
		out: make(chan answering, answerQueue), down: make(chan struct{}),
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		defer s.stop()
		s.write()
	})
	r := bufio.NewReaderSize(conn, streamBuffer)
	for {
		// A command over the limit but within twice the limit is answered; more ends the connection.
		f, err := readFrame(r, 2*max(g.cfg.MaxCommand, maxJoinBytes))
		if err != nil || !s.handle(f) {
			break
		}
	}
	s.stop()
	writer.Wait()
	for {
		select {
		case a := <-s.out:
			a.release()
		default:
			return
		}
	}
}

// handle answers one frame, now or later; false ends the connection.
func (s *serving) handle(f frame) bool {
	switch f.code {
	case askPropose:
		return s.propose(f)
	case askJoin:
		return s.answer(answering{frame: s.group.handleJoin(s.peer, f)})
	default:
		return false
	}
}

func (s *serving) propose(f frame) bool {
	g := s.group
	if len(f.payload) > g.cfg.MaxCommand {
		return s.answer(answering{frame: frame{code: answerTooLarge, id: f.id}})
	}
	e, err := g.usable()
	if err != nil || !e.leading() {
		return s.answer(answering{frame: g.notLeader(f.id)})
	}
	place, ok := g.limits.acquire(s.peer, len(f.payload))
	if !ok {
		return s.refuse() && s.answer(answering{frame: frame{code: answerBusy, id: f.id}})
	}
	e.submit(f.payload, func(o outcome) {
		s.answer(answering{frame: g.answerTo(f, o), place: &held{slot: place}})
	})
	return true
}

// refuse counts a refusal; false if there were so many that the peer can only be flooding.
func (s *serving) refuse() bool {
	if time.Since(s.counted) > refusalSpan {
		s.counted, s.refusals = time.Now(), 0
	}
	s.refusals++
	if s.refusals > maxRefusals {
		s.group.cfg.Logger.Warn("peer floods, connection closed", "peer", s.peer, "refused", s.refusals)
		return false
	}
	return true
}

func (g *Group) notLeader(id uint64) frame {
	leader, _ := g.Leader()
	return frame{code: answerNotLeader, id: id, payload: []byte(leader)}
}

// answerTo translates the outcome of what was asked for the wire.
func (g *Group) answerTo(asked frame, o outcome) frame {
	switch {
	case o.err == nil:
		if sealed, ok := g.sealed(asked.payload, o.reply); ok {
			return frame{code: answerReply, id: asked.id, payload: sealed}
		}
		return frame{code: answerUnknown, id: asked.id}
	case errors.Is(o.err, ErrNoLeader):
		return g.notLeader(asked.id)
	case errors.Is(o.err, ErrBusy):
		return frame{code: answerBusy, id: asked.id}
	default:
		return frame{code: answerUnknown, id: asked.id}
	}
}

// sealed is a reply as it is sent; false when nothing can be said for the command.
func (g *Group) sealed(command, reply []byte) ([]byte, bool) {
	if g.cfg.Answers == nil {
		return reply, true
	}
	sealed, ok := g.cfg.Answers.Seal(command, reply)
	if len(sealed) > len(reply)+MaxSeal {
		panic(fmt.Sprintf("consensus: a reply of %d bytes is sealed in %d, more than %d more", len(reply), len(sealed), MaxSeal))
	}
	return sealed, ok
}

// answer queues an answer; false if the connection has ended.
func (s *serving) answer(a answering) bool {
	select {
	case s.out <- a:
	case <-s.down:
	}
	select {
	case <-s.down: // serve may have emptied the queue before this was in it
		a.release()
		return false
	default:
		return true
	}
}

// write sends answers until the connection ends.
func (s *serving) write() {
	w := bufio.NewWriterSize(s.conn, streamBuffer)
	for {
		select {
		case a := <-s.out:
			if s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
				a.release()
				return
			}
			for more := true; more; {
				_, err := w.Write(a.frame.bytes())
				a.release()
				if err != nil {
					return
				}
				select {
				case a = <-s.out:
				default:
					more = false
				}
			}
			if w.Flush() != nil {
				return
			}
		case <-s.down:
			return
		}
	}
}
