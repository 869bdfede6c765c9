package eid

import (
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"fmt"
)

// pinned is the State's public root certificate of the cards issued today; roots/README.md tells of the others.
//
//go:embed roots/*.pem
var pinned embed.FS

// Roots are the authorities whose word on the National Register's key is taken.
type Roots struct{ certificates []*x509.Certificate }

// PinnedRoots are the Belgian State's, built into the program. A root on the card is never looked at.
func PinnedRoots() Roots {
	files, err := pinned.ReadDir("roots")
	if err != nil {
		panic(fmt.Sprintf("the pinned roots are not in the program: %v", err))
	}
	var r Roots
	for _, f := range files {
		text, err := pinned.ReadFile("roots/" + f.Name())
		if err != nil {
			panic(fmt.Sprintf("pinned root %s: %v", f.Name(), err))
		}
		one, err := ParseRoots(text)
		if err != nil {
			panic(fmt.Sprintf("pinned root %s: %v", f.Name(), err))
		}
		r.certificates = append(r.certificates, one.certificates...)
	}
	return r
}

// known are the SHA-256 of the State's root certificates, in hexadecimal: Belgium Root CA2, CA3, CA4, CA6.
var known = map[string]bool{
	"9f9744463be13714754e1a3becf98c08cc205e4ab32028f4e2830c4a1b2775b8": true,
	"a8d14e945e3e5156bcae5e39737cf6a1b1f51028bbbf982f50ce5f4c05568b4d": true,
	"702dd5c1a093cf0a9d71fadd9bf9a7c5857d89fb73b716e867228b3c2beb968f": true,
	"9c872bc979a7c09a58d4a274c199e5cb16cfa9b9618d98bc9a9988e984b8495c": true,
}

// FurtherRoots are PinnedRoots and those that a file brings: certificates in PEM, of the State and no others, which this
// program knows by their digests.
func FurtherRoots(text []byte) (Roots, error) {
	r, err := ParseRoots(text)
	if err != nil {
		return Roots{}, err
	}
	for _, c := range r.certificates {
		if digest := fmt.Sprintf("%x", sha256.Sum256(c.Raw)); !known[digest] {
			return Roots{}, fmt.Errorf("the certificate with SHA-256 %s is none of the State's roots that this program knows", digest)
		}
	}
	r.certificates = append(PinnedRoots().certificates, r.certificates...)
	return r, nil
}

// ParseRoots reads certificates in PEM, one after the other: those of a simulated National Register.
func ParseRoots(text []byte) (r Roots, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Roots{}, fmt.Errorf("parse root: %w", err)
		}
		r.certificates = append(r.certificates, c)
	}
	if len(r.certificates) == 0 {
		return Roots{}, fmt.Errorf("parse roots: no certificate in PEM")
	}
	return r, nil
}
