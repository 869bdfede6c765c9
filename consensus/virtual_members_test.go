package consensus

import "time"

// watchMembers looks at what every leader makes of the members, until the proposers stop: no store of the principal that
// once voted is made a receiver; never too many vote; and as long as no store was lost, at most one place is empty.
func (d *day) watchMembers() (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		voted := map[string]bool{}
		for {
			select {
			case <-time.After(500 * time.Millisecond):
			case <-d.stop:
				return
			}
			for _, p := range d.peers {
				if g := d.group(p); g != nil && g.IsLeader() {
					d.judgeMembers(g.Status(), voted)
				}
			}
		}
	}()
	return done
}

func (d *day) judgeMembers(s Status, voted map[string]bool) {
	if len(s.Members) == 0 { // it has just stopped
		return
	}
	for _, m := range s.Members {
		if voted[m.ID] && !m.Voting {
			d.mu.Lock()
			d.report.demotions++
			d.mu.Unlock()
			if m.Peer == d.config.Principal {
				d.offence("%s made the principal, %s, a receiver", s.ID, m.ID)
			}
		}
		voted[m.ID] = m.Voting
	}
	d.mu.Lock()
	lost := d.report.lostStores
	d.mu.Unlock()
	if n := votingIn(s); n > d.shape.voting || n < d.shape.voting-1-lost {
		d.offence("%d members vote, %d stores were lost so far", n, lost)
	}
}

func votingIn(s Status) int {
	n := 0
	for _, m := range s.Members {
		if m.Voting {
			n++
		}
	}
	return n
}
