package transport

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A member tells its addresses in a libp2p peer record, sealed with its key: whoever passes one on can't change it.

// Addrs returns the addresses that are bound, as multiaddrs that end in this machine's peer ID. What is bound to all
// interfaces is given for each.
func (h *Host) Addrs() []string {
	var out []string
	for _, a := range h.boundAddrs() {
		out = append(out, fmt.Sprintf("%s/p2p/%s", a, h.self))
	}
	return out
}

// boundAddrs resolves the listening addresses: one for each interface where all are bound. Loopback stands for itself
// only where there is nothing else.
func (h *Host) boundAddrs() []ma.Multiaddr {
	var bound []ma.Multiaddr
	// The swarm lists them in no order, and another order is no change.
	listening := slices.SortedFunc(slices.Values(h.swarm.ListenAddresses()), ma.Multiaddr.Compare)
	var ips []net.IP
	for _, a := range listening {
		if !dialable(a) {
			continue // circuits: each member makes those by itself
		}
		if !manet.IsIPUnspecified(a) {
			bound = append(bound, a)
			continue
		}
		if ips == nil {
			ips = interfaceIPs()
		}
		bound = append(bound, resolve(a, ips)...)
	}
	return bound
}

// resolve puts each IP of the right family in the place of an unspecified one.
func resolve(a ma.Multiaddr, ips []net.IP) []ma.Multiaddr {
	first, rest := ma.SplitFirst(a)
	var out []ma.Multiaddr
	for _, ip := range ips {
		host, err := manet.FromIP(ip)
		if err != nil || first == nil || host[0].Protocol().Code != first.Protocol().Code {
			continue
		}
		out = append(out, host.Encapsulate(rest))
	}
	return out
}

// interfaceIPs returns the machine's addresses that others can call: loopback only if there is no other, no link-local
// ones.
func interfaceIPs() []net.IP {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // no address now; upkeep looks again
	}
	var outer, loop []net.IP
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		switch {
		case !ok || ip.IP.IsLinkLocalUnicast():
		case ip.IP.IsLoopback():
			loop = append(loop, ip.IP)
		default:
			outer = append(outer, ip.IP)
		}
	}
	if len(outer) == 0 {
		return loop
	}
	return outer
}

// Announce replaces the addresses that other members are told, as Config.Announce, and tells those that are connected.
func (h *Host) Announce(addrs []string) error {
	parsed, err := parseAddrs(addrs, h.id)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	h.mu.Lock()
	h.announced, h.announce = addrs != nil, parsed
	h.mu.Unlock()
	if h.refreshRecord() {
		h.publish()
	}
	return nil
}

// refreshRecord seals a new record if this machine's addresses differ from those in the last one.
func (h *Host) refreshRecord() bool {
	bound := h.boundAddrs()
	h.mu.Lock()
	defer h.mu.Unlock()
	addrs := h.announce
	if !h.announced {
		addrs = append(h.outerOf(bound), bound...) // the one that others can call comes first
	}
	addrs = addrs[:min(len(addrs), maxAddrs)]
	if h.record != nil && slices.EqualFunc(addrs, h.told, ma.Multiaddr.Equal) {
		return false
	}
	// The clock orders the records of one machine across its restarts.
	h.seq = max(h.seq+1, uint64(time.Now().UnixNano()))
	envelope, err := record.Seal(&peer.PeerRecord{PeerID: h.id, Addrs: addrs, Seq: h.seq}, h.key)
	if err != nil {
		panic(fmt.Sprintf("transport: seal own record: %v", err)) // the key was usable at Start
	}
	sealed, err := envelope.Marshal()
	if err != nil {
		panic(fmt.Sprintf("transport: marshal own record: %v", err))
	}
	h.record, h.told = sealed, slices.Clone(addrs)
	return true
}

// publish sends this machine's record to every connected member.
func (h *Host) publish() {
	own := h.ownRecord()
	for _, l := range h.readyLinks() {
		if err := l.send(frameRecord, own); err != nil {
			l.shut() // it takes nothing: dead, and redialled
		}
	}
}

// ownRecord returns this machine's sealed record.
func (h *Host) ownRecord() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.record
}

// openRecord checks a sealed record and returns it with its sender's addresses that can be used.
func openRecord(sealed []byte) (*peer.PeerRecord, error) {
	var rec peer.PeerRecord
	envelope, err := record.ConsumeTypedEnvelope(sealed, &rec)
	if err != nil {
		return nil, err
	}
	if !rec.PeerID.MatchesPublicKey(envelope.PublicKey) {
		return nil, fmt.Errorf("record of %s under another key", rec.PeerID)
	}
	rec.Addrs = usable(rec.Addrs)
	return &rec, nil
}

// learnGreeting takes the record that a member has sent about itself when it was connected. What the member says now
// counts, whatever its clock says.
func (h *Host) learnGreeting(m *member, sealed []byte) error {
	rec, err := openRecord(sealed)
	if err != nil {
		return err
	}
	if rec.PeerID != m.id {
		return errors.New("record of another peer")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m.book.told, m.book.record, m.book.seq = rec.Addrs, sealed, rec.Seq
	return nil
}

// learnRecord takes any member's record from any member. Records of strangers and old ones are dropped; one that does not
// hold ends the connection with its sender.
func (h *Host) learnRecord(sealed []byte) error {
	rec, err := openRecord(sealed)
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[rec.PeerID]
	if m == nil || rec.Seq <= m.book.seq {
		return nil
	}
	m.book.told, m.book.record, m.book.seq = rec.Addrs, sealed, rec.Seq
	m.rouse()
	return nil
}

// tell answers a where: it sends the records of the members asked for, as far as this machine has them.
func (h *Host) tell(l *link, question []byte) error {
	for len(question) > 0 {
		size := int(question[0])
		if len(question) <= size {
			return errors.New("where cut short")
		}
		id := peer.ID(question[1 : 1+size])
		question = question[1+size:]
		h.mu.Lock()
		var sealed []byte
		if m := h.members[id]; m != nil && len(m.book.told) > 0 {
			sealed = m.book.record
		}
		h.mu.Unlock()
		if sealed == nil {
			continue
		}
		if err := l.send(frameRecord, sealed); err != nil {
			return err
		}
	}
	return nil
}
