package consensus

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMembersStartInAnyOrderAndAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
