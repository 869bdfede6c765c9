package preparation

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
)

// makeFlags are those of make alone.
type makeFlags struct {
	name, policy, where, opens, closes string
	witness, witnessURL                string
	out, passphrases, by               string
	simulation, outsideHolders         bool
	barrier                            time.Duration
	authority, experts, work           string
	principal, deputy, second, places  perCommune
	payOffice                          perCommune
}

// perCommune collects a flag that is given for a commune, as 21014=3, and may be
// repeated.
type perCommune map[ledger.Commune][]string

// String is empty: such a flag has no default.
func (p *perCommune) String() string { return "" }

// Set reads one occurrence.
func (p *perCommune) Set(arg string) error {
	code, value, ok := strings.Cut(arg, "=")
	ins, err := strconv.ParseUint(code, 10, 32)
	if err == nil {
		_, err = FindCommune(ledger.Commune(ins))
	}
	if !ok || err != nil || value == "" {
		return errors.New("name the commune before it, as in 21014=3")
	}
	if *p == nil {
		*p = perCommune{}
	}
	(*p)[ledger.Commune(ins)] = append((*p)[ledger.Commune(ins)], value)
	return nil
}

// one is the commune's bureau, 0 when the flag is not given.
func (p perCommune) one(flag string, ins ledger.Commune) (ledger.BureauNumber, error) {
	if len(p[ins]) > 1 {
		return 0, wrongUse("make: --%s is given twice for %d", flag, ins)
	}
	all, err := p.bureaux(flag, ins)
	if len(all) == 0 || err != nil {
		return 0, err
	}
	return all[0], nil
}

func (p perCommune) bureaux(flag string, ins ledger.Commune) ([]ledger.BureauNumber, error) {
	var out []ledger.BureauNumber
	for _, text := range p[ins] {
		n, err := parseBureau(text, 0)
		if err != nil {
			return nil, wrongUse("make: --%s of %d: %w", flag, ins, err)
		}
		out = append(out, n)
	}
	return out, nil
}

func (m *makeFlags) add(f *flag.FlagSet) {
	f.StringVar(&m.name, "election", "", "`name` in the ledgers' origins: a-z 0-9 . -")
	f.StringVar(&m.policy, "policy", "strict", "when a right can't be had: `strict or provisional`")
	f.StringVar(&m.where, "where", "home-bureau", "where one may vote: `home-bureau, redirect or free-choice`")
	f.BoolVar(&m.outsideHolders, "outside-holders", false, "let electors of other communes hold proxies")
	f.StringVar(&m.opens, "opens", "", "`time` of opening, as 2030-10-13T08:00:00+02:00")
	f.StringVar(&m.closes, "closes", "", "`time` of closing")
	f.DurationVar(&m.barrier, "barrier", time.Second, "how long an admission waits for the group")
	f.StringVar(&m.witness, "witness", "", "ADELE's verifier `key` (C2SP tlog-witness)")
	f.StringVar(&m.witnessURL, "witness-url", "", "ADELE's `address`")
	f.StringVar(&m.out, "out", "", "`directory` of the election, absent or empty")
	f.StringVar(&m.passphrases, "passphrases", "", "new `file` for all passphrases: print the letters, then destroy it")
	f.StringVar(&m.authority, "authority", "", "the authority's key of an earlier election, a `file` (default: a new one is drawn)")
	f.StringVar(&m.experts, "experts", "", "`file` with the experts' age recipients, one a line: they can open all registers")
	f.StringVar(&m.work, "work", "", "`directory` of working directories: the arguments are communes, not lists")
	f.Var(&m.principal, "principal", "the principal bureau, as `21014=3` (default: 1)")
	f.Var(&m.deputy, "deputy", "its deputy, as `21014=5` (default: the bureau after the principal one)")
	f.Var(&m.second, "second", "bureau of a second person of amendments, as `21014=7`; may be repeated (default: a person of no bureau)")
	f.Var(&m.places, "places", "file of bureaux (see prepare bureaux --help), as `21014=bureaux.csv`")
	f.Var(&m.payOffice, "pay-office", "recipient of the commune's pay office (see prepare pay-office --help), a file or age1pq1…, as `21014=pay.txt` (default: none, accounts are taken on paper)")
	f.BoolVar(&m.simulation, "simulation", false, "lay the passphrases beside what they open (never live)")
}

