package consensustest

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPowerCutLeavesTheOtherSideWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		near, far := pair(t, n)
		old := n.Host("b")
		n.Delay("b", "a", time.Second)
		_, _ = far.Write([]byte("under way"))
		n.Crash("b", true)
		if _, err := far.Write([]byte("x")); err == nil {
			t.Error("a machine that is off writes")
		}
		_ = far.Close()
		_ = near.SetReadDeadline(time.Now().Add(time.Hour))
		if k, err := near.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("from a machine without power: %d bytes, %v", k, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := n.Host("a").Dial(ctx, "b", "p"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling a machine without power: %v", err)
		}
		_ = near.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Minute, func() { n.Host("b") })
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, errReset) {
			t.Errorf("when the machine is back: %v", err)
		}
		if _, err := old.Listen("p"); !errors.Is(err, errOff) {
			t.Errorf("what is left of the earlier life listens: %v", err)
		}
		if _, err := old.Dial(context.Background(), "a", "p"); !errors.Is(err, errOff) {
			t.Errorf("what is left of the earlier life dials: %v", err)
		}
		if _, err := n.Host("b").Listen("p"); err != nil {
			t.Errorf("the next life: %v", err)
		}
		_ = near.Close()
		if n.Open() != 0 {
			t.Errorf("%d sides open", n.Open())
		}
	})
}

func TestKilledProcessIsToldToTheOtherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		near, far := pair(t, n)
		time.AfterFunc(time.Second, func() { n.Crash("b", false) })
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, errReset) {
			t.Errorf("%v", err)
		}
		if _, err := n.Host("a").Dial(context.Background(), "b", "p"); err == nil {
			t.Error("a process that is gone is reached")
		}
		_, _ = near.Close(), far.Close()
	})
}

func TestRoughLinkDelaysAndKeepsTheOrderOfAConnection(t *testing.T) {
	arrivals := func(seed uint64) []time.Duration {
		var all []time.Duration
		synctest.Test(t, func(t *testing.T) {
			n := NewSeededNetwork(seed)
			l, err := n.Host("b").Listen("p")
			if err != nil {
				t.Fatal(err)
			}
			n.Roughen("a", "b", Rough{Jitter: 100 * time.Millisecond, Loss: 0.3})
			began := time.Now()
			for range 20 {
				near, err := n.Host("a").Dial(context.Background(), "b", "p")
				if err != nil {
					t.Fatal(err)
				}
				far, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_, _ = near.Write([]byte("first "))
				_, _ = near.Write([]byte("second"))
				b := make([]byte, 12)
				if _, err := io.ReadFull(far, b); err != nil || string(b) != "first second" {
					t.Errorf("%q, %v", b, err)
				}
				all = append(all, time.Since(began))
				began = time.Now()
				_, _ = near.Close(), far.Close()
			}
			_ = l.Close()
		})
		return all
	}
	first := arrivals(1)
	if !slices.Equal(first, arrivals(1)) {
		t.Error("the same seed gives other delays")
	}
	if slices.Equal(first, arrivals(2)) {
		t.Error("another seed gives the same delays")
	}
	if slices.Max(first) < resendAfter || slices.Min(first) > 100*time.Millisecond {
		t.Errorf("delays %v, want some with a loss and some without", first)
	}
}
