package register

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
)

// A bureau's USB key is a directory:
//
//	manifest, region.digests, <INS>/…   the same on all keys of the Region
//	key.digests, bureau/…               the key's own part
//
// region.digests names the files of all communes, key.digests those in bureau/ and
// region.digests itself. A key is an election directory: what reads
// <INS>/register there reads it on the key.
const (
	ManifestFile  = "manifest"
	RegionDigests = "region.digests"
	StickDigests  = "key.digests"
	// RegionSubject is the subject of region.digests; that of key.digests is the
	// key's number.
	RegionSubject = "region"
	// OwnDir holds the files of the key's bureau alone.
	OwnDir = "bureau"
	// The files of a commune, in <INS>/.
	BaseFile, AddressesFile, MembersFile = "register", "addresses", "members"
	// SealedKeysFile holds the bureau's keys, in OwnDir.
	SealedKeysFile = "identity.age"
)

// Sticks is how many keys a bureau has (decree, article 7 §1).
const Sticks = 2

// ErrShut says that a commune's electors stay shut for a key: it is another's.
var ErrShut = errors.New("another commune's electors stay shut")

// StickNumber is the number of a bureau's key, which 1 or 2, as receipts show it:
// "21014-003-1".
func StickNumber(ins ledger.Commune, n ledger.BureauNumber, which int) string {
	return fmt.Sprintf("%d-%03d-%d", ins, n, which)
}

// ParseStickNumber reads what StickNumber writes.
func ParseStickNumber(text string) (ins ledger.Commune, n ledger.BureauNumber, which int, err error) {
	var a, b uint32
	_, err = fmt.Sscanf(text, "%5d-%3d-%1d", &a, &b, &which)
	ins, n = ledger.Commune(a), ledger.BureauNumber(b)
	if err != nil || StickNumber(ins, n, which) != text || which < 1 || which > Sticks || n < 1 || n > ledger.MaxBureaux {
		return 0, 0, 0, fmt.Errorf("%.20q is no number of a key, as 21014-003-1", text)
	}
	return ins, n, which, nil
}

// Stick is a bureau's USB key, its signed lists checked.
type Stick struct {
	Manifest *election.Manifest
	// ManifestHash is what an official compares with the published one.
	ManifestHash ledger.Hash
	Number       string
	Commune      ledger.Commune
	Bureau       ledger.BureauNumber
	// Digest is the SHA-256 of key.digests, which pins every file of the key: it
	// stands on the receipt.
	Digest ledger.Hash
	fsys   fs.FS
	region *Digests
	own    *Digests
}

// AuthorityOf is the public key of the authority that signed a manifest file which
// election.Parse accepts (it stands before the signature).
func AuthorityOf(manifest []byte) ed25519.PublicKey {
	end := len(manifest) - ed25519.SignatureSize
	return manifest[end-ed25519.PublicKeySize : end]
}

// ReadStick reads a key and checks its signed lists, its own part and its own
// commune's files, before anything is opened; CheckAll looks at the rest.
func ReadStick(fsys fs.FS) (*Stick, error) {
	k, err := ReadStickOwn(fsys)
	if err != nil {
		return nil, err
	}
	if err := k.region.Check(fsys, k.region.In(k.dir(k.Commune))...); err != nil {
		return nil, fmt.Errorf("read key %s: %w", k.Number, err)
	}
	return k, nil
}

// ReadStickOwn is ReadStick without a look at the commune's files: for who puts
// keys together from files that were checked.
func ReadStickOwn(fsys fs.FS) (*Stick, error) {
	file, err := readBounded(fsys, ManifestFile, election.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	k := &Stick{fsys: fsys, ManifestHash: election.Hash(file)}
	if k.Manifest, err = election.Parse(file); err != nil {
		return nil, fmt.Errorf("read key: %s: %w", ManifestFile, err)
	}
	authority := AuthorityOf(file)
	if k.region, _, err = readDigests(fsys, RegionDigests, k.Manifest.Election, authority); err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if k.own, k.Digest, err = readDigests(fsys, StickDigests, k.Manifest.Election, authority); err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	k.Number = k.own.Subject
	if k.Commune, k.Bureau, _, err = ParseStickNumber(k.Number); err != nil || k.region.Subject != RegionSubject {
		return nil, fmt.Errorf("read key: its lists of digests are of something else: %w", ErrMalformed)
	}
	if c, err := k.Manifest.Commune(k.Commune); err != nil || c.Bureau(k.Bureau) == nil {
		return nil, fmt.Errorf("read key: the manifest has no bureau %d of %d: %w", k.Bureau, k.Commune, ErrForeign)
	}
	if err := k.own.Check(fsys); err != nil {
		return nil, fmt.Errorf("read key %s: %w", k.Number, err)
	}
	if err := k.region.Check(fsys, ManifestFile); err != nil {
		return nil, fmt.Errorf("read key %s: %w", k.Number, err)
	}
	return k, nil
}

func readDigests(fsys fs.FS, name, election string, authority ed25519.PublicKey) (*Digests, ledger.Hash, error) {
	file, err := readBounded(fsys, name, MaxDigests)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	d, err := ParseDigests(file, election, authority)
	if err != nil {
		return nil, ledger.Hash{}, fmt.Errorf("%s: %w", name, err)
	}
	return d, sha256.Sum256(file), nil
}

func readBounded(fsys fs.FS, name string, limit int) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: this is no key of a bureau", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s: %w", name, ErrMalformed)
	}
	return b, err
}

