package preparation

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/node/register"
)

func runValidate(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("validate", `prepare validate --custody DIR --key FILE --letter FILE --by WHO --validated DAY --final DAY INS ...

Records that these communes' elections were declared valid, and the first day on which no
appeal is possible any more. The juridictional college signs. A later word replaces an
earlier one.

  prepare validate --custody custody --key college.age --letter letter --by "P. Judge" \
      --validated 2030-11-14 --final 2030-12-20 21014
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	validated := f.String("validated", "", "the `day` of the decision")
	final := f.String("final", "", "the first `day` without appeal")
	if err := f.parse(args); err != nil {
		return err
	}
	a, err := parseDay("validated", *validated)
	if err != nil {
		return err
	}
	b, err := parseDay("final", *final)
	if err != nil {
		return err
	}
	communes, err := communesOf(job{name: "validate"}, f.Args())
	if err != nil {
		return err
	}
	return cf.perform("validate", func(c *Custody, by officeSigner) error {
		if err := c.mayState(by, officeCollege); err != nil {
			return err
		}
		if b.Before(a) || a.After(time.Now()) {
			return wrongUse("%w", refused(whyDay, "validate: an election is final from the day on which it was declared valid at the earliest, and that day does not lie ahead"))
		}
		d := draft{act: actValidated, words: map[string]string{"by": cf.by}}
		for _, commune := range Communes {
			if _, named := communes[commune.INS]; named {
				d.facts = append(d.facts, fmt.Sprintf("commune %d %s %s", commune.INS, *validated, *final))
			}
		}
		if !cf.dryRun {
			if err := c.State(by, time.Now(), d); err != nil {
				return err
			}
		}
		fmt.Fprintf(stdout, "%d communes are recorded as valid, %d of nineteen in all\n", len(d.facts), len(c.validations()))
		return nil
	})
}

func runSettle(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("settle", `prepare settle --custody DIR --key FILE --letter FILE --by WHO --drawn-up DAY

Records the day on which the public prosecutor had drawn up the list of absent electors
(art. 11 § 5). The administration signs.

  prepare settle --custody custody --key administration.age --letter letter --by "C. Administration" --drawn-up 2030-12-02
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	day := f.String("drawn-up", "", "the `day`")
	if err := f.parse(args); err != nil {
		return err
	}
	at, err := parseDay("drawn-up", *day)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return wrongUse("settle: %q is no flag", f.Arg(0))
	}
	return cf.perform("settle", func(c *Custody, by officeSigner) error {
		if err := c.mayState(by, officeAdministration); err != nil {
			return err
		}
		if at.After(time.Now()) {
			return wrongUse("%w", refused(whyDay, "settle: --drawn-up is the day on which the list was drawn up, and does not lie ahead"))
		}
		if !cf.dryRun {
			if err := c.State(by, time.Now(), draft{act: actSettled, facts: []string{"drawn-up " + *day}, words: map[string]string{"by": cf.by}}); err != nil {
				return err
			}
		}
		fmt.Fprintf(stdout, "the list of absent electors was drawn up on %s\n", *day)
		return nil
	})
}

// act is what the acts of destruction have in common.
func (cf *custodyFlags) act(by officeSigner, stderr io.Writer) (Act, *bar) {
	b := newBar(stderr)
	return Act{Signer: by, By: cf.by, Now: time.Now(), DryRun: cf.dryRun, Progress: func(act string, done, total int) {
		b.show(fmt.Sprintf("%s %d/%d files", act, done, total))
	}}, b
}

func runDestroyKey(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("destroy-key", `prepare destroy-key --custody DIR --key FILE --letter FILE --by WHO MEDIUM ...
prepare destroy-key --custody DIR --key FILE --letter FILE --by WHO --physical NUMBER --why TEXT

Destroys all that is on the keys' media: the identities are overwritten first, then the
rest, then all is removed and stated, signed by the administration. It is refused before
all nineteen communes are finally valid, and for a key that was not given back. A medium
that can't be read is crushed, and that is recorded with --physical.

  prepare destroy-key --custody custody --key administration.age --letter letter --by "C. Administration" /media/usb
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	physical := f.String("physical", "", "`number` of a key that was destroyed by hand")
	why := f.String("why", "", "with --physical: what was done, and why")
	if err := f.parse(args); err != nil {
		return err
	}
	if (*physical == "") == (f.NArg() == 0) {
		return wrongUse(`destroy-key: give where the media are, or --physical; see "prepare destroy-key --help"`)
	}
	return cf.perform("destroy-key", func(c *Custody, by officeSigner) error {
		a, bar := cf.act(by, stderr)
		defer bar.clear()
		if *physical != "" {
			if err := phrase("why", *why); err != nil {
				return err
			}
			if err := c.DestroyedByHand(a, *physical, *why); err != nil {
				return err
			}
			fmt.Fprintf(stdout, "key %s: recorded as destroyed by hand\n", *physical)
			return nil
		}
		for _, medium := range f.Args() {
			number, done, err := c.DestroyKey(ctx, a, medium)
			if err != nil {
				return err
			}
			bar.clear()
			fmt.Fprintf(stdout, "key %s: %s\n", number, cf.said(done))
		}
		return nil
	})
}

func (cf *custodyFlags) said(done shredded) string {
	if cf.dryRun {
		return fmt.Sprintf("%d files would be destroyed", done.files)
	}
	return fmt.Sprintf("%d files of %d bytes overwritten and removed", done.files, done.bytes)
}

func runDestroyCollege(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("destroy-college", `prepare destroy-college --custody DIR --key FILE --letter FILE --by WHO DOSSIER ...

Destroys what the juridictional college took out of ADELE (art. 16 § 3) and states it,
signed by the college. Extracts that were recorded and are not there are named.

  prepare destroy-college --custody custody --key college.age --letter letter --by "P. Judge" dossier
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return wrongUse(`destroy-college: give the dossiers; see "prepare destroy-college --help"`)
	}
	return cf.perform("destroy-college", func(c *Custody, by officeSigner) error {
		a, bar := cf.act(by, stderr)
		done, missing, err := c.DestroyDossiers(ctx, a, f.Args())
		bar.clear()
		if err != nil {
			return err
		}
		for _, digest := range missing {
			fmt.Fprintf(stdout, "an extract that was recorded is not there, account for it: %s\n", digest)
		}
		fmt.Fprintf(stdout, "the juridictional college: %s\n", cf.said(done))
		return nil
	})
}

