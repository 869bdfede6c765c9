package consensus

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test of a cluster in virtual time. That the bubble ends shows that no goroutine of the group is left.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestMembersStartInAnyOrderAndAgree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 2, nil)
		c.start("m4", "m1")
		if err := c.try("m1", "too early"); !isOneOf(err, ErrNoLeader) {
			t.Errorf("a proposal without a majority: %v, want ErrNoLeader", err)
		}
		c.start("m3", "m0", "m2")
		for _, p := range c.peers {
			c.proposeMany(p, p, 20)
		}
		c.level(5 * time.Second)
		c.end()
	})
}

func TestOneMemberIsAGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 0, nil)
		c.start("m0")
		c.propose("m0", "a")
		c.stop("m0")
		c.start("m0")
		c.propose("m0", "b")
		c.end()
	})
}

func TestMembersRestartWhereTheyStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 2, nil)
		c.start(c.peers...)
		c.proposeMany("m3", "first", 50)
		c.stop(c.peers...)
		c.start("m4", "m2", "m0", "m3", "m1")
		c.proposeMany("m4", "second", 50)
		c.level(5 * time.Second)
		if n := len(c.machines["m4"].Log()); n != 100 {
			t.Errorf("%d commands applied, want 100", n)
		}
		c.end()
	})
}

func TestKilledLeaderIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 2, nil)
		c.start(c.peers...)
		first := c.leader()
		at := c.other(first)
		c.proposeMany(at, "before", 20)
		c.network.Isolate(first)
		c.stop(first)
		began := time.Now()
		c.propose(at, "after")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the next leader took %s, want at most 5 s", took)
		}
		c.network.Rejoin(first)
		c.start(first)
		c.proposeMany(first, "back", 20)
		c.level(5 * time.Second)
		c.end()
	})
}

func TestMinorityAcknowledgesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		with := c.other(leader)
		c.propose(leader, "before")
		for _, p := range c.peers {
			if p != leader && p != with {
				c.network.Cut(p, leader)
				c.network.Cut(leader, p)
				c.network.Cut(p, with)
				c.network.Cut(with, p)
			}
		}
		majority := c.other(leader, with)
		sure, unknown := 0, []string{}
		for i := range 20 {
			command := fmt.Sprintf("minority-%d", i)
			switch err := c.try([]string{leader, with}[i%2], command); {
			case err == nil:
				t.Errorf("%s was acknowledged by a minority", command)
			case isOneOf(err, ErrUnknownOutcome):
				unknown = append(unknown, command)
			case isOneOf(err, ErrNoLeader):
				sure++
			default:
				t.Errorf("%s: %v", command, err)
			}
		}
		if len(unknown) == 0 || sure == 0 {
			t.Errorf("%d unknown and %d refused: want some of both", len(unknown), sure)
		}
		c.proposeMany(majority, "majority", 20)
		for _, p := range c.peers {
			c.network.Rejoin(p)
		}
		for _, command := range unknown {
			c.propose(with, command)
		}
		c.level(15 * time.Second)
		if n := len(c.machines[with].Log()); n != 21+len(unknown) {
			t.Errorf("%d commands applied, want %d: what was refused must not appear, nothing twice", n, 21+len(unknown))
		}
		c.end()
	})
}

func TestLeaderHeardByNobodyIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		c.start(c.peers...)
		leader := c.leader()
		for _, p := range c.peers {
			if p != leader {
				c.network.Cut(leader, p)
			}
		}
		at := c.other(leader)
		c.proposeMany(at, "cut", 10)
		c.network.Rejoin(leader)
		c.level(5 * time.Second)
		c.end()
	})
}

func TestLeaderThatHearsNobodyIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		c.start(c.peers...)
		leader := c.leader()
		for _, p := range c.peers {
			if p != leader {
				c.network.Cut(p, leader)
			}
		}
		if err := c.try(leader, "into the void"); !isOneOf(err, ErrUnknownOutcome) {
			t.Errorf("a leader that hears nobody answers %v, want ErrUnknownOutcome", err)
		}
		at := c.other(leader)
		c.proposeMany(at, "cut", 10)
		c.network.Rejoin(leader)
		c.propose(leader, "into the void")
		c.level(5 * time.Second)
		c.end()
	})
}

// The follower that neither hears the leader nor can be told apart from a dead one must not disturb the others.
func TestFollowerThatHearsNobodyDisturbsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		deaf := c.other(leader)
		c.propose(leader, "before")
		term := c.group(leader).Status().Term
		c.network.Cut(leader, deaf)
		for range 20 {
			<-time.After(time.Second)
			if err := c.try(leader, "x"); err != nil {
				t.Errorf("the leader answers %v", err)
			}
		}
		if s := c.group(leader).Status(); s.Term != term || s.State != Leading {
			t.Errorf("%s in term %d, want leading in term %d", s.State, s.Term, term)
		}
		c.network.Rejoin(deaf)
		c.level(5 * time.Second)
		c.end()
	})
}

