package platform

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A Log is one origin and a key that may sign its checkpoints (C2SP vkey, Ed25519,
// algorithm byte 01). Several Logs with one origin trust several keys.
type Log struct {
	Origin string
	VKey   string
}

// Epochs is how many epochs of a commune are known beforehand: epoch-0 to epoch-9.
const Epochs = 10

// ReadLogs reads the logs that the paths name, each path one of
//
//   - a file with one log a line, `<vkey>` (its name is the origin) or `<origin> <vkey>`;
//     empty lines and lines that begin with # don't count; a `log.vkey` is such a file;
//   - a directory, in which every `log.vkey` at any depth is read, with the `origin`
//     file beside it if there is one: prepared elections and exports.
//
// An origin that ends in /epoch-<n> stands for all ten epochs under the same key.
func ReadLogs(paths ...string) ([]Log, error) {
	var logs []Log
	for _, path := range paths {
		found, err := readPath(path)
		if err != nil {
			return nil, err
		}
		logs = append(logs, found...)
	}
	var all []Log
	seen := make(map[Log]bool)
	for _, l := range logs {
		epochs, err := l.epochs()
		if err != nil {
			return nil, err
		}
		for _, e := range epochs {
			if !seen[e] {
				seen[e] = true
				all = append(all, e)
			}
		}
	}
	return all, nil
}

func readPath(path string) ([]Log, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", err)
	}
	if !info.IsDir() {
		return readList(path)
	}
	// WalkDir does not enter a link, not even the one that it is given.
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", err)
	}
	var logs []Log
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "log.vkey" {
			return err
		}
		found, err := readList(name)
		if err != nil {
			return err
		}
		logs = append(logs, found...)
		return withOrigin(found, filepath.Join(filepath.Dir(name), "origin"))
	})
	if err != nil {
		return nil, fmt.Errorf("read logs in %s: %w", path, err)
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("no log.vkey in %s: name a prepared election or a list of logs", path)
	}
	return logs, nil
}

// withOrigin checks the one-line origin file beside a log.vkey: the key's name is the
// origin, and a file that says otherwise belongs to another log.
func withOrigin(found []Log, path string) error {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	origin := strings.TrimSuffix(string(data), "\n")
	for _, l := range found {
		if l.Origin != origin {
			return fmt.Errorf("%s says %q, the log.vkey beside it %q: they are of two logs", path, origin, l.Origin)
		}
	}
	return nil
}

func readList(path string) ([]Log, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var logs []Log
	for i, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		var l Log
		switch len(fields) {
		case 0:
			continue
		case 1:
			name, _, _ := strings.Cut(fields[0], "+")
			l = Log{Origin: name, VKey: fields[0]}
		case 2:
			l = Log{Origin: fields[0], VKey: fields[1]}
		default:
			return nil, fmt.Errorf("%s:%d: want <vkey> or <origin> <vkey>", path, i+1)
		}
		if _, err := l.verifier(); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		logs = append(logs, l)
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("%s names no log: write one vkey a line", path)
	}
	return logs, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxListFile+1))
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", err)
	}
	if len(data) > MaxListFile {
		return nil, fmt.Errorf("%s has more than %d bytes: it is not a list of logs", path, MaxListFile)
	}
	return data, nil
}

func (l Log) verifier() (note.Verifier, error) {
	if l.Origin == "" || len(l.Origin) > MaxOrigin || strings.ContainsFunc(l.Origin, isControl) {
		return nil, fmt.Errorf("%q can't be an origin: it needs 1 to %d bytes on one line", l.Origin, MaxOrigin)
	}
	v, err := note.NewVerifier(l.VKey)
	if err != nil {
		return nil, fmt.Errorf("%q is not a log's vkey (Ed25519, algorithm 01): %w", l.VKey, err)
	}
	return v, nil
}

// epochs is l alone, or the ten epochs that l's origin is one of.
func (l Log) epochs() ([]Log, error) {
	stem, epoch, ok := cutEpoch(l.Origin)
	if !ok {
		return []Log{l}, nil
	}
	keyName, _, _ := strings.Cut(l.VKey, "+")
	logs := make([]Log, 0, Epochs)
	for n := range Epochs {
		e := Log{Origin: fmt.Sprintf("%s/epoch-%d", stem, n), VKey: l.VKey}
		if keyName == l.Origin && n != epoch {
			var err error
			if e.VKey, err = renameKey(l.VKey, e.Origin); err != nil {
				return nil, fmt.Errorf("name the key of %s: %w", e.Origin, err)
			}
		}
		logs = append(logs, e)
	}
	return logs, nil
}

// cutEpoch splits "<stem>/epoch-<n>" with one digit n.
func cutEpoch(origin string) (stem string, epoch int, ok bool) {
	const suffix = "/epoch-"
	at := len(origin) - len(suffix) - 1
	if at < 1 || origin[at:len(origin)-1] != suffix {
		return "", 0, false
	}
	digit := origin[len(origin)-1]
	if digit < '0' || digit > '9' {
		return "", 0, false
	}
	return origin[:at], int(digit - '0'), true
}
