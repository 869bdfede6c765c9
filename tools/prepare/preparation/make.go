package preparation

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
)

// Names of the files that Make writes; those of a commune lie in <INS>/, those of
// a bureau in <INS>/bureau-NNN/.
const (
	ManifestFile  = "manifest"
	AuthorityFile = "authority.key" // PKCS#8, PEM
	RollFile      = "roll"
	RegisterFile  = "register"
	AddressesFile = "addresses"
	LogVKeyFile   = "log.vkey"
	OriginFile    = "origin"
	// KeysFile holds the first incarnation's keys under the president's
	// passphrase; envelope-1.age and envelope-2.age the next ones' under
	// single-use codes.
	KeysFile = "identity.age"
	// PassphraseFile and CodeFile-1, -2 stand beside them in a simulation only.
	PassphraseFile = "passphrase"
)

// BureauDir is the directory of a bureau's media, under the election's.
func BureauDir(ins ledger.Commune, n ledger.BureauNumber) string {
	return path.Join(strconv.Itoa(int(ins)), fmt.Sprintf("bureau-%03d", n))
}

// EnvelopeFile holds the keys of a later incarnation (1 or 2), CodeFile its code
// in a simulation, SignatoryFile a signatory's key, in the commune's directory.
func EnvelopeFile(i ledger.Incarnation) string { return fmt.Sprintf("envelope-%d.age", i) }

// CodeFile holds the code of EnvelopeFile in a simulation.
func CodeFile(i ledger.Incarnation) string { return fmt.Sprintf("code-%d", i) }

// SignatoryFile holds a signatory's key.
func SignatoryFile(number uint16) string { return fmt.Sprintf("signatory-%d.age", number) }

// Group is a commune of an Order: its list, divided and numbered.
type Group struct {
	List *List
	// Principal and Deputy are 1 and 2 unless given.
	Principal, Deputy ledger.BureauNumber
	// Places names where a bureau sits; "Bureau 7" without.
	Places map[ledger.BureauNumber]string
}

// Order is an election to be made.
type Order struct {
	Election       string // its name in origins: a-z 0-9 . -
	Live           bool
	Policy         election.Policy
	Where          election.Where
	OutsideHolders bool
	Method         ledger.Modulo97
	Opens, Closes  ledger.Instant
	Barrier        time.Duration
	Witnesses      []election.Witness
	Groups         []Group
	// Authority signs the manifest; nil draws a key and writes AuthorityFile.
	Authority ed25519.PrivateKey
	// Passphrases is the file that gets all passphrases, for the letters. In a
	// Simulation they lie beside what they open instead.
	Passphrases string
	Simulation  bool
	// Progress, when set, hears how far an act has come.
	Progress func(act string, done, total int)
}

// Made says what Make has made.
type Made struct {
	Manifest ledger.Hash
	Communes []MadeCommune
}

// MadeCommune is one commune's figures.
type MadeCommune struct {
	INS               ledger.Commune
	Electors, Bureaux int
	Smallest, Largest int // electors of a bureau
}

// Make draws all keys and writes an election into the directory out, which must
// be absent or empty: it appears whole, or not at all. Randomness is the
// operating system's; nothing else enters a key.
func Make(ctx context.Context, out string, o Order) (*Made, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("make election: %w", err)
	}
	s, err := stage(out)
	if err != nil {
		return nil, fmt.Errorf("make election: %w", err)
	}
	defer s.abandon()
	m := &maker{ctx: ctx, order: &o, staging: s}
	if err := m.make(); err != nil {
		return nil, fmt.Errorf("make election: %w", err)
	}
	return &m.made, nil
}

// maker is the state of one Make.
type maker struct {
	ctx      context.Context
	order    *Order
	staging  *staging
	manifest election.Manifest
	secrets  []Secret
	made     Made
}

func (o *Order) check() error {
	switch {
	case len(o.Groups) == 0:
		return errors.New("no commune is given")
	case o.Simulation == (o.Passphrases != ""):
		return errors.New("say where the passphrases go: into a file, or, in a simulation, beside what they open")
	case o.Simulation && o.Live:
		return errors.New("a live election is no simulation: its passphrases must not lie beside what they open")
	}
	if o.Passphrases != "" {
		if err := absent(o.Passphrases); err != nil {
			return err
		}
	}
	slices.SortFunc(o.Groups, func(a, b Group) int { return cmp.Compare(a.List.Commune.INS, b.List.Commune.INS) })
	for i := range o.Groups {
		g := &o.Groups[i]
		if err := g.complete(); err != nil {
			return fmt.Errorf("commune %d: %w", g.List.Commune.INS, err)
		}
		if g.List.Method != o.Method {
			return fmt.Errorf("commune %d: its convocation numbers are by %v, this election's by %v", g.List.Commune.INS, g.List.Method, o.Method)
		}
	}
	return o.checkManifest()
}

