package preparation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/node/register"
)

// The sites of destruction (decree, article 16): a USB key, the juridictional college,
// and the lists and registers from which the keys were made.
const (
	siteKey     = "key"
	siteCollege = "college"
	siteLists   = "lists"
	// dossierMark is the file that makes a directory the college's dossier.
	dossierMark = "dossier.pointage"
)

// Act is an act of destruction: when, by whom, and who hears of its progress.
type Act struct {
	Signer   officeSigner
	By       string // the official's name
	Now      time.Time
	DryRun   bool
	Progress func(act string, done, total int)
}

// DestroyKey destroys all that is on the medium of a key that was given back: its
// identities first, its signed list last, which holds no personal data and by which a
// run that was cut is taken up. It gives the key's number.
func (c *Custody) DestroyKey(ctx context.Context, a Act, medium string) (string, shredded, error) {
	medium = resolved(medium) // a link to it is not the medium
	number, err := c.keyOn(medium)
	if err != nil {
		return "", shredded{}, err
	}
	if err := c.mayDestroyKey(a, number); err != nil && !c.keys[number].destroyed {
		return number, shredded{}, err
	}
	files, err := filesUnder(medium, func(rel string) bool { return rel == register.StickDigests })
	if err != nil || a.DryRun {
		return number, shredded{files: len(files)}, err
	}
	if c.destroyedAt(siteLists) == nil {
		if err := spareOtherNames(files); err != nil {
			return number, shredded{}, err
		}
	}
	done, err := shred(ctx, files, a.Progress)
	if err == nil {
		err = removeEmpty(medium, true)
	}
	if err == nil && !c.keys[number].destroyed {
		err = c.State(a.Signer, a.Now, draft{
			act: actDestroyed, facts: append([]string{"site " + siteKey + " " + number}, done.facts()...),
			words: map[string]string{"by": a.By, "where": medium},
		})
	}
	if err == nil {
		err = os.Remove(filepath.Join(medium, register.StickDigests))
	}
	return number, done, err
}

// spareOtherNames only takes the name from files that stand under another one: on a key that never left the place where
// it was put together, the Region's files are those of the election and of all other keys. They are
// overwritten with the election, once they have told what to search for.
func spareOtherNames(files []doomedFile) error {
	for i := range files {
		st, err := os.Lstat(files[i].path)
		if err != nil {
			return err
		}
		if files[i].class != classKey && hasOtherNames(st) {
			files[i].public = true
		}
	}
	return nil
}

func (s shredded) facts() []string {
	return []string{fmt.Sprintf("files %d", s.files), fmt.Sprintf("bytes %d", s.bytes)}
}

// keyOn is the number of the key that is on a medium.
func (c *Custody) keyOn(medium string) (string, error) {
	list, err := readBounded(filepath.Join(medium, register.StickDigests), register.MaxDigests)
	if err != nil {
		return "", wrongUse("%w", refused(whyKey, "%s is no key of a bureau; one that can't be read is destroyed by hand and recorded with --physical", medium))
	}
	digest := ledger.Hash(sha256.Sum256(list))
	for _, number := range c.order {
		if c.keys[number].digest == digest {
			return number, nil
		}
	}
	return "", wrongUse("%w", refused(whyKey, "%s holds a key that is not of this election", medium))
}

func (c *Custody) mayDestroyKey(a Act, number string) error {
	k := c.keys[number]
	switch {
	case k == nil:
		return wrongUse("%w", refused(whyKey, "there is no key %.20q in this election", number))
	case k.destroyed:
		return refused(whyKey, "key %s was destroyed already", number)
	}
	if err := c.Lawful(a.Now); err != nil {
		return err
	}
	if k.office != officeDestruction {
		return refused(whyKey, "key %s is with the %s by the register: record how it came back before it is destroyed", number, k.office)
	}
	return c.mayState(a.Signer, officeAdministration)
}

