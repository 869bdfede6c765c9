package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = time.Minute

const echo = "/test/echo/1"

// await polls until ok says so.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-timeout:
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

// testKey makes the n-th key of the tests and its peer ID.
func testKey(t testing.TB, n int) (ed25519.PrivateKey, string) {
	t.Helper()
	seed := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7, 9}, 8)
	key := ed25519.NewKeyFromSeed(seed)
	name, err := PeerID(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return key, name
}

const (
	tcpLoopback  = "/ip4/127.0.0.1/tcp/0"
	quicLoopback = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// start runs the n-th machine of the tests until the test ends.
func start(t testing.TB, n int, cfg Config) *Host {
	t.Helper()
	cfg.Key, _ = testKey(t, n)
	if cfg.Listen == nil {
		cfg.Listen = []string{tcpLoopback}
	}
	h, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// names returns members without addresses.
func names(t testing.TB, numbers ...int) []Member {
	t.Helper()
	var members []Member
	for _, n := range numbers {
		_, name := testKey(t, n)
		members = append(members, Member{Peer: name})
	}
	return members
}

// serveEcho answers every stream with what it sends, until the test ends.
func serveEcho(t testing.TB, h *Host) {
	t.Helper()
	ln, err := h.Listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
}

// pair starts two members that listen at the given place and are connected.
func pair(t *testing.T, listen string) (*Host, *Host) {
	t.Helper()
	a := start(t, 1, Config{Listen: []string{listen}, Members: names(t, 1, 2)})
	members := names(t, 1, 2)
	members[0].Addrs = a.Addrs()
	b := start(t, 2, Config{Listen: []string{listen}, Members: members})
	await(t, "both connected", func() bool { return len(a.Connected()) == 1 && len(b.Connected()) == 1 })
	return a, b
}

// dial opens a stream, which the test closes.
func dial(t *testing.T, from *Host, to, protocol string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := from.Dial(ctx, to, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sendAndHear writes b and expects it back.
func sendAndHear(c net.Conn, b []byte) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(b)
		sent <- err
	}()
	got := make([]byte, len(b))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, b) {
		return errors.New("other bytes came back")
	}
	return <-sent
}

func TestStreamsCarryBytesOverTCPAndQUIC(t *testing.T) {
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, listen)
			serveEcho(t, a)
			serveEcho(t, b)
			for _, ends := range [][2]*Host{{a, b}, {b, a}} {
				c := dial(t, ends[0], ends[1].Self(), echo)
				if c.LocalAddr().String() != ends[0].Self() || c.RemoteAddr().String() != ends[1].Self() {
					t.Errorf("addresses %s, %s; want the peer IDs", c.LocalAddr(), c.RemoteAddr())
				}
				if err := sendAndHear(c, bytes.Repeat([]byte("bulletin"), 1<<17)); err != nil {
					t.Errorf("1 MiB there and back: %v", err)
				}
			}
			status := b.Status()
			if len(status) != 1 || status[0].Sent < 1<<20 || status[0].Received < 1<<20 {
				t.Errorf("status %+v, want 1 MiB each way", status)
			}
		})
	}
}

func TestDeadlinesEndReadsAndTheStreamStaysUsable(t *testing.T) {
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, listen)
			serveEcho(t, a)
			c := dial(t, b, a.Self(), echo)
			for range 3 {
				if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("read without data: %v, want the deadline", err)
				}
			}
			if err := sendAndHear(c, []byte("still here")); err != nil {
				t.Fatalf("after the deadlines: %v", err)
			}
			_ = c.Close()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read after Close: %v, want net.ErrClosed", err)
			}
		})
	}
}

func TestWhatWasWrittenBeforeCloseArrives(t *testing.T) {
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, listen)
			ln, err := a.Listen("/test/oneway/1")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			message := bytes.Repeat([]byte("x"), 100<<10)
			c := dial(t, b, a.Self(), "/test/oneway/1")
			if _, err := c.Write(message); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			in, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			_ = in.SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(got, message) {
				t.Fatalf("got %d bytes, %v; want %d and the end", len(got), err, len(message))
			}
			_ = in.Close()
			await(t, "no stream left", func() bool { return a.Status()[0].Streams == 0 && b.Status()[0].Streams == 0 })
		})
	}
}

func TestReadSaysThatNobodyListens(t *testing.T) {
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, listen)
			c := dial(t, b, a.Self(), "/test/nobody/1")
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrNotListening) {
				t.Errorf("read: %v, want ErrNotListening", err)
			}
		})
	}
}

func TestOneListenerPerProtocol(t *testing.T) {
	h := start(t, 1, Config{})
	ln, err := h.Listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Listen(echo); !errors.Is(err, ErrListening) {
		t.Errorf("second Listen: %v, want ErrListening", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want net.ErrClosed", err)
	}
	if _, err := h.Listen(echo); err != nil {
		t.Errorf("Listen after Close: %v", err)
	}
}

func TestDialWaitsForAConnectionUntilItsContextEnds(t *testing.T) {
	_, absent := testKey(t, 2)
	h := start(t, 1, Config{Members: []Member{{Peer: absent, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}}})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := h.Dial(ctx, absent, echo)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > patience/2 {
		t.Errorf("dial of an absent member: %v after %v, want the deadline", err, time.Since(began))
	}
	_, stranger := testKey(t, 3)
	if _, err := h.Dial(context.Background(), stranger, echo); !errors.Is(err, ErrNotMember) {
		t.Errorf("dial of a stranger: %v, want ErrNotMember", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := h.Dial(context.Background(), absent, echo)
		waiting <- err
	}()
	await(t, "Dial waits", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.ContainsFunc([]*member{h.only()}, func(m *member) bool { return m.waiting == 1 })
	})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("dial while closing: %v, want ErrClosed", err)
	}
}

// only returns the one member of a Host. Host.mu is held.
func (h *Host) only() *member {
	for _, m := range h.members {
		return m
	}
	return nil
}

func TestTakenPortIsAnErrorThatNamesIt(t *testing.T) {
	first := start(t, 1, Config{})
	key, _ := testKey(t, 2)
	taken := strings.TrimSuffix(first.Addrs()[0], "/p2p/"+first.Self())
	before := runtime.NumGoroutine()
	h, err := Start(Config{Key: key, Listen: []string{taken}})
	if err == nil {
		_ = h.Close()
		t.Fatal("the same port was bound twice")
	}
	if !strings.Contains(err.Error(), taken) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line with %s", err, taken)
	}
	await(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}
