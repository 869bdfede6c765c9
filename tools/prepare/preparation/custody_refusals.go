package preparation

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	// officeRegister is the register of custody itself, which states what was refused: an office whose act was
	// refused does not state it, and one whose key did not open can't.
	officeRegister = "register"
	// noOffice is whose act it was when no office's key opened.
	noOffice = "none"
	// maxRefusals is how many refused attempts a register of custody keeps; the rest of MaxStatements is
	// for what was done.
	maxRefusals = 1 << 14
)

// drawOwn draws the register's own key, which lies beside the statements in its directory, and gives the
// public half, which stands in the first statement.
func drawOwn(out *staging, election string) (vkey string, err error) {
	seed := drawn32()
	signer := newOfficeSigner(election, officeRegister, ed25519.NewKeyFromSeed(seed[:]))
	return signer.VKey(), out.text(recordKeyFile, hex.EncodeToString(seed[:])+"\n")
}

// readOwn reads the register's own key, which must be the one of the first statement.
func (c *Custody) readOwn() error {
	text, err := readBounded(filepath.Join(c.dir, recordKeyFile), 2*ed25519.SeedSize+1)
	if err != nil {
		return fmt.Errorf("%w: %w", errCustody, err)
	}
	seed, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(seed) != ed25519.SeedSize {
		return errCustody
	}
	own := newOfficeSigner(c.election, officeRegister, ed25519.NewKeyFromSeed(seed))
	if v := c.offices[officeRegister]; v == nil || v.KeyHash() != own.KeyHash() {
		return errCustody
	}
	c.own = &own
	return nil
}

// perform opens the register and the office's key and does an act. One that is refused leaves a signed statement of
// who tried what, when, and for what reason it was refused; a dry run leaves none.
func (f *custodyFlags) perform(act string, do func(*Custody, officeSigner) error) error {
	c, by, err := f.open(act)
	if c == nil {
		return err
	}
	defer c.Close()
	if err == nil {
		err = do(c, by)
	}
	if f.dryRun || !isRefusal(err) {
		return err
	}
	if kept := c.recordRefusal(act, by.office, f.by, err, time.Now()); kept != nil {
		return fmt.Errorf("%w (and this refusal could not be recorded: %w)", err, kept)
	}
	return err
}

// recordRefusal states that an act was refused. It begins from the statements on the disk: what a refused act had
// taken in was never written.
func (c *Custody) recordRefusal(act, office, by string, err error, now time.Time) error {
	fresh := &Custody{dir: c.dir, lock: c.lock, offices: map[string]note.Verifier{}, keys: map[string]*keyState{}, words: map[uint64]map[string]string{}}
	if err := fresh.read(); err != nil {
		return err
	}
	if fresh.refusals >= maxRefusals {
		return nil
	}
	why, line, details := recordable(err)
	if office == "" {
		office = noOffice
	}
	d := draft{act: actRefused, facts: []string{"act " + act, "office " + office, "reason " + string(why)}}
	if line > 0 {
		d.facts = append(d.facts, fmt.Sprintf("line %d", line))
	}
	for _, kind := range []string{"rows", "lines", "encoding"} {
		if details[kind] != "" {
			d.facts = append(d.facts, kind+" "+details[kind])
		}
	}
	// With the certificate went the names; after it none is kept any more.
	if !slices.ContainsFunc(fresh.statements, func(s *CustodyStatement) bool { return s.Act == actCertified }) {
		d.words = map[string]string{"by": nationalNumber.ReplaceAllString(by, "${1}(withheld)${2}")}
	}
	return fresh.State(*fresh.own, now, d)
}

// tellRefusals says which acts were refused.
func (c *Custody) tellRefusals(w io.Writer) {
	for _, s := range c.statements {
		if s.Act != actRefused {
			continue
		}
		who := "the name is destroyed"
		if words := c.words[s.Number]; words != nil {
			who = "by " + words["by"]
		}
		fmt.Fprintf(w, "%s  %s refused, office %s, %s, %s\n", s.At.Format(time.RFC3339), s.fact("act"), s.fact("office"), who, strings.Join(s.Facts[2:], ", "))
	}
	fmt.Fprintf(w, "%d acts were refused\n", c.refusals)
}
