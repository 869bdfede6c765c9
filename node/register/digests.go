package register

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
)

const (
	digestsHeader = "pointage digests v1"
	// MaxDigests is the length of a signed list of digests, in bytes.
	MaxDigests = 1 << 20
)

// ErrDigest says that a file is not the one that the signed list names.
var ErrDigest = errors.New("it was changed or damaged: use the bureau's other key")

// Digests is a list of files and their SHA-256. age does not say who sealed a
// file, so this list, signed by the election's authority, is checked first.
//
// Signed, it is a C2SP signed note by the key "<election>/authority", whose text is
//
//	pointage digests v1
//	<election>
//	<subject>
//	<64 hexadecimal digits>  <path>
//
// the last line once for each file, in ascending order of the paths.
type Digests struct {
	Election string
	Subject  string // "region", or the number of a key
	Files    map[string]ledger.Hash
}

func (d *Digests) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", digestsHeader, d.Election, d.Subject)
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		fmt.Fprintf(&b, "%v  %s\n", d.Files[name], name)
	}
	return b.String()
}

// authorityKey is the election authority's key as it stands on signature lines.
func authorityKey(election string, key ed25519.PublicKey) *ledger.NoteKey {
	return ledger.LogKey(election+"/authority", key)
}

// authoritySigner signs notes as the election's authority; it implements note.Signer.
type authoritySigner struct {
	*ledger.NoteKey
	key ed25519.PrivateKey
}

// Sign implements note.Signer.
func (s authoritySigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Sign writes the list signed by the election's authority.
func (d *Digests) Sign(authority ed25519.PrivateKey) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("sign digests: %w", err)
	}
	signer := authoritySigner{authorityKey(d.Election, authority.Public().(ed25519.PublicKey)), authority}
	file, err := note.Sign(&note.Note{Text: d.text()}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign digests: %w", err)
	}
	if len(file) > MaxDigests {
		return nil, fmt.Errorf("sign digests: %d bytes, at most %d", len(file), MaxDigests)
	}
	return file, nil
}

func (d *Digests) check() error {
	if !validText([]byte(d.Election), 1, MaxElection) || !validText([]byte(d.Subject), 1, MaxElection) {
		return errors.New("the election's name or the subject is no line of text")
	}
	for name := range d.Files {
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\r\n\\") {
			return errors.New("a name that is no path of a file")
		}
	}
	return nil
}

// ParseDigests reads a signed list in its one form. The errors say what to do.
func ParseDigests(file []byte, election string, authority ed25519.PublicKey) (*Digests, error) {
	if len(file) > MaxDigests {
		return nil, fmt.Errorf("parse digests: %w", ErrMalformed)
	}
	key := authorityKey(election, authority)
	n, err := note.Open(file, note.VerifierList(key))
	if err != nil {
		return nil, fmt.Errorf("parse digests: the signature of the election's authority is missing or wrong: %w", ErrDigest)
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) < 3 || lines[0] != digestsHeader || lines[1] != election || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return nil, fmt.Errorf("parse digests: %w", ErrMalformed)
	}
	d := &Digests{Election: lines[1], Subject: lines[2], Files: make(map[string]ledger.Hash, len(lines))}
	for _, line := range lines[3:] {
		digits, name, ok := strings.Cut(line, "  ")
		h, err := ledger.ParseHash(digits)
		if !ok || err != nil {
			return nil, fmt.Errorf("parse digests: %w", ErrMalformed)
		}
		d.Files[name] = h
	}
	signature := fmt.Sprintf("— %s %s\n", key.Name(), n.Sigs[0].Base64)
	_, err = base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || d.check() != nil || d.text()+"\n"+signature != string(file) {
		return nil, fmt.Errorf("parse digests: %w", ErrMalformed)
	}
	return d, nil
}

// Check compares the named files with the list, or all of the list's when none is
// named. The errors wrap ErrDigest, or are the file system's.
func (d *Digests) Check(fsys fs.FS, names ...string) error {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(d.Files))
	}
	for _, name := range names {
		want, listed := d.Files[name]
		if !listed {
			return fmt.Errorf("%s is not on the signed list of digests: %w", name, ErrDigest)
		}
		got, err := fileDigest(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing: %w", name, ErrDigest)
		}
		if err != nil {
			return fmt.Errorf("check %s: %w", name, err)
		}
		if got != want {
			return fmt.Errorf("%s is not the file that was prepared: %w", name, ErrDigest)
		}
	}
	return nil
}

// In is the names of the list's files in a directory.
func (d *Digests) In(dir string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		if path.Dir(name) == dir {
			names = append(names, name)
		}
	}
	return names
}

func fileDigest(fsys fs.FS, name string) (h ledger.Hash, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return h, err
	}
	digest := sha256.New()
	_, err = io.CopyBuffer(digest, f, make([]byte, 1<<18))
	if err := errors.Join(err, f.Close()); err != nil {
		return h, err
	}
	digest.Sum(h[:0])
	return h, nil
}
