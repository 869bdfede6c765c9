package preparation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// Names in a directory of custody, beside the lock and a copy of the manifest.
const (
	statementsFile = "statements" // signed notes, end to end, an empty line after each
	wordsFile      = "words"      // names and reasons; overwritten by the last act
	maxStatements  = 256 << 20    // bytes of statementsFile
	maxWords       = 64 << 20     // bytes of wordsFile
	saltBytes      = 16
)

// Offices through which a key goes, in this order (decree, article 7). A key may go
// back one step: a pouch went to the wrong bureau. Destruction is the
// administration's, which gets the keys back for it.
const (
	officeAdministration = "administration"
	officeCommune        = "commune"
	officeBureau         = "bureau"
	officePrincipal      = "principal-bureau"
	officeCollege        = "college"
	officeDestruction    = "destruction"
)

// CustodyOffices are their names, in this order.
var CustodyOffices = []string{officeAdministration, officeCommune, officeBureau, officePrincipal, officeCollege, officeDestruction}

// CustodyHours is within how long after the poll the keys have gone to the president
// of the juridictional college (decree, article 7 §3).
const CustodyHours = 24

// keyState is what the register says of one key.
type keyState struct {
	digest    ledger.Hash
	office    string
	since     time.Time // when it came there, zero at the start
	last      uint64    // the statement that says so
	destroyed bool
}

// Custody is the register of what becomes of an election's keys and data: an
// append-only chain of signed statements, locked until Close. The administration
// keeps it; each statement is signed by the office that it binds.
type Custody struct {
	dir      string
	lock     *os.File
	manifest *election.Manifest
	election string
	hash     ledger.Hash   // of the manifest
	own      *officeSigner // the register's own key, for what is refused

	// What the statements say, up to head. Only add changes it.
	size       int64 // of statementsFile as far as it is whole
	head       ledger.Hash
	count      uint64
	due        time.Time
	offices    map[string]note.Verifier
	order      []string // the keys' numbers, as the first statement has them
	keys       map[string]*keyState
	statements []*CustodyStatement
	refusals   int // of them
	words      map[uint64]map[string]string
}

// OpenCustody opens and locks a register of custody and verifies it from the first
// statement to the last.
func OpenCustody(dir string) (*Custody, error) {
	if _, err := os.Lstat(filepath.Join(dir, statementsFile)); err != nil {
		return nil, wrongUse("%s holds no register of custody: begin one with prepare offices", dir)
	}
	c, err := holdCustody(dir)
	if err != nil {
		return nil, err
	}
	if err := c.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the register of custody: %w", err), c.Close())
	}
	return c, nil
}

func holdCustody(dir string) (*Custody, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the register of custody: %w", err)
	}
	if err := holdLock(f); err != nil {
		f.Close()
		return nil, wrongUse("%s: %w", dir, errBusy)
	}
	return &Custody{
		dir: dir, lock: f, offices: map[string]note.Verifier{}, keys: map[string]*keyState{},
		words: map[uint64]map[string]string{},
	}, nil
}

// Close lets go of the register.
func (c *Custody) Close() error { return c.lock.Close() }

func (c *Custody) read() error {
	file, err := readBounded(filepath.Join(c.dir, ManifestFile), election.MaxManifest)
	if err != nil {
		return err
	}
	if err := c.of(file); err != nil {
		return err
	}
	all, err := readBounded(filepath.Join(c.dir, statementsFile), maxStatements)
	if err != nil {
		return err
	}
	notes, whole := splitNotes(all)
	if len(notes) == 0 {
		return errCustody
	}
	for _, text := range notes {
		if err := c.add(text); err != nil {
			return fmt.Errorf("statement %d: %w", c.count, err)
		}
	}
	if err := c.readOwn(); err != nil {
		return err
	}
	c.size = int64(whole)
	return c.readWords()
}

// of binds the register to an election.
func (c *Custody) of(manifest []byte) (err error) {
	if c.manifest, err = election.Parse(manifest); err != nil {
		return fmt.Errorf("%s: %w", ManifestFile, err)
	}
	c.election, c.hash = c.manifest.Election, election.Hash(manifest)
	authority := register.AuthorityOf(manifest)
	c.offices["authority"] = ledger.LogKey(c.election+"/authority", authority)
	return nil
}

