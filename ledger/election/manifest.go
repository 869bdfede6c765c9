// Package election is the signed manifest of one election: its communes, bureaux,
// devices and their keys, policy and hours.
package election

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"pointage/ledger"
)

// Kind says whether the day counts.
type Kind uint8

// The kinds of elections. A rehearsal has other keys and another token key; its chain
// can't become a live one, since the genesis holds the manifest's hash.
const (
	Live      Kind = 1
	Rehearsal Kind = 2
)

// Policy says what a bureau does when a right can't be had.
type Policy uint8

// The policies.
const (
	Strict           Policy = 1
	ProvisionalAdmit Policy = 2
)

// Where says where one may vote within the commune.
type Where uint8

// The places: at the home bureau; elsewhere for a reason that the president
// gives; anywhere.
const (
	HomeBureau Where = 1
	Redirect   Where = 2
	FreeChoice Where = 3
)

// Limits of a manifest.
const (
	MaxCommunes    = 32
	MaxVoting      = 7
	MaxWitnesses   = 8
	MaxSignatories = 64
	MaxName        = 128
	// MaxManifest is the file's length in bytes.
	MaxManifest = 4 << 20
)

// Manifest is the file that every chain of an election is bound to.
type Manifest struct {
	// Election is its name in origins: lower-case letters, digits, dots and
	// hyphens.
	Election string
	Kind     Kind
	Policy   Policy
	Where    Where
	// OutsideHolders lets an elector of another commune hold a proxy.
	OutsideHolders bool
	// Modulo97 is the variant of the convocation numbers' check digits: 1
	// complement, 2 remainder.
	Modulo97 uint8
	// Opens and Closes are the hours of the poll.
	Opens, Closes ledger.Instant
	// BarrierMillis is how long an admission waits for the group (D).
	BarrierMillis uint32
	// Witnesses cosign checkpoints, ADELE's first.
	Witnesses []Witness
	// Signatories may sign amendments.
	Signatories []Signatory
	Communes    []Commune
}

// Witness is a C2SP tlog-witness: its verifier key and where it answers.
type Witness struct {
	// VKey is the cosigner's key (algorithm 04) as text.
	VKey string
	// URL is the prefix of add-checkpoint.
	URL string
}

// Signatory is a person whose signature counts under an amendment.
type Signatory struct {
	Number  uint16
	Commune ledger.Commune
	Bureau  ledger.BureauNumber
	Key     ed25519.PublicKey
}

// Commune is one commune's group.
type Commune struct {
	INS            ledger.Commune
	NameFR, NameNL string
	// Principal leads; Deputy does when the principal is away.
	Principal, Deputy ledger.BureauNumber
	// Voting are the bureaux whose machines vote in Raft, ascending.
	Voting []ledger.BureauNumber
	// LogKey signs the commune's checkpoints.
	LogKey ed25519.PublicKey
	// Roll and Register are the SHA-256 of the roll and of the sealed register,
	// Addresses of the sealed addresses (principal bureau only).
	Roll, Register, Addresses ledger.Hash
	// Electors is how many the roll has.
	Electors uint32
	// Bureaux, ascending by number.
	Bureaux []Bureau
	// PayOffice is the age recipient (hybrid post-quantum, age1pq1…) of the office that pays the members of
	// the bureaux: their accounts are sealed to it alone (decree art. 8 § 2). Empty where there is none: then
	// no account is taken.
	PayOffice string
}

// Bureau is one polling station.
type Bureau struct {
	Number ledger.BureauNumber
	// Place is the name of where it sits.
	Place string
	// Keys by incarnation.
	Keys [ledger.Incarnations]MachineKeys
}

// MachineKeys are one incarnation's public keys.
type MachineKeys struct {
	// Device signs batches and is the machine's identity on the network;
	// Cosigner cosigns checkpoints.
	Device, Cosigner ed25519.PublicKey
}

// payOfficeLen is the length of a hybrid recipient: 1,216 bytes in Bech32 behind "age1pq1", with six check characters.
const payOfficeLen = 7 + 1946 + 6

var payOffice = regexp.MustCompile(`^age1pq1[02-9ac-hj-np-z]*$`)

