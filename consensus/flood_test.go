package consensus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"pointage/consensus/consensustest"
)

// hostile opens connections as a member would, with software of its own.
func (c *cluster) hostile(from, to, protocol string) net.Conn {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := c.network.Host(from).Dial(ctx, to, protocol)
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

func TestFloodingMemberIsCutOffAndOthersAreServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, withPrincipal)
		for _, p := range []string{"m0", "m1", "m2"} {
			c.machines[p].Slow = time.Millisecond // so that the flood is faster than the machine
		}
		c.start("m0", "m1", "m2")
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		conn := c.hostile("m3", "m0", ProtocolPropose)
		var wg sync.WaitGroup
		wg.Go(func() { // reads, so that only the number of proposals is at fault
			_, _ = io.Copy(io.Discard, conn)
		})
		flooded := make(chan error, 1)
		wg.Go(func() {
			w := bufio.NewWriter(conn)
			for i := range uint64(1_000_000) {
				if _, err := w.Write(frame{code: askPropose, id: i, payload: make([]byte, 100)}.bytes()); err != nil {
					flooded <- err
					return
				}
			}
			flooded <- nil
		})
		for i := range 5 {
			if err := c.try("m1", fmt.Sprintf("beside-%d", i)); err != nil {
				t.Errorf("beside the flood: %v", err)
			}
		}
		if err := <-flooded; err == nil {
			t.Error("a million proposals were taken without a word")
		}
		_ = conn.Close()
		wg.Wait()
		c.end()
	})
}

func TestMemberThatDoesNotReadIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, nil)
		c.start("m0")
		c.leader()
		conn := c.hostile("m1", "m0", ProtocolPropose)
		began := time.Now()
		w := bufio.NewWriter(conn)
		var err error
		for i := uint64(0); err == nil && i < 1_000_000; i++ {
			_, err = w.Write(frame{code: askPropose, id: i, payload: []byte("x")}.bytes())
		}
		if err == nil || time.Since(began) > 3*writeTimeout {
			t.Errorf("after %s: %v, want an error within %s", time.Since(began), err, 3*writeTimeout)
		}
		_ = conn.Close()
		c.group("m0").limits.mu.Lock()
		_, held := c.group("m0").limits.peers["m1"]
		c.group("m0").limits.mu.Unlock()
		if held {
			<-time.After(time.Second)
		}
		c.propose("m0", "on")
		g := c.group("m0")
		c.end()
		if g.limits.all != (load{}) || len(g.limits.peers) != 0 {
			t.Errorf("places still held: %+v", g.limits.all)
		}
	})
}

func TestConnectionsOfOnePeerAreFew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 2, nil)
		c.start("m0")
		c.leader()
		var open []net.Conn
		for range 1000 {
			open = append(open, c.hostile("m1", "m0", ProtocolPropose), c.hostile("m1", "m0", ProtocolRaft))
			<-time.After(time.Millisecond)
		}
		g := c.group("m0")
		c.until(10*time.Second, "greetings that never come are given up", func() bool {
			g.raftIn.mu.Lock()
			defer g.raftIn.mu.Unlock()
			return len(g.raftIn.peers["m1"]) == 0
		})
		g.streamsIn.mu.Lock()
		n := len(g.streamsIn.peers["m1"])
		g.streamsIn.mu.Unlock()
		if n != maxInboundStream {
			t.Errorf("%d connections of one peer, want %d", n, maxInboundStream)
		}
		last := open[len(open)-2]
		if _, err := last.Write(frame{code: askPropose, id: 7, payload: []byte("last")}.bytes()); err != nil {
			t.Fatal(err)
		}
		if f, err := readFrame(bufio.NewReader(last), MaxReply); err != nil || f.code != answerReply || f.id != 7 {
			t.Errorf("the newest connection is answered %+v, %v", f, err)
		}
		for _, conn := range open {
			_ = conn.Close()
		}
		c.end()
	})
}

