package main

import (
	"crypto/ed25519"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"pointage/ledger"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"prepare": main})
}

// Each script of testdata/script is what people type, and what they get.
// adele is a witness's verifier key.
func adele() string {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	return ledger.CosignerVKey("adele.example", key)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("VKEY", adele())
		return nil
	}})
}
