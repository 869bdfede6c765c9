package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/node/adele"
)

// prepared writes what prepare makes of an election, as far as the platform reads it.
func prepared(t *testing.T, day *ledgertest.Day) string {
	t.Helper()
	dir := t.TempDir()
	origin := day.Group.Origin(0)
	commune := filepath.Join("election", fmt.Sprint(ledgertest.INS))
	for name, content := range map[string][]byte{
		"election/manifest":                day.File,
		filepath.Join(commune, "roll"):     day.Roll.Encode(),
		filepath.Join(commune, "origin"):   []byte(origin + "\n"),
		filepath.Join(commune, "log.vkey"): []byte(ledger.LogVKey(origin, day.Group.LogKey) + "\n"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("adele", "keygen", "--name", "adele.test/witness", "--key", filepath.Join(dir, "key")).CombinedOutput(); err != nil {
		t.Fatalf("keygen: %v %s", err, out)
	}
	return dir
}

// regionFlagsOf are the flags that every command on the platform has.
func regionFlagsOf(dir string) []string {
	return []string{"--dir", filepath.Join(dir, "data"), "--key", filepath.Join(dir, "key"), "--election", filepath.Join(dir, "election"), "--logs", filepath.Join(dir, "election")}
}

func adeleRun(t *testing.T, dir, name string, more ...string) string {
	t.Helper()
	args := append([]string{name}, append(more, regionFlagsOf(dir)...)...)
	out, err := exec.Command("adele", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v %s", args, err, out)
	}
	return string(out)
}

// regionProcess is an adele of its own that serves the API too.
type regionProcess struct {
	*process
	witness, api, pin, log string
}

func startRegion(t *testing.T, dir string) *regionProcess {
	t.Helper()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--backups", filepath.Join(dir, "backups")}, regionFlagsOf(dir)...)
	p := &regionProcess{process: &process{command: exec.Command("adele", args...)}}
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.command.Stderr = &p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.command.ProcessState == nil {
			_ = p.command.Process.Kill()
			_ = p.command.Wait()
		}
	})
	lines := bufio.NewScanner(out)
	for p.log == "" && lines.Scan() {
		line := lines.Text()
		for prefix, into := range map[string]*string{"adele answers on ": &p.witness, "the regional platform answers on ": &p.api, "pin ": &p.pin, "access log key ": &p.log} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				*into = rest
			}
		}
	}
	if p.log == "" {
		_ = p.command.Wait()
		t.Fatalf("adele did not start: %s", &p.stderr)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return p
}

// source is a day's entries, for uploads.
type source []ledger.PlacedEntry

func (s source) Head() (uint8, uint64)                   { return 0, uint64(len(s)) }
func (s source) Size(uint8) (uint64, error)              { return uint64(len(s)), nil }
func (s source) Entry(_ uint8, n uint64) ([]byte, error) { return s[n].Encoded, nil }

