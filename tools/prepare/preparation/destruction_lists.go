package preparation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

func digestOf(name string) (h ledger.Hash, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return h, 0, err
	}
	defer f.Close()
	digest := sha256.New()
	if size, err = io.Copy(digest, f); err != nil {
		return h, 0, err
	}
	digest.Sum(h[:0])
	return h, size, nil
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// DestroyLists destroys what the keys were made from. Before, while the lists still
// tell what to look for, it searches the other files: if one holds an elector's number
// or name, or a K, or is a copy of what is going, nothing is destroyed and the files are told. Afterwards it searches
// them again.
func (c *Custody) DestroyLists(ctx context.Context, a Act, l Lists) (shredded, searched, error) {
	if err := errors.Join(c.mayState(a.Signer, officeAdministration), c.Lawful(a.Now)); err != nil {
		return shredded{}, searched{}, err
	}
	var files []doomedFile
	for _, path := range l.Paths {
		f, err := doomed(path)
		if errors.Is(err, os.ErrNotExist) && c.begunAt(siteLists) {
			continue // a run that was cut had come so far
		}
		if err != nil {
			return shredded{}, searched{}, err
		}
		files = append(files, f...)
	}
	find := newSearcher()
	defer find.wipe()
	if err := find.learnAll(ctx, files, l, c.begunAt(siteLists)); err != nil {
		return shredded{}, searched{}, fmt.Errorf("destroy lists: %w", err)
	}
	going := map[string]bool{filepath.Join(resolved(c.dir), wordsFile): true}
	for _, f := range files {
		going[resolved(f.path)] = true
	}
	look := func() (searched, error) {
		return find.search(ctx, append(slices.Clone(l.Search), c.dir), c.begunAt(siteLists), func(name string) bool { return going[name] })
	}
	result, err := look()
	if err != nil {
		return shredded{}, result, err
	}
	if len(result.found) > 0 {
		return shredded{}, result, refused(whyLeft, "nothing is destroyed: these files hold electors' data too, name them for destruction or remove them: %s", strings.Join(result.found, ", "))
	}
	if a.DryRun {
		return shredded{files: len(files)}, result, nil
	}
	words := map[string]string{"by": a.By, "where": strings.Join(l.Paths, ", ")}
	begun := draft{act: actBegun, words: words, facts: []string{
		"site " + siteLists, fmt.Sprintf("files %d", len(files)), fmt.Sprintf("searched %d %d", result.files, result.bytes),
		fmt.Sprintf("electors %d", find.electors()), fmt.Sprintf("token-keys %d", len(find.keys)), fmt.Sprintf("opaque %d", len(result.opaque)),
	}}
	if err := c.State(a.Signer, a.Now, begun); err != nil {
		return shredded{}, result, err
	}
	done, err := shred(ctx, files, a.Progress)
	for _, path := range l.Paths {
		if err == nil {
			err = removeEmpty(path, false)
		}
	}
	if err != nil {
		return done, result, err
	}
	if result, err = look(); err == nil && len(result.found) > 0 {
		err = fmt.Errorf("these files hold electors' data after the destruction: %s", strings.Join(result.found, ", "))
	}
	if err != nil {
		return done, result, err
	}
	return done, result, c.State(a.Signer, a.Now, draft{act: actDestroyed, words: words, facts: append([]string{"site " + siteLists}, done.facts()...)})
}

