package simulation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
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
	d.say("waiting until all bureaux hold the same ledger")
	if err := d.level(ctx, "before closing"); err != nil {
		return nil, err
	}
	d.say("closing the bureaux")
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
	d.say("waiting for the anchor of the whole ledger")
	anchoredAll, err := d.anchoredWhole(ctx, principal)
	if err != nil {
		return nil, err
	}
	if err := d.uploadedWhole(ctx); err != nil {
		return nil, err
	}
	d.say("exporting")
	dir := filepath.Join(d.plan.Out, "export", strconv.Itoa(int(d.plan.Commune)))
	if err := principal.Export(ctx, dir); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	d.say("exported to %s: verifying it, as an expert does", dir)
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
		d.show(Progress{Stage: "becoming level: " + why})
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
		d.show(Progress{Stage: "entries anchored", Done: s.AnchoredSize, Of: s.LedgerSize})
		if s.Backlog == 0 && s.AnchoredSize == s.LedgerSize && d.uneven(ctx) == "" {
			return true, nil
		}
		if !sleep(ctx, d.pace(100*time.Millisecond)) {
			return false, ctx.Err()
		}
	}
	return false, nil
}

// uploadedWhole waits until the leading principal bureau, or its deputy, has brought the regional
// platform all entries; what is not there by then is the verdict's to tell.
func (d *day) uploadedWhole(ctx context.Context) error {
	if d.adele == nil {
		return nil
	}
	d.say("waiting until ADELE has every entry")
	deadline := time.Now().Add(groupTimeout)
	for time.Now().Before(deadline) {
		for _, u := range d.bureaux {
			if s, err := u.Status(ctx); err == nil && s.PlatformFault == "" && s.PlatformSize == s.LedgerSize {
				return nil
			}
		}
		if !sleep(ctx, d.pace(100*time.Millisecond)) {
			return ctx.Err()
		}
	}
	return nil
}

// sameAtAdele verifies what the regional platform holds, and compares it with the bureaux' ledger.
func (d *day) sameAtAdele(ctx context.Context, ours *ledger.Report) error {
	if d.adele == nil || ours == nil {
		return nil
	}
	dir := filepath.Join(d.plan.Out, "adele-export", strconv.Itoa(int(d.plan.Commune)))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := d.adele.holds(d.plan.Commune, dir); err != nil {
		return err
	}
	x, err := election.OpenExport(os.DirFS(dir))
	if err != nil {
		return err
	}
	theirs, err := ledger.Verify(ctx, os.DirFS(dir), x.Group, x.Epoch, ledger.Options{Workers: runtime.GOMAXPROCS(0)})
	if err != nil {
		return err
	}
	if theirs.Epoch != ours.Epoch || theirs.Entries != ours.Entries || theirs.Root != ours.Root {
		return fmt.Errorf("it has %d entries of epoch %d, the bureaux %d of epoch %d", theirs.Entries, theirs.Epoch, ours.Entries, ours.Epoch)
	}
	return nil
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
	promise := s.promise
	promise(true, err == nil, "the export verifies: %v", err)
	there := d.sameAtAdele(ctx, report)
	promise(true, there == nil, "art. 7 § 2 ADELE holds the whole ledger: %v", there)
	s.Verified = err == nil
	s.AcknowledgedLost = d.told.lost(live) + d.told.uncarried(live, carried)
	var excluded [3]bool
	for _, f := range d.plan.Faults {
		excluded[f.excluded] = true
	}
	promise(!excluded[assumption], s.DoubleAdmissions == 0, "S1 no elector is admitted twice, no holder carries two: %d were", s.DoubleAdmissions)
	promise(true, s.DoubleAdmissionsReported == s.DoubleAdmissions || excluded[successor] && s.DoubleAdmissionsReported > s.DoubleAdmissions,
		"S3 every double admission is reported: %d of %d", s.DoubleAdmissionsReported, s.DoubleAdmissions)
	promise(true, s.AcknowledgedLost == 0, "no acknowledged check-in is lost: %d are", s.AcknowledgedLost)
	promise(true, s.HomeRefused == 0, "L1 every bureau serves its own electors: %d were refused", s.HomeRefused)
	promise(true, s.NeverAdmitted == 0, "L3 nobody is stuck: %d never voted", s.NeverAdmitted)
	least := leastProxies(d.visitors)
	promise(len(d.plan.Faults) == 0, s.Proxies >= least, "art. 10 proxies are admitted: %d of %d at least", s.Proxies, least)
	promise(true, anchoredAll && s.AnchoredSize == s.LedgerSize, "the day ends with an anchor of the whole ledger: %d of %d entries", s.AnchoredSize, s.LedgerSize)
	d.countLeaders(ctx, s)
	if d.land != nil {
		if err := d.sayConnections(); err != nil {
			return nil, fmt.Errorf("read the bureaux' logs: %w", err)
		}
	}
	s.TookSeconds = time.Since(d.began).Seconds()
	return s, nil
}

// promise notes one promise; the format says its name, a colon, and what was found.
func (s *Summary) promise(asked, held bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	name, seen, _ := strings.Cut(text, ": ")
	if held {
		seen = ""
	}
	s.Promises = append(s.Promises, Promise{name, asked, held, seen})
	if asked && !held {
		s.Broken = append(s.Broken, text)
	}
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
	x, err := election.OpenExport(os.DirFS(dir))
	if err != nil {
		return nil, nil, nil, err
	}
	if x.Group.Manifest != d.prepared.Group.Manifest {
		return nil, nil, nil, errors.New("the export is of another election")
	}
	view := ledger.NewMemoryView()
	report, err = ledger.Verify(ctx, os.DirFS(dir), x.Group, x.Epoch, ledger.Options{
		View: view, Workers: runtime.GOMAXPROCS(0),
		Progress: func(done, total uint64) { d.show(Progress{Stage: "entries verified", Done: done, Of: total}) },
	})
	if err != nil {
		return report, nil, nil, err
	}
	d.say("%d entries hold: comparing them with what the desks were told", report.Entries)
	live, carried = map[int][]ledger.BureauNumber{}, map[int][]light{}
	unknown := 0
	ledger.RangeAdmissions(view, func(x ledger.Right, as []ledger.LiveAdmission) bool {
		i, ok := d.register.FindToken(x.Elector)
		for _, a := range as {
			switch {
			case !ok:
				unknown++
			case x.Kind == ledger.Admit:
				live[i] = append(live[i], a.Bureau)
			default:
				carried[i] = append(carried[i], light{a.Bureau, fmt.Sprintf("%x/%d", a.ID.Session, a.ID.Sequence)})
			}
		}
		return true
	})
	if unknown > 0 {
		err = fmt.Errorf("%d admissions are of nobody on the list", unknown)
	}
	return report, live, carried, err
}