func (m *makeFlags) order(l *listFlags) (Order, error) {
	o := Order{
		Election: m.name, Live: l.live, OutsideHolders: m.outsideHolders, Barrier: m.barrier,
		Witnesses:   []election.Witness{{VKey: m.witness, URL: m.witnessURL}},
		Passphrases: m.passphrases, Simulation: m.simulation,
	}
	for _, given := range [][2]string{
		{"election", m.name},
		{"out", m.out},
		{"witness", m.witness},
		{"witness-url", m.witnessURL},
		{"opens", m.opens},
		{"closes", m.closes},
	} {
		if given[1] == "" {
			return o, wrongUse(`make: --%s is missing; see "prepare make --help"`, given[0])
		}
	}
	if err := CheckWitnessURL(m.witnessURL); err != nil {
		return o, wrongUse("make: --witness-url: %w", err)
	}
	if m.simulation == (m.passphrases != "") {
		return o, wrongUse("make: say where the passphrases go: --passphrases FILE, or --simulation")
	}
	if m.simulation && l.live {
		return o, wrongUse("make: a live election is no simulation: use --passphrases FILE")
	}
	var ok bool
	if o.Policy, ok = map[string]election.Policy{"strict": election.Strict, "provisional": election.ProvisionalAdmit}[m.policy]; !ok {
		return o, wrongUse("make: --policy %q: strict or provisional", m.policy)
	}
	if o.Where, ok = map[string]election.Where{
		"home-bureau": election.HomeBureau, "redirect": election.Redirect, "free-choice": election.FreeChoice,
	}[m.where]; !ok {
		return o, wrongUse("make: --where %q: home-bureau, redirect or free-choice", m.where)
	}
	opens, err1 := time.Parse(time.RFC3339, m.opens)
	closes, err2 := time.Parse(time.RFC3339, m.closes)
	if err1 != nil || err2 != nil || !closes.After(opens) {
		return o, wrongUse("make: --opens and --closes are two times in order, as 2030-10-13T08:00:00+02:00")
	}
	o.Opens, o.Closes = ledger.Instant(opens.UnixMilli()), ledger.Instant(closes.UnixMilli())
	return o, nil
}

func runMake(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("make", `prepare make [flags] INS=LIST.csv ...

Imports, divides and numbers the lists, draws all keys and writes manifest, rolls,
sealed registers and the bureaux' sealed keys.

  prepare make --election brussels-2030 --opens 2030-10-13T08:00:00+02:00 --closes 2030-10-13T16:00:00+02:00 \
      --witness "$VKEY" --witness-url https://adele.example/ --passphrases letters.csv --out election 21014=electors.csv
`, stdout)
	var l listFlags
	var m makeFlags
	l.add(f.FlagSet)
	m.add(f.FlagSet)
	f.StringVar(&m.by, "by", officeAdministration, "`who` does it, for the communes' records of what is refused")
	if err := f.parse(args); err != nil {
		return err
	}
	o, err := m.order(&l)
	if err != nil {
		return err
	}
	if err := o.checkManifest(); err != nil {
		return wrongUse("make: %v", err)
	}
	if err := phrase("by", m.by); err != nil {
		return err
	}
	made, err := m.grouped(ctx, &o, &l, f.Args(), stdout, stderr)
	if err != nil {
		return m.record(f.Args(), l.dryRun, err)
	}
	for _, c := range made {
		sayFigures(stdout, c, o.Method)
	}
	return nil
}

// grouped makes the election of the arguments' communes.
func (m *makeFlags) grouped(ctx context.Context, o *Order, l *listFlags, args []string, stdout, stderr io.Writer) ([]MadeCommune, error) {
	if err := m.groups(ctx, o, l, args, stderr); err != nil {
		return nil, err
	}
	return m.make(ctx, o, l.dryRun, stdout, stderr)
}

// make makes the election; a dry run checks everything and writes nothing.
func (m *makeFlags) make(ctx context.Context, o *Order, dryRun bool, stdout, stderr io.Writer) ([]MadeCommune, error) {
	if !dryRun {
		bar := newBar(stderr)
		defer bar.clear()
		o.Progress = func(act string, done, total int) { bar.show(fmt.Sprintf("%s %d/%d", act, done, total)) }
		made, err := Make(ctx, m.out, *o)
		bar.clear()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(stdout, "manifest %v\n", made.Manifest)
		return made.Communes, nil
	}
	if err := o.check(); err != nil {
		return nil, wrongUse("make: %w", err)
	}
	var out []MadeCommune
	for i := range o.Groups {
		g := &o.Groups[i]
		l := g.List
		if l == nil {
			var err error
			if l, err = g.Load(ctx); err != nil {
				return nil, err
			}
			if err := g.complete(l, o.Method); err != nil {
				return nil, fmt.Errorf("commune %d: %w", g.Commune, err)
			}
		}
		out = append(out, figures(l))
	}
	return out, nil
}

// groups adds the communes to the order: from working directories, or from lists
// that are imported, divided and numbered here.
func (m *makeFlags) groups(ctx context.Context, o *Order, l *listFlags, args []string, stderr io.Writer) error {
	if m.authority != "" {
		var err error
		if o.Authority, err = ReadAuthority(m.authority); err != nil {
			return wrongUse("make: %w", err)
		}
	}
	if m.experts != "" {
		var err error
		if o.Experts, err = ReadRecipients(m.experts); err != nil {
			return wrongUse("make: %w", err)
		}
	}
	if m.work != "" {
		return m.working(ctx, o, l, args, stderr)
	}
	lists, method, err := l.lists(ctx, args, stderr)
	if err != nil {
		return err
	}
	o.Method = method
	for _, list := range lists {
		g := Group{List: list, Commune: list.Commune.INS, Bureaux: list.Bureaux}
		if err := m.office(ctx, &g, stderr); err != nil {
			return err
		}
		o.Groups = append(o.Groups, g)
	}
	return nil
}

