package preparation

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"

	"filippo.io/age"

	"pointage/node/register"
)

// identityWork is scrypt's work factor (log2 N) for such an identity: its
// passphrase has 80 random bits.
const identityWork = 15

// DrawIdentity draws a hybrid age identity, the college of experts' (decree, article
// 5) or a pay office's (article 8), and writes it sealed under a passphrase, its
// recipient, and the passphrase, into three new files.
func DrawIdentity(out, recipient, letter string) error {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return fmt.Errorf("draw identity: %w", err)
	}
	passphrase, err := register.Passphrase(rand.Reader)
	if err != nil {
		return fmt.Errorf("draw identity: %w", err)
	}
	scrypt, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("seal identity: %w", err)
	}
	scrypt.SetWorkFactor(identityWork)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, scrypt)
	if err != nil {
		return fmt.Errorf("seal identity: %w", err)
	}
	if _, err := io.WriteString(w, id.String()+"\n"); err != nil {
		return fmt.Errorf("seal identity: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("seal identity: %w", err)
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{letter, []byte(passphrase + "\n")}, {out, sealed.Bytes()}, {recipient, []byte(id.Recipient().String() + "\n")}} {
		if err := writeFile(f.name, func(w io.Writer) error { _, err := w.Write(f.text); return err }); err != nil {
			return fmt.Errorf("write identity: %w", err)
		}
	}
	return nil
}
