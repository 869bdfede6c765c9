package node

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"pointage/node/web"
)

const (
	// clockTimeout bounds the asking of the other bureaux' clocks, maxClocks how many are asked.
	clockTimeout, maxClocks = 2 * time.Second, 16
)

// answerClock tells this machine's time, milliseconds since 1970: for people at the opening, never the ground of a
// decision.
func (n *Node) answerClock([]byte) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n.now())) }

// Clocks compares this machine's clock with those of the bureaux that answer now.
func (n *Node) Clocks(ctx context.Context) (out []web.Clock) {
	if err := n.enter(); err != nil {
		return nil
	}
	defer n.acts.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	peers := n.connected()
	peers = peers[:min(len(peers), maxClocks)]
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, b := range peers {
		asking.Go(func() {
			asked, here := time.Now(), n.clock()
			a, err := n.peers.ask(ctx, b, protocolClock, nil)
			took := time.Since(asked)
			if err != nil || len(a) != 8 {
				return // it does not answer, or not this
			}
			there := time.UnixMilli(int64(binary.BigEndian.Uint64(a)))
			mu.Lock()
			defer mu.Unlock()
			out = append(out, web.Clock{Bureau: b, Ahead: there.Sub(here.Add(took / 2)), Within: took + time.Millisecond})
		})
	}
	asking.Wait()
	slices.SortFunc(out, func(a, b web.Clock) int { return int(a.Bureau) - int(b.Bureau) })
	return out
}
