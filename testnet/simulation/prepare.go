package simulation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node"
	"pointage/node/register"
	"pointage/tools/prepare/preparation"
)

// barrier is D in a simulated election: the law's second, not compressed.
const barrier = time.Second

// prepare makes the election, or takes one that was made before. The output directory is
// emptied only when nothing can be wrong with the words any longer.
func (d *day) prepare(ctx context.Context) (err error) {
	d.out = &output{dir: resolved(d.plan.Out)}
	if err := d.out.check(); err != nil {
		return err
	}
	if d.plan.Election != "" {
		return d.take(ctx)
	}
	list, err := d.list(ctx)
	if err != nil {
		return err
	}
	if err := d.divide(list); err != nil {
		return err
	}
	d.plan.Bureaux, d.plan.Electors = list.Bureaux, len(list.People)
	if err := d.claim(); err != nil {
		return err
	}
	d.election = filepath.Join(d.plan.Out, "election")
	if err := d.make(ctx, list); err != nil {
		return err
	}
	if d.prepared, err = node.ReadPrepared(d.election, d.plan.Commune); err != nil {
		return err
	}
	return d.beside()
}

// claim takes the output directory once the disk has room for the day.
func (d *day) claim() error {
	if err := d.hasSpace(); err != nil {
		return err
	}
	return d.out.claim()
}

// take reads an election that was prepared before; it may lie in the output directory.
func (d *day) take(ctx context.Context) (err error) {
	if d.election, err = filepath.Abs(d.plan.Election); err != nil {
		return err
	}
	d.out.keep = resolved(d.election)
	if err := d.findCommune(); err != nil {
		return fmt.Errorf("--election: %w", err)
	}
	if d.prepared, err = node.ReadPrepared(d.election, d.plan.Commune); err != nil {
		return fmt.Errorf("--election: %w", err)
	}
	if err := d.agree(); err != nil {
		return err
	}
	if d.plan.Register != "" {
		if err := d.sameList(ctx); err != nil {
			return err
		}
	}
	return d.claim()
}

// resolved is a path without links, as far as it exists.
func resolved(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// findCommune takes the commune from an election of one when the words name none.
func (d *day) findCommune() error {
	file := filepath.Join(d.election, preparation.ManifestFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is missing: name the directory of an election prepared before, as OUT/election", file)
	}
	if err != nil {
		return err
	}
	m, err := election.Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w: prepare the election again", file, err)
	}
	if d.plan.Commune == 0 && len(m.Communes) > 1 {
		return fmt.Errorf("the election in %s has %d communes: name one with --commune", d.election, len(m.Communes))
	}
	if d.plan.Commune == 0 {
		d.plan.Commune = m.Communes[0].INS
	}
	if _, err := m.Commune(d.plan.Commune); err != nil {
		return fmt.Errorf("--commune %d: the election in %s is of commune %d", d.plan.Commune, d.election, m.Communes[0].INS)
	}
	return nil
}

// agree compares the flags with the election that they were repeated for.
func (d *day) agree() error {
	c, first := d.prepared.Commune, d.prepared.Manifest.Witnesses[0]
	_, err := os.Stat(filepath.Join(d.election, adeleKeyFile))
	own := err == nil
	switch {
	case d.prepared.Manifest.Kind != election.Rehearsal:
		return errors.New("--election: it is live: only a rehearsal can be simulated")
	case d.plan.Bureaux != 0 && d.plan.Bureaux != len(c.Bureaux):
		return fmt.Errorf("--bureaux %d: the election in %s has %d", d.plan.Bureaux, d.election, len(c.Bureaux))
	case d.plan.Electors != 0 && d.plan.Electors != int(c.Electors):
		return fmt.Errorf("--electors %d: the election in %s has %d", d.plan.Electors, d.election, c.Electors)
	case d.plan.AnchorKey != "" && d.plan.AnchorKey != first.VKey:
		return fmt.Errorf("--anchor-key: the election in %s names another witness: %s", d.election, first.VKey)
	case d.plan.Anchor == "" && !own: // it was prepared for a foreign witness
		d.plan.Anchor, d.plan.AnchorKey = first.URL, first.VKey
	}
	for _, b := range c.Bureaux {
		pass := filepath.Join(d.election, filepath.FromSlash(preparation.BureauDir(d.plan.Commune, b.Number)), preparation.PassphraseFile)
		if _, err := os.Stat(pass); err != nil {
			return fmt.Errorf("--election: %s is missing: an election is simulated when its passphrases lie beside the keys, as --prepare-only makes it", pass)
		}
	}
	d.plan.Bureaux, d.plan.Electors = len(c.Bureaux), int(c.Electors)
	return nil
}

