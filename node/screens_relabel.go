package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
	"pointage/node/register"
	"pointage/node/web"
)

// signatoryFile is the name under which the administration writes a signatory's sealed key.
func signatoryFile(number uint16) string { return fmt.Sprintf("signatory-%d.age", number) }

// signatoryKey is where a signatory's sealed key lies on this machine, empty for nowhere: beside the bureau's own keys, on
// its media, or in the election's directory.
func (n *Node) signatoryKey(number uint16) string {
	dirs := []string{filepath.Dir(n.cfg.Keys), filepath.Join(n.cfg.Election, fmt.Sprint(n.cfg.Commune))}
	for _, m := range n.cfg.Media {
		if m != "" {
			dirs = append(dirs, filepath.Join(m, register.OwnDir), filepath.Join(filepath.Dir(m), register.OwnDir))
		}
	}
	for _, dir := range dirs {
		name := filepath.Join(dir, signatoryFile(number))
		if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// Signatories implements web.Bureau.
func (s *screens) Signatories() (out []web.Signatory) {
	for _, x := range s.prepared.Manifest.Signatories {
		if x.Commune == s.cfg.Commune {
			out = append(out, web.Signatory{Number: x.Number, Bureau: x.Bureau, Here: s.signatoryKey(x.Number) != ""})
		}
	}
	return out
}

// Relabel implements web.Bureau.
func (s *screens) Relabel(ctx context.Context, x web.Relabelling) (out web.Relabelled, err error) {
	if x.Place == "" || len(x.Place) > ledger.MaxPlace || !utf8.ValidString(x.Place) || strings.ContainsFunc(x.Place, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return web.Relabelled{Refusal: web.PlaceUnfit}, nil
	}
	in := Amendment{Act: "relabel", Bureau: x.Bureau, Place: x.Place}
	var numbers [2]uint16
	for i, by := range x.Signers {
		var sealed []byte
		if numbers[i], sealed = s.signs(by); numbers[i] == 0 {
			return web.Relabelled{Refusal: web.SignatoryShut, Signer: i + 1}, nil
		}
		in.Signers = append(in.Signers, Signing{Passphrase: by.Passphrase, sealed: sealed})
	}
	if numbers[0] == numbers[1] {
		return web.Relabelled{Refusal: web.SamePerson}, nil
	}
	got, err := s.Amend(ctx, in)
	var bad InputError
	if errors.As(err, &bad) {
		return web.Relabelled{Refusal: web.MayNotSign}, nil
	}
	if err != nil {
		return out, err
	}
	return web.Relabelled{Number: got.Number, Effective: got.Effective}, nil
}

// signs is the number of who signs, and his sealed key; 0 when no key opens.
func (n *Node) signs(by web.SignedBy) (uint16, []byte) {
	if by.Number == 0 && len(by.Sealed) > 0 {
		return n.opensSignatory(by.Sealed, by.Passphrase), by.Sealed
	}
	files := []string{n.signatoryKey(by.Number)}
	if by.Number == 0 {
		files = n.signatoriesAt(by.File)
	}
	for _, name := range files {
		sealed, err := readFile(name, maxSignatory)
		if err != nil {
			continue
		}
		if number := n.opensSignatory(sealed, by.Passphrase); number != 0 {
			return number, sealed
		}
	}
	return 0, nil
}

// signatoriesAt are the files that a path may mean: itself, or in a directory, such as that of a drive, the commune's
// signatories' keys there and in its folder of keys.
func (n *Node) signatoriesAt(path string) (out []string) {
	if path == "" {
		return nil
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return []string{path}
	}
	for _, x := range n.prepared.Manifest.Signatories {
		if x.Commune == n.cfg.Commune {
			out = append(out, filepath.Join(path, signatoryFile(x.Number)), filepath.Join(path, register.OwnDir, signatoryFile(x.Number)))
		}
	}
	return out
}

// opensSignatory is the number of the person whose sealed key a passphrase opens, 0 for nobody's.
func (n *Node) opensSignatory(sealed []byte, passphrase string) uint16 {
	k, err := register.OpenSignatory(bytes.NewReader(sealed), passphrase, n.prepared.binding)
	if err != nil {
		return 0
	}
	clear(k.Seed[:])
	return k.Number
}
