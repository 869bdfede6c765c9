package register

import (
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/cryptobyte"
)

const signatoryMagic = "pointsig"

// Signatory is the signing key of a person whose signature counts under an
// amendment of the manifest, sealed under that person's own passphrase.
type Signatory struct {
	Binding Binding
	Number  uint16   // in the manifest
	Seed    [32]byte // of an Ed25519 key
}

// Format writes "signatory (withheld)" whatever the verb.
func (Signatory) Format(f fmt.State, _ rune) { io.WriteString(f, "signatory (withheld)") }

// LogValue keeps a signing key out of a log.
func (Signatory) LogValue() slog.Value { return slog.StringValue("signatory (withheld)") }

// MarshalText keeps a signing key out of every text encoding.
func (Signatory) MarshalText() ([]byte, error) { return []byte("signatory (withheld)"), nil }

// SealSignatory writes a signatory's key under what Passphrase has drawn.
//
//	struct { opaque magic[8] = "pointsig"; uint8 version = 1; Binding binding; uint16 number; opaque seed[32] } Signatory;
func SealSignatory(w io.Writer, s Signatory, passphrase string) error {
	var b cryptobyte.Builder
	b.AddBytes([]byte(signatoryMagic))
	b.AddUint8(formatVersion)
	addBinding(&b, s.Binding)
	b.AddUint16(s.Number)
	b.AddBytes(s.Seed[:])
	plain, err := b.Bytes()
	defer clear(plain)
	if err == nil {
		err = lock(w, plain, passphrase)
	}
	if err != nil {
		return fmt.Errorf("seal signatory's key: %w", err)
	}
	return nil
}

// OpenSignatory reads a file of SealSignatory. Its errors are those of OpenKeys.
func OpenSignatory(r io.Reader, passphrase string, want Binding) (Signatory, error) {
	plain, err := unlock(r, passphrase)
	defer clear(plain)
	if err != nil {
		return Signatory{}, fmt.Errorf("open signatory's key: %w", err)
	}
	s := cryptobyte.String(plain)
	var head []byte
	var version uint8
	if !s.ReadBytes(&head, len(signatoryMagic)) || string(head) != signatoryMagic || !s.ReadUint8(&version) || version != formatVersion {
		return Signatory{}, fmt.Errorf("open signatory's key: %w: no such file of version %d", ErrMalformed, formatVersion)
	}
	if err := readBinding(&s, want); err != nil {
		return Signatory{}, fmt.Errorf("open signatory's key: %w", err)
	}
	out := Signatory{Binding: want}
	if !s.ReadUint16(&out.Number) || !s.CopyBytes(out.Seed[:]) || !s.Empty() {
		return Signatory{}, fmt.Errorf("open signatory's key: %w", ErrMalformed)
	}
	return out, nil
}
