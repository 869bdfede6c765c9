package preparation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// CustodyOrder begins a register of custody.
type CustodyOrder struct {
	Election  string // the directory that Make has written
	Authority ed25519.PrivateKey
	Letters   string // new file for the offices' passphrases
	DryRun    bool
}

// officesDir holds the offices' sealed keys, under the register's directory, until they
// are given to their holders.
const officesDir = "offices"

// BeginCustody draws a signing key for every office and writes a register of custody,
// whose first statement, signed by the election's authority, names them and every USB
// key with its digest. It appears whole or not at all. It gives the offices' names.
func BeginCustody(ctx context.Context, dir string, o CustodyOrder) ([]string, error) {
	s, err := openElection(o.Election)
	if err != nil {
		return nil, fmt.Errorf("begin custody: %w", err)
	}
	manifest, err := readBounded(filepath.Join(o.Election, ManifestFile), election.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("begin custody: %w", err)
	}
	if !bytes.Equal(o.Authority.Public().(ed25519.PublicKey), register.AuthorityOf(manifest)) {
		return nil, wrongUse("the authority's key is not the one that signed the manifest of %s: give the key with --authority", o.Election)
	}
	if err := absent(o.Letters); err != nil {
		return nil, err
	}
	names := []string{officeAdministration, officeCollege}
	for i := range s.manifest.Communes {
		ins := s.manifest.Communes[i].INS
		names = append(names, officeOf(officeCommune, ins), officeOf(officePrincipal, ins))
	}
	facts, err := s.openingFacts(manifest)
	if err != nil || o.DryRun {
		return names, err
	}
	out, err := stage(dir)
	if err != nil {
		return nil, fmt.Errorf("begin custody: %w", err)
	}
	defer out.abandon()
	var letters bytes.Buffer
	rows := csv.NewWriter(&letters)
	rows.Write([]string{"office", "opens", "passphrase"})
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vkey, passphrase, err := drawOffice(out, s.manifest.Election, name)
		if err != nil {
			return nil, fmt.Errorf("begin custody: %w", err)
		}
		rows.Write([]string{name, path.Join(officesDir, name+".age"), passphrase})
		facts = append(facts, "office "+vkey)
	}
	rows.Flush()
	if err := rows.Error(); err != nil {
		return nil, err
	}
	own, err := drawOwn(out, s.manifest.Election)
	if err != nil {
		return nil, fmt.Errorf("begin custody: %w", err)
	}
	facts = append(facts, "office "+own)
	first := CustodyStatement{Election: s.manifest.Election, At: instant(time.Now()), Act: actOpened, Facts: facts}
	text, err := first.sign(newOfficeSigner(s.manifest.Election, "authority", o.Authority))
	if err == nil {
		err = errors.Join(out.text(ManifestFile, string(manifest)), out.text(statementsFile, string(text)+"\n"))
	}
	if err == nil {
		err = writeFile(o.Letters, func(w io.Writer) error { _, err := w.Write(letters.Bytes()); return err })
	}
	if err != nil {
		return nil, fmt.Errorf("begin custody: %w", err)
	}
	if err := out.publish(); err != nil {
		return nil, errors.Join(fmt.Errorf("begin custody: %w", err), os.Remove(o.Letters))
	}
	return names, nil
}

// drawOffice draws an office's key and writes it sealed; it gives the public key and
// the passphrase.
func drawOffice(out *staging, of, name string) (vkey, passphrase string, err error) {
	office := register.Office{Election: of, Name: name, Seed: drawn32()}
	// A code's 128 bits need no slow derivation, and an office opens its key every time.
	if passphrase, err = register.Code(rand.Reader); err != nil {
		return "", "", err
	}
	_, err = out.write(path.Join(officesDir, name+".age"), func(w io.Writer) error { return register.SealOffice(w, office, passphrase) })
	signer := newOfficeSigner(of, name, ed25519.NewKeyFromSeed(office.Seed[:]))
	clear(office.Seed[:])
	return signer.VKey(), passphrase, err
}

