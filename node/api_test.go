package node

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node/register"
)

// alone is a commune whose first bureau is at work, open, without the others.
func alone(t *testing.T) (*commune, *bureau) {
	t.Helper()
	c := newCommune(t, nil)
	b := c.bureaux[1]
	b.start()
	if err := b.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, b
}

// call is a request to a bureau's interface; empty fields are what a proper client sends.
type call struct {
	method, path, body  string
	token, host, origin string
}

// reply is what came back.
type reply struct {
	code int
	body string
}

func (r reply) problem(t *testing.T) string {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Error == "" {
		t.Fatalf("%d %q is no problem", r.code, r.body)
	}
	return p.Error
}

func (b *bureau) try(x call) (reply, error) {
	addr, token := b.node.API()
	if x.method == "" {
		x.method = http.MethodPost
	}
	req, err := http.NewRequest(x.method, "http://"+addr+x.path, strings.NewReader(x.body))
	if err != nil {
		return reply{}, err
	}
	switch x.token {
	case "":
		req.Header.Set("Authorization", "Bearer "+token)
	case "none":
	default:
		req.Header.Set("Authorization", x.token)
	}
	if x.host != "" {
		req.Host = x.host
	}
	if x.origin != "" {
		req.Header.Set("Origin", x.origin)
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(body)}, err
}

func (b *bureau) call(x call) reply {
	b.c.t.Helper()
	r, err := b.try(x)
	if err != nil {
		b.c.t.Fatalf("%s %s: %v", x.method, x.path, err)
	}
	return r
}

func checkInOf(e register.Elector) call {
	return call{path: "/check-ins", body: fmt.Sprintf(`{"by":"national","number":%q,"attester":3}`, e.NationalNumber.Printed())}
}

var acts = []call{
	{method: http.MethodGet, path: "/status"},
	{path: "/open", body: "{}"},
	{path: "/close", body: "{}"},
	{path: "/check-ins", body: "{}"},
	{path: "/undo", body: "{}"},
	{path: "/annulments", body: "{}"},
	{path: "/export", body: "{}"},
}

func TestOnlyWhoHasTheSecretActs(t *testing.T) {
	t.Parallel()
	_, b := alone(t)
	_, secret := b.node.API()
	for _, x := range acts {
		for _, token := range []string{"none", "Bearer ", "Bearer wrong", "Bearer " + secret[:len(secret)-1], "Bearer  " + secret, "Bearer " + secret + "x", secret, "Basic " + secret, "bearer " + secret} {
			x.token = token
			if r := b.call(x); r.code != http.StatusUnauthorized || !strings.Contains(r.problem(t), TokenFile) {
				t.Errorf("%s with %q: %+v", x.path, strings.ReplaceAll(token, secret, "secret"), r)
			}
		}
	}
	if r := b.call(call{method: http.MethodGet, path: "/health", token: "none"}); r.code != http.StatusOK || !strings.Contains(r.body, `"link"`) {
		t.Errorf("health without the secret: %+v", r)
	}
	if r := b.call(call{method: http.MethodGet, path: "/metrics", token: "none"}); r.code != http.StatusOK || !strings.Contains(r.body, "pointage_open 1\n") {
		t.Errorf("metrics without the secret: %+v", r)
	}
	if s := b.node.Status(); !s.Open || s.Admitted+s.Refused > 0 {
		t.Errorf("strangers have changed something: %+v", s)
	}
}

func TestPagesOfStrangersAreKeptOut(t *testing.T) {
	t.Parallel()
	_, b := alone(t)
	addr, _ := b.node.API()
	for _, path := range []string{"/health", "/metrics", "/status"} {
		for _, host := range []string{"bureau.example", "bureau.example:80", "127.0.0.1.example:8001", "localhost.example:1", "10.0.0.1:8001", "localhost"} {
			if r := b.call(call{method: http.MethodGet, path: path, host: host}); r.code != http.StatusForbidden {
				t.Errorf("%s for %s: %+v", path, host, r)
			}
		}
		for _, origin := range []string{"https://page.example", "http://page.example", "null", "http://localhost:1", "https://" + addr, "http://" + addr + ".example"} {
			if r := b.call(call{method: http.MethodGet, path: path, origin: origin}); r.code != http.StatusForbidden {
				t.Errorf("%s from a page of %s: %+v", path, origin, r)
			}
		}
		if r := b.call(call{method: http.MethodGet, path: path, origin: "http://" + addr}); r.code != http.StatusOK {
			t.Errorf("%s from its own page: %+v", path, r)
		}
	}
}

func TestWrongRequestsAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	good, long := c.home(1, 0).NationalNumber.Digits(), strings.Repeat("9", 10_000)
	b.mediaLevel()
	before, media := b.node.Status(), contents(t, filepath.Join(b.dir, "disk"), filepath.Join(b.dir, "key1"), filepath.Join(b.dir, "key2"))
	for _, x := range acts {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			if method == x.method || x.method == "" && method == http.MethodPost {
				continue
			}
			if r := b.call(call{method: method, path: x.path, body: "{}"}); r.code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %+v", method, x.path, r)
			}
		}
	}
	if r := b.call(call{path: "/nothing"}); r.code != http.StatusNotFound {
		t.Errorf("unknown path: %+v", r)
	}
	for _, path := range []string{"/open", "/close", "/check-ins", "/undo", "/annulments", "/export"} {
		for _, body := range []string{
			"", "{", "nonsense", "[]", `"x"`, "1", "{}{}", "{} x", "{}]", `{"unknown":1}`, "\x00", "\xff\xfe{}", strings.Repeat("[", 10_000), `{"by":{}}`,
			`{"by":"national","number":"` + good + `","attester":3,"colour":"red"}`, `{"by":"national","number":"` + good + `","attester":3}{}`,
			`{"by":"national","number":` + good + `,"attester":3}`, `{"by":"national","number":"` + good + `","attester":70000}`,
			`{"by":"national","number":"` + good + `","attester":-1}`,
		} {
			if strings.HasPrefix(body, "{}") && len(body) == 2 {
				continue
			}
			r := b.call(call{path: path, body: body})
			if r.code != http.StatusBadRequest || strings.Contains(r.problem(t), "\n") || strings.Contains(r.body, good) {
				t.Errorf("%s %.60q: %+v", path, body, r)
			}
		}
	}
	for _, id := range [][2]string{
		{"", good},
		{"name", good},
		{"national", ""},
		{"national", good[:10] + "x"},
		{"national", long},
		{"convocation", long},
		{"card", long},
		{long, good},
		{"national", strings.Repeat("é", 10_000)},
		{"convocation", good},
	} {
		r := b.call(call{path: "/check-ins", body: fmt.Sprintf(`{"by":%q,"number":%q,"attester":3}`, id[0], id[1])})
		if p := r.problem(t); r.code != http.StatusBadRequest || strings.Contains(p, "\n") || len(p) > 200 || strings.Contains(p, good) {
			t.Errorf("by %.20q, number %.20q: %+v", id[0], id[1], r)
		}
	}
	if after := b.node.Status(); after.Admitted != before.Admitted || after.Refused != before.Refused || after.Open != before.Open {
		t.Errorf("wrong requests changed something: %+v, before %+v", after, before)
	}
	media.same(t)
}

func TestABodyOfTenMegabytesIsRefusedUnread(t *testing.T) {
	t.Parallel()
	_, b := alone(t)
	addr, secret := b.node.API()
	for _, first := range []string{`{"by":"`, `{}`, `{"no":1`, `rubbish`} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const size = 10 << 20
		if _, err := fmt.Fprintf(conn, "POST /check-ins HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", addr, secret, size, first); err != nil {
			t.Fatal(err)
		}
		var writing sync.WaitGroup
		wrote := 0
		writing.Go(func() {
			some := bytes.Repeat([]byte(" "), 64<<10)
			for wrote < size-len(first) {
				n, err := conn.Write(some[:min(len(some), size-len(first)-wrote)])
				wrote += n
				if err != nil {
					return // the bureau has closed: it reads no more
				}
			}
		})
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		conn.Close()
		writing.Wait()
		if resp.StatusCode != http.StatusRequestEntityTooLarge || wrote == size-len(first) {
			t.Errorf("%s: %d after %d bytes", first, resp.StatusCode, wrote)
		}
	}
}

