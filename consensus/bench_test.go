package consensus

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pointage/consensus/consensustest"
)

// counter is the cheapest machine: what is measured is the way to it.
type counter struct{ applied atomic.Uint64 }

func (c *counter) Apply(first uint64, commands [][]byte) [][]byte {
	replies := make([][]byte, len(commands))
	for i := range commands {
		replies[i] = binary.BigEndian.AppendUint64(nil, first+uint64(i))
	}
	c.applied.Store(first + uint64(len(commands)) - 1)
	return replies
}
func (c *counter) Snapshot(io.Writer) error { return nil }
func (c *counter) Restore(io.Reader) error  { return nil }
func (c *counter) Applied() uint64          { return c.applied.Load() }

// startGroup starts members on real stores, in real time, the first of them principal, and waits until it leads.
func startGroup(tb testing.TB, voting, receivers int, memory bool, answers Answers) (*consensustest.Network, []*Group) {
	tb.Helper()
	network := consensustest.NewNetwork()
	cfg := Config{Principal: "m0", Answers: answers}
	for i := range voting + receivers {
		cfg.Members = append(cfg.Members, Member{Peer: fmt.Sprintf("m%d", i), Voting: i < voting})
	}
	groups := make([]*Group, len(cfg.Members))
	for i, m := range cfg.Members {
		var err error
		if memory {
			groups[i], err = startOver(cfg.withDefaults(), network.Host(m.Peer), &counter{}, memoryStores())
		} else {
			cfg.Dir = tb.TempDir()
			groups[i], err = Start(cfg, network.Host(m.Peer), &counter{})
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		var wg sync.WaitGroup
		for _, g := range groups {
			wg.Go(func() { _ = g.Close() })
		}
		wg.Wait()
	})
	for _, g := range groups {
		eventually(tb, "the principal leads", func() bool { l, _ := g.Leader(); return l == "m0" })
	}
	return network, groups
}

// signed signs each answer with Ed25519, as whoever uses the package does.
type signed struct{ key ed25519.PrivateKey }

func (s signed) Seal(command, reply []byte) ([]byte, bool) {
	sum := sha256.Sum256(command)
	return append(ed25519.Sign(s.key, append(sum[:], reply...)), reply...), true
}

func (s signed) Open(_ string, command, sealed []byte) ([]byte, error) {
	sum := sha256.Sum256(command)
	reply := sealed[ed25519.SignatureSize:]
	if !ed25519.Verify(s.key.Public().(ed25519.PublicKey), append(sum[:], reply...), sealed[:ed25519.SignatureSize]) {
		return nil, errSeal
	}
	return reply, nil
}

// BenchmarkPropose measures commands of 310 bytes, proposed at the leader or at a follower of a group of three, on real
// stores, over a network in memory; "signed" with an Ed25519 signature for each answer.
func BenchmarkPropose(b *testing.B) {
	for _, at := range []string{"leader", "follower", "signed"} {
		for _, clients := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("at=%s/clients=%d", at, clients), func(b *testing.B) {
				var answers Answers
				if at == "signed" {
					answers = signed{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
				}
				_, groups := startGroup(b, 3, 0, false, answers)
				g := groups[0]
				if at != "leader" {
					g = groups[1]
				}
				b.ResetTimer()
				var next atomic.Int64
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						for next.Add(1) <= int64(b.N) {
							for {
								_, err := g.Propose(context.Background(), make([]byte, 310))
								if err == nil {
									break
								}
								if !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrNoLeader) {
									b.Error(err)
									return
								}
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
			})
		}
	}
}

// BenchmarkIdle measures what a quiet group costs: processor seconds a second, all members together in one process. With
// -benchtime=1x it takes ten seconds for each size.
func BenchmarkIdle(b *testing.B) {
	for _, members := range []int{12, 25, 60, 120} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			_, _ = startGroup(b, 7, members-7, true, nil)
			<-time.After(3 * time.Second)
			before := processorTime(b)
			b.ResetTimer()
			const span = 10 * time.Second
			<-time.After(span)
			b.ReportMetric((processorTime(b)-before).Seconds()/span.Seconds(), "cores")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
