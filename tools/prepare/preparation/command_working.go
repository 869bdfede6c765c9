package preparation

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"pointage/ledger"
)

// workFlags are those of the acts on working directories.
type workFlags struct {
	work, by, why string
	dryRun        bool
}

func (f *workFlags) add(set *flag.FlagSet) {
	f.addAct(set)
	set.BoolVar(&f.dryRun, "dry-run", false, "check everything, change nothing")
}

// addAct adds where, who and why.
func (f *workFlags) addAct(set *flag.FlagSet) {
	set.StringVar(&f.work, "work", "", "`directory` of the communes' working directories")
	set.StringVar(&f.by, "by", "", "`who` does it, for the record")
	set.StringVar(&f.why, "why", "", "`why`, for the record")
}

func (f *workFlags) check(act string) error {
	if f.work == "" {
		return wrongUse(`%s: --work is missing; see "prepare %s --help"`, act, act)
	}
	if f.why != "" {
		if err := phrase("why", f.why); err != nil {
			return err
		}
	}
	if f.by == "" && f.dryRun {
		return nil
	}
	return phrase("by", f.by)
}

// done is what an act on one commune has to say and to keep.
type done struct {
	say     string
	traces  []Trace
	bad     []BadRow
	changed bool
	details map[string]string
}

// job is an act on the working directory of one commune; f is nil for acts
// without a file.
type job struct {
	name     string
	withFile bool
	// once says that the same file a second time changes nothing.
	once bool
	do   func(ctx context.Context, w *Working, f io.Reader) (done, error)
}

// run does the job for every commune of the arguments, one after the other: each
// is kept before the next begins, so that the same command goes on where it was
// cut.
func (f *workFlags) run(ctx context.Context, j job, args []string, stdout, stderr io.Writer) error {
	if err := f.check(j.name); err != nil {
		return err
	}
	files, err := communesOf(j, args)
	if err != nil {
		return err
	}
	for _, ins := range slices.Sorted(maps.Keys(files)) {
		if err := f.commune(ctx, j, ins, files[ins], stdout, stderr); err != nil {
			return err
		}
	}
	return nil
}

// communesOf are the arguments' communes, with their files when the job has some.
func communesOf(j job, args []string) (map[ledger.Commune]string, error) {
	if j.withFile {
		if len(args) == 0 {
			return nil, wrongUse(`%s: no file is given: name the commune and its file, as in 21014=file.csv`, j.name)
		}
		return parseListArguments(args)
	}
	if len(args) == 0 {
		return nil, wrongUse("%s: no commune is given, as in 21014", j.name)
	}
	out := map[ledger.Commune]string{}
	for _, arg := range args {
		ins, err := strconv.ParseUint(arg, 10, 32)
		if err == nil {
			_, err = FindCommune(ledger.Commune(ins))
		}
		if err != nil {
			return nil, wrongUse("%s: %q is no commune of the Region: they are 21001 to 21019", j.name, arg)
		}
		out[ledger.Commune(ins)] = ""
	}
	return out, nil
}

// commune does the job for one commune. A refusal leaves the list as it was, and one line in the record.
func (f *workFlags) commune(ctx context.Context, j job, ins ledger.Commune, name string, stdout, stderr io.Writer) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	w, err := OpenWorking(ctx, f.work, ins)
	if err != nil {
		return err
	}
	defer func() {
		if closed := w.Close(); err == nil {
			err = closed
		}
	}()
	var source Source
	err = f.attempt(ctx, j, w, name, &source, stdout, stderr)
	return f.record(w, j, source, err)
}

