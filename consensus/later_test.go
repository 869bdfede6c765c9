package consensus

import (
	"strings"
	"testing"
	"time"
)

// newLaterCluster is three voting members and a receiver, and n1, which may take m1's place during the day.
func newLaterCluster(t *testing.T) *cluster {
	c := newCluster(t, 3, 1, func(cfg *Config) {
		withPrincipal(cfg)
		cfg.Later = []string{"n1"}
	})
	c.add("n1", 7_000_000_000_000_000_001)
	return c
}

func (c *cluster) voting(peer string) (listed, voting bool) {
	for _, p := range c.peers {
		if g := c.group(p); g != nil && g.IsLeader() {
			for _, m := range g.Status().Members {
				if m.Peer == peer {
					return true, m.Voting
				}
			}
		}
	}
	return false, false
}

func TestALaterMachineIsLetInWhenItComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newLaterCluster(t)
		c.start("m0", "m1", "m2", "m3")
		c.proposeMany("m3", "before", 20)
		<-time.After(2 * time.Minute)
		if listed, _ := c.voting("n1"); listed {
			t.Error("it is listed before it came")
		}
		c.stop("m1") // its machine is dead
		c.start("n1")
		c.until(30*time.Second, "the later machine has everything", func() bool { return c.machines["n1"].Len() == 20 })
		if listed, voting := c.voting("n1"); !listed || voting {
			t.Errorf("listed %v, voting %v: it is let in as a receiver", listed, voting)
		}
		c.proposeMany("n1", "own", 20)
		c.stop("n1")
		c.start("n1") // it is known by now, and asks nobody
		c.proposeMany("n1", "again", 5)
		// One of the two receivers takes the silent member's place; the group then survives another loss.
		c.until(5*time.Minute, "three vote without m1", func() bool {
			_, old := c.voting("m1")
			_, three := c.voting("m3")
			_, later := c.voting("n1")
			return !old && (three || later)
		})
		c.stop("m2")
		c.propose("n1", "without two of the first three")
		c.start("m1", "m2")
		c.level(30 * time.Second)
		c.end()
	})
}

func TestALaterMachineIsNoFirstMember(t *testing.T) {
	cfg := newLaterCluster(t).config
	for what, change := range map[string]func(*Config){
		"its store has a number":     func(c *Config) { c.StoreNumber = 0 },
		"no member's":                func(c *Config) { c.Later = []string{"m1"} },
		"not in the list of members": func(c *Config) { c.Later = nil },
	} {
		cfg := cfg
		cfg.StoreNumber = 5
		change(&cfg)
		if err := cfg.withDefaults().validate("n1"); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

func TestAMachineThatNobodyExpectsIsNotLetIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newLaterCluster(t)
		c.add("x1", 9)
		c.start("m0", "m1", "m2", "m3")
		c.proposeMany("m3", "before", 5)
		c.config.Later = []string{"x1"} // as it would like
		c.start("x1")
		<-time.After(time.Minute)
		if listed, _ := c.voting("x1"); listed || c.machines["x1"].Len() > 0 {
			t.Errorf("listed %v, with %d commands", listed, c.machines["x1"].Len())
		}
		c.propose("m3", "after")
		c.stop("x1")
		c.end()
	})
}
