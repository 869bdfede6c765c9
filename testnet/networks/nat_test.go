package networks

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func at(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// datagram builds a UDP packet with right checksums.
func datagram(from, to netip.AddrPort, text string) packet {
	b := make([]byte, 28+len(text))
	b[0], b[8], b[9] = 0x45, 64, protocolUDP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	src, dst := from.Addr().As4(), to.Addr().As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[20:], from.Port())
	binary.BigEndian.PutUint16(b[22:], to.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(text)))
	copy(b[28:], text)
	binary.BigEndian.PutUint16(b[10:], ^total(b[:20], 0))
	binary.BigEndian.PutUint16(b[26:], ^total(b[20:], pseudo(b)))
	p, ok := parse(b)
	if !ok {
		panic("own packet does not parse")
	}
	return p
}

func pseudo(b []byte) uint32 {
	return uint32(total(b[12:20], 0)) + uint32(b[9]) + uint32(len(b)-20)
}

// total is the ones' complement sum of RFC 1071.
func total(b []byte, s uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func sound(t *testing.T, p packet) {
	t.Helper()
	if total(p.bytes[:20], 0) != 0xffff || total(p.bytes[20:], pseudo(p.bytes)) != 0xffff {
		t.Errorf("a checksum of %x is wrong", p.bytes)
	}
}

func TestATranslatedPacketKeepsItsChecksums(t *testing.T) {
	for i := range 2000 {
		text := string(rune('a' + i%26))
		p := datagram(at("192.168.1.2:4001"), at("203.0.113.9:53"), text)
		sound(t, p)
		p.setSource(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), uint16(i*31)))
		p.setTarget(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), 7, byte(i >> 3)}), uint16(i*17)))
		sound(t, p)
	}
}

func TestASchoolsNATKeepsOneOuterPortAndLetsInAnswersOnly(t *testing.T) {
	n, now := newNAT(Independent, netip.MustParseAddr("198.51.100.1")), time.Unix(1000, 0)
	a := datagram(at("192.168.1.2:4001"), at("203.0.113.1:1"), "a")
	b := datagram(at("192.168.1.2:4001"), at("203.0.113.2:2"), "b")
	n.leave(a, now)
	n.leave(b, now)
	if a.source() != b.source() || a.source().Addr() != n.outer {
		t.Fatalf("outer ends %v and %v, want one", a.source(), b.source())
	}
	other := datagram(at("192.168.1.3:4001"), at("203.0.113.1:1"), "c")
	n.leave(other, now)
	if other.source() == a.source() {
		t.Error("two machines have one outer end")
	}
	answer := datagram(at("203.0.113.1:1"), a.source(), "x")
	if !n.enter(answer, now) || answer.target() != at("192.168.1.2:4001") {
		t.Errorf("the answer is for %v", answer.target())
	}
	for _, from := range []string{"203.0.113.1:2", "203.0.113.3:1"} {
		if stray := datagram(at(from), a.source(), "x"); n.enter(stray, now) {
			t.Errorf("%v was never called and gets in", from)
		}
	}
	if late := datagram(at("203.0.113.1:1"), a.source(), "x"); n.enter(late, now.Add(forgetUDP+time.Second)) {
		t.Error("an answer gets in after the NAT has forgotten")
	}
}

func TestASymmetricNATHasAnotherOuterPortForEachPeer(t *testing.T) {
	n, now := newNAT(Symmetric, netip.MustParseAddr("198.51.100.1")), time.Unix(1000, 0)
	a := datagram(at("192.168.1.2:4001"), at("203.0.113.1:1"), "a")
	b := datagram(at("192.168.1.2:4001"), at("203.0.113.2:2"), "b")
	n.leave(a, now)
	n.leave(b, now)
	if a.source() == b.source() {
		t.Error("two peers see one outer end")
	}
	if cross := datagram(at("203.0.113.2:2"), a.source(), "x"); n.enter(cross, now) {
		t.Error("one peer gets in at the other's port")
	}
}

func TestWhatIsNoWholeTCPOrUDPPacketIsDropped(t *testing.T) {
	whole := datagram(at("192.168.1.2:1"), at("192.168.1.3:2"), "text").bytes
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":    func([]byte) []byte { return nil },
		"short":    func(b []byte) []byte { return b[:27] },
		"version":  func(b []byte) []byte { b[0] = 0x65; return b },
		"header":   func(b []byte) []byte { b[0] = 0x4f; return b },
		"small":    func(b []byte) []byte { b[0] = 0x44; return b },
		"ICMP":     func(b []byte) []byte { b[9] = 1; return b },
		"fragment": func(b []byte) []byte { b[6] = 0x20; return b },
	} {
		if _, ok := parse(spoil(append([]byte(nil), whole...))); ok {
			t.Errorf("%s is taken", name)
		}
	}
}
