package consensustest

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

const (
	resendAfter = 200 * time.Millisecond // a lost packet is sent again after this, and twice as long each further time
	maxResends  = 6
)

var (
	errOff   = errors.New("this machine is off")
	errReset = errors.New("connection reset")
)

// Rough is what a bad link does to what passes over it. Connections are streams: a packet that is lost is sent again by
// those who carry the stream, so that a loss is a pause of this connection, and others overtake it.
type Rough struct {
	Jitter time.Duration // each piece is under way for up to so much longer
	Loss   float64       // the share of packets that are lost, of those sent again too
}

func (r Rough) detour(random *rand.Rand) time.Duration {
	d := time.Duration(0)
	if r.Jitter > 0 {
		d = time.Duration(random.Int64N(int64(r.Jitter)))
	}
	for i := 0; i < maxResends && r.Loss > 0 && random.Float64() < r.Loss; i++ {
		d += resendAfter << i
	}
	return d
}

// nameOf tells the links of a network apart, the same in every run.
func nameOf(from, to string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(from + "\x00" + to))
	return h.Sum64()
}

// Roughen makes one direction between two machines a bad link; the zero Rough makes it a good one.
func (n *Network) Roughen(from, to string, r Rough) {
	n.set(from, to, func(l *link) { l.rough = r })
}

// silentLocked says whether nobody answers at a peer, not even to refuse.
func (n *Network) silentLocked(peer string) bool {
	h := n.hosts[peer]
	return h != nil && h.off && h.silent
}

// Crash takes a machine away from one instant to the next: nothing that was under way to or from it arrives, its
// connections and listeners end, and the Host that it ran on stays useless. silent is for a power cut, after which nobody
// says so to the others: their connections hang until Host is called for the machine's next life, which doesn't know them;
// without it an operating system goes on and resets them at once.
func (n *Network) Crash(peer string, silent bool) {
	n.mu.Lock()
	h := n.hosts[peer]
	if h == nil || h.off {
		n.mu.Unlock()
		return
	}
	h.off, h.silent = true, silent
	var listeners []*listener
	for _, l := range h.listeners {
		listeners = append(listeners, l)
	}
	var near, far []*conn
	for c := range n.conns {
		switch peer {
		case string(c.local):
			near = append(near, c)
		case string(c.remote):
			far = append(far, c)
		}
	}
	n.notifyLocked()
	n.mu.Unlock()
	for _, c := range near {
		c.vanish()
	}
	if !silent {
		for _, c := range far {
			c.fail(errReset)
		}
	}
	for _, l := range listeners {
		_ = l.Close()
	}
}

// vanish ends this side without a word to the other.
func (c *conn) vanish() {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.dead = true
		h.chunks, h.size = nil, 0
		h.notifyLocked()
		h.mu.Unlock()
	}
	c.fail(errOff)
}

// resetDeadLocked ends what is left of connections to a machine's earlier life, as its next one answers that it doesn't
// know them.
func (n *Network) resetDeadLocked(peer string) {
	for c := range n.conns {
		if string(c.remote) == peer && c.in.isDead() {
			c.fail(errReset)
		}
	}
}

func (h *half) isDead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}
