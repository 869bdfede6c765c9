package platform

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/ledger/election"
)

func manifestHash(file []byte) ledger.Hash { return election.Hash(file) }

// begun says whether the poll's first batch has come; the caller holds no lock of the ledger.
func (rg *Region) begun(l *communeLedger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ledger.ReadHead(rg.view(l)).Size > 1
}

// retired says whether an amendment has retired the machine whose key this is.
func (rg *Region) retired(who identity, key ed25519.PublicKey) bool {
	l := rg.communes[who.communes[0]]
	for i, k := range l.group.Bureaux[who.bureau].Device {
		if bytes.Equal(k, key) {
			l.mu.Lock()
			_, gone := ledger.Retired(rg.view(l), who.bureau, ledger.Incarnation(i))
			l.mu.Unlock()
			return gone
		}
	}
	return true
}

// uploadCheckpoint is PUT /communes/{ins}/ledger/{epoch}/checkpoint: a note of the log, with what
// cosignatures it has; its root must be that of the entries that are here.
func (rg *Region) uploadCheckpoint(c *call) (*outcome, error) {
	epoch, err := strconv.ParseUint(c.r.PathValue("epoch"), 10, 8)
	if err != nil || epoch > ledger.MaxEpoch {
		return refuse(http.StatusBadRequest, "malformed", "no such epoch"), nil
	}
	raw, out := c.body(ledger.MaxNote)
	if out != nil {
		return out, nil
	}
	l := rg.communes[c.commune]
	cp, _, err := ledger.OpenCheckpoint(raw, ledger.LogKey(l.group.Origin(uint8(epoch)), l.group.LogKey), l.group.Cosigners())
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "no checkpoint", err.Error()), nil
	}
	l.mu.Lock()
	c.ends = append(c.ends, l.mu.Unlock)
	held, err := rg.held(c.commune, uint8(epoch))
	if err != nil {
		return nil, err
	}
	at := Intake{Epoch: uint8(epoch), Size: held}
	if cp.Size > held || cp.Size == 0 {
		return conflict("gap", at, fmt.Sprintf("%d entries are here: upload those of the checkpoint first", held)), nil
	}
	root, err := tlog.TreeHash(int64(cp.Size), rg.tree(c.commune, uint8(epoch), nil))
	if err != nil {
		return nil, err
	}
	if ledger.Hash(root) != cp.Root {
		out := conflict("fork", at, fmt.Sprintf("the %d entries here have another root: call the college of experts", cp.Size))
		out.content = fmt.Sprintf("%d %v", cp.Size, cp.Root)
		return out, nil
	}
	return rg.keepCheckpoint(c.commune, uint8(epoch), cp, raw)
}

func (rg *Region) keepCheckpoint(ins ledger.Commune, epoch uint8, cp ledger.Checkpoint, raw []byte) (*outcome, error) {
	out := answerJSON(http.StatusOK, Intake{Epoch: epoch, Size: cp.Size, Root: base64.StdEncoding.EncodeToString(cp.Root[:])})
	id := sha256.Sum256(raw)
	key := ledgerKey('c', ins, slices.Concat([]byte{epoch}, be64(cp.Size), id[:8])...)
	if have, err := rg.st.get(key); err != nil || have != nil {
		out.quiet = true
		return out, err
	}
	kept := 0
	if err := rg.st.scan(ledgerKey('c', ins, epoch), func(_, _ []byte) error { kept++; return nil }); err != nil {
		return nil, err
	}
	if kept >= MaxUploadedCheckpoints {
		return refuse(http.StatusInsufficientStorage, "full", "no more checkpoints of this epoch are kept"), nil
	}
	out.content = fmt.Sprintf("epoch %d checkpoint %d root %v", epoch, cp.Size, cp.Root)
	out.change = func(b *pebble.Batch) error { return b.Set(key, raw, nil) }
	return out, nil
}

// A LedgerStatus says where the platform's copy stands, and whether it is the ledger that was
// anchored.
type LedgerStatus struct {
	Intake
	Head         string `json:"head"` // leaf hash of the last entry, hex
	AnchoredSize int64  `json:"anchored_size"`
	AnchoredRoot string `json:"anchored_root,omitempty"`
	// Agrees: yes; no; "behind" when entries that were anchored are not here yet; "" when
	// nothing was anchored.
	Agrees string `json:"agrees,omitempty"`
}