// office fills in what the flags say of a commune's bureaux; they go before what
// the group says already.
func (m *makeFlags) office(ctx context.Context, g *Group, stderr io.Writer) error {
	if files := m.places[g.Commune]; len(files) > 0 {
		f, err := openRows(files[len(files)-1])
		if err != nil {
			return err
		}
		defer f.Close()
		o, bad, err := ReadOffices(ctx, f, g.Bureaux)
		if err != nil {
			return wrongUse("%s: %w", f.Name(), err)
		}
		if len(bad) > 0 {
			return refuseRows(stderr, f.Name(), bad)
		}
		g.Principal, g.Deputy, g.Seconds, g.Places = o.Principal, o.Deputy, o.Seconds, o.Places
	}
	principal, err1 := m.principal.one("principal", g.Commune)
	deputy, err2 := m.deputy.one("deputy", g.Commune)
	seconds, err3 := m.second.bureaux("second", g.Commune)
	err := cmp.Or(err1, err2, err3)
	if err != nil {
		return err
	}
	g.Principal, g.Deputy = cmp.Or(principal, g.Principal), cmp.Or(deputy, g.Deputy)
	if len(seconds) > 0 {
		g.Seconds = seconds
	}
	if g.PayOffice, err = m.payOffice.recipient(g.Commune); err != nil {
		return err
	}
	if err := g.offices(); err != nil {
		return wrongUse("make: commune %d: %w", g.Commune, err)
	}
	return nil
}

// recipient is the commune's pay office, nil when the flag is not given.
func (p perCommune) recipient(ins ledger.Commune) (*age.HybridRecipient, error) {
	all := p[ins]
	switch {
	case len(all) == 0:
		return nil, nil
	case len(all) > 1:
		return nil, wrongUse("make: --pay-office is given twice for %d", ins)
	case strings.HasPrefix(all[0], "age1"):
		r, err := age.ParseHybridRecipient(all[0])
		if err != nil {
			return nil, wrongUse("make: --pay-office of %d is no hybrid recipient (age1pq1…): make one with prepare pay-office", ins)
		}
		return r, nil
	}
	rs, err := ReadRecipients(all[0])
	if err == nil && len(rs) != 1 {
		err = fmt.Errorf("%s: %d recipients: a commune has one pay office", all[0], len(rs))
	}
	if err != nil {
		return nil, wrongUse("make: --pay-office of %d: %w", ins, err)
	}
	return rs[0], nil
}

// working adds communes from their working directories, whose lists are read when
// their turn comes.
func (m *makeFlags) working(ctx context.Context, o *Order, l *listFlags, args []string, stderr io.Writer) error {
	files, err := communesOf(job{name: "make"}, args)
	if err != nil {
		return err
	}
	for _, ins := range slices.Sorted(maps.Keys(files)) {
		w, err := openState(m.work, ins)
		if err != nil {
			return err
		}
		s := w.Settled
		if err := w.Close(); err != nil {
			return err
		}
		switch {
		case s.Bureaux == 0 || s.Method == 0:
			return wrongUse("make: %w", refused(whyTurn, "the list of %d is not divided and numbered yet: do that first", ins))
		case l.live && !s.Live:
			return wrongUse("make: the list of %d was imported for a rehearsal: import it with --live", ins)
		case o.Method != 0 && o.Method != s.Method:
			return wrongUse("make: %w", refused(whyMixed, "the lists mix methods of check digits: that of %d is by %v, another by %v", ins, s.Method, o.Method))
		}
		o.Method = s.Method
		g := Group{
			Commune: ins, Bureaux: s.Bureaux, Principal: s.Principal, Deputy: s.Deputy, Seconds: s.Seconds, Places: s.Places,
			Load: func(ctx context.Context) (*List, error) { return loadWorking(ctx, m.work, ins) },
		}
		if err := m.office(ctx, &g, stderr); err != nil {
			return err
		}
		o.Groups = append(o.Groups, g)
	}
	return nil
}

func loadWorking(ctx context.Context, dir string, ins ledger.Commune) (*List, error) {
	w, err := OpenWorking(ctx, dir, ins)
	if err != nil {
		return nil, err
	}
	w.List.Method = w.Method
	return w.List, w.Close()
}

// maxRecipients bounds a file of recipients, in bytes.
const maxRecipients = 1 << 20

// ReadRecipients reads a file of hybrid post-quantum age recipients, one a line;
// lines that begin with # are passed over.
func ReadRecipients(name string) ([]*age.HybridRecipient, error) {
	text, err := readBounded(name, maxRecipients)
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	var out []*age.HybridRecipient
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := age.ParseHybridRecipient(line)
		if err != nil {
			return nil, fmt.Errorf("read recipients: %s: line %d is no hybrid recipient (age1pq1…): make one with prepare experts", name, n)
		}
		out = append(out, r)
	}
	if len(out) == 0 || len(out) > maxExperts {
		return nil, fmt.Errorf("read recipients: %s: %d recipients, 1 to %d", name, len(out), maxExperts)
	}
	return out, nil
}

// maxExperts is how many experts' recipients an election has.
const maxExperts = 16
