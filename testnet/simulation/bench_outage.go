package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pointage/ledger"
	"pointage/testnet/links"
)

// Outage is what clients saw while the machine that orders everything was killed (kill -9),
// as testnet/baselines reports it. Gaps are in milliseconds.
type Outage struct {
	System  string  `json:"system"`
	Clients int     `json:"clients"`
	Seconds float64 `json:"seconds"`
	// LongestGap is the longest time in which nobody was served, LongestWait that of one client.
	LongestGap  float64 `json:"longest_gap_ms"`
	LongestWait float64 `json:"longest_wait_ms"`
	// Recovered says whether anybody was served at the end.
	Recovered bool `json:"recovered"`
	// Missing says why a system was not measured.
	Missing string `json:"missing,omitempty"`
}

// Stage is what the tables of a commune saw while its group stood in one way.
type Stage struct {
	Name string `json:"stage"`
	Ops  int    `json:"ops"`
	// Refused are electors who were turned away at home, or got no answer.
	Refused int `json:"refused"`
	// Longest is the longest wait of one elector, P50 and P99 are without each table's
	// longest; Gap is the longest time in which no table admitted. In milliseconds.
	Longest float64 `json:"longest_ms"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Gap     float64 `json:"longest_gap_ms"`
}

// The stages by name, in their order.
const (
	WithLeader    = "with a leader"
	LeaderLost    = "the leader killed"
	WithoutLeader = "the majority killed"
)

// outageWindow is how long the systems are watched, outageKill when the leader is killed.
const outageWindow, outageKill = 15 * time.Second, 5 * time.Second

// BenchOutage kills the leader of three bureaux, and then the next machine, so that no majority is
// left; and the leader of etcd and PostgreSQL in the same run. One client a bureau, at each
// of the others as many.
func BenchOutage(ctx context.Context, p BenchPlan, stage func(Stage), report func(Outage)) (err error) {
	out, err := filepath.Abs(p.Out)
	if err != nil {
		return err
	}
	d := &day{free: freeSpace, plan: Plan{Commune: 21015, Bureaux: benchBureaux, Electors: benchElectors, Seed: 1, Out: out, Text: p.Text, Processes: true}, began: time.Now()}
	if err := canBuild(ctx, ""); err != nil {
		return InputError{err}
	}
	if err := d.prepare(ctx); err != nil {
		return d.prepareFailed(ctx, err)
	}
	defer func() { err = d.benched(ctx, err) }()
	if d.program, err = build(ctx, "", out); err != nil {
		return err
	}
	stages, ours, err := d.outage(ctx)
	if err != nil {
		return fmt.Errorf("measure an outage: %w", err)
	}
	for _, s := range stages {
		stage(s)
	}
	report(ours)
	if !p.Baselines {
		return nil
	}
	program, missing := buildBaselines(ctx, out)
	for _, name := range []string{"etcd", "postgresql"} {
		o := Outage{System: name, Missing: missing}
		if missing == "" {
			if o, err = baselineOutage(ctx, program, name, out); err != nil {
				return err
			}
		}
		report(o)
	}
	return nil
}

// baselineOutage runs one system's outage to its end.
func baselineOutage(ctx context.Context, program, name, out string) (Outage, error) {
	dir := filepath.Join(out, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Outage{}, err
	}
	cmd := exec.CommandContext(ctx, program, "outage", "--only", name, "--dir", dir, "--json",
		"--clients", fmt.Sprint(benchBureaux), "--duration", outageWindow.String(), "--kill-after", outageKill.String())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTimeout
	b, err := cmd.Output()
	if err != nil {
		return Outage{}, fmt.Errorf("measure an outage of %s: %w", name, err)
	}
	var o Outage
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fmt.Errorf("read an outage of %s: %w", name, err)
	}
	return o, nil
}

// answered is one elector who was admitted at home, or was not.
type answered struct {
	table       int
	asked, told time.Time
	admitted    bool
}

// outage plays the three stages on real processes.
func (d *day) outage(ctx context.Context) (stages []Stage, o Outage, err error) {
	m := &day{
		plan: d.plan, election: d.election, prepared: d.prepared, program: d.program, index: map[ledger.BureauNumber]int{}, told: newTold(),
		began: d.began, witnessURL: "http://127.0.0.1:1", attached: 3,
	}
	m.plan.Out, m.plan.Text = filepath.Join(d.plan.Out, "bench", "outage"), nil
	m.cables = links.New(func(to int) string { return m.bureaux[to].listen })
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.layOut(); err != nil {
		return nil, o, err
	}
	if err := m.each(func(u *bureau) error { return u.Start(ctx) }); err != nil {
		return nil, o, err
	}
	if err := m.waitForLeader(ctx); err != nil {
		return nil, o, err
	}
	if err := m.each(func(u *bureau) error { return u.Open(ctx) }); err != nil {
		return nil, o, err
	}
	if _, err := m.draw(); err != nil {
		return nil, o, err
	}
	if err := m.warm(ctx, m.bureaux); err != nil {
		return nil, o, err
	}
	all, moments, err := m.serveThrough(ctx)
	if err != nil {
		return nil, o, err
	}
	for i, name := range []string{WithLeader, LeaderLost, WithoutLeader} {
		stages = append(stages, newStage(name, all, moments[i], moments[i+1]))
	}
	lost := stages[1]
	return stages, Outage{
		System: Ours, Clients: benchBureaux, Seconds: moments[2].Sub(moments[0]).Seconds(), LongestGap: lost.Gap, LongestWait: lost.Longest, Recovered: lost.Ops > 0,
	}, nil
}

// serveThrough admits at every table while the leader, and then another machine, is killed. A
// killed machine's own table is out of service and no longer asked. moments are the
// beginnings of the stages, and the end.
func (m *day) serveThrough(ctx context.Context) (all []answered, moments [4]time.Time, err error) {
	parent := ctx
	ctx, stop := context.WithCancel(parent)
	defer stop()
	tables := m.desks(m.bureaux)
	dead := make([]atomic.Bool, len(tables))
	seen := make([][]answered, len(tables))
	var wg sync.WaitGroup
	for i, k := range tables {
		wg.Go(func() { seen[i] = k.serveUntil(ctx, i, &dead[i]) })
	}
	moments[0] = time.Now()
	for n := 1; n <= 2 && err == nil; n++ {
		sleep(ctx, outageKill)
		victim, ok := m.victim(ctx, dead)
		if !ok {
			err = errors.New("nobody leads")
			break
		}
		dead[victim].Store(true)
		moments[n] = time.Now()
		err = m.bureaux[victim].Kill()
		if n == 1 {
			sleep(ctx, outageWindow-outageKill)
		}
	}
	sleep(ctx, outageKill)
	moments[3] = time.Now()
	stop()
	wg.Wait()
	return slices.Concat(seen...), moments, errors.Join(err, parent.Err())
}

// victim is the leader's index, as a living machine says.
func (m *day) victim(ctx context.Context, dead []atomic.Bool) (int, bool) {
	for i, u := range m.bureaux {
		if dead[i].Load() {
			continue
		}
		if s, err := u.Status(ctx); err == nil && s.Leader != 0 {
			j, ok := m.index[s.Leader]
			if ok && !dead[j].Load() {
				return j, true
			}
		}
	}
	return 0, false
}

// serveUntil admits one elector after the other until the day ends or the table's machine is dead.
func (k *desk) serveUntil(ctx context.Context, table int, dead *atomic.Bool) (out []answered) {
	for ctx.Err() == nil && !dead.Load() {
		i := k.next.Add(1) - 1
		if i >= int64(len(k.ids)) {
			return out
		}
		at := time.Now()
		a, err := k.u.CheckIn(context.WithoutCancel(ctx), k.ids[i])
		if dead.Load() {
			return out // it died with this elector at the table
		}
		out = append(out, answered{table, at, time.Now(), err == nil && a.Admitted})
		if err != nil && !sleep(ctx, 10*time.Millisecond) {
			return out
		}
	}
	return out
}

// newStage looks at what was answered between two moments.
func newStage(name string, all []answered, from, to time.Time) Stage {
	s := Stage{Name: name}
	tables := map[int][]time.Duration{}
	var took, told []time.Duration
	for _, a := range all {
		if a.told.Before(from) || !a.told.Before(to) {
			continue
		}
		if !a.admitted {
			s.Refused++
			continue
		}
		s.Ops++
		told = append(told, a.told.Sub(from))
		tables[a.table] = append(tables[a.table], a.told.Sub(a.asked))
	}
	for _, waits := range tables {
		slices.Sort(waits)
		s.Longest = max(s.Longest, quantile(waits, 1))
		took = append(took, waits[:len(waits)-1]...)
	}
	slices.Sort(took)
	slices.Sort(told)
	s.P50, s.P99 = quantile(took, 0.5), quantile(took, 0.99)
	last := time.Duration(0)
	for _, t := range append(told, to.Sub(from)) {
		s.Gap = max(s.Gap, float64((t-last).Microseconds())/1000)
		last = t
	}
	return s
}
