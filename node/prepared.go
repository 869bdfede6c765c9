package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/anchor"
	"pointage/node/register"
)

// Prepared is a prepared election as one bureau reads it: all checked against the
// signed manifest before anything is started.
type Prepared struct {
	// File is the manifest file's bytes, Manifest what they say.
	File     []byte
	Manifest *election.Manifest
	Commune  *election.Commune
	Group    *ledger.Group
	binding  register.Binding
	sealed   []byte
	// members is the sealed list of convened members, nil where the election was prepared without.
	members []byte
}

// InputError is about the files or the words that a program was given; nothing had been
// started or written.
type InputError struct{ Err error }

// Error is the error's own.
func (e InputError) Error() string { return lined{e.Err}.Error() }

// Unwrap gives the error itself.
func (e InputError) Unwrap() error { return e.Err }

// has says whether the configuration names bureaux of this commune only.
func (p *Prepared) has(cfg Config) error {
	if p.Commune.Bureau(cfg.Bureau) == nil {
		return fmt.Errorf("commune %d has no bureau %d: correct \"bureau\"", cfg.Commune, cfg.Bureau)
	}
	for _, peer := range cfg.Peers {
		if p.Commune.Bureau(peer.Bureau) == nil {
			return fmt.Errorf("\"peers\" names bureau %d, which commune %d does not have: take it out", peer.Bureau, cfg.Commune)
		}
	}
	return nil
}

// witness is the client of the witness that the manifest names first, at the configuration's
// address when it has one.
func (p *Prepared) witness(cfg Config) (*anchor.Client, error) {
	w := p.Manifest.Witnesses[0]
	if cfg.Witness != "" {
		w.URL = cfg.Witness
	}
	c, err := anchor.NewClient(w.URL, w.VKey, anchor.Options{})
	if err != nil {
		return nil, fmt.Errorf("%w: write its address as \"witness\" in the configuration", err)
	}
	return c, nil
}

// maxSealed is the length of a sealed register file, in bytes.
const maxSealed = 256 << 20

// ReadPrepared reads a commune's part of a prepared election: OUT/manifest,
// OUT/<INS>/roll, OUT/<INS>/register.
func ReadPrepared(dir string, ins ledger.Commune) (*Prepared, error) {
	file, err := readFile(filepath.Join(dir, "manifest"), election.MaxManifest)
	if err != nil {
		return nil, err
	}
	m, err := election.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: get the manifest from the election authority again", filepath.Join(dir, "manifest"), err)
	}
	c, err := m.Commune(ins)
	if err != nil {
		return nil, fmt.Errorf("%w: correct \"commune\"", err)
	}
	sub := filepath.Join(dir, fmt.Sprint(ins))
	rows, err := readFile(filepath.Join(sub, "roll"), ledger.MaxElectors*64)
	if err != nil {
		return nil, err
	}
	roll, err := ledger.DecodeRoll(rows)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: take it from the bureau's key again", filepath.Join(sub, "roll"), err)
	}
	g, err := m.Group(election.Hash(file), ins, roll)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: take it from the bureau's key again", filepath.Join(sub, "roll"), err)
	}
	sealed, err := readFile(filepath.Join(sub, "register"), maxSealed)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(sealed) != c.Register {
		return nil, fmt.Errorf("%s is not the register that the manifest names for commune %d: take it from the bureau's key again", filepath.Join(sub, "register"), ins)
	}
	members, err := readMembers(filepath.Join(sub, "members"))
	if err != nil {
		return nil, err
	}
	return &Prepared{
		File: file, Manifest: m, Commune: c, Group: g, sealed: sealed, members: members,
		binding: register.Binding{Election: m.Election, Commune: ins, Live: m.Kind == election.Live},
	}, nil
}

// OpenRegister opens the commune's register into memory.
func (p *Prepared) OpenRegister(identity string) (*register.Register, error) {
	id, err := age.ParseHybridIdentity(identity)
	if err != nil {
		return nil, fmt.Errorf("read the bureau's identity: %w", err)
	}
	return register.Open(bytes.NewReader(p.sealed), id, p.binding)
}

// maxMembersFile is the length of a sealed list of members, in bytes.
const maxMembersFile = 2 << 20

// readMembers reads the sealed list of members; an election of before that list has none.
func readMembers(name string) ([]byte, error) {
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return readFile(name, maxMembersFile)
}

// OpenMembers opens the list of those who are convened as members of the commune's bureaux, in ascending
// order of numbers (decree art. 8 § 1).
func (p *Prepared) OpenMembers(identity string) ([]register.Member, error) {
	if p.members == nil {
		return nil, nil
	}
	id, err := age.ParseHybridIdentity(identity)
	if err != nil {
		return nil, fmt.Errorf("read the bureau's identity: %w", err)
	}
	return register.OpenMembers(bytes.NewReader(p.members), id, p.binding)
}

// OpenKeys opens a bureau's sealed keys and checks that they are those that the
// manifest lists.
func (p *Prepared) OpenKeys(file, passphrase string, n ledger.BureauNumber) (register.Keys, election.Secrets, error) {
	var none register.Keys
	sealed, err := readFile(file, 1<<20)
	if err != nil {
		return none, election.Secrets{}, err
	}
	k, err := register.OpenKeys(bytes.NewReader(sealed), passphrase, p.binding)
	if err != nil {
		return none, election.Secrets{}, fmt.Errorf("%s: %w", file, err)
	}
	if k.Bureau != n {
		return none, election.Secrets{}, fmt.Errorf("%s belongs to bureau %d, the configuration says bureau %d: use the keys and the letter of bureau %d", file, k.Bureau, n, n)
	}
	s := election.SecretsFrom(k.Seed)
	if want := p.Group.Key(n, k.Incarnation); want == nil || !want.Equal(s.Device.Public()) {
		return none, election.Secrets{}, fmt.Errorf("%s holds other keys than the manifest lists for bureau %d: take keys and manifest from the bureau's key again", file, n)
	}
	return k, s, nil
}

// readFile reads a whole file of bounded size; what goes wrong is said in one line.
func readFile(name string, limit int64) ([]byte, error) {
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s is missing: put it there or correct the configuration", name)
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, fmt.Errorf("%s is a directory, not a file: correct the configuration", name)
	case st.Size() > limit:
		return nil, fmt.Errorf("%s has %d bytes, at most %d: it is another file", name, st.Size(), limit)
	}
	return os.ReadFile(name)
}
