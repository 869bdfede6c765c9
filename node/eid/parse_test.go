package eid

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"pointage/node/eid/eidtest"
)

const wellFormed = "\x00\x02\x00\x02\x03\x0a01.02.2022\x04\x0a01.02.2032\x06\x0b80010100008\x07\x01X\x08\x00"

func TestIdentityFilesAreReadStrictly(t *testing.T) {
	long := strings.Repeat("u", 600)
	for name, c := range map[string]struct {
		file string
		ok   bool
	}{
		"well formed":               {wellFormed, true},
		"without a version":         {wellFormed[4:], true},
		"zeros behind":              {wellFormed + "\x00\x00\x00", true},
		"unknown tags":              {wellFormed + "\x77\x02ab", true},
		"a length of 255":           {wellFormed + "\x77\xff\x00" + long[:255], true},
		"a length of 600":           {wellFormed + "\x77\xff\xff\x5a" + long, true},
		"empty":                     {"", false},
		"more than zeros behind":    {wellFormed + "\x00\x00\x01", false},
		"a tag twice":               {wellFormed + "\x06\x0b80010199976", false},
		"an unknown tag twice":      {wellFormed + "\x77\x00\x77\x00", false},
		"no number":                 {strings.Replace(wellFormed, "\x06", "\x66", 1), false},
		"no validity":               {strings.Replace(wellFormed, "\x04\x0a", "\x64\x0a", 1), false},
		"no surname":                {strings.Replace(wellFormed, "\x07\x01", "\x67\x01", 1), false},
		"cut in a value":            {wellFormed[:20], false},
		"cut after a tag":           {wellFormed + "\x77", false},
		"cut in a length":           {wellFormed + "\x77\xff\xff", false},
		"a length beyond the end":   {wellFormed + "\x77\x05abcd", false},
		"a chip's key of 47 bytes":  {wellFormed + "\x1a\x2f" + long[:47], false},
		"a chip's key of 48 bytes":  {wellFormed + "\x1a\x30" + long[:48], true},
		"longer than any card's":    {wellFormed + strings.Repeat("\x00", maxIdentityFile), false},
		"a length of many hundreds": {wellFormed + "\x77" + strings.Repeat("\xff", 1000), false},
	} {
		f, err := parseFields([]byte(c.file))
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v, want read: %t", name, err, c.ok)
		}
		if c.ok && string(f.number) != "80010100008" {
			t.Errorf("%s: another number", name)
		}
	}
}

func TestThePinnedRootIsTheStatesAndOthersAreKnownByTheirDigests(t *testing.T) {
	readme, err := os.ReadFile("roots/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for digest := range known {
		if !bytes.Contains(readme, []byte(digest)) {
			t.Errorf("%s is not in roots/README.md", digest)
		}
	}
	pinned := PinnedRoots().certificates
	if len(pinned) != 1 {
		t.Fatalf("%d roots in the program", len(pinned))
	}
	c := pinned[0]
	if digest := sha256.Sum256(c.Raw); !known[hex.EncodeToString(digest[:])] || c.Subject.CommonName != "Belgium Root CA6" ||
		!c.IsCA || !bytes.Equal(c.RawSubject, c.RawIssuer) || !signedBy(c, c) {
		t.Errorf("%s is no Belgian root", c.Subject.CommonName)
	}
	own, err := os.ReadFile("roots/belgium-root-ca6.pem")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := FurtherRoots(own); err != nil || len(r.certificates) != 2 {
		t.Errorf("a file with a root of the State: %d, %v", len(r.certificates), err)
	}
	stranger, err := eidtest.NewAuthority(eidtest.RSASHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FurtherRoots(append(own, stranger.Root()...)); err == nil {
		t.Error("a stranger's root is taken")
	}
	if _, err := FurtherRoots([]byte("nothing")); err == nil {
		t.Error("a file without a certificate is taken")
	}
}

func TestTroublesAreToldApart(t *testing.T) {
	seen := map[string]bool{}
	for _, trouble := range Troubles() {
		s := trouble.String()
		if seen[s] || strings.ContainsAny(s, "\n") || !strings.Contains(s, ":") {
			t.Errorf("trouble %d: %q", trouble, s)
		}
		seen[s] = true
	}
	if len(seen) != len(troubles) || Trouble(0).Known() || Trouble(99).Known() {
		t.Errorf("%d of %d troubles listed", len(seen), len(troubles))
	}
}

func FuzzIdentityFile(f *testing.F) {
	f.Add([]byte(wellFormed))
	f.Add([]byte(wellFormed + "\x77\xff\xff\x5a"))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, err := parseFields(file)
		if err != nil {
			return
		}
		if id, err := found.identity(); err == nil && (len(id.Surname) > maxSurname || len(id.FirstNames) > maxFirstNames || id.Number.IsZero()) {
			t.Error("an identity beyond its limits")
		}
	})
}

// FuzzVerify looks for files that are taken without the National Register's signature.
func FuzzVerify(f *testing.F) {
	for _, g := range []eidtest.Generation{eidtest.ECDSA, eidtest.RSASHA1} {
		c, _ := issue(f, g, person)
		f.Add(c.Files[eidtest.Identity], c.Files[eidtest.Signature], c.Files[eidtest.Register], c.Files[eidtest.ChipKey])
	}
	roots := PinnedRoots()
	f.Fuzz(func(t *testing.T, identity, signature, register, key []byte) {
		if _, _, trouble := Verify(Files{identity, signature, register, key}, roots); trouble == 0 {
			t.Error("signed by nobody, and taken")
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"event":"card-read","reader":"r","number":"80010100008","surname":"X","from":"01.02.2022","until":"01.02.2032","signature":1,"chip":1}`))
	f.Add([]byte(`{"event":"trouble","trouble":4}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := DecodeEvent(text)
		if err != nil {
			return
		}
		if again, err := DecodeEvent(bytes.TrimSuffix(e.Encode(), []byte("\n"))); err != nil || again != e {
			t.Errorf("an event changes on the wire: %v", err)
		}
	})
}
