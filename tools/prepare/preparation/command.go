package preparation

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"pointage/ledger"
	"pointage/node/machine"
)

// Exit codes of Command.
const (
	exitDone        = 0
	exitRefused     = 1 // its time has not come, or the work failed
	exitUsage       = 2 // a wrong flag or file, or bad rows in one
	exitInterrupted = 130
)

const usage = `prepare makes an election before the day, and ends it after.

With a commune's list, in its working directory:
  prepare import     check a list of electors and begin the working directory
  prepare update     add, strike off and amend electors (death, court decision)
  prepare divide     divide the electors over the bureaux
  prepare number     give convocation numbers
  prepare mark       mark the candidates, from MARTINE
  prepare members    designate the members of the bureaux
  prepare bureaux    settle the places and the principal bureau
  prepare list       write the list for the letters and for ADELE
  prepare status     say how far it is
  prepare history    who did what, when and why

With the whole election:
  prepare experts    draw the experts' identity
  prepare pay-office draw the identity of a commune's pay office
  prepare make       draw all keys, write manifest and sealed registers
  prepare keys       put the USB keys together, with their receipts
  prepare write      copy a key onto a USB medium
  prepare open       open a key, as its president does
  prepare synthetic  write lists of invented electors
  prepare region     all of it for the nineteen communes, measured
  prepare accounts   after the day: read the members' accounts, for the pay office

With what becomes of the keys and the data:
  prepare offices    begin the register of custody, draw the offices' keys
  prepare handover   record that keys went from one office to the next
  prepare custody    say where the keys are, which are overdue, who has which
  prepare consult    record a consultation by the juridictional college
  prepare validate   record that communes' elections were declared valid
  prepare settle     record that the list of absent electors was drawn up
  prepare destroy-key      destroy a key that was given back
  prepare destroy-college  destroy what the juridictional college took out
  prepare destroy-lists    destroy lists, registers, letters and identities
  prepare certify    write the certificate of destruction
  prepare version    what this program is, with its SHA-256

"prepare <act> --help" shows its flags; GUIDE.md walks through it. Examples:

  prepare import --dry-run 21014=electors.csv
  prepare make --election brussels-2030 --witness "$VKEY" --witness-url https://adele.example/ \
      --passphrases letters.csv --out election 21014=electors.csv
`

// acts are the tool's, by name.
var acts = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"import": runImport, "update": runUpdate, "divide": runDivide, "number": runNumber, "mark": runMark, "members": runMembers,
	"bureaux": runBureaux, "list": runList, "status": runStatus, "history": runHistory,
	"experts": runExperts, "pay-office": runPayOffice, "accounts": runAccounts, "make": runMake, "keys": runKeys, "write": runWrite, "open": runOpen,
	"synthetic": runSynthetic, "region": runRegion,
	"offices": runOffices, "handover": runHandover, "custody": runCustody, "consult": runConsult, "validate": runValidate, "settle": runSettle,
	"destroy-key": runDestroyKey, "destroy-college": runDestroyCollege, "destroy-lists": runDestroyLists, "certify": runCertify,
}

// usageError is a wrong flag or file: one line, exit 2.
type usageError struct{ error }

// Unwrap gives the error itself.
func (u usageError) Unwrap() error { return u.error }

func wrongUse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// nationalNumber finds what looks like one in an error, which may repeat a word that somebody
// typed in the wrong place: terminals are seen and logged.
var nationalNumber = regexp.MustCompile(`(^|[^0-9])[0-9]{2}[ ./-]?[0-9]{2}[ ./-]?[0-9]{2}[ ./-]?[0-9]{3}[ ./-]?[0-9]{2}([^0-9]|$)`)

// errBadRows says that rows were refused and already listed.
var errBadRows = errors.New("bad rows")