func runDestroyLists(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("destroy-lists", `prepare destroy-lists --custody DIR --key FILE --letter FILE --by WHO --search DIR [--experts FILE --experts-letter FILE] PATH ...

Destroys what the keys were made from, and every copy of it: communes' working directories,
lists, the election's registers and identities, the directory of keys, letters, the
experts' identity. First it searches the other files under --search for any elector's
number or name, with the experts' identity for every commune's secret, and for copies of what is named: if one is found, nothing
is destroyed and the files are told. It searches again afterwards. Manifest, rolls, origins and signed
lists of digests stay.

  prepare destroy-lists --custody custody --key administration.age --letter letter --by "C. Administration" --search . \
      --experts experts.age --experts-letter experts.letter communes lists election keys letters.csv experts.age experts.letter
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	var l Lists
	f.Func("search", "`directory` in which nothing may be left; may be repeated", func(dir string) error {
		l.Search = append(l.Search, dir)
		return nil
	})
	experts := f.String("experts", "", "`file` with the experts' sealed identity, to search for the communes' secrets")
	letter := f.String("experts-letter", "", "`file` with its passphrase")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 || len(l.Search) == 0 {
		return wrongUse(`destroy-lists: give --search and what is to be destroyed; see "prepare destroy-lists --help"`)
	}
	return cf.perform("destroy-lists", func(c *Custody, by officeSigner) error {
		if *experts != "" {
			id, err := openIdentity("destroy-lists", *experts, *letter)
			if err != nil && !c.begunAt(siteLists) {
				return err
			}
			if err == nil { // otherwise a run that was cut has destroyed it, and had searched before
				l.Experts = id
			}
		}
		l.Paths = f.Args()
		a, bar := cf.act(by, stderr)
		done, found, err := c.DestroyLists(ctx, a, l)
		bar.clear()
		if err != nil {
			return err
		}
		for _, name := range found.opaque {
			fmt.Fprintf(stdout, "no program can read this file, look whether it shows an elector: %s\n", name)
		}
		fmt.Fprintf(stdout, "lists, registers and identities: %s\n%d other files of %d bytes searched, nothing is left in them\n", cf.said(done), found.files, found.bytes)
		return nil
	})
}

// openIdentity opens what DrawIdentity has sealed.
func openIdentity(act, file, letter string) (*age.HybridIdentity, error) {
	passphrase, err := readBounded(letter, register.MaxPassphrase)
	if err != nil {
		return nil, wrongUse("%s: the letter: %w", act, err)
	}
	id, err := age.NewScryptIdentity(strings.TrimSpace(string(passphrase)))
	if err != nil {
		return nil, wrongUse("%s: %w", act, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, wrongUse("%s: %w", act, err)
	}
	defer f.Close()
	plain, err := age.Decrypt(f, id)
	if err != nil {
		return nil, wrongUse("%s: the letter is of another file: %w", file, err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, register.MaxDigests))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	defer clear(text)
	return age.ParseHybridIdentity(strings.TrimSpace(string(text)))
}

func runCertify(_ context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("certify", `prepare certify --custody DIR --key FILE --letter FILE --by WHO --out FILE

Writes the certificate of what was destroyed, where, when and by whom, signed by the
administration; keys that never came back are named. With it the names and reasons in the
register of custody are destroyed too; its statements stay and still verify.

  prepare certify --custody custody --key administration.age --letter letter --by "C. Administration" --out certificate.txt
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	out := f.String("out", "", "new `file` for the certificate")
	if err := f.parse(args); err != nil {
		return err
	}
	if *out == "" || f.NArg() > 0 {
		return wrongUse(`certify: give --out; see "prepare certify --help"`)
	}
	return cf.perform("certify", func(c *Custody, by officeSigner) error {
		a, _ := cf.act(by, stderr)
		lost, err := c.Certify(a, *out)
		if err != nil {
			return err
		}
		for _, number := range lost {
			fmt.Fprintf(stdout, "%s never came back: last with the %s\n", number, c.keys[number].office)
		}
		fmt.Fprintf(stdout, "the certificate names %d keys that were destroyed and %d that never came back\n", len(c.order)-len(lost), len(lost))
		return nil
	})
}

// tellCertificate verifies a certificate and prints it.
func (c *Custody) tellCertificate(w io.Writer, name string) error {
	text, err := readBounded(name, MaxStatement)
	if err != nil {
		return wrongUse("custody: %w", err)
	}
	if err := c.checkCertificate(text); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\nit is signed by the administration and stands in the register of custody\n", text)
	return nil
}