func TestWhoIsNotOnTheRollIsRefused(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	known := map[ledger.NationalNumber]bool{}
	for _, e := range c.electors {
		known[e.NationalNumber] = true
	}
	for _, p := range electorsOf(t, nextTown, 200, 1).People {
		if known[p.NationalNumber] {
			continue
		}
		for _, path := range []string{"/check-ins", "/undo", "/annulments"} {
			x := checkInOf(p.Elector)
			x.path = path
			var a Answer
			if r := b.call(x); r.code != http.StatusOK || json.Unmarshal([]byte(r.body), &a) != nil || a.Admitted || a.Refusal != ledger.NotOnTheRoll || a.Reason == "" {
				t.Errorf("%s: %+v", path, r)
			}
		}
		return
	}
	t.Fatal("every elector of the next commune is one of this")
}

func TestADoubleTapGetsTheSameReceipt(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	const taps = 12
	var tapping sync.WaitGroup
	answers := make([]Answer, taps)
	for i := range answers {
		tapping.Go(func() {
			r, err := b.try(checkInOf(c.home(1, 0)))
			if err != nil || r.code != http.StatusOK || json.Unmarshal([]byte(r.body), &answers[i]) != nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	tapping.Wait()
	admitted := 0
	for _, a := range answers {
		if a.Record != answers[0].Record || a.Record == "" || a.At != 1 {
			t.Errorf("%+v, another tap was told %+v", a, answers[0])
		}
		if a.Admitted {
			admitted++
		} else if a.Refusal != ledger.AlreadyAdmitted {
			t.Errorf("%+v", a)
		}
	}
	if s := b.node.Status(); admitted == 0 || s.Admitted != 1 {
		t.Errorf("%d taps were told of an admission, %d stand", admitted, s.Admitted)
	}
}

func TestSlowClientsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	addr, secret := b.node.API()
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	open := func(text string) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		_, _ = io.WriteString(conn, text) // the bureau may have closed it: there are too many
	}
	head := "POST /check-ins HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + secret + "\r\n"
	for range maxRequests/2 + 10 { // never end their header, never end their body
		open(head)
		open(head + "Content-Length: 100\r\n\r\n{")
	}
	for len(conns) < maxConns+50 {
		open("")
	}
	started := time.Now()
	until(t, "the desk is answered", func() bool {
		r, err := b.try(checkInOf(c.home(1, 1)))
		return err == nil && r.code == http.StatusOK
	})
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("the desk waited %v", took)
	}
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	t.Parallel()
	a := &api{}
	isOpen := func() (c net.Conn, open bool) {
		c, other := net.Pipe()
		a.count(c, http.StateNew)
		err := other.SetReadDeadline(time.Now())
		if err == nil {
			_, err = other.Read(make([]byte, 1))
		}
		return c, errors.Is(err, os.ErrDeadlineExceeded) // else the bureau's end is closed
	}
	var first net.Conn
	for i := range maxConns {
		c, open := isOpen()
		if !open {
			t.Fatalf("connection %d of %d is closed", i+1, maxConns)
		}
		if i == 0 {
			first = c
		}
	}
	beyond, open := isOpen()
	if open {
		t.Errorf("connection %d is open", maxConns+1)
	}
	a.count(beyond, http.StateClosed)
	a.count(first, http.StateClosed)
	if _, open := isOpen(); !open {
		t.Error("there is room again, and a connection is closed")
	}
}

func TestAClientThatDoesNotReadIsLetGo(t *testing.T) {
	t.Parallel()
	_, b := alone(t)
	addr, _ := b.node.API()
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) })
	}}
	conn, err := small.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var asking sync.WaitGroup
	asking.Go(func() {
		for range 4000 { // far more answers than the system keeps
			if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); err != nil {
				return
			}
		}
	})
	until(t, "the client is heard", func() bool { return b.node.api.conns.Load() == 1 })
	until(t, "the client is let go", func() bool { return b.node.api.conns.Load() == 0 })
	conn.Close()
	asking.Wait()
}
