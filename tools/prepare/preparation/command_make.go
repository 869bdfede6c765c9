package preparation

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
)

// makeFlags are those of make alone.
type makeFlags struct {
	name, policy, where, opens, closes string
	witness, witnessURL                string
	out, passphrases                   string
	simulation, outsideHolders         bool
	barrier                            time.Duration
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
	lists, method, err := l.lists(ctx, f.Args(), stderr)
	if err != nil {
		return err
	}
	o.Method = method
	for _, list := range lists {
		o.Groups = append(o.Groups, Group{List: list})
	}
	if !l.dryRun {
		bar := newBar(stderr)
		o.Progress = func(act string, done, total int) { bar.show(fmt.Sprintf("%s %d/%d", act, done, total)) }
		made, err := Make(ctx, m.out, o)
		bar.clear()
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "manifest %v\n", made.Manifest)
	}
	for _, list := range lists {
		sayFigures(stdout, figures(list), method)
	}
	return nil
}
