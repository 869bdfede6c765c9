package preparation

import (
	"bytes"
	"context"
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

// commune writes the part of group i and fills in its place in the manifest.
func (m *maker) commune(ctx context.Context, i int, signatories []uint16) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g := &m.order.Groups[i]
	l := g.List
	if l == nil {
		var err error
		if l, err = g.Load(ctx); err != nil {
			return err
		}
		if err := g.complete(l, m.order.Method); err != nil {
			return err
		}
	}
	ins := g.Commune
	binding := register.Binding{Election: m.order.Election, Commune: ins, Live: m.order.Live}
	identities, err := m.identities(l)
	if err != nil {
		return err
	}
	c := g.entry()
	c.Electors = uint32(len(l.People))
	if err := m.electors(ctx, &c, g, l, binding, identities); err != nil {
		return err
	}
	log := drawn32()
	c.LogKey = ed25519.NewKeyFromSeed(log[:]).Public().(ed25519.PublicKey)
	origin := (&ledger.Group{Election: m.order.Election, Commune: ins}).Origin(0)
	dir := strconv.Itoa(int(ins))
	if err := m.regional(path.Join(dir, OriginFile), nil, text(origin+"\n")); err != nil {
		return err
	}
	if err := m.regional(path.Join(dir, LogVKeyFile), nil, text(ledger.LogVKey(origin, c.LogKey)+"\n")); err != nil {
		return err
	}
	m.made.Communes[i] = figures(l)
	l = nil // the long part needs it no more
	if m.secrets[i], err = m.bureaux(ctx, &c, g, binding, identities, log); err != nil {
		return err
	}
	m.manifest.Communes[i] = c
	more, err := m.signatories(g, binding, signatories)
	m.secrets[i] = append(m.secrets[i], more...)
	return err
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// regional writes a file that is on all keys of the Region.
func (m *maker) regional(name string, hash *ledger.Hash, fill func(io.Writer) error) error {
	h, err := m.staging.write(name, fill)
	if err != nil {
		return err
	}
	if hash != nil {
		*hash = h
	}
	m.mu.Lock()
	m.digests[name] = h
	m.mu.Unlock()
	return nil
}

// ownFile writes a file of one bureau's keys.
func (m *maker) ownFile(dir, name string, fill func(io.Writer) error) error {
	h, err := m.staging.write(path.Join(dir, name), fill)
	if err != nil {
		return err
	}
	m.mu.Lock()
	if m.own[dir] == nil {
		m.own[dir] = map[string]ledger.Hash{}
	}
	m.own[dir][name] = h
	m.mu.Unlock()
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

// electors writes roll, register, addresses and members.
func (m *maker) electors(ctx context.Context, c *election.Commune, g *Group, l *List, binding register.Binding, identities []*age.HybridIdentity) error {
	contents := register.Contents{Binding: binding, Method: m.order.Method, Key: drawn32(), Electors: make([]register.Elector, len(l.People))}
	defer clear(contents.Key[:])
	addresses := make([]register.Address, len(l.People))
	rows := make([]ledger.RollRow, len(l.People))
	var members []register.Member
	var numbers []homed
	for i := range l.People {
		p := &l.People[i]
		contents.Electors[i], addresses[i] = p.Elector, p.Address
		contents.Electors[i].Bureau = p.Home()
		rows[i] = ledger.RollRow{Elector: ledger.Token(contents.Key, p.NationalNumber), Home: p.Home()}
		if p.Member != 0 {
			members = append(members, register.Member{Number: p.Member, Bureau: p.Serves, Function: p.Function, NationalNumber: p.NationalNumber})
		}
		if !p.NationalNumber.IsUnassigned() {
			numbers = append(numbers, homed{p.NationalNumber.Uint64(), c.INS, p.Line})
		}
	}
	m.mu.Lock()
	m.numbers = append(m.numbers, numbers...)
	m.mu.Unlock()
	roll, err := ledger.NewRoll(rows)
	if err != nil {
		return err
	}
	var all []age.Recipient
	for _, id := range identities {
		all = append(all, id.Recipient())
	}
	principal := []age.Recipient{identities[g.Principal-1].Recipient()}
	for _, expert := range m.order.Experts {
		all, principal = append(all, expert), append(principal, expert)
	}
	dir := strconv.Itoa(int(c.INS))
	var jobs errgroup.Group
	job := func(hash *ledger.Hash, name string, fill func(io.Writer) error) {
		jobs.Go(func() error { return m.regional(path.Join(dir, name), hash, fill) })
	}
	m.progress(fmt.Sprintf("%d: sealing the register", c.INS), 0, 1)
	job(&c.Roll, RollFile, func(w io.Writer) error { _, err := w.Write(roll.Encode()); return err })
	job(&c.Register, RegisterFile, func(w io.Writer) error { return register.Seal(w, contents, all) })
	job(&c.Addresses, AddressesFile, func(w io.Writer) error { return register.SealAddresses(w, binding, addresses, principal) })
	job(nil, MembersFile, func(w io.Writer) error { return register.SealMembers(w, binding, members, all) })
	if err := jobs.Wait(); err != nil {
		return err
	}
	m.progress(fmt.Sprintf("%d: sealing the register", c.INS), 1, 1)
	return ctx.Err()
}

// bureaux writes every bureau's keys, several at a time: scrypt is made to cost.
func (m *maker) bureaux(ctx context.Context, c *election.Commune, g *Group, binding register.Binding, identities []*age.HybridIdentity, log [32]byte) ([]Secret, error) {
	secrets := make([][]Secret, len(identities))
	jobs, ctx := errgroup.WithContext(ctx)
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
		return nil, err
	}
	m.progress(fmt.Sprintf("%d: sealing the bureaux' keys", c.INS), len(identities), len(identities))
	return slices.Concat(secrets...), nil
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
		if err := m.ownFile(dir, name, func(w io.Writer) error { return register.SealKeys(w, k, passphrase) }); err != nil {
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

// signatories writes the keys of the persons of a commune who sign amendments: one
// at the principal bureau, one at its deputy, and the second persons, or one of no
// bureau, so that the two signatures can always be had. Who sits at a bureau finds
// the key on that bureau's keys too.
func (m *maker) signatories(g *Group, binding register.Binding, numbers []uint16) ([]Secret, error) {
	var out []Secret
	for i, bureau := range g.signatories() {
		number := numbers[i]
		key := register.Signatory{Binding: binding, Number: number, Seed: drawn32()}
		name := SignatoryFile(number)
		dir := strconv.Itoa(int(g.Commune))
		passphrase, err := m.secret(register.Passphrase, path.Join(dir, fmt.Sprintf("%s-signatory-%d", PassphraseFile, number)))
		if err != nil {
			return nil, err
		}
		var sealed bytes.Buffer
		if err := register.SealSignatory(&sealed, key, passphrase); err != nil {
			return nil, err
		}
		if err := m.staging.text(path.Join(dir, name), sealed.String()); err != nil {
			return nil, err
		}
		if bureau != 0 {
			if err := m.ownFile(BureauDir(g.Commune, bureau), name, text(sealed.String())); err != nil {
				return nil, err
			}
		}
		out = append(out, Secret{Commune: g.Commune, Bureau: bureau, Opens: name, Passphrase: passphrase})
		// Its place was made before the communes' work began.
		m.manifest.Signatories[number-1].Key = ed25519.NewKeyFromSeed(key.Seed[:]).Public().(ed25519.PublicKey)
	}
	return out, nil
}

func (m *maker) progress(act string, done, total int) {
	if m.order.Progress != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
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
