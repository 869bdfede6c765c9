package simulation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/node/store"
	"pointage/testnet/links"
)

// ScalePlan is what to measure of communes of several sizes, each in this process.
type ScalePlan struct {
	// Sizes are numbers of bureaux, ascending, so that the memory of one does not hide that of the next.
	Sizes []int
	// Idle and Load are how long a group is watched with nobody at its tables, and with electors at all of them.
	Idle, Load time.Duration
	// PerSecond is how many electors come in a second, spread evenly over the bureaux.
	PerSecond int
	// Missed is how many entries a bureau misses before it comes back, 0 for not measured.
	Missed uint64
	Out    string
	Text   io.Writer
}

// Cost is what one commune cost and how fast it healed. Whatever is measured of the processors and of memory is that of all
// its bureaux together, with the desks and the cables; what they share of one process is that a batch's signature is checked
// once, not at every replica.
type Cost struct {
	Bureaux int `json:"bureaux"`
	// IdleCores is the share of the processors taken when nothing happens; 1 is one core.
	IdleCores float64 `json:"idle_cores"`
	// IdleBytes go over the cables in a second when nothing happens.
	IdleBytes float64 `json:"idle_bytes_per_second"`
	// Asked and PerSecond are check-ins a second: those that came, and those answered as replicated.
	Asked     float64 `json:"asked_per_second"`
	PerSecond float64 `json:"per_second"`
	Alone     int     `json:"went_on_alone"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// Processor is what each check-in took, in microseconds; Entries are those placed in a second of one processor.
	Processor float64 `json:"processor_us"`
	Entries   float64 `json:"entries_per_processor_second"`
	// WireBytes and DiskBytes are those of each check-in, over all cables and on all disks of the commune.
	WireBytes float64 `json:"wire_bytes"`
	DiskBytes float64 `json:"disk_bytes"`
	// Resident is the process's memory after the load, in MiB.
	Resident float64 `json:"resident_mib"`
	// NextLeader is how long after the principal bureau's end another led and answered, PrincipalBack how long after it was
	// level again it led, in seconds.
	NextLeader    float64 `json:"next_leader_s"`
	PrincipalBack float64 `json:"principal_back_s"`
	// Missed entries were level again at a bureau so long after its start, in seconds; 0 for not measured.
	Missed uint64  `json:"missed_entries,omitempty"`
	Level  float64 `json:"level_s,omitempty"`
}

// scaleSeed draws the communes' electors.
const scaleSeed = 1

// healsWithin bounds every wait for a group.
const healsWithin = 3 * time.Minute

// Scale measures communes of each size in turn and hands on each as it comes.
func Scale(ctx context.Context, p ScalePlan, report func(Cost)) error {
	for _, n := range p.Sizes {
		c, err := scaleOf(ctx, p, n)
		if err != nil {
			return fmt.Errorf("%d bureaux: %w", n, err)
		}
		report(c)
	}
	return nil
}

func scaleOf(ctx context.Context, p ScalePlan, n int) (c Cost, err error) {
	out, err := filepath.Abs(filepath.Join(p.Out, fmt.Sprintf("scale-%03d", n)))
	if err != nil {
		return c, err
	}
	c.Bureaux = n
	// Each bureau has electors for the load of all, with some to spare; the missed entries are admitted at two.
	each := 2*int(p.Load.Seconds()+1)*p.PerSecond/n + 100
	if n == missedBureaux {
		each += int(p.Missed) * missedDesks
	}
	d := &day{free: freeSpace, plan: Plan{Commune: 21004, Bureaux: n, Electors: each * n, Seed: scaleSeed, Out: out, Text: p.Text}, began: time.Now()}
	if err := d.prepare(ctx); err != nil {
		return c, d.prepareFailed(ctx, err)
	}
	defer func() { err = errors.Join(err, d.benched(ctx, err)) }()
	m := &day{
		plan: d.plan, election: d.election, prepared: d.prepared, index: map[ledger.BureauNumber]int{}, told: newTold(),
		began: d.began, witnessURL: "http://127.0.0.1:1", attached: 2, verified: store.NewVerified(),
	}
	m.plan.Out, m.plan.Text = filepath.Join(out, "bench", "scale"), nil
	m.cables = links.New(func(to int) string { return m.bureaux[to].listen })
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.begin(ctx); err != nil {
		return c, err
	}
	for _, measure := range []func(context.Context, ScalePlan, *Cost) error{m.idle, m.loaded, m.heal, m.comeBack} {
		if err := measure(ctx, p, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// begin starts and opens all bureaux and waits until the group answers each.
func (d *day) begin(ctx context.Context) error {
	if err := d.layOut(); err != nil {
		return err
	}
	if err := d.each(func(u *bureau) error { return u.Start(ctx) }); err != nil {
		return err
	}
	if err := d.waitForLeader(ctx); err != nil {
		return err
	}
	if err := d.each(func(u *bureau) error { return u.Open(ctx) }); err != nil {
		return err
	}
	if _, err := d.draw(); err != nil {
		return err
	}
	return d.warm(ctx, d.bureaux)
}

// idle watches a group that does nothing.
func (d *day) idle(ctx context.Context, p ScalePlan, c *Cost) error {
	began, processor, carried := time.Now(), processorTime(), d.cables.Carried()
	if !sleep(ctx, p.Idle) {
		return ctx.Err()
	}
	took := time.Since(began).Seconds()
	c.IdleCores, c.IdleBytes = (processorTime()-processor).Seconds()/took, float64(d.cables.Carried()-carried)/took
	return nil
}

// loaded has electors come in an even stream to all tables.
func (d *day) loaded(ctx context.Context, p ScalePlan, c *Cost) error {
	desks := d.desks(d.bureaux)
	before, err := d.bureaux[0].Status(ctx)
	if err != nil {
		return err
	}
	disk, err := bytesBelow(filepath.Join(d.plan.Out, "bureaux"))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var took []time.Duration
	var errs []error
	var work sync.WaitGroup
	began, processor, carried := time.Now(), processorTime(), d.cables.Carried()
	asked := int(p.Load.Seconds() * float64(p.PerSecond))
	for i := range asked {
		if !sleep(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(p.PerSecond)))) {
			break
		}
		k := desks[i%len(desks)]
		work.Go(func() {
			at := time.Now()
			a, err := k.u.CheckIn(ctx, k.ids[k.next.Add(1)-1])
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil || !a.Admitted:
				errs = append(errs, fmt.Errorf("an elector at home was refused: %s %w", a.Reason, err))
			case !a.Replicated:
				c.Alone++
			default:
				took = append(took, time.Since(at))
			}
		})
	}
	work.Wait()
	seconds := time.Since(began).Seconds()
	used := processorTime() - processor
	after, err := d.bureaux[0].Status(ctx)
	if err := errors.Join(append(errs, err, ctx.Err())...); err != nil {
		return err
	}
	slices.Sort(took)
	all := float64(max(1, len(took)+c.Alone))
	c.Asked, c.PerSecond, c.P50, c.P99 = float64(asked)/seconds, float64(len(took))/seconds, quantile(took, 0.5), quantile(took, 0.99)
	c.Processor, c.Entries = float64(used.Microseconds())/all, float64(after.LedgerSize-before.LedgerSize)/used.Seconds()
	c.WireBytes = float64(d.cables.Carried()-carried) / all
	now, err := bytesBelow(filepath.Join(d.plan.Out, "bureaux"))
	c.DiskBytes, c.Resident = float64(now-disk)/all, residentMiB()
	return err
}

// heal ends the principal bureau and starts it again.
func (d *day) heal(ctx context.Context, _ ScalePlan, c *Cost) error {
	principal := d.index[d.prepared.Commune.Principal]
	u, other := d.bureaux[principal], d.bureaux[(principal+1)%len(d.bureaux)]
	began := time.Now()
	if err := u.Kill(); err != nil {
		return err
	}
	if err := await(ctx, "another bureau leads", other, func(s node.Status) bool { return s.Leader != 0 && s.Leader != u.number && s.Link == "linked" }); err != nil {
		return err
	}
	c.NextLeader = time.Since(began).Seconds()
	if err := u.Start(ctx); err != nil {
		return err
	}
	want, err := other.Status(ctx)
	if err != nil {
		return err
	}
	if err := await(ctx, "the principal bureau is level", u, func(s node.Status) bool { return s.LedgerSize >= want.LedgerSize }); err != nil {
		return err
	}
	began = time.Now()
	if err := await(ctx, "the principal bureau leads", other, func(s node.Status) bool { return s.Leader == u.number && s.Link == "linked" }); err != nil {
		return err
	}
	c.PrincipalBack = time.Since(began).Seconds()
	return nil
}

// missedBureaux is the size of the commune in which a bureau misses entries, missedDesks how many electors at a time make them.
const missedBureaux, missedDesks = 3, 4

// comeBack has the last bureau miss entries that the others make, and come back.
func (d *day) comeBack(ctx context.Context, p ScalePlan, c *Cost) error {
	if p.Missed == 0 || len(d.bureaux) != missedBureaux {
		return nil
	}
	away, others := d.bureaux[missedBureaux-1], d.bureaux[:missedBureaux-1]
	if err := away.Stop(); err != nil {
		return err
	}
	size := func() (uint64, error) { s, err := others[0].Status(ctx); return s.LedgerSize, err }
	before, err := size()
	if err != nil {
		return err
	}
	desks := d.desks(others)
	var wg sync.WaitGroup
	errs := make([]error, missedDesks)
	for i := range missedDesks {
		wg.Go(func() {
			for k := desks[i%len(desks)]; errs[i] == nil; {
				if now, err := size(); err != nil || now >= before+p.Missed {
					errs[i] = err
					return
				}
				_, errs[i] = k.u.CheckIn(ctx, k.ids[len(k.ids)-int(k.next.Add(1))])
			}
		})
	}
	wg.Wait()
	want, err := size()
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	began := time.Now()
	if err := away.Start(ctx); err != nil {
		return err
	}
	if err := await(ctx, "the bureau is level", away, func(s node.Status) bool { return s.LedgerSize >= want }); err != nil {
		return err
	}
	c.Missed, c.Level = want-before, time.Since(began).Seconds()
	return nil
}

// await asks a bureau until what it says of itself holds.
func await(ctx context.Context, what string, u *bureau, holds func(node.Status) bool) error {
	for began := time.Now(); time.Since(began) < healsWithin; {
		s, err := u.Status(ctx)
		if err != nil {
			return err
		}
		if holds(s) {
			return nil
		}
		if !sleep(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("not within %v: %s", healsWithin, what)
}

// bytesBelow are the sizes of all files in a directory's tree. Files that go away meanwhile do not count.
func bytesBelow(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var i fs.FileInfo
			if i, err = e.Info(); err == nil {
				sum += i.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return sum, err
}

// residentMiB is this process's memory, 0 where the system does not tell.
func residentMiB() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kib, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 64)
			if err != nil {
				return 0
			}
			return n / 1024
		}
	}
	return 0
}
