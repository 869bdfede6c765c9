package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Export file names (SPEC 9).
const (
	ManifestFile   = "manifest"
	RollFile       = "roll"
	OriginFile     = "origin"
	CheckpointFile = "checkpoint"
	LogVKeyFile    = "log.vkey"
	WitnessFile    = "witness.vkey"
	AnchorsDir     = "anchors"
)

// AnchorFile is the name of the i-th cosigned checkpoint of an export, oldest first.
func AnchorFile(i int) string { return fmt.Sprintf("%s/%06d", AnchorsDir, i) }

// EpochDir is the directory that holds an epoch before the export's own.
func EpochDir(epoch uint8) string { return fmt.Sprintf("epoch-%d", epoch) }

// Offended is the first thing in an export that does not hold.
type Offended struct {
	// Where is an entry ("entry 512"; "epoch-1 entry 512" where there was a recovery) or a
	// file ("file roll").
	Where string
	Err   error
}

// Error is "<where>: <what>".
func (o *Offended) Error() string { return o.Where + ": " + o.Err.Error() }

// Unwrap is the cause.
func (o *Offended) Unwrap() error { return o.Err }

func offence(where string, format string, args ...any) error {
	return &Offended{where, fmt.Errorf(format, args...)}
}

func atFile(name string) string { return "file " + name }

func (v *epochVerification) atFile(name string) string { return atFile(v.prefix + name) }

// Options of Verify.
type Options struct {
	// Workers check signatures at the same time; 0 means one.
	Workers int
	// Progress is told how many of how many entries of an epoch are done, now and then, from
	// one goroutine.
	Progress func(done, total uint64)
	// Entry, if given, is told each entry that holds, in order, with its batch, nil for a genesis.
	Entry func(ref uint64, e *Entry, b *Batch)
	// View, if given, is empty, and is what the rules know when the export holds.
	View *MemoryView
}

// Verify checks every promise of SPEC 9 on an export: that of an epoch, and of those before in
// their directories. The
// group comes from the manifest in it, which the caller has parsed. The first thing that
// does not hold is returned as *Offended; any other error means that the export could not
// be read.
func Verify(ctx context.Context, dir fs.FS, g *Group, epoch uint8, opt Options) (*Report, error) {
	if opt.View == nil {
		opt.View = NewMemoryView()
	}
	x := &verification{
		dir: dir, g: g, view: opt.View, expected: map[string]bool{ManifestFile: true, RollFile: true}, last: epoch,
		report: &Report{Election: g.Election, Commune: g.Commune, Statements: map[Kind]uint64{}}, opt: opt,
	}
	for n := range epoch + 1 {
		e := &epochVerification{verification: x, origin: g.Origin(n)}
		e.said = EpochReport{Epoch: n, Origin: e.origin}
		if n < epoch {
			e.prefix = EpochDir(n) + "/"
		}
		x.epochs = append(x.epochs, e)
		for _, step := range []func(context.Context) error{e.names, e.checkpoint, e.entries, e.tree, e.anchors} {
			if err := step(ctx); err != nil {
				return x.report, err
			}
		}
		e.conclude()
	}
	if err := x.surplus(); err != nil {
		return x.report, err
	}
	x.conclude()
	return x.report, nil
}

// verification is that of a whole export.
type verification struct {
	dir      fs.FS
	g        *Group
	view     *MemoryView
	report   *Report
	opt      Options
	expected map[string]bool
	last     uint8
	epochs   []*epochVerification
}

// epochVerification is that of one epoch, which goes on from the ones before.
type epochVerification struct {
	*verification
	// prefix is the directory of the epoch's files, "" for the last.
	prefix string
	origin string
	said   EpochReport
	// note is the checkpoint file, head what it says.
	note     []byte
	head     Checkpoint
	hashes   storedHashes
	anchored []anchoredAt
	// unanchored are the witnesses' lines of the checkpoint that no anchor has shown yet.
	unanchored map[Cosignature]bool
}

// atEntry names an entry of this epoch.
func (v *epochVerification) atEntry(n uint64) string {
	if v.last == 0 {
		return EntryName(n)
	}
	return fmt.Sprintf("epoch-%d entry %d", v.said.Epoch, n)
}

type anchoredAt struct {
	position uint64
	body     *Anchored
}

// storedHashes is the whole tree in memory: 64 bytes an entry.
type storedHashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(s)) {
			return nil, fmt.Errorf("hash %d of %d", x, len(s))
		}
		out[i] = s[x]
	}
	return out, nil
}

