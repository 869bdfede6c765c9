package preparation

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strconv"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// commune writes the part of one commune and adds it to the manifest.
func (m *maker) commune(g *Group) error {
	l := g.List
	ins := l.Commune.INS
	binding := register.Binding{Election: m.order.Election, Commune: ins, Live: m.order.Live}
	identities, err := m.identities(l)
	if err != nil {
		return err
	}
	c := g.entry()
	if err := m.electors(&c, g, binding, identities); err != nil {
		return err
	}
	log := drawn32()
	c.LogKey = ed25519.NewKeyFromSeed(log[:]).Public().(ed25519.PublicKey)
	origin := (&ledger.Group{Election: m.order.Election, Commune: ins}).Origin(0)
	dir := strconv.Itoa(int(ins))
	if err := m.staging.text(path.Join(dir, OriginFile), origin+"\n"); err != nil {
		return err
	}
	if err := m.staging.text(path.Join(dir, LogVKeyFile), ledger.LogVKey(origin, c.LogKey)+"\n"); err != nil {
		return err
	}
	if err := m.bureaux(&c, g, binding, identities, log); err != nil {
		return err
	}
	if err := m.signatories(&c, binding); err != nil {
		return err
	}
	m.manifest.Communes = append(m.manifest.Communes, c)
	m.made.Communes = append(m.made.Communes, figures(l))
	return nil
}

// identities are one age identity for each bureau of the commune.
func (m *maker) identities(l *List) ([]*age.HybridIdentity, error) {
	out := make([]*age.HybridIdentity, l.Bureaux)
	for i := range out {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, err
		}
		out[i] = id
	}
	return out, nil
}

// electors writes roll, register and addresses.
func (m *maker) electors(c *election.Commune, g *Group, binding register.Binding, identities []*age.HybridIdentity) error {
	l := g.List
	contents := register.Contents{Binding: binding, Method: m.order.Method, Key: drawn32(), Electors: make([]register.Elector, len(l.People))}
	defer clear(contents.Key[:])
	addresses := make([]register.Address, len(l.People))
	rows := make([]ledger.RollRow, len(l.People))
	for i := range l.People {
		p := &l.People[i]
		contents.Electors[i], addresses[i] = p.Elector, p.Address
		rows[i] = ledger.RollRow{Elector: ledger.Token(contents.Key, p.NationalNumber), Home: p.Bureau}
	}
	roll, err := ledger.NewRoll(rows)
	if err != nil {
		return err
	}
	var all []age.Recipient
	for _, id := range identities {
		all = append(all, id.Recipient())
	}
	principal := []age.Recipient{identities[g.Principal-1].Recipient()}
	dir := strconv.Itoa(int(c.INS))
	var jobs errgroup.Group
	job := func(hash *ledger.Hash, name string, fill func(io.Writer) error) {
		jobs.Go(func() (err error) {
			*hash, err = m.staging.write(path.Join(dir, name), fill)
			return err
		})
	}
	m.progress(fmt.Sprintf("%d: sealing the register", c.INS), 0, 1)
	job(&c.Roll, RollFile, func(w io.Writer) error { _, err := w.Write(roll.Encode()); return err })
	job(&c.Register, RegisterFile, func(w io.Writer) error { return register.Seal(w, contents, all) })
	job(&c.Addresses, AddressesFile, func(w io.Writer) error { return register.SealAddresses(w, binding, addresses, principal) })
	if err := jobs.Wait(); err != nil {
		return err
	}
	m.progress(fmt.Sprintf("%d: sealing the register", c.INS), 1, 1)
	return m.ctx.Err()
}

