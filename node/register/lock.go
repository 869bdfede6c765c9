package register

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

const (
	// passphraseWork is scrypt's work factor (log2 N) for a Passphrase: 80 random
	// bits need no more, and the default of 18 would cost each opening 256 MiB.
	passphraseWork = 15
	// codeWork is the same for a Code, whose 128 random bits nobody guesses.
	codeWork = 10
	// maxLocked bounds the plain text of a file under a passphrase, in bytes.
	maxLocked = 8 << 10
)

// lock seals a secret under what Passphrase or Code has drawn; a text that a
// person made up is refused.
func lock(w io.Writer, plain []byte, passphrase string) error {
	secret, err := ParsePassphrase(passphrase)
	if err != nil {
		return err
	}
	recipient, err := age.NewScryptRecipient(secret)
	if err != nil {
		return err
	}
	recipient.SetWorkFactor(passphraseWork)
	if isCode(secret) {
		recipient.SetWorkFactor(codeWork)
	}
	sealed, err := age.Encrypt(w, recipient)
	if err != nil {
		return err
	}
	if _, err := sealed.Write(plain); err != nil {
		return err
	}
	return sealed.Close()
}

// unlock opens what lock has sealed. The caller wipes the plain text.
func unlock(r io.Reader, passphrase string) ([]byte, error) {
	secret, err := ParsePassphrase(passphrase)
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(secret)
	if err != nil {
		return nil, err
	}
	// A file that asks for more was not written by lock and would take memory
	// and minutes.
	id.SetMaxWorkFactor(passphraseWork)
	sealed, err := age.Decrypt(r, id)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, fmt.Errorf("the passphrase is of another file: %w", ErrKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	plain, err := io.ReadAll(io.LimitReader(sealed, maxLocked+1))
	if err != nil {
		clear(plain)
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return plain, nil
}
