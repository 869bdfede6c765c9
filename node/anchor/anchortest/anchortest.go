// Package anchortest is a small signed log to try witnesses and their clients with: it
// grows, proves its growth, and can be forked.
package anchortest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Log is an RFC 6962 log in memory whose key's name is its origin. Its methods may be
// called by many goroutines.
type Log struct {
	Origin string
	VKey   string // C2SP vkey, algorithm byte 01
	signer note.Signer

	mu     sync.Mutex
	size   int64
	hashes []tlog.Hash
}

// NewLog makes a log with a fresh key and size entries.
func NewLog(tb testing.TB, origin string, size int) *Log {
	tb.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		tb.Fatal(err)
	}
	l := &Log{Origin: origin, VKey: vkey, signer: signer}
	l.Grow(size, "")
	return l
}

// Fork is a log under the same key that has the first size entries of l and then more
// others.
func (l *Log) Fork(size int64, more int) *Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	fork := &Log{Origin: l.Origin, VKey: l.VKey, signer: l.signer, size: size}
	fork.hashes = append(fork.hashes, l.hashes[:tlog.StoredHashCount(size)]...)
	fork.Grow(more, " of a fork")
	return fork
}

// Grow appends count entries whose text ends in mark.
func (l *Log) Grow(count int, mark string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range count {
		stored, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "entry %d%s", l.size, mark), l.reader())
		if err != nil {
			panic(fmt.Sprintf("hash entry %d: %v", l.size, err))
		}
		l.hashes = append(l.hashes, stored...)
		l.size++
	}
}

// Size is the number of entries.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Root is the tree's root at a size.
func (l *Log) Root(size int64) tlog.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	root, err := tlog.TreeHash(size, l.reader())
	if err != nil {
		panic(fmt.Sprintf("hash tree of %d: %v", size, err))
	}
	return root
}

// Checkpoint is the note (C2SP tlog-checkpoint v1.0.0) that the log signs at a size.
func (l *Log) Checkpoint(size int64) []byte {
	root := l.Root(size)
	return l.Sign(fmt.Sprintf("%s\n%d\n%s\n", l.Origin, size, base64.StdEncoding.EncodeToString(root[:])))
}

// Sign makes a note of any text under the log's key.
func (l *Log) Sign(text string) []byte {
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		panic(fmt.Sprintf("sign %q: %v", text, err))
	}
	return signed
}

// Prove is the consistency proof from old to size (RFC 6962 §2.1.2): empty when there is
// nothing to prove.
func (l *Log) Prove(_ context.Context, old, size uint64) ([]tlog.Hash, error) {
	if old == 0 || old == size {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	proof, err := tlog.ProveTree(int64(size), int64(old), l.reader())
	if err != nil {
		return nil, fmt.Errorf("prove %d to %d: %w", old, size, err)
	}
	return proof, nil
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			found[i] = l.hashes[x]
		}
		return found, nil
	})
}
