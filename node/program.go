package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"pointage/ledger"
)

// Program is the SHA-256 of the running program's file.
func Program() (h ledger.Hash, err error) {
	name, err := os.Executable()
	if err != nil {
		return h, fmt.Errorf("find the program: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return h, fmt.Errorf("read the program: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return h, fmt.Errorf("read the program: %w", err)
	}
	return ledger.Hash(sum.Sum(nil)), nil
}

func logKey(seed [32]byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed[:]) }
