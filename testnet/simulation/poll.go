package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
)

const (
	// desksPerBureau admit at a time: more than the three of a real bureau, since the day
	// is compressed and people's own slowness is not played.
	desksPerBureau = 8
	// maxTries bounds how often one elector comes back.
	maxTries = 400
	// comeBack is how long an elector waits before he asks again.
	comeBack = 250 * time.Millisecond
	// presidentsReason is that of provisional check-ins.
	presidentsReason = 1
	// tick is the pace of samples.
	tick = 250 * time.Millisecond
)

// openAll opens the bureaux and draws who comes.
func (d *day) openAll(ctx context.Context) error {
	if err := d.each(func(u *bureau) error { return u.Open(ctx) }); err != nil {
		return err
	}
	vs, err := d.draw()
	if err != nil {
		return err
	}
	d.visitors, d.live.Expected = vs, len(vs)
	d.extents, d.opened = make([]extent, len(d.bureaux)), time.Now()
	d.say("%d bureaux open, %d of %d electors will come (seed %d)", len(d.bureaux), len(vs), d.plan.Electors, d.plan.Seed)
	return nil
}

// poll lets everybody come, plays the faults, and ends when every queue is empty.
func (d *day) poll(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	faults := make(chan error, 1)
	go func() { faults <- d.runFaults(ctx) }()
	err := d.receive(ctx, d.visitors)
	close(d.emptied)
	if ferr := <-faults; err == nil {
		err = ferr
	}
	if err != nil {
		return err
	}
	d.say("the queues are empty: %v", d.told)
	return nil
}

// groupTimeout is how long a commune may take to find its leader, or to become level.
const groupTimeout = 2 * time.Minute

func (d *day) waitForLeader(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	for {
		if i, ok := d.anyLeader(ctx); ok {
			d.say("bureau %d leads", d.bureaux[i].number)
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("no bureau leads within %v: see whether this machine is overloaded, or play a smaller day", groupTimeout)
		}
	}
}

func (d *day) anyLeader(ctx context.Context) (int, bool) {
	for _, u := range d.bureaux {
		if s, err := u.Status(ctx); err == nil && s.Leader != 0 {
			i, ok := d.index[s.Leader]
			return i, ok
		}
	}
	return 0, false
}

// draw opens a register, as any bureau can, and draws who comes.
func (d *day) draw() ([]visitor, error) {
	var err error
	if d.register, err = d.openRegister(d.bureaux[0].number); err != nil {
		return nil, err
	}
	homes := make([]ledger.BureauNumber, d.register.Len())
	for i := range homes {
		homes[i] = d.register.Bureau(i)
	}
	var numbers []ledger.BureauNumber
	for _, u := range d.bureaux {
		numbers = append(numbers, u.number)
	}
	return visitors(d.plan.Seed, homes, numbers, d.plan.Turnout, d.plan.Day), nil
}

// arriving is one person who comes to one bureau at a moment of the day.
type arriving struct {
	at time.Duration
	to ledger.BureauNumber
	do func()
}

// receive sends everybody to their desks at their time, and returns when all are through.
func (d *day) receive(ctx context.Context, vs []visitor) error {
	coming := d.comers(ctx, vs)
	queues := map[ledger.BureauNumber]chan func(){}
	var desks sync.WaitGroup
	for _, u := range d.bureaux {
		q := make(chan func(), len(coming))
		queues[u.number] = q
		for range desksPerBureau {
			desks.Go(func() {
				for f := range q {
					f()
				}
			})
		}
	}
	opened := time.Now()
	for _, c := range coming {
		if !sleep(ctx, time.Until(opened.Add(c.at))) {
			break
		}
		d.arrives()
		queues[c.to] <- c.do
	}
	for _, q := range queues {
		close(q)
	}
	desks.Wait()
	return ctx.Err()
}

// comers lists every arrival of the day in its order.
func (d *day) comers(ctx context.Context, vs []visitor) (out []arriving) {
	for i := range vs {
		v := &vs[i]
		come := func() { d.visit(ctx, v, v.to) }
		if v.byProxy() {
			come = func() { d.visitByProxy(ctx, v) }
		}
		out = append(out, arriving{v.at, v.to, come})
		if v.twin != 0 {
			out = append(out, arriving{v.at, v.twin, func() { d.tryOnce(ctx, v, v.twin, true) }})
		}
		if v.again != 0 {
			out = append(out, arriving{v.againAt, v.again, func() {
				if d.told.has(v.elector) {
					d.tryOnce(ctx, v, v.again, true)
				}
			}})
		}
	}
	slices.SortStableFunc(out, func(a, b arriving) int { return int(a.at - b.at) })
	return out
}

// visit is an elector who wants to vote, at a bureau first, and keeps trying until he has.
func (d *day) visit(ctx context.Context, v *visitor, at ledger.BureauNumber) {
	repeat, provisional := false, false
	for range maxTries {
		if ctx.Err() != nil {
			return
		}
		ans, err := d.try(ctx, v, d.door(at), repeat, false, provisional)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			repeat = true // it may have been recorded: the same desk asks again
		case ans.Admitted || ans.Refusal == ledger.AlreadyAdmitted || ans.Refusal == ledger.NotOnTheRoll:
			d.through()
			return
		case ans.Refusal == ledger.UnfencedOnly:
			provisional = true // the president admits all the same
		case ans.Refusal == ledger.ReleasedElsewhere && ans.At != 0:
			at = ans.At // the right lies there
		case at != v.home:
			at = v.home // not here: home can always
		}
		if !sleep(ctx, comeBack) {
			return
		}
	}
}

func (d *day) arrives() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arrived++
}

func (d *day) through() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live.Came++
}

// tryOnce is an attempt that should be refused.
func (d *day) tryOnce(ctx context.Context, v *visitor, at ledger.BureauNumber, second bool) {
	for repeat := false; ; repeat = true {
		_, err := d.try(ctx, v, at, repeat, second, false)
		if err == nil || !sleep(ctx, comeBack) {
			return
		}
	}
}

// try is one elector at one desk, once.
func (d *day) try(ctx context.Context, v *visitor, at ledger.BureauNumber, repeat, second, provisional bool) (node.Answer, error) {
	return d.tryAt(ctx, v, d.bureaux[d.index[at]], attempt{visitor: v, at: at, repeat: repeat, second: second}, provisional)
}

func (d *day) tryAt(ctx context.Context, v *visitor, u *bureau, a attempt, provisional bool) (node.Answer, error) {
	e := d.register.At(v.elector)
	id := node.Identification{By: "convocation", Number: e.ConvocationNumber.Digits(), Attester: 1}
	if v.byNational {
		id.By, id.Number = "national", e.NationalNumber.Digits()
	}
	if provisional {
		id.Provisional = presidentsReason
	}
	u.tables.RLock()
	defer u.tables.RUnlock()
	start := time.Now()
	if d.pressesTwice() {
		var again sync.WaitGroup
		again.Go(func() {
			if ans, err := u.CheckIn(ctx, id); err == nil {
				d.told.note(attempt{visitor: v, at: a.at, repeat: true, second: a.second, took: time.Since(start)}, ans)
			}
		})
		defer again.Wait()
	}
	ans, err := u.CheckIn(ctx, id)
	if err != nil {
		if !errors.Is(err, errDown) {
			d.told.fault()
		}
		return ans, err
	}
	a.took = time.Since(start)
	d.told.note(a, ans)
	return ans, nil
}
