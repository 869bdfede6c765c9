package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

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

// Report is what a verification saw.
type Report struct {
	Election string
	Commune  Commune
	Origin   string
	// Entries is the number of Merkle leaves; Head the leaf hash of the last; Root
	// the tree's.
	Entries    uint64
	Head, Root Hash
	// Signatures is how many were checked.
	Signatures uint64
	// Statements counts by kind.
	Statements map[Kind]uint64
	// Bureaux is how many have statements.
	Bureaux int
	// Conflicts lists statements that are not clean.
	Conflicts []Conflict
	// Double lists rights with more than one live admission.
	Double []DoubleAdmission
	// Admitted is how many electors have a live admission.
	Admitted uint64
	// Evidence lists the positions of evidence entries.
	Evidence []uint64
	// Anchors is how many cosigned checkpoints stand in the export, Anchored the size
	// of the newest that a witness cosigned.
	Anchors  int
	Anchored uint64
	// Cosigners is how many bureaux cosigned the export's checkpoint, Certificate
	// whether a majority of the voting bureaux is among them.
	Cosigners   int
	Certificate bool
}

// Conflict is a statement with a verdict other than clean.
type Conflict struct {
	Position uint64
	Index    int
	Kind     Kind
	Author   Author
	Verdict  Verdict
}

// DoubleAdmission is a right that was used more than once, with all its records.
type DoubleAdmission struct {
	Kind    RightKind
	Records []LiveAdmission
}

// Offended is the first thing in an export that does not hold.
type Offended struct {
	// Where is an entry ("entry 512") or a file ("file roll").
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

func atEntry(n uint64) string { return fmt.Sprintf("entry %d", n) }

func atFile(name string) string { return "file " + name }

// Options of Verify.
type Options struct {
	// Workers check signatures at the same time; 0 means one.
	Workers int
	// Progress is told how many of how many entries are done, now and then, from one goroutine.
	Progress func(done, total uint64)
}

// Verify checks every promise of SPEC.md on an export: one epoch's directory. The
// group comes from the manifest in it, which the caller has parsed. The first thing that
// does not hold is returned as *Offended; any other error means that the export could not
// be read.
func Verify(ctx context.Context, dir fs.FS, g *Group, epoch uint8, opt Options) (*Report, error) {
	v := &verification{
		dir: dir, g: g, origin: g.Origin(epoch), view: NewMemoryView(), expected: map[string]bool{ManifestFile: true, RollFile: true},
		report: &Report{Election: g.Election, Commune: g.Commune, Statements: map[Kind]uint64{}}, opt: opt,
	}
	steps := []func(context.Context) error{v.names, v.checkpoint, v.entries, v.tree, v.anchors, v.surplus}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return v.report, err
		}
	}
	v.conclude()
	return v.report, nil
}

