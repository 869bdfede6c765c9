package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// flood opens streams and writes to them until one is refused; it keeps them all open.
func flood(t *testing.T, from *Host, to, protocol string, most int) (open int) {
	t.Helper()
	var conns []net.Conn
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	for range most {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		c, err := from.Dial(ctx, to, protocol)
		cancel()
		if err != nil {
			return open
		}
		conns = append(conns, c)
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write([]byte("x")); err != nil {
			return open
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return open
		}
		open++
	}
	return open
}

func TestStreamsOfOneMemberAreBoundedAndOthersGoOn(t *testing.T) {
	// The victim allows 40 streams a member and 10 of them for a protocol; the others think that they may open more.
	victim := start(t, 1, Config{
		Members: names(t, 1, 2, 3),
		Limits:  Limits{StreamsPerPeer: 40, StreamsPerProtocol: 10},
	})
	serveEcho(t, victim)
	const other = "/test/other/1"
	ln, err := victim.Listen(other)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	members := names(t, 1)
	members[0].Addrs = victim.Addrs()
	flooder := start(t, 2, Config{Members: members})
	honest := start(t, 3, Config{Members: members})

	if open := flood(t, flooder, victim.Self(), echo, 30); open != 10 {
		t.Errorf("%d streams of one protocol, want 10", open)
	}
	if n := victim.Refused().Streams; n == 0 {
		t.Error("no refused stream was counted")
	}
	second := dial(t, flooder, victim.Self(), other)
	if _, err := second.Write([]byte("x")); err != nil {
		t.Errorf("other protocol: %v", err)
	}
	if c, err := ln.Accept(); err != nil || c.RemoteAddr().String() != flooder.Self() {
		t.Errorf("other protocol's stream: %v", err)
	}
	if err := sendAndHear(dial(t, honest, victim.Self(), echo), []byte("served")); err != nil {
		t.Errorf("honest member: %v", err)
	}
}

func TestUnacceptedStreamsOfOneMemberLeaveRoom(t *testing.T) {
	const slow = "/test/slow/1"
	victim := start(t, 1, Config{Members: names(t, 1, 2, 3), Limits: Limits{Backlog: 16}})
	ln, err := victim.Listen(slow)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	members := names(t, 1)
	members[0].Addrs = victim.Addrs()
	flooder := start(t, 2, Config{Members: members})
	honest := start(t, 3, Config{Members: members})
	for range 20 {
		_, _ = dial(t, flooder, victim.Self(), slow).Write([]byte("x"))
	}
	await(t, "flooder's surplus refused", func() bool { return victim.Refused().Backlog == 18 })
	if _, err := dial(t, honest, victim.Self(), slow).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() == honest.Self() {
			return
		}
	}
	t.Error("the honest member's stream is not among the first three")
}

func TestFloodingMemberIsCutOffForAWhile(t *testing.T) {
	victim := start(t, 1, Config{Members: names(t, 1, 2), Limits: Limits{StreamsPerPeer: 8}})
	serveEcho(t, victim)
	members := names(t, 1)
	members[0].Addrs = victim.Addrs()
	flooder := start(t, 2, Config{Members: members})
	flood(t, flooder, victim.Self(), echo, 8) // all that it may have; beyond that it is refused
	for range 100 * refusedBurst {
		if victim.Refused().Floods > 0 {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if c, err := flooder.Dial(ctx, victim.Self(), echo); err == nil {
			_, _ = c.Write([]byte("x"))
			_ = c.Close()
		}
		cancel()
	}
	await(t, "cut off", func() bool { return len(flooder.Connected()) == 0 && len(victim.Connected()) == 0 })
	if r := victim.Refused(); r.Floods != 1 || r.Streams < refusedBurst {
		t.Errorf("refused %+v, want one flood of more than %d streams", r, refusedBurst)
	}
	await(t, "redialled and refused", func() bool { return victim.Refused().Strangers > 0 })
	victim.mu.Lock()
	left := time.Until(victim.only().banned)
	victim.mu.Unlock()
	if left <= 0 || left > floodPenalty {
		t.Errorf("refused for another %v, want at most %v", left, floodPenalty)
	}
}

func TestUnreadBytesOfOneMemberAreBounded(t *testing.T) {
	t.Parallel()
	const sink = "/test/sink/1"
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, listen)
			ln, err := a.Listen(sink) // accepts, and never reads
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			serveEcho(t, a)
			c := dial(t, b, a.Self(), sink)
			_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			n, err := c.Write(make([]byte, 64<<20))
			if !isTimeout(err) || n > 16<<20 {
				t.Errorf("%d bytes taken unread, %v; want a deadline before 16 MiB", n, err)
			}
			if err := sendAndHear(dial(t, b, a.Self(), echo), []byte("beside it")); err != nil {
				t.Errorf("another stream: %v", err)
			}
		})
	}
}

