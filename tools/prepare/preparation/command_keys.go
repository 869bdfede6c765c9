package preparation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/node/register"
)

func runKeys(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("keys", `prepare keys --election DIR --out KEYS [flags] [INS or INS-BUREAU ...]

Puts the USB keys together, two a bureau, each with its receipt: KEYS/<INS>/bureau-NNN.
The Region's files are hard-linked where that can be had. Keys that are there are
left, so the same command goes on where it was cut. It needs no secret.

  prepare keys --election election --out keys
  prepare keys --election election --out keys 21014-003
`, stdout)
	o := KeysOrder{}
	f.StringVar(&o.Election, "election", "", "`directory` that make has written")
	out := f.String("out", "", "`directory` of the keys")
	f.BoolVar(&o.Copy, "copy", false, "copy the Region's files instead of hard-linking them")
	dryRun := f.Bool("dry-run", false, "check the election, write nothing")
	if err := f.parse(args); err != nil {
		return err
	}
	if o.Election == "" || *out == "" {
		return wrongUse(`keys: --election or --out is missing; see "prepare keys --help"`)
	}
	var err error
	if o.Only, err = parseBureaux(f.Args()); err != nil {
		return err
	}
	if *dryRun {
		s, err := openElection(o.Election)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "election %s: %d files of the Region hold against the signed list\n", s.manifest.Election, len(s.region.Files))
		return nil
	}
	bar := newBar(stderr)
	o.Progress = func(act string, done, total int) { bar.show(fmt.Sprintf("%s %d/%d", act, done, total)) }
	made, err := Keys(ctx, *out, o)
	bar.clear()
	if err != nil {
		return err
	}
	sayKeys(stdout, made)
	return nil
}

func sayKeys(w io.Writer, made *MadeKeys) {
	how := "hard-linked"
	if made.Copied {
		how = "copied"
	}
	fmt.Fprintf(w, "%d keys put together, %d were there; the Region's files are %s\n", made.Made, made.Kept, how)
}

// parseBureaux reads "21014" (all bureaux) and "21014-003".
func parseBureaux(args []string) (map[ledger.Commune][]ledger.BureauNumber, error) {
	out := map[ledger.Commune][]ledger.BureauNumber{}
	for _, arg := range args {
		code, bureau, one := strings.Cut(arg, "-")
		communes, err := communesOf(job{name: "keys"}, []string{code})
		if err != nil {
			return nil, err
		}
		for ins := range communes {
			if !one {
				out[ins] = nil
				continue
			}
			n, err := parseBureau(bureau, 0)
			if err != nil {
				return nil, wrongUse("keys: %q: %w", arg, err)
			}
			if before, listed := out[ins]; !listed || len(before) > 0 {
				out[ins] = append(before, n)
			}
		}
	}
	return out, nil
}

func runWrite(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("write", `prepare write --key KEYS/<INS>/bureau-NNN/key-N --to MEDIUM

Copies a key onto a USB medium and reads it back whole.

  prepare write --key keys/21014/bureau-003/key-1 --to /media/usb
`, stdout)
	from := f.String("key", "", "`directory` of the key")
	to := f.String("to", "", "`directory` where the medium is")
	if err := f.parse(args); err != nil {
		return err
	}
	if *from == "" || *to == "" || f.NArg() > 0 {
		return wrongUse(`write: give --key and --to; see "prepare write --help"`)
	}
	if st, err := os.Stat(*to); err != nil || !st.IsDir() {
		return wrongUse("write: %s is no directory: plug the medium in and give where it is", *to)
	}
	bar := newBar(stderr)
	k, err := WriteStick(ctx, *from, *to, func(done, total int) { bar.show(fmt.Sprintf("writing %d/%d files", done, total)) })
	bar.clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "key %s written and read back, digest %v\n", k.Number, k.Digest)
	return nil
}