func (c *Custody) mayState(by officeSigner, office string) error {
	if by.office != office {
		return wrongUse("%w", refused(whyOffice, "the %s signs for this, not the %s: give its key with --key", office, by.office))
	}
	return nil
}

// DestroyedByHand records that a medium which can't be read was crushed.
func (c *Custody) DestroyedByHand(a Act, number, why string) error {
	if err := c.mayDestroyKey(a, number); err != nil || a.DryRun {
		return err
	}
	return c.State(a.Signer, a.Now, draft{
		act: actDestroyed, facts: []string{"site " + siteKey + " " + number, "by-hand"}, words: map[string]string{"by": a.By, "why": why},
	})
}

// Consultation is one of the juridictional college's (decree, article 14): for what,
// about which communes, and what was taken out of ADELE for it.
type Consultation struct {
	By, Why  string
	Communes []ledger.Commune
	// Dossier is the directory of what the college keeps, Extracts its files there.
	Dossier  string
	Extracts []string
}

// Consult records a consultation. The extracts' digests stand in the statement, so
// that each can be accounted for when the college destroys them.
func (c *Custody) Consult(by officeSigner, now time.Time, q Consultation, dryRun bool) error {
	if err := c.mayState(by, officeCollege); err != nil {
		return err
	}
	if s := c.destroyedAt(siteCollege); s != nil {
		return fmt.Errorf("the college has destroyed its data on %s: there is nothing to consult any more", s.At.Format(dayForm))
	}
	var facts []string
	for _, ins := range q.Communes {
		facts = append(facts, fmt.Sprintf("commune %d", ins))
	}
	for _, name := range q.Extracts {
		if rel, err := filepath.Rel(q.Dossier, name); err != nil || strings.HasPrefix(rel, "..") {
			return wrongUse("%w", refused(whyFile, "%s is not in the dossier %s: keep what was taken out of ADELE in one place", name, q.Dossier))
		}
		digest, size, err := digestOf(name)
		if err != nil {
			return wrongUse("%w", because{err, whyFile})
		}
		facts = append(facts, fmt.Sprintf("extract %v %d", digest, size))
	}
	if dryRun {
		return nil
	}
	if q.Dossier != "" {
		if err := os.MkdirAll(q.Dossier, 0o700); err != nil {
			return fmt.Errorf("consult: %w", err)
		}
		if err := replaceFile(filepath.Join(q.Dossier, dossierMark), []byte(c.election+"\n")); err != nil {
			return fmt.Errorf("consult: %w", err)
		}
	}
	return c.State(by, now, draft{act: actConsulted, facts: facts, words: map[string]string{"by": q.By, "why": q.Why}})
}

// destroyedAt is the last statement that a site was destroyed, nil for none.
func (c *Custody) destroyedAt(site string) (last *CustodyStatement) {
	for _, s := range c.statements {
		if s.Act == actDestroyed && s.fact("site") == site {
			last = s
		}
	}
	return last
}

// extracts are the digests of all that the college has recorded.
func (c *Custody) extracts() map[string]bool {
	out := map[string]bool{}
	for _, s := range c.statements {
		for _, e := range s.all("extract") {
			digest, _, _ := strings.Cut(e, " ")
			out[digest] = true
		}
	}
	return out
}

// begunAt says whether a site's destruction was begun.
func (c *Custody) begunAt(site string) bool {
	return slices.ContainsFunc(c.statements, func(s *CustodyStatement) bool { return s.Act == actBegun && s.fact("site") == site })
}

