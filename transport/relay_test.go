package transport

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	ma "github.com/multiformats/go-multiaddr"
)

// star starts machine 1 as the relay of the members, and the others, which know nobody's address but the relay's and
// tell none of their own.
func star(t *testing.T, listen string, members ...int) map[int]*Host {
	t.Helper()
	_, relayName := testKey(t, 1)
	hosts := map[int]*Host{1: start(t, 1, Config{Listen: []string{listen}, Members: names(t, members...), Relays: []string{relayName}})}
	for _, n := range members[1:] {
		known := names(t, members...)
		known[0].Addrs = hosts[1].Addrs()
		hosts[n] = start(t, n, Config{Listen: []string{listen}, Announce: []string{}, Members: known, Relays: []string{relayName}})
	}
	return hosts
}

// status is what h knows of the n-th machine.
func status(t *testing.T, h *Host, n int) PeerStatus {
	t.Helper()
	_, name := testKey(t, n)
	for _, s := range h.Status() {
		if s.Peer == name {
			return s
		}
	}
	t.Fatalf("machine %d is no member", n)
	return PeerStatus{}
}

// there sends a word over c and wants it back.
func there(t *testing.T, c net.Conn) {
	t.Helper()
	const word = "there and back"
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != word {
		t.Fatalf("%q came back (%v)", got, err)
	}
}

func TestMembersThatCannotCallEachOtherAreRelayed(t *testing.T) {
	for _, listen := range []string{tcpLoopback, quicLoopback} {
		t.Run(listen, func(t *testing.T) {
			hosts := star(t, listen, 1, 2, 3)
			serveEcho(t, hosts[3])
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, three := testKey(t, 3)
			c, err := hosts[2].Dial(ctx, three, echo)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			there(t, c)
			if !status(t, hosts[2], 3).Relayed || !status(t, hosts[3], 2).Relayed {
				t.Error("the connection does not go through the relay")
			}
			if s := status(t, hosts[2], 1); !s.Connected || s.Relayed {
				t.Error("the relay itself is not connected directly")
			}
		})
	}
}

func TestARelayServesNobodyButMembers(t *testing.T) {
	hosts := star(t, tcpLoopback, 1, 2, 3)
	await(t, "the relayed connection", func() bool { return status(t, hosts[2], 3).Relayed })
	// A stranger of the relay's list, though on the caller's: no circuit, and no place.
	_, stranger := testKey(t, 9)
	if err := hosts[2].Admit(stranger); err != nil {
		t.Fatal(err)
	}
	_, relayName := testKey(t, 1)
	id, err := peer.Decode(stranger)
	if err != nil {
		t.Fatal(err)
	}
	hosts[2].mu.Lock()
	through := hosts[2].circuits(hosts[2].members[id])
	hosts[2].mu.Unlock()
	if len(through) != 1 {
		t.Fatalf("%d ways through relays, want 1", len(through))
	}
	await(t, "the relay's refusal", func() bool { return hosts[1].Refused().Circuits > 0 })
	await(t, "the refusal's reason", func() bool {
		return strings.Contains(status(t, hosts[2], 9).LastError, "PERMISSION_DENIED")
	})
	// The stranger itself does not come as far as to ask.
	lone := start(t, 9, Config{Members: []Member{{Peer: relayName, Addrs: hosts[1].Addrs()}}, Relays: []string{relayName}})
	await(t, "the stranger's refusal", func() bool { return hosts[1].Refused().Strangers > 0 })
	if len(lone.Connected()) != 0 {
		t.Error("a stranger is connected with the relay")
	}
}

func TestAMemberThatIsNoRelayCarriesNothing(t *testing.T) {
	hosts := star(t, tcpLoopback, 1, 2, 3)
	await(t, "the relayed connection", func() bool { return status(t, hosts[2], 3).Relayed })
	_, three := testKey(t, 3)
	_, relayName := testKey(t, 1)
	id := func(name string) peer.ID {
		id, err := peer.Decode(name)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	// No place at a member that is no relay, nor over a relayed connection.
	if _, err := client.Reserve(t.Context(), face{h: hosts[2], via: hosts[2].linkFor(id(three), "/libp2p/dcutr")}, peer.AddrInfo{ID: id(three)}); err == nil {
		t.Error("a member that is no relay gives places")
	}
	// The relay takes no circuit from a member: only relays hand them over.
	s, err := face{h: hosts[2]}.NewStream(t.Context(), id(relayName), proto.ProtoIDv2Stop)
	if err == nil {
		_ = s.Reset()
		t.Error("a circuit is taken from a member that is no relay")
	}
}

func TestRelayedAddressesThatARecordTellsAreDropped(t *testing.T) {
	_, relayName := testKey(t, 1)
	told := []ma.Multiaddr{
		ma.StringCast("/ip4/192.0.2.1/tcp/4001/p2p/" + relayName + "/p2p-circuit"),
		ma.StringCast("/ip4/192.0.2.1/udp/4001/quic-v1"),
	}
	if kept := usable(told); len(kept) != 1 || !kept[0].Equal(told[1]) {
		t.Errorf("kept %v", kept)
	}
}

func TestARetiredMemberLosesItsRelayedConnections(t *testing.T) {
	hosts := star(t, tcpLoopback, 1, 2, 3)
	await(t, "the relayed connection", func() bool { return status(t, hosts[2], 3).Relayed })
	_, three := testKey(t, 3)
	hosts[1].Retire(three)
	await(t, "the end of the retired member's connections", func() bool { return len(hosts[3].Connected()) == 0 })
	await(t, "the other's loss of it", func() bool { return !status(t, hosts[2], 3).Connected })
}

func TestARelayedConnectionGivesWayToADirectOne(t *testing.T) {
	hosts := star(t, quicLoopback, 1, 2, 3)
	serveEcho(t, hosts[3])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, three := testKey(t, 3)
	c, err := hosts[2].Dial(ctx, three, echo)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	there(t, c)
	if !status(t, hosts[2], 3).Relayed {
		t.Fatal("the connection does not go through the relay")
	}
	// From now on it tells where it is, over the relayed connection.
	if err := hosts[3].Announce(nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the direct connection", func() bool { s := status(t, hosts[2], 3); return s.Connected && !s.Relayed })
	await(t, "the end of the relayed one", func() bool { return status(t, hosts[2], 3).Links == 1 })
	d, err := hosts[2].Dial(ctx, three, echo)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	there(t, d)
}

func TestWithoutRelaysNoneOfTheirProtocolsAnswers(t *testing.T) {
	h := start(t, 1, Config{Members: names(t, 1, 2)})
	if len(h.services) != 0 {
		t.Errorf("%d protocols of libp2p's own", len(h.services))
	}
	for _, a := range h.swarm.ListenAddresses() {
		if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
			t.Errorf("listens at %s", a)
		}
	}
}

func TestARelayThatIsNoMemberIsAnError(t *testing.T) {
	_, stranger := testKey(t, 9)
	key, _ := testKey(t, 1)
	if h, err := Start(Config{Key: key, Members: names(t, 1, 2), Relays: []string{stranger}}); err == nil {
		_ = h.Close()
		t.Error("a stranger is taken for a relay")
	}
}

func TestTheSameAddressesAreNoChange(t *testing.T) {
	h := start(t, 1, Config{Listen: []string{tcpLoopback, quicLoopback}, Members: names(t, 1, 2)})
	for range 100 {
		if h.refreshRecord() {
			t.Fatal("a record is told anew, though no address has changed")
		}
	}
}
