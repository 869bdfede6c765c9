package register

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/cryptobyte"
)

const officeMagic = "pointoff"

// Office is the key with which an office signs what becomes of the USB keys and of
// the data (decree, articles 7, 14 and 16), sealed under its holder's passphrase.
type Office struct {
	Election string
	Name     string // "administration", "college", "commune-21014", "principal-21014"
	Seed     [32]byte
}

// Format writes "office (withheld)" whatever the verb.
func (Office) Format(f fmt.State, _ rune) { io.WriteString(f, "office (withheld)") }

// LogValue keeps a signing key out of a log.
func (Office) LogValue() slog.Value { return slog.StringValue("office (withheld)") }

// MarshalText keeps a signing key out of every text encoding.
func (Office) MarshalText() ([]byte, error) { return []byte("office (withheld)"), nil }

// SealOffice writes an office's key under what Passphrase has drawn.
//
//	struct { opaque magic[8] = "pointoff"; uint8 version = 1; opaque election<1..255>; opaque name<1..255>; opaque seed[32] } Office;
func SealOffice(w io.Writer, o Office, passphrase string) error {
	if !validText([]byte(o.Election), 1, MaxElection) || !validText([]byte(o.Name), 1, MaxElection) {
		return errors.New("seal office's key: the election's or the office's name is no line of text")
	}
	var b cryptobyte.Builder
	b.AddBytes([]byte(officeMagic))
	b.AddUint8(formatVersion)
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(o.Election)) })
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(o.Name)) })
	b.AddBytes(o.Seed[:])
	plain, err := b.Bytes()
	defer clear(plain)
	if err == nil {
		err = lock(w, plain, passphrase)
	}
	if err != nil {
		return fmt.Errorf("seal office's key: %w", err)
	}
	return nil
}

// OpenOffice reads a file of SealOffice; ErrForeign says that it is of another
// election. Its other errors are those of OpenKeys.
func OpenOffice(r io.Reader, passphrase, election string) (Office, error) {
	plain, err := unlock(r, passphrase)
	defer clear(plain)
	if err != nil {
		return Office{}, fmt.Errorf("open office's key: %w", err)
	}
	s := cryptobyte.String(plain)
	var head []byte
	var version uint8
	if !s.ReadBytes(&head, len(officeMagic)) || string(head) != officeMagic || !s.ReadUint8(&version) || version != formatVersion {
		return Office{}, fmt.Errorf("open office's key: %w: no such file of version %d", ErrMalformed, formatVersion)
	}
	var of, name cryptobyte.String
	var out Office
	if !s.ReadUint8LengthPrefixed(&of) || !s.ReadUint8LengthPrefixed(&name) || !s.CopyBytes(out.Seed[:]) || !s.Empty() {
		return Office{}, fmt.Errorf("open office's key: %w", ErrMalformed)
	}
	if out.Election, out.Name = string(of), string(name); out.Election != election {
		return Office{}, fmt.Errorf("open office's key: it is of election %q: %w", out.Election, ErrForeign)
	}
	return out, nil
}
