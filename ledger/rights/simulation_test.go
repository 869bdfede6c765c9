package rights

import (
	"flag"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	simSeed = flag.Uint64("seed", 0, "simulate the election day of this seed alone")
	simDays = flag.Int("days", 0, "simulate this many election days")
)

// The days of the tests: as large as a commune, or small and wild.
const (
	simElectors     = 20_000
	simFewElectors  = 1500
	simQuickDays    = 5
	simFullDays     = 400
	simWildDays     = 6
	simWildDaysFull = 800
	simRestlessDay  = 0.005
	simFragileDay   = 0.0001
	simEchoDay      = 0.1
	simEchoWild     = 0.3
	simProxiesDay   = 0.02
	simProxiesWild  = 0.08
	simRestlessWild = 0.25
	simFragileWild  = 0.004
)

// simOf is how a seed's day is: every eighth has a clone, a rollback, or a rollback of which
// nothing is found, in turn.
func simOf(seed uint64) simConfig {
	cfg := simConfig{restless: simRestlessDay, fragile: simFragileDay, proxies: simProxiesDay, echo: simEchoDay, watch: -1}
	if seed%8 == 5 {
		cfg.fault = simCloned + simFault(seed/8%3)
	}
	cfg.judged = seed%4 == 1
	return cfg
}

// TestSimulatedDays runs whole election days of 25 bureaux and 20,000 electors: faults until the
// afternoon, then none. On each day nobody gets two ballots (S1; where a clone or a rollback breaks
// the assumptions, each double is found with both records and nobody else is accused, S3), nobody
// at home waits longer than D (L1), a minute after the healing everything is replicated (L2), and
// in the evening everybody who came has voted (L3).
//
// A seed is a day, to the last event: -seed N runs that one again. -days N runs as many, -full 400 in
// two minutes on two cores; more than 1,500 need a -timeout.
func TestSimulatedDays(t *testing.T) {
	c := newSimCommune(t, simElectors)
	simRun(t, simQuickDays, simFullDays, func(seed uint64) *simDay { return newSimDay(c, simOf(seed), seed) })
}

// TestSmallWildDays: one elector in four tries for a second ballot, and machines crash all the time.
func TestSmallWildDays(t *testing.T) {
	c := newSimCommune(t, simFewElectors)
	simRun(t, simWildDays, simWildDaysFull, func(seed uint64) *simDay {
		cfg := simWild(0)
		if seed%2 == 0 {
			cfg.fault = simCloned + simFault(seed/2%3)
		}
		return newSimDay(c, cfg, seed)
	})
}

// simRun runs days on all cores, as many as the flags say, and logs what they were.
func simRun(t *testing.T, quick, wide int, day func(seed uint64) *simDay) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	first, last := uint64(1), uint64(quick)
	switch {
	case *simSeed > 0:
		first, last = *simSeed, *simSeed
	case *simDays > 0:
		last = uint64(*simDays)
	case *full:
		last = uint64(wide)
	}
	var sum simSum
	began, used := time.Now(), simCPU(t)
	seeds := make(chan uint64)
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for s := range seeds {
				d := day(s)
				sum.add(t, d, d.run())
			}
		})
	}
	for s := first; s <= last; s++ {
		seeds <- s
	}
	close(seeds)
	work.Wait()
	sum.log(t, time.Since(began), simCPU(t)-used)
}

// simCPU is the processor time that this process has used.
func simCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// simSum adds up days; any worker may add.
type simSum struct {
	mu     sync.Mutex
	days   [len(simFaultNames)]int
	steps  int
	total  simTally
	failed bool
}

