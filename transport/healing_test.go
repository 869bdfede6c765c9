package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// cable passes TCP connections on to a machine, until it is cut: then it takes connections and bytes as before, and
// passes nothing on.
type cable struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newCable(t *testing.T, to *Host) *cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port, err := ma.StringCast(to.Addrs()[0]).ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{ln: ln, to: "127.0.0.1:" + port}
	c.wg.Add(1)
	go c.run()
	t.Cleanup(func() {
		_ = ln.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.conns = nil
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *cable) run() {
	defer c.wg.Done()
	for {
		in, err := c.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, in, out)
		c.mu.Unlock()
		c.wg.Add(2)
		go c.pass(in, out)
		go c.pass(out, in)
	}
}

func (c *cable) pass(from, to net.Conn) {
	defer c.wg.Done()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		cut := c.cut
		c.mu.Unlock()
		if cut && err == nil {
			continue // swallowed
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			if !cut {
				_ = to.Close()
			}
			return
		}
	}
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

func TestSilentBlackHoleIsNoticedAndHealed(t *testing.T) {
	t.Parallel()
	// Only the cable leads to a, and nobody tells other addresses.
	a := start(t, 1, Config{Members: names(t, 1, 2), Announce: []string{}})
	serveEcho(t, a)
	wire := newCable(t, a)
	members := names(t, 1, 2)
	members[0].Addrs = []string{wire.ln.Addr().String()}
	b := start(t, 2, Config{Members: members, Announce: []string{}})
	c := dial(t, b, a.Self(), echo)
	if err := sendAndHear(c, []byte("through the cable")); err != nil {
		t.Fatal(err)
	}

	wire.set(true)
	cut := time.Now()
	await(t, "both notice", func() bool { return len(a.Connected()) == 0 && len(b.Connected()) == 0 })
	noticed := time.Since(cut)
	if limit := 8 * time.Second; noticed > limit {
		t.Errorf("noticed after %v, want at most %v", noticed, limit)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read on a dead connection's stream succeeded")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Dial(ctx, a.Self(), echo); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial into the black hole: %v, want the deadline", err)
	}

	wire.set(false)
	healed := time.Now()
	again := dial(t, b, a.Self(), echo)
	if err := sendAndHear(again, []byte("healed")); err != nil {
		t.Fatal(err)
	}
	t.Logf("noticed after %v, healed after %v", noticed, time.Since(healed))
	if took := time.Since(healed); took > 8*time.Second {
		t.Errorf("healed after %v", took)
	}
}

func TestMemberThatMovedIsFoundByWhatItAnnounces(t *testing.T) {
	one := start(t, 1, Config{Members: names(t, 1, 2, 3)})
	members := names(t, 1, 2, 3)
	members[0].Addrs = one.Addrs()
	two := start(t, 2, Config{Members: members})
	await(t, "connected", func() bool { return len(one.Connected()) == 1 && len(two.Connected()) == 1 })
	old := two.Addrs()
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "gone", func() bool { return len(one.Connected()) == 0 })

	// Two comes back elsewhere and calls one, which had only its old address. Three has only one's.
	two = start(t, 2, Config{Members: members})
	if slices.Equal(old, two.Addrs()) {
		t.Fatalf("still at %v", old)
	}
	await(t, "back", func() bool { return len(one.Connected()) == 1 })
	three := start(t, 3, Config{Members: members})
	await(t, "three knows all", func() bool { return len(three.Connected()) == 2 })
	one.mu.Lock()
	_, id := testKey(t, 2)
	decoded, _ := peer.Decode(id)
	told := one.members[decoded].book.told
	one.mu.Unlock()
	if len(told) != 1 || told[0].String()+"/p2p/"+id != two.Addrs()[0] {
		t.Errorf("one was told %v, want %v", told, two.Addrs())
	}
}

func TestNewAddressesAreToldToConnectedMembers(t *testing.T) {
	a, b := pair(t, tcpLoopback)
	if err := a.Announce([]string{"192.0.2.1:4001"}); err != nil {
		t.Fatal(err)
	}
	await(t, "b is told", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		told := b.only().book.told
		return len(told) == 2 && told[1].String() == "/ip4/192.0.2.1/tcp/4001"
	})
	if err := a.Announce([]string{}); err != nil {
		t.Fatal(err)
	}
	await(t, "b is told of none", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.only().book.told) == 0
	})
}

func TestSetAddrsLeadsToAMemberThatMoved(t *testing.T) {
	a := start(t, 1, Config{Members: names(t, 1, 2), Announce: []string{}})
	b := start(t, 2, Config{
		Members:  []Member{{Peer: a.Self(), Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}},
		Announce: []string{},
	})
	await(t, "an attempt failed", func() bool { return b.Status()[0].LastError != "" })
	if err := b.SetAddrs(a.Self(), a.Addrs()); err != nil {
		t.Fatal(err)
	}
	await(t, "connected", func() bool { return len(b.Connected()) == 1 && len(a.Connected()) == 1 })
}