// DestroyDossiers destroys all that the juridictional college keeps (article 16 §3). An
// extract that was recorded and is not there is named in the statement.
func (c *Custody) DestroyDossiers(ctx context.Context, a Act, dossiers []string) (shredded, []string, error) {
	if err := errors.Join(c.mayState(a.Signer, officeCollege), c.Lawful(a.Now)); err != nil {
		return shredded{}, nil, err
	}
	left := c.extracts()
	var files []doomedFile
	for _, dossier := range dossiers {
		some, err := c.dossier(dossier, left)
		if err != nil {
			return shredded{}, nil, err
		}
		files = append(files, some...)
	}
	missing := sortedKeys(left)
	if a.DryRun {
		return shredded{files: len(files)}, missing, nil
	}
	words := map[string]string{"by": a.By, "where": strings.Join(dossiers, ", ")}
	if !c.begunAt(siteCollege) {
		// Stated before: a run that was cut would miss what it has destroyed itself.
		facts := []string{"site " + siteCollege, fmt.Sprintf("files %d", len(files))}
		for _, digest := range missing {
			facts = append(facts, "missing "+digest)
		}
		if err := c.State(a.Signer, a.Now, draft{act: actBegun, facts: facts, words: words}); err != nil {
			return shredded{}, nil, err
		}
	}
	done, err := shred(ctx, files, a.Progress)
	if err == nil {
		err = c.State(a.Signer, a.Now, draft{act: actDestroyed, facts: append([]string{"site " + siteCollege}, done.facts()...), words: words})
	}
	for _, dossier := range dossiers {
		if err == nil {
			err = errors.Join(os.Remove(filepath.Join(dossier, dossierMark)), removeEmpty(dossier, false))
		}
	}
	return done, missing, err
}

// dossier are the files of a dossier, whose digests it takes off those that are looked for.
func (c *Custody) dossier(dir string, left map[string]bool) ([]doomedFile, error) {
	mark, err := readBounded(filepath.Join(dir, dossierMark), register.MaxElection+1)
	if err != nil || string(mark) != c.election+"\n" {
		return nil, wrongUse("%w", refused(whyFile, "%s is no dossier of the college for %s: prepare consult --dossier makes one", dir, c.election))
	}
	files, err := filesUnder(dir, func(rel string) bool { return rel == dossierMark })
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		digest, _, err := digestOf(f.path)
		if err != nil {
			return nil, err
		}
		delete(left, digest.String())
	}
	return files, nil
}

// Lists is what the administration and the communes still hold: the paths of files,
// working directories, elections, keys and lists, and of copies of all these.
type Lists struct {
	Paths []string
	// Search are the trees in which nothing may be left.
	Search []string
	// Experts opens the registers, so that K can be searched for; nil leaves K out.
	Experts age.Identity
}

var communeDir = regexp.MustCompile(`^[0-9]{5}$`)

// doomed are the files of one path, which must be of a kind that this program writes: a
// directory that was named by mistake is not destroyed.
func doomed(path string) ([]doomedFile, error) {
	path = resolved(path) // behind a link lies what is meant
	st, err := os.Lstat(path)
	if err != nil {
		return nil, wrongUse("%w", because{err, whyFile})
	}
	if st.Mode().IsRegular() {
		return []doomedFile{{path: path, class: classKey}}, nil // a letter or an identity, as likely as not
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, wrongUse("%w", because{err, whyFile})
	}
	there := func(names ...string) bool {
		for _, name := range names {
			if _, err := os.Lstat(filepath.Join(path, name)); err != nil {
				return false
			}
		}
		return true
	}
	communes, lists := true, true
	for _, e := range entries {
		communes = communes && (e.IsDir() && communeDir.MatchString(e.Name()) || e.Name() == lockFile)
		lists = lists && e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".csv")
	}
	switch {
	case there(register.StickDigests):
		return nil, wrongUse("%w", refused(whyKey, "%s is a key: destroy it with destroy-key", path))
	case there(ManifestFile, register.RegionDigests):
		return filesUnder(path, keptOfElection)
	case communes, lists:
		return filesUnder(path, nil)
	}
	return nil, wrongUse("%w", refused(whyFile, "%s is neither a file, an election, keys, working directories nor a directory of lists: name the files in it", path))
}

// keptOfElection are the files of an election that hold no personal data.
func keptOfElection(rel string) bool { return rel == AuthorityFile || isPublic(filepath.Base(rel)) }
