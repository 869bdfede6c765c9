package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// caller asks a platform of its own process, signed in under one role.
type caller struct {
	t       *testing.T
	client  *http.Client
	url     string
	session string
}

func signIn(t *testing.T, p *regionProcess, code string) *caller {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: pinned(p.pin)}}}
	t.Cleanup(client.CloseIdleConnections)
	answer := struct{ Session string }{}
	post(t, client, "", p.api+"/session", fmt.Sprintf(`{"code":%q}`, code), 200, &answer)
	return &caller{t, client, p.api, answer.Session}
}

// do returns 0 when the process is gone.
func (c *caller) do(method, path, body string) (int, []byte) {
	c.t.Helper()
	request, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	request.Header.Set("Authorization", "Bearer "+c.session)
	answer, err := c.client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil
	}
	return answer.StatusCode, raw
}

func (c *caller) must(want int, method, path, body string) []byte {
	c.t.Helper()
	code, raw := c.do(method, path, body)
	if code != want {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, code, raw, want)
	}
	return raw
}

// listOf is a list of electors of the test commune, and what of it must be found nowhere later.
func listOf(t *testing.T, electors int) (csv string, secrets []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("national_number,surname,first_names,street,number,box,postcode,municipality,bureau,convocation_number\n")
	for i := range electors {
		body := uint64(600101)*1000 + uint64(1+i)
		n, err := ledger.NationalNumberOf(body*100 + ledger.NationalCheckDigits(body, false))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ledger.NewConvocationNumber(ledgertest.INS, uint32(i), ledger.Complement)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("Surname%05d", i)
		fmt.Fprintf(&b, "%s,%s,F,Street,1,,1210,Saint-Josse-ten-Noode,%d,%s\n", n.Digits(), name, 1+i%3, c.Digits())
		secrets = append(secrets, name, n.Digits(), c.Digits())
	}
	return b.String(), secrets
}

// The process is killed as soon as the first key is gone; the next start completes the destruction
// before it serves anybody.
func TestAPlatformKilledInTheMiddleOfDestructionCompletesIt(t *testing.T) {
	day := ledgertest.NewDay(t, 3, 9, nil)
	dir := prepared(t, day)
	codes := map[string]string{}
	for _, role := range []string{"administration", "college", "prosecutor", "officer"} {
		more := []string{"--role", role, "--person", "A. Person"}
		if role == "officer" {
			more = append(more, "--commune", fmt.Sprint(ledgertest.INS))
		}
		codes[role], _, _ = strings.Cut(adeleRun(t, dir, "code", more...), "\n")
	}
	p := startRegion(t, dir)
	csv, secrets := listOf(t, 500)
	signIn(t, p, codes["officer"]).must(201, "PUT", "/communes/21014/list", csv)
	college := signIn(t, p, codes["college"])
	for ins := 21001; ins <= 21019; ins++ {
		college.must(200, "PUT", fmt.Sprintf("/validations/%d", ins), fmt.Sprintf(`{"commune":%d,"validated":"2024-12-01","final":"2025-01-15"}`, ins))
	}
	signIn(t, p, codes["prosecutor"]).must(200, "PUT", "/settlement", `{"drawn_up":"2025-01-01"}`)
	admin := signIn(t, p, codes["administration"])
	admin.must(201, "POST", "/backups", "")

	answered := make(chan int, 1)
	go func() {
		code, _ := admin.do("POST", "/destruction", `{"day":"2025-01-15"}`)
		answered <- code
	}()
	waitGone(t, filepath.Join(dir, "data", "keys", "21014.key"))
	if code := p.end(t, syscall.SIGKILL); code != -1 {
		t.Fatalf("ended with %d: %s", code, &p.stderr)
	}
	t.Logf("the order was answered with %d before the kill", <-answered)

	p = startRegion(t, dir)
	admin = signIn(t, p, codes["administration"])
	var d struct{ Certificate string }
	if err := json.Unmarshal(admin.must(200, "GET", "/destruction", ""), &d); err != nil || !strings.Contains(d.Certificate, "lawful from: 2025-01-15") {
		t.Fatalf("%q %v", d.Certificate, err)
	}
	admin.must(410, "GET", "/communes/21014/list", "")
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("stopped with %d: %s", code, &p.stderr)
	}
	files := 0
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		raw, err := os.ReadFile(name)
		for _, s := range secrets {
			if bytes.Contains(raw, []byte(s)) {
				t.Errorf("%s holds %q", name, s)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files searched: %v", files, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "backups", "*")); err != nil || len(left) > 0 {
		t.Errorf("backups are left: %v %v", left, err)
	}
}

// waitGone polls for a file to vanish.
func waitGone(t *testing.T, name string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(name); os.IsNotExist(err) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there", name)
		}
	}
}