// openingFacts are every key of the election with its digest, and when the keys must
// have come to the juridictional college.
func (s *source) openingFacts(manifest []byte) ([]string, error) {
	due := time.UnixMilli(int64(s.manifest.Closes)).Add(CustodyHours * time.Hour)
	facts := []string{"manifest " + election.Hash(manifest).String(), "due " + instant(due).Format(time.RFC3339)}
	for i := range s.manifest.Communes {
		c := &s.manifest.Communes[i]
		for _, b := range c.Bureaux {
			for which := 1; which <= register.Sticks; which++ {
				list, err := readBounded(filepath.Join(s.dir, filepath.FromSlash(BureauDir(c.INS, b.Number)), StickDigestsFile(which)), register.MaxDigests)
				if err != nil {
					return nil, fmt.Errorf("begin custody: %w", err)
				}
				facts = append(facts, fmt.Sprintf("key %s %v", register.StickNumber(c.INS, b.Number, which), ledger.Hash(sha256.Sum256(list))))
			}
		}
	}
	return facts, nil
}

// HandOver is one key that goes from the office that has it to another one.
type HandOver struct {
	Key    string // its number, as on the receipt
	Digest string // at least the first sixteen digits of the receipt's
	Office string // the one that receives
	From   string // who gives
	To     string // who receives
	At     time.Time
}

// maxAhead is how far a recorder's clock may be behind that of who wrote a time down.
const maxAhead = time.Hour

// CheckHandOver says why a hand-over can't be recorded by this office: the key is not
// of this election, its digest is another one, it is somewhere else, or another office
// has to sign. done says that the very same hand-over stands already.
func (c *Custody) CheckHandOver(o HandOver, signer string, now time.Time) (done bool, err error) {
	ins, _, _, err := register.ParseStickNumber(o.Key)
	if err != nil {
		return false, because{err, whyKey}
	}
	k := c.keys[o.Key]
	switch {
	case k == nil:
		return false, refused(whyKey, "there is no key %s in this election", o.Key)
	case !digestMatches(o.Digest, k.digest):
		return false, refused(whyKey, "the digest is not that of key %s: give at least the first %d digits of its receipt, and do not hand it over if they differ", o.Key, minDigestTyped)
	case instant(o.At).After(now.Add(maxAhead)):
		return false, refused(whyDay, "key %s: the time of the hand-over lies ahead", o.Key)
	}
	for _, text := range []string{o.From, o.To} {
		if text == "" || len(text) > MaxPhrase || !printable(text) {
			return false, fmt.Errorf("who hands over and who receives is a line of 1 to %d bytes", MaxPhrase)
		}
	}
	if k.office == o.Office && k.since.Equal(instant(o.At)) && maps.Equal(c.words[k.last], o.words()) {
		return true, nil
	}
	if err := c.mayGo(o.Key, k.office, o.Office, instant(o.At)); err != nil {
		return false, err
	}
	if want := signerOf(k.office, o.Office, ins); want != signer {
		return false, refused(whyOffice, "key %s to the %s: the %s signs for it, not the %s: give its key with --key", o.Key, o.Office, want, signer)
	}
	return false, nil
}

func (o *HandOver) words() map[string]string { return map[string]string{"from": o.From, "to": o.To} }

// HandOver records hand-overs, all or none; those that stand already are passed over.
func (c *Custody) HandOver(by officeSigner, now time.Time, all []HandOver) (recorded int, err error) {
	var drafts []draft
	seen := map[string]bool{}
	for _, o := range all {
		done, err := c.CheckHandOver(o, by.office, now)
		if err != nil {
			return 0, err
		}
		if seen[o.Key] {
			return 0, refused(whyTwice, "key %s is named twice", o.Key)
		}
		if seen[o.Key] = true; done {
			continue
		}
		k := c.keys[o.Key]
		drafts = append(drafts, draft{act: actHanded, words: o.words(), facts: []string{
			fmt.Sprintf("key %s %v", o.Key, k.digest), "from " + k.office, "to " + o.Office, "given " + instant(o.At).Format(time.RFC3339),
		}})
	}
	return len(drafts), c.State(by, now, drafts...)
}

// Overdue are the keys that have not come to the juridictional college 24 hours after
// the poll (decree, article 7 §3), and came never or late; before that instant, none.
func (c *Custody) Overdue(now time.Time) []string {
	if now.Before(c.due) {
		return nil
	}
	var out []string
	for _, number := range c.order {
		if k := c.keys[number]; !k.destroyed && slices.Index(CustodyOffices, k.office) < slices.Index(CustodyOffices, officeCollege) {
			out = append(out, number)
		}
	}
	return out
}

// Lost are the keys that never came back: they were neither destroyed nor given back
// for destruction.
func (c *Custody) Lost() []string {
	var out []string
	for _, number := range c.order {
		if k := c.keys[number]; !k.destroyed && k.office != officeDestruction {
			out = append(out, number)
		}
	}
	return out
}
