package links

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echo is a machine that says everything back.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func say(t *testing.T, c net.Conn, word string, wait time.Duration) bool {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(wait))
	_, err := io.ReadFull(c, make([]byte, len(word)))
	return err == nil
}

func TestCutCableIsSilentAndHealedOneDelivers(t *testing.T) {
	there := echo(t)
	n := New(func(int) string { return there })
	defer n.Close()
	at, err := n.Address(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !say(t, c, "whole", 5*time.Second) {
		t.Fatal("whole cable does not deliver")
	}
	for name, cut := range map[string]func(){"there": func() { n.Cut(1, 2) }, "back": func() { n.Cut(2, 1) }} {
		cut()
		if say(t, c, "lost?", 100*time.Millisecond) {
			t.Fatalf("%s: cut cable delivers", name)
		}
		n.Heal()
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatalf("%s: healed cable lost what was on its way: %v", name, err)
		}
	}
}

func TestCloseEndsEveryConnection(t *testing.T) {
	there := echo(t)
	n := New(func(int) string { return there })
	at, err := n.Address(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	n.Cut(1, 2)
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives its cable")
	}
}

func TestBytesKeepTheirOrderAndTakeTheirTime(t *testing.T) {
	there := echo(t)
	n := NewIn(Weather{Least: 20 * time.Millisecond, Most: 60 * time.Millisecond, Loss: 0.2}, func(int) string { return there })
	defer n.Close()
	at, err := n.Address(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	if !say(t, c, "there and back", 2*time.Minute) {
		t.Fatal("no answer over a slow cable")
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("there and back in %v, the cable takes 20 ms at least each way", took)
	}
	want := make([]byte, 300<<10)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	go func() {
		for part := want; len(part) > 0; part = part[min(len(part), 5000):] {
			if _, err := c.Write(part[:min(len(part), 5000)]); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	got := make([]byte, len(want))
	c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("what came back is not what was sent")
	}
}

func TestADelayOrALossThatNobodyCanMeanIsRefused(t *testing.T) {
	for _, text := range []string{"", "40", "160ms-40ms", "-1ms", "6s", "1ms-2ms-3ms"} {
		if _, _, err := ParseDelay(text); err == nil {
			t.Errorf("delay %q is taken", text)
		}
	}
	for _, text := range []string{"", "%", "NaN", "-1%", "51%", "0.6", "one"} {
		if _, err := ParseLoss(text); err == nil {
			t.Errorf("loss %q is taken", text)
		}
	}
	if least, most, err := ParseDelay("40ms-160ms"); err != nil || least != 40*time.Millisecond || most != 160*time.Millisecond {
		t.Errorf("40ms-160ms is read as %v to %v (%v)", least, most, err)
	}
	if loss, err := ParseLoss("1%"); err != nil || loss != 0.01 {
		t.Errorf("1%% is read as %v (%v)", loss, err)
	}
}
