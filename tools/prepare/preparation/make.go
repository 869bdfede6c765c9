package preparation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// Names of the files that Make writes; those of a commune lie in <INS>/, those of
// a bureau in <INS>/bureau-NNN/.
const (
	ManifestFile  = "manifest"
	AuthorityFile = "authority.key" // PKCS#8, PEM
	RollFile      = "roll"
	RegisterFile  = "register"
	AddressesFile = "addresses"
	MembersFile   = "members"
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

// StickDigestsFile is the signed list of a bureau's key, 1 or 2, in the bureau's
// directory; on the key it is register.StickDigests.
func StickDigestsFile(which int) string { return fmt.Sprintf("key-%d.digests", which) }

// Group is a commune of an Order: its list, divided and numbered.
type Group struct {
	// List may be nil, with Load to read it when its turn comes; Commune and
	// Bureaux then say what it will be.
	List    *List
	Load    func(context.Context) (*List, error)
	Commune ledger.Commune
	Bureaux int
	// Principal and Deputy are 1 and 2 unless given.
	Principal, Deputy ledger.BureauNumber
	// Seconds are the bureaux of the second persons who sign amendments, beside
	// those of the principal bureau and its deputy; none: one person of no bureau.
	Seconds []ledger.BureauNumber
	// Places names where a bureau sits; "Bureau 7" without.
	Places map[ledger.BureauNumber]string
	// PayOffice gets the members' accounts (decree, article 8 §2); nil: none are taken.
	PayOffice *age.HybridRecipient
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
	// Experts can open all registers too (decree, article 5).
	Experts []*age.HybridRecipient
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
	made     Made
	// secrets, made.Communes and manifest.Communes have a place for each group,
	// which that group's goroutine alone writes.
	secrets [][]Secret

	mu      sync.Mutex // guards what follows, and the order's Progress
	digests map[string]ledger.Hash
	own     map[string]map[string]ledger.Hash // of each bureau's directory
	numbers []homed
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
	for i := range o.Groups {
		if l := o.Groups[i].List; l != nil {
			o.Groups[i].Commune, o.Groups[i].Bureaux = l.Commune.INS, l.Bureaux
		}
	}
	slices.SortFunc(o.Groups, func(a, b Group) int { return cmp.Compare(a.Commune, b.Commune) })
	for i := range o.Groups {
		g := &o.Groups[i]
		err := g.offices()
		if err == nil && g.List != nil {
			err = g.complete(g.List, o.Method)
		}
		if err != nil {
			return fmt.Errorf("commune %d: %w", g.Commune, err)
		}
	}
	return o.checkManifest()
}

// offices settles the principal bureau, its deputy and the second persons.
func (g *Group) offices() error {
	last := ledger.BureauNumber(g.Bureaux)
	if g.Principal == 0 {
		g.Principal = 1
		if g.Deputy == 1 && last > 1 {
			g.Principal = 2
		}
	}
	if g.Deputy == 0 && last > 1 {
		g.Deputy = 1 + g.Principal%last
	} else if g.Deputy == 0 {
		g.Deputy = g.Principal
	}
	for _, n := range append([]ledger.BureauNumber{g.Principal, g.Deputy}, g.Seconds...) {
		if n > last {
			return fmt.Errorf("there is no bureau %d: the commune has %d", n, last)
		}
	}
	if g.Principal == g.Deputy && last > 1 {
		return fmt.Errorf("bureau %d can't be both the principal bureau and its deputy", g.Principal)
	}
	return nil
}

// signatories are the bureaux of those who sign amendments, 0 for none.
func (g *Group) signatories() []ledger.BureauNumber {
	out := []ledger.BureauNumber{g.Principal, g.Deputy}
	if len(g.Seconds) == 0 {
		return append(out, 0)
	}
	return append(out, g.Seconds...)
}

// complete says what the list still lacks.
func (g *Group) complete(l *List, method ledger.Modulo97) error {
	if l.Commune.INS != g.Commune || l.Bureaux != g.Bureaux {
		return fmt.Errorf("its list is of %d with %d bureaux, not %d", l.Commune.INS, l.Bureaux, g.Bureaux)
	}
	for i := range l.People {
		p := &l.People[i]
		if p.Bureau < 1 || int(p.Bureau) > l.Bureaux || int(p.Serves) > l.Bureaux || p.ConvocationNumber.IsZero() {
			return fmt.Errorf("the elector of line %d has no bureau or no number: divide and number the list first", p.Line)
		}
	}
	if l.Method != method {
		return fmt.Errorf("its convocation numbers are by %v, this election's by %v", l.Method, method)
	}
	return nil
}

func (m *maker) make() error {
	o := m.order
	m.manifest = o.manifest()
	m.manifest.Communes = make([]election.Commune, len(o.Groups))
	m.made.Communes, m.secrets = make([]MadeCommune, len(o.Groups)), make([][]Secret, len(o.Groups))
	m.digests, m.own = map[string]ledger.Hash{}, map[string]map[string]ledger.Hash{}
	jobs, ctx := errgroup.WithContext(m.ctx)
	jobs.SetLimit(min(runtime.GOMAXPROCS(0), maxCommunesAtOnce))
	numbers := make([][]uint16, len(o.Groups))
	for i := range o.Groups {
		numbers[i] = m.signatoryNumbers(i)
	}
	for i := range o.Groups {
		jobs.Go(func() error {
			if err := m.commune(ctx, i, numbers[i]); err != nil {
				return fmt.Errorf("commune %d: %w", o.Groups[i].Commune, err)
			}
			return nil
		})
	}
	if err := jobs.Wait(); err != nil {
		return err
	}
	if err := m.oneCommuneEach(); err != nil {
		return err
	}
	if err := m.sign(); err != nil {
		return err
	}
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if o.Passphrases != "" {
		text, err := encodeSecrets(slices.Concat(m.secrets...))
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

// maxCommunesAtOnce bounds the memory: each has its list and its sorted copies.
const maxCommunesAtOnce = 4

// signatoryNumbers gives group i's signatories their numbers in the manifest and
// makes room for them there.
func (m *maker) signatoryNumbers(i int) []uint16 {
	g := &m.order.Groups[i]
	var out []uint16
	for _, bureau := range g.signatories() {
		n := uint16(len(m.manifest.Signatories) + 1)
		m.manifest.Signatories = append(m.manifest.Signatories, election.Signatory{Number: n, Commune: g.Commune, Bureau: bureau})
		out = append(out, n)
	}
	return out
}

// homed is an elector's national number and where it stands.
type homed struct {
	number  uint64
	commune ledger.Commune
	line    int
}

// oneCommuneEach refuses an elector who is on the lists of two communes. Numbers
// that are given to nobody are test data, which may repeat.
func (m *maker) oneCommuneEach() error {
	slices.SortFunc(m.numbers, func(a, b homed) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.commune, b.commune))
	})
	for i := 1; i < len(m.numbers); i++ {
		a, b := m.numbers[i-1], m.numbers[i]
		if a.number == b.number {
			return wrongUse("%w", refused(whyTwice, "one elector is on the lists of two communes, %d (line %d) and %d (line %d): ask them which is right and strike the elector off the other",
				a.commune, a.line, b.commune, b.line))
		}
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
		groups = []Group{{Commune: Communes[0].INS, Bureaux: 1, Principal: 1, Deputy: 1}}
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
		for _, bureau := range groups[i].signatories() {
			number := uint16(len(m.Signatories) + 1)
			m.Signatories = append(m.Signatories, election.Signatory{Number: number, Commune: c.INS, Bureau: bureau, Key: key()})
		}
	}
	return m.Check()
}

