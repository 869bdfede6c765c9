package consensus

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func (c *cluster) votingAt(peer string) []string {
	var voting []string
	for _, m := range c.group(peer).Status().Members {
		if m.Voting {
			voting = append(voting, m.ID)
		}
	}
	slices.Sort(voting)
	return voting
}

func TestSilentVotingMemberIsReplacedByALevelReceiver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 2, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.network.Isolate("m3")
		c.network.Isolate("m4")
		<-time.After(55 * time.Second)
		if v := c.votingAt("m0"); !slices.Equal(v, []string{"m0/0", "m1/0", "m2/0", "m3/0", "m4/0"}) {
			t.Errorf("after 55 s these are voting: %v", v)
		}
		<-time.After(10 * time.Second)
		if v := c.votingAt("m0"); !slices.Equal(v, []string{"m0/0", "m1/0", "m2/0", "m5/0", "m6/0"}) {
			t.Errorf("after 65 s these are voting: %v", v)
		}
		c.proposeMany("m6", "on", 10)
		c.network.Isolate("m1")
		c.network.Isolate("m2")
		c.propose("m6", "two more away")
		c.network.Rejoin("m1")
		c.network.Rejoin("m2")
		c.network.Rejoin("m3")
		c.network.Rejoin("m4")
		c.level(10 * time.Second)
		c.end()
	})
}

// The leader is gone between its two steps: the next one takes the second.
func TestReplacementIsCompletedByTheNextLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 2, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.network.Isolate("m3")
		c.until(70*time.Second, "the silent member is demoted", func() bool { return len(c.votingAt("m0")) == 4 })
		c.network.Isolate("m0")
		c.until(10*time.Second, "the deputy leads", c.leads("m1"))
		c.until(5*time.Second, "five vote", func() bool { return len(c.votingAt("m1")) == 5 })
		c.propose("m5", "without the principal")
		<-time.After(3 * time.Minute)
		if v := c.votingAt("m1"); !slices.Contains(v, "m0/0") || slices.Contains(v, "m3/0") || len(v) != 5 {
			t.Errorf("these are voting: %v", v)
		}
		c.network.Rejoin("m0")
		c.network.Rejoin("m3")
		c.until(20*time.Second, "the principal leads again", c.leads("m0"))
		c.level(10 * time.Second)
		c.end()
	})
}

func TestMemberThatHearsAndIsNotHeardIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.network.Cut("m2", "m0")
		began := time.Now()
		c.until(2*time.Minute, "it is replaced", func() bool { return slices.Contains(c.votingAt("m0"), "m3/0") })
		if took := time.Since(began); took < 55*time.Second || took > 65*time.Second {
			t.Errorf("replaced after %s, want a minute", took)
		}
		if v := c.votingAt("m0"); !slices.Equal(v, []string{"m0/0", "m1/0", "m3/0"}) {
			t.Errorf("these are voting: %v", v)
		}
		c.network.Heal("m2", "m0")
		c.propose("m2", "as a receiver")
		c.level(10 * time.Second)
		c.end()
	})
}

func TestMemberThatIsNeverAwayForAMinuteStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		for range 5 {
			c.network.Isolate("m2")
			<-time.After(50 * time.Second)
			c.network.Rejoin("m2")
			<-time.After(5 * time.Second)
		}
		if v := c.votingAt("m0"); !slices.Equal(v, []string{"m0/0", "m1/0", "m2/0"}) {
			t.Errorf("these are voting: %v", v)
		}
		c.propose("m2", "still here")
		c.end()
	})
}

func TestSilentPrincipalIsNeverReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.network.Isolate("m0")
		<-time.After(5 * time.Minute)
		if v := c.votingAt("m1"); !slices.Equal(v, []string{"m0/0", "m1/0", "m2/0"}) {
			t.Errorf("these are voting: %v", v)
		}
		c.network.Rejoin("m0")
		c.until(20*time.Second, "the principal leads again", c.leads("m0"))
		c.end()
	})
}

func TestVotingMemberWhoseDiskHangsIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, withPrincipal)
		gate := c.gate("m2")
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.propose("m3", "before")
		gate.close()
		for i := range 9 {
			c.proposeMany("m3", fmt.Sprintf("meanwhile-%d", i), levelSlack/2)
			<-time.After(10 * time.Second)
		}
		if v := c.votingAt("m0"); !slices.Equal(v, []string{"m0/0", "m1/0", "m3/0"}) {
			t.Errorf("these are voting: %v", v)
		}
		gate.open()
		c.level(10 * time.Second)
		c.end()
	})
}