// sameList refuses a repeated --register that is not the list that the election was made of.
func (d *day) sameList(ctx context.Context) error {
	list, err := d.list(ctx)
	if err != nil {
		return err
	}
	r, err := d.openRegister(d.prepared.Commune.Bureaux[0].Number)
	if err != nil {
		return fmt.Errorf("--election: %w", err)
	}
	defer r.Close()
	other := fmt.Errorf("--register %s: the election in %s was prepared from another list: repeat the flags of its preparation, or leave them out", d.plan.Register, d.election)
	if len(list.People) != r.Len() {
		return other
	}
	for i := range list.People {
		p := &list.People[i]
		at, found := r.FindNationalNumber(p.NationalNumber)
		if !found {
			return other
		}
		e := r.At(at)
		if e.Surname != p.Surname || e.FirstNames != p.FirstNames || e.Language != p.Language ||
			p.Bureau != 0 && r.Bureau(at) != p.Bureau || !p.ConvocationNumber.IsZero() && e.ConvocationNumber != p.ConvocationNumber {
			return other
		}
	}
	return nil
}

// openRegister opens the register with one bureau's keys.
func (d *day) openRegister(n ledger.BureauNumber) (*register.Register, error) {
	dir := filepath.Join(d.election, filepath.FromSlash(preparation.BureauDir(d.plan.Commune, n)))
	pass, err := os.ReadFile(filepath.Join(dir, preparation.PassphraseFile))
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	keys, _, err := d.prepared.OpenKeys(filepath.Join(dir, preparation.KeysFile), strings.TrimSpace(string(pass)), n)
	if err != nil {
		return nil, err
	}
	return d.prepared.OpenRegister(keys.Identity)
}

// list imports the register's file, or synthetic electors by the same way.
func (d *day) list(ctx context.Context) (*preparation.List, error) {
	var in io.Reader
	if d.plan.Register != "" {
		f, err := os.Open(d.plan.Register)
		if err != nil {
			return nil, fmt.Errorf("--register: %w", err)
		}
		defer f.Close()
		in = bufio.NewReader(f)
	} else {
		r, w := io.Pipe()
		defer r.Close()
		go func() { w.CloseWithError(preparation.Synthetic(w, d.plan.Seed, d.plan.Commune, d.plan.Electors)) }()
		in = r
	}
	list, bad, err := preparation.Import(ctx, in, preparation.Rules{
		Commune:  d.plan.Commune,
		Progress: func(rows int) { d.show(Progress{Stage: "reading the list of electors", Done: uint64(rows)}) },
	})
	if err != nil && d.plan.Register != "" {
		err = fmt.Errorf("--register %s: %w", d.plan.Register, err)
	}
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		if d.plan.Text != nil {
			for _, b := range bad {
				fmt.Fprintln(d.plan.Text, b)
			}
		}
		return nil, fmt.Errorf("--register: %d bad rows: correct them, nothing was imported", len(bad))
	}
	return list, nil
}

// divide divides the list over the bureaux and numbers it.
func (d *day) divide(list *preparation.List) error {
	if d.plan.Electors != 0 && d.plan.Electors != len(list.People) {
		return fmt.Errorf("--electors %d: the list has %d", d.plan.Electors, len(list.People))
	}
	if err := list.Divide(d.plan.Bureaux); err != nil {
		return err
	}
	if list.Bureaux > maxBureaux {
		return fmt.Errorf("--register: %d bureaux, at most %d are simulated", list.Bureaux, maxBureaux)
	}
	if d.plan.Register == "" {
		convene(list)
	}
	method := list.Method
	if method == 0 {
		method = ledger.Complement
	}
	return list.Number(method)
}

