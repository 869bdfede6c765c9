package transport

import (
	"slices"
	"strings"
	"time"
)

// PeerStatus is what a Host knows of one member.
type PeerStatus struct {
	Peer      string
	Connected bool
	Relayed   bool          // the connection goes through a relay
	Since     time.Time     // of the newest connection; zero if none
	Links     int           // connections, those in their greeting included
	Streams   int           // streams open, both ways
	Addrs     int           // addresses known
	RTT       time.Duration // last round trip measured, 0 = never
	Sent      uint64        // bytes written to streams since Start
	Received  uint64        // bytes read from streams since Start
	LastError string        // why the last attempt to connect failed; empty after a success
}

// Refusals count what a Host has refused since Start.
type Refusals struct {
	Strangers   uint64 // incoming connections of peers that are not members
	WrongKeys   uint64 // a member's address where another key answered
	Connections uint64 // incoming connections beyond the limits per address, per peer or in all
	Streams     uint64 // members' streams beyond their limits
	Backlog     uint64 // members' streams that no Accept took in time
	Floods      uint64 // members disconnected for a while because of their streams
	Circuits    uint64 // places and circuits asked of this relay that are not for two members
}

// Connected returns the peer IDs of the members that are connected, sorted.
func (h *Host) Connected() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.members))
	for _, m := range h.members {
		if m.best() != nil {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	return names
}

// Status returns every member's status, sorted by peer ID.
func (h *Host) Status() []PeerStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]PeerStatus, 0, len(h.members))
	for _, m := range h.members {
		s := PeerStatus{
			Peer: m.name, Links: len(m.links), Addrs: len(m.book.candidates()), RTT: m.rtt,
			Sent: m.sent.Load(), Received: m.received.Load(),
		}
		for _, l := range m.links {
			s.Streams += int(l.streams.Load())
		}
		if l := m.best(); l != nil {
			s.Connected, s.Relayed, s.Since = true, l.relayed, l.since
		}
		if m.lastErr != nil {
			s.LastError = m.lastErr.Error()
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b PeerStatus) int { return strings.Compare(a.Peer, b.Peer) })
	return all
}

// Refused returns what was refused since Start.
func (h *Host) Refused() Refusals {
	return Refusals{
		Strangers:   h.refused.strangers.Load(),
		WrongKeys:   h.refused.wrongKeys.Load(),
		Connections: h.refused.connections.Load(),
		Streams:     h.refused.streams.Load(),
		Backlog:     h.refused.backlog.Load(),
		Floods:      h.refused.floods.Load(),
		Circuits:    h.refused.circuits.Load(),
	}
}