// add verifies the next statement and takes in what it says.
func (c *Custody) add(text []byte) error {
	keys := make([]note.Verifier, 0, len(c.offices))
	for _, key := range c.offices {
		keys = append(keys, key)
	}
	s, err := parseCustody(text, note.VerifierList(keys...))
	if err != nil {
		return err
	}
	if s.Election != c.election || s.Number != c.count || s.Previous != c.head || (s.Number == 0) != (s.Act == actOpened) || c.count >= MaxStatements {
		return errCustody
	}
	if err := c.take(s); err != nil {
		return fmt.Errorf("%w: %w", errCustody, err)
	}
	c.statements = append(c.statements, s)
	c.head, c.count = sha256.Sum256(text), c.count+1
	return nil
}

// take changes the state by a statement that its office may make.
func (c *Custody) take(s *CustodyStatement) error {
	switch s.Act {
	case actOpened:
		return c.takeOpened(s)
	case actHanded:
		return c.takeHanded(s)
	case actDestroyed:
		return c.takeDestroyed(s)
	case actBegun:
		if s.fact("site") == siteCollege {
			return c.signedBy(s, officeCollege)
		}
		return c.signedBy(s, officeAdministration)
	case actConsulted, actValidated:
		return c.signedBy(s, officeCollege)
	case actSettled, actCertified:
		return c.signedBy(s, officeAdministration)
	case actRefused:
		c.refusals++
		return c.signedBy(s, officeRegister)
	}
	return fmt.Errorf("an unknown act")
}

func (c *Custody) signedBy(s *CustodyStatement, office string) error {
	if s.Signer != office {
		return refused(whyOffice, "%s is for the %s to state, not for the %s", s.Act, office, s.Signer)
	}
	return nil
}

func (c *Custody) takeOpened(s *CustodyStatement) error {
	if s.Signer != "authority" || s.fact("manifest") != c.hash.String() {
		return errors.New("it is of another election")
	}
	for _, vkey := range s.all("office") {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return err
		}
		c.offices[strings.TrimPrefix(v.Name(), c.election+"/")] = v
	}
	delete(c.offices, "authority") // it has no say from here on
	for _, fact := range s.all("key") {
		number, digits, _ := strings.Cut(fact, " ")
		digest, err := ledger.ParseHash(digits)
		if _, _, _, wrong := register.ParseStickNumber(number); err != nil || wrong != nil || c.keys[number] != nil {
			return errors.New("a key of no number or digest")
		}
		c.keys[number] = &keyState{digest: digest, office: officeAdministration}
		c.order = append(c.order, number)
	}
	var err error
	c.due, err = time.Parse(time.RFC3339, s.fact("due"))
	return err
}

// officeOf is the name of the key with which an office signs for a commune.
func officeOf(office string, ins ledger.Commune) string {
	switch office {
	case officeCommune:
		return fmt.Sprintf("commune-%d", ins)
	case officePrincipal:
		return fmt.Sprintf("principal-%d", ins)
	case officeDestruction:
		return officeAdministration
	}
	return office
}

// signerOf is who signs a hand-over: who receives. A bureau's president receives on
// paper, against the receipt, and the office that gives signs.
func signerOf(from, to string, ins ledger.Commune) string {
	if to == officeBureau {
		to = from
	}
	return officeOf(to, ins)
}

func (c *Custody) takeHanded(s *CustodyStatement) error {
	number, digits, _ := strings.Cut(s.fact("key"), " ")
	k := c.keys[number]
	digest, err := ledger.ParseHash(digits)
	given, err2 := time.Parse(time.RFC3339, s.fact("given"))
	if k == nil || errors.Join(err, err2) != nil || digest != k.digest {
		return errors.New("a key that the election does not have")
	}
	from, to := s.fact("from"), s.fact("to")
	if err := c.mayGo(number, from, to, given); err != nil {
		return err
	}
	ins, _, _, _ := register.ParseStickNumber(number) // the first statement was refused otherwise
	if err := c.signedBy(s, signerOf(from, to, ins)); err != nil {
		return err
	}
	k.office, k.since, k.last = to, given, s.Number
	return nil
}

// mayGo says why a key can't go from one office to another.
func (c *Custody) mayGo(number, from, to string, given time.Time) error {
	k := c.keys[number]
	a, b := slices.Index(CustodyOffices, from), slices.Index(CustodyOffices, to)
	switch {
	case k.destroyed:
		return refused(whyKey, "key %s was destroyed", number)
	case b < 0:
		return refused(whyKey, "there is no office %.20q: they are %s", to, strings.Join(CustodyOffices, ", "))
	case k.office != from:
		return refused(whyKey, "key %s is with the %s, not with the %s: record how it went on from there first", number, k.office, from)
	case b != a+1 && b != a-1:
		return refused(whyKey, "key %s is with the %s and goes from there to the office next to it, not to the %s: the way is %s", number, from, to, strings.Join(CustodyOffices, ", "))
	case given.Before(k.since):
		return refused(whyKey, "key %s came to the %s on %s, it can't have left before", number, from, k.since.Format(time.RFC3339))
	}
	return nil
}