// learnAll takes in every list that is going, and the registers' K. When a run that was
// cut is taken up again, registers may be overwritten already; it had searched for theirs.
func (s *searcher) learnAll(ctx context.Context, files []doomedFile, l Lists, again bool) error {
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(f.path, ".csv") {
			if err := s.learn(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if err := s.learnCopies(ctx, files); err != nil || l.Experts == nil {
		return err
	}
	for _, path := range l.Paths {
		file, err := readBounded(filepath.Join(path, ManifestFile), election.MaxManifest)
		if err != nil {
			continue // no election
		}
		m, err := election.Parse(file)
		if err != nil {
			return err
		}
		for i := range m.Communes {
			if err := s.learnRegister(path, m, m.Communes[i].INS, l); err != nil && !again {
				return err
			}
		}
	}
	return nil
}

// learnRegister opens a commune's register for its K and its electors.
func (s *searcher) learnRegister(dir string, m *election.Manifest, ins ledger.Commune, l Lists) error {
	f, err := os.Open(filepath.Join(dir, strconv.Itoa(int(ins)), RegisterFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a run that was cut had destroyed it
	}
	if err != nil {
		return err
	}
	defer f.Close()
	reg, err := register.Open(f, l.Experts, register.Binding{Election: m.Election, Commune: ins, Live: m.Kind == election.Live})
	if err != nil {
		return wrongUse("the experts' identity: %w", err)
	}
	defer reg.Close()
	s.keys = append(s.keys, reg.KeyFinder())
	for i := range reg.Len() {
		e := reg.At(i)
		s.add(e.NationalNumber.Digits(), e.ConvocationNumber.Digits(), e.Surname, e.FirstNames)
	}
	return nil
}

// Certify writes the signed certificate of what was destroyed, where, when and by
// whom; it names every key that never came back. With it the names and reasons in the
// register of custody go, and the statements stay. It is refused while something that
// is at hand was not destroyed.
func (c *Custody) Certify(a Act, out string) ([]string, error) {
	if err := errors.Join(c.mayState(a.Signer, officeAdministration), c.Lawful(a.Now)); err != nil {
		return nil, err
	}
	if text, err := os.ReadFile(out); err == nil && c.certified(sha256.Sum256(text)) {
		return c.Lost(), c.forget() // a run that was cut had come so far
	}
	if err := absent(out); err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil || a.DryRun {
		return c.Lost(), err
	}
	text, err := signNote(c.certificate(a), a.Signer)
	if err == nil {
		err = writeFile(out, func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	if err == nil {
		hash := ledger.Hash(sha256.Sum256(text))
		err = c.State(a.Signer, a.Now, draft{act: actCertified, facts: []string{"certificate " + hash.String()}})
	}
	if err == nil {
		err = c.forget()
	}
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	return c.Lost(), nil
}

func (c *Custody) certified(hash ledger.Hash) bool {
	return slices.ContainsFunc(c.statements, func(s *CustodyStatement) bool {
		return s.Act == actCertified && s.fact("certificate") == hash.String()
	})
}

// forget destroys names and reasons.
func (c *Custody) forget() error {
	c.words = map[uint64]map[string]string{}
	_, err := shredFile(filepath.Join(c.dir, wordsFile), make([]byte, shredBlock))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(c.dir))
}

// complete says what still has to be destroyed.
func (c *Custody) complete() error {
	for _, number := range c.order {
		if k := c.keys[number]; k.office == officeDestruction && !k.destroyed {
			return refused(whyTurn, "key %s was given back and is not destroyed yet: prepare destroy-key", number)
		}
	}
	consulted := slices.ContainsFunc(c.statements, func(s *CustodyStatement) bool { return len(s.all("extract")) > 0 })
	switch {
	case consulted && c.destroyedAt(siteCollege) == nil:
		return refused(whyTurn, "the juridictional college has not destroyed what it took out of ADELE: prepare destroy-college")
	case c.destroyedAt(siteLists) == nil:
		return refused(whyTurn, "lists and registers are not destroyed yet: prepare destroy-lists")
	}
	return nil
}

// certificate is its text.
func (c *Custody) certificate(a Act) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Certificate of destruction of personal data\ndecree of 16 July 2024, articles 11 § 5 and 16\n")
	fmt.Fprintf(&b, "election: %s\nmanifest: %v\ndrawn up: %s\nby: %s, %s\n", c.election, c.hash, instant(a.Now).Format(time.RFC3339), a.By, a.Signer.office)
	valid := c.validations()
	for _, ins := range slices.Sorted(maps.Keys(valid)) {
		fmt.Fprintf(&b, "validated: %d on %s, final from %s\n", ins, valid[ins].validated, valid[ins].final)
	}
	fmt.Fprintf(&b, "list of absent electors drawn up: %s\n", c.drawnUp())
	for _, s := range c.statements {
		c.certificateLine(&b, s)
	}
	for _, number := range c.Lost() {
		k := c.keys[number]
		since := "never handed over"
		if !k.since.IsZero() {
			since = "since " + k.since.Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "key %s NEVER CAME BACK: last with the %s, %s\n", number, k.office, since)
	}
	fmt.Fprintf(&b, "register of custody: %d statements, the last is %v; its names and reasons are destroyed with this\n", c.count, c.head)
	return b.String()
}

func (c *Custody) certificateLine(b *strings.Builder, s *CustodyStatement) {
	at, words := s.At.Format(time.RFC3339), c.words[s.Number]
	switch s.Act {
	case actBegun:
		if n := s.fact("electors"); n != "" {
			files, bytes, _ := strings.Cut(s.fact("searched"), " ")
			fmt.Fprintf(b, "searched for %s electors and the secrets of %s registers: %s other files, %s bytes, nothing found, before and after; %s of the files no program can read\n",
				n, s.fact("token-keys"), files, bytes, s.fact("opaque"))
		}
		for _, digest := range s.all("missing") {
			fmt.Fprintf(b, "%s: an extract that was recorded is NOT THERE: %s\n", s.fact("site"), digest)
		}
	case actDestroyed:
		if s.fact("files") == "" {
			fmt.Fprintf(b, "%s: destroyed by hand %s by %s: %s\n", s.fact("site"), at, words["by"], words["why"])
			return
		}
		fmt.Fprintf(b, "%s: keys first, %s files of %s bytes overwritten and removed %s by %s at %s\n", s.fact("site"), s.fact("files"), s.fact("bytes"), at, words["by"], words["where"])
	}
}

// checkCertificate says whether a certificate is the administration's and stands in the
// register.
func (c *Custody) checkCertificate(text []byte) error {
	if _, err := note.Open(text, note.VerifierList(c.offices[officeAdministration])); err != nil || !c.certified(sha256.Sum256(text)) {
		return errors.New("this certificate was changed, or is of another register of custody")
	}
	return nil
}