var electionName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}[a-z0-9]$`)

// Check says what is wrong with a manifest's content; the first thing found.
func (m *Manifest) Check() error {
	switch {
	case !electionName.MatchString(m.Election):
		return fmt.Errorf("election name %.80q is not 2 to 64 of a-z 0-9 . -", m.Election)
	case m.Kind != Live && m.Kind != Rehearsal:
		return fmt.Errorf("kind %d is neither live nor rehearsal", m.Kind)
	case m.Policy != Strict && m.Policy != ProvisionalAdmit:
		return fmt.Errorf("policy %d is unknown", m.Policy)
	case m.Where < HomeBureau || m.Where > FreeChoice:
		return fmt.Errorf("where-to-vote policy %d is unknown", m.Where)
	case m.Modulo97 != 1 && m.Modulo97 != 2:
		return fmt.Errorf("modulo-97 variant %d is unknown", m.Modulo97)
	case m.Opens < 0 || m.Closes <= m.Opens:
		return errors.New("the poll closes before it opens")
	case m.BarrierMillis == 0 || m.BarrierMillis > 60_000:
		return fmt.Errorf("barrier of %d ms is not between 1 ms and a minute", m.BarrierMillis)
	case len(m.Witnesses) == 0 || len(m.Witnesses) > MaxWitnesses:
		return fmt.Errorf("%d witnesses, 1 to %d", len(m.Witnesses), MaxWitnesses)
	case len(m.Signatories) > MaxSignatories:
		return fmt.Errorf("%d signatories, at most %d", len(m.Signatories), MaxSignatories)
	case len(m.Communes) == 0 || len(m.Communes) > MaxCommunes:
		return fmt.Errorf("%d communes, 1 to %d", len(m.Communes), MaxCommunes)
	}
	seen := map[string]bool{}
	for _, w := range m.Witnesses {
		if _, err := ledger.ParseCosignerVKey(w.VKey); err != nil {
			return fmt.Errorf("witness: %w", err)
		}
		if seen[w.VKey] || !printable(w.URL) {
			return errors.New("a witness is given twice, or its address is not printable")
		}
		seen[w.VKey] = true
	}
	for i, s := range m.Signatories {
		if i > 0 && s.Number <= m.Signatories[i-1].Number {
			return errors.New("signatories are not in ascending order")
		}
		// One person with two numbers would sign an amendment alone.
		if seen[string(s.Key)] {
			return fmt.Errorf("signatory %d has a key that is given twice", s.Number)
		}
		seen[string(s.Key)] = true
	}
	for i := range m.Communes {
		if i > 0 && m.Communes[i].INS <= m.Communes[i-1].INS {
			return errors.New("communes are not in ascending order")
		}
		if err := m.Communes[i].check(seen); err != nil {
			return fmt.Errorf("commune %d: %w", m.Communes[i].INS, err)
		}
	}
	return nil
}

// check looks at one commune; seen holds every key so far, since no key has two uses.
func (c *Commune) check(seen map[string]bool) error {
	if c.INS < 10000 || c.INS > 99999 {
		return errors.New("the INS code has five digits")
	}
	if len(c.Bureaux) == 0 || len(c.Bureaux) > ledger.MaxBureaux {
		return fmt.Errorf("%d bureaux, 1 to %d", len(c.Bureaux), ledger.MaxBureaux)
	}
	if !printable(c.NameFR) || !printable(c.NameNL) || c.NameFR == "" || c.NameNL == "" {
		return errors.New("a name is missing or not printable")
	}
	if c.PayOffice != "" && (len(c.PayOffice) != payOfficeLen || !payOffice.MatchString(c.PayOffice)) {
		return errors.New("the pay office's recipient is no hybrid age recipient (age1pq1…)")
	}
	if c.Electors > ledger.MaxElectors {
		return fmt.Errorf("%d electors, at most %d", c.Electors, ledger.MaxElectors)
	}
	unique := func(k ed25519.PublicKey) error {
		if seen[string(k)] {
			return errors.New("a key is given twice")
		}
		seen[string(k)] = true
		return nil
	}
	if err := unique(c.LogKey); err != nil {
		return err
	}
	has := map[ledger.BureauNumber]bool{}
	for i, b := range c.Bureaux {
		if b.Number == 0 || i > 0 && b.Number <= c.Bureaux[i-1].Number {
			return errors.New("bureaux are not in ascending order")
		}
		if !printable(b.Place) {
			return fmt.Errorf("bureau %d: the name of its place is not printable", b.Number)
		}
		has[b.Number] = true
		for _, k := range b.Keys {
			if err := errors.Join(unique(k.Device), unique(k.Cosigner)); err != nil {
				return fmt.Errorf("bureau %d: a key is given twice", b.Number)
			}
		}
	}
	return c.checkOffices(has)
}

// printable says that the text can be shown on one line.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) })
}

func (c *Commune) checkOffices(has map[ledger.BureauNumber]bool) error {
	if !has[c.Principal] || !has[c.Deputy] || c.Principal == c.Deputy && len(c.Bureaux) > 1 {
		return fmt.Errorf("principal bureau %d and deputy %d must be two of the bureaux", c.Principal, c.Deputy)
	}
	if len(c.Voting) == 0 || len(c.Voting) > MaxVoting {
		return fmt.Errorf("%d voting members, 1 to %d", len(c.Voting), MaxVoting)
	}
	votes := map[ledger.BureauNumber]bool{}
	for i, n := range c.Voting {
		if !has[n] || i > 0 && n <= c.Voting[i-1] {
			return errors.New("voting members are not bureaux in ascending order")
		}
		votes[n] = true
	}
	if !votes[c.Principal] || !votes[c.Deputy] {
		return errors.New("the principal bureau and its deputy must be voting members")
	}
	return nil
}

// Commune is the commune with that INS code.
func (m *Manifest) Commune(ins ledger.Commune) (*Commune, error) {
	for i := range m.Communes {
		if m.Communes[i].INS == ins {
			return &m.Communes[i], nil
		}
	}
	var have []string
	for _, c := range m.Communes {
		have = append(have, fmt.Sprint(c.INS))
	}
	return nil, fmt.Errorf("the manifest has no commune %d, only %s", ins, strings.Join(have, ", "))
}

// Bureau is the commune's bureau of that number, nil when there is none.
func (c *Commune) Bureau(n ledger.BureauNumber) *Bureau {
	for i := range c.Bureaux {
		if c.Bureaux[i].Number == n {
			return &c.Bureaux[i]
		}
	}
	return nil
}

// Group is what the rules of one commune's ledger need. hash is that of the manifest
// file; roll must be the one that the manifest names.
func (m *Manifest) Group(hash ledger.Hash, ins ledger.Commune, roll *ledger.Roll) (*ledger.Group, error) {
	c, err := m.Commune(ins)
	if err != nil {
		return nil, err
	}
	if roll.Hash() != c.Roll {
		return nil, fmt.Errorf("the roll is not the one that the manifest names for commune %d", ins)
	}
	if err := c.checkRoll(roll); err != nil {
		return nil, err
	}
	g := &ledger.Group{
		Election: m.Election, Manifest: hash, Commune: ins, Bureaux: map[ledger.BureauNumber]*ledger.BureauKeys{},
		Principal: c.Principal, Deputy: c.Deputy, Voting: c.Voting, Provisional: m.Policy == ProvisionalAdmit,
		LogKey: c.LogKey, Signatories: map[uint16]ledger.Signatory{}, Roll: roll,
	}
	for _, b := range c.Bureaux {
		k := new(ledger.BureauKeys)
		for i := range b.Keys {
			k.Device[i], k.Cosigner[i] = b.Keys[i].Device, b.Keys[i].Cosigner
		}
		g.Bureaux[b.Number] = k
	}
	for _, s := range m.Signatories {
		if s.Commune == ins {
			g.Signatories[s.Number] = ledger.Signatory{Key: s.Key, Bureau: s.Bureau, Leading: s.Bureau == c.Principal || s.Bureau == c.Deputy}
		}
	}
	for _, w := range m.Witnesses {
		k, err := ledger.ParseCosignerVKey(w.VKey)
		if err != nil {
			return nil, fmt.Errorf("witness: %w", err)
		}
		g.Witnesses = append(g.Witnesses, k)
	}
	return g, nil
}

// checkRoll finds an elector whose right would lie nowhere.
func (c *Commune) checkRoll(roll *ledger.Roll) error {
	if roll.Len() != int(c.Electors) {
		return fmt.Errorf("the roll has %d electors, the manifest says %d", roll.Len(), c.Electors)
	}
	has := map[ledger.BureauNumber]bool{}
	for _, b := range c.Bureaux {
		has[b.Number] = true
	}
	for i := range roll.Len() {
		if n := roll.At(i).Home; !has[n] {
			return fmt.Errorf("row %d of the roll is at home at bureau %d, which the manifest has not", i, n)
		}
	}
	return nil
}

// Hash is the SHA-256 of a manifest file, signature included.
func Hash(file []byte) ledger.Hash { return sha256.Sum256(file) }
