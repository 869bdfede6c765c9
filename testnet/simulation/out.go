package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"pointage/tools/prepare/preparation"
)

// marker says that a directory is a testnet's, where runs replace what they wrote.
const marker = ".pointage-testnet"

const (
	anyCommune  = "[0-9][0-9][0-9][0-9][0-9]"
	anExport    = "export/" + anyCommune + "/"
	summaryFile = "summary.json"
)

// ReportFile is a report's name in the output directory, from where the next run takes it away.
const ReportFile = "report.html"

// written are the names that runs write, as patterns under the output directory; nothing
// else in it is ever removed.
var written = []string{
	summaryFile, ReportFile, "adele.log", "adele", "adele-export", programFile, "baselines", "bench", "etcd", "postgresql",
	"logs/bureau-[0-9][0-9][0-9]*.log", "bureaux/bureau-[0-9][0-9][0-9]*",
	anExport + "checkpoint", anExport + "tile", anExport + "log.vkey", anExport + "witness.vkey", anExport + "origin", anExport + "manifest",
	anExport + "roll", anExport + "anchors", anExport + "epoch-[0-9]*", "export/.export-*",
	".election.pointage-partial", "election/manifest", "election/authority.key", "election/region.digests",
	"election/" + anyCommune, "election/" + adeleKeyFile, "election/" + preparation.OriginFile, "election/" + preparation.LogVKeyFile,
}

// whole are directories that a run must find empty, its own remains apart.
var whole = []string{"election", "export/" + anyCommune}

// output is the directory that one run writes. Day owns it; a run that was not played to its
// end takes away what it wrote.
type output struct {
	dir string
	// keep is the prepared election that the run was given; it may lie in dir.
	keep string
	// made are the directories that claim made, from the outside in; marked says that it
	// wrote the marker.
	made            []string
	marked, claimed bool
}

// check says why the directory can't be this run's; it changes nothing.
func (o *output) check() error {
	entries, err := os.ReadDir(o.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--out: %w: name another directory", err)
	case len(entries) == 0:
		return nil
	}
	if _, err := os.Stat(filepath.Join(o.dir, marker)); err != nil {
		return fmt.Errorf("--out %s is not a testnet's directory: name another one, or empty it", o.dir)
	}
	remains := o.remains()
	for _, dir := range o.find(whole...) {
		if o.kept(dir) {
			continue
		}
		for _, name := range o.find(dir + "/*") {
			if !slices.Contains(remains, name) {
				return fmt.Errorf("--out: %s was written by no run: move it away, or name another directory", o.path(name))
			}
		}
	}
	return nil
}

// find lists the names under the directory that fit one of the patterns.
func (o *output) find(patterns ...string) (names []string) {
	for _, p := range patterns {
		found, err := fs.Glob(os.DirFS(o.dir), p)
		if err != nil {
			panic("pattern " + p + ": " + err.Error())
		}
		names = append(names, found...)
	}
	return names
}

func (o *output) path(name string) string { return filepath.Join(o.dir, filepath.FromSlash(name)) }

// remains lists what an earlier run wrote, without the election that is kept.
func (o *output) remains() []string {
	return slices.DeleteFunc(o.find(written...), o.kept)
}

// kept says whether a name belongs to the election that is kept, or holds it.
func (o *output) kept(name string) bool {
	path := o.path(name)
	return o.keep != "" && (within(path, o.keep) || within(o.keep, path))
}

// claim makes the directory, or takes away what an earlier run left in it.
func (o *output) claim() error {
	if err := o.check(); err != nil {
		return err
	}
	for dir := o.dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		o.made = append([]string{dir}, o.made...)
	}
	o.claimed = true
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return errors.Join(fmt.Errorf("--out: %w: name another directory", err), o.unmake())
	}
	mark := filepath.Join(o.dir, marker)
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		o.marked = true
	}
	if err := os.WriteFile(mark, []byte("written by go run ./testnet: its next run replaces what it wrote here\n"), 0o644); err != nil {
		return errors.Join(fmt.Errorf("--out: %w: name another directory", err), o.unmake())
	}
	return o.clear()
}

// clear takes away what runs wrote.
func (o *output) clear() error {
	for _, name := range o.remains() {
		if err := os.RemoveAll(o.path(name)); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	for _, name := range o.find("export/"+anyCommune, "export", "logs", "bureaux", "election") {
		_ = os.Remove(o.path(name)) // it stays when there is something in it
	}
	return nil
}

// discard takes away all that this run wrote, when its day was not played.
func (o *output) discard() error {
	return errors.Join(o.clear(), o.unmake())
}

// unmake takes away the marker and the directories, as far as claim made them.
func (o *output) unmake() error {
	if o.marked {
		if err := os.Remove(filepath.Join(o.dir, marker)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, dir := range slices.Backward(o.made) {
		_ = os.Remove(dir) // it stays when there is something in it
	}
	o.made, o.marked = nil, false
	return nil
}

// within says whether inner, absolute as path is, is path or lies under it.
func within(path, inner string) bool {
	rel, err := filepath.Rel(path, inner)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

func writeSummary(dir string, s *Summary) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, summaryFile), append(b, '\n'), 0o644)
}