// Raft sleeps for up to 10 s between attempts to reach a member that was away; a held call does not.
func TestMemberBackAfterALongTimeIsLevelSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		c.start(c.peers...)
		leader := c.leader()
		away := "m3"
		c.propose(leader, "before")
		c.network.Isolate(away)
		for i := range 10 {
			c.proposeMany(leader, fmt.Sprintf("away-%d", i), 200)
			<-time.After(time.Minute)
		}
		c.network.Rejoin(away)
		c.level(2500 * time.Millisecond)
		c.end()
	})
}

func TestReceiverFarBehindGetsASnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, func(cfg *Config) {
			cfg.Snapshots = Snapshots{Interval: time.Second, Threshold: 50, Trailing: 10}
		})
		c.start(c.peers...)
		leader := c.leader()
		c.proposeMany(leader, "before", 10)
		c.network.Isolate("m3")
		c.proposeMany(leader, "away", 500)
		<-time.After(10 * time.Second)
		c.proposeMany(leader, "last", 5)
		c.network.Rejoin("m3")
		c.level(10 * time.Second)
		if _, restores, _ := c.machines["m3"].Counts(); restores != 1 {
			t.Errorf("restored %d times, want once", restores)
		}
		c.proposeMany("m3", "after", 20)
		c.level(5 * time.Second)
		c.end()
	})
}

func TestSameBytesProposedAgainTakeEffectOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		at := c.other(leader)
		c.propose(at, "warm")
		// The leader gets the command and commits it; its answer does not come back.
		c.network.Cut(leader, at)
		if err := c.try(at, "once"); !isOneOf(err, ErrUnknownOutcome) {
			t.Fatalf("an answer that is lost: %v, want ErrUnknownOutcome", err)
		}
		c.network.Rejoin(at)
		c.propose(at, "once")
		c.level(5 * time.Second)
		if n := len(c.machines[leader].Log()); n != 2 {
			t.Errorf("%d commands, want 2", n)
		}
		c.end()
	})
}

// lateNetwork hands over connections under ProtocolPropose only once it is let go, whatever has become of the context.
type lateNetwork struct {
	Network
	let chan struct{}
}

func (n lateNetwork) Dial(ctx context.Context, peer, protocol string) (net.Conn, error) {
	conn, err := n.Network.Dial(ctx, peer, protocol)
	if protocol == ProtocolPropose {
		<-n.let
	}
	return conn, err
}

func TestCloseEndsAConnectionThatIsMadeMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		c.start("m0", "m1", "m2")
		c.propose(c.leader(), "before")
		let := make(chan struct{})
		g, err := startOver(c.configOf("m3").withDefaults(), lateNetwork{c.network.Host("m3"), let}, c.machines["m3"], c.stores["m3"])
		if err != nil {
			t.Fatal(err)
		}
		c.until(5*time.Second, "a leader is known", func() bool { _, ok := g.Leader(); return ok })
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = g.Propose(context.Background(), []byte("late")) // it may or may not get through
		})
		time.AfterFunc(time.Second, func() { close(let) })
		<-time.After(100 * time.Millisecond)
		if err := g.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		wg.Wait()
		c.end()
	})
}

func TestProposalsStandInTheOrderOfTheirCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		c.propose(leader, "first")
		for _, at := range []string{leader, c.other(leader)} {
			var last string
			for i := range 50 {
				reply, err := c.group(at).Propose(context.Background(), fmt.Appendf(nil, "%s-%d", at, i))
				if err != nil {
					t.Fatal(err)
				}
				if len(reply) < len(last) || len(reply) == len(last) && string(reply) <= last {
					t.Errorf("index %s after %s", reply, last)
				}
				last = string(reply)
			}
		}
		c.end()
	})
}

func TestProposeRefusesWhatItCantTake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, func(cfg *Config) { cfg.MaxCommand = 1000 })
		c.start(c.peers...)
		leader := c.leader()
		at := c.other(leader)
		c.propose(at, "warm")
		g := c.group(at)
		if _, err := g.Propose(context.Background(), make([]byte, 1001)); !isOneOf(err, ErrTooLarge) {
			t.Errorf("1001 bytes: %v, want ErrTooLarge", err)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := g.Propose(over, []byte("x")); !isOneOf(err, ErrNoLeader) {
			t.Errorf("a context that has ended: %v, want ErrNoLeader", err)
		}
		c.end()
		if _, err := g.Propose(context.Background(), []byte("x")); !isOneOf(err, ErrClosed) {
			t.Errorf("a closed group: %v, want ErrClosed", err)
		}
	})
}

func TestChangesTellsOfEveryLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		c.start(c.peers...)
		g := c.group("m3")
		seen := make(chan string, 100)
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			last := ""
			for {
				changed := g.Changes()
				if leader, ok := g.Leader(); ok && leader != last {
					seen <- leader
					last = leader
				}
				select {
				case <-changed:
				case <-done:
					return
				}
			}
		})
		first := <-seen
		c.stop(first)
		second := <-seen
		if first == second || !c.group(second).IsLeader() {
			t.Errorf("%s leads after %s", second, first)
		}
		if s := g.Status(); s.LeaderChanges != 2 || s.Leader != second || s.State != Following {
			t.Errorf("status %+v", s)
		}
		close(done)
		wg.Wait()
		c.end()
	})
}
