package consensus

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func withPrincipal(cfg *Config) { cfg.Principal, cfg.Deputy = "m0", "m1" }

func TestPrincipalLeadsWheneverItIsLevel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 1, withPrincipal)
		c.start("m1", "m2", "m3", "m4", "m5")
		c.proposeMany("m5", "without", 100)
		c.until(20*time.Second, "the deputy leads", c.leads("m1"))
		c.start("m0")
		c.level(10 * time.Second)
		c.until(10*time.Second, "the principal leads", c.leads("m0"))
		c.proposeMany("m5", "with", 20)
		term := c.group("m0").Status().Term
		<-time.After(10 * time.Minute)
		if s := c.group("m0").Status(); s.State != Leading || s.Term != term {
			t.Errorf("after ten quiet minutes: %s in term %d, want leading in term %d", s.State, s.Term, term)
		}
		c.end()
	})
}

func TestPrincipalThatIsBehindDoesNotLead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.propose("m2", "before")
		// It answers heartbeats, and can't take entries.
		c.stop("m0")
		leader := c.leader()
		c.proposeMany(leader, "away", 2*levelSlack)
		disk := &gatedLog{LogStore: c.stores["m0"].log}
		c.stores["m0"].log = disk
		disk.close()
		c.start("m0")
		for range 120 {
			<-time.After(250 * time.Millisecond)
			if err := c.try(leader, "meanwhile"); err != nil {
				t.Fatalf("for the sake of a principal that can't take entries: %v", err)
			}
		}
		if c.leads("m0")() {
			t.Error("a principal that can't take entries leads")
		}
		c.proposeMany("m2", "meanwhile", 10)
		disk.open()
		c.level(20 * time.Second)
		c.until(10*time.Second, "the principal leads again", c.leads("m0"))
		c.end()
	})
}

// A principal that keeps losing its lead is given it back less and less often.
func TestTransfersBecomeRare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, withPrincipal)
		c.start(c.peers...)
		began := time.Now()
		leads := 0
		for time.Since(began) < 10*time.Minute {
			c.until(5*time.Minute, "the principal leads", c.leads("m0"))
			leads++
			<-time.After(2 * time.Second) // long enough for all to hear of it
			c.network.Isolate("m0")
			c.until(10*time.Second, "another leads", func() bool {
				return !c.leads("m0")() && (c.leads("m1")() || c.leads("m2")())
			})
			c.network.Rejoin("m0")
		}
		if leads < 5 || leads > 12 {
			t.Errorf("the principal was made leader %d times in ten minutes, want 5 to 12", leads)
		}
		c.end()
	})
}

func TestHistoryDoublesTheWaitWithEveryLoss(t *testing.T) {
	now := time.Date(2030, 6, 9, 8, 0, 0, 0, time.UTC)
	var h history
	h.note("p/0", now)
	want := []time.Duration{2, 4, 8, 16, 32, 64, 120, 120}
	if got := h.mayLead("p", now); !got.Equal(now) {
		t.Errorf("without a loss: %s, want at once", got.Sub(now))
	}
	for i, w := range want {
		h.note("q/0", now)
		if got := h.mayLead("p", now).Sub(now); got != w*time.Second {
			t.Errorf("after %d losses: %s, want %s", i+1, got, w*time.Second)
		}
		h.note("", now)
		h.note("p/0", now)
	}
	for range 3 * maxLosses {
		h.lost("q", now)
	}
	if len(h.losses) != maxLosses {
		t.Errorf("%d losses remembered, want %d", len(h.losses), maxLosses)
	}
	if late := now.Add(transferMemory + time.Second); !h.mayLead("q", late).Equal(late) {
		t.Error("losses are not forgotten")
	}
}

// A target that has not taken anything since a transfer to it failed is not asked again under the same lead.
func TestFailedTransferIsRepeatedOnceItsTargetHasTakenMore(t *testing.T) {
	f := transferred{to: "p/0", term: 4, index: 10}
	for _, c := range []struct {
		target server
		term   uint64
		waits  bool
	}{
		{server{id: "p/0", match: 10}, 4, true},
		{server{id: "p/0", match: 11}, 4, false},
		{server{id: "p/0", match: 10}, 5, false},
		{server{id: "q/0", match: 10}, 4, false},
	} {
		if got := f.waits(&c.target, c.term); got != c.waits {
			t.Errorf("%s with %d in term %d waits: %v", c.target.id, c.target.match, c.term, got)
		}
	}
}

// Raft's issue 696: a transfer that does not end leaves the leader refusing every command, for as long as its call to the
// target hangs (here until that call's own time-out; when Raft's replication of the target has ended meanwhile, for ever).
// The leader notices, ends that life of Raft, and the group goes on.
func TestTransferThatDoesNotEndIsEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		target := c.other(leader)
		c.propose(target, "before")
		c.level(5 * time.Second)
		e := c.group(leader).current()
		<-time.After(2 * time.Second) // the leader's own barrier is in
		c.until(5*time.Second, "the target has everything", func() bool {
			return e.trans.progress(raft.ServerID(ServerID(target, 0)), e.raft.CurrentTerm()).match == e.raft.LastIndex()
		})
		// A call that opens the connection over which the target will be told to lead: without one, dialling fails sooner.
		ask := &raft.RequestPreVoteRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(ServerID(leader, 0)), Addr: []byte(leader)},
			Term:      e.raft.CurrentTerm(),
		}
		if err := e.trans.RequestPreVote(raft.ServerID(ServerID(target, 0)), raft.ServerAddress(target), ask, &raft.RequestPreVoteResponse{}); err != nil {
			t.Fatal(err)
		}
		c.network.Cut(leader, target)
		began := time.Now()
		future := e.raft.LeadershipTransferToServer(raft.ServerID(ServerID(target, 0)), raft.ServerAddress(target))
		if err := future.Error(); err == nil {
			t.Fatal("the transfer succeeded")
		}
		<-time.After(time.Second)
		if err := e.raft.Apply([]byte("refused"), time.Second).Error(); err != raft.ErrLeadershipTransferInProgress {
			t.Fatalf("raft answers %v: the fault that this test is about did not occur", err)
		}
		if err := c.try(leader, "refused"); !isOneOf(err, ErrNoLeader) {
			t.Errorf("a leader that refuses: %v, want ErrNoLeader", err)
		}
		c.propose(leader, "refused")
		if took := time.Since(began); took > 9*time.Second || !e.lost() {
			t.Errorf("commands were refused for %s (cut itself off: %t), want less than 9 s", took, e.lost())
		}
		c.network.Rejoin(leader)
		c.level(10 * time.Second)
		c.end()
	})
}

// The same when nobody proposes anything meanwhile: a later leader finds out by itself.
func TestNewLeaderSeesWhetherItCanCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 0, nil)
		c.start("m0")
		c.leader()
		<-time.After(time.Second)
		e := c.group("m0").current()
		e.refused()
		<-time.After(time.Second)
		if e.refusingSince.Load() != nil {
			t.Error("a refusal that has passed is not forgotten")
		}
		c.end()
	})
}