// entry is the commune's part of the manifest, without keys, hashes and electors.
func (g *Group) entry() election.Commune {
	names, err := FindCommune(g.Commune)
	if err != nil {
		panic(fmt.Sprintf("a list of commune %d was imported: %v", g.Commune, err))
	}
	c := election.Commune{
		INS: g.Commune, NameFR: names.FR, NameNL: names.NL, Principal: g.Principal, Deputy: g.Deputy, Voting: g.voting(),
	}
	if g.PayOffice != nil {
		c.PayOffice = g.PayOffice.String()
	}
	for n := ledger.BureauNumber(1); int(n) <= g.Bureaux; n++ {
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
	for n := ledger.BureauNumber(1); int(n) <= g.Bureaux && len(out) < election.MaxVoting; n++ {
		if n != g.Principal && n != g.Deputy {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// sign writes the manifest and the signed lists of digests, and the authority's key
// when it was drawn here.
func (m *maker) sign() error {
	authority := m.order.Authority
	if authority == nil {
		authority = ed25519.NewKeyFromSeed(drawn())
		text, err := encodeAuthority(authority)
		if err != nil {
			return err
		}
		if err := m.staging.text(AuthorityFile, text); err != nil {
			return err
		}
	}
	file, err := m.manifest.Sign(authority)
	if err != nil {
		return err
	}
	m.made.Manifest = election.Hash(file)
	m.digests[ManifestFile] = m.made.Manifest
	if err := m.staging.text(ManifestFile, string(file)); err != nil {
		return err
	}
	return m.signDigests(authority)
}

// signDigests writes the list of the Region's files and one for each key. After
// this nobody needs the authority's key any more.
func (m *maker) signDigests(authority ed25519.PrivateKey) error {
	region := register.Digests{Election: m.order.Election, Subject: register.RegionSubject, Files: m.digests}
	file, err := region.Sign(authority)
	if err != nil {
		return err
	}
	if err := m.staging.text(register.RegionDigests, string(file)); err != nil {
		return err
	}
	regionHash := ledger.Hash(sha256.Sum256(file))
	for i := range m.manifest.Communes {
		c := &m.manifest.Communes[i]
		for _, b := range c.Bureaux {
			if err := m.ctx.Err(); err != nil {
				return err
			}
			dir := BureauDir(c.INS, b.Number)
			files := map[string]ledger.Hash{register.RegionDigests: regionHash}
			for name, hash := range m.own[dir] {
				files[path.Join(register.OwnDir, name)] = hash
			}
			for which := 1; which <= register.Sticks; which++ {
				own := register.Digests{Election: m.order.Election, Subject: register.StickNumber(c.INS, b.Number, which), Files: files}
				file, err := own.Sign(authority)
				if err != nil {
					return err
				}
				if err := m.staging.text(path.Join(dir, StickDigestsFile(which)), string(file)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// encodeAuthority is the authority's key as PKCS#8 in PEM.
func encodeAuthority(key ed25519.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})), nil
}

const (
	pemType = "PRIVATE KEY"
	// maxAuthority bounds a file with an authority's key, in bytes.
	maxAuthority = 64 << 10
)

// ReadAuthority reads the authority's key that an earlier election was made with
// (AuthorityFile).
func ReadAuthority(name string) (ed25519.PrivateKey, error) {
	text, err := readBounded(name, maxAuthority)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("read the authority's key: %s is no key in PEM: give the %s of an election made before", name, AuthorityFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %s is no key in PKCS#8: give the %s of an election made before", name, AuthorityFile)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read the authority's key: %s holds no Ed25519 key", name)
	}
	return ed, nil
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
