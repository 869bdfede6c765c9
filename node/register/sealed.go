package register

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"pointage/ledger"
)

const (
	stanzaCommune = "pointage-commune"
	infoSealed    = "pointage/sealed/v1"
	saltLen       = 16
	// MaxSealable is the length of a text that SealText takes: with age's header it fits a statement.
	MaxSealable = 1536
)

// ErrClosed: the register was closed, and its secret with it.
var ErrClosed = errors.New("the register is closed")

// SealText seals a text for all who can open this commune's register: its bureaux, whichever machine
// serves them, and the experts.
//
// One key for all of them, made from K: a statement has no room for a hybrid stanza (1.6 kB) for each
// bureau; a machine that takes a lost one's place, the principal bureau and the experts must read what was said before them; K
// is symmetric, so that no quantum computer opens it either; and its destruction (art. 11 § 5) shuts every text for ever. It keeps
// out whoever has the ledger alone. Which bureau of the commune wrote a text is shown by the statement's signature.
func (r *Register) SealText(plain []byte) ([]byte, error) {
	if len(plain) > MaxSealable {
		return nil, fmt.Errorf("seal text: %d bytes, at most %d", len(plain), MaxSealable)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return nil, fmt.Errorf("seal text: %w", ErrClosed)
	}
	return sealText(&communeKey{&r.key}, plain)
}

// OpenText opens what SealText sealed, at any bureau of the commune.
func (r *Register) OpenText(sealed []byte) ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return nil, fmt.Errorf("open text: %w", ErrClosed)
	}
	return unsealText(&communeKey{&r.key}, sealed)
}

// SealTo seals a text to one hybrid recipient, such as a commune's pay office, in a length that a statement holds.
func SealTo(recipient string, plain []byte) ([]byte, error) {
	to, err := age.ParseHybridRecipient(recipient)
	if err != nil {
		return nil, errors.New("seal text: its recipient is no hybrid age recipient")
	}
	return sealText(to, plain)
}

// OpenWith opens what SealTo sealed, with the recipient's identity.
func OpenWith(id *age.HybridIdentity, sealed []byte) ([]byte, error) { return unsealText(id, sealed) }

func sealText(to age.Recipient, plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("seal text: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal text: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal text: %w", err)
	}
	if out.Len() > ledger.MaxSealed {
		return nil, fmt.Errorf("seal text: %d bytes sealed, a statement holds %d", out.Len(), ledger.MaxSealed)
	}
	return out.Bytes(), nil
}

func unsealText(id age.Identity, sealed []byte) ([]byte, error) {
	if len(sealed) > ledger.MaxSealed {
		return nil, fmt.Errorf("open text: %d bytes, at most %d", len(sealed), ledger.MaxSealed)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		return nil, fmt.Errorf("open text: %w", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("open text: %w", err)
	}
	return plain, nil
}

// communeKey is age's recipient and identity made from K: SPEC 2 has the stanza.
type communeKey struct{ key *[32]byte }

func (c *communeKey) wrapping(salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, c.key[:], salt, infoSealed, chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	return chacha20poly1305.New(k)
}

// Wrap implements age.Recipient. The salt is drawn anew, so that the key under the nonce of zeros is used once.
func (c *communeKey) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	salt := make([]byte, saltLen)
	rand.Read(salt)
	a, err := c.wrapping(salt)
	if err != nil {
		return nil, err
	}
	body := a.Seal(nil, make([]byte, a.NonceSize()), fileKey, nil)
	return []*age.Stanza{{Type: stanzaCommune, Args: []string{base64.RawStdEncoding.Strict().EncodeToString(salt)}, Body: body}}, nil
}

// fileKeyLen is the length of age's file keys.
const fileKeyLen = 16

// Unwrap implements age.Identity.
func (c *communeKey) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != stanzaCommune || len(stanzas[0].Args) != 1 {
		return nil, age.ErrIncorrectIdentity
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(stanzas[0].Args[0])
	if err != nil || len(salt) != saltLen || len(stanzas[0].Body) != fileKeyLen+chacha20poly1305.Overhead {
		return nil, errors.New("the stanza is malformed")
	}
	a, err := c.wrapping(salt)
	if err != nil {
		return nil, err
	}
	key, err := a.Open(nil, make([]byte, a.NonceSize()), stanzas[0].Body, nil)
	if err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	return key, nil
}