func runOpen(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("open", `prepare open --key DIR --passphrase-file FILE [--commune INS] [--all]

Opens a key as its bureau's president does, in memory only, and says how many
electors it shows: the signed lists of digests first, then the passphrase, then the
electors. With --commune it tries another commune, whose electors stay shut. Without
--passphrase-file only the digests are checked.

  prepare open --key keys/21014/bureau-003/key-1 --passphrase-file letter
`, stdout)
	dir := f.String("key", "", "`directory` of the key")
	file := f.String("passphrase-file", "", "`file` with the president's passphrase")
	ins := f.Uint("commune", 0, "INS `code` of the commune to open (default: the key's own)")
	all := f.Bool("all", false, "check the files of all communes against the signed list")
	if err := f.parse(args); err != nil {
		return err
	}
	if *dir == "" || f.NArg() > 0 {
		return wrongUse(`open: give --key; see "prepare open --help"`)
	}
	k, err := register.ReadStick(os.DirFS(*dir))
	if err != nil {
		return wrongUse("%s: %w", *dir, err)
	}
	if *all {
		if err := k.CheckAll(); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "key %s of %s, digest %v, manifest %v\n", k.Number, k.Manifest.Election, k.Digest, k.ManifestHash)
	if *file == "" {
		return nil
	}
	passphrase, err := readBounded(*file, register.MaxPassphrase)
	if err != nil {
		return wrongUse("open: %w", err)
	}
	if *ins == 0 {
		*ins = uint(k.Commune)
	}
	return openStick(k, string(passphrase), ledger.Commune(*ins), stdout)
}

func openStick(k *register.Stick, passphrase string, ins ledger.Commune, stdout io.Writer) error {
	keys, err := k.OpenKeys(passphrase)
	if err != nil {
		return wrongUse("%w", err)
	}
	id, err := age.ParseHybridIdentity(keys.Identity)
	if err != nil {
		return fmt.Errorf("read the bureau's identity: %w", err)
	}
	reg, err := k.OpenRegister(ins, id)
	if err != nil {
		return wrongUse("%w", err)
	}
	defer reg.Close()
	members, err := k.OpenMembers(ins, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d: %d electors open, %d members are convened\n", ins, reg.Len(), len(members))
	addresses, err := k.OpenAddresses(ins, id)
	switch {
	case errors.Is(err, register.ErrKey):
		fmt.Fprintf(stdout, "%d: the addresses stay shut: they are the principal bureau's\n", ins)
		return nil
	case err != nil:
		return err
	}
	defer addresses.Close()
	fmt.Fprintf(stdout, "%d: %d addresses open\n", ins, addresses.Len())
	return nil
}

func runExperts(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("experts", `prepare experts --out FILE --recipient FILE --letter FILE

Draws the age identity of the college of experts, sealed under a passphrase. Give
the recipient to make with --experts; the experts keep identity and letter apart.
"age -d" with the passphrase gives the identity back.

  prepare experts --out experts.age --recipient experts.txt --letter experts.letter
`, stdout)
	return drawIdentity(f, "experts", "the experts' identity", args, stdout)
}

func runPayOffice(_ context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("pay-office", `prepare pay-office --out FILE --recipient FILE --letter FILE

Draws the age identity of a commune's pay office, sealed under a passphrase. Give the
recipient to make with --pay-office 21014=FILE: the bureaux seal their members' accounts
to it, and only this identity opens them (prepare accounts).

  prepare pay-office --out pay.age --recipient pay.txt --letter pay.letter
`, stdout)
	return drawIdentity(f, "pay-office", "the pay office's identity", args, stdout)
}

// drawIdentity draws an age identity into three new files.
func drawIdentity(f act, name, whose string, args []string, stdout io.Writer) error {
	out := f.String("out", "", "new `file` for the sealed identity")
	recipient := f.String("recipient", "", "new `file` for the recipient")
	letter := f.String("letter", "", "new `file` for the passphrase: print it, then destroy it")
	if err := f.parse(args); err != nil {
		return err
	}
	if *out == "" || *recipient == "" || *letter == "" || f.NArg() > 0 {
		return wrongUse(`%s: give --out, --recipient and --letter; see "prepare %s --help"`, name, name)
	}
	if filepath.Dir(*out) == *letter {
		return wrongUse("%s: --letter is a file of its own", name)
	}
	for _, name := range []string{*out, *recipient, *letter} {
		if err := absent(name); err != nil {
			return err
		}
	}
	if err := DrawIdentity(*out, *recipient, *letter); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is in %s, its recipient in %s\n", whose, *out, *recipient)
	return nil
}
