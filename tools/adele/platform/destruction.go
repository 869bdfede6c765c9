package platform

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/note"
)

// A DestructionOrder is the administration's: the day is that on which it acts.
type DestructionOrder struct {
	Day string `json:"day"`
	// Backups are directories of copies, beside those that the platform remembers.
	Backups []string `json:"backups,omitempty"`
}

// A Destruction is what is remembered of it; Certificate is empty while it is under way.
type Destruction struct {
	Day         string     `json:"day"`
	Begun       time.Time  `json:"begun"`
	By          string     `json:"by"`     // the code
	Person      string     `json:"person"` // the official's name
	Law         legalState `json:"law"`
	Backups     []string   `json:"backups"`
	Certificate string     `json:"certificate,omitempty"`
}

// The acts of destruction in the log, beside the order itself.
const actDestroyed = "destroyed"

var destructionKey = []byte{regionPrefix, 'x'}

// personalKinds are the parts of the database that hold personal data, sealed or as keyed hashes.
var personalKinds = []byte{'e', 'n', 'm', 't', 'd'}

func (rg *Region) readDestruction() (*Destruction, error) {
	raw, err := rg.st.get(destructionKey)
	if err != nil || raw == nil {
		return nil, err
	}
	var d Destruction
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("read destruction: %w", err)
	}
	return &d, nil
}

// destroy is POST /destruction (decree, art. 11 §5, 16): refused before all nineteen communes are
// finally validated and the prosecutor's list is drawn up, and on any day before.
func (rg *Region) destroy(c *call) (*outcome, error) {
	var order DestructionOrder
	if out := c.json(&order); out != nil {
		return out, nil
	}
	rg.alive.Lock() // no other request is in work from here on
	c.ends = append(c.ends, rg.alive.Unlock)
	done, err := rg.readDestruction()
	if err != nil {
		return nil, err
	}
	if done != nil {
		return refuse(http.StatusConflict, "destroyed", "the personal data were destroyed already: GET /destruction shows the certificate"), nil
	}
	law, err := rg.legal()
	if err != nil {
		return nil, err
	}
	if out := rg.lawful(law, order.Day); out != nil {
		return out, nil
	}
	backups, out, err := rg.allBackups(order.Backups)
	if out != nil || err != nil {
		return out, err
	}
	d := &Destruction{Day: order.Day, Begun: rg.now().UTC().Truncate(time.Second), By: c.who.actor(), Law: *law, Backups: backups}
	if d.Person, err = rg.personOf(c.who.code); err != nil {
		return nil, err
	}
	out = &outcome{content: "day " + order.Day}
	out.change = func(b *pebble.Batch) error {
		return errors.Join(putDestruction(b, d), b.Set([]byte{regionPrefix, 'k'}, []byte(keysDestroyed), nil))
	}
	if err := c.settle(out); err != nil {
		return nil, err
	}
	// From here on a start of the platform takes it up again.
	if err := rg.carryOut(d); err != nil {
		return nil, fmt.Errorf("destroy: %w", err)
	}
	answer := answerJSON(http.StatusOK, d)
	answer.quiet = true // it is logged, twice
	return answer, nil
}

// lawful says why the day is too early. It may not lie ahead either: the platform's clock is
// asked too.
func (rg *Region) lawful(law *legalState, text string) *outcome {
	day, err := parseDay(text)
	switch {
	case err != nil:
		return refuse(http.StatusBadRequest, "malformed", err.Error())
	case len(law.Missing) > 0:
		return refuse(http.StatusConflict, "not validated",
			fmt.Sprintf("the elections of %d of the nineteen communes are not declared valid yet: %v", len(law.Missing), law.Missing))
	case law.DrawnUp == "":
		return refuse(http.StatusConflict, "not settled", "the public prosecutor has not drawn up the list of absent electors yet")
	case text < law.Earliest:
		return refuse(http.StatusConflict, "too early", fmt.Sprintf("an appeal is possible until then: nothing may be destroyed before %s", law.Earliest))
	case day.After(rg.now()):
		return refuse(http.StatusConflict, "too early", "this day lies ahead: give today's")
	}
	return nil
}

func putDestruction(b *pebble.Batch, d *Destruction) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write destruction: %w", err)
	}
	return b.Set(destructionKey, raw, nil)
}

// personOf is whose code it is.
func (rg *Region) personOf(id string) (string, error) {
	k, err := rg.readCode(id)
	if err != nil || k == nil {
		return "", err
	}
	key, err := rg.vault.of(regionVault)
	if err != nil {
		return "", err
	}
	person, err := key.unlock(codeKey(id), k.Person)
	return string(person), err
}

// resumeDestruction takes up one that was cut short; the platform serves nobody before.
func (rg *Region) resumeDestruction() error {
	d, err := rg.readDestruction()
	switch {
	case err != nil || d == nil:
		return err
	case d.Certificate != "":
		return rg.vault.renew()
	}
	return rg.carryOut(d)
}

