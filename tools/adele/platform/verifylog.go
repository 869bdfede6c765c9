package platform

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// VerifyLog checks an access log in the layout of C2SP tlog-tiles v0.1.0: the checkpoint's
// signature by vkey (that of the log.vkey file when empty), every entry in its one form and at its
// place, every hash tile, and the root. It gives each entry to see. What does not hold is returned
// as *ledger.Offended.
func VerifyLog(dir fs.FS, vkey string, see func(*LogEntry)) (ledger.Checkpoint, error) {
	c, err := openLogCheckpoint(dir, vkey)
	if err != nil {
		return c, err
	}
	var hashes memoryHashes
	for _, t := range ledger.EntryBundles(c.Size) {
		bundle, err := ledger.ReadExported(dir, ledger.TilePath(t), ledger.TileWidth*(2+ledger.MaxEntry))
		if err != nil {
			return c, err
		}
		raw, err := ledger.SplitBundle(bundle, t.W)
		if err != nil {
			return c, offended(ledger.TilePath(t), err)
		}
		for i, b := range raw {
			n := uint64(t.N)*ledger.TileWidth + uint64(i)
			e, err := DecodeLogEntry(b)
			if err == nil && e.Position != n {
				err = fmt.Errorf("says that its position is %d", e.Position)
			}
			if err != nil {
				return c, &ledger.Offended{Where: ledger.EntryName(n), Err: err}
			}
			more, err := tlog.StoredHashes(int64(n), b, hashes)
			if err != nil {
				return c, fmt.Errorf("tree at entry %d: %w", n, err)
			}
			hashes = append(hashes, more...)
			see(e)
		}
	}
	root, err := tlog.TreeHash(int64(c.Size), hashes)
	if err != nil {
		return c, fmt.Errorf("tree of %d entries: %w", c.Size, err)
	}
	if ledger.Hash(root) != c.Root {
		return c, offended(ledger.CheckpointFile, fmt.Errorf("its root is not that of the %d entries", c.Size))
	}
	return c, checkTiles(dir, c.Size, hashes)
}

func checkTiles(dir fs.FS, size uint64, hashes memoryHashes) error {
	for _, t := range ledger.HashTiles(size) {
		want, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return fmt.Errorf("tile %s: %w", ledger.TilePath(t), err)
		}
		got, err := ledger.ReadExported(dir, ledger.TilePath(t), ledger.TileWidth*tlog.HashSize)
		if err != nil {
			return err
		}
		if string(got) != string(want) {
			return offended(ledger.TilePath(t), errors.New("is not what the entries give"))
		}
	}
	return nil
}

func openLogCheckpoint(dir fs.FS, vkey string) (ledger.Checkpoint, error) {
	file, err := ledger.ReadExported(dir, ledger.LogVKeyFile, MaxText)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if vkey == "" {
		vkey = strings.TrimSuffix(string(file), "\n")
	}
	key, err := parseLogVKey(vkey)
	if err != nil {
		return ledger.Checkpoint{}, offended(ledger.LogVKeyFile, err)
	}
	if string(file) != vkey+"\n" {
		return ledger.Checkpoint{}, offended(ledger.LogVKeyFile, errors.New("is another key than the one that was given"))
	}
	text, err := ledger.ReadExported(dir, ledger.CheckpointFile, ledger.MaxNote)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	c, _, err := ledger.OpenCheckpoint(text, key, nil)
	if err != nil {
		return ledger.Checkpoint{}, offended(ledger.CheckpointFile, err)
	}
	return c, nil
}

// parseLogVKey reads a log's verifier key (algorithm 01).
func parseLogVKey(vkey string) (*ledger.NoteKey, error) {
	if _, err := note.NewVerifier(vkey); err != nil {
		return nil, fmt.Errorf("%.80q is not a log's vkey: %w", vkey, err)
	}
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return nil, fmt.Errorf("%.80q is not a log's vkey", vkey)
	}
	return ledger.LogKey(parts[0], raw[1:]), nil
}

func offended(file string, err error) error { return &ledger.Offended{Where: "file " + file, Err: err} }

// memoryHashes is a whole tree in memory.
type memoryHashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (m memoryHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(m)) {
			return nil, fmt.Errorf("hash %d of %d", x, len(m))
		}
		out[i] = m[x]
	}
	return out, nil
}
