package transport

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

func TestStrangerIsRefusedWhenItCallsAndWhenItIsCalled(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			// The stranger has 1 on its list; 1 does not have the stranger, 9, on its own.
			one := start(t, 1, Config{Listen: []string{listen}, Members: names(t, 1, 2)})
			serveEcho(t, one)
			members := names(t, 1, 9)
			members[0].Addrs = one.Addrs()
			stranger := start(t, 9, Config{Listen: []string{listen}, Members: members})
			serveEcho(t, stranger)

			await(t, "stranger counted", func() bool { return one.Refused().Strangers >= 2 })
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if _, err := stranger.Dial(ctx, one.Self(), echo); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stranger's Dial: %v, want the deadline", err)
			}
			if len(one.Connected()) != 0 || len(stranger.Connected()) != 0 {
				t.Errorf("connected: %v, %v; want none", one.Connected(), stranger.Connected())
			}

			if _, err := one.Dial(context.Background(), stranger.Self(), echo); !errors.Is(err, ErrNotMember) {
				t.Errorf("dial of the stranger: %v, want ErrNotMember", err)
			}
			if err := one.SetAddrs(stranger.Self(), stranger.Addrs()); !errors.Is(err, ErrNotMember) {
				t.Errorf("addresses of the stranger: %v, want ErrNotMember", err)
			}
		})
	}
}

func TestRefusedDiallerBacksOff(t *testing.T) {
	t.Parallel()
	one := start(t, 1, Config{Members: names(t, 1, 2)})
	members := names(t, 1, 9)
	members[0].Addrs = one.Addrs()
	start(t, 9, Config{Members: members})
	await(t, "stranger refused", func() bool { return one.Refused().Strangers > 0 })
	before, began := one.Refused().Strangers, time.Now()
	await(t, "more refusals", func() bool { return one.Refused().Strangers >= before+4 })
	// Four more attempts take 0.25 + 0.5 + 1 + 2 s, less a quarter of jitter, some of it before the first look.
	if took := time.Since(began); took < time.Second {
		t.Errorf("four attempts within %v, want a back-off", took)
	}
}

func TestMembersAddressWithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		t.Run(name, func(t *testing.T) {
			// 3 answers where 2 is said to be. Both are members of 1.
			other := start(t, 3, Config{Listen: []string{listen}, Members: names(t, 1, 2)})
			members := names(t, 2, 3)
			members[0].Addrs = nil
			for _, a := range other.Addrs() {
				bare := a[:len(a)-len("/p2p/"+other.Self())]
				members[0].Addrs = append(members[0].Addrs, bare)
			}
			one := start(t, 1, Config{Listen: []string{listen}, Members: members})
			await(t, "wrong key counted", func() bool { return one.Refused().WrongKeys > 0 })
			for _, s := range one.Status() {
				if s.Peer == members[0].Peer && (s.Connected || s.Links > 0) {
					t.Errorf("connected with %+v under another key", s)
				}
			}
		})
	}
}

func TestAddressThatNamesAnotherPeerIsRefused(t *testing.T) {
	key, self := testKey(t, 1)
	_, other := testKey(t, 2)
	for _, bad := range []string{
		"/ip4/127.0.0.1/tcp/4001/p2p/" + self,                  // another peer's
		"/ip4/127.0.0.1/udp/4001",                              // neither TCP nor QUIC
		"/ip4/127.0.0.1/tcp/4001/p2p/" + self + "/p2p-circuit", // relayed
		"/ip4/127.0.0.1/udp/4001/quic-v1/webtransport",         // not spoken
		"127.0.0.1",        // no port
		"127.0.0.1:70000",  // no such port
		"/unix/tmp/socket", // not a network address
		"/ip4/127.0.0.1/tcp/4001/p2p/" + self + "/p2p/" + other, // two names
		"/ip4/127.0.0.1/tcp/4001/http",                          // more than a port
	} {
		h, err := Start(Config{Key: key, Members: []Member{{Peer: other, Addrs: []string{bad}}}})
		if err == nil {
			t.Errorf("address %q taken", bad)
			_ = h.Close()
		}
	}
}

func TestRetireCutsAndRefuses(t *testing.T) {
	a, b := pair(t, tcpLoopback)
	serveEcho(t, a)
	c := dial(t, b, a.Self(), echo)
	if err := sendAndHear(c, []byte("before")); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		waiting <- err
	}()
	a.Retire(b.Self())
	if err := <-waiting; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read on a cut stream: %v, want an error", err)
	}
	if _, err := a.Dial(context.Background(), b.Self(), echo); !errors.Is(err, ErrNotMember) {
		t.Errorf("dial of the retired: %v, want ErrNotMember", err)
	}
	await(t, "the retired is refused", func() bool { return a.Refused().Strangers > 0 })
	await(t, "b knows", func() bool { return len(b.Connected()) == 0 })

	if err := a.Admit(b.Self()); err != nil {
		t.Fatal(err)
	}
	await(t, "connected again", func() bool { return len(b.Connected()) == 1 && len(a.Connected()) == 1 })
}

func TestRetireEndsAWaitingDial(t *testing.T) {
	_, absent := testKey(t, 2)
	h := start(t, 1, Config{Members: []Member{{Peer: absent}}})
	waiting := make(chan error, 1)
	go func() {
		_, err := h.Dial(context.Background(), absent, echo)
		waiting <- err
	}()
	await(t, "Dial waits", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.only().waiting == 1
	})
	h.Retire(absent)
	if err := <-waiting; !errors.Is(err, ErrNotMember) {
		t.Errorf("dial: %v, want ErrNotMember", err)
	}
}

func TestNoMoreMembersThanTheLimitsAreMadeFor(t *testing.T) {
	h := start(t, 1, Config{Members: names(t, 2), Limits: Limits{Members: 2}})
	three, four := names(t, 3)[0].Peer, names(t, 4)[0].Peer
	if err := h.Admit(three); err != nil {
		t.Fatal(err)
	}
	if err := h.Admit(four); err == nil {
		t.Error("a third member was admitted")
	}
	if err := h.Admit(three); err != nil {
		t.Errorf("admitting again: %v", err)
	}
}

func TestALaterMachineIsLetInAndNotSoughtBefore(t *testing.T) {
	t.Parallel()
	members := names(t, 1, 2, 3)
	three := start(t, 3, Config{Listen: []string{tcpLoopback}, Members: names(t, 1, 2, 3)})
	members[2].Addrs, members[2].Later = three.Addrs(), true
	one := start(t, 1, Config{Listen: []string{tcpLoopback}, Members: members, Limits: Limits{Mesh: 2}})
	serveEcho(t, one)
	listed := names(t, 1)
	listed[0].Addrs = one.Addrs()
	two := start(t, 2, Config{Members: listed})
	await(t, "the mesh of the first machines", func() bool { return len(one.Connected()) == 1 && len(two.Connected()) == 1 })
	for _, s := range one.Status() {
		if s.Peer == three.Self() && (s.Links > 0 || s.Connected) {
			t.Error("the later machine was sought")
		}
	}
	if err := three.SetAddrs(one.Self(), one.Addrs()); err != nil {
		t.Fatal(err)
	}
	if err := sendAndHear(dial(t, three, one.Self(), echo), []byte("here")); err != nil {
		t.Fatal(err)
	}
	await(t, "both are connected", func() bool { return len(one.Connected()) == 2 }) // a link may carry before it is counted
}