func TestRecordUnderAnotherKeyIsRefused(t *testing.T) {
	a, b := pair(t, tcpLoopback)
	sealed := bytes.Clone(a.ownRecord())
	sealed[len(sealed)-1] ^= 1
	if err := b.learnRecord(sealed); err == nil {
		t.Error("a record with a broken signature was taken")
	}
	stranger := start(t, 9, Config{})
	if err := b.learnRecord(stranger.ownRecord()); err != nil {
		t.Errorf("a stranger's record: %v, want it dropped", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.members) != 1 {
		t.Errorf("%d members, want 1", len(b.members))
	}
}

func TestDiscoveryUsesMembersOnly(t *testing.T) {
	a := start(t, 1, Config{Members: names(t, 1, 2), Announce: []string{}})
	stranger := start(t, 9, Config{})
	b := start(t, 2, Config{Members: names(t, 1, 2), Announce: []string{}})
	for _, found := range []*Host{stranger, a} {
		info, err := peer.AddrInfoFromString(found.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		discovered{b}.HandlePeerFound(*info)
	}
	await(t, "member connected", func() bool { return len(b.Connected()) == 1 && len(a.Connected()) == 1 })
	if n := len(b.Status()); n != 1 {
		t.Errorf("%d members after a stranger was found, want 1", n)
	}
}

func TestFrameCutByADeadlineIsReadWhole(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	whole := frame(frameRecord, []byte("addresses"))
	reader := newFrameReader(here)
	written := make(chan error, 1)
	send := func(b []byte) { _, err := there.Write(b); written <- err }
	go send(whole[:5])
	_ = here.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, _, err := reader.next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("half a frame: %v, want the deadline", err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	_ = here.SetReadDeadline(time.Now().Add(patience))
	go send(whole[5:])
	kind, payload, err := reader.next()
	if err != nil || kind != frameRecord || string(payload) != "addresses" {
		t.Errorf("frame %d %q, %v", kind, payload, err)
	}
	<-written
	go send([]byte{frameRecord, 0xff, 0xff})
	if _, _, err := reader.next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("frame beyond the limit: %v, want an error", err)
	}
	<-written
}

// ether passes UDP packets of one caller on to a machine, until it is cut: then they are lost.
type ether struct {
	front, back *net.UDPConn
	wg          sync.WaitGroup

	mu     sync.Mutex
	cut    bool
	caller *net.UDPAddr
}

func newEther(t *testing.T, to *Host) *ether {
	t.Helper()
	port, err := ma.StringCast(to.Addrs()[0]).ValueForProtocol(ma.P_UDP)
	if err != nil {
		t.Fatal(err)
	}
	target, err := net.ResolveUDPAddr("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	e := &ether{}
	if e.front, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if e.back, err = net.DialUDP("udp4", nil, target); err != nil {
		t.Fatal(err)
	}
	e.wg.Go(func() {
		for buf := make([]byte, 2048); ; {
			n, from, err := e.front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.caller = from
			cut := e.cut
			e.mu.Unlock()
			if !cut {
				_, _ = e.back.Write(buf[:n])
			}
		}
	})
	e.wg.Go(func() {
		for buf := make([]byte, 2048); ; {
			n, err := e.back.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			e.mu.Lock()
			cut, caller := e.cut, e.caller
			e.mu.Unlock()
			if !cut && err == nil {
				_, _ = e.front.WriteToUDP(buf[:n], caller)
			}
		}
	})
	t.Cleanup(func() {
		_ = e.front.Close()
		_ = e.back.Close()
		e.wg.Wait()
	})
	return e
}

func (e *ether) set(cut bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = cut
}

func TestLostPacketsAreNoticedAndHealed(t *testing.T) {
	t.Parallel()
	a := start(t, 1, Config{Listen: []string{quicLoopback}, Members: names(t, 1, 2), Announce: []string{}})
	serveEcho(t, a)
	wire := newEther(t, a)
	members := names(t, 1, 2)
	members[0].Addrs = []string{wire.front.LocalAddr().String()}
	b := start(t, 2, Config{Members: members, Announce: []string{}})
	if err := sendAndHear(dial(t, b, a.Self(), echo), []byte("through the air")); err != nil {
		t.Fatal(err)
	}
	wire.set(true)
	cut := time.Now()
	await(t, "both notice", func() bool { return len(a.Connected()) == 0 && len(b.Connected()) == 0 })
	if noticed := time.Since(cut); noticed > 8*time.Second {
		t.Errorf("noticed after %v, want at most 8 s", noticed)
	}
	wire.set(false)
	healed := time.Now()
	if err := sendAndHear(dial(t, b, a.Self(), echo), []byte("healed")); err != nil {
		t.Fatal(err)
	}
	t.Logf("healed after %v", time.Since(healed))
}
