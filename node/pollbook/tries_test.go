package pollbook

import (
	"context"
	"testing"
	"testing/synctest"
)

// A group that answers is asked for more and more at a time, one that stays silent for less and less.
func TestTriesFollowWhatTheGroupCanTake(t *testing.T) {
	var w tries
	all := func() (n int) { // how many turns are free at once
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for n = 0; ; n++ {
			w.mu.Lock()
			free := w.size == 0 || w.under < w.size
			w.mu.Unlock()
			if !free {
				break
			}
			w.enter(ctx)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.under -= n
		return n
	}
	if n := all(); n != firstTries {
		t.Fatalf("%d to begin with", n)
	}
	for range 2 * maxUnderWay {
		w.enter(t.Context())
		w.leave(true)
	}
	if n := all(); n != maxUnderWay {
		t.Errorf("%d after many answers", n)
	}
	w.enter(t.Context())
	w.leave(false)
	if n := all(); n != maxUnderWay/2 {
		t.Errorf("%d after one silence", n)
	}
	for range 10 {
		w.enter(t.Context())
		w.leave(false)
	}
	if n := all(); n != 1 {
		t.Errorf("%d after many silences", n)
	}
}

// Turns go in the order of asking, and one whose round has ended is not lost.
func TestTurnsAreKeptInOrderAndNoneIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := tries{size: 1}
		if !w.enter(t.Context()) {
			t.Fatal("no turn")
		}
		ended, end := context.WithCancel(t.Context())
		got := make(chan int, 3)
		for i, ctx := range []context.Context{ended, t.Context(), t.Context()} {
			go func() {
				if w.enter(ctx) {
					got <- i
				}
			}()
			synctest.Wait()
		}
		end()
		synctest.Wait()
		for want := 1; want <= 2; want++ {
			w.size = 1
			w.leave(false)
			if i := <-got; i != want {
				t.Errorf("the turn of %d is %d's", want, i)
			}
		}
		w.leave(true)
		if w.under != 0 || len(w.waiting) != 0 {
			t.Errorf("%d under way, %d waiting at the end", w.under, len(w.waiting))
		}
	})
}
