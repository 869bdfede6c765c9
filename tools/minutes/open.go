package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/minutes"
	"pointage/node/register"
)

// Lengths of the files that are read, in bytes.
const (
	maxSealed   = 256 << 20
	maxIdentity = 64 << 10
)

// entriesOf reads the entries of an export that holds, in the order of its epochs.
func entriesOf(dir fs.FS, r *ledger.Report) minutes.Next {
	sizes := make([]uint64, 0, len(r.Earlier)+1)
	for _, e := range r.Earlier {
		sizes = append(sizes, e.Entries)
	}
	sizes = append(sizes, r.Entries)
	var bundle [][]byte
	held := ^uint64(0)
	return func(ref uint64) (uint64, []byte, error) {
		epoch, position := ledger.SplitReference(ref)
		for int(epoch) < len(sizes) && position >= sizes[epoch] {
			epoch, position = epoch+1, 0
		}
		if int(epoch) >= len(sizes) {
			return 0, nil, nil
		}
		if first := ledger.Reference(epoch, position/ledger.TileWidth); first != held {
			t := ledger.EntryBundles(sizes[epoch])[position/ledger.TileWidth]
			name := ledger.TilePath(t)
			if int(epoch) < len(sizes)-1 {
				name = ledger.EpochDir(epoch) + "/" + name
			}
			b, err := ledger.ReadExported(dir, name, ledger.TileWidth*(2+ledger.MaxEntry))
			if err != nil {
				return 0, nil, err
			}
			if bundle, err = ledger.SplitBundle(b, t.W); err != nil {
				return 0, nil, fmt.Errorf("read %s: %w", name, err)
			}
			held = first
		}
		return ledger.Reference(epoch, position), bundle[position%ledger.TileWidth], nil
	}
}

// openNames opens the sealed files with the identity; nil where none is given.
func openNames(o options, x *election.Export) (*minutes.Names, error) {
	if o.identity == "" {
		return nil, nil
	}
	id, err := openIdentity(o.identity, o.passphrase)
	if err != nil {
		return nil, err
	}
	c, err := x.Manifest.Commune(x.Group.Commune)
	if err != nil {
		return nil, err
	}
	binding := register.Binding{Election: x.Manifest.Election, Commune: c.INS, Live: x.Manifest.Kind == election.Live}
	sealed, err := readFile(o.register, maxSealed)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(sealed) != c.Register {
		return nil, fmt.Errorf("%s is not the register that the manifest names for commune %d: take the one that was prepared for this election", o.register, c.INS)
	}
	reg, err := register.Open(bytes.NewReader(sealed), id, binding)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.register, err)
	}
	if sealed, err = readFile(o.members, maxSealed); err != nil {
		return nil, err
	}
	convened, err := register.OpenMembers(bytes.NewReader(sealed), id, binding)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.members, err)
	}
	return namesOf(reg, convened), nil
}

// namesOf is what the opened files tell of members.
func namesOf(reg *register.Register, convened []register.Member) *minutes.Names {
	out := &minutes.Names{Open: reg.OpenText, Name: func(n ledger.NationalNumber) string {
		i, ok := reg.FindNationalNumber(n)
		if !ok {
			return ""
		}
		e := reg.At(i)
		return strings.TrimSpace(e.Surname + " " + e.FirstNames)
	}}
	for _, m := range convened {
		out.Convened = append(out.Convened, minutes.Convened{Number: m.Number, Bureau: m.Bureau, Function: uint8(m.Function), NationalNumber: m.NationalNumber})
	}
	return out
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes: it is another file", name, limit)
	}
	return b, err
}

// openIdentity reads an age identity, which may be sealed under a passphrase.
func openIdentity(name, passphraseFile string) (age.Identity, error) {
	b, err := readFile(name, maxIdentity)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte("age-encryption.org/")) {
		if passphraseFile == "" {
			return nil, fmt.Errorf("%s is sealed under a passphrase: give its file with --passphrase-file", name)
		}
		p, err := readFile(passphraseFile, maxIdentity)
		if err != nil {
			return nil, err
		}
		opener, err := age.NewScryptIdentity(strings.TrimSpace(string(p)))
		if err != nil {
			return nil, fmt.Errorf("%s holds no passphrase: %w", passphraseFile, err)
		}
		plain, err := age.Decrypt(bytes.NewReader(b), opener)
		if err == nil {
			b, err = io.ReadAll(io.LimitReader(plain, maxIdentity))
		}
		if err != nil {
			return nil, fmt.Errorf("%s does not open with this passphrase: give the letter that belongs to it", name)
		}
	}
	id, err := age.ParseHybridIdentity(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, errors.New(name + " is no hybrid age identity: give the experts' identity, or one that the register was sealed for")
	}
	return id, nil
}
