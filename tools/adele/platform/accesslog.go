package platform

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// A LogEntry is one act on the platform, or one access to personal data (decree, art. 14, 15). It
// holds no personal datum in clear: people are the numbers of their codes, electors pseudonyms
// that die with their commune's key. Its one form is the JSON that Encode writes.
type LogEntry struct {
	Position uint64    `json:"position"`
	At       time.Time `json:"at"` // UTC, whole seconds
	// Actor is "code <id>", "bureau <INS>/<number>", "nobody" or "platform".
	Actor string `json:"actor"`
	Role  Role   `json:"role,omitempty"`
	Act   string `json:"act"` // a Resource, or what the platform did
	// Commune is the INS code, 0 when the act concerns none or all.
	Commune ledger.Commune `json:"commune,omitempty"`
	Outcome string         `json:"outcome"` // done, refused
	// Why is a code of a fixed list: the reason of a change or of a refusal.
	Why string `json:"why,omitempty"`
	// Subjects are the pseudonyms of the electors concerned, at most MaxSubjects; Count says how
	// many there were.
	Subjects []string `json:"subjects,omitempty"`
	Count    int      `json:"count,omitempty"`
	// Content names what was stored or shown: a keyed digest of personal data, a root of a ledger,
	// the number of a USB key.
	Content string `json:"content,omitempty"`
}

// The outcomes.
const (
	outcomeDone    = "done"
	outcomeRefused = "refused"
)

// Encode is the entry's one form.
func (e *LogEntry) Encode() ([]byte, error) {
	out, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode log entry: %w", err)
	}
	if len(out) > ledger.MaxEntry {
		return nil, fmt.Errorf("encode log entry: %d bytes, at most %d", len(out), ledger.MaxEntry)
	}
	return out, nil
}

// DecodeLogEntry reads what Encode writes and nothing else.
func DecodeLogEntry(b []byte) (*LogEntry, error) {
	var e LogEntry
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("decode log entry: %w", err)
	}
	if again, err := e.Encode(); err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("decode log entry: not in its one form")
	}
	return &e, nil
}

// accessLog is the platform's own C2SP log: entries, tree and signed checkpoint are written in the
// batch of the act that they tell of, so that a crash leaves both or neither.
type accessLog struct {
	origin string
	key    ed25519.PrivateKey
	db     *pebble.DB

	mu   sync.Mutex // one act is committed at a time
	size uint64
	err  error // the fault that stopped it: the tree in memory may be ahead of the disk
}

func logHashKey(index int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{regionPrefix, 'h'}, uint64(index))
}

func logEntryKey(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{regionPrefix, 'l'}, n)
}

var logHeadKey = []byte{regionPrefix, 'c'}

// openLog goes on from the signed checkpoint in the database.
func openLog(st *storage, origin string, key ed25519.PrivateKey) (*accessLog, error) {
	l := &accessLog{origin: origin, key: key, db: st.db}
	head, err := st.get(logHeadKey)
	if err != nil || head == nil {
		return l, err
	}
	c, _, err := ledger.OpenCheckpoint(head, l.verifier(), nil)
	if err != nil {
		return nil, fmt.Errorf("open the access log: %w", err)
	}
	root, err := tlog.TreeHash(int64(c.Size), l.reader(nil))
	if err != nil {
		return nil, fmt.Errorf("open the access log: %w", err)
	}
	if ledger.Hash(root) != c.Root {
		return nil, errors.New("open the access log: its entries are not those that were signed: restore the directory from a copy")
	}
	l.size = c.Size
	return l, nil
}

func (l *accessLog) verifier() *ledger.NoteKey {
	return ledger.LogKey(l.origin, l.key.Public().(ed25519.PublicKey))
}

// vkey verifies its checkpoints and the certificate of destruction.
func (l *accessLog) vkey() string {
	return ledger.LogVKey(l.origin, l.key.Public().(ed25519.PublicKey))
}

// reader reads stored hashes, those of a batch in the making first.
func (l *accessLog) reader(fresh map[int64]tlog.Hash) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return readHashes(l.db, logHashKey, fresh, indexes)
	})
}