// TestManyMembersBehindOneAddress counts against the limits what thirty bureaux behind one school's address would
// open: libp2p's own default is eight connections an address.
func TestManyMembersBehindOneAddress(t *testing.T) {
	limits := Limits{}.withDefaults(30)
	for _, from := range []string{"/ip4/203.0.113.7/tcp/4001", "/ip6/2001:db8::7/udp/4001/quic-v1"} {
		if opened := openFrom(t, limits, from); opened < 4*30 || opened > limits.ConnsPerAddress {
			t.Errorf("%d connections from %s, want 120 to %d", opened, from, limits.ConnsPerAddress)
		}
	}
}

// openFrom says how many connections of thirty members behind one address the limits let in.
func openFrom(t *testing.T, limits Limits, from string) (opened int) {
	t.Helper()
	resources, err := limits.newResources()
	if err != nil {
		t.Fatal(err)
	}
	defer resources.Close()
	for ; ; opened++ {
		scope, err := resources.OpenConnection(network.DirInbound, true, ma.StringCast(from))
		if err != nil {
			return opened
		}
		defer scope.Done()
		_, name := testKey(t, 100+opened%30)
		id, err := peer.Decode(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := scope.SetPeer(id); err != nil {
			return opened
		}
	}
}

func TestThirtyMembersConnectFromOneAddress(t *testing.T) {
	const many = 30
	var numbers []int
	for n := 1; n <= many; n++ {
		numbers = append(numbers, n)
	}
	hub := start(t, many+1, Config{Members: names(t, numbers...)})
	members := []Member{{Peer: hub.Self(), Addrs: hub.Addrs()}}
	for _, n := range numbers {
		start(t, n, Config{Members: members})
	}
	await(t, "all connected", func() bool { return len(hub.Connected()) == many })
	if r := hub.Refused(); r.Connections != 0 {
		t.Errorf("%d connections refused", r.Connections)
	}
}

func TestStrangerThatHoldsConnectionsOpenIsBounded(t *testing.T) {
	t.Parallel()
	// A stranger that never ends its handshakes, at the members' own address.
	h := start(t, 1, Config{Members: names(t, 1, 2), Limits: Limits{Members: 2, ConnsPerAddress: 8}})
	port, err := ma.StringCast(h.Addrs()[0]).ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 40 {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, err := io.Copy(io.Discard, c) // until the host has enough
			if isTimeout(err) {
				t.Error("a stranger's connection was left open")
			}
		}()
	}
	await(t, "refused", func() bool { return h.Refused().Connections >= 40-8 })
	wg.Wait()
	members := names(t, 1)
	members[0].Addrs = h.Addrs()
	start(t, 2, Config{Members: members})
	await(t, "a member gets in", func() bool { return len(h.Connected()) == 1 })
}

func TestDialBeyondTheOwnLimitFailsAtOnce(t *testing.T) {
	a := start(t, 1, Config{Members: names(t, 1, 2)})
	serveEcho(t, a)
	members := names(t, 1)
	members[0].Addrs = a.Addrs()
	b := start(t, 2, Config{Members: members, Limits: Limits{StreamsPerPeer: 12, StreamsPerProtocol: 4}})
	if open := flood(t, b, a.Self(), echo, 20); open != 4 {
		t.Errorf("%d streams, want 4", open)
	}
	_, err := b.Dial(context.Background(), a.Self(), echo)
	if !errors.Is(err, network.ErrResourceLimitExceeded) {
		t.Errorf("dial: %v, want the limit", err)
	}
}
