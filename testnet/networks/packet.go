package networks

import (
	"encoding/binary"
	"net/netip"
)

// The protocols that the networks carry; all others are dropped, as a NAT that knows no more of them does.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// packet is an IPv4 packet of TCP or UDP that is no fragment.
type packet struct {
	bytes []byte
	head  int // length of the IP header
	proto byte
}

// parse reads a packet; false for what is dropped.
func parse(b []byte) (packet, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return packet{}, false
	}
	p := packet{bytes: b, head: int(b[0]&15) * 4, proto: b[9]}
	least := 8
	if p.proto == protocolTCP {
		least = 20
	}
	fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	return p, p.head >= 20 && len(b) >= p.head+least && !fragment && (p.proto == protocolTCP || p.proto == protocolUDP)
}

// offsets of addresses in the IP header and of ports behind it.
const (
	addrSource, addrTarget = 12, 16
	portSource, portTarget = 0, 2
)

func (p packet) source() netip.AddrPort { return p.end(addrSource, portSource) }
func (p packet) target() netip.AddrPort { return p.end(addrTarget, portTarget) }

func (p packet) end(addr, port int) netip.AddrPort {
	a := netip.AddrFrom4([4]byte(p.bytes[addr : addr+4]))
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(p.bytes[p.head+port:]))
}

func (p packet) setSource(to netip.AddrPort) { p.setEnd(addrSource, portSource, to) }
func (p packet) setTarget(to netip.AddrPort) { p.setEnd(addrTarget, portTarget, to) }

// setEnd writes one end of the packet, and mends both checksums by the difference (RFC 1624).
func (p packet) setEnd(addr, port int, to netip.AddrPort) {
	a := to.Addr().As4()
	ip := p.bytes[10:12]
	sum := p.bytes[p.head+6 : p.head+8] // UDP's
	if p.proto == protocolTCP {
		sum = p.bytes[p.head+16 : p.head+18]
	}
	unsummed := p.proto == protocolUDP && sum[0] == 0 && sum[1] == 0
	for i := 0; i < 4; i += 2 {
		was := p.bytes[addr+i : addr+i+2]
		mend(ip, was, a[i:i+2])
		if !unsummed {
			mend(sum, was, a[i:i+2])
		}
		copy(was, a[i:i+2])
	}
	var number [2]byte
	binary.BigEndian.PutUint16(number[:], to.Port())
	was := p.bytes[p.head+port : p.head+port+2]
	if !unsummed {
		mend(sum, was, number[:])
	}
	copy(was, number[:])
	if p.proto == protocolUDP && !unsummed && sum[0] == 0 && sum[1] == 0 {
		sum[0], sum[1] = 0xff, 0xff // zero says that there is none
	}
}

// mend replaces two bytes in a checksum.
func mend(sum, was, is []byte) {
	s := uint32(^binary.BigEndian.Uint16(sum)) + uint32(^binary.BigEndian.Uint16(was)) + uint32(binary.BigEndian.Uint16(is))
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	binary.BigEndian.PutUint16(sum, ^uint16(s))
}
