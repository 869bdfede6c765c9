package preparation

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/node/register"
)

// custodyFlags are those of the acts on a register of custody.
type custodyFlags struct {
	dir, key, letter, by string
	dryRun               bool
}

func (c *custodyFlags) add(f *flag.FlagSet) {
	f.StringVar(&c.dir, "custody", "", "`directory` of the register of custody")
	f.StringVar(&c.key, "key", "", "`file` with the key of the office that signs")
	f.StringVar(&c.letter, "letter", "", "`file` with that key's passphrase")
	f.StringVar(&c.by, "by", "", "`who` does it")
	f.BoolVar(&c.dryRun, "dry-run", false, "check everything, change nothing")
}

// open opens the register and the office's key. Where only that does not open, it gives the register with the error.
func (c *custodyFlags) open(act string) (*Custody, officeSigner, error) {
	if c.dir == "" || c.key == "" || c.letter == "" {
		return nil, officeSigner{}, wrongUse(`%s: give --custody, --key and --letter; see "prepare %s --help"`, act, act)
	}
	if err := phrase("by", c.by); err != nil {
		return nil, officeSigner{}, err
	}
	r, err := OpenCustody(c.dir)
	if err != nil {
		return nil, officeSigner{}, err
	}
	passphrase, err := readBounded(c.letter, register.MaxPassphrase)
	if err != nil {
		return r, officeSigner{}, wrongUse("%s: %w", act, because{err, whySealed})
	}
	by, err := r.openOffice(c.key, strings.TrimSpace(string(passphrase)))
	if err != nil {
		return r, officeSigner{}, because{err, whySealed}
	}
	return r, by, nil
}

