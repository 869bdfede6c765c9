package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// goroutines are the stacks of all that run, by the goroutine's name.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	out := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		name, _, _ := strings.Cut(stack, " [")
		out[name] = stack
	}
	return out
}

// running are the stacks of what runs now and did not before.
func running(before map[string]string) (out []string) {
	for name, stack := range goroutines() {
		if _, was := before[name]; !was {
			out = append(out, stack)
		}
	}
	return out
}

// ended waits until nothing runs that did not before.
func ended(t *testing.T, before map[string]string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("still running:\n%s", strings.Join(running(before), "\n\n"))
		}
	}()
	until(t, "everything has ended", func() bool { return len(running(before)) == 0 })
}

// These two run before all parallel tests, which would be taken for what is left.

func TestNothingRunsAfterClose(t *testing.T) {
	before := goroutines()
	stop := make(chan struct{})
	go func() { <-stop }()
	if len(running(before)) != 1 {
		t.Fatalf("a goroutine that was left is not found among %v", running(before))
	}
	close(stop)
	ended(t, before)
	t.Run("day", func(t *testing.T) { // its cleaning up ends witness and bureaux
		c := newCommune(t, nil)
		c.witness.start()
		before := goroutines() // a witness that stays up closes nothing for the bureaux
		c.opened(1, 2, 3)
		c.bureaux[2].admits(c.home(1, 0))
		c.bureaux[1].call(call{method: http.MethodGet, path: "/status"})
		c.until("it is anchored", func() bool { return c.bureaux[1].node.Status().AnchoredSize > 0 })
		for _, b := range c.bureaux {
			b.stop()
		}
		ended(t, before)
	})
	ended(t, before)
}

func TestAStartThatFailsLateLeavesNothingRunningAndCanBeTriedAgain(t *testing.T) {
	before := goroutines()
	t.Run("starts", func(t *testing.T) {
		c := newCommune(t, nil)
		b := c.bureaux[1]
		before := goroutines()
		for _, name := range []string{ledgerDir, "raft", TokenFile} {
			spoilt := filepath.Join(b.config().Data, name)
			if err := os.RemoveAll(spoilt); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(spoilt), 0o700); err != nil {
				t.Fatal(err)
			}
			var err error
			if name == TokenFile { // a directory where a file should be, and the other way round
				err = os.MkdirAll(filepath.Join(spoilt, "x"), 0o700)
			} else {
				err = os.WriteFile(spoilt, nil, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			n, err := Start(b.config(), b.options())
			if err == nil {
				n.Close()
				t.Fatalf("%s: it starts", name)
			}
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %q is not one line about it", name, err)
			}
			ended(t, before)
			if err := os.RemoveAll(spoilt); err != nil {
				t.Fatal(err)
			}
		}
		b.start()
		b.stop()
	})
	ended(t, before)
}

func TestActsDuringCloseAreAnsweredTrulyOrNotAtAll(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	n := b.node
	var admitted sync.Map
	var acting sync.WaitGroup
	var calls atomic.Int32
	stop := make(chan struct{})
	again := func(f func(i int)) {
		acting.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					calls.Add(1)
					f(i)
				}
			}
		})
	}
	note := func(who string, number string, a Answer) {
		switch {
		case a.Admitted:
			admitted.Store(number, true)
		case a.Refusal != ledger.AlreadyAdmitted:
			t.Errorf("%s: an elector at home is told %+v", who, a)
		}
	}
	for range 4 {
		again(func(i int) {
			e := c.home(1, i%25)
			switch a, err := n.CheckIn(context.Background(), byNational(e)); {
			case err == nil:
				note("desk", e.NationalNumber.Digits(), a)
			case !errors.Is(err, pollbook.ErrClosed):
				t.Errorf("desk: %v", err)
			}
		})
		again(func(i int) {
			e := c.home(1, 24-i%25)
			r, err := b.try(checkInOf(e))
			if err != nil {
				return // the interface has gone
			}
			var a Answer
			switch {
			case r.code == http.StatusOK && json.Unmarshal([]byte(r.body), &a) == nil:
				note("interface", e.NationalNumber.Digits(), a)
			case r.code != http.StatusServiceUnavailable:
				t.Errorf("interface: %+v", r)
			}
		})
	}
	again(func(int) {
		if s := n.Status(); s.Bureau != 1 || s.Fault != "" && s.Fault != pollbook.ErrClosed.Error() {
			t.Errorf("status: %+v", s)
		}
	})
	again(func(int) {
		if err := n.Export(filepath.Join(c.dir, "export")); !errors.Is(err, ErrNotAnchored) && !errors.Is(err, pollbook.ErrClosed) {
			t.Errorf("export: %v", err)
		}
	})
	c.until("acts are under way", func() bool { return calls.Load() > 50 })
	var closing sync.WaitGroup
	for range 2 { // twice at a time
		closing.Go(func() {
			if err := n.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	closing.Wait()
	if _, err := n.CheckIn(t.Context(), byNational(c.home(1, 0))); !errors.Is(err, pollbook.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := n.Open(t.Context()); !errors.Is(err, pollbook.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	close(stop)
	acting.Wait()
	b.node = nil
	b.start()
	for _, e := range c.electors {
		if _, ok := admitted.Load(e.NationalNumber.Digits()); !ok {
			continue
		}
		if a := b.checkIn(e); a.Admitted || a.Refusal != ledger.AlreadyAdmitted || a.Record == "" {
			t.Errorf("admitted before the end, now %+v", a)
		}
	}
}