// attempt does the job, or says why it is refused.
func (f *workFlags) attempt(ctx context.Context, j job, w *Working, name string, source *Source, stdout, stderr io.Writer) error {
	var file *os.File
	if j.withFile {
		var err error
		if file, err = openRows(name); err != nil {
			return err
		}
		defer file.Close()
		if *source, err = sourceOf(j.name, file); err != nil {
			return err
		}
	}
	if j.once && w.Done(*source) {
		fmt.Fprintf(stdout, "%d: done already from this file, nothing is changed\n", w.state.Commune)
		return nil
	}
	d, err := j.do(ctx, w, file)
	if err != nil && name != "" {
		return wrongUse("%s: %w", name, err)
	}
	if err != nil {
		return err
	}
	if len(d.bad) > 0 {
		return refuseRows(stderr, name, d.bad)
	}
	if d.changed && !f.dryRun {
		if err := f.keep(w, j, *source, d); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%d: %s\n", w.state.Commune, d.say)
	return nil
}

// record keeps in the commune's record that an act was refused, and gives the refusal. What a dry
// run finds is no attempt.
func (f *workFlags) record(w *Working, j job, source Source, err error) error {
	if f.dryRun || !isRefusal(err) {
		return err
	}
	_, line, details := recordable(err)
	t := Trace{
		At: instant(time.Now()), By: nationalNumber.ReplaceAllString(f.by, "${1}(withheld)${2}"),
		Act: actRefused, Line: line, Details: details,
	}
	details["act"] = j.name
	if source.SHA256 != (Digest{}) {
		t.Source = &source.SHA256
	}
	if kept := w.refuse(t); kept != nil {
		return fmt.Errorf("%w (and this refusal could not be recorded: %w)", err, kept)
	}
	return err
}

// keep commits an act with its traces: one for the act, then one for each elector.
func (f *workFlags) keep(w *Working, j job, source Source, d done) error {
	at := instant(time.Now())
	traces := append([]Trace{{Act: j.name, Details: d.details}}, d.traces...)
	for i := range traces {
		t := &traces[i]
		t.At, t.By = at, f.by
		if t.Why == "" {
			t.Why = f.why
		}
		if j.withFile {
			t.Source = &source.SHA256
		}
	}
	if j.withFile && !w.Done(source) {
		w.Sources = append(w.Sources, source)
	}
	return w.Commit(traces)
}

// sourceOf names a file by its digest and goes back to its beginning.
func sourceOf(act string, f *os.File) (Source, error) {
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		return Source{}, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Source{}, wrongUse("%w", refused(whyFile, "%s can't be read twice: give a file, not a pipe", f.Name()))
	}
	return Source{act, Digest(digest.Sum(nil))}, nil
}

// maxRowsTold is how many bad rows are written out; the rest is counted.
const maxRowsTold = 1000

// What is said behind the count of bad rows.
const (
	notChanged  = "nothing was changed: correct them"
	notImported = "nothing was imported: correct them, or leave them out with --skip-bad"
)

// refuseRows lists bad rows and says that nothing was done.
func refuseRows(stderr io.Writer, file string, bad []BadRow) error {
	tellRows(stderr, file, bad)
	return &rowsRefused{bad, notChanged}
}

func tellRows(stderr io.Writer, file string, bad []BadRow) {
	for i, b := range bad {
		if i == maxRowsTold {
			fmt.Fprintf(stderr, "%s: and %d more\n", file, len(bad)-i)
			return
		}
		fmt.Fprintf(stderr, "%s: %v\n", file, b)
	}
}

// importWorking imports lists into new working directories.
func (f *workFlags) importWorking(ctx context.Context, l *listFlags, args []string, stdout, stderr io.Writer) error {
	f.dryRun = l.dryRun
	if err := f.check("import"); err != nil {
		return err
	}
	files, err := communesOf(job{name: "import", withFile: true}, args)
	if err != nil {
		return err
	}
	method, err := parseMethod(l.method)
	if err != nil {
		return err
	}
	for _, ins := range slices.Sorted(maps.Keys(files)) {
		say, err := f.importOne(ctx, l, Rules{Commune: ins, Live: l.live, SkipBad: l.skipBad, Method: method, Bureaux: l.bureaux}, files[ins], stderr)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%d: %s\n", ins, say)
	}
	return nil
}

func (f *workFlags) importOne(ctx context.Context, l *listFlags, rules Rules, name string, stderr io.Writer) (say string, err error) {
	j := job{name: "import", withFile: true}
	w, err := openState(f.work, rules.Commune)
	if err == nil {
		err = f.record(w, j, Source{}, f.importAgain(w, name))
		return "imported already from this file, nothing is changed", errors.Join(err, w.Close())
	}
	if !errors.Is(err, errNoSet) {
		return "", err
	}
	file, err := openRows(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	source, err := sourceOf(j.name, file)
	if err != nil {
		return "", err
	}
	list, bad, err := l.open(ctx, name, rules, stderr)
	tellRows(stderr, name, bad)
	if err != nil {
		return "", err
	}
	if list == nil {
		return "", &rowsRefused{bad, notImported}
	}
	say = fmt.Sprintf("%d electors imported, %d rows left out", len(list.People), len(bad))
	if f.dryRun {
		return say, nil
	}
	if w, err = NewWorking(f.work, list, rules.Live); err != nil {
		return "", err
	}
	defer func() {
		if closed := w.Close(); err == nil {
			err = closed
		}
	}()
	d := done{details: map[string]string{"electors": strconv.Itoa(len(list.People)), "left_out": strconv.Itoa(len(bad))}}
	return say, f.keep(w, j, source, d)
}

// importAgain refuses a list of a commune that has one, unless it is the same file.
func (f *workFlags) importAgain(w *Working, name string) error {
	file, err := openRows(name)
	if err != nil {
		return err
	}
	defer file.Close()
	source, err := sourceOf("import", file)
	if err == nil && !w.Done(source) {
		err = wrongUse("%w", refused(whyTaken, "%s holds the list of another file: change it with update, or give another --work", w.dir))
	}
	return err
}