// ledgerStatus is GET /communes/{ins}/ledger, or of one epoch with /{epoch}.
func (rg *Region) ledgerStatus(c *call) (*outcome, error) {
	l := rg.communes[c.commune]
	l.mu.Lock()
	defer l.mu.Unlock()
	head := ledger.ReadHead(rg.view(l))
	epoch := head.Epoch
	if text := c.r.PathValue("epoch"); text != "" {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil || n > ledger.MaxEpoch {
			return refuse(http.StatusBadRequest, "malformed", "no such epoch"), nil
		}
		epoch = uint8(n)
	}
	held, err := rg.held(c.commune, epoch)
	if err != nil {
		return nil, err
	}
	s := LedgerStatus{Intake: Intake{Epoch: epoch, Size: held}, Head: head.Last.String()}
	if held > 0 {
		root, err := tlog.TreeHash(int64(held), rg.tree(c.commune, epoch, nil))
		if err != nil {
			return nil, err
		}
		s.Root = base64.StdEncoding.EncodeToString(root[:])
	}
	if err := rg.compare(l, &s); err != nil {
		return nil, err
	}
	return answerJSON(http.StatusOK, s), nil
}

// compare holds a copy against the newest checkpoint that the witness cosigned.
func (rg *Region) compare(l *communeLedger, s *LedgerStatus) error {
	w := rg.server.logs[l.group.Origin(s.Epoch)]
	if w == nil {
		return nil
	}
	w.mu.Lock()
	known, size, root := w.state.Known, w.state.Size, w.state.Root
	w.mu.Unlock()
	if !known {
		return nil
	}
	s.AnchoredSize, s.AnchoredRoot = size, root.String()
	if uint64(size) > s.Size {
		s.Agrees = "behind"
		return nil
	}
	have, err := tlog.TreeHash(size, rg.tree(l.ins, s.Epoch, nil))
	if err != nil {
		return err
	}
	s.Agrees = map[bool]string{true: "yes", false: "no"}[have == root]
	return nil
}

// exportFile is one file of an export, made when it is asked for.
type exportFile struct {
	name string
	make func() ([]byte, error)
}

func fixed(name string, content []byte) exportFile {
	return exportFile{name, func() ([]byte, error) { return content, nil }}
}

var errNotAnchored = errors.New("nothing of this ledger was anchored yet")

// export lists the files of a commune's ledger as experts verify it, up to the newest anchored
// checkpoint. The ledger is locked.
func (rg *Region) export(l *communeLedger) ([]exportFile, error) {
	last := ledger.ReadHead(rg.view(l)).Epoch
	out := []exportFile{fixed(ledger.ManifestFile, rg.file), fixed(ledger.RollFile, l.group.Roll.Encode())}
	for epoch := range last + 1 {
		files, err := rg.exportEpoch(l, epoch, epoch == last)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if epoch < last {
				f.name = ledger.EpochDir(epoch) + "/" + f.name
			}
			out = append(out, f)
		}
	}
	return out, nil
}

func (rg *Region) exportEpoch(l *communeLedger, epoch uint8, last bool) ([]exportFile, error) {
	held, err := rg.held(l.ins, epoch)
	if err != nil {
		return nil, err
	}
	most := uint64(ledger.MaxEntries)
	var size uint64
	var checkpoint, extra []byte
	if last {
		most = held
	} else {
		seed, n, err := rg.seedOf(l, epoch+1)
		if err != nil {
			return nil, err
		}
		size, checkpoint, extra = n, seed.Checkpoint, seed.Checkpoint
	}
	anchors, err := rg.anchors(l, epoch, most, extra)
	if err != nil {
		return nil, err
	}
	if last {
		if len(anchors) == 0 {
			return nil, errNotAnchored
		}
		newest := anchors[len(anchors)-1]
		size, checkpoint = newest.size, newest.note
	}
	witnesses := ""
	for _, w := range l.group.Witnesses {
		witnesses += w.VKey() + "\n"
	}
	origin := l.group.Origin(epoch)
	out := []exportFile{
		fixed(ledger.OriginFile, []byte(origin+"\n")), fixed(ledger.LogVKeyFile, []byte(ledger.LogVKey(origin, l.group.LogKey)+"\n")),
		fixed(ledger.WitnessFile, []byte(witnesses)), fixed(ledger.CheckpointFile, checkpoint),
	}
	for i, a := range anchors {
		out = append(out, fixed(ledger.AnchorFile(i), a.note))
	}
	for _, t := range append(ledger.EntryBundles(size), ledger.HashTiles(size)...) {
		out = append(out, exportFile{ledger.TilePath(t), func() ([]byte, error) { return rg.ledgerTile(l.ins, epoch, t) }})
	}
	return out, nil
}