func (g *Group) complete() error {
	if g.Principal == 0 {
		g.Principal = 1
	}
	if g.Deputy == 0 && g.List.Bureaux > 1 {
		g.Deputy = 1 + g.Principal%ledger.BureauNumber(g.List.Bureaux)
	} else if g.Deputy == 0 {
		g.Deputy = g.Principal
	}
	for i := range g.List.People {
		if p := &g.List.People[i]; p.Bureau < 1 || int(p.Bureau) > g.List.Bureaux || p.ConvocationNumber.IsZero() {
			return fmt.Errorf("the elector of line %d has no bureau or no number: divide and number the list first", p.Line)
		}
	}
	return nil
}

func (m *maker) make() error {
	o := m.order
	m.manifest = o.manifest()
	for i := range o.Groups {
		if err := m.commune(&o.Groups[i]); err != nil {
			return fmt.Errorf("commune %d: %w", o.Groups[i].List.Commune.INS, err)
		}
	}
	if err := m.sign(); err != nil {
		return err
	}
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if o.Passphrases != "" {
		text, err := encodeSecrets(m.secrets)
		if err != nil {
			return err
		}
		if err := writeFile(o.Passphrases, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	if err := m.staging.publish(); err != nil {
		if o.Passphrases != "" {
			err = errors.Join(err, os.Remove(o.Passphrases))
		}
		return err
	}
	return nil
}

// manifest is what is known of it before its communes.
func (o *Order) manifest() election.Manifest {
	kind := election.Rehearsal
	if o.Live {
		kind = election.Live
	}
	return election.Manifest{
		Election: o.Election, Kind: kind, Policy: o.Policy, Where: o.Where, OutsideHolders: o.OutsideHolders,
		Modulo97: uint8(o.Method), Opens: o.Opens, Closes: o.Closes, BarrierMillis: uint32(o.Barrier.Milliseconds()),
		Witnesses: o.Witnesses,
	}
}

// checkManifest says what is wrong with the manifest-to-be before the long work,
// with numbers in place of keys and one bureau in place of no commune.
func (o *Order) checkManifest() error {
	m := o.manifest()
	m.Modulo97 = max(m.Modulo97, uint8(ledger.Complement))
	groups := o.Groups
	if len(groups) == 0 {
		groups = []Group{{List: &List{Commune: Communes[0], Bureaux: 1}, Principal: 1, Deputy: 1}}
	}
	drawn := uint32(0)
	key := func() ed25519.PublicKey {
		drawn++
		return binary.BigEndian.AppendUint32(make([]byte, 28), drawn)
	}
	for i := range groups {
		c := groups[i].entry()
		c.LogKey = key()
		for k := range c.Bureaux {
			for i := range c.Bureaux[k].Keys {
				c.Bureaux[k].Keys[i] = election.MachineKeys{Device: key(), Cosigner: key()}
			}
		}
		m.Communes = append(m.Communes, c)
	}
	return m.Check()
}

// entry is the commune's part of the manifest, without keys and hashes.
func (g *Group) entry() election.Commune {
	l := g.List
	c := election.Commune{
		INS: l.Commune.INS, NameFR: l.Commune.FR, NameNL: l.Commune.NL, Principal: g.Principal, Deputy: g.Deputy,
		Voting: g.voting(), Electors: uint32(len(l.People)),
	}
	for n := ledger.BureauNumber(1); int(n) <= l.Bureaux; n++ {
		c.Bureaux = append(c.Bureaux, election.Bureau{Number: n, Place: cmp.Or(g.Places[n], fmt.Sprintf("Bureau %d", n))})
	}
	return c
}

// voting are the principal bureau, its deputy, and the lowest others.
func (g *Group) voting() []ledger.BureauNumber {
	out := []ledger.BureauNumber{g.Principal}
	if g.Deputy != g.Principal {
		out = append(out, g.Deputy)
	}
	for n := ledger.BureauNumber(1); int(n) <= g.List.Bureaux && len(out) < election.MaxVoting; n++ {
		if n != g.Principal && n != g.Deputy {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// sign writes the manifest, and the authority's key when it was drawn here.
func (m *maker) sign() error {
	authority := m.order.Authority
	if authority == nil {
		authority = ed25519.NewKeyFromSeed(drawn())
		der, err := x509.MarshalPKCS8PrivateKey(authority)
		if err != nil {
			return err
		}
		if err := m.staging.text(AuthorityFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))); err != nil {
			return err
		}
	}
	file, err := m.manifest.Sign(authority)
	if err != nil {
		return err
	}
	m.made.Manifest = election.Hash(file)
	return m.staging.text(ManifestFile, string(file))
}

// drawn is 32 random bytes.
func drawn() []byte {
	b := make([]byte, 32)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}

func drawn32() (b [32]byte) {
	rand.Read(b[:])
	return b
}