func runOffices(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("offices", `prepare offices --election DIR --authority FILE --custody DIR --letters FILE

Begins the register of custody: draws a signing key for the administration, the
juridictional college, and each commune and its principal bureau, and states, signed by the
election's authority, which keys there are. Give each office its CUSTODY/offices/<NAME>.age
and, apart, its passphrase of the letters.

  prepare offices --election election --authority election/authority.key --custody custody --letters offices.csv
`, stdout)
	var o CustodyOrder
	f.StringVar(&o.Election, "election", "", "`directory` that make has written")
	authority := f.String("authority", "", "`file` with the authority's key")
	dir := f.String("custody", "", "new `directory` of the register of custody")
	f.StringVar(&o.Letters, "letters", "", "new `file` for the passphrases: print the letters, then destroy it")
	f.BoolVar(&o.DryRun, "dry-run", false, "check everything, write nothing")
	if err := f.parse(args); err != nil {
		return err
	}
	if o.Election == "" || *authority == "" || *dir == "" || o.Letters == "" || f.NArg() > 0 {
		return wrongUse(`offices: give --election, --authority, --custody and --letters; see "prepare offices --help"`)
	}
	var err error
	if o.Authority, err = ReadAuthority(*authority); err != nil {
		return wrongUse("%w", err)
	}
	names, err := BeginCustody(ctx, *dir, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d offices: %s\n", len(names), strings.Join(names, ", "))
	return nil
}

func runHandover(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("handover", `prepare handover --custody DIR --key FILE --letter FILE --office OFFICE --by WHO --to WHOM --digest HEX NUMBER
prepare handover --custody DIR --key FILE --letter FILE --office OFFICE --by WHO --file HANDOVERS.csv

Records that a key went to an office, in a statement that this office signs; a bureau's
president receives against the paper receipt, and who gives signs. The offices are, in this
order, administration, commune, bureau, principal-bureau, college and destruction; a key
goes to the next one, or back. The digest is typed from the receipt, so that a
key and a receipt that do not belong together are found now. What is recorded
already is passed over.

  prepare handover --custody custody --key commune-21014.age --letter letter --office bureau \
      --by "A. Official" --to "B. President" --digest "a1b2 c3d4 e5f6 a7b8" 21014-003-1
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	o := HandOver{At: time.Now()}
	f.StringVar(&o.Office, "office", "", "the `office` that receives")
	f.StringVar(&o.To, "to", "", "`who` receives")
	f.StringVar(&o.Digest, "digest", "", "the receipt's `digest`, at least its first sixteen digits")
	at := f.String("at", "", "`time` of the hand-over, as 2030-10-12T14:00:00+02:00 (default: now)")
	file := f.String("file", "", "`file` of hand-overs with the columns key,digest,from,to,at")
	if err := f.parse(args); err != nil {
		return err
	}
	if *at != "" {
		var err error
		if o.At, err = time.Parse(time.RFC3339, *at); err != nil {
			return wrongUse("handover: --at is no time, as 2030-10-12T14:00:00+02:00")
		}
	}
	if *file == "" && (f.NArg() != 1 || o.To == "" || o.Digest == "") || *file != "" && f.NArg() > 0 || o.Office == "" {
		return wrongUse(`handover: give --office, --by, --to, --digest and the key's number, or --file; see "prepare handover --help"`)
	}
	return cf.perform("handover", func(c *Custody, by officeSigner) error {
		all := []HandOver{o}
		if *file != "" {
			var err error
			if all, err = c.readHandOvers(ctx, *file, o.Office, by.office, stderr); err != nil {
				return err
			}
		} else {
			all[0].Key, all[0].From = f.Arg(0), cf.by
			if _, err := c.CheckHandOver(all[0], by.office, time.Now()); err != nil {
				return wrongUse("handover: %w", err)
			}
		}
		if cf.dryRun {
			fmt.Fprintf(stdout, "%d hand-overs can be recorded\n", len(all))
			return nil
		}
		n, err := c.HandOver(by, time.Now(), all)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%d hand-overs recorded, %d stood already\n", n, len(all)-n)
		return nil
	})
}

// The columns of a file of hand-overs; at is a time as 2030-10-12T14:00:00+02:00.
var handoverColumns = []string{"key", "digest", "from", "to", "at"}

// readHandOvers reads a file of hand-overs to one office and checks each.
func (c *Custody) readHandOvers(ctx context.Context, name, office, signer string, stderr io.Writer) ([]HandOver, error) {
	in, err := openRows(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var out []HandOver
	lines := map[string]int{}
	t := table{columns: handoverColumns, required: len(handoverColumns), maxRows: register.Sticks * ledger.MaxBureaux * len(Communes)}
	err = t.read(ctx, in, func(line int, get []string) error {
		at, err := time.Parse(time.RFC3339, get[4])
		if err != nil {
			return errors.New("at: no time, as 2030-10-12T14:00:00+02:00")
		}
		o := HandOver{Key: get[0], Digest: get[1], Office: office, From: get[2], To: get[3], At: at}
		if lines[o.Key] > 0 {
			return fmt.Errorf("key: the same as on line %d", lines[o.Key])
		}
		lines[o.Key] = line
		out = append(out, o)
		_, err = c.CheckHandOver(o, signer, time.Now())
		return err
	})
	if err != nil {
		return nil, wrongUse("%s: %w", name, err)
	}
	if len(t.bad) > 0 {
		return nil, refuseRows(stderr, name, t.bad)
	}
	return out, nil
}

func runCustody(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("custody", `prepare custody --custody DIR [--overdue [--at TIME]] [--refused] [--history NUMBER] [--json] [--certificate FILE]

Verifies the register of custody from its first statement and says where every key is.
--overdue names those that have not come to the juridictional college 24 hours after
the poll. --json writes all hand-overs, one a line, as ADELE takes them at POST /custody.

  prepare custody --custody custody --overdue
`, stdout)
	dir := f.String("custody", "", "`directory` of the register of custody")
	overdue := f.Bool("overdue", false, "only the keys that are overdue")
	at := f.String("at", "", "with --overdue: as of this `time` (default: now)")
	history := f.String("history", "", "`number` of the key whose whole way is told")
	asJSON := f.Bool("json", false, "write all hand-overs for ADELE")
	certificate := f.String("certificate", "", "`file` of a certificate of destruction, to be verified")
	refusals := f.Bool("refused", false, "only what was refused: who tried what, when, and the reason")
	if err := f.parse(args); err != nil {
		return err
	}
	if *dir == "" || f.NArg() > 0 {
		return wrongUse(`custody: give --custody; see "prepare custody --help"`)
	}
	now := time.Now()
	if *at != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, *at); err != nil {
			return wrongUse("custody: --at is no time, as 2030-10-14T16:00:00+02:00")
		}
	}
	c, err := OpenCustody(*dir)
	if err != nil {
		return err
	}
	defer c.Close()
	switch {
	case *asJSON:
		return c.writeJSON(stdout)
	case *history != "":
		return c.tellHistory(stdout, *history)
	case *certificate != "":
		return c.tellCertificate(stdout, *certificate)
	case *refusals:
		c.tellRefusals(stdout)
		return nil
	case *overdue:
		late := c.Overdue(now)
		for _, number := range late {
			c.tellKey(stdout, number)
		}
		fmt.Fprintf(stdout, "%d keys are overdue: they had to be at the juridictional college by %s\n", len(late), c.due.Format(time.RFC3339))
		return nil
	}
	c.tellAll(stdout)
	return nil
}

