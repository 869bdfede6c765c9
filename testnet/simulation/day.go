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
	plan       Plan
	election   string
	prepared   *node.Prepared
	register   *register.Register
	witnessURL string
	program    string
	verified   *store.Verified
	adele      *adele
	cables     *links.Net
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

	mu    sync.Mutex
	live  Progress
	cut   []ledger.BureauNumber
	fault string
}

// InputError is about the words or the files that the plan was made from; no bureau had been started.
type InputError struct{ Err error }

// Error is the error's own.
func (e InputError) Error() string { return e.Err.Error() }

// Unwrap gives the error itself.
func (e InputError) Unwrap() error { return e.Err }

// Run plays the plan. The summary is whole when the error is nil; promises that were not
// held are in it. The error is for what kept the day from being played.
func Run(ctx context.Context, p Plan) (s *Summary, err error) {
	if err := p.Check(); err != nil {
		return nil, InputError{err}
	}
	d := &day{plan: p, attached: 3, index: map[ledger.BureauNumber]int{}, told: newTold(), began: time.Now(), turn: make(chan struct{}, 1), emptied: make(chan struct{}), verified: store.NewVerified()}
	if d.plan.Out, err = filepath.Abs(p.Out); err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		return nil, InputError{err}
	}
	if p.PrepareOnly {
		return nil, nil
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	if err := d.poll(ctx); err != nil {
		return nil, err
	}
	if s, err = d.evening(ctx); err != nil {
		return nil, err
	}
	if err := writeSummary(d.plan.Out, s); err != nil {
		return nil, fmt.Errorf("write summary: %w", err)
	}
	if p.Serve {
		d.serve(ctx)
	}
	return s, nil
}

func (d *day) say(format string, args ...any) {
	if d.plan.Text != nil {
		fmt.Fprintf(d.plan.Text, "%6.1fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (d *day) setFault(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = name
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
		if d.program, err = build(ctx, d.plan.Out); err != nil {
			return err
		}
	}
	d.cables = links.New(func(to int) string { return d.bureaux[to].listen })
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

// serve keeps the bureaux up and says where they are.
func (d *day) serve(ctx context.Context) {
	for _, u := range d.bureaux {
		d.say("bureau %d: http://%s (secret in %s)", u.number, u.config.API, filepath.Join(u.dir, "data", node.TokenFile))
	}
	d.say("serving until Ctrl-C")
	<-ctx.Done()
}
