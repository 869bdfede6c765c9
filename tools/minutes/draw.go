package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/minutes"
)

// difference is something that was compared and is not the same.
type difference struct{ what string }

// Error says what differs.
func (d *difference) Error() string { return d.what }

// drawing is the work on one export.
type drawing struct {
	options
	export *election.Export
	names  *minutes.Names
	next   minutes.Next
	// latest has read the whole export.
	latest *minutes.Collector
	stdout io.Writer
	// compared is the file given with --compare, nil without.
	compared []byte
	// recorded counts files that are those of the ledger's statement.
	recorded int
}

// work verifies the export and draws what was asked for; the text is the verdict.
func work(ctx context.Context, o options, stdout io.Writer) (string, error) {
	d := &drawing{options: o, stdout: stdout}
	if err := d.open(ctx); err != nil {
		return "", err
	}
	wanted, err := d.wanted()
	if err != nil {
		return "", err
	}
	if o.compare != "" {
		if d.compared, err = os.ReadFile(o.compare); err != nil {
			return "", fmt.Errorf("%w; give the PDF to compare", err)
		}
		d.langs = languageOf(d.compared, d.langs)
	}
	if d.out == "" && d.compared == nil {
		d.out = "."
	}
	if d.out != "" {
		if err := os.MkdirAll(d.out, 0o755); err != nil {
			return "", fmt.Errorf("%w; give another directory with --out", err)
		}
	}
	if err := d.drawAll(ctx, wanted); err != nil {
		return "", err
	}
	if d.compared != nil {
		return fmt.Sprintf("same: %s is byte by byte what the export gives", o.compare), nil
	}
	return fmt.Sprintf("drawn: %d minutes in %d language(s), %d file(s) as recorded in the ledger", len(wanted), len(d.langs), d.recorded), nil
}

// languageOf is the language that a file says it is in, of those asked for; the first one when it says none.
func languageOf(pdf []byte, of []minutes.Language) []minutes.Language {
	for _, lang := range of {
		if bytes.Contains(pdf, fmt.Appendf(nil, "/Lang (%v-BE)", lang)) {
			return []minutes.Language{lang}
		}
	}
	return of[:1]
}

// open verifies the export, reading all its entries on the way, and opens the sealed files.
func (d *drawing) open(ctx context.Context) (err error) {
	if st, err := os.Stat(d.options.export); err != nil || !st.IsDir() {
		return fmt.Errorf("%s is no directory that can be read; give the directory of an export", d.options.export)
	}
	dir := os.DirFS(d.options.export)
	if d.export, err = election.OpenExport(dir); err != nil {
		return err
	}
	x := d.export
	if d.trusted != nil && x.Hash != *d.trusted {
		return &ledger.Offended{Where: "file " + ledger.ManifestFile, Err: fmt.Errorf("its SHA-256 is %v, not the one that you trust", x.Hash)}
	}
	if d.latest, err = minutes.NewCollector(x.Manifest, x.Group); err != nil {
		return err
	}
	report, err := ledger.Verify(ctx, dir, x.Group, x.Epoch, ledger.Options{Workers: runtime.GOMAXPROCS(0), Entry: d.latest.Entry})
	if err != nil {
		return err
	}
	d.next = entriesOf(dir, report)
	d.names, err = openNames(d.options, x)
	return err
}

// wanted is whose minutes are drawn, 0 for the commune's.
func (d *drawing) wanted() ([]ledger.BureauNumber, error) {
	if d.all {
		return append([]ledger.BureauNumber{0}, d.latest.Bureaux()...), nil
	}
	if d.bureau != 0 && d.export.Group.Bureaux[d.bureau] == nil {
		return nil, fmt.Errorf("commune %d has no bureau %d: give another with --bureau", d.export.Group.Commune, d.bureau)
	}
	return []ledger.BureauNumber{d.bureau}, nil
}

// drawAll draws the minutes in the order of what they were drawn from, so that the entries are read once.
func (d *drawing) drawAll(ctx context.Context, wanted []ledger.BureauNumber) error {
	asOf := map[ledger.BureauNumber]*minutes.Drawn{}
	for _, x := range d.latest.Drawn() {
		if !d.options.latest {
			asOf[x.Bureau] = &x
		}
	}
	slices.SortStableFunc(wanted, func(a, b ledger.BureauNumber) int { return cmp.Compare(upTo(asOf[a]), upTo(asOf[b])) })
	c, err := minutes.NewCollector(d.export.Manifest, d.export.Group)
	if err != nil {
		return err
	}
	for _, n := range wanted {
		at, from := asOf[n], d.latest
		if at != nil {
			if err := c.Read(ctx, d.next, at.UpTo); err != nil {
				return err
			}
			if from, err = c.Recorded(ctx, d.next, at); err != nil {
				return &difference{fmt.Sprintf("%s: %v: the entries were lost with an epoch, or are not those that it says; --latest draws them from the export's end", nameOf(n), err)}
			}
		}
		if err := d.draw(n, from, at); err != nil {
			return err
		}
	}
	return nil
}

