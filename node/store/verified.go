package store

import (
	"runtime"
	"sync"

	"pointage/ledger"
)

// checked is a command that was decoded and whose signature holds, or the reason why
// it has no batch.
type checked struct {
	batch  *ledger.Batch
	reason ledger.Reason
}

// verify decodes the commands and checks their signatures, on all cores.
func (s *Store) verify(commands [][]byte) []checked {
	out := make([]checked, len(commands))
	if len(commands) == 1 {
		out[0] = s.check(commands[0])
		return out
	}
	workers := min(runtime.GOMAXPROCS(0), len(commands))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(commands); i += workers {
				out[i] = s.check(commands[i])
			}
		})
	}
	wg.Wait()
	return out
}

func (s *Store) check(command []byte) checked {
	b, err := ledger.DecodeBatch(command)
	if err != nil {
		return checked{reason: ledger.Malformed}
	}
	if h := b.Signed(); s.Verify(&h) != nil {
		return checked{reason: ledger.NotSigned}
	}
	return checked{batch: b}
}

// Verify is SignedHeader.Verify for the commune's group; what held once is remembered. It is safe
// for use by many goroutines.
func (s *Store) Verify(h *ledger.SignedHeader) error { return s.opt.Verified.verify(h, s.g) }

// maxVerified is how many headers one of a Verified's two generations remembers.
const maxVerified = 16 << 10

// Verified remembers headers whose signatures hold: the same batch comes from peers, as a command, and
// perhaps as a command again. One may be shared, so that the many bureaux of a simulated commune in one
// process check each once; a real bureau checks every signature itself.
type Verified struct {
	mu   sync.Mutex
	seen map[verifiedKey]bool
	// older is the generation before, dropped when seen is full.
	older map[verifiedKey]bool
}

type verifiedKey struct {
	identity  ledger.Hash
	signature [64]byte
}

// NewVerified is an empty memory.
func NewVerified() *Verified { return &Verified{seen: map[verifiedKey]bool{}} }

func (m *Verified) verify(h *ledger.SignedHeader, g *ledger.Group) error {
	// The identity covers manifest, commune and author, and so the key.
	k := verifiedKey{h.Header.Identity(), h.Signature}
	m.mu.Lock()
	known := m.seen[k] || m.older[k]
	m.mu.Unlock()
	if known && h.Header.Manifest == g.Manifest && h.Header.Commune == g.Commune {
		return nil
	}
	if err := h.Verify(g); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= maxVerified {
		m.older, m.seen = m.seen, map[verifiedKey]bool{}
	}
	m.seen[k] = true
	return nil
}
