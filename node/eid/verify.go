package eid

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"
)

// Files are the four of a card that say who its holder is.
type Files struct {
	// Identity is DF01/4031, Signature DF01/4032, Register DF00/503C: the certificate with whose key the
	// National Register signed. ChipKey is DF01/4040, empty before applet 1.8.
	Identity, Signature, Register, ChipKey []byte
}

func (f *Files) wipe() {
	wipe(f.Identity)
	wipe(f.Signature)
	wipe(f.Register)
	wipe(f.ChipKey)
	*f = Files{}
}

// Verify judges the files of a card: an identity that the National Register signed under one of the roots, or the
// trouble. It says nothing yet of the chip: Identity.Chip is ChipNotProven, and key, when there is one, is what
// the chip has to sign a challenge with.
func Verify(f Files, roots Roots) (id Identity, key *ecdsa.PublicKey, trouble Trouble) {
	found, err := parseFields(f.Identity)
	if err != nil {
		return Identity{}, nil, Malformed
	}
	if id, err = found.identity(); err != nil {
		return Identity{}, nil, Malformed
	}
	register, ok := parseRegister(f.Register)
	if !ok {
		return Identity{}, nil, Malformed
	}
	if !roots.vouchFor(register, id.ValidFrom, id.ValidUntil) {
		return Identity{}, nil, UnknownRegister
	}
	if id.Signature = signatureOf(register.PublicKey, f.Identity, f.Signature); id.Signature == 0 {
		return Identity{}, nil, Altered
	}
	id.Chip = ChipNotProven
	if found.chipKey == nil {
		return id, nil, 0
	}
	if digest := sha512.Sum384(f.ChipKey); !bytes.Equal(digest[:], found.chipKey) {
		return Identity{}, nil, ChipCopied
	}
	if key, ok = parseChipKey(f.ChipKey); !ok {
		return Identity{}, nil, Malformed
	}
	return id, key, 0
}

// parseRegister reads a certificate that zeros may follow.
func parseRegister(file []byte) (*x509.Certificate, bool) {
	if len(file) > maxCertificate {
		return nil, false
	}
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(file, &raw)
	if err != nil || !zeros(rest) {
		return nil, false
	}
	// Its content, its algorithm, its signature and no more: the parser would step over the rest.
	parts := raw.Bytes
	for range 3 {
		if parts, err = asn1.Unmarshal(parts, new(asn1.RawValue)); err != nil {
			return nil, false
		}
	}
	c, err := x509.ParseCertificate(raw.FullBytes)
	return c, err == nil && len(parts) == 0
}

// registerName is the subject of every certificate of the National Register, under all roots.
var registerName = pkix.Name{Country: []string{"BE"}, Organization: []string{"RRN"}, CommonName: "RRN"}

// vouchFor says that one of the roots itself signed the certificate for the National Register, and that there
// is a moment within the card's validity at which both it and the root were valid. Today's date doesn't
// enter: cards outlive the key that signed them by years, and the bureau's clock may be wrong.
func (r Roots) vouchFor(c *x509.Certificate, from, until Date) bool {
	name := c.Subject
	if c.IsCA || c.KeyUsage&x509.KeyUsageDigitalSignature == 0 || name.CommonName != registerName.CommonName || len(name.Names) != 3 ||
		!slices.Equal(name.Country, registerName.Country) || !slices.Equal(name.Organization, registerName.Organization) {
		return false
	}
	first, last := latest(from.start(), c.NotBefore), earliest(until.start().AddDate(0, 0, 1), c.NotAfter)
	for _, root := range r.certificates {
		if !bytes.Equal(root.RawSubject, c.RawIssuer) || latest(first, root.NotBefore).After(earliest(last, root.NotAfter)) {
			continue
		}
		if signedBy(root, c) {
			return true
		}
	}
	return false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// signedBy checks a root's signature on a certificate. SHA-1, which crypto/x509 refuses for good, is checked here:
// Root CA2 and CA3 signed with it, and only what they signed themselves is asked about.
func signedBy(root, c *x509.Certificate) bool {
	if c.SignatureAlgorithm != x509.SHA1WithRSA {
		return root.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
	}
	key, ok := root.PublicKey.(*rsa.PublicKey)
	digest := sha1.Sum(c.RawTBSCertificate)
	return ok && rsa.VerifyPKCS1v15(key, crypto.SHA1, digest[:], c.Signature) == nil
}

// signatureOf is the algorithm with which key signed the file, 0 for none.
func signatureOf(key any, file, signature []byte) Signature {
	if len(signature) > maxSignatureFile {
		return 0
	}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		// The file has a fixed length; zeros follow a shorter signature.
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(signature, &raw)
		digest := sha512.Sum384(file)
		if err == nil && zeros(rest) && key.Curve == elliptic.P384() && ecdsa.VerifyASN1(key, digest[:], raw.FullBytes) {
			return ECDSAP384
		}
	case *rsa.PublicKey:
		if n := key.Size(); len(signature) > n && zeros(signature[n:]) {
			signature = signature[:n]
		}
		long, short := sha256.Sum256(file), sha1.Sum(file)
		switch {
		case rsa.VerifyPKCS1v15(key, crypto.SHA256, long[:], signature) == nil:
			return RSASHA256
		case rsa.VerifyPKCS1v15(key, crypto.SHA1, short[:], signature) == nil:
			return RSASHA1
		}
	}
	return 0
}

func parseChipKey(file []byte) (*ecdsa.PublicKey, bool) {
	key, err := x509.ParsePKIXPublicKey(file)
	if err != nil {
		return nil, false
	}
	ec, ok := key.(*ecdsa.PublicKey)
	return ec, ok && ec.Curve == elliptic.P384()
}

// challengeSize is what the chip signs, as if it were a SHA-384 digest; its answer is r || s.
const challengeSize = sha512.Size384

// answers says that the chip's answer to the challenge was made with key.
func answers(key *ecdsa.PublicKey, challenge, answer []byte) bool {
	if len(answer) != 2*challengeSize {
		return false
	}
	r, s := new(big.Int).SetBytes(answer[:challengeSize]), new(big.Int).SetBytes(answer[challengeSize:])
	return ecdsa.Verify(key, challenge, r, s)
}