// convene makes members of each bureau's first electors: a president, a deputy, a secretary, five assessors.
func convene(list *preparation.List) {
	functions := []register.Function{
		register.President, register.DeputyPresident, register.Secretary, register.Assessor, register.Assessor, register.Assessor, register.Assessor, register.Assessor,
	}
	convened, number := map[ledger.BureauNumber]int{}, uint16(0)
	for i := range list.People {
		p := &list.People[i]
		if k := convened[p.Bureau]; k < len(functions) {
			number++
			p.Member, p.Serves, p.Function = number, p.Bureau, functions[k]
			convened[p.Bureau]++
		}
	}
}

// payOffice draws the commune's pay office where people work at the screens, who may type their accounts; keep puts its
// identity and its letter beside the election's other secrets. A day that nobody looks at has none.
func (d *day) payOffice() (office *age.HybridRecipient, keep func() error, err error) {
	if d.plan.Serve == nil {
		return nil, func() error { return nil }, nil
	}
	names := []string{"pay-office.age", "pay-office.txt", "pay-office.letter"}
	drawn, err := os.MkdirTemp("", "pointage-office-*")
	if err != nil {
		return nil, nil, err
	}
	at := func(dir string, i int) string { return filepath.Join(dir, names[i]) }
	if err := preparation.DrawIdentity(at(drawn, 0), at(drawn, 1), at(drawn, 2)); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(drawn))
	}
	recipients, err := preparation.ReadRecipients(at(drawn, 1))
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(drawn))
	}
	return recipients[0], func() error {
		for i := range names {
			b, err := os.ReadFile(at(drawn, i))
			if err == nil {
				err = os.WriteFile(at(d.election, i), b, 0o600)
			}
			if err != nil {
				return err
			}
		}
		return os.RemoveAll(drawn)
	}, nil
}

// make draws the keys and seals.
func (d *day) make(ctx context.Context, list *preparation.List) error {
	skey, vkey := "", d.plan.AnchorKey
	url := d.plan.Anchor
	if vkey == "" {
		var err error
		if skey, vkey, err = drawAdele(); err != nil {
			return err
		}
		url = "http://127.0.0.1:8010" // where a bureau started by hand would look; the day gives its own
	}
	opens := time.Now().Truncate(time.Hour)
	office, keep, err := d.payOffice()
	if err != nil {
		return err
	}
	_, err = preparation.Make(ctx, d.election, preparation.Order{
		Election: "testnet-" + opens.UTC().Format("20060102"), Policy: election.Strict, Where: election.FreeChoice,
		Method: list.Method, Opens: ledger.Instant(opens.UnixMilli()), Closes: ledger.Instant(opens.Add(8 * time.Hour).UnixMilli()),
		Barrier: barrier, Witnesses: []election.Witness{{VKey: vkey, URL: url}},
		Groups: []preparation.Group{{List: list, PayOffice: office}}, Simulation: true,
		Progress: func(act string, done, total int) {
			d.show(Progress{Stage: act, Done: uint64(done), Of: uint64(total)})
		},
	})
	if err == nil {
		err = keep()
	}
	if err != nil {
		return err
	}
	if skey != "" {
		if err := os.WriteFile(filepath.Join(d.election, adeleKeyFile), []byte(strings.TrimSpace(skey)+"\n"), 0o600); err != nil {
			return fmt.Errorf("keep the witness's key: %w", err)
		}
	}
	d.say("prepared: %d electors in %s", len(list.People), d.election)
	return nil
}

// beside lays the commune's origin and log.vkey beside the manifest, where a witness's
// operator looks for them.
func (d *day) beside() error {
	for _, name := range []string{preparation.OriginFile, preparation.LogVKeyFile} {
		b, err := os.ReadFile(filepath.Join(d.election, fmt.Sprint(d.plan.Commune), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(d.election, name), b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
	}
	return nil
}
