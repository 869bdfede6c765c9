package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/node/register"
	"pointage/node/store"
	"pointage/testnet/links"
)

// day is one simulated polling day.
type day struct {
	plan Plan
	out  *output
	// free is how many bytes the disk of a directory has left.
	free       func(dir string) (uint64, error)
	election   string
	prepared   *node.Prepared
	register   *register.Register
	witnessURL string
	program    string
	verified   *store.Verified
	adele      *adele
	cables     *links.Net
	land       *land // nil on this machine's loopback
	bureaux    []*bureau
	index      map[ledger.BureauNumber]int
	logs       []*os.File
	told       *told
	// attached is how many of the three media each bureau has.
	attached int
	began    time.Time
	// visitors are those who come, by their time.
	visitors []visitor
	// emptied is closed when the queues are empty.
	emptied chan struct{}
	// turn is held by the fault that cuts or kills.
	turn chan struct{}

	// opened is when the bureaux were; extents are what each was last seen to have, the sampling goroutine's alone.
	opened  time.Time
	extents []extent

	mu   sync.Mutex
	live Progress
	// arrived came to a bureau so far.
	arrived int
	cut     []ledger.BureauNumber
	faults  []FaultSpan
	// polled: everybody is through, and the faults are over.
	polled bool
	// doors lead those who look for one bureau to another.
	doors map[ledger.BureauNumber]ledger.BureauNumber
	// twice: every table presses twice.
	twice bool
	// mounts take away the disks that were made.
	mounts []func() error
}

// InputError is about the words or the files that the plan was made from; no bureau had been started.
type InputError struct{ Err error }

// Error is the error's own.
func (e InputError) Error() string { return e.Err.Error() }

// Unwrap gives the error itself.
func (e InputError) Unwrap() error { return e.Err }

// Run plays the plan. The summary is whole when the error is nil; promises that were not
// held are in it. The error is for what kept the day from being played. When the poll did
// not begin, was interrupted, or the disk is full, nothing of the run is left in Out.
func Run(ctx context.Context, p Plan) (*Summary, error) { return run(ctx, p, freeSpace) }

func run(ctx context.Context, p Plan, free func(string) (uint64, error)) (s *Summary, err error) {
	if err := p.Check(); err != nil {
		return nil, InputError{err}
	}
	d := &day{plan: p, free: free, attached: 3, index: map[ledger.BureauNumber]int{}, told: newTold(), began: time.Now(), turn: make(chan struct{}, 1), emptied: make(chan struct{}), verified: store.NewVerified()}
	if d.plan.Out, err = filepath.Abs(p.Out); err != nil {
		return nil, err
	}
	if p.Processes && !p.PrepareOnly {
		if err := canBuild(ctx, p.Program); err != nil {
			return nil, InputError{err}
		}
	}
	ctx, end := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer end(nil)
	if err := d.prepare(ctx); err != nil {
		return nil, d.prepareFailed(ctx, err)
	}
	if p.PrepareOnly {
		return nil, nil
	}
	watching.Go(func() { d.watchSpace(ctx, end) })
	return d.play(ctx)
}

// prepareFailed takes away what was written; a full disk and an interruption are nobody's words.
func (d *day) prepareFailed(ctx context.Context, err error) error {
	if d.out.claimed {
		err = errors.Join(err, d.out.discard())
	}
	if full, is := d.fullDisk(ctx, err); is {
		return full
	}
	if ctx.Err() != nil {
		return err
	}
	return InputError{err}
}

// play is the day from the first bureau's start to the summary.
func (d *day) play(ctx context.Context) (s *Summary, err error) {
	played := false
	defer func() {
		err = errors.Join(err, d.close())
		if err == nil || s != nil {
			return
		}
		full, is := d.fullDisk(ctx, err)
		if played && !is && ctx.Err() == nil {
			err = fmt.Errorf("%w; the logs are in %s", err, filepath.Join(d.plan.Out, "logs"))
			return
		}
		if is {
			err = full
		}
		err = errors.Join(err, d.out.discard())
	}()
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	if err := d.waitForLeader(ctx); err != nil {
		return nil, err
	}
	played = true
	if d.plan.ByHand {
		return nil, d.serve(ctx, nil)
	}
	if s, err = d.whole(ctx); err != nil {
		return nil, err
	}
	if err := writeSummary(d.plan.Out, s); err != nil {
		return nil, fmt.Errorf("write summary: %w", err)
	}
	if d.plan.Serve != nil {
		return s, d.serve(ctx, s)
	}
	return s, nil
}

