package election

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// Secrets are the private keys of one incarnation of a bureau's machine.
type Secrets struct {
	Device, Cosigner ed25519.PrivateKey
}

// SecretsFrom makes an incarnation's keys from its 32-byte seed (HKDF-SHA-256), so
// that one short secret is all that a sealed key or an envelope carries.
func SecretsFrom(seed [32]byte) Secrets {
	return Secrets{Device: derive(seed, "pointage device v1"), Cosigner: derive(seed, "pointage cosigner v1")}
}

// Public are the keys that the manifest lists.
func (s Secrets) Public() MachineKeys {
	return MachineKeys{Device: s.Device.Public().(ed25519.PublicKey), Cosigner: s.Cosigner.Public().(ed25519.PublicKey)}
}

func derive(seed [32]byte, use string) ed25519.PrivateKey {
	k, err := hkdf.Key(sha256.New, seed[:], nil, use, ed25519.SeedSize)
	if err != nil {
		panic(fmt.Sprintf("derive %s: %v", use, err))
	}
	return ed25519.NewKeyFromSeed(k)
}
