package preparation

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/node/register"
)

// lifeSpan is how long after the poll a rehearsal's destruction lies, at least.
const lifeSpan = 90 * 24 * time.Hour

// The names of a whole life's files, in the directory of the Region.
const (
	lifeCustody     = "custody"
	lifeOffices     = "offices.csv"
	lifeDossier     = "dossier"
	lifeCertificate = "certificate.txt"
	lifeExperts     = "experts.age"
	lifeRecipient   = "experts.txt"
	lifeLetter      = "experts.letter"
)

func (r *region) path(name string) string { return filepath.Join(r.dir, name) }

func (r *region) lifeBegun() bool {
	_, err := os.Lstat(r.path(lifeCustody))
	return err == nil
}

// drawOwnExperts gives a rehearsal its experts, who open the registers once more when K is searched
// for in what is left.
func (r *region) drawOwnExperts(l *listFlags, m *makeFlags) error {
	if l.live {
		return wrongUse("region: --whole-life destroys everything: it is for rehearsals")
	}
	if m.experts != "" {
		return wrongUse("region: --whole-life draws its own experts' identity")
	}
	m.experts = r.path(lifeRecipient)
	if _, err := os.Lstat(m.experts); err == nil || r.lifeBegun() {
		if err != nil {
			m.experts = "" // destroyed already, and not needed any more
		}
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("region: %w: %w", errTaken, err)
	}
	for _, name := range []string{lifeExperts, lifeLetter} { // of a run that was cut between two of the files
		if err := os.Remove(r.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return DrawIdentity(r.path(lifeExperts), m.experts, r.path(lifeLetter))
}

// life plays what comes after the preparation: custody, the college, destruction, the
// certificate. Each act looks at the register of custody for what is done already.
func (r *region) life(ctx context.Context) error {
	if !r.lifeBegun() {
		authority, err := ReadAuthority(filepath.Join(r.path("election"), AuthorityFile))
		if err != nil {
			return err
		}
		if _, err := os.Lstat(r.path(lifeOffices)); err == nil { // of a run that was cut
			if err := os.Remove(r.path(lifeOffices)); err != nil {
				return err
			}
		}
		if _, err := BeginCustody(ctx, r.path(lifeCustody), CustodyOrder{Election: r.path("election"), Authority: authority, Letters: r.path(lifeOffices)}); err != nil {
			return err
		}
	}
	c, err := OpenCustody(r.path(lifeCustody))
	if err != nil {
		return err
	}
	defer c.Close()
	offices, err := r.offices(c)
	if err != nil {
		return err
	}
	for _, act := range []func(context.Context, *Custody, map[string]officeSigner) error{r.hands, r.college, r.destroyed, r.certificate} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := act(ctx, c, offices); err != nil {
			return err
		}
	}
	return nil
}

// offices opens all offices' keys by their letters. They are not among what is destroyed: they name nobody.
func (r *region) offices(c *Custody) (map[string]officeSigner, error) {
	text, err := readBounded(r.path(lifeOffices), register.MaxDigests)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	out := map[string]officeSigner{}
	for _, row := range rows[1:] {
		if out[row[0]], err = c.openOffice(filepath.Join(r.path(lifeCustody), filepath.FromSlash(row[1])), row[2]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// hands passes every key from office to office.
func (r *region) hands(ctx context.Context, c *Custody, offices map[string]officeSigner) error {
	closed := c.due.Add(-CustodyHours * time.Hour)
	for i, at := range []time.Time{closed.Add(-36 * time.Hour), closed.Add(-20 * time.Hour), closed.Add(2 * time.Hour), closed.Add(20 * time.Hour), closed.Add(60 * 24 * time.Hour)} {
		from, to := CustodyOffices[i], CustodyOffices[i+1]
		batches := map[string][]HandOver{}
		for _, number := range c.order {
			k := c.keys[number]
			if k.office != from {
				continue
			}
			ins, _, _, err := register.ParseStickNumber(number)
			if err != nil {
				return err
			}
			by := signerOf(from, to, ins)
			batches[by] = append(batches[by], HandOver{Key: number, Digest: k.digest.String(), Office: to, From: "the " + from, To: "the " + to, At: at})
		}
		for by, batch := range batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := c.HandOver(offices[by], time.Now(), batch); err != nil {
				return err
			}
		}
		fmt.Fprintf(r.stderr, "the keys are with the %s\n", to)
	}
	fmt.Fprintf(r.stdout, "%d keys went through all hands, %d statements\n", len(c.order), c.count)
	return nil
}

// college consults, validates, settles, and destroys its dossier.
func (r *region) college(ctx context.Context, c *Custody, offices map[string]officeSigner) error {
	if c.destroyedAt(siteCollege) != nil {
		return nil
	}
	now := time.Now()
	ins := Communes[0].INS
	extract := filepath.Join(r.path(lifeDossier), "list.csv")
	if len(c.extracts()) == 0 {
		if err := os.MkdirAll(r.path(lifeDossier), 0o700); err != nil {
			return err
		}
		if err := os.Remove(extract); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := copyFile(listName(r.path("lists"), ins), extract); err != nil {
			return err
		}
		q := Consultation{By: "the president", Why: "rehearsal", Dossier: r.path(lifeDossier), Extracts: []string{extract}, Communes: []ledger.Commune{ins}}
		if err := c.Consult(offices[officeCollege], now, q, false); err != nil {
			return err
		}
	}
	closed := c.due.Add(-CustodyHours * time.Hour)
	validated, final := closed.AddDate(0, 0, 32).Format(dayForm), closed.AddDate(0, 0, 68).Format(dayForm)
	d := draft{act: actValidated}
	for _, commune := range Communes {
		d.facts = append(d.facts, fmt.Sprintf("commune %d %s %s", commune.INS, validated, final))
	}
	if err := c.State(offices[officeCollege], now, d); err != nil {
		return err
	}
	if err := c.State(offices[officeAdministration], now, draft{act: actSettled, facts: []string{"drawn-up " + validated}}); err != nil {
		return err
	}
	a := Act{Signer: offices[officeCollege], By: "the president", Now: now}
	_, _, err := c.DestroyDossiers(ctx, a, []string{r.path(lifeDossier)})
	return err
}

// destroyed destroys the keys, where they were put together, and then the lists; the Region's files, of which the keys
// have other names, go with these, when they have told what to search the whole directory for.
func (r *region) destroyed(ctx context.Context, c *Custody, offices map[string]officeSigner) error {
	bar := newBar(r.stderr)
	defer bar.clear()
	a := Act{Signer: offices[officeAdministration], By: r.by, Now: time.Now(), Progress: func(act string, done, total int) {
		bar.show(fmt.Sprintf("%s %d/%d files", act, done, total))
	}}
	for _, number := range c.order {
		if c.keys[number].destroyed {
			continue
		}
		ins, n, which, err := register.ParseStickNumber(number)
		if err != nil {
			return err
		}
		if _, _, err := c.DestroyKey(ctx, a, filepath.Join(r.path("keys"), filepath.FromSlash(StickDir(ins, n, which)))); err != nil {
			return err
		}
	}
	if c.destroyedAt(siteLists) != nil {
		return nil
	}
	// What is left there are receipts, which name nobody, and empty directories.
	if err := os.RemoveAll(r.path("keys")); err != nil {
		return err
	}
	l := Lists{Search: []string{r.dir}}
	for _, name := range []string{"work", "lists", "election", "letters.csv", lifeExperts, lifeRecipient, lifeLetter} {
		if _, err := os.Lstat(r.path(name)); err == nil || c.begunAt(siteLists) {
			l.Paths = append(l.Paths, r.path(name))
		}
	}
	if id, err := r.ownExperts(); err == nil {
		l.Experts = id
	} else if !c.begunAt(siteLists) {
		return err
	}
	done, found, err := c.DestroyLists(ctx, a, l)
	if err != nil {
		return err
	}
	bar.clear()
	fmt.Fprintf(r.stdout, "lists, registers and identities: %d files of %d bytes destroyed, %d others searched\n", done.files, done.bytes, found.files)
	return nil
}

func (r *region) ownExperts() (age.Identity, error) {
	return openIdentity("region", r.path(lifeExperts), r.path(lifeLetter))
}

func (r *region) certificate(_ context.Context, c *Custody, offices map[string]officeSigner) error {
	lost, err := c.Certify(Act{Signer: offices[officeAdministration], By: r.by, Now: time.Now()}, r.path(lifeCertificate))
	if err != nil {
		return err
	}
	fmt.Fprintf(r.stdout, "the certificate names %d keys that were destroyed and %d that never came back: %s\n", len(c.order)-len(lost), len(lost), strings.Join(lost, " "))
	return nil
}
