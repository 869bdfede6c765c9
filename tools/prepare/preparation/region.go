package preparation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pointage/ledger"
)

func runSynthetic(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("synthetic", `prepare synthetic [flags]

Writes a list of invented electors on standard output, or, with --region, the lists
of the nineteen communes into a directory. Their national numbers are valid and
belong to nobody.

  prepare synthetic --commune 21014 --electors 13000 --seed 1 > electors.csv
  prepare synthetic --region --out lists
`, stdout)
	ins := f.Uint("commune", 21014, "INS `code` of the commune")
	n := f.Int("electors", 1000, "`number` of electors; with --region, of the whole Region at most")
	seed := f.Uint64("seed", 1, "the same seed writes the same list")
	region := f.Bool("region", false, "the nineteen communes, about 650,000 electors")
	out := f.String("out", "", "`directory` for the Region's lists")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return wrongUse("synthetic: %q is no flag", f.Arg(0))
	}
	if *region {
		if *out == "" {
			return wrongUse("synthetic: --region needs --out, a directory")
		}
		return SyntheticRegion(ctx, *out, *seed, 1)
	}
	if _, err := FindCommune(ledger.Commune(*ins)); err != nil || *n < 1 || *n > ledger.MaxElectors {
		return wrongUse("synthetic: a commune of the Region (21001 to 21019) has 1 to %d electors", ledger.MaxElectors)
	}
	return Synthetic(stdout, *seed, ledger.Commune(*ins), *n)
}

// SyntheticRegion writes dir/<INS>.csv for the nineteen communes, each with its
// estimated electors divided by shrink. Lists that are there are left.
func SyntheticRegion(ctx context.Context, dir string, seed uint64, shrink int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write synthetic lists: %w: %w", errTaken, err)
	}
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range Communes {
		jobs.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := listName(dir, c.INS)
			if _, err := os.Lstat(name); err == nil {
				return nil
			}
			return writeFile(name, func(w io.Writer) error { return Synthetic(w, seed, c.INS, max(c.Bureaux, c.Electors/shrink)) })
		})
	}
	return jobs.Wait()
}

func listName(dir string, ins ledger.Commune) string {
	return filepath.Join(dir, strconv.Itoa(int(ins))+".csv")
}

// region is one run of runRegion.
type region struct {
	dir       string
	by        string
	synthetic bool
	seed      uint64
	shrink    int
	wholeLife bool
	stdout    io.Writer
	stderr    io.Writer
}

func runRegion(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("region", `prepare region --dir DIR --by WHO [--synthetic] [flags of make]

Prepares the whole Region in one directory, one act after the other, and says what
each took: lists/<INS>.csv are imported, divided and numbered into work/, the
election is made in election/, the keys in keys/, the letters' passphrases in
letters.csv. What stands from an earlier run is kept: the same command goes on.
--whole-life plays the rest of the election's life too, to the certificate of destruction.

  prepare region --dir region --by "A. Official" --synthetic --election rehearsal-2030 --opens 2030-10-13T08:00:00+02:00 \
      --closes 2030-10-13T16:00:00+02:00 --witness "$VKEY" --witness-url https://adele.example/
`, stdout)
	r := region{stdout: stdout, stderr: stderr}
	var l listFlags
	var m makeFlags
	f.StringVar(&r.dir, "dir", "", "`directory` of the Region's preparation")
	f.StringVar(&r.by, "by", "", "`who` does it, for the record")
	f.BoolVar(&r.synthetic, "synthetic", false, "write lists of invented electors first")
	f.Uint64Var(&r.seed, "seed", 1, "of the invented electors")
	f.IntVar(&r.shrink, "shrink", 1, "a `number` by which the invented electors and the bureaux are divided")
	f.BoolVar(&r.wholeLife, "whole-life", false, "a rehearsal: hand every key through all offices, destroy everything, draw up the certificate")
	f.BoolVar(&l.live, "live", false, "a live election; otherwise a rehearsal")
	m.add(f.FlagSet)
	if err := f.parse(args); err != nil {
		return err
	}
	if r.dir == "" || f.NArg() > 0 {
		return wrongUse(`region: give --dir and no list; see "prepare region --help"`)
	}
	if r.shrink < 1 || r.shrink > 1000 {
		return wrongUse("region: --shrink is 1 to 1000")
	}
	if err := phrase("by", r.by); err != nil {
		return err
	}
	m.work, m.out, m.by = filepath.Join(r.dir, "work"), filepath.Join(r.dir, "election"), r.by
	if !m.simulation {
		m.passphrases = filepath.Join(r.dir, "letters.csv")
	}
	if r.wholeLife {
		if err := r.drawOwnExperts(&l, &m); err != nil {
			return err
		}
	}
	o, err := m.order(&l)
	if err != nil {
		return err
	}
	if err := o.checkManifest(); err != nil {
		return wrongUse("region: %v", err)
	}
	if r.wholeLife && time.UnixMilli(int64(o.Closes)).After(time.Now().Add(-lifeSpan)) {
		return wrongUse("region: a whole life can be played when the poll was over %d days ago: give --closes", lifeSpan/(24*time.Hour))
	}
	return r.run(ctx, &l, &m, &o)
}