// CheckAll compares every file of the key with the signed lists, those of all
// other communes too.
func (k *Stick) CheckAll() error {
	if err := k.region.Check(k.fsys); err != nil {
		return fmt.Errorf("check key %s: %w", k.Number, err)
	}
	return nil
}

// Names are the paths of all files that the signed lists name; key.digests itself
// is named by none.
func (k *Stick) Names() []string {
	return append(slices.Sorted(maps.Keys(k.region.Files)), slices.Sorted(maps.Keys(k.own.Files))...)
}

func (k *Stick) dir(ins ledger.Commune) string { return strconv.Itoa(int(ins)) }

// Binding is what the commune's sealed files are bound to.
func (k *Stick) Binding(ins ledger.Commune) Binding {
	return Binding{Election: k.Manifest.Election, Commune: ins, Live: k.Manifest.Kind == election.Live}
}

// OpenKeys opens the bureau's keys with the president's passphrase.
func (k *Stick) OpenKeys(passphrase string) (Keys, error) {
	f, err := k.fsys.Open(path.Join(OwnDir, SealedKeysFile))
	if err != nil {
		return Keys{}, fmt.Errorf("open keys: %w", err)
	}
	defer f.Close()
	keys, err := OpenKeys(f, passphrase, k.Binding(k.Commune))
	if err == nil && keys.Bureau != k.Bureau {
		err = fmt.Errorf("open keys: they are of bureau %d: %w", keys.Bureau, ErrForeign)
	}
	return keys, err
}

// OpenRegister opens a commune's electors into memory. Only the key's own commune
// opens; for another the error wraps ErrShut and says whose key it takes.
func (k *Stick) OpenRegister(ins ledger.Commune, id age.Identity) (*Register, error) {
	return openSealed(k, ins, BaseFile, func(r io.Reader) (*Register, error) { return Open(r, id, k.Binding(ins)) })
}

// OpenAddresses opens a commune's addresses, at its principal bureau alone.
func (k *Stick) OpenAddresses(ins ledger.Commune, id age.Identity) (*Addresses, error) {
	return openSealed(k, ins, AddressesFile, func(r io.Reader) (*Addresses, error) { return OpenAddresses(r, id, k.Binding(ins)) })
}

// OpenMembers opens a commune's list of members.
func (k *Stick) OpenMembers(ins ledger.Commune, id age.Identity) ([]Member, error) {
	return openSealed(k, ins, MembersFile, func(r io.Reader) ([]Member, error) { return OpenMembers(r, id, k.Binding(ins)) })
}

func openSealed[T any](k *Stick, ins ledger.Commune, name string, open func(io.Reader) (T, error)) (out T, err error) {
	c, err := k.Manifest.Commune(ins)
	if err != nil {
		return out, fmt.Errorf("open %s: %w", name, err)
	}
	name = path.Join(k.dir(ins), name)
	if ins != k.Commune {
		if err := k.region.Check(k.fsys, name); err != nil {
			return out, err
		}
	}
	f, err := k.fsys.Open(name)
	if err != nil {
		return out, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	out, err = open(f)
	if errors.Is(err, ErrKey) && ins != k.Commune {
		own, _ := k.Manifest.Commune(k.Commune)
		return out, fmt.Errorf("%w: this is a key of bureau %d of %s; for %s take a key of that commune", ErrShut, k.Bureau, own.NameFR, c.NameFR)
	}
	return out, err
}
