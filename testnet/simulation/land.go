package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/testnet/networks"
)

// land is where the bureaux stand when the plan asks for networks: the principal bureau at an address that everybody can
// call, which relays; the others behind NATs; ADELE in the open. Nobody is told more addresses than the principal's.
type land struct {
	net    *networks.Internet
	adele  *networks.Place
	places []*networks.Place // the bureaux', by index
	kinds  []string
	mobile int // index of the bureau whose carrier gives it another address
	mobil  *networks.Site

	listeners []net.Listener
	work      sync.WaitGroup
}

// Addresses of documentation (RFC 5737) and of carriers' inner networks (RFC 6598): nobody's.
const (
	adeleAddress     = "203.0.113.1"
	principalAddress = "203.0.113.10"
	movedAddress     = "203.0.113.200"
	// bureauPort is where every bureau listens in its own namespace; its interface is on its own loopback.
	bureauPort = "4001"
	bureauAPI  = "127.0.0.1:4080"
)

// minNetworked has each kind of network: a school with two bureaux, two carriers, two symmetric NATs, and the open one.
const minNetworked, maxNetworked = 7, 120

// NetworkFaults are what networks do to a day.
var NetworkFaults = []Scenario{
	{"address-changes", "the carrier gives a bureau another address in mid-day", 0.20, (*day).addressChanges, nothing, nil},
	{"unplugged", "a bureau's cable is out for a while", 0.40, (*day).unplugged, nothing, nil},
	{"relay-killed", "the relay, which is the principal bureau, dies and comes back", 0.60, (*day).principalKilled, nothing, nil},
}

// newLand makes a site for each bureau, or two; of the others the second and third share a school's.
func (d *day) newLand() (err error) {
	l := &land{net: networks.New(d.plan.Weather), mobile: -1}
	d.land = l
	if l.adele, err = l.alone(networks.Public, adeleAddress, adeleAddress); err != nil {
		return err
	}
	var school *networks.Site
	others := 0
	for i, b := range d.prepared.Commune.Bureaux {
		outer, kind := fmt.Sprintf("198.51.100.%d", i+1), ""
		var p *networks.Place
		switch turn := others % 6; {
		case b.Number == d.prepared.Commune.Principal:
			kind = "open, relays"
			p, err = l.alone(networks.Public, principalAddress, principalAddress)
			others--
		case turn == 0:
			kind = "school's shared address"
			if school, err = l.net.Site(networks.Independent, netip.MustParseAddr(outer)); err == nil {
				p, err = school.Place(netip.MustParseAddr("192.168.1.2"))
			}
		case turn == 1:
			kind = "school's shared address"
			p, err = school.Place(netip.MustParseAddr("192.168.1.3"))
		case turn < 4:
			kind = "4G"
			p, err = l.alone(networks.Independent, outer, fmt.Sprintf("100.64.0.%d", i+1))
			if err == nil && l.mobile < 0 {
				l.mobile, l.mobil = i, p.Site()
			}
		default:
			kind = "symmetric NAT"
			p, err = l.alone(networks.Symmetric, outer, fmt.Sprintf("10.0.%d.2", i))
		}
		if err != nil {
			return err
		}
		others++
		l.places, l.kinds = append(l.places, p), append(l.kinds, kind)
	}
	return l.serveADELE(d)
}

// alone makes a site with one machine.
func (l *land) alone(kind networks.Kind, outer, own string) (*networks.Place, error) {
	s, err := l.net.Site(kind, netip.MustParseAddr(outer))
	if err != nil {
		return nil, err
	}
	return s.Place(netip.MustParseAddr(own))
}

// serveADELE brings what calls ADELE's public address to where the platform really listens.
func (l *land) serveADELE(d *day) error {
	regional, _ := d.adele.regional()
	for port, to := range map[string]string{"80": d.adele.addr, "443": strings.TrimPrefix(regional, "https://")} {
		var in net.Listener
		if err := l.adele.Inside(func() (err error) {
			in, err = net.Listen("tcp4", net.JoinHostPort(adeleAddress, port))
			return err
		}); err != nil {
			return fmt.Errorf("open ADELE's port %s: %w", port, err)
		}
		l.listeners = append(l.listeners, in)
		l.work.Go(func() { l.forward(in, to) })
	}
	d.witnessURL = "http://" + adeleAddress
	return nil
}

func (l *land) forward(in net.Listener, to string) {
	for {
		near, err := in.Accept()
		if err != nil {
			return
		}
		l.work.Go(func() {
			defer near.Close()
			far, err := net.DialTimeout("tcp", to, 5*time.Second)
			if err != nil {
				return // ADELE is away
			}
			defer far.Close()
			var both sync.WaitGroup
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				both.Go(func() {
					_, _ = io.Copy(way[0], way[1]) // the end of either is the end of both
					near.Close()
					far.Close()
				})
			}
			both.Wait()
		})
	}
}

