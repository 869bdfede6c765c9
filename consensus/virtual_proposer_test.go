package consensus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"pointage/consensus/consensustest"
)

const (
	answerWithin = time.Second            // for one attempt
	patience     = 10 * time.Minute       // for all attempts of one command; one proposer in hastyOf tries once
	firstWait    = 200 * time.Millisecond // between two attempts; doubles
	hastyOf      = 5
	looksOf      = 4 // one command in so many is a look
	keysBack     = 4 // proposers meet on the newest keys,
	oldKeysOf    = 4 // but for one command in so many, which is about any key
)

var errCrashed = errors.New("the machine crashed meanwhile")

// proposer is a bureau as the group sees it: it claims and looks, one command at a time, and proposes the same bytes again
// until it has an answer, also after its machine has crashed and come back.
type proposer struct {
	day    *day
	peer   string
	number int
	random *rand.Rand
	made   int
}

func newProposer(d *day, peer string, number int) *proposer {
	return &proposer{day: d, peer: peer, number: number, random: rand.New(rand.NewPCG(d.seed, uint64(1000+number)))}
}

func (p *proposer) stopped() bool {
	select {
	case <-p.day.stop:
		return true
	default:
		return false
	}
}

func (p *proposer) run() {
	for !p.stopped() {
		// All lots are drawn before anything is waited for: what a proposer asks depends on the seed alone.
		pause := time.Duration(p.random.ExpFloat64() * float64(p.day.shape.pause))
		back, look, hasty := p.random.IntN(keysBack), p.random.IntN(looksOf) == 0, p.random.IntN(hastyOf) == 0
		old, age := p.random.IntN(oldKeysOf) == 0, p.random.Float64()
		select {
		case <-time.After(pause):
		case <-p.day.stop:
			return
		}
		newest := int(time.Since(p.day.began) / p.day.keyEvery())
		if old {
			back = int(age * float64(newest))
		}
		p.made++
		o := consensustest.Operation{
			Proposer: p.number, Key: fmt.Sprintf("k%d", max(0, newest-back)), Look: look,
			Who: fmt.Sprintf("%s.%d.%d", p.peer, p.number, p.made),
		}
		p.day.history.Add(p.propose(o, hasty))
	}
}

// keyEvery makes about six proposers meet on one key.
func (d *day) keyEvery() time.Duration {
	return 6 * d.shape.pause / time.Duration(d.shape.proposers*len(d.peers))
}

// propose proposes one command until it is answered or patience ends.
func (p *proposer) propose(o consensustest.Operation, hasty bool) consensustest.Operation {
	o.Call = time.Since(p.day.began)
	o.Outcome = consensustest.Refused
	longest := 2 * time.Second
	if p.day.shape.impatient {
		longest = firstWait / 8
	}
	for wait := firstWait; ; wait = min(2*wait, longest) {
		reply, err := p.day.propose(p.peer, o)
		now := time.Since(p.day.began)
		switch {
		case err == nil:
			standing, err := consensustest.DecodeStanding(reply)
			if err != nil {
				p.day.offence("propose %s: %v", o.Command(), err)
			}
			o.Outcome, o.Reply, o.Return = consensustest.Answered, standing, now
			return o
		case !isOneOf(err, ErrNoLeader, ErrBusy, ErrClosed, ErrUnknownOutcome, errCrashed):
			p.day.offence("propose %s: %v", o.Command(), err)
			return o
		case isOneOf(err, ErrUnknownOutcome, errCrashed):
			o.Outcome = consensustest.Unknown
		}
		if hasty || now-o.Call > patience {
			return o
		}
		<-time.After(min(wait, longest))
	}
}

// propose is one attempt at a machine. What it answers after the machine crashed is heard by nobody.
func (d *day) propose(peer string, o consensustest.Operation) ([]byte, error) {
	d.mu.Lock()
	n := d.nodes[peer]
	g, life, machine := n.group, n.life, n.machine
	d.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("%w: the machine is off", ErrClosed)
	}
	reply, err := d.attempt(g, machine, o)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.life != life {
		return nil, errCrashed
	}
	return reply, err
}

func (d *day) attempt(g *Group, machine *consensustest.Claims, o consensustest.Operation) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	switch {
	case d.shape.mutant == answersFollowing && o.Look && !g.IsLeader(),
		d.shape.mutant == answersLeading && o.Look && g.IsLeader():
		return machine.Standing(o.Key).Encode(), nil
	case d.shape.mutant == answersEarly && g.IsLeader():
		d.ending.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
			defer cancel()
			_, _ = g.Propose(ctx, o.Command())
		})
		s := machine.Standing(o.Key)
		if !o.Look {
			s.Claims++
			if s.Holder == consensustest.Nobody {
				s.Holder = o.Who
			}
		}
		return s.Encode(), nil
	}
	return g.Propose(ctx, o.Command())
}
