package election_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// FuzzManifest signs whatever body it is given, so that reading goes past the signature.
func FuzzManifest(f *testing.F) {
	d := ledgertest.NewDay(f, 2, 4, nil)
	key := ledgertest.Key("authority")
	f.Add(d.File[:len(d.File)-ed25519.SignatureSize-ed25519.PublicKeySize])
	f.Fuzz(func(t *testing.T, fields []byte) {
		if _, err := election.Parse(fields); err == nil {
			t.Fatal("a manifest without its signature is taken")
		}
		body := append(bytes.Clone(fields), key.Public().(ed25519.PublicKey)...)
		file := append(body, ed25519.Sign(key, append([]byte("pointage/manifest/v1\x00"), body...))...)
		m, err := election.Parse(file)
		if err != nil {
			return
		}
		out, err := m.Sign(key)
		if err != nil || !bytes.Equal(out, file) {
			t.Fatalf("%x encodes as %x, %v", file, out, err)
		}
		for _, c := range m.Communes {
			if _, err := m.Group(ledger.Hash{}, c.INS, d.Roll); err == nil && c.Roll != d.Roll.Hash() {
				t.Fatal("a group with another roll")
			}
		}
	})
}
