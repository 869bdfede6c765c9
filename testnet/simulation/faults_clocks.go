package simulation

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// clock is a machine's time of day; the zero value is right.
type clock struct {
	ahead atomic.Int64 // nanoseconds
	// stands is what it shows while it stands still, nanoseconds since 1970; 0 while it goes.
	stands atomic.Int64
}

func (c *clock) now() time.Time {
	if at := c.stands.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Now().Add(time.Duration(c.ahead.Load()))
}

// goWrong has it jump, or stand still.
func (c *clock) goWrong(r *rand.Rand) {
	if r.IntN(4) == 0 {
		c.stands.Store(c.now().UnixNano())
		return
	}
	c.stands.Store(0)
	c.ahead.Store(int64(wrongBy[r.IntN(len(wrongBy))]))
}

// wrongBy is how far clocks are ahead that were set wrong, or never.
var wrongBy = []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour, -50 * year, 10 * year, -5 * time.Second, 0}

// year is one of a clock that was never set.
const year = 365 * 24 * time.Hour

// clocksWrong sets clocks wrong at random moments, has them jump and stand still, and leaves them so.
func (d *day) clocksWrong(ctx context.Context, r *rand.Rand) error {
	until := time.Now().Add(d.while(0.6))
	for time.Now().Before(until) && ctx.Err() == nil {
		d.bureaux[d.anyBureau(r)].clock.goWrong(r)
		sleep(ctx, d.plan.Day/100)
	}
	return nil
}

// ownClocks refuses what moves a clock where the bureaux have that of the whole machine.
func ownClocks(p *Plan) error {
	if p.Processes {
		return errors.New("moves the clocks of bureaux in one process: leave --processes out")
	}
	return nil
}
