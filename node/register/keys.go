package register

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

const (
	keysMagic = "pointkey"
	// maxIdentity bounds an age identity, in bytes.
	maxIdentity = 4 << 10
)

// Keys is all that one incarnation of a bureau's machine must keep secret. It is
// sealed under the president's passphrase (the first incarnation) or under a
// single-use code in an envelope (the others).
type Keys struct {
	Binding     Binding
	Bureau      ledger.BureauNumber
	Incarnation ledger.Incarnation
	// Identity is the bureau's age identity, which opens the commune's
	// register: the same in all incarnations.
	Identity string
	// Seed makes the incarnation's device and cosigner keys.
	Seed [32]byte
	// Journal encrypts the journal of this incarnation's media.
	Journal [32]byte
	// Log is the seed of the commune's one log key, at the principal bureau and
	// its deputy; nil elsewhere.
	Log *[32]byte
}

// Format writes "keys (withheld)" whatever the verb.
func (Keys) Format(f fmt.State, _ rune) { io.WriteString(f, "keys (withheld)") }

// LogValue keeps keys out of a log.
func (Keys) LogValue() slog.Value { return slog.StringValue("keys (withheld)") }

// MarshalText keeps keys out of every text encoding.
func (Keys) MarshalText() ([]byte, error) { return []byte("keys (withheld)"), nil }

// SealKeys writes the keys sealed under what Passphrase or Code has drawn.
//
//	struct {
//	    opaque magic[8] = "pointkey";
//	    uint8 version = 1;
//	    Binding binding;
//	    uint16 bureau;
//	    uint8 incarnation;
//	    opaque identity<1..4096>;   // "AGE-SECRET-KEY-PQ-1…"
//	    opaque seed[32];
//	    opaque journal[32];
//	    opaque log<0..32>;          // 0 or 32 bytes
//	} Keys;
func SealKeys(w io.Writer, k Keys, passphrase string) error {
	if err := k.check(); err != nil {
		return fmt.Errorf("seal keys: %w", err)
	}
	var b cryptobyte.Builder
	b.AddBytes([]byte(keysMagic))
	b.AddUint8(formatVersion)
	addBinding(&b, k.Binding)
	b.AddUint16(uint16(k.Bureau))
	b.AddUint8(uint8(k.Incarnation))
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(k.Identity)) })
	b.AddBytes(k.Seed[:])
	b.AddBytes(k.Journal[:])
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) {
		if k.Log != nil {
			c.AddBytes(k.Log[:])
		}
	})
	plain := b.BytesOrPanic()
	defer clear(plain)
	if err := lock(w, plain, passphrase); err != nil {
		return fmt.Errorf("seal keys: %w", err)
	}
	return nil
}

// OpenKeys reads a file of SealKeys with what the president typed. The errors
// wrap ErrPassphrase (mistyped), ErrKey (the passphrase of another file),
// ErrForeign (another commune, election or kind) or ErrMalformed.
func OpenKeys(r io.Reader, passphrase string, want Binding) (Keys, error) {
	plain, err := unlock(r, passphrase)
	defer clear(plain)
	if err != nil {
		return Keys{}, fmt.Errorf("open keys: %w", err)
	}
	k, err := decodeKeys(plain, want)
	if err != nil {
		return Keys{}, fmt.Errorf("open keys: %w", err)
	}
	return k, nil
}

func decodeKeys(plain []byte, want Binding) (Keys, error) {
	s := cryptobyte.String(plain)
	var head []byte
	var version uint8
	if !s.ReadBytes(&head, len(keysMagic)) || string(head) != keysMagic || !s.ReadUint8(&version) || version != formatVersion {
		return Keys{}, fmt.Errorf("%w: no file of keys of version %d", ErrMalformed, formatVersion)
	}
	if err := readBinding(&s, want); err != nil {
		return Keys{}, err
	}
	k := Keys{Binding: want}
	var identity, log cryptobyte.String
	if !s.ReadUint16((*uint16)(&k.Bureau)) || !s.ReadUint8((*uint8)(&k.Incarnation)) || !s.ReadUint16LengthPrefixed(&identity) ||
		!s.CopyBytes(k.Seed[:]) || !s.CopyBytes(k.Journal[:]) || !s.ReadUint8LengthPrefixed(&log) || !s.Empty() {
		return Keys{}, fmt.Errorf("%w: its keys", ErrMalformed)
	}
	k.Identity = string(identity)
	if len(log) > 0 {
		k.Log = new([32]byte)
		if copy(k.Log[:], log) != len(log) || len(log) != len(k.Log) {
			return Keys{}, fmt.Errorf("%w: its log key", ErrMalformed)
		}
	}
	if err := k.check(); err != nil {
		return Keys{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return k, nil
}

func (k *Keys) check() error {
	switch {
	case !validText([]byte(k.Binding.Election), 1, MaxElection):
		return fmt.Errorf("the election's name must be a line of 1 to %d bytes", MaxElection)
	case k.Bureau < 1 || k.Bureau > ledger.MaxBureaux:
		return fmt.Errorf("bureau %d, bureaux are 1 to %d", k.Bureau, ledger.MaxBureaux)
	case k.Incarnation >= ledger.Incarnations:
		return fmt.Errorf("incarnation %d, a bureau has %d", k.Incarnation, ledger.Incarnations)
	case len(k.Identity) > maxIdentity:
		return errors.New("an age identity that is too long")
	}
	_, err := age.ParseHybridIdentity(k.Identity)
	return err
}
