package consensus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// The counts behind DESIGN.md, "Timing": what a quiet leader sends to one voting follower and to one receiver.
func TestQuietLeaderSaysLittle(t *testing.T) {
	for _, members := range []int{12, 120} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 7, members-7, withPrincipal)
				c.start(c.peers...)
				c.until(20*time.Second, "the principal leads", c.leads("m0"))
				c.propose("m0", "x")
				<-time.After(5 * time.Second)
				voting, receiver := c.network.Sent("m0", "m1"), c.network.Sent("m0", c.peers[members-1])
				<-time.After(time.Minute)
				voting = c.network.Sent("m0", "m1") - voting
				receiver = c.network.Sent("m0", c.peers[members-1]) - receiver
				t.Logf("%d members: in a minute %d messages to a voting member, %d to a receiver", members, voting, receiver)
				if beats := int(time.Minute / c.group("m0").cfg.Timing.Heartbeat); voting > 10*beats || receiver > 5*beats {
					t.Errorf("%d and %d messages in %d heartbeat times", voting, receiver, beats)
				}
				c.end()
			})
		})
	}
}

// A follower hears of a commit within two Commit times, however quiet the group is.
func TestFollowersHearOfACommitSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 7, 20, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.propose("m0", "warm")
		limit := 2 * c.group("m0").cfg.Timing.Commit
		for i := range 20 {
			<-time.After(3 * time.Second)
			c.propose("m0", fmt.Sprint(i))
			c.level(limit + 20*time.Millisecond) // level looks every 20 ms
		}
		c.end()
	})
}

// The voting members of the largest group, far apart: forty leaders are cut off, and each time another leads soon.
func TestNextLeaderIsThereSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 7, 0, func(cfg *Config) { cfg.Timing = TimingFor(120) })
		c.delayAll(40 * time.Millisecond)
		c.start(c.peers...)
		var waits []time.Duration
		for range 40 {
			c.leader()
			<-time.After(2 * time.Second) // of two that asked at once the later may still take the lead
			leader := c.leader()
			<-time.After(5 * time.Second)
			if !c.leads(leader)() {
				t.Fatalf("%s lost its lead in a quiet group", leader)
			}
			c.network.Isolate(leader)
			began := time.Now()
			c.until(time.Minute, "another leads", func() bool {
				return slices.ContainsFunc(c.peers, func(p string) bool { return p != leader && c.leads(p)() })
			})
			waits = append(waits, time.Since(began))
			c.network.Rejoin(leader)
		}
		slices.Sort(waits)
		t.Logf("without a leader: median %s, longest %s", waits[len(waits)/2], waits[len(waits)-1])
		if w := waits[len(waits)-1]; w > 5*time.Second {
			t.Errorf("%s without a leader, want at most 5 s", w)
		}
		if m := waits[len(waits)/2]; m > 2600*time.Millisecond {
			t.Errorf("%s without a leader as a median, want at most 2.6 s", m)
		}
		c.end()
	})
}

// Answers that take longer than a candidate first waits for them: one that never waited longer would ask for ever.
func TestLateAnswersStillMakeALeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, func(cfg *Config) { cfg.Timing = TimingFor(3) })
		c.delayAll(750 * time.Millisecond)
		c.start(c.peers...)
		c.until(time.Minute, "one leads", func() bool {
			return slices.ContainsFunc(c.peers, func(p string) bool { return c.leads(p)() })
		})
		c.end()
	})
}

func TestWhoAsksInVainWaitsLonger(t *testing.T) {
	for leaderless, want := range map[time.Duration]time.Duration{
		0: 500 * time.Millisecond, 3999 * time.Millisecond: 500 * time.Millisecond, 4 * time.Second: time.Second,
		8 * time.Second: 2 * time.Second, 16 * time.Second: 4 * time.Second, time.Hour: 4 * time.Second,
	} {
		if got := TimingFor(3).askAgain(leaderless); got != want {
			t.Errorf("after %v without a leader it waits %v, want %v", leaderless, got, want)
		}
	}
}

func (c *cluster) delayAll(d time.Duration) {
	for _, a := range c.peers {
		for _, b := range c.peers {
			if a != b {
				c.network.Delay(a, b, d)
			}
		}
	}
}

