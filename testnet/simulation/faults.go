package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pointage/ledger"
)

// Scenario is a fault by name.
type Scenario struct {
	Name, What string
	// at is the share of the day after which it begins.
	at   float64
	play func(d *day, ctx context.Context, r *rand.Rand) error
	// excluded from S1. assumption: the fault breaks one on which S1 rests, doubles are reported then
	// (S3), not prevented. successor: a machine admits provisionally, and may admit whom the lost
	// one had recorded without anybody having been told; both stand in the report.
	excluded excluded
	// needs refuses a plan in which it can't be played; nil for none.
	needs func(*Plan) error
}

type excluded uint8

const (
	nothing excluded = iota
	assumption
	successor
)

// Scenarios are all faults, in the order of `--faults list`.
var Scenarios = []Scenario{
	{"leader-killed", "the leading bureau's machine dies, and comes back a while later", 0.15, (*day).leaderKilled, nothing, nil},
	{"bureau-cut", "one bureau's cable is cut, and healed later", 0.40, (*day).bureauCut, nothing, nil},
	{"adele-away", "ADELE does not answer for a third of the day", 0.30, (*day).adeleAway, nothing, nil},
	{"principal-away", "the principal bureau is cut off from all others for a while", 0.30, (*day).principalCut, nothing, nil},
	{"principal-down", "the principal bureau's machine is off all day; its electors wait, the deputy leads", 0, (*day).principalDown, nothing, nil},
	{"split", "the commune falls into two halves that don't hear each other", 0.30, (*day).split, nothing, nil},
	{"one-way-cut", "one bureau is heard by nobody but hears all", 0.30, (*day).oneWayCut, nothing, nil},
	{"majority-lost", "every bureau is alone: all cables are cut", 0.30, (*day).allAlone, nothing, nil},
	{"bureau-killed", "a bureau's machine dies in mid-queue and is started again", 0.30, (*day).bureauKilled, nothing, nil},
	{"storm", "machines die, stand still, lose their cables, their disk's room and the time at random moments, all at once", 0.15, (*day).storm, nothing, nil},
	{"all-restarted", "one bureau after another is stopped and started", 0.15, (*day).allRestarted, nothing, nil},
	{"store-lost", "a bureau's machine loses all that it can rebuild: ledger and Raft's log", 0.30, (*day).storeLost, nothing, nil},
	{"machine-dead", "a bureau's machine dies for good, a spare opens with both keys and nothing else", 0.30, (*day).machineDead, nothing, nil},
	{"key-pulled", "a bureau goes on with one key after the other was lost in a restart", 0.30, (*day).keyPulled, nothing, nil},
	{"key-dead", "a key breaks, a blank one takes its place, then the other key goes", 0.20, (*day).keyDead, nothing, nil},
	{"isolated", "a bureau has no network all day; its keys are read at the principal bureau in the evening", 0, (*day).isolated, nothing, nil},
	{"machine-and-key-dead", "a bureau's machine and a key die; the sealed envelope's machine admits provisionally", 0.30, (*day).machineAndKeyDead, successor, nil},
	{"majority-lost-for-good", "most of the group's machines die for good; spares open with the keys, two persons begin a new epoch", 0.30, (*day).majorityGone, nothing, nil},
	{"pouch-wrong-bureau", "two bureaux get each other's pouch; two persons sign where each of them sits", 0, (*day).pouchesSwapped, nothing, nil},
	{"keys-cloned", "copies of a bureau's media admit elsewhere with no network (breaks A1: doubles are reported)", 0.30, (*day).cloned, assumption, nil},
	{"rolled-back", "disk and a key are put back to an earlier state with no network (breaks A2: doubles are reported)", 0.30, (*day).rolledBack, assumption, nil},
	{"keys-out-of-step", "a spare machine opens with two keys, one of which lay in a drawer (Brussels, 2018)", 0.30, (*day).outOfStep, nothing, nil},
	{"station-broken", "nobody can be served at a bureau: who queues there is sent to another (Woluwe-Saint-Lambert, June 2024)", 0.20, (*day).stationBroken, nothing, nil},
	{"weak-line", "thick walls: a bureau's line comes and goes all the time (Brussels, 2024)", 0.15, (*day).weakLine, nothing, nil},
	{"bad-proxies", "359 proxies that no table may take are brought to the tables (Saint-Josse, 2024)", 0.20, (*day).badProxies, nothing, nil},
	{"pressed-twice", "every table presses twice, and machines die right after a light (Dallas, 2024)", 0.20, (*day).pressedTwice, nothing, nil},
	{"rehearsal-keys", "keys with a rehearsal's marks get into a bureau, and to the principal bureau (Denmark, 2022)", 0.20, (*day).rehearsalKeys, nothing, nil},
	{"wrong-marks", "electors hear that they have voted already: two persons take the mark back (Durham, 2016)", 0.20, (*day).wrongMarks, nothing, nil},
	{"clocks-wrong", "the bureaux' clocks are hours, days and years wrong, jump, and stand still", 0.05, (*day).clocksWrong, nothing, ownClocks},
	{"disk-full", "a bureau's disk has no room left, and then has again", 0.20, (*day).diskFull, nothing, smallDisks},
}

