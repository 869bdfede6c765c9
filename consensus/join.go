package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	joinMemory   = 30 * time.Second // a leader forgets a request that isn't repeated
	joinEvery    = 2 * time.Second  // between two requests
	refusedOften = 10               // refusals in a row are told
	joinAfter    = 5                // heartbeat times without a word from a leader, after which a member asks again
)

// joinRequest is a member's wish to be let in under a new store number.
type joinRequest struct {
	id string
	at time.Time
}

// joining is how a machine with a new store number asks to be let in. Owned by watchLoop.
type joining struct {
	next  time.Time
	peer  int         // index in Config.Members of the one to ask next
	hints chan string // where the leader is said to be; has room for one
	// refused counts refusals in a row: one alone says that the old store is not given up yet.
	refused atomic.Int32
}

// tryJoin asks one member, now and then, as long as this server is in no configuration that it knows, or no leader calls:
// a leader may have let it in alone, and lost its lead before the others agreed, so that it is in a configuration that
// nobody else knows. A first store never asks: the leader knows it and calls.
func (g *Group) tryJoin(e *engine) {
	j := &g.watch.join
	now := time.Now()
	if g.cfg.StoreNumber == 0 || now.Before(j.next) {
		return
	}
	called := now.Sub(later(e.raft.LastContact(), e.began)) < joinAfter*g.cfg.Timing.Heartbeat
	for _, s := range e.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) == g.id && called {
			return
		}
	}
	j.next = now.Add(joinEvery)
	if j.hints == nil {
		j.hints = make(chan string, 1)
	}
	var peer string
	select {
	case peer = <-j.hints:
		j.next = now // ask the next one soon if this leads nowhere
	default:
		peer = g.cfg.Members[j.peer%len(g.cfg.Members)].Peer
		j.peer++
	}
	if peer == g.network.Self() || !g.knows(peer) {
		j.next = now
		return
	}
	hints := j.hints
	g.goroutine.Go(func() {
		ctx, cancel := context.WithTimeout(g.ctx, joinEvery)
		defer cancel()
		place, ok := g.limits.acquire(g.network.Self(), len(g.id))
		if !ok {
			return
		}
		answer, err := g.ask(ctx, peer, askJoin, []byte(g.id), place)
		switch {
		case err != nil:
			g.cfg.Logger.Debug("join not asked", "peer", peer, "error", err)
		case answer.code == answerNotLeader && len(answer.payload) > 0:
			select {
			case hints <- string(answer.payload):
			default:
			}
		case answer.code == answerRefused:
			level := slog.LevelDebug
			if j.refused.Add(1)%refusedOften == 0 {
				level = slog.LevelWarn
			}
			g.cfg.Logger.Log(ctx, level, "join refused", "peer", peer, "reason", string(answer.payload))
		default:
			j.refused.Store(0)
		}
	})
}

// handleJoin notes a member's wish; watchLoop fulfils it.
func (g *Group) handleJoin(peer string, f frame) frame {
	e, err := g.usable()
	if err != nil || !e.leading() {
		return g.notLeader(f.id)
	}
	refuse := func(reason string) frame {
		return frame{code: answerRefused, id: f.id, payload: []byte(reason)}
	}
	id := string(f.payload)
	number, err := strconv.ParseUint(strings.TrimPrefix(id, peer+"/"), 10, 64)
	if err != nil || number == 0 || id != ServerID(peer, number) {
		return refuse(fmt.Sprintf("%q is not a new store of %s", id, peer))
	}
	for _, s := range e.raft.GetConfiguration().Configuration().Servers {
		if string(s.Address) != peer {
			continue
		}
		if string(s.ID) == id {
			return frame{code: answerReply, id: f.id}
		}
		p := e.trans.progress(s.ID, 0)
		if time.Since(p.contact) < 2*g.cfg.Timing.Heartbeat {
			return refuse(fmt.Sprintf("%s is here at this moment", s.ID))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joins[peer] = joinRequest{id: id, at: time.Now()}
	return frame{code: answerReply, id: f.id}
}
