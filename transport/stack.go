package transport

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2ptransport "github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	goyamux "github.com/libp2p/go-yamux/v5"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// maxWindow bounds what one TCP stream may have in flight: 6 MiB/s at 150 ms, and 8 s of waiting behind it at 1 Mbit/s,
// within bulkTimeout.
const maxWindow = 1 << 20

// stack is libp2p's parts, put together by hand: the swarm with its transports, without the host that libp2p.New builds
// around them (DESIGN.md says why).
type stack struct {
	swarm     *swarm.Swarm
	peers     peerstore.Peerstore
	resources network.ResourceManager
	quic      *quicreuse.ConnManager
	punch     *holepunch.Service // nil without relays
	relay     *relay.Relay       // nil at a machine that is none
}

// quietLibrary drops libp2p's own log, which repeats what this package reports: it would be lines of JSON on a person's
// terminal. GOLOG_LOG_LEVEL brings it back.
var quietLibrary = sync.OnceFunc(func() {
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
})

// newStack builds the stack for h. Nothing listens yet.
func newStack(h *Host, listen []ma.Multiaddr) (*stack, error) {
	quietLibrary()
	s := &stack{}
	resources, err := h.limits.newResources()
	if err != nil {
		return nil, err
	}
	s.resources = &meter{ResourceManager: resources, h: h}
	if s.peers, err = pstoremem.NewPeerstore(); err != nil {
		return nil, errors.Join(fmt.Errorf("open peer store: %w", err), s.close())
	}
	if err := errors.Join(s.peers.AddPubKey(h.id, h.key.GetPublic()), s.peers.AddPrivKey(h.id, h.key)); err != nil {
		return nil, errors.Join(fmt.Errorf("store own key: %w", err), s.close())
	}
	// The detectors of black holes are off: they stop dialling UDP or IPv6 after failures, and a cable that was cut for a
	// while looks like that. The swarm's time limits are never the shorter ones: every dial has its own.
	s.swarm, err = swarm.NewSwarm(h.id, s.peers, eventbus.NewBus(),
		swarm.WithConnectionGater(&gate{h: h}), swarm.WithResourceManager(s.resources),
		swarm.WithDialTimeout(maxDial), swarm.WithDialTimeoutLocal(maxDial),
		swarm.WithUDPBlackHoleSuccessCounter(nil), swarm.WithIPv6BlackHoleSuccessCounter(nil))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open swarm: %w", err), s.close())
	}
	if err := errors.Join(s.addTCP(h), s.addQUIC(h)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// addTCP adds TCP secured by Noise, or by TLS 1.3 where the other side prefers it, with yamux's streams.
func (s *stack) addTCP(h *Host) error {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: newYamux()}}
	secureNoise, err := noise.New(noise.ID, h.key, muxers)
	if err != nil {
		return fmt.Errorf("open Noise: %w", err)
	}
	secureTLS, err := libp2ptls.New(libp2ptls.ID, h.key, muxers)
	if err != nil {
		return fmt.Errorf("open TLS: %w", err)
	}
	up, err := upgrader.New([]sec.SecureTransport{secureNoise, secureTLS}, muxers, nil, s.resources, &gate{h: h},
		upgrader.WithAcceptTimeout(maxDial))
	if err != nil {
		return fmt.Errorf("open upgrader: %w", err)
	}
	// Without port reuse a call has a port of its own: simultaneous calls stay two connections, and a server that was
	// restarted is not refused by its former one's sockets.
	t, err := tcp.NewTCPTransport(up, s.resources, nil, tcp.DisableReuseport(), tcp.WithConnectionTimeout(maxDial))
	if err != nil {
		return fmt.Errorf("open TCP: %w", err)
	}
	if err := s.add(t); err != nil {
		return err
	}
	return s.addRelays(h, up)
}

func (s *stack) add(t libp2ptransport.Transport) error {
	if err := s.swarm.AddTransport(t); err != nil {
		return fmt.Errorf("add transport: %w", err)
	}
	return nil
}

// newYamux configures the streams of a TCP connection. Its keep-alive is off, as the transport's own replaces it.
func newYamux() network.Multiplexer {
	cfg := goyamux.DefaultConfig()
	cfg.EnableKeepAlive = false
	// Measuring wakes a goroutine; the round trip serves only to let windows grow.
	cfg.MeasureRTTInterval = time.Minute
	cfg.MaxStreamWindowSize = maxWindow
	cfg.MaxIncomingStreams = math.MaxUint32 // the resource manager's affair
	cfg.ReadBufSize = 0                     // the security layer buffers
	cfg.LogOutput = io.Discard
	return (*yamux.Transport)(cfg)
}

// addQUIC adds QUIC, which has TLS 1.3 and streams of its own. One UDP socket serves calls both ways.
func (s *stack) addQUIC(h *Host) error {
	raw, err := h.key.Raw()
	if err != nil {
		return fmt.Errorf("open QUIC: %w", err)
	}
	// The reset key survives a restart, so that a peer's half of an old connection is ended at once.
	var reset quic.StatelessResetKey
	var token quic.TokenGeneratorKey
	for info, key := range map[string][]byte{"transport quic reset": reset[:], "transport quic token": token[:]} {
		derived, err := hkdf.Key(sha256.New, raw, nil, info, len(key))
		if err != nil {
			return fmt.Errorf("open QUIC: derive key: %w", err)
		}
		copy(key, derived)
	}
	s.quic, err = quicreuse.NewConnManager(reset, token,
		quicreuse.ConnContext(func(ctx context.Context, from *quic.ClientInfo) (context.Context, error) {
			addr, err := quicreuse.ToQuicMultiaddr(from.RemoteAddr, quic.Version1)
			if err != nil {
				return ctx, err
			}
			scope, err := s.resources.OpenConnection(network.DirInbound, false, addr)
			if err != nil {
				return ctx, err
			}
			context.AfterFunc(ctx, scope.Done)
			return network.WithConnManagementScope(ctx, scope), nil
		}),
		quicreuse.VerifySourceAddress(func(addr net.Addr) bool { return s.resources.VerifySourceAddress(addr) }))
	if err != nil {
		return fmt.Errorf("open QUIC: %w", err)
	}
	t, err := libp2pquic.NewTransport(h.key, s.quic, nil, &gate{h: h}, s.resources)
	if err != nil {
		return fmt.Errorf("open QUIC: %w", err)
	}
	return s.add(t)
}

// listen binds every address, or none.
func (s *stack) listen(addrs []ma.Multiaddr) error {
	for _, a := range addrs {
		if err := s.swarm.Listen(a); err != nil {
			return fmt.Errorf("listen on %s: %w", a, err)
		}
	}
	return nil
}

// close ends the stack, in the reverse order of its making, from wherever that stopped.
func (s *stack) close() error {
	var errs []error
	if s.punch != nil {
		errs = append(errs, s.punch.Close())
	}
	if s.relay != nil {
		errs = append(errs, s.relay.Close())
	}
	if s.swarm != nil {
		errs = append(errs, s.swarm.Close())
	}
	if s.quic != nil {
		errs = append(errs, s.quic.Close())
	}
	if s.peers != nil {
		errs = append(errs, s.peers.Close())
	}
	if s.resources != nil {
		errs = append(errs, s.resources.Close())
	}
	return errors.Join(errs...)
}
