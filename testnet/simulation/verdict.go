package simulation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/node"
)

func readPassphrase(u *bureau) (string, error) {
	b, err := os.ReadFile(u.config.PassphraseFile)
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// evening closes the bureaux, waits until all are level and the whole ledger is
// anchored, exports, verifies, and compares with what the desks were told.
func (d *day) evening(ctx context.Context) (*Summary, error) {
	d.cables.Heal()
	if err := d.level(ctx, "before closing"); err != nil {
		return nil, err
	}
	principal := d.bureaux[d.index[d.prepared.Commune.Principal]]
	if err := d.each(func(u *bureau) error {
		if u == principal {
			return nil
		}
		return u.Close(ctx)
	}); err != nil {
		return nil, err
	}
	if err := d.level(ctx, "after closing"); err != nil {
		return nil, err
	}
	if err := principal.Close(ctx); err != nil {
		return nil, err
	}
	anchoredAll, err := d.anchoredWhole(ctx, principal)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(d.plan.Out, "export", strconv.Itoa(int(d.plan.Commune)))
	if err := principal.Export(ctx, dir); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	d.say("exported to %s", dir)
	return d.judge(ctx, dir, anchoredAll)
}

// level waits until no bureau has a backlog and all have the same ledger (L2), as long as
// the ledger still grows.
func (d *day) level(ctx context.Context, when string) error {
	why, size := "", uint64(0)
	deadline := time.Now().Add(groupTimeout)
	for time.Now().Before(deadline) {
		if why = d.uneven(ctx); why == "" {
			return nil
		}
		if s, err := d.bureaux[d.index[d.prepared.Commune.Principal]].Status(ctx); err == nil && s.LedgerSize > size {
			size, deadline = s.LedgerSize, time.Now().Add(groupTimeout)
		}
		if !sleep(ctx, d.pace(100*time.Millisecond)) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s: not level, and nothing new for %v: %s", when, groupTimeout, why)
}

// pace stretches a wait between two looks at every bureau in a large commune.
func (d *day) pace(t time.Duration) time.Duration { return t * time.Duration(1+len(d.bureaux)/12) }

// uneven says what is not level yet.
func (d *day) uneven(ctx context.Context) string {
	head := ""
	for _, u := range d.bureaux {
		s, err := u.Status(ctx)
		switch {
		case err != nil:
			return fmt.Sprintf("bureau %d: %v", u.number, err)
		case s.Backlog > 0 || s.Leader == 0:
			return fmt.Sprintf("bureau %d is %s with %d batches to hand in", u.number, s.Link, s.Backlog)
		case head != "" && s.LedgerHead != head:
			return fmt.Sprintf("bureau %d has another head", u.number)
		}
		head = s.LedgerHead
	}
	return ""
}

// anchoredWhole waits until the principal bureau has anchored the whole ledger.
func (d *day) anchoredWhole(ctx context.Context, principal *bureau) (bool, error) {
	deadline := time.Now().Add(groupTimeout)
	for time.Now().Before(deadline) {
		s, err := principal.Status(ctx)
		if err != nil {
			return false, err
		}
		if s.Backlog == 0 && s.AnchoredSize == s.LedgerSize && d.uneven(ctx) == "" {
			return true, nil
		}
		if !sleep(ctx, d.pace(100*time.Millisecond)) {
			return false, ctx.Err()
		}
	}
	return false, nil
}

// judge makes the summary from the desks' answers and the verified export.
func (d *day) judge(ctx context.Context, dir string, anchoredAll bool) (*Summary, error) {
	s := &Summary{
		Seed: d.plan.Seed, Commune: d.plan.Commune, Bureaux: d.plan.Bureaux, Electors: d.plan.Electors,
		CheckIns: d.told.checkIns, AwayCheckIns: d.told.away, Proxies: d.told.proxies, SecondAttemptsRefused: d.told.secondRefused,
		DoubleAdmissions: d.told.double(), HomeRefused: d.told.homeRefused, LongestWaitMillis: d.told.longest.Milliseconds(),
		LongestHomeWaitMillis: d.told.longestHome.Milliseconds(),
		Faults:                []string{}, Broken: []string{},
	}
	for _, f := range d.plan.Faults {
		s.Faults = append(s.Faults, f.Name)
	}
	s.NeverAdmitted = d.live.Expected - len(d.told.admitted)
	report, live, carried, err := d.verify(ctx, dir)
	if report != nil {
		s.LedgerSize, s.AnchoredSize = report.Entries, report.Anchored
		s.LedgerHead, s.Root = report.Head.String(), report.Root.String()
		s.DoubleAdmissionsReported = len(report.Double)
	}
	broken := func(held bool, format string, args ...any) {
		if !held {
			s.Broken = append(s.Broken, fmt.Sprintf(format, args...))
		}
	}
	broken(err == nil, "the export verifies: %v", err)
	s.Verified = err == nil
	s.AcknowledgedLost = d.told.lost(live) + d.told.uncarried(live, carried)
	var excluded [3]bool
	for _, f := range d.plan.Faults {
		excluded[f.excluded] = true
	}
	broken(s.DoubleAdmissions == 0 || excluded[assumption], "S1 no elector is admitted twice, no holder carries two: %d were", s.DoubleAdmissions)
	broken(s.DoubleAdmissionsReported == s.DoubleAdmissions || excluded[successor] && s.DoubleAdmissionsReported > s.DoubleAdmissions,
		"S3 every double admission is reported: %d of %d", s.DoubleAdmissionsReported, s.DoubleAdmissions)
	broken(s.AcknowledgedLost == 0, "no acknowledged check-in is lost: %d are", s.AcknowledgedLost)
	broken(s.HomeRefused == 0, "L1 every bureau serves its own electors: %d were refused", s.HomeRefused)
	broken(s.NeverAdmitted == 0, "L3 nobody is stuck: %d never voted", s.NeverAdmitted)
	least := leastProxies(d.visitors)
	broken(len(d.plan.Faults) > 0 || s.Proxies >= least, "art. 10 proxies are admitted: %d of %d at least", s.Proxies, least)
	broken(anchoredAll && s.AnchoredSize == s.LedgerSize, "the day ends with an anchor of the whole ledger: %d of %d entries", s.AnchoredSize, s.LedgerSize)
	d.countLeaders(ctx, s)
	s.TookSeconds = time.Since(d.began).Seconds()
	return s, nil
}

func (d *day) countLeaders(ctx context.Context, s *Summary) {
	for _, u := range d.bureaux {
		if st, err := u.Status(ctx); err == nil {
			s.LeaderChanges = max(s.LeaderChanges, st.LeaderChanges)
		}
	}
}

// verify is what an expert does, with the export alone; live lists for each elector
// where the ledger says that he was admitted, carried where he was for another.
func (d *day) verify(ctx context.Context, dir string) (report *ledger.Report, live map[int][]ledger.BureauNumber, carried map[int][]light, err error) {
	p, err := node.ReadPrepared(d.election, d.plan.Commune)
	if err != nil {
		return nil, nil, nil, err
	}
	report, err = ledger.Verify(ctx, os.DirFS(dir), p.Group, 0, ledger.Options{Workers: runtime.GOMAXPROCS(0)})
	if err != nil {
		return report, nil, nil, err
	}
	live, carried = map[int][]ledger.BureauNumber{}, map[int][]light{}
	view, err := replay(dir, p.Group, report.Entries)
	if err != nil {
		return report, nil, nil, err
	}
	ledger.RangeAdmissions(view, func(x ledger.Right, as []ledger.LiveAdmission) bool {
		i, ok := d.register.FindToken(x.Elector)
		for _, a := range as {
			switch {
			case !ok:
			case x.Kind == ledger.Admit:
				live[i] = append(live[i], a.Bureau)
			default:
				carried[i] = append(carried[i], light{a.Bureau, fmt.Sprintf("%x/%d", a.ID.Session, a.ID.Sequence)})
			}
		}
		return true
	})
	return report, live, carried, nil
}

// replay places a verified export's batches again, to look at who was admitted.
func replay(dir string, g *ledger.Group, size uint64) (ledger.View, error) {
	v := ledger.NewMemoryView()
	ledger.Begin(g, v)
	for _, t := range ledger.EntryBundles(size) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(ledger.TilePath(t))))
		if err != nil {
			return nil, err
		}
		entries, err := ledger.SplitBundle(data, t.W)
		if err != nil {
			return nil, err
		}
		for _, raw := range entries {
			e, err := ledger.DecodeEntry(raw)
			if err != nil {
				return nil, err
			}
			if e.Kind == ledger.GenesisEntry {
				continue
			}
			b, err := ledger.DecodeBatch(e.Batch)
			if err != nil {
				return nil, err
			}
			ledger.Place(g, v, b)
		}
	}
	return v, nil
}