// Default are the faults of a day on which nobody chose any.
var Default = []string{"leader-killed", "bureau-cut", "adele-away"}

// FindScenarios reads `default`, `none` or names with commas.
func FindScenarios(names string) ([]Scenario, error) {
	var want []string
	switch names {
	case "none":
		return nil, nil
	case "default":
		want = Default
	default:
		want = strings.Split(names, ",")
	}
	var out []Scenario
	for _, n := range want {
		found := false
		for _, s := range Scenarios {
			if s.Name == n {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no fault is called %q; --faults list shows them all", n)
		}
	}
	return out, nil
}

// runFaults plays the plan's faults, each at its moment; those that cut or kill take
// turns, so that each shows what it is for.
func (d *day) runFaults(ctx context.Context) error {
	errs := make(chan error, len(d.plan.Faults))
	for i, s := range d.plan.Faults {
		r := rand.New(rand.NewPCG(d.plan.Seed, uint64(i)+1))
		go func() {
			if !sleep(ctx, time.Duration(s.at*float64(d.plan.Day))) {
				errs <- nil
				return
			}
			if s.Name != "adele-away" {
				d.turn <- struct{}{}
				defer func() { <-d.turn }()
			}
			if ctx.Err() != nil {
				errs <- nil
				return
			}
			d.say("fault: %s", s.What)
			over := d.faultBegins(s.Name)
			err := s.play(d, ctx, r)
			over()
			if err != nil {
				err = fmt.Errorf("fault %s: %w", s.Name, err)
				d.say("%v", err)
			}
			errs <- err
		}()
	}
	var first error // every fault ends before its day does
	for range d.plan.Faults {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// sleep waits, and returns false when the context ended it.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// a while is how long faults last: long enough for the group to notice.
func (d *day) while(share float64) time.Duration {
	return max(time.Duration(share*float64(d.plan.Day)), 4*time.Second)
}

func (d *day) anyBureau(r *rand.Rand) int { return r.IntN(len(d.bureaux)) }

func (d *day) others(than int) (out []int) {
	for i := range d.bureaux {
		if i != than {
			out = append(out, i)
		}
	}
	return out
}

// down stops a bureau, with f in between, and starts it again, even when the day ends.
func (d *day) down(ctx context.Context, i int, kill bool, pause time.Duration, between func() error) error {
	u := d.bureaux[i]
	end := u.Stop
	if kill {
		end = u.Kill
	}
	return d.restart(ctx, u, end, pause, between)
}

// downBetween is down, by a kill between two electors: everybody was told what was recorded of him.
func (d *day) downBetween(ctx context.Context, i int, pause time.Duration, between func() error) error {
	u := d.bureaux[i]
	return d.restart(ctx, u, func() error {
		u.tables.Lock()
		defer u.tables.Unlock()
		return u.Kill()
	}, pause, between)
}

func (d *day) restart(ctx context.Context, u *bureau, end func() error, pause time.Duration, between func() error) error {
	if err := end(); err != nil {
		return fmt.Errorf("stop bureau %d: %w", u.number, err)
	}
	sleep(ctx, pause)
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	// A bureau that is down when the poll ends is started all the same.
	if err := u.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start bureau %d again: %w", u.number, err)
	}
	return nil
}

func (d *day) leaderKilled(ctx context.Context, _ *rand.Rand) error {
	i, ok := d.leader(ctx)
	if !ok {
		return nil
	}
	return d.down(ctx, i, true, d.while(0.1), nil)
}

func (d *day) principalDown(ctx context.Context, _ *rand.Rand) error {
	return d.down(ctx, d.index[d.prepared.Commune.Principal], true, d.plan.Day, nil)
}

func (d *day) bureauKilled(ctx context.Context, r *rand.Rand) error {
	return d.down(ctx, d.anyBureau(r), true, time.Second, nil)
}

func (d *day) allRestarted(ctx context.Context, _ *rand.Rand) error {
	for i := range d.bureaux {
		if err := d.down(ctx, i, false, 0, nil); err != nil {
			return err
		}
		sleep(ctx, time.Second)
	}
	return nil
}

func (d *day) storeLost(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	return d.down(ctx, i, true, time.Second, func() error {
		data := filepath.Join(d.bureaux[i].dir, "data")
		for _, part := range []string{"ledger", "raft"} {
			if err := os.RemoveAll(filepath.Join(data, part)); err != nil {
				return err
			}
		}
		return nil
	})
}

// machineDead leaves disk and data behind: what the spare has is the keys.
func (d *day) machineDead(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	return d.down(ctx, i, true, time.Second, func() error {
		for _, lost := range []string{"disk", "data"} {
			if err := os.RemoveAll(filepath.Join(d.bureaux[i].dir, lost)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *day) keyPulled(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	return d.down(ctx, i, true, time.Second, func() error {
		return os.Rename(filepath.Join(d.bureaux[i].dir, "key2"), filepath.Join(d.bureaux[i].dir, "key2.pulled"))
	})
}

// apart cuts cables and heals them after a while.
func (d *day) apart(ctx context.Context, side, others []int, share float64) error {
	d.cables.CutOff(side, others)
	d.setCut(side)
	sleep(ctx, d.while(share))
	d.cables.Heal()
	d.setCut(nil)
	return nil
}

func (d *day) bureauCut(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	return d.apart(ctx, []int{i}, d.others(i), 0.25)
}

func (d *day) principalCut(ctx context.Context, _ *rand.Rand) error {
	i := d.index[d.prepared.Commune.Principal]
	return d.apart(ctx, []int{i}, d.others(i), 0.25)
}

func (d *day) split(ctx context.Context, r *rand.Rand) error {
	p := r.Perm(len(d.bureaux))
	return d.apart(ctx, p[:len(p)/2], p[len(p)/2:], 0.25)
}

func (d *day) allAlone(ctx context.Context, _ *rand.Rand) error {
	all := make([]int, len(d.bureaux))
	for i := range all {
		all[i] = i
	}
	return d.apart(ctx, all, all, 0.25)
}

func (d *day) oneWayCut(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	for _, j := range d.others(i) {
		d.cables.Cut(i, j)
	}
	d.setCut([]int{i})
	sleep(ctx, d.while(0.25))
	d.cables.Heal()
	d.setCut(nil)
	return nil
}

func (d *day) adeleAway(ctx context.Context, _ *rand.Rand) error {
	if d.adele == nil {
		return nil // a foreign witness is not ours to stop
	}
	if err := d.adele.Stop(); err != nil {
		return err
	}
	sleep(ctx, d.while(0.33))
	return d.adele.Start()
}

// leader is the index of the leading bureau, as the first that answers says.
func (d *day) leader(ctx context.Context) (int, bool) {
	for _, u := range d.bureaux {
		if s, err := u.Status(ctx); err == nil && s.Leader != 0 && s.Link != "alone" {
			i, ok := d.index[ledger.BureauNumber(s.Leader)]
			return i, ok
		}
	}
	return 0, false
}
