// Command minutes draws the minutes up again from the export of a commune's ledger, and compares.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/provenance"
)

const usage = `minutes draws the minutes of a bureau or of the commune up again from an export, as PDF and
HTML, in French and in Dutch. The export is verified first: of one that does not hold nothing
is drawn. Where the ledger holds a statement of these minutes they are drawn as of that
statement, and their SHA-256 is compared with the recorded one.

  minutes [flags] EXPORT

  --bureau N|all        a bureau's minutes, or the commune's and every bureau's; without it the
                        commune's
  --lang fr|nl          one language alone
  --out DIR             where to write, made if missing; without it the present directory
  --latest              as of the export's end, whatever was recorded
  --compare FILE.pdf    write nothing (but with --out), and compare a file byte by byte
  --manifest-hash HEX   the SHA-256 of the manifest that you trust
  --register FILE --members FILE --identity FILE
                        the sealed register, the sealed list of members, and the age identity
                        that opens both: members then stand with their names, as in the minutes
                        that the bureau signed
  --passphrase-file FILE
                        the passphrase of an identity that is sealed itself, as the experts' is

  --version             what this program is, with its SHA-256

The verdict is the last line. Exit code 0: drawn, and what was compared is the same; 1: the
export does not hold, or something differs; 2: wrong arguments, or a file that can't be read;
130: Ctrl-C.

Example:
  go run ./tools/minutes --bureau 3 --lang nl --compare minutes-21014-bureau-003-nl.pdf \
    --register out/21014/register --members out/21014/members --identity experts.age \
    --passphrase-file experts.letter testnet-out/export/21014
`

// Exit codes.
const (
	exitSame        = 0
	exitDiffers     = 1
	exitUnreadable  = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return command(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// options are what was asked on the command line.
type options struct {
	export string
	// bureau is 0 for the commune's; all asks for every bureau's too.
	bureau  ledger.BureauNumber
	all     bool
	langs   []minutes.Language
	out     string
	latest  bool
	compare string
	trusted *ledger.Hash

	register, members, identity, passphrase string
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("minutes", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	bureau, lang, hash := f.String("bureau", "", ""), f.String("lang", "", ""), f.String("manifest-hash", "", "")
	f.StringVar(&o.out, "out", "", "")
	f.BoolVar(&o.latest, "latest", false, "")
	f.StringVar(&o.compare, "compare", "", "")
	f.StringVar(&o.register, "register", "", "")
	f.StringVar(&o.members, "members", "", "")
	f.StringVar(&o.identity, "identity", "", "")
	f.StringVar(&o.passphrase, "passphrase-file", "", "")
	var exports []string
	// Flags may stand after the directory too.
	for {
		if err := f.Parse(args); err != nil {
			return o, err
		}
		if f.NArg() == 0 {
			break
		}
		exports, args = append(exports, f.Arg(0)), f.Args()[1:]
	}
	if len(exports) != 1 {
		return o, fmt.Errorf("give one export directory, not %d; see --help", len(exports))
	}
	o.export, o.langs = exports[0], minutes.Languages[:]
	if err := o.about(*bureau, *lang); err != nil {
		return o, err
	}
	if *hash != "" {
		h, err := ledger.ParseHash(*hash)
		if err != nil {
			return o, fmt.Errorf("--manifest-hash: %w", err)
		}
		o.trusted = &h
	}
	if named := o.register != "" || o.members != "" || o.identity != ""; named && (o.register == "" || o.members == "" || o.identity == "") {
		return o, errors.New("--register, --members and --identity go together: give all three, or none for minutes without names")
	}
	return o, nil
}

// about reads whose minutes are asked for, and in which language.
func (o *options) about(bureau, lang string) error {
	switch bureau {
	case "":
	case "all":
		o.all = true
	default:
		n, err := strconv.ParseUint(bureau, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("--bureau %q: give a bureau's number, or all", bureau)
		}
		o.bureau = ledger.BureauNumber(n)
	}
	if lang != "" {
		l, ok := minutes.ParseLanguage(lang)
		if !ok {
			return fmt.Errorf("--lang %q: give fr or nl", lang)
		}
		o.langs = []minutes.Language{l}
	}
	if o.compare != "" && o.all {
		return errors.New("--compare takes one file: name its bureau with --bureau N, or none for the commune's")
	}
	return nil
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "--version" {
		if err := provenance.Print(stdout, "minutes"); err != nil {
			fmt.Fprintf(stderr, "minutes: %v\n", err)
			return exitUnreadable
		}
		return exitSame
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitSame
	}
	var verdict string
	if err == nil {
		verdict, err = work(ctx, o, stdout)
	}
	var offended *ledger.Offended
	var differs *difference
	switch {
	case err == nil:
		fmt.Fprintln(stdout, verdict)
		return exitSame
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "minutes: interrupted")
		return exitInterrupted
	case errors.As(err, &offended), errors.As(err, &differs):
		fmt.Fprintln(stdout, err)
		return exitDiffers
	}
	fmt.Fprintf(stderr, "minutes: %v\n", err)
	return exitUnreadable
}
