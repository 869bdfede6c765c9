package register

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
)

// KeyFinder finds a commune's secret K in bytes that must not hold it, without
// giving it away. Wipe it when done.
type KeyFinder struct{ forms [][]byte }

// KeyFinder is the finder of the register's own K; it lives on when the register is
// closed.
func (r *Register) KeyFinder() *KeyFinder {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return newKeyFinder(r.key)
}

func newKeyFinder(key [32]byte) *KeyFinder {
	digits := []byte(hex.EncodeToString(key[:]))
	f := &KeyFinder{forms: [][]byte{bytes.Clone(key[:]), digits, bytes.ToUpper(digits)}}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		f.forms = append(f.forms, []byte(enc.EncodeToString(key[:])))
	}
	return f
}

// In says whether the bytes hold K: raw, in hexadecimal digits or in base64.
func (f *KeyFinder) In(b []byte) bool {
	for _, form := range f.forms {
		if bytes.Contains(b, form) {
			return true
		}
	}
	return false
}

// Wipe overwrites the finder, which then finds nothing.
func (f *KeyFinder) Wipe() {
	for _, form := range f.forms {
		clear(form)
	}
	f.forms = nil
}

// GiveTokenKey hands K, which tells whose each token is, to the regional platform's upload (art. 11: the lists of
// absent electors are drawn up there). give keeps no copy; what it was given is wiped.
func (r *Register) GiveTokenKey(give func(k []byte) error) error {
	r.mu.RLock()
	k := bytes.Clone(r.key[:])
	r.mu.RUnlock()
	defer clear(k)
	return give(k)
}