type verification struct {
	dir      fs.FS
	g        *Group
	origin   string
	view     *MemoryView
	report   *Report
	opt      Options
	expected map[string]bool
	head     Checkpoint
	hashes   storedHashes
	anchored []anchoredAt
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

func (v *verification) read(name string) ([]byte, error) {
	b, err := fs.ReadFile(v.dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, offence(atFile(name), "is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	v.expected[name] = true
	return b, nil
}

// exactly reads a text file that can only be one thing.
func (v *verification) exactly(name, want string) error {
	b, err := v.read(name)
	if err != nil {
		return err
	}
	if string(b) != want {
		return offence(atFile(name), "is not what the manifest says")
	}
	return nil
}

func (v *verification) names(context.Context) error {
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

func (v *verification) checkpoint(context.Context) error {
	b, err := v.read(CheckpointFile)
	if err != nil {
		return err
	}
	c, sigs, err := OpenCheckpoint(b, LogKey(v.origin, v.g.LogKey), v.g.Cosigners())
	if err != nil {
		return &Offended{atFile(CheckpointFile), err}
	}
	if c.Size == 0 || c.Size > 1<<40 {
		return offence(atFile(CheckpointFile), "size %d", c.Size)
	}
	v.head, v.report.Origin, v.report.Root = c, c.Origin, c.Root
	v.report.Signatures += 1 + uint64(len(sigs))
	v.countCosigners(sigs)
	return nil
}

func (v *verification) countCosigners(sigs []Cosignature) {
	byName := map[string]bool{}
	for _, s := range sigs {
		byName[s.Name] = true
	}
	voting := 0
	for n := range v.g.Bureaux {
		if byName[v.g.CosignerName(n)] {
			v.report.Cosigners++
		}
	}
	for _, n := range v.g.Voting {
		if byName[v.g.CosignerName(n)] {
			voting++
		}
	}
	v.report.Certificate = voting > len(v.g.Voting)/2
}

// bundle is one file of entries on its way through the workers.
type bundle struct {
	first   uint64
	raw     [][]byte
	decoded []checked
	err     error
	ready   chan struct{}
}

type checked struct {
	entry *Entry
	batch *Batch
	leaf  Hash
}

// entries streams the bundles: workers decode and check signatures, this
// goroutine replays the placing in order.
func (v *verification) entries(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	workers := max(v.opt.Workers, 1)
	order, work := make(chan *bundle, 2*workers), make(chan *bundle)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { v.feed(ctx, order, work) })
	for range workers {
		wg.Go(func() {
			for b := range work {
				v.check(b)
				close(b.ready)
			}
		})
	}
	for b := range order {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := v.replay(b); err != nil {
			return err
		}
		if v.opt.Progress != nil {
			v.opt.Progress(b.first+uint64(len(b.decoded)), v.head.Size)
		}
	}
	return ctx.Err()
}

func (v *verification) feed(ctx context.Context, order, work chan<- *bundle) {
	defer close(order)
	defer close(work)
	for _, t := range EntryBundles(v.head.Size) {
		b := &bundle{first: uint64(t.N) * TileWidth, ready: make(chan struct{})}
		name := TilePath(t)
		data, err := fs.ReadFile(v.dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			b.err = offence(atEntry(b.first), "file %s is missing", name)
		case err != nil:
			b.err = fmt.Errorf("read %s: %w", name, err)
		default:
			if b.raw, err = SplitBundle(data, t.W); err != nil {
				b.err = &Offended{atEntry(b.first + uint64(len(b.raw))), err}
			}
		}
		select {
		case order <- b:
		case <-ctx.Done():
			return
		}
		select {
		case work <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
	}
}

// check does all that one entry tells by itself.
func (v *verification) check(b *bundle) {
	for i, raw := range b.raw {
		c, err := v.checkEntry(raw)
		if err != nil {
			b.err = &Offended{atEntry(b.first + uint64(i)), err}
			return
		}
		b.decoded = append(b.decoded, c)
	}
}

func (v *verification) checkEntry(raw []byte) (checked, error) {
	e, err := DecodeEntry(raw)
	if err != nil {
		return checked{}, err
	}
	c := checked{entry: e, leaf: LeafHash(raw)}
	if e.Kind == GenesisEntry {
		return c, nil
	}
	if c.batch, err = DecodeBatch(e.Batch); err != nil {
		return checked{}, err
	}
	if err := c.batch.Verify(v.g); err != nil {
		return checked{}, fmt.Errorf("%v: %w", c.batch.Header.Author, err)
	}
	return c, nil
}

func (v *verification) replay(b *bundle) error {
	for i, c := range b.decoded {
		pos := b.first + uint64(i)
		if err := v.replayEntry(pos, b.raw[i], c); err != nil {
			return &Offended{atEntry(pos), err}
		}
		hs, err := tlog.StoredHashesForRecordHash(int64(pos), tlog.Hash(c.leaf), v.hashes)
		if err != nil {
			return fmt.Errorf("tree at entry %d: %w", pos, err)
		}
		v.hashes = append(v.hashes, hs...)
	}
	return b.err
}

// replayEntry places the entry's batch again and compares the bytes.
func (v *verification) replayEntry(pos uint64, raw []byte, c checked) error {
	h := ReadHead(v.view)
	if c.entry.Position != pos {
		return fmt.Errorf("says that its position is %d", c.entry.Position)
	}
	if c.entry.Previous != h.Last {
		return errors.New("does not follow from the entry before")
	}
	if (c.entry.Kind == GenesisEntry) != (pos == 0) {
		return errors.New("a chain begins with its genesis and has no other")
	}
	if pos == 0 {
		if got := Begin(v.g, v.view); !bytes.Equal(got.Encoded, raw) {
			return errors.New("the genesis is bound to another manifest, roll, commune or epoch")
		}
		return nil
	}
	ans, placed := place(v.g, v.view, c.batch)
	if len(placed) != 1 {
		return fmt.Errorf("the batch has no place here (status %d)", ans.Status)
	}
	if got := placed[0]; !bytes.Equal(got.Encoded, raw) {
		return errors.New("its outcome is not the one that the rules give")
	}
	v.tell(pos, c, ans)
	return nil
}

func (v *verification) tell(pos uint64, c checked, ans Answer) {
	v.report.Signatures++
	if c.entry.Kind == EvidenceEntry {
		v.report.Evidence = append(v.report.Evidence, pos)
		return
	}
	for i, s := range c.batch.Statements {
		v.report.Statements[s.Body.Kind()]++
		if !ans.Verdicts[i].Clean() {
			v.report.Conflicts = append(v.report.Conflicts, Conflict{pos, i, s.Body.Kind(), c.batch.Header.Author, ans.Verdicts[i]})
		}
		if a, ok := s.Body.(*Anchored); ok {
			v.anchored = append(v.anchored, anchoredAt{pos, a})
		}
	}
}

// tree compares the root and every hash tile with what the entries give.
func (v *verification) tree(context.Context) error {
	root, err := tlog.TreeHash(int64(v.head.Size), v.hashes)
	if err != nil {
		return fmt.Errorf("tree of %d entries: %w", v.head.Size, err)
	}
	if Hash(root) != v.head.Root {
		return offence(atFile(CheckpointFile), "its root is not that of the %d entries", v.head.Size)
	}
	for _, t := range EntryBundles(v.head.Size) {
		v.expected[TilePath(t)] = true
	}
	for _, t := range HashTiles(v.head.Size) {
		want, err := tlog.ReadTileData(t, v.hashes)
		if err != nil {
			return fmt.Errorf("tile %s: %w", TilePath(t), err)
		}
		got, err := v.read(TilePath(t))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return offence(atFile(TilePath(t)), "is not what the entries give")
		}
	}
	return nil
}

func (v *verification) rootAt(size uint64) (Hash, error) {
	h, err := tlog.TreeHash(int64(size), v.hashes)
	return Hash(h), err
}

// anchors checks every cosigned checkpoint, and that anchored statements say
// what a witness signed of this chain.
func (v *verification) anchors(context.Context) error {
	last := uint64(0)
	for i := 0; ; i++ {
		name := AnchorFile(i)
		if _, err := fs.Stat(v.dir, name); errors.Is(err, fs.ErrNotExist) {
			break
		}
		b, err := v.read(name)
		if err != nil {
			return err
		}
		c, sigs, err := OpenCheckpoint(b, LogKey(v.origin, v.g.LogKey), v.g.Cosigners())
		if err != nil {
			return &Offended{atFile(name), err}
		}
		if c.Size < last || c.Size > v.head.Size || c.Size == 0 {
			return offence(atFile(name), "size %d is out of order", c.Size)
		}
		root, err := v.rootAt(c.Size)
		if err != nil {
			return fmt.Errorf("tree of %d entries: %w", c.Size, err)
		}
		if root != c.Root {
			return offence(atFile(name), "shows another history than this export at size %d", c.Size)
		}
		if !v.witnessed(sigs) {
			return offence(atFile(name), "no witness has cosigned it")
		}
		v.report.Signatures += 1 + uint64(len(sigs))
		last, v.report.Anchors, v.report.Anchored = c.Size, i+1, c.Size
	}
	for _, a := range v.anchored {
		if err := v.checkAnchored(a); err != nil {
			return &Offended{atEntry(a.position), err}
		}
	}
	return nil
}

func (v *verification) witnessed(sigs []Cosignature) bool {
	for _, s := range sigs {
		for _, w := range v.g.Witnesses {
			if s.KeyHash == w.KeyHash() && s.Name == w.Name() {
				return true
			}
		}
	}
	return false
}

func (v *verification) checkAnchored(a anchoredAt) error {
	if a.body.Size == 0 || a.body.Size > a.position {
		return fmt.Errorf("anchored size %d lies ahead", a.body.Size)
	}
	root, err := v.rootAt(a.body.Size)
	if err != nil {
		return err
	}
	c := Checkpoint{v.origin, a.body.Size, a.body.Root}
	for _, w := range v.g.Witnesses {
		if root == a.body.Root && w.KeyHash() == a.body.Witness && w.Verify([]byte(c.Text()), a.body.noteSignature()) {
			v.report.Signatures++
			return nil
		}
	}
	return errors.New("the anchored checkpoint is not of this chain or not cosigned by a witness")
}

// surplus finds what should not be there.
func (v *verification) surplus(context.Context) error {
	var found []string
	err := fs.WalkDir(v.dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(name, "epoch-") {
				return fs.SkipDir
			}
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

func (v *verification) conclude() {
	h := ReadHead(v.view)
	v.report.Entries, v.report.Head = h.Size, h.Last
	authors := map[BureauNumber]bool{}
	v.view.Range([]byte{keySession}, func(k, _ []byte) bool {
		authors[BureauNumber(k[1])<<8|BureauNumber(k[2])] = true
		return true
	})
	v.report.Bureaux = len(authors)
	RangeAdmissions(v.view, func(x Right, as []LiveAdmission) bool {
		if x.Kind == Admit {
			v.report.Admitted++
		}
		if len(as) > 1 {
			v.report.Double = append(v.report.Double, DoubleAdmission{x.Kind, as})
		}
		return true
	})
}
