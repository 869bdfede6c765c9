package platform

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
)

// algorithmCosignature is the algorithm byte of a timestamped Ed25519 cosignature
// (C2SP tlog-cosignature v1.0.1).
const algorithmCosignature = 0x04

// GenerateKey makes a witness key named name, a URL without scheme such as
// "adele.example/witness". skey is to be kept secret; vkey is the C2SP vkey, algorithm
// byte 04, that a manifest names.
func GenerateKey(random io.Reader, name string) (skey, vkey string, err error) {
	if err := checkKeyName(name); err != nil {
		return "", "", err
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return "", "", fmt.Errorf("draw a key: %w", err)
	}
	c := newCosigner(name, seed)
	skey = fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, c.hash,
		base64.StdEncoding.EncodeToString(append([]byte{algorithmCosignature}, seed...)))
	return skey, c.vkey, nil
}

// VKey returns the vkey, algorithm byte 04, of a secret key of GenerateKey.
func VKey(skey string) (string, error) {
	c, err := parseKey(skey)
	if err != nil {
		return "", err
	}
	return c.vkey, nil
}

// A cosigner signs checkpoints with a time that its caller gives: the signer of
// transparency-dev/formats reads the machine's clock by itself.
type cosigner struct {
	name string
	hash uint32
	vkey string
	key  ed25519.PrivateKey
}

func newCosigner(name string, seed []byte) *cosigner {
	key := ed25519.NewKeyFromSeed(seed)
	verifier := ledger.CosignerKey(name, key.Public().(ed25519.PublicKey))
	return &cosigner{name: name, hash: verifier.KeyHash(), vkey: verifier.VKey(), key: key}
}

func parseKey(skey string) (*cosigner, error) {
	errShape := errors.New("not a witness key of this platform (PRIVATE+KEY+name+hash+key, algorithm 04)")
	rest, ok := strings.CutPrefix(strings.TrimSpace(skey), "PRIVATE+KEY+")
	parts := strings.Split(rest, "+")
	if !ok || len(parts) < 3 {
		return nil, errShape
	}
	// Base64 may hold a plus: what follows the second one belongs together.
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.Join(parts[2:], "+"))
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algorithmCosignature || checkKeyName(parts[0]) != nil {
		return nil, errShape
	}
	c := newCosigner(parts[0], raw[1:])
	if fmt.Sprintf("%08x", c.hash) != parts[1] {
		return nil, errors.New("the key's hash does not fit its name: one character of it was changed")
	}
	return c, nil
}

// checkKeyName is the rule of C2SP signed-note for names of keys, and ours for length.
func checkKeyName(name string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || isControl(r) || r == '+' }
	if name == "" || len(name) > MaxOrigin || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q can't name a key: it needs 1 to %d bytes without space or plus", name, MaxOrigin)
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// line is the cosignature line, newline included, over text at an instant of whole
// seconds.
func (c *cosigner) line(text string, at time.Time) string {
	seconds := uint64(at.Unix())
	signature := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text))
	raw := binary.BigEndian.AppendUint32(nil, c.hash)
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	raw = append(raw, signature...)
	return fmt.Sprintf("— %s %s\n", c.name, base64.StdEncoding.EncodeToString(raw))
}

// renameKey gives the vkey of the same public key under another name: a commune's one
// log key signs every epoch, under each epoch's origin.
func renameKey(vkey, name string) (string, error) {
	if _, err := note.NewVerifier(vkey); err != nil {
		return "", fmt.Errorf("read vkey: %w", err)
	}
	parts := strings.SplitN(vkey, "+", 3)
	public, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return "", fmt.Errorf("read vkey: %w", err)
	}
	// After the algorithm byte stand the 32 bytes that NewVerifier has checked.
	return ledger.LogVKey(name, public[1:]), nil
}
