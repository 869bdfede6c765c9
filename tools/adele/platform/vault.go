package platform

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"pointage/ledger"
	"pointage/node/machine"
)

const (
	keysDir   = "keys"
	keySuffix = ".key"
	// regionVault names the key under which lies what belongs to no commune: the persons of
	// access codes and of hand-overs.
	regionVault ledger.Commune = 0
	// subjectBytes is how much of a pseudonym stands in the access log.
	subjectBytes = 16
)

// ErrDestroyed means that the key of what was asked for is no more.
var ErrDestroyed = errors.New("personal data were destroyed")

// vault holds one random key a commune, in files of their own beside the database: personal data
// lie in the database only sealed under them, so that to destroy the keys is to destroy the data,
// in every copy that has not the keys too (decree, art. 16).
type vault struct {
	dir string

	mu   sync.Mutex
	keys map[ledger.Commune]*communeKey
}

// communeKey is what is derived from one file.
type communeKey struct {
	seal cipher.AEAD // XChaCha20-Poly1305
	// index names an elector in the database, subject in the access log; without them nobody
	// can be found there by his number.
	index, subject []byte
	secret         []byte
}

// The states of the keys, as the database remembers them: a key that should be there and is not
// is never silently replaced by a new one.
const (
	keysUnmade    = ""
	keysMade      = "made"
	keysDestroyed = "destroyed"
)

// openVault reads the keys in dir, or makes them.
func openVault(dir string, communes []ledger.Commune, state string) (*vault, error) {
	v := &vault{dir: filepath.Join(dir, keysDir), keys: map[ledger.Commune]*communeKey{}}
	if state == keysDestroyed {
		return v, nil
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	for _, c := range append([]ledger.Commune{regionVault}, communes...) {
		secret, err := v.secretOf(c, state)
		if err != nil {
			return nil, fmt.Errorf("open keys: %w", err)
		}
		if v.keys[c], err = newCommuneKey(secret); err != nil {
			return nil, fmt.Errorf("open keys: %w", err)
		}
	}
	return v, syncPath(v.dir)
}

func (v *vault) file(c ledger.Commune) string {
	name := "region"
	if c != regionVault {
		name = strconv.Itoa(int(c))
	}
	return filepath.Join(v.dir, name+keySuffix)
}

func (v *vault) secretOf(c ledger.Commune, state string) ([]byte, error) {
	text, err := os.ReadFile(v.file(c))
	if err == nil {
		secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(secret) != chacha20poly1305.KeySize {
			return nil, fmt.Errorf("%s is damaged: restore the directory from a copy", v.file(c))
		}
		return secret, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || state == keysMade {
		return nil, err
	}
	secret := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return secret, writeFileSynced(v.file(c), []byte(hex.EncodeToString(secret)+"\n"), 0o600)
}

func newCommuneKey(secret []byte) (*communeKey, error) {
	k := &communeKey{secret: secret}
	derive := func(use string) []byte {
		out, err := hkdf.Key(sha256.New, secret, nil, "pointage adele "+use+" v1", 32)
		if err != nil {
			panic(fmt.Sprintf("derive %s: %v", use, err))
		}
		return out
	}
	k.index, k.subject = derive("index"), derive("subject")
	var err error
	k.seal, err = chacha20poly1305.NewX(derive("seal"))
	return k, err
}

func (v *vault) of(c ledger.Commune) (*communeKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.keys[c]
	if k == nil {
		return nil, fmt.Errorf("commune %d: %w", c, ErrDestroyed)
	}
	return k, nil
}

// lock seals a value for its place in the database: moved to another key it does not open.
func (k *communeKey) lock(place, value []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(value)+chacha20poly1305.Overhead)
	if _, err := rand.Read(nonce); err != nil {
		panic(fmt.Sprintf("draw a nonce: %v", err))
	}
	return k.seal.Seal(nonce, nonce, value, place)
}

func (k *communeKey) unlock(place, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, errors.New("a sealed value is cut short")
	}
	return k.seal.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], place)
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

// subjectOf is the elector's pseudonym in the access log; with the commune's key it dies too.
func (k *communeKey) subjectOf(n ledger.NationalNumber) string {
	return hex.EncodeToString(mac(k.subject, "national number", n.Digits())[:subjectBytes])
}

// digestOf tells two contents apart in the access log without giving either away.
func (k *communeKey) digestOf(content []byte) string {
	return hex.EncodeToString(mac(k.subject, "content", string(content))[:subjectBytes])
}

// destroy overwrites and removes every key file and forgets the keys. Done twice it does nothing
// more, so that a destruction that was cut short is taken up again.
func (v *vault) destroy() ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	gone, err := shredAll(v.dir)
	if err != nil {
		return nil, fmt.Errorf("destroy keys: %w", err)
	}
	for c, k := range v.keys {
		clear(k.secret)
		clear(k.index)
		clear(k.subject)
		delete(v.keys, c)
	}
	return gone, nil
}

// renew makes the Region's key anew, or reads the one that was: for the people who look at the
// ledgers after the destruction. What lay under the old one stays shut.
func (v *vault) renew() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return fmt.Errorf("renew the region's key: %w", err)
	}
	secret, err := v.secretOf(regionVault, keysUnmade)
	if err != nil {
		return fmt.Errorf("renew the region's key: %w", err)
	}
	v.keys[regionVault], err = newCommuneKey(secret)
	return err
}

// shredAll overwrites and removes all files below dir, then dir itself, and lists them. Behind a link lies what is
// meant: keys may have been put on another disk.
func shredAll(dir string) ([]string, error) {
	root, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files := map[string]bool{}
	if err := filesBelow(root, files); err != nil {
		return nil, err
	}
	all := slices.Sorted(maps.Keys(files))
	for _, name := range all {
		if err := shred(name); err != nil {
			return nil, err
		}
	}
	err = errors.Join(os.RemoveAll(root), syncPath(filepath.Dir(root)))
	if root != dir && err == nil {
		err = errors.Join(os.RemoveAll(dir), syncPath(filepath.Dir(dir)))
	}
	return all, err
}

// filesBelow collects the files of a tree, and those behind the links that stand for what a platform keeps there.
func filesBelow(root string, files map[string]bool) error {
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink == 0 {
			if d.Type().IsRegular() {
				files[name] = true
			}
			return nil
		}
		to, err := filepath.EvalSymlinks(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		own := d.Name() == keysDir || d.Name() == databaseDir || strings.HasSuffix(d.Name(), keySuffix)
		// A link to what the tree lies in would have no end.
		rel, err := filepath.Rel(to, root)
		if inside := err == nil && filepath.IsLocal(rel); !own || inside {
			return nil
		}
		return filesBelow(to, files)
	})
}

// shred overwrites a file's bytes on the medium before its name goes. What a flash medium keeps
// of the old blocks no program can reach: there the keys' destruction counts.
func shred(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	noise := make([]byte, shredBlock)
	for left := int64(0); err == nil && left < info.Size(); left += int64(len(noise)) {
		if _, err = rand.Read(noise); err == nil {
			_, err = f.Write(noise[:min(int64(len(noise)), info.Size()-left)])
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(name))
}

// writeFileSynced writes a new file that a power cut leaves whole or absent.
func writeFileSynced(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncPath(filepath.Dir(name))
}

func syncPath(dir string) error {
	return machine.SyncDir(dir)
}