// Command runs one act of the tool with its arguments and gives the exit code.
// What goes wrong is said on stderr, in one line for each bad row and one at the
// end.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	var said string
	if err != nil {
		said = nationalNumber.ReplaceAllString(err.Error(), "${1}(withheld)${2}")
	}
	wrong := usageError{}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitDone
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "prepare: interrupted, nothing is half-written: the same command goes on")
		return exitInterrupted
	case machine.IsFull(err):
		fmt.Fprintf(stderr, "prepare: %s: free some, or give another place; nothing was written\n", said)
		return exitRefused
	case errors.As(err, &wrong), errors.Is(err, errTaken), errors.Is(err, errBadRows):
		fmt.Fprintf(stderr, "prepare: %s\n", said)
		return exitUsage
	}
	fmt.Fprintf(stderr, "prepare: %s\n", said)
	return exitRefused
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return wrongUse(`no act is given, as import or make; see "prepare --help"`)
	}
	switch args[0] {
	case "-h", "--help", "-help", "help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	do, known := acts[args[0]]
	if !known {
		return wrongUse(`there is no act %.40q; see "prepare --help"`, args[0])
	}
	return do(ctx, args[1:], stdout, stderr)
}

// act is the flag set of one act, which speaks in one line.
type act struct {
	*flag.FlagSet
	text   string
	stdout io.Writer
}

func newAct(name, text string, stdout io.Writer) act {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return act{f, text, stdout}
}

// parse reads the arguments; --help prints the text and gives flag.ErrHelp.
func (a act) parse(args []string) error {
	err := a.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(a.stdout, "%s\nFlags:\n", a.text)
		a.SetOutput(a.stdout)
		a.PrintDefaults()
		return err
	}
	if err != nil {
		return wrongUse(`%s: %v; see "prepare %s --help"`, a.Name(), err, a.Name())
	}
	return nil
}

// listFlags are those of import and make.
type listFlags struct {
	live, skipBad, dryRun bool
	method                string
	bureaux               int
}

func (l *listFlags) add(f *flag.FlagSet) {
	f.BoolVar(&l.live, "live", false, "a live election; otherwise a rehearsal")
	f.BoolVar(&l.skipBad, "skip-bad", false, "leave bad rows out instead of refusing the list")
	f.BoolVar(&l.dryRun, "dry-run", false, "check everything, write nothing")
	f.StringVar(&l.method, "modulo97", "", "check digits of convocation numbers: `complement or remainder` (default: the list's, else complement)")
	f.IntVar(&l.bureaux, "bureaux", 0, "`number` of bureaux of each commune (default: the list's largest, else electors / 885)")
}

// lists imports, divides and numbers the lists named by the arguments.
func (l *listFlags) lists(ctx context.Context, args []string, stderr io.Writer) ([]*List, ledger.Modulo97, error) {
	method, err := parseMethod(l.method)
	if err != nil {
		return nil, 0, err
	}
	if len(args) == 0 {
		return nil, 0, wrongUse(`no list is given: name the commune and its file, as in 21014=electors.csv`)
	}
	if l.bureaux < 0 || l.bureaux > ledger.MaxBureaux {
		return nil, 0, wrongUse("--bureaux %d: a commune has 1 to %d", l.bureaux, ledger.MaxBureaux)
	}
	files, err := parseListArguments(args)
	if err != nil {
		return nil, 0, err
	}
	var lists []*List
	var refused []BadRow
	for _, ins := range slices.Sorted(maps.Keys(files)) {
		file := files[ins]
		list, bad, err := l.open(ctx, file, Rules{Commune: ins, Live: l.live, SkipBad: l.skipBad, Method: method, Bureaux: l.bureaux}, stderr)
		tellRows(stderr, file, bad)
		if err != nil {
			return nil, 0, err
		}
		if list == nil {
			refused = append(refused, bad...)
			continue
		}
		lists = append(lists, list)
	}
	if len(refused) > 0 {
		return nil, 0, &rowsRefused{refused, notImported}
	}
	method, err = commonMethod(lists, method)
	if err != nil {
		return nil, 0, err
	}
	for _, list := range lists {
		if err := list.Divide(l.bureaux); err != nil {
			return nil, 0, err
		}
		if err := list.Number(method); err != nil {
			return nil, 0, err
		}
	}
	return lists, method, nil
}