func readHashes(db *pebble.DB, key func(int64) []byte, fresh map[int64]tlog.Hash, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if h, ok := fresh[x]; ok {
			out[i] = h
			continue
		}
		value, closer, err := db.Get(key(x))
		if err != nil {
			return nil, fmt.Errorf("read hash %d: %w", x, err)
		}
		if copy(out[i][:], value) != len(out[i]) {
			err = fmt.Errorf("hash %d has %d bytes", x, len(value))
		}
		if err = errors.Join(err, closer.Close()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// commit writes the act's batch with its log entry, synced. An error means that nothing of the
// act is to be told to anybody; the log then stops, since what reached the disk is unknown.
func (l *accessLog) commit(batch *pebble.Batch, e LogEntry) (position uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, fmt.Errorf("the access log has stopped, start again: %w", l.err)
	}
	e.Position, e.At = l.size, e.At.UTC().Truncate(time.Second)
	raw, err := e.Encode()
	if err != nil {
		return 0, err
	}
	if err := l.put(batch, raw); err != nil {
		return 0, fmt.Errorf("append to the access log: %w", err)
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		l.err = err
		return 0, fmt.Errorf("commit: %w", err)
	}
	l.size++
	return e.Position, nil
}

// put adds the entry, its hashes and the new signed checkpoint to the batch.
func (l *accessLog) put(batch *pebble.Batch, raw []byte) error {
	hashes, err := tlog.StoredHashes(int64(l.size), raw, l.reader(nil))
	if err != nil {
		return err
	}
	fresh := map[int64]tlog.Hash{}
	at := tlog.StoredHashIndex(0, int64(l.size))
	for i, h := range hashes {
		fresh[at+int64(i)] = h
		if err := batch.Set(logHashKey(at+int64(i)), h[:], nil); err != nil {
			return err
		}
	}
	root, err := tlog.TreeHash(int64(l.size)+1, l.reader(fresh))
	if err != nil {
		return err
	}
	head, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: l.origin, Size: l.size + 1, Root: ledger.Hash(root)}, l.key)
	if err != nil {
		return err
	}
	return errors.Join(batch.Set(logEntryKey(l.size), raw, nil), batch.Set(logHeadKey, head, nil))
}

// entries is how many there are.
func (l *accessLog) entries() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// filesAt are the files of the log as it was with size entries, in the layout of C2SP tlog-tiles
// v0.1.0, with log.vkey.
func (l *accessLog) filesAt(st *storage, size uint64) []exportFile {
	files := []exportFile{
		{ledger.CheckpointFile, func() ([]byte, error) {
			root, err := tlog.TreeHash(int64(size), l.reader(nil))
			if err != nil {
				return nil, err
			}
			return ledger.SignCheckpoint(ledger.Checkpoint{Origin: l.origin, Size: size, Root: ledger.Hash(root)}, l.key)
		}},
		fixed(ledger.LogVKeyFile, []byte(l.vkey()+"\n")),
	}
	for _, t := range append(ledger.EntryBundles(size), ledger.HashTiles(size)...) {
		files = append(files, exportFile{ledger.TilePath(t), func() ([]byte, error) { return l.tile(st, t) }})
	}
	return files
}

// tile is one file of the log; the caller has checked that it lies within the log's size.
func (l *accessLog) tile(st *storage, t tlog.Tile) ([]byte, error) {
	if t.L >= 0 {
		return tlog.ReadTileData(t, l.reader(nil))
	}
	var bundle []byte
	for i := range uint64(t.W) {
		raw, err := st.get(logEntryKey(uint64(t.N)*ledger.TileWidth + i))
		if err != nil {
			return nil, err
		}
		if raw == nil {
			return nil, fmt.Errorf("entry %d is missing", uint64(t.N)*ledger.TileWidth+i)
		}
		bundle = ledger.AppendToBundle(bundle, raw)
	}
	return bundle, nil
}

// drawSeed draws an Ed25519 seed.
func drawSeed() ([]byte, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, fmt.Errorf("draw a key: %w", err)
	}
	return seed, nil
}