func (r *region) run(ctx context.Context, l *listFlags, m *makeFlags, o *Order) error {
	began := time.Now()
	if r.wholeLife && r.lifeBegun() {
		// Its lists may be gone already.
		return r.timed("the whole life", func() error { return r.life(ctx) })
	}
	if r.synthetic {
		err := r.timed("lists written", func() error { return SyntheticRegion(ctx, filepath.Join(r.dir, "lists"), r.seed, r.shrink) })
		if err != nil {
			return err
		}
	}
	if err := r.timed("imported, divided and numbered", func() error { return r.lists(ctx, l, m.work) }); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(m.out, ManifestFile)); err == nil {
		fmt.Fprintln(r.stdout, "the election is there already")
	} else if _, err := os.Lstat(m.passphrases); m.passphrases != "" && err == nil {
		// They may be those of an election that was moved, so nobody removes them here.
		return wrongUse("%s is there and the election is not: it is of a run that was cut, or the election was moved; move it away", m.passphrases)
	} else if err := r.timed("election made", func() error { return r.election(ctx, l, m, o) }); err != nil {
		return err
	}
	if err := r.timed("keys put together", func() error { return r.keys(ctx, m) }); err != nil {
		return err
	}
	fmt.Fprintf(r.stdout, "the Region is prepared: %.0f s, %s\n", time.Since(began).Seconds(), peakMemory())
	if r.wholeLife {
		return r.timed("the whole life", func() error { return r.life(ctx) })
	}
	return nil
}

// timed runs an act and says what it took.
func (r *region) timed(what string, do func() error) error {
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	fmt.Fprintf(r.stdout, "%s: %.1f s\n", what, time.Since(began).Seconds())
	return nil
}

// lists brings every commune's list as far as its convocation numbers, several at
// a time.
func (r *region) lists(ctx context.Context, l *listFlags, work string) error {
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.SetLimit(min(runtime.GOMAXPROCS(0), maxCommunesAtOnce))
	var said sync.Mutex
	for _, c := range Communes {
		jobs.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.list(ctx, l, work, c); err != nil {
				return err
			}
			said.Lock()
			defer said.Unlock()
			fmt.Fprintf(r.stderr, "%d is ready\n", c.INS)
			return nil
		})
	}
	return jobs.Wait()
}

func (r *region) list(ctx context.Context, l *listFlags, work string, c Commune) error {
	wf := workFlags{work: work, by: r.by}
	ins := strconv.Itoa(int(c.INS))
	d := Division{}
	if r.synthetic {
		d.Bureaux = max(1, c.Bureaux/r.shrink)
	}
	if w, err := openState(work, c.INS); err == nil {
		ready := w.Bureaux != 0 && w.Method != 0
		if err := w.Close(); err != nil || ready {
			return err
		}
	} else if !errors.Is(err, errNoSet) {
		return err
	}
	if err := wf.importWorking(ctx, l, []string{ins + "=" + listName(filepath.Join(r.dir, "lists"), c.INS)}, io.Discard, r.stderr); err != nil {
		return err
	}
	return wf.run(ctx, job{name: "divide and number", do: func(_ context.Context, w *Working, _ io.Reader) (done, error) {
		if _, err := w.divide(d); err != nil {
			return done{}, err
		}
		return w.number(0)
	}}, []string{ins}, io.Discard, r.stderr)
}

func (r *region) election(ctx context.Context, l *listFlags, m *makeFlags, o *Order) error {
	all := make([]string, len(Communes))
	for i, c := range Communes {
		all[i] = strconv.Itoa(int(c.INS))
	}
	made, err := m.grouped(ctx, o, l, all, r.stdout, r.stderr)
	if err != nil {
		return m.record(all, false, err)
	}
	electors, bureaux := 0, 0
	for _, c := range made {
		electors, bureaux = electors+c.Electors, bureaux+c.Bureaux
	}
	fmt.Fprintf(r.stdout, "%d communes, %d bureaux, %d electors\n", len(made), bureaux, electors)
	return nil
}

func (r *region) keys(ctx context.Context, m *makeFlags) error {
	bar := newBar(r.stderr)
	defer bar.clear()
	made, err := Keys(ctx, filepath.Join(r.dir, "keys"), KeysOrder{Election: m.out, Progress: func(act string, done, total int) {
		bar.show(fmt.Sprintf("%s %d/%d", act, done, total))
	}})
	if err != nil {
		return err
	}
	bar.clear()
	sayKeys(r.stdout, made)
	return nil
}
