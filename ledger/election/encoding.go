package election

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// The versions of the manifest (SPEC 12): the second one adds each commune's pay office. A manifest without
// any has the first, so that it has one form. Both are signed in the same way, their version with them.
const (
	withoutPayOffices = 1
	withPayOffices    = 2
	signaturePrefix   = "pointage/manifest/v1\x00"
)

// version is that of the manifest's one form.
func (m *Manifest) version() uint8 {
	for i := range m.Communes {
		if m.Communes[i].PayOffice != "" {
			return withPayOffices
		}
	}
	return withoutPayOffices
}

// Sign encodes the manifest and signs it with the election authority's key:
// body, the authority's public key[32], signature[64].
func (m *Manifest) Sign(authority ed25519.PrivateKey) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	b := cryptobyte.NewBuilder(nil)
	m.encode(b)
	b.AddBytes(authority.Public().(ed25519.PublicKey))
	body, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	file := append(body, ed25519.Sign(authority, append([]byte(signaturePrefix), body...))...)
	if len(file) > MaxManifest {
		return nil, fmt.Errorf("sign manifest: %d bytes, at most %d", len(file), MaxManifest)
	}
	return file, nil
}

// Errors of Parse.
var (
	errMalformed = errors.New("not a manifest, or cut short")
	// ErrSignature: the file was changed after it was signed.
	ErrSignature = errors.New("the manifest's signature does not hold: the file was changed after signing")
)

// Parse reads a manifest file: its one form, its signature, and Check. Whether the
// authority is the right one is for whoever knows the file's hash.
func Parse(file []byte) (*Manifest, error) {
	if len(file) > MaxManifest || len(file) < ed25519.SignatureSize+ed25519.PublicKeySize {
		return nil, errMalformed
	}
	body, sig := file[:len(file)-ed25519.SignatureSize], file[len(file)-ed25519.SignatureSize:]
	key := body[len(body)-ed25519.PublicKeySize:]
	version := body[0]
	known := version == withoutPayOffices || version == withPayOffices
	if !ed25519.Verify(key, append([]byte(signaturePrefix), body...), sig) {
		if !known {
			return nil, errMalformed
		}
		return nil, ErrSignature
	}
	r := &reader{s: body[:len(body)-ed25519.PublicKeySize]}
	m := r.manifest()
	if r.bad || !r.s.Empty() || !known || m.version() != version {
		return nil, errMalformed
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("the manifest's content is wrong: %w", err)
	}
	return m, nil
}

func flag(b *cryptobyte.Builder, v bool) {
	if v {
		b.AddUint8(1)
		return
	}
	b.AddUint8(0)
}

func text(b *cryptobyte.Builder, s string) {
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(s)) })
}

func (m *Manifest) encode(b *cryptobyte.Builder) {
	v := m.version()
	b.AddUint8(v)
	text(b, m.Election)
	b.AddUint8(uint8(m.Kind))
	b.AddUint8(uint8(m.Policy))
	b.AddUint8(uint8(m.Where))
	flag(b, m.OutsideHolders)
	b.AddUint8(m.Modulo97)
	b.AddUint64(uint64(m.Opens))
	b.AddUint64(uint64(m.Closes))
	b.AddUint32(m.BarrierMillis)
	b.AddUint8(uint8(len(m.Witnesses)))
	for _, w := range m.Witnesses {
		text(b, w.VKey)
		text(b, w.URL)
	}
	b.AddUint8(uint8(len(m.Signatories)))
	for _, s := range m.Signatories {
		b.AddUint16(s.Number)
		b.AddUint32(uint32(s.Commune))
		b.AddUint16(uint16(s.Bureau))
		b.AddBytes(s.Key)
	}
	b.AddUint8(uint8(len(m.Communes)))
	for i := range m.Communes {
		m.Communes[i].encode(b)
		if v == withPayOffices {
			text(b, m.Communes[i].PayOffice)
		}
	}
}