// bureaux writes every bureau's keys, several at a time: scrypt is made to cost.
func (m *maker) bureaux(c *election.Commune, g *Group, binding register.Binding, identities []*age.HybridIdentity, log [32]byte) error {
	secrets := make([][]Secret, len(identities))
	jobs, ctx := errgroup.WithContext(m.ctx)
	jobs.SetLimit(runtime.GOMAXPROCS(0))
	finished := make(chan struct{}, len(identities))
	for i := range identities {
		n := ledger.BureauNumber(i + 1)
		k := register.Keys{Binding: binding, Bureau: n, Identity: identities[i].String()}
		if n == g.Principal || n == g.Deputy {
			k.Log = &log
		}
		jobs.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			secrets[i], err = m.bureau(&c.Bureaux[i], k)
			finished <- struct{}{}
			return err
		})
		// Go waits for a free place, so this reports the ones before.
		m.progress(fmt.Sprintf("%d: sealing the bureaux' keys", c.INS), len(finished), len(identities))
	}
	if err := jobs.Wait(); err != nil {
		return err
	}
	m.progress(fmt.Sprintf("%d: sealing the bureaux' keys", c.INS), len(identities), len(identities))
	m.secrets = append(m.secrets, slices.Concat(secrets...)...)
	return nil
}

// bureau draws and writes the keys of one bureau's incarnations.
func (m *maker) bureau(b *election.Bureau, k register.Keys) ([]Secret, error) {
	dir := BureauDir(k.Binding.Commune, b.Number)
	var out []Secret
	for i := range b.Keys {
		k.Incarnation, k.Seed, k.Journal = ledger.Incarnation(i), drawn32(), drawn32()
		b.Keys[i] = election.SecretsFrom(k.Seed).Public()
		draw, name, beside := register.Code, EnvelopeFile(k.Incarnation), CodeFile(k.Incarnation)
		if i == 0 {
			draw, name, beside = register.Passphrase, KeysFile, PassphraseFile
		}
		passphrase, err := m.secret(draw, path.Join(dir, beside))
		if err != nil {
			return nil, err
		}
		if _, err := m.staging.write(path.Join(dir, name), func(w io.Writer) error { return register.SealKeys(w, k, passphrase) }); err != nil {
			return nil, err
		}
		opens := path.Join(path.Base(dir), name)
		out = append(out, Secret{Commune: k.Binding.Commune, Bureau: b.Number, Opens: opens, Passphrase: passphrase})
	}
	return out, nil
}

// secret draws a passphrase and, in a simulation, writes it down. There it is
// always a code: 128 random bits make do without scrypt's cost, which would
// delay the start of a hundred simulated bureaux and protect nothing.
func (m *maker) secret(draw func(io.Reader) (string, error), beside string) (string, error) {
	if m.order.Simulation {
		draw = register.Code
	}
	passphrase, err := draw(rand.Reader)
	if err == nil && m.order.Simulation {
		err = m.staging.text(beside, passphrase+"\n")
	}
	return passphrase, err
}

// signatories writes the keys of the three persons of a commune who sign
// amendments: one at the principal bureau, one at its deputy, and one of no
// bureau, so that the two signatures can always be had.
func (m *maker) signatories(c *election.Commune, binding register.Binding) error {
	for _, bureau := range []ledger.BureauNumber{c.Principal, c.Deputy, 0} {
		number := uint16(len(m.manifest.Signatories) + 1)
		key := register.Signatory{Binding: binding, Number: number, Seed: drawn32()}
		name := SignatoryFile(number)
		dir := strconv.Itoa(int(c.INS))
		passphrase, err := m.secret(register.Passphrase, path.Join(dir, fmt.Sprintf("%s-signatory-%d", PassphraseFile, number)))
		if err != nil {
			return err
		}
		if _, err := m.staging.write(path.Join(dir, name), func(w io.Writer) error { return register.SealSignatory(w, key, passphrase) }); err != nil {
			return err
		}
		m.secrets = append(m.secrets, Secret{Commune: c.INS, Bureau: bureau, Opens: name, Passphrase: passphrase})
		m.manifest.Signatories = append(m.manifest.Signatories, election.Signatory{
			Number: number, Commune: c.INS, Bureau: bureau, Key: ed25519.NewKeyFromSeed(key.Seed[:]).Public().(ed25519.PublicKey),
		})
	}
	return nil
}

func (m *maker) progress(act string, done, total int) {
	if m.order.Progress != nil {
		m.order.Progress(act, done, total)
	}
}

// figures counts the electors of a divided list.
func figures(l *List) MadeCommune {
	loads := make([]int, l.Bureaux)
	for i := range l.People {
		loads[l.People[i].Bureau-1]++
	}
	return MadeCommune{l.Commune.INS, len(l.People), l.Bureaux, slices.Min(loads), slices.Max(loads)}
}
