package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// The control stream's frames: kind, length of the payload in two big-endian bytes, payload.
const (
	frameGreeting = 1 // the sender's sealed record; the first frame each way
	framePing     = 2 // eight bytes that the answer repeats
	framePong     = 3
	frameRecord   = 4 // a member's sealed record: the sender's own, changed, or the answer to a where
	frameSeen     = 6 // a multiaddr: where a relay sees whom it tells
	frameWhere    = 5 // peer IDs, each after one byte of its length: the records of these members are wanted
)

// Limits of the control stream.
const (
	frameHeader     = 3
	maxFrame        = 2 << 10 // of the payload: a record of maxAddrs addresses is 1.2 KiB
	framesPerSecond = 100     // more, after a burst of four times that, ends the connection
)

// frame builds a frame. A payload over maxFrame is this package's own mistake.
func frame(kind byte, payload []byte) []byte {
	if len(payload) > maxFrame {
		panic(fmt.Sprintf("transport: frame of %d bytes, at most %d", len(payload), maxFrame))
	}
	b := make([]byte, frameHeader, frameHeader+len(payload))
	b[0] = kind
	binary.BigEndian.PutUint16(b[1:], uint16(len(payload)))
	return append(b, payload...)
}

// frameReader reads frames. A deadline that passes in the middle of one loses nothing.
type frameReader struct{ r *bufio.Reader }

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, frameHeader+maxFrame)}
}

// next returns the next frame; the payload is valid until the following call.
func (f *frameReader) next() (byte, []byte, error) {
	head, err := f.r.Peek(frameHeader)
	if err != nil {
		return 0, nil, err
	}
	size := frameHeader + int(binary.BigEndian.Uint16(head[1:]))
	if size > frameHeader+maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes, at most %d", size-frameHeader, maxFrame)
	}
	whole, err := f.r.Peek(size)
	if err != nil {
		return 0, nil, err
	}
	payload := slices.Clone(whole[frameHeader:])
	kind := whole[0]
	_, err = f.r.Discard(size)
	return kind, payload, err
}

// keepAlive is the state of one link's goroutine while the link is ready. Instants are Host.now's.
type keepAlive struct {
	l      *link
	frames *frameReader
	in     network.Stream
	quota  quota // of frames received

	nonce    uint64 // of the ping under way
	asked    int64  // when it was sent
	waiting  bool   // for its answer, or for any other sign of life
	sentThen uint64 // link.sent at the previous look
	bulk     bool   // the ping under way waits behind bulk
	due      int64  // when to look again
}

// run answers the other side and asks it for signs of life, until the connection ends or is found dead.
func (k *keepAlive) run() error {
	h := k.l.h
	// due is 0: the first ping goes at once, for the round trip that the next handshake's patience is measured by.
	for {
		if err := k.in.SetReadDeadline(h.epoch.Add(time.Duration(k.due))); err != nil {
			return err
		}
		// poke stores the mark before it moves the deadline: whichever deadline wins, the mark is seen.
		if k.l.poked.Swap(false) && !k.waiting {
			k.due = 0
		}
		if k.due <= h.now() {
			if err := k.look(); err != nil {
				return err
			}
			continue
		}
		kind, payload, err := k.frames.next()
		if isTimeout(err) {
			continue
		}
		if err != nil {
			return err
		}
		k.l.heard.Store(h.now())
		if !k.quota.take(time.Now()) {
			return errors.New("too many control frames")
		}
		if err := k.handle(kind, payload); err != nil {
			return err
		}
	}
}

// interval is how long this link may be silent. The jitter keeps the two sides, and many links, from asking at once.
func (k *keepAlive) interval() int64 {
	h := k.l.h
	d := h.times.Ping
	if !h.inUse(k.l) {
		d = h.times.IdlePing
	}
	return int64(d) + rand.Int64N(int64(d)/4+1)
}

// look decides what silence means: nothing yet, a ping, or the end.
func (k *keepAlive) look() error {
	h := k.l.h
	now, heard := h.now(), k.l.heard.Load()
	poked := k.due == 0
	sent := k.l.sent.Load()
	bulk := sent-k.sentThen >= bulkBytes
	k.sentThen = sent
	if k.waiting && heard > k.asked {
		k.waiting = false // the answer, or other bytes: an answer can wait behind bulk
	}
	if err := h.tellSeen(k.l); err != nil {
		return err
	}
	if h.superseded(k.l) {
		return errors.New("a direct connection is in use")
	}
	switch {
	case k.waiting:
		patience := h.times.PingTimeout
		if k.bulk {
			patience = max(patience, bulkTimeout)
		}
		if now-k.asked >= int64(patience) {
			return fmt.Errorf("no sign of life for %v", time.Duration(now-heard).Round(time.Millisecond))
		}
		k.due = min(now+int64(h.times.Ping), k.asked+int64(patience))
		return nil
	case !poked && now-heard < int64(h.times.Ping):
		k.due = heard + k.interval() // bytes came meanwhile
		return nil
	}
	if h.surplus(k.l) {
		return errors.New("another connection is in use")
	}
	k.bulk, k.asked, k.waiting = bulk, now, true
	k.nonce = rand.Uint64()
	// Sooner than the answer is overdue: other bytes, sent before a cut, may already have ended the waiting.
	k.due = now + int64(min(h.times.Ping, h.times.PingTimeout))
	return k.l.send(framePing, binary.BigEndian.AppendUint64(nil, k.nonce))
}

// handle acts on one frame. An unknown kind is skipped: a later version may send more.
func (k *keepAlive) handle(kind byte, payload []byte) error {
	h := k.l.h
	switch kind {
	case framePing:
		return k.l.send(framePong, payload)
	case framePong:
		if len(payload) != 8 || binary.BigEndian.Uint64(payload) != k.nonce || !k.waiting {
			return nil // late: a sign of life all the same
		}
		now := h.now()
		k.waiting = false
		h.setRTT(k.l.m, time.Duration(now-k.asked))
		k.due = now + k.interval()
	case frameRecord:
		return h.learnRecord(payload)
	case frameSeen:
		return h.learnSeen(k.l, payload)
	case frameWhere:
		return h.tell(k.l, payload)
	}
	return nil
}

// inUse says whether a link is to be asked often: it carries streams, or the membership is small enough.
func (h *Host) inUse(l *link) bool {
	if l.streams.Load() > 0 {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mesh()
}

// surplus says whether a link can be closed for another one: it carries nothing and is not the newest. Only the member
// with the smaller peer ID decides, lest the two close different ones.
func (h *Host) surplus(l *link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.id < l.m.id && l.streams.Load() == 0 && l.m.best() != l
}

// superseded says whether a relayed link is to end, with its streams: a direct one has been there for a while.
func (h *Host) superseded(l *link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := l.m.direct()
	return l.relayed && d != nil && time.Since(d.since) > takeover
}

// setRTT notes a member's round trip.
func (h *Host) setRTT(m *member, rtt time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.rtt = rtt
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
