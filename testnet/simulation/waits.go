package simulation

import (
	"math/bits"
	"time"
)

// A wait is counted in microseconds, in buckets of which each octave has 2^waitBits: what is read back is
// at most a thirty-second part above what was counted.
const (
	waitBits = 5
	// maxWait is the longest that is told from longer ones, about 71 minutes.
	maxWait     = 1<<32 - 1
	waitBuckets = (32 - waitBits + 1) << waitBits
)

// Waits counts waits by their length, in a size that does not grow with their number; the zero value is empty.
type Waits struct {
	counts []uint32
	n      uint64
}

// Add counts one.
func (w *Waits) Add(t time.Duration) {
	if w.counts == nil {
		w.counts = make([]uint32, waitBuckets)
	}
	w.counts[bucket(uint64(min(max(t.Microseconds(), 0), maxWait)))]++
	w.n++
}

// Join counts all of the other's too.
func (w *Waits) Join(o Waits) {
	if o.n == 0 {
		return
	}
	if w.counts == nil {
		w.counts = make([]uint32, waitBuckets)
	}
	for i, n := range o.counts {
		w.counts[i] += n
	}
	w.n += o.n
}

// Len is how many were counted.
func (w Waits) Len() int { return int(w.n) }

// Quantile is a wait that the share q, 0 to 1, of those counted did not exceed; 0 when none was.
func (w Waits) Quantile(q float64) time.Duration {
	if w.n == 0 {
		return 0
	}
	rank := min(uint64(q*float64(w.n)), w.n-1)
	for i, n := range w.counts {
		if rank < uint64(n) {
			return time.Duration(longestIn(i)) * time.Microsecond
		}
		rank -= uint64(n)
	}
	panic("waits: fewer are in the buckets than were counted")
}

// bucket is where a number of microseconds is counted: up to 2^waitBits each has its own.
func bucket(us uint64) int {
	if us < 1<<waitBits {
		return int(us)
	}
	shift := bits.Len64(us) - waitBits - 1
	return (shift+1)<<waitBits + int(us>>shift) - 1<<waitBits
}

// longestIn is the most microseconds that a bucket counts.
func longestIn(i int) uint64 {
	if i < 1<<waitBits {
		return uint64(i)
	}
	shift := i>>waitBits - 1
	return (uint64(i&(1<<waitBits-1)+1<<waitBits)+1)<<shift - 1
}