func (l *listFlags) open(ctx context.Context, file string, rules Rules, stderr io.Writer) (*List, []BadRow, error) {
	f, err := openRows(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	bar := newBar(stderr)
	defer bar.clear()
	rules.Progress = func(rows int) { bar.show(fmt.Sprintf("%s: %d rows read", file, rows)) }
	list, bad, err := Import(ctx, f, rules)
	if err != nil {
		err = wrongUse("%s: %w", file, err)
	}
	return list, bad, err
}

// commonMethod is the one method of all lists.
func commonMethod(lists []*List, method ledger.Modulo97) (ledger.Modulo97, error) {
	for _, list := range lists {
		if method != 0 && list.Method != 0 && list.Method != method {
			return 0, wrongUse("the lists mix methods of check digits: that of %d is by %v, another by %v", list.Commune.INS, list.Method, method)
		}
		method = max(method, list.Method)
	}
	if method == 0 {
		method = ledger.Complement
	}
	return method, nil
}

func parseMethod(text string) (ledger.Modulo97, error) {
	for _, m := range []ledger.Modulo97{ledger.Complement, ledger.Remainder} {
		if text == m.String() {
			return m, nil
		}
	}
	if text == "" {
		return 0, nil
	}
	return 0, wrongUse("--modulo97 %q: complement or remainder", text)
}

// parseListArguments are the files by commune.
func parseListArguments(args []string) (map[ledger.Commune]string, error) {
	files := map[ledger.Commune]string{}
	for _, arg := range args {
		code, file, ok := strings.Cut(arg, "=")
		ins, err := strconv.ParseUint(code, 10, 32)
		if !ok || err != nil || file == "" {
			return nil, wrongUse("%q: name the commune and its file, as in 21014=electors.csv", arg)
		}
		if _, err := FindCommune(ledger.Commune(ins)); err != nil {
			return nil, wrongUse("%v", err)
		}
		if _, twice := files[ledger.Commune(ins)]; twice {
			return nil, wrongUse("commune %d is given twice", ins)
		}
		files[ledger.Commune(ins)] = file
	}
	return files, nil
}

func runImport(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("import", `prepare import [flags] INS=LIST.csv ...

With --work, checks lists of electors and begins the communes' working directories.
Otherwise also divides and numbers them: with --out, a list with its bureaux and
convocation numbers is written, for the letters.

  prepare import --dry-run 21014=electors.csv
  prepare import --work communes --by "A. Official" 21014=electors.csv
  prepare import --out numbered.csv 21014=electors.csv
`, stdout)
	var l listFlags
	l.add(f.FlagSet)
	var wf workFlags
	wf.addAct(f.FlagSet)
	out := f.String("out", "", "`file` for the divided and numbered list (one commune)")
	if err := f.parse(args); err != nil {
		return err
	}
	if wf.work != "" {
		if *out != "" {
			return wrongUse("import: --out and --work are two ways to go on: give one")
		}
		return wf.importWorking(ctx, &l, f.Args(), stdout, stderr)
	}
	if *out != "" && f.NArg() > 1 {
		return wrongUse("--out holds one list: import one commune at a time")
	}
	if *out == "" && !l.dryRun {
		return wrongUse("say where the list goes with --out, or only check it with --dry-run")
	}
	lists, method, err := l.lists(ctx, f.Args(), stderr)
	if err != nil {
		return err
	}
	if !l.dryRun {
		if err := writeFile(*out, lists[0].WriteCSV); err != nil {
			return fmt.Errorf("write list: %w", err)
		}
	}
	for _, list := range lists {
		sayFigures(stdout, figures(list), method)
	}
	return nil
}

func sayFigures(w io.Writer, m MadeCommune, method ledger.Modulo97) {
	fmt.Fprintf(w, "%d: %d electors in %d bureaux of %d to %d, numbered by %v\n", m.INS, m.Electors, m.Bureaux, m.Smallest, m.Largest, method)
}

// bar is one line of progress on a terminal, nothing elsewhere.
type bar struct {
	w     io.Writer
	last  time.Time
	shown bool
}

func newBar(w io.Writer) *bar {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		return &bar{w: w}
	}
	return &bar{}
}

const barEvery = 100 * time.Millisecond

func (b *bar) show(text string) {
	if b.w == nil || time.Since(b.last) < barEvery {
		return
	}
	b.last, b.shown = time.Now(), true
	fmt.Fprintf(b.w, "\r\x1b[K%s", text)
}

func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
