// Package eidtest makes simulated Belgian identity cards, signed by a simulated National Register, and puts
// them into the virtual reader of vsmartcard (vpcd).
package eidtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Generation is how the National Register signs, and with it the card's applet.
type Generation int

// The generations: applet 1.8, and 1.7 with its two digests.
const (
	ECDSA Generation = iota
	RSASHA256
	RSASHA1
)

// Authority is a simulated root and the National Register's certificate under it.
type Authority struct {
	generation  Generation
	register    crypto.Signer
	root        []byte
	certificate []byte
}

// The validity of simulated certificates.
var (
	notBefore = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC)
)

// NewAuthority makes new keys.
func NewAuthority(g Generation) (*Authority, error) {
	return NewAuthorityWith(g, nil)
}

// NewAuthorityWith lets a test spoil the certificates before they are signed.
func NewAuthorityWith(g Generation, change func(root, register *x509.Certificate)) (*Authority, error) {
	rootKey, err := newKey(g, 2048)
	if err != nil {
		return nil, err
	}
	registerKey, err := newKey(g, 1024)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"BE"}, CommonName: "Simulated Root CA"},
		NotBefore: notBefore, NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	register := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{Country: []string{"BE"}, Organization: []string{"RRN"}, CommonName: "RRN"},
		NotBefore: notBefore, NotAfter: notAfter, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
	}
	if g == RSASHA1 {
		register.SignatureAlgorithm = x509.SHA1WithRSA
	}
	if change != nil {
		change(root, register)
	}
	a := &Authority{generation: g, register: registerKey}
	if a.root, err = x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey); err != nil {
		return nil, fmt.Errorf("simulate a root: %w", err)
	}
	if a.certificate, err = x509.CreateCertificate(rand.Reader, register, root, registerKey.Public(), rootKey); err != nil {
		return nil, fmt.Errorf("simulate the National Register: %w", err)
	}
	return a, nil
}

func newKey(g Generation, bits int) (crypto.Signer, error) {
	if g == ECDSA {
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

// Root is the root's certificate in PEM.
func (a *Authority) Root() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root})
}

// sign is the content of EF(SGN#ID): padded to a fixed length where signatures have none.
func (a *Authority) sign(file []byte) ([]byte, error) {
	switch a.generation {
	case RSASHA256:
		digest := sha256.Sum256(file)
		return a.register.Sign(rand.Reader, digest[:], crypto.SHA256)
	case RSASHA1:
		digest := sha1.Sum(file)
		return a.register.Sign(rand.Reader, digest[:], crypto.SHA1)
	}
	digest := sha512.Sum384(file)
	signature, err := a.register.Sign(rand.Reader, digest[:], crypto.SHA384)
	return append(signature, make([]byte, signatureFile-len(signature))...), err
}

// The lengths of a card's fixed files, in bytes.
const (
	signatureFile = 110
	// afterCertificate zeros follow a certificate on the card.
	afterCertificate = 1100
)

// Holder is who a card is made out to.
type Holder struct {
	// Number is eleven digits; From and Until are DD.MM.YYYY.
	Number, Surname, FirstNames, From, Until string
}

// Issue makes a card.
func (a *Authority) Issue(h Holder) (*Card, error) {
	c := &Card{ATR: atr17, Files: map[string][]byte{}}
	file := head(h, a.generation)
	if a.generation == ECDSA {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("simulate a chip: %w", err)
		}
		public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("simulate a chip: %w", err)
		}
		digest := sha512.Sum384(public)
		file = append(file, field(0x1A, string(digest[:]))...)
		c.ATR, c.Key, c.Files[ChipKey] = atr18, key, public
	}
	signature, err := a.sign(file)
	if err != nil {
		return nil, fmt.Errorf("sign a simulated card: %w", err)
	}
	c.Files[Identity], c.Files[Signature] = file, signature
	c.Files[Register] = append(append([]byte{}, a.certificate...), make([]byte, afterCertificate)...)
	// What must never be read is there to be read.
	c.Files[Address] = append(field(0x01, "Rue d'Essai 1"), field(0x02, "1000")...)
	c.Files[Photo] = []byte("\xff\xd8 no photograph \xff\xd9")
	return c, nil
}

// head is the identity file without the chip's key.
func head(h Holder, g Generation) (file []byte) {
	if g == ECDSA {
		file = field(0x00, "\x00\x02")
	}
	for _, f := range []struct {
		tag   byte
		value string
	}{
		{0x01, "592000000042"},
		{0x02, "simulated chip 1"},
		{0x03, h.From},
		{0x04, h.Until},
		{0x05, "Bruxelles"},
		{0x06, h.Number},
		{0x07, h.Surname},
		{0x08, h.FirstNames},
		{0x09, "Z"},
		{0x0A, "Belge"},
		{0x0B, "Bruxelles"},
		{0x0C, "01 JAN  1980"},
		{0x0D, "F"},
		{0x0E, ""},
		{0x0F, "1"},
		{0x10, "0"},
		{0x11, string(make([]byte, sha512.Size384))},
	} {
		file = append(file, field(f.tag, f.value)...)
	}
	return file
}

// field is one tag, length and value.
func field(tag byte, value string) []byte {
	out := []byte{tag}
	n := len(value)
	for ; n >= 0xFF; n -= 0xFF {
		out = append(out, 0xFF)
	}
	return append(append(out, byte(n)), value...)
}