func (s *simSum) add(t *testing.T, d *simDay, broken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.days[d.fault]++
	s.steps += d.steps
	a, b := &s.total, &d.tally
	for _, x := range [][2]*int{
		{&a.asked, &b.asked},
		{&a.admitted, &b.admitted},
		{&a.away, &b.away},
		{&a.refused, &b.refused},
		{&a.voided, &b.voided},
		{&a.annulled, &b.annulled},
		{&a.messages, &b.messages},
		{&a.crashes, &b.crashes},
		{&a.adopted, &b.adopted},
		{&a.orphans, &b.orphans},
		{&a.alarms, &b.alarms},
		{&a.troubles, &b.troubles},
		{&a.stops, &b.stops},
		{&a.doubles, &b.doubles},
		{&a.found, &b.found},
		{&a.unfound, &b.unfound},
		{&a.statements, &b.statements},
		{&a.mistakes, &b.mistakes},
		{&a.forms, &b.forms},
		{&a.byProxy, &b.byProxy},
	} {
		*x[0] += *x[1]
	}
	a.longest = max(a.longest, b.longest)
	if broken == "" || s.failed {
		return
	}
	s.failed = true
	t.Errorf("seed %d (%s): %s\n  go test ./ledger/rights -run '^%s$' -seed %d\n%s", d.seed, simFaultNames[d.fault], broken, t.Name(), d.seed, simStory(d))
}

// simStory runs the day again and tells what befell the elector for whom it failed.
func simStory(d *simDay) string {
	cfg := d.simConfig
	if cfg.watch = d.blamed; cfg.watch < 0 {
		return ""
	}
	again := newSimDay(d.simCommune, cfg, d.seed)
	again.run()
	if again.digest != d.digest {
		return "  the day did not replay"
	}
	out := ""
	for _, line := range again.story[max(0, len(again.story)-60):] {
		out += "  " + line + "\n"
	}
	return out
}

func (s *simSum) log(t *testing.T, took, used time.Duration) {
	n, total := 0, &s.total
	for _, k := range s.days {
		n += k
	}
	t.Logf("%d election days (%d clean, %d cloned, %d rolled back, %d erased) in %v: %.0f a minute on %d cores, %v of processor time a day", n, s.days[simClean], s.days[simCloned],
		s.days[simRolledBack], s.days[simErased], took.Round(time.Millisecond), float64(n)/took.Minutes(), runtime.GOMAXPROCS(0), (used / time.Duration(n)).Round(time.Millisecond))
	t.Logf("%d steps, %d check-ins asked, %d by proxy, %d ballots (%d away, %d by proxy), %d refused, %d voided, %d annulled, %d wrong rows; longest answer at home %d ms", s.steps, total.asked, total.forms,
		total.admitted, total.away, total.byProxy, total.refused, total.voided, total.annulled, total.mistakes, total.longest)
	t.Logf("%d messages, %d troubles, %d crashes, %d media lost below two, %d statements adopted from one medium, %d orphans, %d alarms", total.messages, total.troubles,
		total.crashes, total.stops, total.adopted, total.orphans, total.alarms)
	t.Logf("%d electors with two ballots where the assumptions were broken: %d records found, %d on no medium that was left; %d statements judged", total.doubles, total.found, total.unfound, total.statements)
}

// TestSeedReplaysItsDayExactly: the same seed is the same day, whatever runs beside it.
func TestSeedReplaysItsDayExactly(t *testing.T) {
	c := newSimCommune(t, simFewElectors)
	var digests [2][2]uint64
	var work sync.WaitGroup
	for i := range digests {
		for k := range digests[i] {
			work.Go(func() {
				cfg := simWild(0)
				cfg.fault = simFault(2 * i)
				d := newSimDay(c, cfg, uint64(i)+100)
				if why := d.run(); why != "" {
					t.Errorf("%s: %s", simFaultNames[2*i], why)
				}
				digests[i][k] = d.digest
			})
		}
	}
	work.Wait()
	for i, d := range digests {
		if d[0] != d[1] || i > 0 && d[0] == digests[0][0] {
			t.Errorf("%s: digests %x and %x", simFaultNames[2*i], d[0], d[1])
		}
	}
}