func TestLostStoreJoinsUnderANewNumber(t *testing.T) {
	for _, peer := range []string{"m0", "m2", "m3"} { // the principal, a voting member, a receiver
		t.Run(peer, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3, 1, withPrincipal)
				c.start(c.peers...)
				c.proposeMany("m1", "before", 50)
				c.level(5 * time.Second)
				c.stop(peer)
				c.stores[peer] = memoryStores()
				cfg := c.configOf(peer)
				cfg.StoreExisted = true
				if _, err := startOver(cfg.withDefaults(), c.network.Host(peer), c.machines[peer], c.stores[peer]); !isOneOf(err, ErrStoreLost) {
					t.Fatalf("an empty store under the same number: %v, want ErrStoreLost", err)
				}
				c.numbers[peer] = 8_123_456_789_012_345_678
				c.start(peer)
				at := c.other("m0", peer)
				c.proposeMany(at, "after", 50)
				c.until(30*time.Second, "the new store is in", func() bool {
					for _, m := range c.group(at).Status().Members {
						if m.ID == ServerID(peer, c.numbers[peer]) {
							return true
						}
					}
					return false
				})
				if peer == "m0" {
					c.until(30*time.Second, "the principal leads", c.leads("m0"))
				}
				if n := len(c.votingAt(at)); peer != "m3" && n != 3 {
					c.until(30*time.Second, "three are voting", func() bool { return len(c.votingAt(at)) == 3 })
				}
				c.propose(peer, "from the new store")
				c.level(10 * time.Second)
				for _, m := range c.group(at).Status().Members {
					if m.ID == ServerID(peer, 0) {
						t.Errorf("%s is still a member", m.ID)
					}
				}
				c.stop(peer)
				c.start(peer)
				c.propose(peer, "after a restart")
				c.level(10 * time.Second)
				c.end()
			})
		})
	}
}

// A store that was lost had promised the leader to keep an entry. Its empty successor must not answer for it: with its
// voice a member without that entry would lead, and an acknowledged command be lost.
func TestEmptyStoreDoesNotSpeakForTheLostOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		witness := c.other(leader)
		behind := c.other(leader, witness)
		c.propose(leader, "before")
		c.level(5 * time.Second)
		c.network.Isolate(behind)
		c.propose(leader, "only two have it")
		c.stop(leader, witness)
		c.stores[witness] = memoryStores()
		c.numbers[witness] = 9
		c.start(witness)
		c.network.Rejoin(behind)
		<-time.After(time.Minute)
		if c.leads(behind)() || c.leads(witness)() {
			t.Error("a member without an acknowledged command leads")
		}
		c.start(leader)
		c.propose(behind, "after")
		c.level(20 * time.Second)
		c.end()
	})
}

// A new store that was let in by a leader alone, whose group went on without that change, believes that it is a member. It
// must ask again: nobody else knows of it.
func TestNewStoreWhoseAdmissionIsTakenBackAsksAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 5, 0, func(cfg *Config) { cfg.Principal = "m0" })
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.proposeMany("m1", "before", 10)
		c.level(5 * time.Second)
		c.stop("m4")
		c.stores["m4"], c.numbers["m4"] = memoryStores(), 9
		c.start("m4")
		c.until(30*time.Second, "the old store is removed", func() bool {
			s := c.group("m0").Status()
			return len(s.Members) == 4 && s.Commit == s.Last
		})
		for _, p := range []string{"m1", "m2", "m3"} {
			c.network.Cut("m0", p)
			c.network.Cut(p, "m0")
		}
		c.until(5*time.Second, "the new store holds its admission", func() bool {
			for _, m := range c.group("m4").Status().Members {
				if m.Peer == "m4" {
					return true
				}
			}
			return false
		})
		c.network.Isolate("m0")
		c.until(20*time.Second, "the others go on", func() bool { return c.leads("m1")() || c.leads("m2")() || c.leads("m3")() })
		c.propose("m1", "without")
		<-time.After(2 * joinMemory) // what m0 remembers of the request is not to help
		c.network.Rejoin("m0")
		c.until(30*time.Second, "the new store is voting", func() bool { return len(c.votingAt("m1")) == 5 })
		c.propose("m4", "with")
		c.level(10 * time.Second)
		c.end()
	})
}

func TestJoinIsRefusedWhileTheOldStoreIsHere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.start(c.peers...)
		leader := c.leader()
		at := c.other(leader)
		c.propose(at, "x")
		for id, want := range map[string]byte{
			at + "/5": answerRefused, at + "/0": answerRefused, at + "/05": answerRefused, "m9/5": answerRefused,
			"": answerRefused, at: answerRefused,
		} {
			a := c.group(leader).handleJoin(at, frame{code: askJoin, id: 1, payload: []byte(id)})
			if a.code != want {
				t.Errorf("%q: answer %d %q, want %d", id, a.code, a.payload, want)
			}
		}
		if a := c.group(at).handleJoin(at, frame{payload: []byte(at + "/5")}); a.code != answerNotLeader || string(a.payload) != leader {
			t.Errorf("a follower answers %d %q, want the leader", a.code, a.payload)
		}
		c.end()
	})
}

