package simulation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/tools/prepare/preparation"
)

// Sample is the day at one moment, from the opening to the verdict: all that is shown of it, as lines, on a
// terminal or in a report, is made of samples.
type Sample struct {
	Progress
	// At is the time since the bureaux opened.
	At      time.Duration
	Commune ledger.Commune
	// Evening: everybody is through, and the faults are over.
	Evening bool
	// Arrived came to a bureau so far, those who come a second time counted again.
	Arrived int
	// SecondRefused of those refused had been admitted, or were being admitted elsewhere.
	SecondRefused int
	// LedgerSize is the longest ledger's, in entries.
	LedgerSize uint64
	// Bureaux are in the manifest's order.
	Bureaux []BureauSample
	// Faults are all that have begun, in the order in which they did.
	Faults []FaultSpan
	// Home and Away are the waits, from asking to the answer, since the sample before: of electors at their own
	// bureau, and of all others.
	Home, Away Waits
}

// BureauSample is one bureau at one moment.
type BureauSample struct {
	Bureau ledger.BureauNumber
	// Link is linked, alone or catching up; empty for a bureau that does not answer.
	Link string
	// Behind is how many entries the longest ledger has more than this bureau's.
	Behind uint64
	// Backlog is how many of its batches the group does not have.
	Backlog int
	// CheckIns is what its desks were told.
	CheckIns int
	// Alarms are words for what people must look at.
	Alarms []string
}

// Down says that the bureau does not answer.
func (b BureauSample) Down() bool { return b.Link == "" }

// PlaceName is a commune's name in French and Dutch, its code when it has none here.
func PlaceName(ins ledger.Commune) string {
	c, err := preparation.FindCommune(ins)
	switch {
	case err != nil:
		return fmt.Sprint("commune ", ins)
	case c.FR == c.NL:
		return c.FR
	}
	return c.FR + " – " + c.NL
}

// FaultSpan is a fault that has begun.
type FaultSpan struct {
	Name string
	// Began is on the clock of Sample.At, as is Ended, which counts when Over.
	Began, Ended time.Duration
	Over         bool
}

// samplePatience is how long one sample waits for a bureau's status.
const samplePatience = time.Second

// sample looks at every bureau, and takes the waits that nobody has taken yet.
func (d *day) sample(ctx context.Context) Sample {
	d.mu.Lock()
	s := Sample{Progress: d.live, At: time.Since(d.opened), Commune: d.plan.Commune, Evening: d.polled, Arrived: d.arrived, Faults: append([]FaultSpan(nil), d.faults...)}
	s.CutOff = d.cut
	d.mu.Unlock()
	for _, f := range s.Faults {
		if !f.Over {
			s.Fault = f.Name
		}
	}
	d.told.fill(&s, d.bureaux)
	s.measure(d.statuses(ctx), d.extents)
	return s
}

// measure enters what the bureaux answered, nil for one that did not; had is what each was
// last seen to have, and is brought up to date.
func (s *Sample) measure(states []*node.Status, had []extent) {
	var epoch uint8
	for i, st := range states {
		if st != nil {
			had[i] = extent{st.Epoch, st.LedgerSize, st.AnchoredSize}
		}
		epoch = max(epoch, had[i].epoch)
	}
	for i := range had {
		if had[i].epoch < epoch {
			had[i] = extent{epoch: epoch} // it has nothing of this one
		}
		s.LedgerSize, s.Anchored = max(s.LedgerSize, had[i].size), max(s.Anchored, had[i].anchored)
	}
	for i, st := range states {
		if st == nil {
			continue
		}
		if st.Leader != 0 && s.Leader == 0 && st.Link != "alone" {
			s.Leader = st.Leader
		}
		b := &s.Bureaux[i]
		b.Link, b.Backlog, b.Alarms = st.Link, st.Backlog, alarms(st)
	}
	for i := range s.Bureaux {
		s.Bureaux[i].Behind = s.LedgerSize - had[i].size
	}
}

// extent is how much of which epoch's ledger a bureau has, and knows to be anchored: both in entries.
type extent struct {
	epoch          uint8
	size, anchored uint64
}

// statuses asks all bureaux at once; nil for one that does not answer.
func (d *day) statuses(ctx context.Context) []*node.Status {
	ctx, cancel := context.WithTimeout(ctx, samplePatience)
	defer cancel()
	out := make([]*node.Status, len(d.bureaux))
	var wg sync.WaitGroup
	for i, u := range d.bureaux {
		wg.Go(func() {
			if st, err := u.Status(ctx); err == nil {
				out[i] = &st
			}
		})
	}
	wg.Wait()
	return out
}

// alarms says in words what a status has that people must look at.
func alarms(s *node.Status) (out []string) {
	add := func(is bool, format string, args ...any) {
		if is {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(s.Fault != "", "stopped by a fault")
	add(s.Alarms > 0, "acts to look at: %d", s.Alarms)
	add(s.Forks > 0, "forks proven: %d", s.Forks)
	add(s.Equivocations > 0, "two ledgers signed: %d", s.Equivocations)
	add(s.RolledBack, "rolled back")
	add(s.LeftOut, "left out")
	add(s.LedgerDiffers, "another ledger")
	add(s.Retired, "key retired")
	add(s.AnchorFault != "", "no anchor")
	bad := 0
	for _, m := range s.Media {
		if m != "good" {
			bad++
		}
	}
	add(bad > 0, "media missing: %d of %d", bad, len(s.Media))
	return out
}

// watch passes samples on until stop is called, which waits for the last one.
func (d *day) watch(ctx context.Context) (stop func()) {
	if d.plan.Live == nil {
		return func() {}
	}
	ticking, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for sleep(ticking, d.pace(tick)) {
			d.plan.Live.Sample(d.sample(ticking))
		}
		if ctx.Err() == nil {
			d.plan.Live.Sample(d.sample(ctx))
		}
	}()
	return func() {
		end()
		<-ended
	}
}

// faultBegins notes a fault, and returns what notes its end.
func (d *day) faultBegins(name string) (over func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := len(d.faults)
	d.faults = append(d.faults, FaultSpan{Name: name, Began: time.Since(d.opened)})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.faults[i].Ended, d.faults[i].Over = time.Since(d.opened), true
	}
}
