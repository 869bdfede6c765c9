package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is the size and root of one epoch's tree (C2SP tlog-checkpoint
// v1.0.0, without extension lines).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Text is the note's text: origin, size and root, a line each.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// ParseCheckpoint reads a note's text, which must be exactly what Text writes.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, errors.New("parse checkpoint: not three lines")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	c := Checkpoint{Origin: lines[0], Size: size}
	if err != nil || err2 != nil || copy(c.Root[:], root) != len(c.Root) || c.Text() != text {
		return Checkpoint{}, errors.New("parse checkpoint: not in its one form")
	}
	return c, nil
}

// MaxCosignatures is how many cosignatures a note carries at most beside the log's
// signature: note.Open refuses over 100 lines.
const MaxCosignatures = 90

// MaxNote is the length of a checkpoint note with all its lines, in bytes.
const MaxNote = 32 << 10

// Note key algorithms (C2SP signed-note and tlog-cosignature).
const (
	algEd25519     = 0x01
	algCosignature = 0x04
)

func keyHash(name string, alg byte, key ed25519.PublicKey) uint32 {
	h := sha256.New()
	h.Write([]byte(name + "\n"))
	h.Write([]byte{alg})
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

func vkey(name string, alg byte, key ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyHash(name, alg, key), base64.StdEncoding.EncodeToString(append([]byte{alg}, key...)))
}

// LogVKey is the log's verifier key as text; its name is the origin.
func LogVKey(origin string, key ed25519.PublicKey) string { return vkey(origin, algEd25519, key) }

// CosignerVKey is a cosigner's verifier key as text.
func CosignerVKey(name string, key ed25519.PublicKey) string {
	return vkey(name, algCosignature, key)
}

// NoteKey is one who signs notes: the log or a cosigner. It implements note.Verifier.
type NoteKey struct {
	name string
	alg  byte
	key  ed25519.PublicKey
	hash uint32
}

// LogKey verifies the log's signature on its checkpoints.
func LogKey(origin string, key ed25519.PublicKey) *NoteKey {
	return &NoteKey{origin, algEd25519, key, keyHash(origin, algEd25519, key)}
}

// CosignerKey verifies timestamped cosignatures.
func CosignerKey(name string, key ed25519.PublicKey) *NoteKey {
	return &NoteKey{name, algCosignature, key, keyHash(name, algCosignature, key)}
}

// ParseCosignerVKey reads a witness's verifier key, of algorithm 0x04.
func ParseCosignerVKey(text string) (*NoteKey, error) {
	name, rest, _ := strings.Cut(text, "+")
	_, b64, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || !validName(name) || len(b) != 1+ed25519.PublicKeySize || b[0] != algCosignature {
		return nil, fmt.Errorf("%.80q is not the verifier key of a cosigner (algorithm 04)", text)
	}
	k := CosignerKey(name, b[1:])
	if k.VKey() != text {
		return nil, fmt.Errorf("%.80q is not the verifier key of a cosigner in its one form", text)
	}
	return k, nil
}

// validName says whether the name can stand on a signature line (C2SP signed-note):
// printable UTF-8 without spaces and plus signs.
func validName(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(c rune) bool {
		return c == '+' || unicode.IsSpace(c) || !unicode.IsPrint(c)
	})
}

// VKey is the verifier key as text.
func (k *NoteKey) VKey() string { return vkey(k.name, k.alg, k.key) }

// Name is the key's name on signature lines.
func (k *NoteKey) Name() string { return k.name }

// KeyHash is the four bytes that name the key on signature lines.
func (k *NoteKey) KeyHash() uint32 { return k.hash }

// Verify implements note.Verifier over the note's text.
func (k *NoteKey) Verify(msg, sig []byte) bool {
	if k.alg == algEd25519 {
		return ed25519.Verify(k.key, msg, sig)
	}
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(k.key, cosigned(binary.BigEndian.Uint64(sig), msg), sig[8:])
}

func cosigned(seconds uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", seconds), text...)
}

// noteSigner implements note.Signer for one signature.
type noteSigner struct {
	*NoteKey
	sign func(msg []byte) []byte
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.sign(msg), nil }

// SignCheckpoint makes the note with the log's signature alone. The key is the
// commune's log key; its note name is the checkpoint's origin.
func SignCheckpoint(c Checkpoint, key ed25519.PrivateKey) ([]byte, error) {
	s := noteSigner{LogKey(c.Origin, key.Public().(ed25519.PublicKey)), func(m []byte) []byte { return ed25519.Sign(key, m) }}
	n, err := note.Sign(&note.Note{Text: c.Text()}, s)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return n, nil
}

// Cosign is the cosignature line for a checkpoint, newline included, at a time in
// seconds since 1970 (C2SP tlog-cosignature v1.0.1).
func Cosign(c Checkpoint, name string, key ed25519.PrivateKey, seconds uint64) string {
	k := CosignerKey(name, key.Public().(ed25519.PublicKey))
	b := binary.BigEndian.AppendUint32(nil, k.hash)
	b = binary.BigEndian.AppendUint64(b, seconds)
	b = append(b, ed25519.Sign(key, cosigned(seconds, []byte(c.Text())))...)
	return "— " + name + " " + base64.StdEncoding.EncodeToString(b) + "\n"
}

// Cosignature is one cosigner's line of a checkpoint, verified.
type Cosignature struct {
	Name    string
	KeyHash uint32
	// Seconds since 1970, by the cosigner's clock.
	Seconds   uint64
	Signature [ed25519.SignatureSize]byte
}

// OpenCheckpoint reads a checkpoint note signed by the log and any of the known
// cosigners. It must be in its one form: the log's line first, then cosigners' in the
// order of the keys given, no line twice, no unknown line.
func OpenCheckpoint(b []byte, log *NoteKey, cosigners []*NoteKey) (Checkpoint, []Cosignature, error) {
	if len(b) > MaxNote {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %d bytes, at most %d", len(b), MaxNote)
	}
	known := []note.Verifier{log}
	order := map[string]int{}
	for i, k := range cosigners {
		known = append(known, k)
		order[fmt.Sprintf("%s+%08x", k.name, k.hash)] = i
	}
	n, err := note.Open(b, note.VerifierList(known...))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if c.Origin != log.name {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: origin %.80q is not %q", c.Origin, log.name)
	}
	form, sigs, last := n.Text+"\n", []Cosignature(nil), -1
	for i, s := range n.Sigs {
		form += "— " + s.Name + " " + s.Base64 + "\n"
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != s.Base64 {
			return Checkpoint{}, nil, errors.New("open checkpoint: a signature line is not in its one form")
		}
		if i == 0 {
			if s.Name != log.name || s.Hash != log.hash {
				return Checkpoint{}, nil, errors.New("open checkpoint: the first line is not the log's")
			}
			continue
		}
		at, ok := order[fmt.Sprintf("%s+%08x", s.Name, s.Hash)]
		if !ok || at <= last {
			return Checkpoint{}, nil, errors.New("open checkpoint: lines out of order")
		}
		last = at
		sig := Cosignature{Name: s.Name, KeyHash: s.Hash, Seconds: binary.BigEndian.Uint64(raw[4:])}
		copy(sig.Signature[:], raw[12:])
		sigs = append(sigs, sig)
	}
	if len(sigs) > MaxCosignatures {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %d cosignatures, at most %d", len(sigs), MaxCosignatures)
	}
	if len(n.UnverifiedSigs) > 0 || form != string(b) {
		return Checkpoint{}, nil, errors.New("open checkpoint: unknown or repeated signature lines")
	}
	return c, sigs, nil
}
