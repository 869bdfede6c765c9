package consensus

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A member that loses patience proposes the same bytes again, and so do others for it: while no majority answers the
// leader's log takes them once, and all are answered.
func TestACommandUnderWayIsNotLoggedTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, withPrincipal)
		c.start(c.peers...)
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.propose("m0", "warm")
		g := c.group("m0")
		c.network.Isolate("m0") // its lease lets it lead a little longer
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if reply, err := g.Propose(ctx, []byte("patience")); err == nil {
					t.Errorf("answered %q without a majority", reply)
				}
			})
		}
		asking.Wait()
		c.network.Rejoin("m0")
		c.until(20*time.Second, "the principal leads", c.leads("m0"))
		c.delayAll(5 * time.Millisecond) // so that all have asked before a majority answers
		replies := make(chan string, 8)
		for range cap(replies) {
			asking.Go(func() {
				reply, err := g.Propose(t.Context(), []byte("at once"))
				if err != nil {
					t.Error(err)
				}
				replies <- string(reply)
			})
		}
		asking.Wait()
		close(replies)
		want := <-replies
		for reply := range replies {
			if reply != want {
				t.Errorf("one is answered %q, another %q", want, reply)
			}
		}
		logged := map[string]int{}
		for i := uint64(1); i <= g.current().raft.LastIndex(); i++ {
			var l raft.Log
			if err := c.stores["m0"].log.GetLog(i, &l); err != nil {
				t.Fatal(err)
			}
			logged[string(l.Data)]++
		}
		if logged["patience"] > 1 || logged["at once"] != 1 {
			t.Errorf("logged so often: %v", logged)
		}
		c.end()
	})
}