// plan is a situation in a few words: "p" principal, "d" deputy, "v" listed voting, "r" receiver; then V voting now,
// + level, - behind, ! silent, * the leader.
func plan(voting int, servers map[string]string, joins ...string) situation {
	now := time.Date(2030, 6, 9, 8, 0, 0, 0, time.UTC)
	s := situation{
		now: now, since: now.Add(-time.Hour), last: 1000, beat: time.Second, replaceAfter: time.Minute, voting: voting,
		principal: "p", deputy: "d", joins: joins,
	}
	for peer, state := range servers {
		v := server{id: peer + "/0", peer: peer, listed: peer[0] != 'r', match: 1000, contact: now}
		for _, c := range state {
			switch c {
			case 'V':
				v.voting = true
			case '-':
				v.match, v.behind = 10, now.Add(-time.Second)
			case '!':
				v.contact = now.Add(-2 * time.Minute)
			case '*':
				v.self = true
			case 's':
				v.match, v.behind = 10, now.Add(-2*time.Minute)
			}
		}
		s.servers = append(s.servers, v)
	}
	slices.SortFunc(s.servers, func(a, b server) int { return len(a.id) - len(b.id) })
	return s
}

func TestLeaderChangesMembersOneStepAtATime(t *testing.T) {
	for name, test := range map[string]struct {
		voting  int
		servers map[string]string
		joins   []string
		want    []change // one of these
	}{
		"all well":               {3, map[string]string{"p": "V*", "d": "V", "v1": "V", "r1": ""}, nil, []change{{}}},
		"silent is demoted":      {3, map[string]string{"p": "V*", "d": "V", "v1": "V!", "r1": ""}, nil, []change{{demote, "v1/0"}}},
		"stuck is demoted":       {3, map[string]string{"p": "V*", "d": "V", "v1": "Vs", "r1": ""}, nil, []change{{demote, "v1/0"}}},
		"then one is promoted":   {3, map[string]string{"p": "V*", "d": "V", "v1": "!", "r1": ""}, nil, []change{{promote, "r1/0"}}},
		"listed before others":   {3, map[string]string{"p": "V*", "d": "V", "v1": "", "r1": ""}, nil, []change{{promote, "v1/0"}}},
		"none level":             {3, map[string]string{"p": "V*", "d": "V", "v1": "V!", "r1": "-"}, nil, []change{{}}},
		"no receiver":            {3, map[string]string{"p": "V*", "d": "V", "v1": "V!"}, nil, []change{{}}},
		"receiver silent":        {3, map[string]string{"p": "V*", "d": "V", "v1": "V!", "r1": "!"}, nil, []change{{}}},
		"principal stays":        {3, map[string]string{"p": "V!", "d": "V*", "v1": "V", "r1": ""}, nil, []change{{}}},
		"deputy may be replaced": {3, map[string]string{"p": "V*", "d": "V!", "v1": "V", "r1": ""}, nil, []change{{demote, "d/0"}}},
		"principal gets a place": {3, map[string]string{"p": "", "d": "V*", "v1": "V", "r1": "V"}, nil, []change{{demote, "r1/0"}}},
		"principal promoted":     {3, map[string]string{"p": "", "d": "V*", "v1": "V", "r1": ""}, nil, []change{{promote, "p/0"}}},
		"no majority left":       {5, map[string]string{"p": "V!", "d": "V!", "v1": "V*", "v2": "V", "v3": "V!", "r1": ""}, nil, []change{{demote, "d/0"}, {demote, "v3/0"}, {}}},
		"unknown joins":          {3, map[string]string{"p": "V*", "d": "V", "v1": "V"}, []string{"x/5"}, []change{{add, "x/5"}}},
		"old number goes first":  {3, map[string]string{"p": "V*", "d": "V", "v1": "V!"}, []string{"v1/5"}, []change{{remove, "v1/0"}}},
		"own number stays":       {3, map[string]string{"p": "V*", "d": "V", "v1": "V"}, []string{"p/5"}, []change{{}}},
		"already in":             {3, map[string]string{"p": "V*", "d": "V", "v1": "V"}, []string{"v1/0"}, []change{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := plan(test.voting, test.servers, test.joins...)
			if got := s.next(); !slices.Contains(test.want, got) {
				t.Errorf("%v, want one of %v", got, test.want)
			}
		})
	}
}