func (c *Commune) encode(b *cryptobyte.Builder) {
	b.AddUint32(uint32(c.INS))
	text(b, c.NameFR)
	text(b, c.NameNL)
	b.AddUint16(uint16(c.Principal))
	b.AddUint16(uint16(c.Deputy))
	b.AddUint8(uint8(len(c.Voting)))
	for _, n := range c.Voting {
		b.AddUint16(uint16(n))
	}
	b.AddBytes(c.LogKey)
	b.AddBytes(c.Roll[:])
	b.AddBytes(c.Register[:])
	b.AddBytes(c.Addresses[:])
	b.AddUint32(c.Electors)
	b.AddUint16(uint16(len(c.Bureaux)))
	for _, u := range c.Bureaux {
		b.AddUint16(uint16(u.Number))
		text(b, u.Place)
		for _, k := range u.Keys {
			b.AddBytes(k.Device)
			b.AddBytes(k.Cosigner)
		}
	}
}

// reader reads fields in turn and remembers whether one was wrong.
type reader struct {
	s   cryptobyte.String
	bad bool
}

func (r *reader) u8() (v uint8)   { r.bad = r.bad || !r.s.ReadUint8(&v); return v }
func (r *reader) u16() (v uint16) { r.bad = r.bad || !r.s.ReadUint16(&v); return v }
func (r *reader) u32() (v uint32) { r.bad = r.bad || !r.s.ReadUint32(&v); return v }
func (r *reader) u64() (v uint64) { r.bad = r.bad || !r.s.ReadUint64(&v); return v }

func (r *reader) flag() bool {
	v := r.u8()
	r.bad = r.bad || v > 1
	return v == 1
}

func (r *reader) text(limit int) string {
	var v cryptobyte.String
	if r.bad || !r.s.ReadUint16LengthPrefixed(&v) || len(v) > limit || !utf8.Valid(v) {
		r.bad = true
		return ""
	}
	return string(v)
}

func (r *reader) key() ed25519.PublicKey {
	k := make(ed25519.PublicKey, ed25519.PublicKeySize)
	r.bad = r.bad || !r.s.CopyBytes(k)
	return k
}

func (r *reader) hash() (h ledger.Hash) {
	r.bad = r.bad || !r.s.CopyBytes(h[:])
	return h
}

const maxURL = 1024

func (r *reader) manifest() *Manifest {
	v := r.u8()
	m := &Manifest{
		Election: r.text(MaxName), Kind: Kind(r.u8()), Policy: Policy(r.u8()), Where: Where(r.u8()), OutsideHolders: r.flag(),
		Modulo97: r.u8(), Opens: ledger.Instant(r.u64()), Closes: ledger.Instant(r.u64()), BarrierMillis: r.u32(),
	}
	for n := r.u8(); n > 0 && !r.bad; n-- {
		m.Witnesses = append(m.Witnesses, Witness{VKey: r.text(MaxName * 2), URL: r.text(maxURL)})
	}
	for n := r.u8(); n > 0 && !r.bad; n-- {
		m.Signatories = append(m.Signatories, Signatory{r.u16(), ledger.Commune(r.u32()), ledger.BureauNumber(r.u16()), r.key()})
	}
	for n := r.u8(); n > 0 && !r.bad; n-- {
		c := r.commune()
		if v == withPayOffices {
			c.PayOffice = r.text(payOfficeLen)
		}
		m.Communes = append(m.Communes, c)
	}
	return m
}

func (r *reader) commune() Commune {
	c := Commune{
		INS: ledger.Commune(r.u32()), NameFR: r.text(MaxName), NameNL: r.text(MaxName),
		Principal: ledger.BureauNumber(r.u16()), Deputy: ledger.BureauNumber(r.u16()),
	}
	for n := r.u8(); n > 0 && !r.bad; n-- {
		c.Voting = append(c.Voting, ledger.BureauNumber(r.u16()))
	}
	c.LogKey, c.Roll, c.Register, c.Addresses, c.Electors = r.key(), r.hash(), r.hash(), r.hash(), r.u32()
	for n := r.u16(); n > 0 && !r.bad; n-- {
		u := Bureau{Number: ledger.BureauNumber(r.u16()), Place: r.text(MaxName)}
		for i := range u.Keys {
			u.Keys[i] = MachineKeys{Device: r.key(), Cosigner: r.key()}
		}
		c.Bureaux = append(c.Bureaux, u)
	}
	return c
}