func (p *regionProcess) client(t *testing.T) *adele.Client {
	t.Helper()
	c, err := adele.NewClient(adele.Options{URL: p.api, Pin: p.pin, Device: ledgertest.Key(ledgertest.DeviceName(1, 0))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Whatever was answered before a kill -9 is there after it: entries one by one, and the access log
// that tells of each, verified by its signed checkpoint.
func TestAKilledPlatformKeepsAllThatItAnswered(t *testing.T) {
	day := ledgertest.NewDay(t, 3, 60, nil)
	chain := day.Started(1)
	for i := range 20 {
		chain.Put(ledgertest.Admission(3 * i))
	}
	dir := prepared(t, day)
	acknowledged := uint64(0)
	var key string
	for round := range 4 {
		p := startRegion(t, dir)
		key = p.log
		c := p.client(t)
		st, err := c.Status(t.Context(), ledgertest.INS)
		if err != nil || st.Size < acknowledged {
			t.Fatalf("round %d: %+v, %d were acknowledged: %v", round, st, acknowledged, err)
		}
		acknowledged = st.Size
		enough, done := make(chan struct{}), make(chan uint64)
		go func(size uint64) {
			for n := 0; size < uint64(len(day.Entries)); n++ {
				if n == 3 {
					close(enough)
				}
				next, conflict, err := c.Upload(context.Background(), ledgertest.INS, 0, size, [][]byte{day.Entries[size].Encoded})
				if err != nil || conflict {
					break // killed
				}
				size = next.Size
			}
			done <- size
		}(acknowledged)
		select {
		case <-enough:
		case <-time.After(20 * time.Second):
			t.Fatalf("round %d: no uploads", round)
		}
		if code := p.end(t, syscall.SIGKILL); code != -1 {
			t.Fatalf("round %d: ended with %d: %s", round, code, &p.stderr)
		}
		acknowledged = <-done
	}
	p := startRegion(t, dir)
	st, err := p.client(t).Sync(t.Context(), ledgertest.INS, source(day.Entries))
	if err != nil || st.Size != uint64(len(day.Entries)) {
		t.Fatalf("%+v %v", st, err)
	}
	if code := p.end(t, os.Interrupt); code != 130 {
		t.Errorf("Ctrl-C ended with %d: %s", code, &p.stderr)
	}
	out := filepath.Join(dir, "log")
	adeleRun(t, dir, "log", "--out", out)
	shown, err := exec.Command("adele", "log", "--vkey", key, out).CombinedOutput()
	if err != nil || !bytes.Contains(shown, []byte("holds: ")) {
		t.Fatalf("%v %s", err, shown)
	}
	told := 0
	for line := range strings.Lines(string(shown)) {
		if strings.Contains(line, "ledger.upload done") {
			told++
		}
	}
	if told < 12 {
		t.Errorf("%d uploads are in the log:\n%s", told, shown)
	}
}

// The administration's first code, a copy while it serves, its restoration, and what people hear.
func TestTheCommandsOfThePlatform(t *testing.T) {
	day := ledgertest.NewDay(t, 3, 9, nil)
	dir := prepared(t, day)
	code, _, _ := strings.Cut(adeleRun(t, dir, "code", "--role", "administration", "--person", "A. Official"), "\n")
	p := startRegion(t, dir)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: pinned(p.pin)}}}
	defer client.CloseIdleConnections()
	session := struct{ Session string }{}
	post(t, client, "", p.api+"/session", fmt.Sprintf(`{"code":%q}`, code), 200, &session)
	made := struct{ Backup string }{}
	post(t, client, session.Session, p.api+"/backups", "", 201, &made)
	seen := filepath.Join(dir, "anchored")
	if err := os.WriteFile(seen, anchored(t, p, day), 0o600); err != nil {
		t.Fatal(err)
	}
	// While it serves, the commands say so in one line.
	busy, err := exec.Command("adele", append([]string{"code", "--role", "expert", "--person", "x"}, regionFlagsOf(dir)...)...).CombinedOutput()
	if err == nil || !bytes.Contains(busy, []byte("stop it first")) || bytes.Count(busy, []byte("\n")) != 1 {
		t.Errorf("while it serves: %v %s", err, busy)
	}
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("stopped with %d: %s", code, &p.stderr)
	}
	again := filepath.Join(dir, "again")
	out, err := exec.Command("adele", "restore", "--from", made.Backup, "--dir", again, "--key", filepath.Join(dir, "key"), "--logs", filepath.Join(dir, "election"),
		"--seen", seen).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("; 1 newer checkpoints taken up, 0 files were not")) {
		t.Fatalf("%v %s", err, out)
	}
	adeleRun(t, dir, "backup", "--out", filepath.Join(dir, "by-hand"))
	if _, err := os.Stat(filepath.Join(dir, "by-hand", "adele-backup")); err != nil {
		t.Error(err)
	}
}

// anchored has the process cosign the day, and returns the note with both signatures.
func anchored(t *testing.T, p *regionProcess, day *ledgertest.Day) []byte {
	t.Helper()
	note, err := ledger.SignCheckpoint(day.Checkpoint(), ledgertest.Key("log"))
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(p.witness, " ")
	answer, err := http.Post(address+"/add-checkpoint", "text/plain", strings.NewReader("old 0\n\n"+string(note)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	line, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("add-checkpoint: %d %s %v", answer.StatusCode, line, err)
	}
	return append(note, line...)
}

func pinned(pin string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
		if hex.EncodeToString(sum[:]) != pin || s.Version != tls.VersionTLS13 {
			return fmt.Errorf("pin %x, version %x", sum, s.Version)
		}
		return nil
	}
}

func post(t *testing.T, client *http.Client, session, url, body string, want int, into any) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+session)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		t.Fatalf("%s: %d %s %v", url, answer.StatusCode, raw, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