// tellAll says where every key is.
func (c *Custody) tellAll(w io.Writer) {
	for _, number := range c.order {
		c.tellKey(w, number)
	}
	at0 := map[string]int{}
	for _, k := range c.keys {
		if k.destroyed {
			at0["destroyed"]++
			continue
		}
		at0[k.office]++
	}
	var counts []string
	for _, office := range append(CustodyOffices, "destroyed") {
		if n := at0[office]; n > 0 {
			counts = append(counts, fmt.Sprintf("%s %d", office, n))
		}
	}
	fmt.Fprintf(w, "%d keys: %s\n%d statements hold, the last is %v\n", len(c.order), strings.Join(counts, ", "), c.count, c.head)
}

func (c *Custody) tellKey(w io.Writer, number string) {
	k := c.keys[number]
	switch {
	case k.destroyed:
		fmt.Fprintf(w, "%s  destroyed\n", number)
	case k.since.IsZero():
		fmt.Fprintf(w, "%s  never handed over\n", number)
	default:
		late := ""
		if k.office == officeCollege && k.since.After(c.due) {
			late = fmt.Sprintf(", %.0f hours late", k.since.Sub(c.due).Hours())
		}
		fmt.Fprintf(w, "%s  %s since %s%s%s\n", number, k.office, k.since.Format(time.RFC3339), late, c.persons(k.last))
	}
}

// persons are who gave and who received, as long as that is not destroyed.
func (c *Custody) persons(statement uint64) string {
	if w := c.words[statement]; w != nil {
		return fmt.Sprintf(", by %s to %s", w["from"], w["to"])
	}
	return ", the names are destroyed"
}

// handed are the hand-overs, the oldest first.
func (c *Custody) handed(each func(number, digest string, s *CustodyStatement) error) error {
	for _, s := range c.statements {
		if s.Act == actHanded {
			number, digest, _ := strings.Cut(s.fact("key"), " ")
			if err := each(number, digest, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Custody) tellHistory(w io.Writer, number string) error {
	if c.keys[number] == nil {
		return wrongUse("there is no key %.20q in this election", number)
	}
	c.handed(func(key, _ string, s *CustodyStatement) error { // this one never fails
		if key == number {
			fmt.Fprintf(w, "%s  %s to %s%s, signed by %s\n", s.fact("given"), s.fact("from"), s.fact("to"), c.persons(s.Number), s.Signer)
		}
		return nil
	})
	c.tellKey(w, number)
	return nil
}

func (c *Custody) writeJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return c.handed(func(number, digest string, s *CustodyStatement) error {
		words := c.words[s.Number]
		return out.Encode(struct {
			Key        string `json:"key"`
			Digest     string `json:"digest"`
			From       string `json:"from"`
			To         string `json:"to"`
			FromPerson string `json:"from_person"`
			ToPerson   string `json:"to_person"`
			At         string `json:"at"`
		}{number, digest, s.fact("from"), s.fact("to"), words["from"], words["to"], s.fact("given")})
	})
}

func runConsult(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("consult", `prepare consult --custody DIR --key FILE --letter FILE --by WHO --why CASE [--dossier DIR --file FILE ...] INS ...

Records that the juridictional college has consulted ADELE's data of these communes (art.
14), and what it took out: files in its dossier, which it destroys in the end.

  prepare consult --custody custody --key college.age --letter letter --by "P. Judge" --why "case 2030/17" \
      --dossier dossier --file dossier/absent.csv 21014
`, stdout)
	var cf custodyFlags
	cf.add(f.FlagSet)
	var q Consultation
	f.StringVar(&q.Why, "why", "", "the `case` for which it is done")
	f.StringVar(&q.Dossier, "dossier", "", "`directory` of what the college keeps")
	f.Func("file", "`file` in the dossier that was taken out of ADELE; may be repeated", func(name string) error {
		q.Extracts = append(q.Extracts, name)
		return nil
	})
	if err := f.parse(args); err != nil {
		return err
	}
	if err := phrase("why", q.Why); err != nil {
		return err
	}
	if len(q.Extracts) > 0 && q.Dossier == "" {
		return wrongUse("consult: --dossier is missing: say where the files are kept")
	}
	communes, err := communesOf(job{name: "consult"}, f.Args())
	if err != nil {
		return err
	}
	return cf.perform("consult", func(c *Custody, by officeSigner) error {
		for _, commune := range Communes {
			if _, asked := communes[commune.INS]; asked {
				q.Communes = append(q.Communes, commune.INS)
			}
		}
		q.By, q.Dossier = cf.by, filepath.Clean(q.Dossier)
		if q.Dossier == "." && len(q.Extracts) == 0 {
			q.Dossier = ""
		}
		if err := c.Consult(by, time.Now(), q, cf.dryRun); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "a consultation of %d communes is recorded, with %d extracts\n", len(q.Communes), len(q.Extracts))
		return nil
	})
}
