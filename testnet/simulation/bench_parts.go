package simulation

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/testnet/links"
)

// The parts by name.
const (
	BareAppend = "bare append and fsync"
	VerifyRate = "verify an export"
	BareVerify = "bare ed25519"
)

// recordSize is the length of one admission's record in the journal, in bytes.
const recordSize = 330

// measureAppend appends and fsyncs in as many places as a bureau has media, in parallel, on the
// same disk: what the bureau's own part of a check-in is held against.
func measureAppend(dir string, duration time.Duration) (r Rate, err error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, m := range []string{"disk", "key1"} {
		place := filepath.Join(dir, m)
		if err := os.MkdirAll(place, 0o700); err != nil {
			return r, err
		}
		f, err := os.OpenFile(filepath.Join(place, "records"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return r, err
		}
		files = append(files, f)
	}
	record := make([]byte, recordSize)
	var all []time.Duration
	start := time.Now()
	for time.Since(start) < duration {
		at := time.Now()
		errs := make([]error, len(files))
		var wg sync.WaitGroup
		for i, f := range files {
			wg.Go(func() {
				_, werr := f.Write(record)
				errs[i] = errors.Join(werr, f.Sync())
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return r, fmt.Errorf("append: %w", err)
		}
		all = append(all, time.Since(at))
	}
	slices.Sort(all)
	r = Rate{System: BareAppend, Clients: 1, Ops: len(all), Seconds: time.Since(start).Seconds(), P50: quantile(all, 0.5), P99: quantile(all, 0.99), Max: quantile(all, 1)}
	r.PerSecond = float64(r.Ops) / r.Seconds
	return r, nil
}

// measureVerify plays a short day of single check-ins, exports it, and verifies the export
// beside as many bare signature checks on the same cores.
func (d *day) measureVerify(ctx context.Context, duration time.Duration) (ours, bare Rate, err error) {
	m := &day{
		plan: d.plan, election: d.election, prepared: d.prepared, index: map[ledger.BureauNumber]int{}, told: newTold(), began: d.began, attached: 2,
	}
	m.plan.Out, m.plan.Text = filepath.Join(d.plan.Out, "bench", "verify"), nil
	if err := os.MkdirAll(m.plan.Out, 0o755); err != nil {
		return ours, bare, err
	}
	m.cables = links.New(func(to int) string { return m.bureaux[to].listen })
	defer func() { err = errors.Join(err, m.close()) }()
	if m.adele, err = newAdele(d.election, filepath.Join(m.plan.Out, "adele"), d.plan.Commune, slog.New(slog.DiscardHandler)); err != nil {
		return ours, bare, err
	}
	if err := m.adele.Start(); err != nil {
		return ours, bare, err
	}
	m.witnessURL = m.adele.url()
	dir, err := m.shortDay(ctx, duration)
	if err != nil {
		return ours, bare, err
	}
	start := time.Now()
	report, err := ledger.Verify(ctx, os.DirFS(dir), d.prepared.Group, 0, ledger.Options{Workers: runtime.GOMAXPROCS(0)})
	if err != nil {
		return ours, bare, err
	}
	ours = Rate{System: VerifyRate, Clients: runtime.GOMAXPROCS(0), Ops: int(report.Signatures), Seconds: time.Since(start).Seconds()}
	ours.PerSecond = float64(ours.Ops) / ours.Seconds
	return ours, bareSignatures(ours.Ops), nil
}

// shortDay admits with one client a bureau, closes, and exports.
func (m *day) shortDay(ctx context.Context, duration time.Duration) (string, error) {
	if err := m.layOut(); err != nil {
		return "", err
	}
	if err := m.each(func(u *bureau) error { return u.Start(ctx) }); err != nil {
		return "", err
	}
	if err := m.waitForLeader(ctx); err != nil {
		return "", err
	}
	if err := m.each(func(u *bureau) error { return u.Open(ctx) }); err != nil {
		return "", err
	}
	if _, err := m.draw(); err != nil {
		return "", err
	}
	if _, err := m.load(ctx, m.bureaux, len(m.bureaux), duration); err != nil {
		return "", err
	}
	principal := m.bureaux[m.index[m.prepared.Commune.Principal]]
	if err := m.level(ctx, "before the export"); err != nil {
		return "", err
	}
	if err := principal.Close(ctx); err != nil {
		return "", err
	}
	if _, err := m.anchoredWhole(ctx, principal); err != nil {
		return "", err
	}
	dir := filepath.Join(m.plan.Out, "export")
	return dir, principal.Export(ctx, dir)
}

// bareSignatures checks n signatures over a batch header's length on all cores.
func bareSignatures(n int) Rate {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("the system's randomness: " + err.Error())
	}
	msg := make([]byte, 160)
	sig := ed25519.Sign(key, msg)
	cores := runtime.GOMAXPROCS(0)
	start := time.Now()
	var wg sync.WaitGroup
	for c := range cores {
		wg.Go(func() {
			for i := c; i < n; i += cores {
				if !ed25519.Verify(pub, msg, sig) {
					panic("a good signature does not hold")
				}
			}
		})
	}
	wg.Wait()
	r := Rate{System: BareVerify, Clients: cores, Ops: n, Seconds: time.Since(start).Seconds()}
	r.PerSecond = float64(n) / r.Seconds
	return r
}
