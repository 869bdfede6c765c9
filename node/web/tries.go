package web

import (
	"sync"
	"time"
)

// After freeTries wrong secrets of one person the next must wait: firstWait, doubled each time up to longestWait. A
// PIN of six digits then stands for years; the passphrase has 80 bits and is counted all the same.
const (
	freeTries   = 4
	firstWait   = 15 * time.Second
	longestWait = 15 * time.Minute
)

// tries counts wrong secrets by the person whose they should have been, 0 for the president's passphrase.
type tries struct {
	now func() time.Time
	mu  sync.Mutex
	of  map[uint16]*tried
}

type tried struct {
	wrong int
	until time.Time
}

// wait is how long a person's next try must wait, 0 for not at all.
func (t *tries) wait(code uint16) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.of[code]; x != nil {
		return max(0, x.until.Sub(t.now()))
	}
	return 0
}

// said counts the outcome of a try.
func (t *tries) said(code uint16, right bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if right {
		delete(t.of, code)
		return
	}
	x := t.of[code]
	if x == nil {
		x = &tried{}
		t.of[code] = x
	}
	if x.wrong++; x.wrong >= freeTries {
		wait := longestWait
		if over := x.wrong - freeTries; over < 10 {
			wait = min(firstWait<<over, longestWait)
		}
		x.until = t.now().Add(wait)
	}
}
