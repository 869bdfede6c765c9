package consensustest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func log(commands ...string) []Applied {
	var l []Applied
	for i, c := range commands {
		l = append(l, Applied{uint64(i + 1), []byte(c)})
	}
	return l
}

func TestAgreeNamesTheOffence(t *testing.T) {
	for name, test := range map[string]struct {
		replicas map[string][]Applied
		acked    []string
		want     string // "" for none
	}{
		"same":            {map[string][]Applied{"a": log("x", "y"), "b": log("x", "y")}, []string{"x", "y"}, ""},
		"behind":          {map[string][]Applied{"a": log("x", "y"), "b": log("x"), "c": nil}, []string{"y"}, ""},
		"nothing":         {nil, nil, ""},
		"other command":   {map[string][]Applied{"a": log("x", "y"), "b": log("x", "z")}, nil, "position 1"},
		"other index":     {map[string][]Applied{"a": log("x", "y"), "b": {{2, []byte("x")}}}, nil, "position 0"},
		"order":           {map[string][]Applied{"a": log("x", "y"), "b": log("y", "x")}, nil, "position 0"},
		"hole":            {map[string][]Applied{"a": log("x", "y", "z"), "b": {{1, []byte("x")}, {3, []byte("z")}}}, nil, "position 1"},
		"indexes fall":    {map[string][]Applied{"a": {{2, []byte("x")}, {1, []byte("y")}}}, nil, "after 2"},
		"index twice":     {map[string][]Applied{"a": {{2, []byte("x")}, {2, []byte("y")}}}, nil, "after 2"},
		"lost":            {map[string][]Applied{"a": log("x"), "b": log("x")}, []string{"x", "y"}, `"y" was acknowledged`},
		"lost everywhere": {map[string][]Applied{"a": nil}, []string{"x"}, "acknowledged"},
	} {
		var acked [][]byte
		for _, c := range test.acked {
			acked = append(acked, []byte(c))
		}
		err := Agree(test.replicas, acked)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// pair is a connection from a to b.
func pair(t *testing.T, n *Network) (near, far net.Conn) {
	t.Helper()
	l, err := n.Host("b").Listen("p")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = n.Host("a").Dial(context.Background(), "b", "p")
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if far.RemoteAddr().String() != "a" || near.RemoteAddr().String() != "b" {
		t.Errorf("the peers are %s and %s", far.RemoteAddr(), near.RemoteAddr())
	}
	return near, far
}

func TestCutLinkHoldsBackOneDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		near, far := pair(t, n)
		n.Cut("a", "b")
		_, _ = near.Write([]byte("x"))
		_ = far.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("over a cut link: %v", err)
		}
		_, _ = far.Write([]byte("y"))
		b := make([]byte, 1)
		if _, err := near.Read(b); err != nil || b[0] != 'y' {
			t.Errorf("the other way: %q, %v", b, err)
		}
		_ = far.SetReadDeadline(time.Time{})
		began := time.Now()
		time.AfterFunc(time.Hour, func() { n.Heal("a", "b") })
		if _, err := far.Read(b); err != nil || b[0] != 'x' || time.Since(began) != time.Hour {
			t.Errorf("after healing: %q, %v, %s", b, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n.Isolate("b")
		if _, err := n.Host("a").Dial(ctx, "b", "p"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling over a cut link: %v", err)
		}
		_, _ = near.Close(), far.Close()
		if n.Open() != 0 {
			t.Errorf("%d sides open", n.Open())
		}
	})
}

func TestDelayIsTheTimeBetweenWriteAndRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		near, far := pair(t, n)
		n.Delay("a", "b", 40*time.Millisecond)
		began := time.Now()
		_, _ = near.Write([]byte("x"))
		_, _ = far.Read(make([]byte, 1))
		if d := time.Since(began); d != 40*time.Millisecond {
			t.Errorf("%s", d)
		}
		_, _ = near.Close(), far.Close()
	})
}

func TestWriteWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		near, far := pair(t, n)
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		written, err := near.Write(make([]byte, 2*window))
		if written != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes written without a reader, %v", written, err)
		}
		_ = near.SetWriteDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := near.Write([]byte("end")); err != nil {
				t.Error(err)
			}
			_ = near.Close()
		})
		all, err := io.ReadAll(far)
		wg.Wait()
		if len(all) != window+3 || !bytes.HasSuffix(all, []byte("end")) || err != nil {
			t.Errorf("%d bytes read, %v", len(all), err)
		}
		if _, err := far.Write([]byte("x")); err == nil {
			t.Error("a write to a closed side succeeds")
		}
		_ = far.Close()
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read after Close: %v", err)
		}
	})
}

func TestBrokenConnectionsEndAndListenersClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		near, far := pair(t, n)
		time.AfterFunc(time.Second, func() { n.Break("b", "a") })
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Error("a broken connection can be read")
		}
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("a broken connection can be written")
		}
		_, _ = near.Close(), far.Close()
		if _, err := n.Host("a").Dial(context.Background(), "b", "p"); err == nil {
			t.Error("a closed listener is reached")
		}
		l, err := n.Host("b").Listen("p")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Host("b").Listen("p"); err == nil {
			t.Error("two listen for the same")
		}
		_ = l.Close()
		if _, err := l.Accept(); err == nil {
			t.Error("a closed listener accepts")
		}
	})
}

func TestMachineSkipsWhatItHolds(t *testing.T) {
	m := NewMachine()
	m.Apply(5, [][]byte{[]byte("x"), []byte("y")})
	replies := m.Apply(6, [][]byte{[]byte("y"), []byte("x"), []byte("z")})
	if replies[0] != nil || string(replies[1]) != "5" || string(replies[2]) != "8" || len(m.Log()) != 3 {
		t.Errorf("replies %q, log %v", replies, m.Log())
	}
	var b bytes.Buffer
	if err := m.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	r := NewMachine()
	if err := r.Restore(&b); err != nil || r.Applied() != 8 {
		t.Fatalf("restored up to %d, %v", r.Applied(), err)
	}
	if err := Agree(map[string][]Applied{"m": m.Log(), "r": r.Log()}, [][]byte{[]byte("z")}); err != nil {
		t.Error(err)
	}
	m.Forget(6)
	if m.Applied() != 6 || len(m.Log()) != 2 {
		t.Errorf("after forgetting: up to %d, %v", m.Applied(), m.Log())
	}
}
