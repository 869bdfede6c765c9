package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/testnet/links"
)

// BenchPlan is what to measure: the ledger's work at three replicas, beside etcd and
// PostgreSQL at the same work in the same run.
type BenchPlan struct {
	// Clients are the numbers of concurrent desks.
	Clients []int
	// Duration is that of one measurement, Rounds how often all are made, in turn.
	Duration time.Duration
	Rounds   int
	// Out is a directory of the testnet's own.
	Out string
	// Baselines says whether to measure etcd and PostgreSQL too.
	Baselines bool
	// Profile, when given, begins the names of CPU profiles, one of each measurement of ours.
	Profile string
	Text    io.Writer
}

// Rate is one measurement.
type Rate struct {
	System    string  `json:"system"`
	Clients   int     `json:"clients"`
	Ops       int     `json:"ops"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	// PerBatch is how many statements shared a signature, for ours.
	PerBatch float64 `json:"per_batch,omitempty"`
	// Processor is what this process took of the processors for each check-in, in microseconds: all replicas, and the desks.
	// 0 where the system does not tell.
	Processor float64 `json:"processor_us,omitempty"`
	// NotReplicated are check-ins whose barrier expired: they don't count as ops.
	NotReplicated int `json:"not_replicated,omitempty"`
	// Missing says why a system was not measured.
	Missing string `json:"missing,omitempty"`
}

// The systems by name.
const (
	Ours      = "pointage"
	OursAlone = "pointage, a bureau alone"
)

// benchBureaux and benchElectors are those of the measured commune.
const (
	benchBureaux  = 3
	benchElectors = 99_000
)

// Bench measures and hands each figure to report as it comes.
func Bench(ctx context.Context, p BenchPlan, report func(Rate)) (err error) {
	out, err := filepath.Abs(p.Out)
	if err != nil {
		return err
	}
	d := &day{free: freeSpace, plan: Plan{Commune: 21015, Bureaux: benchBureaux, Electors: benchElectors, Seed: 1, Out: out, Text: p.Text}, began: time.Now()}
	if err := d.prepare(ctx); err != nil {
		return d.prepareFailed(ctx, err)
	}
	defer func() { err = d.benched(ctx, err) }()
	var others []*baseline
	if p.Baselines {
		others = startBaselines(ctx, out, report)
	}
	defer func() {
		for _, o := range others {
			o.close()
		}
	}()
	run := 0
	for range p.Rounds {
		for _, n := range p.Clients {
			run++
			r, err := d.measure(ctx, fmt.Sprintf("run-%d", run), n, benchBureaux, p)
			if err != nil {
				return fmt.Errorf("measure with %d clients: %w", n, err)
			}
			report(r)
			for _, o := range others {
				r, err := o.measure(n, p.Duration)
				if err != nil {
					return fmt.Errorf("measure %s with %d clients: %w", o.name, n, err)
				}
				report(r)
			}
		}
		run++
		r, err := d.measure(ctx, fmt.Sprintf("run-%d", run), 1, 1, p)
		if err != nil {
			return fmt.Errorf("measure a bureau alone: %w", err)
		}
		report(r)
		if r, err = measureAppend(filepath.Join(out, "bench", fmt.Sprintf("append-%d", run)), p.Duration); err != nil {
			return err
		}
		report(r)
	}
	checked, bare, err := d.measureVerify(ctx, 2*p.Duration)
	if err != nil {
		return fmt.Errorf("measure verification: %w", err)
	}
	report(checked)
	report(bare)
	return nil
}

// benched takes away what measurements wrote that did not come to their end.
func (d *day) benched(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if full, is := d.fullDisk(ctx, err); is {
		err = full
	}
	return errors.Join(err, d.out.discard())
}

// measure starts fresh bureaux of the prepared commune and checks electors in, each at his
// own bureau, as fast as the desks get their answers. Every replica checks every
// signature itself.
func (d *day) measure(ctx context.Context, name string, clients, up int, p BenchPlan) (r Rate, err error) {
	m := &day{
		plan: d.plan, election: d.election, prepared: d.prepared, index: map[ledger.BureauNumber]int{}, told: newTold(),
		began: d.began, witnessURL: "http://127.0.0.1:1", // no anchors here
		attached: 2, // two fsyncs make durable; a third medium would only follow
	}
	m.plan.Out, m.plan.Text = filepath.Join(d.plan.Out, "bench", name), nil
	m.cables = links.New(func(to int) string { return m.bureaux[to].listen })
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.layOut(); err != nil {
		return r, err
	}
	live := m.bureaux[:up]
	for _, u := range live {
		if err := u.Start(ctx); err != nil {
			return r, err
		}
	}
	if up > 1 {
		if err := m.waitForLeader(ctx); err != nil {
			return r, err
		}
	}
	for _, u := range live {
		if err := u.Open(ctx); err != nil {
			return r, err
		}
	}
	if _, err := m.draw(); err != nil {
		return r, err
	}
	if up > 1 {
		if err := m.warm(ctx, live); err != nil {
			return r, err
		}
	}
	if p.Profile == "" {
		return m.load(ctx, live, clients, p.Duration)
	}
	f, err := os.Create(fmt.Sprintf("%s-%s-%d-clients.pprof", p.Profile, name, clients))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return r, err
	}
	defer pprof.StopCPUProfile()
	return m.load(ctx, live, clients, p.Duration)
}

// desk hands out the electors of one bureau, one after the other.
type desk struct {
	u    *bureau
	next atomic.Int64
	ids  []node.Identification
}

func (d *day) desks(live []*bureau) (out []*desk) {
	by := map[ledger.BureauNumber]*desk{}
	for _, u := range live {
		k := &desk{u: u}
		by[u.number], out = k, append(out, k)
	}
	for i := range d.register.Len() {
		if k := by[d.register.Bureau(i)]; k != nil {
			k.ids = append(k.ids, node.Identification{By: "convocation", Number: d.register.At(i).ConvocationNumber.Digits(), Attester: 1})
		}
	}
	return out
}

// warm waits until every bureau is answered by the group: check-ins are replicated.
func (d *day) warm(ctx context.Context, live []*bureau) error {
	for _, u := range live {
		for {
			s, err := u.Status(ctx)
			if err == nil && s.Link == "linked" && s.Backlog == 0 {
				break
			}
			if !sleep(ctx, 20*time.Millisecond) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// load runs closed-loop clients, spread over the bureaux.
func (d *day) load(ctx context.Context, live []*bureau, clients int, duration time.Duration) (Rate, error) {
	desks := d.desks(live)
	before, err := live[0].Status(ctx)
	if err != nil {
		return Rate{}, err
	}
	name := Ours
	if len(live) == 1 {
		name = OursAlone
	}
	r := Rate{System: name, Clients: clients}
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var late atomic.Int64
	var wg sync.WaitGroup
	start, processor := time.Now(), processorTime()
	for c := range clients {
		k := desks[c%len(desks)]
		wg.Go(func() {
			for time.Since(start) < duration && errs[c] == nil {
				i := k.next.Add(1) - 1
				if i >= int64(len(k.ids)) {
					errs[c] = fmt.Errorf("bureau %d has run out of electors: take a shorter --duration", k.u.number)
					return
				}
				at := time.Now()
				a, err := k.u.CheckIn(ctx, k.ids[i])
				switch {
				case err != nil:
					errs[c] = err
				case !a.Admitted:
					errs[c] = fmt.Errorf("an elector at home was refused: %s", a.Reason)
				case len(live) > 1 && !a.Replicated:
					late.Add(1)
				default:
					took[c] = append(took[c], time.Since(at))
				}
			}
		})
	}
	wg.Wait()
	r.Seconds = time.Since(start).Seconds()
	all := slices.Concat(took...)
	slices.Sort(all)
	r.Ops, r.NotReplicated = len(all), int(late.Load())
	r.PerSecond = float64(r.Ops) / r.Seconds
	r.Processor = float64((processorTime() - processor).Microseconds()) / float64(max(1, r.Ops))
	r.P50, r.P99, r.Max = quantile(all, 0.5), quantile(all, 0.99), quantile(all, 1)
	after, err := live[0].Status(ctx)
	if n := after.LedgerSize - before.LedgerSize; n > 0 && len(live) > 1 {
		r.PerBatch = float64(r.Ops) / float64(n)
	}
	return r, errors.Join(append(errs, err)...)
}

// quantile is in milliseconds; all is sorted.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	i := min(int(float64(len(all))*q), len(all)-1)
	return float64(all[i].Microseconds()) / 1000
}
