package node

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
)

func TestABureauThatFloodsOrLiesHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	flooded, flooder := c.bureaux[1], c.bureaux[2]
	id := flooded.node.host.Self()
	dial := func() net.Conn {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := flooder.node.host.Dial(ctx, id, protocolRights)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// Questions that never end take the flooder's places, and no more.
	for range 2 * maxAnsweringPeer {
		conn := dial()
		if _, err := conn.Write([]byte{0, 0}); err != nil {
			continue // refused already
		}
	}
	answering := func() (n int) {
		a := flooded.node.rights
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.peers[flooder.node.host.Self()]
	}
	c.until("the flooder has its places", func() bool { return answering() == maxAnsweringPeer })
	if a := c.bureaux[3].admits(c.home(1, 0)); a.At != 3 {
		t.Errorf("%+v", a)
	}
	c.until("the questions are let go", func() bool { return answering() == 0 })
	c.bureaux[2].admits(c.home(1, 1))

	// What is no message, and what asks in another's name, has no answer and no effect.
	e := c.home(1, 2)
	i, _ := flooded.node.register.FindNationalNumber(e.NationalNumber)
	right := ledger.Right{Elector: flooded.node.register.Token(i), Kind: ledger.Admit}
	forged := encodeMessage(rights.Message{Kind: rights.RequestMessage, Right: right, By: 3})
	long := binary.BigEndian.AppendUint32(nil, maxQuestion+1)
	for _, q := range [][]byte{{}, {1}, make([]byte, 100), forged[:len(forged)-1], append(forged[:len(forged):len(forged)], 0), forged} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if a, err := question(ctx, flooder.node.host, id, protocolRights, q); err == nil {
			t.Errorf("%d bytes are answered with %q", len(q), a)
		}
		cancel()
	}
	conn := dial()
	if _, err := conn.Write(long); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("a question over the bound: %v", err)
	}
	if a := flooded.admits(e); !a.Admitted {
		t.Errorf("after a request in another's name: %+v", a)
	}
}

// asProgram makes this test's own process the one that breaks.
const asProgram = "POINTAGE_TEST_BROKEN_INVARIANT"

func TestABrokenInvariantInAnActEndsTheProgram(t *testing.T) {
	if os.Getenv(asProgram) != "" {
		a := &api{slots: make(chan struct{}, 1)}
		s := httptest.NewServer(a.bounded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("want 1, have 2") })))
		resp, err := http.Get(s.URL)
		t.Logf("the program goes on: %v, %v", resp, err)
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "want 1, have 2") || strings.Contains(string(out), "goes on") {
		t.Errorf("%v: %s", err, out)
	}
}