// furnish gives a bureau the configuration that its network asks for.
func (l *land) furnish(d *day, i int, c *node.Config) {
	principal := d.prepared.Commune.Principal
	c.Listen, c.Announce, c.API = []string{"0.0.0.0:" + bureauPort}, nil, bureauAPI
	c.Relays = []ledger.BureauNumber{principal}
	c.Witness = d.witnessURL
	c.Platform, c.PlatformPin = d.adele.regional()
	c.Platform = "https://" + adeleAddress
	if d.bureaux[i].number != principal {
		c.Peers = []node.Peer{{Bureau: principal, Addresses: []string{net.JoinHostPort(principalAddress, bureauPort)}}}
	}
}

// dialIn reaches a bureau's interface, on the loopback of its own namespace.
func dialIn(p *networks.Place) *http.Transport {
	return &http.Transport{DialContext: func(_ context.Context, network, at string) (c net.Conn, err error) {
		err = p.Inside(func() (err error) {
			c, err = net.DialTimeout(network, at, 5*time.Second)
			return err
		})
		return c, err
	}}
}

// close ends what serves ADELE's address, then the namespaces. The bureaux have been stopped.
func (l *land) close() error {
	var errs []error
	for _, in := range l.listeners {
		errs = append(errs, in.Close())
	}
	errs = append(errs, l.net.Close())
	l.work.Wait()
	return errors.Join(errs...)
}

func (d *day) addressChanges(ctx context.Context, _ *rand.Rand) error {
	u := d.bureaux[d.land.mobile]
	began := time.Now()
	if err := d.land.mobil.Move(netip.MustParseAddr(movedAddress)); err != nil {
		return err
	}
	back, err := d.reached(ctx, u, began)
	if err != nil {
		return err
	}
	d.say("bureau %d has another address; the leader reached it again after %.1f s, without a restart", u.number, back.Seconds())
	return nil
}

func (d *day) unplugged(ctx context.Context, r *rand.Rand) error {
	i := r.IntN(len(d.bureaux))
	for d.bureaux[i].number == d.prepared.Commune.Principal {
		i = r.IntN(len(d.bureaux))
	}
	d.land.places[i].Plug(false)
	d.setCut([]int{i})
	sleep(ctx, d.while(0.15))
	d.land.places[i].Plug(true)
	d.setCut(nil)
	back, err := d.reached(ctx, d.bureaux[i], time.Now())
	if err != nil {
		return err
	}
	d.say("bureau %d (%s) is plugged in again and level after %.1f s", d.bureaux[i].number, d.land.kinds[i], back.Seconds())
	return nil
}

func (d *day) principalKilled(ctx context.Context, _ *rand.Rand) error {
	return d.down(ctx, d.index[d.prepared.Commune.Principal], true, d.while(0.1), nil)
}

// settled is how long after a change of networks the ledger is looked at that a bureau must then reach: what was on its
// way before has arrived.
const settled = time.Second

// reached waits until a bureau has what the principal bureau's ledger had a moment after what happened to it.
func (d *day) reached(ctx context.Context, u *bureau, since time.Time) (time.Duration, error) {
	principal := d.bureaux[d.index[d.prepared.Commune.Principal]]
	sleep(ctx, settled)
	var target uint64
	deadline := time.Now().Add(groupTimeout)
	for time.Now().Before(deadline) {
		if !sleep(ctx, 50*time.Millisecond) {
			return time.Since(since), nil // the day is over; the evening asks for all
		}
		if at, err := principal.Status(ctx); err == nil && target == 0 {
			target = at.LedgerSize
		}
		now, err := u.Status(ctx)
		if err == nil && target > 0 && now.LedgerSize >= target && now.Leader != 0 {
			return time.Since(since), nil
		}
	}
	return 0, fmt.Errorf("bureau %d is not reached %v after its network changed", u.number, groupTimeout)
}

// checkNetworks says what a plan with networks can't have.
func (p *Plan) checkNetworks() error {
	switch {
	case p.Bureaux != 0 && p.Bureaux < minNetworked || p.Bureaux > maxNetworked:
		return fmt.Errorf("--bureaux %d: networks are for %d to %d", p.Bureaux, minNetworked, maxNetworked)
	case p.Anchor != "" || p.Serve != nil || p.PrepareOnly:
		return errors.New("networks are a day of their own: leave out --anchor, --serve and --prepare-only")
	}
	p.Processes = true
	return networks.Possible()
}