func TestLargestGroupSurvivesItsPrincipal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 7, 113, withPrincipal)
		c.delayAll(40 * time.Millisecond)
		c.start(c.peers...)
		c.until(30*time.Second, "the principal leads", c.leads("m0"))
		c.proposeMany("m100", "before", 20)
		c.network.Isolate("m0")
		c.proposeMany("m101", "without", 20)
		c.until(20*time.Second, "the deputy leads", c.leads("m1"))
		c.network.Rejoin("m0")
		c.until(10*time.Second, "the principal leads again", c.leads("m0"))
		c.propose("m102", "with")
		c.level(5 * time.Second)
		c.end()
	})
}

// Chaos: machines are stopped, cut off, cut one way, slowed down, their disks hang and their machines forget, while
// commands are proposed everywhere and proposed again when their outcome is unknown. Then everything is healed.
func TestGroupAgreesThroughChaos(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	c := newCluster(t, 5, 3, func(cfg *Config) {
		withPrincipal(cfg)
		cfg.Snapshots = Snapshots{Interval: 5 * time.Second, Threshold: 60, Trailing: 40}
		cfg.ReplaceAfter = 20 * time.Second
	})
	gates := map[string]*gatedLog{}
	for _, p := range c.peers {
		gates[p] = c.gate(p)
	}
	c.start(c.peers...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, p := range c.peers {
		pause := time.Duration(300+random.IntN(600)) * time.Millisecond
		wg.Go(func() {
			for n := 0; ; n++ {
				command := fmt.Sprintf("%s-%d", p, n)
				for {
					select {
					case <-stop:
						return
					case <-time.After(pause + time.Duration(i)*time.Millisecond):
					}
					if c.try(p, command) == nil {
						break
					}
				}
			}
		})
	}
	for range 16 {
		c.trouble(random, gates)
	}
	for _, p := range c.peers {
		c.network.Rejoin(p)
		if c.group(p) == nil {
			c.start(p)
		}
	}
	<-time.After(30 * time.Second)
	close(stop)
	wg.Wait()
	c.propose("m7", "last")
	c.level(20 * time.Second)
	c.until(30*time.Second, "the principal leads", c.leads("m0"))
	c.mu.Lock()
	n := len(c.acked)
	c.mu.Unlock()
	if n < 200 {
		t.Errorf("%d commands acknowledged: the chaos left nothing to check", n)
	}
	t.Logf("%d commands acknowledged", n)
	c.end()
}

// trouble does one thing to one or two machines, and undoes it some seconds later, or leaves it.
func (c *cluster) trouble(random *rand.Rand, gates map[string]*gatedLog) {
	peer, other := c.peers[random.IntN(len(c.peers))], c.peers[random.IntN(len(c.peers))]
	pause := func() { <-time.After(time.Duration(random.IntN(15_000)) * time.Millisecond) }
	switch random.IntN(7) {
	case 0:
		if c.group(peer) == nil {
			return
		}
		c.stop(peer)
		log := c.machines[peer].Log()
		if len(log) > 0 {
			c.machines[peer].Forget(log[random.IntN(len(log))].Index)
		}
		pause()
		c.start(peer)
	case 1:
		c.network.Isolate(peer)
		pause()
		c.network.Rejoin(peer)
	case 2:
		if peer != other {
			c.network.Cut(peer, other)
		}
		pause()
	case 3:
		for _, p := range c.peers {
			c.network.Rejoin(p)
		}
		pause()
	case 4:
		side := slices.Clone(c.peers)
		random.Shuffle(len(side), func(i, j int) { side[i], side[j] = side[j], side[i] })
		k := 1 + random.IntN(len(side)-1)
		for _, a := range side[:k] {
			for _, b := range side[k:] {
				c.network.Cut(a, b)
				c.network.Cut(b, a)
			}
		}
		pause()
		for _, p := range side {
			c.network.Rejoin(p)
		}
	case 5:
		gates[peer].close()
		pause()
		gates[peer].open()
	case 6:
		for _, p := range c.peers {
			if p != peer {
				c.network.Delay(peer, p, time.Duration(random.IntN(200))*time.Millisecond)
				c.network.Break(peer, p)
			}
		}
		pause()
	}
}