// read reads one of the epoch's files.
func (v *epochVerification) read(name string, limit int64) ([]byte, error) {
	name = v.prefix + name
	b, err := ReadExported(v.dir, name, limit)
	if err != nil {
		return nil, err
	}
	v.expected[name] = true
	return b, nil
}

// ReadExported reads one file of an export, of at most limit bytes. A file that is
// missing, longer or no regular file is an offence.
func ReadExported(dir fs.FS, name string, limit int64) (b []byte, err error) {
	info, err := fs.Stat(dir, name)
	if errors.Is(err, fs.ErrNotExist) || err != nil && underFile(dir, name) {
		return nil, offence(atFile(name), "is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	// Asked before opening: a pipe in a file's place would be waited for.
	if !info.Mode().IsRegular() {
		return nil, offence(atFile(name), "is not a file")
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	if b, err = io.ReadAll(io.LimitReader(f, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, offence(atFile(name), "is longer than %d bytes", limit)
	}
	return b, nil
}

// underFile says whether a file stands where the name has a directory.
func underFile(dir fs.FS, name string) bool {
	for p := path.Dir(name); p != "."; p = path.Dir(p) {
		if info, err := fs.Stat(dir, p); err == nil {
			return !info.IsDir()
		}
	}
	return false
}

// exactly reads a text file that can only be one thing.
func (v *epochVerification) exactly(name, want string) error {
	b, err := v.read(name, int64(len(want)))
	if err != nil {
		return err
	}
	if string(b) != want {
		return offence(v.atFile(name), "is not what the manifest says")
	}
	return nil
}

func (v *epochVerification) names(context.Context) error {
	if err := v.exactly(OriginFile, v.origin+"\n"); err != nil {
		return err
	}
	if err := v.exactly(LogVKeyFile, LogVKey(v.origin, v.g.LogKey)+"\n"); err != nil {
		return err
	}
	var witnesses strings.Builder
	for _, w := range v.g.Witnesses {
		witnesses.WriteString(w.VKey() + "\n")
	}
	return v.exactly(WitnessFile, witnesses.String())
}

func (v *epochVerification) checkpoint(context.Context) error {
	b, err := v.read(CheckpointFile, MaxNote)
	if err != nil {
		return err
	}
	c, sigs, err := OpenCheckpoint(b, LogKey(v.origin, v.g.LogKey), v.g.Cosigners())
	if err != nil {
		return &Offended{v.atFile(CheckpointFile), err}
	}
	if c.Size == 0 || c.Size > MaxEntries {
		return offence(v.atFile(CheckpointFile), "size %d is not 1 to %d", c.Size, MaxEntries)
	}
	v.note, v.head, v.said.Root = b, c, c.Root
	v.report.Signatures += 1 + uint64(len(sigs))
	v.countCosigners(sigs)
	v.unanchored = witnessLines(sigs, v.g.Witnesses)
	return nil
}

// tree compares the root and every hash tile with what the entries give.
func (v *epochVerification) tree(context.Context) error {
	root, err := tlog.TreeHash(int64(v.head.Size), v.hashes)
	if err != nil {
		return fmt.Errorf("tree of %d entries: %w", v.head.Size, err)
	}
	if Hash(root) != v.head.Root {
		return offence(v.atFile(CheckpointFile), "its root is not that of the %d entries", v.head.Size)
	}
	for _, t := range EntryBundles(v.head.Size) {
		v.expected[v.prefix+TilePath(t)] = true
	}
	for _, t := range HashTiles(v.head.Size) {
		want, err := tlog.ReadTileData(t, v.hashes)
		if err != nil {
			return fmt.Errorf("tile %s: %w", TilePath(t), err)
		}
		got, err := v.read(TilePath(t), TileWidth*int64(len(Hash{})))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return offence(v.atFile(TilePath(t)), "is not what the entries give")
		}
	}
	return nil
}

func (v *epochVerification) rootAt(size uint64) (Hash, error) {
	h, err := tlog.TreeHash(int64(size), v.hashes)
	return Hash(h), err
}

// surplus finds what should not be there.
func (v *verification) surplus() error {
	var found []string
	err := fs.WalkDir(v.dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		if !v.expected[name] || !d.Type().IsRegular() {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list export: %w", err)
	}
	if len(found) > 0 {
		sort.Strings(found)
		return offence(atFile(found[0]), "does not belong in an export")
	}
	return nil
}

// conclude notes where the epoch ends: what the next one goes on from.
func (v *epochVerification) conclude() {
	h := ReadHead(v.view)
	v.said.Entries, v.said.Head = h.Size, h.Last
	if v.said.Epoch < v.last {
		v.report.Earlier = append(v.report.Earlier, v.said)
		return
	}
	v.report.EpochReport = v.said
}