// anchoredNote is a checkpoint that a witness has cosigned.
type anchoredNote struct {
	size, seconds uint64
	note          []byte
}

// anchors are the cosigned checkpoints of an epoch, oldest first: those that the witness gave and
// those that the principal bureau brought with the bureaux' lines.
func (rg *Region) anchors(l *communeLedger, epoch uint8, most uint64, extra []byte) ([]anchoredNote, error) {
	origin := l.group.Origin(epoch)
	key, cosigners := ledger.LogKey(origin, l.group.LogKey), l.group.Cosigners()
	var all []anchoredNote
	add := func(raw []byte) {
		c, sigs, err := ledger.OpenCheckpoint(raw, key, cosigners)
		if err != nil || c.Size == 0 || c.Size > most {
			return
		}
		a := anchoredNote{size: c.Size, note: bytes.Clone(raw)}
		for _, s := range sigs {
			if slices.ContainsFunc(l.group.Witnesses, func(w *ledger.NoteKey) bool { return w.Name() == s.Name && w.KeyHash() == s.KeyHash }) {
				a.seconds = max(a.seconds, s.Seconds)
			}
		}
		if a.seconds > 0 {
			all = append(all, a)
		}
	}
	records, err := rg.st.records(numberedKey('c', origin, 0), numberedKey('c', origin, ^uint64(0)), MaxCosignedPerLog+MaxRefusedPerLog)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Verdict == Cosigned {
			add(r.Body)
		}
	}
	if err := rg.st.scan(ledgerKey('c', l.ins, epoch), func(_, raw []byte) error { add(raw); return nil }); err != nil {
		return nil, err
	}
	if extra != nil {
		add(extra)
	}
	slices.SortStableFunc(all, func(a, b anchoredNote) int {
		return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.seconds, b.seconds))
	})
	return slices.CompactFunc(all, func(a, b anchoredNote) bool { return bytes.Equal(a.note, b.note) }), nil
}

func (rg *Region) ledgerTile(c ledger.Commune, epoch uint8, t tlog.Tile) ([]byte, error) {
	if t.L >= 0 {
		return tlog.ReadTileData(t, rg.tree(c, epoch, nil))
	}
	var bundle []byte
	for i := range uint64(t.W) {
		raw, err := rg.entryAt(c, epoch, uint64(t.N)*ledger.TileWidth+i)
		if err != nil {
			return nil, err
		}
		bundle = ledger.AppendToBundle(bundle, raw)
	}
	return bundle, nil
}

// ledgerFile is GET /communes/{ins}/ledger/files/{name}: a file of the export, or with no name the
// list of them.
func (rg *Region) ledgerFile(c *call) (*outcome, error) {
	l := rg.communes[c.commune]
	l.mu.Lock()
	defer l.mu.Unlock()
	files, err := rg.export(l)
	if errors.Is(err, errNotAnchored) {
		return refuse(http.StatusNotFound, "not anchored", err.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	out, err := serveFile(files, c.r.PathValue("name"))
	if out != nil && !out.refused {
		out.quiet = c.r.PathValue("name") != "" // the list begins a consultation, the files belong to it
	}
	return out, err
}

func serveFile(files []exportFile, name string) (*outcome, error) {
	if name == "" {
		var names []string
		for _, f := range files {
			names = append(names, f.name)
		}
		return &outcome{status: http.StatusOK, kind: "text/plain; charset=utf-8", body: []byte(strings.Join(names, "\n") + "\n")}, nil
	}
	for _, f := range files {
		if f.name == name {
			content, err := f.make()
			return &outcome{status: http.StatusOK, kind: "application/octet-stream", body: content}, err
		}
	}
	return refuse(http.StatusNotFound, "no such file", "there is no such file: ask for the list of them"), nil
}
