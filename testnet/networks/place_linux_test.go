package networks

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"pointage/testnet/links"
)

// world has a public machine and two behind one NAT; without root the test says what is left out.
func world(t *testing.T, kind Kind, w links.Weather) (public, one, two *Place, site *Site) {
	t.Helper()
	if err := Possible(); err != nil {
		t.Skipf("left out: machines in network namespaces: %v", err)
	}
	n := New(w)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	place := func(s *Site, err error, addr string) *Place {
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Place(netip.MustParseAddr(addr))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	open, err := n.Site(Public, netip.MustParseAddr("203.0.113.1"))
	public = place(open, err, "203.0.113.1")
	site, err = n.Site(kind, netip.MustParseAddr("198.51.100.1"))
	return public, place(site, err, "192.168.1.2"), place(site, nil, "192.168.1.3"), site
}

// tells listens at a place and tells whoever calls where it sees him.
func tells(t *testing.T, p *Place) {
	t.Helper()
	var l net.Listener
	if err := p.Inside(func() (err error) {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(p.Address(), 7000).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, c.RemoteAddr().String())
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
}

// seen is where `to` sees a call from `from`; an error when nothing comes back within the wait.
func seen(from, to *Place, wait time.Duration) (at netip.AddrPort, err error) {
	var c net.Conn
	if err := from.Inside(func() (err error) {
		c, err = net.DialTimeout("tcp4", netip.AddrPortFrom(to.Address(), 7000).String(), wait)
		return err
	}); err != nil {
		return at, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(wait))
	b, err := io.ReadAll(c)
	if err != nil {
		return at, err
	}
	return netip.ParseAddrPort(string(b))
}

func TestMachinesBehindANATCallOutAndAreNotCalled(t *testing.T) {
	public, one, two, site := world(t, Independent, links.Weather{Least: 5 * time.Millisecond, Most: 10 * time.Millisecond})
	for _, p := range []*Place{public, one} {
		tells(t, p)
	}
	at, err := seen(one, public, time.Minute)
	if err != nil || at.Addr().String() != "198.51.100.1" {
		t.Errorf("the public machine sees %v (%v), want the site's address", at, err)
	}
	if at, err = seen(two, one, time.Minute); err != nil || at.Addr() != two.Address() {
		t.Errorf("a machine of the same site is seen at %v (%v)", at, err)
	}
	if at, err = seen(public, one, time.Second); err == nil {
		t.Errorf("a machine behind a NAT was called from outside, by %v", at)
	}
	if err := site.Move(netip.MustParseAddr("198.51.100.77")); err != nil {
		t.Fatal(err)
	}
	if at, err = seen(one, public, time.Minute); err != nil || at.Addr().String() != "198.51.100.77" {
		t.Errorf("after the move the public machine sees %v (%v)", at, err)
	}
	one.Plug(false)
	if at, err = seen(two, one, time.Second); err == nil {
		t.Errorf("a machine without its cable was called, by %v", at)
	}
	one.Plug(true)
	if _, err = seen(two, one, time.Minute); err != nil {
		t.Errorf("after the cable is in again: %v", err)
	}
}