func TestStrangerAndImpostorAreNotHeard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, nil)
		c.start("m0")
		c.leader()
		greeting := func(from, to string) []byte {
			b := []byte{linkVersion, byte(len(to))}
			b = append(append(b, to...), byte(len(from)))
			return append(b, from...)
		}
		for name, test := range map[string]struct {
			from, protocol string
			bytes          []byte
		}{
			"stranger proposes":     {"x", ProtocolPropose, frame{code: askPropose, payload: []byte("x")}.bytes()},
			"stranger greets":       {"x", ProtocolRaft, greeting("x/0", "m0/0")},
			"another's name":        {"m1", ProtocolRaft, greeting("m0/0", "m0/0")},
			"another store":         {"m1", ProtocolRaft, greeting("m1/0", "m0/7")},
			"another version":       {"m1", ProtocolRaft, []byte{9, 0, 0}},
			"unknown code":          {"m1", ProtocolPropose, frame{code: 99}.bytes()},
			"frame too long":        {"m1", ProtocolPropose, []byte{0xff, 0xff, 0xff, 0xff, 1}},
			"frame too short":       {"m1", ProtocolPropose, []byte{0, 0, 0, 8, 1}},
			"command far too large": {"m1", ProtocolPropose, frame{code: askPropose, payload: make([]byte, 3*DefaultMaxCommand)}.bytes()[:100]},
		} {
			conn := c.hostile(test.from, "m0", test.protocol)
			_, err := conn.Write(test.bytes)
			if err == nil {
				_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err = conn.Read(make([]byte, 1))
			}
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want a closed connection", name, err)
			}
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("%s: the connection stays open", name)
			}
			_ = conn.Close()
		}
		if n := len(c.machines["m0"].Log()); n != 0 {
			t.Errorf("%d commands were taken", n)
		}
		c.end()
	})
}

func TestLimiterCountsProposalsAndBytes(t *testing.T) {
	l := newLimiter()
	var held []*slot
	for {
		s, ok := l.acquire("a", 1)
		if !ok {
			break
		}
		held = append(held, s)
	}
	if len(held) != MaxInFlightPerPeer {
		t.Errorf("%d proposals of one peer, want %d", len(held), MaxInFlightPerPeer)
	}
	if _, ok := l.acquire("b", MaxInFlightBytesPerPeer+1); ok {
		t.Error("more bytes than one peer may have in hand were taken")
	}
	peers := 0
	for ; ; peers++ {
		s, ok := l.acquire(fmt.Sprint(peers), MaxInFlightBytesPerPeer)
		if !ok {
			break
		}
		held = append(held, s)
	}
	if peers != (MaxInFlightBytes-MaxInFlightPerPeer)/MaxInFlightBytesPerPeer {
		t.Errorf("%d peers with all the bytes they may have", peers)
	}
	shared := held[0].share()
	shared.release()
	shared.release()
	for _, s := range held {
		s.release()
	}
	if l.all != (load{}) || len(l.peers) != 0 {
		t.Errorf("after all were released: %+v, %d peers", l.all, len(l.peers))
	}
}

// On real time and a real disk: nothing is left when a group of three was closed.
func TestCloseLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	network := consensustest.NewNetwork()
	members := []Member{{"a", true}, {"b", true}, {"c", true}}
	var groups []*Group
	for _, m := range members {
		g, err := Start(Config{Dir: t.TempDir(), Members: members, Timing: fast}, network.Host(m.Peer), consensustest.NewMachine())
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	eventually(t, "a command is committed", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := groups[1].Propose(ctx, []byte("x"))
		return err == nil
	})
	for _, g := range groups {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "no goroutines are left", func() bool { return runtime.NumGoroutine() <= before })
}

var fast = Timing{Heartbeat: 150 * time.Millisecond, Lease: 100 * time.Millisecond, Commit: 10 * time.Millisecond}

// eventually polls in real time.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(frame{code: askPropose, id: 1, payload: []byte("x")}.bytes())
	f.Add([]byte{0, 0, 0, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytesReader(b))
		got, err := readFrame(r, 1000)
		if err != nil {
			return
		}
		if len(got.payload) > 1000 {
			t.Fatalf("payload of %d bytes", len(got.payload))
		}
		if again := got.bytes(); string(again) != string(b[:len(again)]) {
			t.Fatalf("%x was read as %x", b, again)
		}
	})
}