// upTo orders minutes; those that were not recorded come last.
func upTo(d *minutes.Drawn) uint64 {
	if d == nil {
		return 1<<64 - 1
	}
	return d.UpTo
}

func nameOf(n ledger.BureauNumber) string {
	if n == 0 {
		return "minutes of the commune"
	}
	return fmt.Sprintf("minutes of bureau %d", n)
}

// draw writes and compares one bureau's files, or the commune's.
func (d *drawing) draw(n ledger.BureauNumber, from *minutes.Collector, at *minutes.Drawn) error {
	m, err := from.Minutes(n, d.names)
	if err != nil {
		return err
	}
	for _, lang := range d.langs {
		doc := minutes.Compose(m, lang)
		pdf, err := doc.PDF()
		if err != nil {
			return err
		}
		if d.out != "" {
			if err := d.write(n, lang, doc, pdf); err != nil {
				return err
			}
		}
		if err := d.say(n, lang, at, sha256.Sum256(pdf)); err != nil {
			return err
		}
		if d.compared != nil {
			return compare(d.options.compare, d.compared, pdf)
		}
	}
	return nil
}

// write makes the two files of one language.
func (d *drawing) write(n ledger.BureauNumber, lang minutes.Language, doc *minutes.Document, pdf []byte) error {
	page, err := doc.HTML()
	if err != nil {
		return err
	}
	of := "commune"
	if n != 0 {
		of = fmt.Sprintf("bureau-%03d", n)
	}
	base := filepath.Join(d.out, fmt.Sprintf("minutes-%d-%s-%v", d.export.Group.Commune, of, lang))
	for name, b := range map[string][]byte{base + ".pdf": pdf, base + ".html": page} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return fmt.Errorf("%w; give another directory with --out", err)
		}
	}
	return nil
}

// say tells the SHA-256 and how it stands to the recorded one. Minutes that could be the recorded ones and are not
// are a difference.
func (d *drawing) say(n ledger.BureauNumber, lang minutes.Language, at *minutes.Drawn, sum ledger.Hash) error {
	line := fmt.Sprintf("%s, %v: sha256 %v", nameOf(n), lang, sum)
	if at == nil {
		fmt.Fprintf(d.stdout, "%s, as of the export's end: not recorded\n", line)
		return nil
	}
	want := at.French
	if lang == minutes.Dutch {
		want = at.Dutch
	}
	where := ledger.EntryName(at.Entry)
	switch {
	case want == sum:
		d.recorded++
		fmt.Fprintf(d.stdout, "%s, as recorded at %s: same\n", line, where)
	case at.Named && d.names == nil:
		fmt.Fprintf(d.stdout, "%s, as of %s: recorded with the members' names: give --register, --members and --identity to compare\n", line, where)
	case !at.Named && d.names != nil:
		fmt.Fprintf(d.stdout, "%s, as of %s: recorded without the members' names: draw them without --members to compare\n", line, where)
	default:
		return &difference{fmt.Sprintf("%s, %v: %s recorded sha256 %v, the export gives %v", nameOf(n), lang, where, want, sum)}
	}
	return nil
}

// compare says where a file differs from what was drawn.
func compare(name string, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	switch at {
	case len(got):
		return &difference{fmt.Sprintf("%s differs: it ends at byte %d of %d", name, at, len(want))}
	case len(want):
		return &difference{fmt.Sprintf("%s differs: it goes on behind the last byte, %d", name, at)}
	}
	page := bytes.Count(want[:at], []byte("<</Type /Page\n"))
	if pages := bytes.Count(want, []byte("<</Type /Page\n")); page > 0 && !bytes.Contains(want[:at], []byte("<</Type /Pages\n")) {
		return &difference{fmt.Sprintf("%s differs: page %d of %d, byte %d is %#02x in place of %#02x", name, page, pages, at, got[at], want[at])}
	}
	return &difference{fmt.Sprintf("%s differs: outside the pages, byte %d is %#02x in place of %#02x", name, at, got[at], want[at])}
}