// whole is the poll and its evening, which are watched.
func (d *day) whole(ctx context.Context) (*Summary, error) {
	if err := d.openAll(ctx); err != nil {
		return nil, err
	}
	defer d.watch(ctx)()
	if err := d.poll(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.polled = true
	d.mu.Unlock()
	return d.evening(ctx)
}

func (d *day) say(format string, args ...any) {
	if d.plan.Text != nil {
		fmt.Fprintf(d.plan.Text, "%6.1fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (d *day) setCut(indexes []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = nil
	for _, i := range indexes {
		d.cut = append(d.cut, d.bureaux[i].number)
	}
}

// start brings up ADELE, the cables and every bureau.
func (d *day) start(ctx context.Context) error {
	if d.plan.Anchor != "" {
		d.witnessURL = d.plan.Anchor
	} else {
		log, err := os.Create(filepath.Join(d.plan.Out, "adele.log"))
		if err != nil {
			return err
		}
		d.logs = append(d.logs, log)
		if d.adele, err = newAdele(d.election, filepath.Join(d.plan.Out, "adele"), d.plan.Commune, slog.New(slog.NewTextHandler(log, nil))); err != nil {
			return err
		}
		if err := d.adele.Start(); err != nil {
			return err
		}
		d.witnessURL = d.adele.url()
	}
	if d.plan.Processes {
		var err error
		if d.program, err = build(ctx, d.plan.Program, d.plan.Out); err != nil {
			return err
		}
	}
	if d.plan.Networks {
		if err := d.newLand(); err != nil {
			return fmt.Errorf("make the networks: %w", err)
		}
		for i, p := range d.land.places {
			d.say("bureau %d: %s, at %v", d.prepared.Commune.Bureaux[i].Number, d.land.kinds[i], p.Address())
		}
	}
	d.cables = links.NewIn(d.plan.Weather, func(to int) string { return d.bureaux[to].listen })
	if err := d.layOut(); err != nil {
		return err
	}
	return d.each(func(u *bureau) error { return u.Start(ctx) })
}

// startWidth is how many bureaux start or stop at a time.
const startWidth = 4

// each does something at every bureau, a few at a time.
func (d *day) each(f func(*bureau) error) error {
	errs := make([]error, len(d.bureaux))
	slots := make(chan struct{}, startWidth)
	var wg sync.WaitGroup
	for i, u := range d.bureaux {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f(u); err != nil {
				errs[i] = fmt.Errorf("bureau %d: %w", u.number, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// close ends whatever still runs.
func (d *day) close() error {
	var errs []error
	if len(d.bureaux) > 0 {
		errs = append(errs, d.each(func(u *bureau) error {
			if u.station == nil {
				return nil
			}
			return u.Stop()
		}))
	}
	errs = append(errs, d.unmounts())
	if d.land != nil {
		errs = append(errs, d.land.close())
	}
	if d.cables != nil {
		errs = append(errs, d.cables.Close())
	}
	if d.adele != nil {
		errs = append(errs, d.adele.Stop())
	}
	if d.register != nil {
		d.register.Close()
	}
	for _, f := range d.logs {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// show passes progress on.
func (d *day) show(p Progress) {
	if d.plan.Live != nil {
		d.plan.Live.Progress(p)
	}
}

// triedByHand is how many electors' numbers are told for each bureau.
const triedByHand = 4

// serve keeps the bureaux up and says where they are. The electors are synthetic, or those of a list that whoever
// serves it gave: their numbers and the passphrases are what he types.
func (d *day) serve(ctx context.Context, s *Summary) error {
	if d.register == nil {
		var err error
		if d.register, err = d.openRegister(d.bureaux[0].number); err != nil {
			return err
		}
	}
	came := map[int]bool{}
	for i := range d.visitors {
		came[d.visitors[i].elector] = true
	}
	try := map[ledger.BureauNumber][]string{}
	for i := range d.register.Len() {
		if e := d.register.At(i); !came[i] && len(try[e.Bureau]) < triedByHand {
			try[e.Bureau] = append(try[e.Bureau], e.ConvocationNumber.Digits())
		}
	}
	var at []Served
	for _, u := range d.bureaux {
		pass, err := readPassphrase(u)
		if err != nil {
			return err
		}
		at = append(at, Served{
			u.number, "http://" + u.config.API, filepath.Join(u.dir, u.config.Data, node.TokenFile), "http://" + u.config.Screens + "/", pass, try[u.number],
		})
	}
	d.plan.Serve(s, at)
	<-ctx.Done()
	return nil
}