func (c *Custody) takeDestroyed(s *CustodyStatement) error {
	site, number, _ := strings.Cut(s.fact("site"), " ")
	switch site {
	case siteCollege:
		return c.signedBy(s, officeCollege)
	case siteLists:
		return c.signedBy(s, officeAdministration)
	case siteKey:
		k := c.keys[number]
		if k == nil || k.destroyed || k.office != officeDestruction {
			return errors.New("a key that was not given back")
		}
		k.destroyed, k.last = true, s.Number
		return c.signedBy(s, officeAdministration)
	}
	return errors.New("an unknown site")
}

// wordsLine is a line of wordsFile.
type wordsLine struct {
	Statement uint64          `json:"statement"`
	Salt      string          `json:"salt"`
	Words     json.RawMessage `json:"words"`
}

// readWords takes in the names and reasons that still belong to statements: lines of
// acts that a crash has cut belong to none.
func (c *Custody) readWords() error {
	file, err := readBounded(filepath.Join(c.dir, wordsFile), maxWords)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(file) {
		var w wordsLine
		if json.Unmarshal(line, &w) != nil || w.Statement >= c.count {
			continue
		}
		salt, err := hex.DecodeString(w.Salt)
		var words map[string]string
		if err == nil && commitment(salt, w.Words) == c.statements[w.Statement].Words && json.Unmarshal(w.Words, &words) == nil {
			c.words[w.Statement] = words
		}
	}
	return nil
}

// draft is a statement that an office is about to make.
type draft struct {
	act   string
	facts []string
	words map[string]string
}

// State makes statements, all in one write: signed, chained, durable. What a crash
// leaves of it is cut off by the next act; statements that stand whole were made.
func (c *Custody) State(by officeSigner, now time.Time, drafts ...draft) error {
	before := *c
	var out, words bytes.Buffer
	for _, d := range drafts {
		s := &CustodyStatement{Election: c.election, Number: c.count, Previous: c.head, At: instant(now), Act: d.act, Facts: d.facts}
		if len(d.words) > 0 {
			line, hash, err := encodeWords(c.count, d.words)
			if err != nil {
				return fmt.Errorf("state: %w", err)
			}
			s.Words = hash
			words.Write(line)
		}
		text, err := s.sign(by)
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		if err := c.add(text); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		c.words[s.Number] = d.words
		out.Write(text)
		out.WriteByte('\n')
	}
	// The words first: a statement without its words could not be told from one whose
	// words were destroyed.
	err := appendFile(filepath.Join(c.dir, wordsFile), -1, words.Bytes())
	if err == nil {
		err = appendFile(filepath.Join(c.dir, statementsFile), before.size, out.Bytes())
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	c.size = before.size + int64(out.Len())
	return nil
}

func encodeWords(n uint64, words map[string]string) ([]byte, ledger.Hash, error) {
	text, err := json.Marshal(words)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	line, err := json.Marshal(wordsLine{n, hex.EncodeToString(salt), text})
	return append(line, '\n'), commitment(salt, text), err
}

// appendFile writes behind the first size bytes of a file, or behind all of them when
// size is negative, and makes it durable.
func appendFile(name string, size int64, text []byte) (err error) {
	if len(text) == 0 {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if size < 0 {
		if size, err = f.Seek(0, io.SeekEnd); err != nil {
			return err
		}
		// A line that a crash has cut must not swallow the next one.
		text = append([]byte("\n"), text...)
	} else if err := f.Truncate(size); err != nil {
		return err
	}
	if _, err := f.WriteAt(text, size); err != nil {
		return err
	}
	return errors.Join(f.Sync(), syncDir(filepath.Dir(name)))
}

// openOffice opens the sealed key of an office of this election.
func (c *Custody) openOffice(file, passphrase string) (officeSigner, error) {
	f, err := os.Open(file)
	if err != nil {
		return officeSigner{}, wrongUse("%v: give the office's key with --key", err)
	}
	defer f.Close()
	o, err := register.OpenOffice(f, passphrase, c.election)
	if err != nil {
		return officeSigner{}, wrongUse("%s: %w", file, err)
	}
	s := newOfficeSigner(c.election, o.Name, ed25519.NewKeyFromSeed(o.Seed[:]))
	clear(o.Seed[:])
	if v := c.offices[o.Name]; v == nil || v.KeyHash() != s.KeyHash() {
		return officeSigner{}, wrongUse("%s: its office is not in this register of custody", file)
	}
	return s, nil
}
