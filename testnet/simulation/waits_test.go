package simulation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestAQuantileOfWaitsIsAtMostAThirtySecondPartTooLong(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var all []time.Duration
	var w, half Waits
	for i := range 20_000 {
		wait := time.Duration(r.ExpFloat64() * float64(30*time.Millisecond)).Truncate(time.Microsecond)
		all = append(all, wait)
		if i%2 == 0 {
			w.Add(wait)
		} else {
			half.Add(wait)
		}
	}
	w.Join(half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := w.Quantile(q); got < want || got > want+want/32+time.Microsecond {
			t.Errorf("q %.3f: %v, counted was %v", q, got, want)
		}
	}
	if w.Len() != len(all) {
		t.Errorf("%d of %d counted", w.Len(), len(all))
	}
}

func TestEveryWaitHasABucketThatIsNotShorter(t *testing.T) {
	before := -1
	for _, us := range []uint64{0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 1_000_000, maxWait - 1, maxWait} {
		i := bucket(us)
		if i < before || i >= waitBuckets {
			t.Errorf("%d µs in bucket %d of %d, after %d", us, i, waitBuckets, before)
		}
		if longest := longestIn(i); longest < us || longest > us+us/32 {
			t.Errorf("%d µs are read back as %d", us, longest)
		}
		before = i
	}
	var w Waits
	w.Add(24 * time.Hour)
	w.Add(-time.Second)
	if w.Quantile(1).Truncate(time.Minute) != 71*time.Minute || w.Quantile(0) != 0 || (Waits{}).Quantile(0.5) != 0 {
		t.Errorf("beyond the ends: %v, %v", w.Quantile(1), w.Quantile(0))
	}
}
