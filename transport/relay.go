package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptransport "github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// Limits of what a relay carries. How many circuits and reservations it has is bounded by Limits.Members.
const (
	// circuitBytes ends a circuit, each way: a whole day of the largest commune passes in one. Both sides call again.
	circuitBytes = 512 << 20
	// circuitTime ends a circuit too: whoever forgot one does not keep it.
	circuitTime = 4 * time.Hour
	// circuitBuffer is what is read from one side at a time, in bytes.
	circuitBuffer = 16 << 10
	// reservedFor is how long a relay keeps a place; it is asked again after two thirds.
	reservedFor = time.Hour
	// reserveAgain is the pause after a relay refused a place.
	reserveAgain = 10 * time.Second
	// takeover is how long a relayed connection is left to its streams once a direct one is there.
	takeover = 5 * time.Second
)

func init() {
	// The library's minute would hold up every further call through the relay that did not answer.
	client.DialTimeout = maxDial
}

// relayed says whether a connection goes through a relay.
func relayed(c network.Conn) bool {
	_, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// addRelays lets the machine call and be called through the relays of Config.Relays, and makes it one if it is among
// them. Without relays nothing of this is there.
func (s *stack) addRelays(h *Host, up libp2ptransport.Upgrader) error {
	if !h.relays {
		return nil
	}
	c, err := client.New(face{h: h}, up)
	if err != nil {
		return fmt.Errorf("open circuits: %w", err)
	}
	c.Start()
	return s.add(c)
}

// openRelay begins to listen for circuits and, at a relay, to carry those of others. The swarm is there.
func (s *stack) openRelay(h *Host) (err error) {
	if !h.relays {
		return nil
	}
	if err := s.swarm.Listen(ma.StringCast("/p2p-circuit")); err != nil {
		return fmt.Errorf("listen for circuits: %w", err)
	}
	if s.punch, err = newPunch(h); err != nil {
		return fmt.Errorf("open hole punching: %w", err)
	}
	if !h.serves {
		return nil
	}
	s.relay, err = relay.New(face{h: h}, relay.WithACL(membersOnly{h}), relay.WithResources(relay.Resources{
		Limit:          &relay.RelayLimit{Duration: circuitTime, Data: circuitBytes},
		ReservationTTL: reservedFor, MaxReservations: h.limits.Members, MaxReservationsPerIP: h.limits.Members,
		MaxReservationsPerASN: h.limits.Members, MaxCircuits: h.limits.Members, BufferSize: circuitBuffer,
	}))
	if err != nil {
		return fmt.Errorf("open relay: %w", err)
	}
	return nil
}

// membersOnly is the relay's list: places and circuits are for members, at both ends.
type membersOnly struct{ h *Host }

// AllowReserve implements relay.ACLFilter.
func (m membersOnly) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return m.h.relaysFor(p) }

// AllowConnect implements relay.ACLFilter.
func (m membersOnly) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return m.h.relaysFor(src) && m.h.relaysFor(dest)
}

// relaysFor says whether this relay serves p, and counts those that it does not.
func (h *Host) relaysFor(p peer.ID) bool {
	ok := h.allowed(p)
	if !ok {
		h.refused.circuits.Add(1)
	}
	return ok
}

// circuits are the addresses of a member through each relay that is connected. Host.mu is held. Nobody else's word
// makes one: a relayed address that a record tells is dropped.
func (h *Host) circuits(m *member) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, r := range h.members {
		if !r.relay || r == m || m.relay {
			continue
		}
		if l := r.direct(); l != nil {
			out = append(out, ma.Join(l.conn.RemoteMultiaddr(), ma.StringCast("/p2p/"+r.name+"/p2p-circuit")))
		}
	}
	return out
}

// direct returns the newest ready link that goes through no relay, nil if none. Host.mu is held.
func (m *member) direct() *link {
	for _, l := range slices.Backward(m.links) {
		if l.ready && !l.relayed {
			return l
		}
	}
	return nil
}

// keepPlace holds a place at a relay while the link with it lasts, so that others reach this machine through it.
func (h *Host) keepPlace(l *link) {
	defer h.wg.Done()
	for refusals := 0; ; {
		wait := reserveAgain
		ctx, cancel := context.WithTimeout(h.ctx, maxDial)
		place, err := client.Reserve(ctx, face{h: h, via: l}, peer.AddrInfo{ID: l.m.id})
		cancel()
		switch {
		case h.ctx.Err() != nil:
			return
		case err == nil:
			h.log.Info("reachable through a relay", "relay", l.m.name, "until", place.Expiration)
			wait, refusals = max(time.Until(place.Expiration)*2/3, reserveAgain), 0
		default:
			if refusals++; refusals == 1 {
				h.log.Warn("relay keeps no place, to be asked again", "relay", l.m.name, "err", err)
			}
		}
		timer := time.NewTimer(jitter(wait))
		select {
		case <-timer.C:
		case <-l.ended:
			timer.Stop()
			return
		case <-h.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// service is a protocol of libp2p's own, run by one of its parts behind a face.
type service func(network.Stream)

// errNoService says that a member asked for a relay's protocol where it may not.
var errNoService = errors.New("no relay's protocol is open to this connection")

// serviceFor returns libp2p's part that runs a stream's protocol, nil if none does. A circuit is taken only from
// a relay of the configuration, a place only given on a direct connection, a hole only punched from a relayed one.
func (h *Host) serviceFor(l *link, s network.Stream) (service, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.services[s.Protocol()]
	if f == nil {
		return nil, nil
	}
	switch s.Protocol() {
	case proto.ProtoIDv2Stop:
		if !l.m.relay || l.relayed {
			return nil, errNoService
		}
	case proto.ProtoIDv2Hop:
		if l.relayed {
			return nil, errNoService
		}
	default:
		if !l.relayed {
			return nil, errNoService
		}
	}
	return f, nil
}