// carryOut destroys: the keys first, with which all else is already beyond reading, then what was
// sealed under them. Every step may be done twice.
func (rg *Region) carryOut(d *Destruction) error {
	var lines []string
	keys, err := rg.vault.destroy()
	if err != nil {
		return err
	}
	for _, name := range keys {
		lines = append(lines, "overwritten and removed: "+name)
	}
	if len(keys) == 0 {
		lines = append(lines, "overwritten and removed before a restart: "+rg.vault.dir)
	}
	for _, dir := range d.Backups {
		files, err := shredAll(dir)
		switch {
		case err != nil:
			return fmt.Errorf("backup %s: %w", dir, err)
		case len(files) == 0:
			lines = append(lines, "backup not there, to be accounted for by hand: "+dir)
		default:
			lines = append(lines, fmt.Sprintf("backup of %d files overwritten and removed: %s", len(files), dir))
		}
	}
	if err := rg.dropPersonal(); err != nil {
		return err
	}
	lines = append(lines, "deleted from the database and compacted: electors, look-ups, members, token keys, documents")
	gone, left, err := rg.destroyedKeys()
	if err != nil {
		return err
	}
	lines = append(lines, fmt.Sprintf("USB keys by the register of custody: %d handed over for destruction, %d not; they are destroyed apart (art. 16 § 2)", gone, left))
	if d.Certificate, err = rg.certify(d, lines); err != nil {
		return err
	}
	b := rg.st.db.NewBatch()
	defer b.Close()
	if err := putDestruction(b, d); err != nil {
		return err
	}
	e := LogEntry{At: rg.now(), Actor: "platform", Act: actDestroyed, Outcome: outcomeDone, Content: "day " + d.Day}
	if _, err := rg.log.commit(b, e); err != nil {
		return err
	}
	return rg.vault.renew()
}

// dropPersonal deletes and has Pebble rewrite its files, so that nothing of it stays in one.
func (rg *Region) dropPersonal() error {
	b := rg.st.db.NewBatch()
	defer b.Close()
	for _, kind := range personalKinds {
		from := []byte{regionPrefix, kind}
		if err := b.DeleteRange(from, prefixEnd(from), nil); err != nil {
			return err
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	if err := rg.st.db.Flush(); err != nil {
		return err
	}
	return rg.st.db.Compact(context.Background(), []byte{regionPrefix}, []byte{regionPrefix + 1}, false)
}

// certify writes the certificate and signs it as a note with the access log's key.
func (rg *Region) certify(d *Destruction, lines []string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "Certificate of destruction of personal data\ndecree of 16 July 2024, articles 11 § 5 and 16\n")
	fmt.Fprintf(&b, "election: %s\nmanifest: %v\nday: %s\nbegun: %s\ncompleted: %s\n", rg.manifest.Election, manifestHash(rg.file), d.Day,
		d.Begun.Format(time.RFC3339), rg.now().UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "by: %s, %s, %s\nplatform: %s\n", d.Person, Administration, d.By, rg.dir)
	for _, v := range d.Law.Validations {
		fmt.Fprintf(&b, "validated: %d on %s, final from %s\n", v.Commune, v.Validated, v.Final)
	}
	fmt.Fprintf(&b, "list of absent electors drawn up: %s\nlawful from: %s\n", d.Law.DrawnUp, d.Law.Earliest)
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	b.WriteString("kept: ledgers, checkpoints, the access log; who stands in them nobody can tell from them any more\n")
	signed, err := note.Sign(&note.Note{Text: b.String()}, logNoteSigner{rg.log})
	if err != nil {
		return "", fmt.Errorf("sign the certificate: %w", err)
	}
	return string(signed), nil
}

// logNoteSigner signs other notes than checkpoints with the access log's key.
type logNoteSigner struct{ l *accessLog }

func (s logNoteSigner) Name() string    { return s.l.origin }
func (s logNoteSigner) KeyHash() uint32 { return s.l.verifier().KeyHash() }

func (s logNoteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.l.key, msg), nil }

// destruction is GET /destruction: the certificate, or what is still missing for it.
func (rg *Region) destruction(*call) (*outcome, error) {
	d, err := rg.readDestruction()
	if err != nil {
		return nil, err
	}
	if d != nil {
		return answerJSON(http.StatusOK, d), nil
	}
	law, err := rg.legal()
	if err != nil {
		return nil, err
	}
	return answerJSON(http.StatusOK, Destruction{Law: *law}), nil
}

// allBackups are the remembered ones and those that are named, which must be backups.
func (rg *Region) allBackups(named []string) ([]string, *outcome, error) {
	all := []string{}
	err := rg.st.scan([]byte{regionPrefix, 'b'}, func(_, value []byte) error {
		all = append(all, string(value))
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, dir := range named {
		if _, err := os.Stat(filepath.Join(dir, backupMark)); err != nil || !filepath.IsAbs(dir) {
			return nil, refuse(http.StatusBadRequest, "no backup", "a directory that is named is no backup of a platform, or not named from the root: nothing was destroyed"), nil
		}
		all = append(all, filepath.Clean(dir))
	}
	return all, nil, nil
}
