package platform

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
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
	return skey, c.vkey(), nil
}

// VKey returns the vkey, algorithm byte 04, of a secret key of GenerateKey.
func VKey(skey string) (string, error) {
	c, err := parseKey(skey)
	if err != nil {
		return "", err
	}
	return c.vkey(), nil
}

// A cosigner signs checkpoints with a time that its caller gives: the signer of
// transparency-dev/formats reads the machine's clock by itself.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func newCosigner(name string, seed []byte) *cosigner {
	key := ed25519.NewKeyFromSeed(seed)
	public := append([]byte{algorithmCosignature}, key.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	return &cosigner{name: name, hash: binary.BigEndian.Uint32(sum[:]), key: key}
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

func checkKeyName(name string) error {
	// The library's own rule for names decides; the key in this line is not used.
	trial := newCosigner(name, make([]byte, ed25519.SeedSize))
	if _, err := fnote.NewVerifierForCosignatureV1(trial.vkey()); err != nil || len(name) > MaxOrigin || strings.ContainsFunc(name, isControl) {
		return fmt.Errorf("%q can't name a key: it needs 1 to %d bytes without space or plus", name, MaxOrigin)
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

func (c *cosigner) vkey() string {
	public := append([]byte{algorithmCosignature}, c.key.Public().(ed25519.PublicKey)...)
	return fmt.Sprintf("%s+%08x+%s", c.name, c.hash, base64.StdEncoding.EncodeToString(public))
}

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
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	return fmt.Sprintf("%s+%08x+%s", name, binary.BigEndian.Uint32(sum[:]), parts[2]), nil
}
