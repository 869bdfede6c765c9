// Package links is the cables of a simulated commune: TCP between bureaux that can be
// cut without either end being told, one way or both, and healed.
package links

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxBuffer is how much one direction of a connection has on its way, in bytes.
const maxBuffer = 32 << 10

// Net is all cables among numbered machines. Every machine reaches every other at an
// address of its own, so that a cable knows both its ends.
type Net struct {
	target  func(to int) string
	weather Weather

	mu    sync.Mutex
	ends  map[[2]int]net.Listener
	conns map[net.Conn]bool
	// cut holds the directions in which nothing passes; healed is closed and
	// replaced when one is taken out.
	cut    map[[2]int]bool
	healed chan struct{}
	closed bool
	work   sync.WaitGroup
	// carried counts the bytes that arrived.
	carried atomic.Int64
}

// New is a net without cables; target says where machine `to` really listens. Nothing
// is held up.
func New(target func(to int) string) *Net { return NewIn(Weather{}, target) }

// NewIn is New where every cable lies in this weather.
func NewIn(w Weather, target func(to int) string) *Net {
	return &Net{weather: w, target: target, ends: map[[2]int]net.Listener{}, conns: map[net.Conn]bool{}, cut: map[[2]int]bool{}, healed: make(chan struct{})}
}

// Address is where machine from reaches machine to, laying the cable if need be.
func (n *Net) Address(from, to int) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return "", net.ErrClosed
	}
	k := [2]int{from, to}
	if l := n.ends[k]; l != nil {
		return l.Addr().String(), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("lay cable %d-%d: %w", from, to, err)
	}
	n.ends[k] = l
	n.work.Go(func() { n.accept(l, from, to) })
	return l.Addr().String(), nil
}

func (n *Net) accept(l net.Listener, from, to int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !n.keep(c) {
			return
		}
		n.work.Go(func() { n.carry(c, from, to) })
	}
}

// keep notes a connection, to be closed with the net.
func (n *Net) keep(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		c.Close()
		return false
	}
	n.conns[c] = true
	return true
}

func (n *Net) drop(c net.Conn) {
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
	c.Close()
}

// carry joins a connection to the machine at the other end.
func (n *Net) carry(near net.Conn, from, to int) {
	defer n.drop(near)
	if !n.wait(from, to) {
		return
	}
	far, err := net.DialTimeout("tcp", n.target(to), 5*time.Second)
	if err != nil || !n.keep(far) {
		return
	}
	defer n.drop(far)
	var both sync.WaitGroup
	both.Go(func() { n.pour(far, near, from, to) })
	both.Go(func() { n.pour(near, far, to, from) })
	both.Wait()
}

// pour passes bytes in one direction while it is whole; the end of one direction
// ends both.
func (n *Net) pour(dst, src net.Conn, from, to int) {
	defer dst.Close()
	defer src.Close()
	deliver := func(b []byte) bool {
		if !n.wait(from, to) {
			return false
		}
		_, err := dst.Write(b)
		n.carried.Add(int64(len(b)))
		return err == nil
	}
	send := deliver
	if !n.weather.calm() {
		way, gone := make(chan piece, maxOnTheWay), make(chan struct{})
		go func() {
			defer close(gone)
			if !delayed(way, deliver) {
				src.Close() // whoever sends is not left waiting
			}
		}()
		defer func() {
			close(way)
			<-gone // what is on its way still arrives
		}()
		send = func(b []byte) bool {
			select {
			case way <- piece{append([]byte(nil), b...), time.Now().Add(n.weather.held())}:
				return true
			case <-gone:
				return false
			}
		}
	}
	buf := make([]byte, maxBuffer)
	for {
		k, err := src.Read(buf)
		if k > 0 && !send(buf[:k]) {
			return
		}
		if err != nil {
			// A machine that dies behind a cut cable is not heard of either.
			if errors.Is(err, io.EOF) {
				n.wait(from, to)
			}
			return
		}
	}
}

// Carried is how many bytes have gone over all cables.
func (n *Net) Carried() int64 { return n.carried.Load() }

// wait returns when the direction is whole, false when the net is closed.
func (n *Net) wait(from, to int) bool {
	for {
		n.mu.Lock()
		cut, healed, closed := n.cut[[2]int{from, to}], n.healed, n.closed
		n.mu.Unlock()
		if closed || !cut {
			return !closed
		}
		<-healed
	}
}

// Cut stops what goes from one machine to another; the other way is not touched.
func (n *Net) Cut(from, to int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]int{from, to}] = true
}

// CutOff cuts every cable between the machines of one side and the others, both ways.
func (n *Net) CutOff(side, others []int) {
	for _, a := range side {
		for _, b := range others {
			if a != b {
				n.Cut(a, b)
				n.Cut(b, a)
			}
		}
	}
}

// Heal makes every cable whole.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.wake()
}

// Mend makes the cables between the machines of one side and the others whole again.
func (n *Net) Mend(side, others []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range side {
		for _, b := range others {
			delete(n.cut, [2]int{a, b})
			delete(n.cut, [2]int{b, a})
		}
	}
	n.wake()
}

func (n *Net) wake() {
	close(n.healed)
	n.healed = make(chan struct{})
}

// Cuts is how many directions are cut.
func (n *Net) Cuts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.cut)
}

// Close takes all cables away and waits for them.
func (n *Net) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	for _, l := range n.ends {
		l.Close()
	}
	for c := range n.conns {
		c.Close()
	}
	n.wake()
	n.mu.Unlock()
	n.work.Wait()
	return nil
}
