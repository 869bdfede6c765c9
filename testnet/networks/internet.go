// Package networks is the networks in which a simulated commune's bureaux stand: machines in network namespaces of
// their own, behind the NATs of schools and carriers, joined by lines with delay, jitter and loss. All of it is this
// process': a machine's only way out is a device that the process reads and writes, and the namespaces have no name, so
// that nothing is left when it ends, however it does.
package networks

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"pointage/testnet/links"
)

// Limits of the networks.
const (
	// mtu is a mobile network's; the devices are made with it.
	mtu = 1400
	// maxQueue is how many packets one machine has on their way to another: 1 MiB and more are dropped.
	maxQueue = 1024
)

// Internet joins sites. What passes from one to another meets its weather; what stays within a site does not.
type Internet struct {
	weather links.Weather
	ended   chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex
	sites  map[netip.Addr]*Site
	lines  map[[2]*Place]*line
	places []*Place
	closed bool
}

// Site is one router with its machines. The Internet's lock guards it.
type Site struct {
	net    *Internet
	kind   Kind
	public netip.Addr
	nat    *nat // nil at a public site
	inside map[netip.Addr]*Place
}

// line is what is on its way from one machine to another, in order.
type line struct {
	queue chan parcel
	last  time.Time // when the last of it arrives; Internet.mu guards it
}

type parcel struct {
	bytes []byte
	due   time.Time
}

// New is an Internet without sites.
func New(w links.Weather) *Internet {
	return &Internet{weather: w, ended: make(chan struct{}), sites: map[netip.Addr]*Site{}, lines: map[[2]*Place]*line{}}
}

// Site adds a site with its public address.
func (n *Internet) Site(kind Kind, public netip.Addr) (*Site, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sites[public] != nil {
		return nil, fmt.Errorf("add site: %v is another's address", public)
	}
	s := &Site{net: n, kind: kind, public: public, inside: map[netip.Addr]*Place{}}
	if kind != Public {
		s.nat = newNAT(kind, public)
	}
	n.sites[public] = s
	return s, nil
}

// Kind is how the site hides its machines.
func (s *Site) Kind() Kind { return s.kind }

// Move gives a NATed site another public address, as a carrier does: whatever its NAT remembered is forgotten.
func (s *Site) Move(public netip.Addr) error {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	if s.kind == Public || s.net.sites[public] != nil {
		return fmt.Errorf("move site %v: %v is taken, or the site is not behind a NAT", s.public, public)
	}
	delete(s.net.sites, s.public)
	s.public, s.nat = public, newNAT(s.kind, public)
	s.net.sites[public] = s
	return nil
}

// pass takes a packet from a machine as far as the line to the machine that it is for; what nobody may get is dropped.
func (n *Internet) pass(from *Place, b []byte) {
	p, ok := parse(b)
	if !ok {
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if from.unplugged || n.closed {
		return
	}
	if near := from.site.inside[p.target().Addr()]; near != nil {
		n.carry(from, near, p, now) // within the site
		return
	}
	if from.site.nat != nil {
		from.site.nat.leave(p, now)
	}
	there := n.sites[p.target().Addr()]
	if there == nil || there == from.site || n.weather.Lost() { // few routers turn a packet back into their own site
		return
	}
	if there.nat != nil && !there.nat.enter(p, now) {
		return
	}
	if to := there.inside[p.target().Addr()]; to != nil {
		n.carry(from, to, p, now.Add(n.weather.Delay()))
	}
}

// carry puts a packet on the line between two machines; it arrives behind what is on it already. n.mu is held.
func (n *Internet) carry(from, to *Place, p packet, due time.Time) {
	if to.unplugged {
		return
	}
	ends := [2]*Place{from, to}
	l := n.lines[ends]
	if l == nil {
		l = &line{queue: make(chan parcel, maxQueue)}
		n.lines[ends] = l
		n.work.Go(func() { n.deliver(l, to) })
	}
	if due.Before(l.last) {
		due = l.last
	}
	select {
	case l.queue <- parcel{p.bytes, due}:
		l.last = due
	default: // the line is full
	}
}

// deliver hands a line's packets over when they are due.
func (n *Internet) deliver(l *line, to *Place) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case p := <-l.queue:
			if wait := time.Until(p.due); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-n.ended:
					return
				}
			}
			_, _ = to.device.Write(p.bytes) // a machine that takes no more loses packets
		case <-n.ended:
			return
		}
	}
}

// read takes what a machine sends, until its device is closed.
func (n *Internet) read(from *Place) {
	for {
		b := make([]byte, mtu+100)
		k, err := from.device.Read(b)
		if err != nil {
			return
		}
		n.pass(from, b[:k])
	}
}

// Close ends the lines and the machines' namespaces. Processes that were started in them are their owners' to end before.
func (n *Internet) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	close(n.ended)
	places := n.places
	n.mu.Unlock()
	var errs []error
	for _, p := range places {
		errs = append(errs, p.close())
	}
	n.work.Wait()
	return errors.Join(errs...)
}

// Place is one machine: a network namespace with one device, which this process holds. A thread of the process stays in
// the namespace as long as the place is there.
type Place struct {
	site   *Site
	addr   netip.Addr
	device *os.File
	acts   chan func() // done by the thread in the namespace
	quit   chan struct{}
	gone   chan struct{} // closed when the thread has ended

	unplugged bool // Internet.mu guards it
}

// Site is where the machine stands.
func (p *Place) Site() *Site { return p.site }

// Address is the machine's own, behind its NAT.
func (p *Place) Address() netip.Addr { return p.addr }

// Plug says whether the machine's cable is in; without it nothing passes, either way, and nobody is told.
func (p *Place) Plug(in bool) {
	p.site.net.mu.Lock()
	defer p.site.net.mu.Unlock()
	p.unplugged = !in
}

// Inside does f in the machine's namespace: what it starts, dials or listens at is there. One f at a time.
func (p *Place) Inside(f func() error) error {
	done := make(chan error, 1)
	select {
	case p.acts <- func() { done <- f() }:
		return <-done
	case <-p.gone:
		return errors.New("the machine's namespace is gone")
	}
}

func (p *Place) close() error {
	err := p.device.Close()
	close(p.quit)
	<-p.gone
	return err
}
