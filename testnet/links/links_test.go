package links

import (
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
