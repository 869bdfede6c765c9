package anchor_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/node/anchor"
	"pointage/node/anchor/anchortest"
	"pointage/tools/adele/platform"
)

const (
	origin  = "rehearsal/21014/epoch-0"
	witness = "adele.example/witness"
)

// checkpoint is what the principal bureau would hand over.
func checkpoint(log *anchortest.Log, size int64) anchor.Checkpoint {
	return anchor.Checkpoint{
		Checkpoint: ledger.Checkpoint{Origin: log.Origin, Size: uint64(size), Root: ledger.Hash(log.Root(size))},
		Note:       log.Checkpoint(size),
	}
}

// A station is a real platform behind a switch: while it is away, its answers are lost.
type station struct {
	*platform.Server
	vkey  string
	url   string
	away  atomic.Bool
	calls atomic.Int64
	clock atomic.Int64 // Unix seconds
}

func newStation(t *testing.T, log *anchortest.Log) *station {
	t.Helper()
	skey, vkey, err := platform.GenerateKey(rand.Reader, witness)
	if err != nil {
		t.Fatal(err)
	}
	s := &station{vkey: vkey}
	s.clock.Store(1_717_916_400)
	s.Server, err = platform.Open(t.TempDir(), platform.Options{
		Key: skey, Logs: []platform.Log{{Origin: log.Origin, VKey: log.VKey}}, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Unix(s.clock.Load(), 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := s.Handler()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if s.away.Load() {
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	}))
	s.url = web.URL
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newClient(t *testing.T, url, vkey string) *anchor.Client {
	t.Helper()
	client, err := anchor.NewClient(url, vkey, anchor.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestCheckpointsAreAnchored(t *testing.T) {
	log := anchortest.NewLog(t, origin, 500)
	s := newStation(t, log)
	client := newClient(t, s.url, s.vkey)
	logKey, err := ledger.ParseCosignerVKey(s.vkey)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct{ old, size, calls int64 }{
		{0, 300, 1},   // the first one
		{300, 450, 1}, // growth
		{300, 460, 2}, // the last size was forgotten
		{0, 460, 2},   // the answer was lost: our own size is named
		{460, 460, 1}, // refreshed
	} {
		s.calls.Store(0)
		s.clock.Add(60)
		anchored, err := client.Submit(t.Context(), checkpoint(log, step.size), uint64(step.old), log)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if s.calls.Load() != step.calls || anchored.Time.Unix() != s.clock.Load() {
			t.Errorf("step %d: %d calls, cosigned at %s", i, s.calls.Load(), anchored.Time)
		}
		if !bytes.HasSuffix(anchored.Bytes(), []byte(anchored.Line)) || !bytes.HasPrefix(anchored.Bytes(), log.Checkpoint(step.size)) {
			t.Errorf("step %d: note %q", i, anchored.Bytes())
		}
		if !strings.HasPrefix(anchored.Line, "— "+logKey.Name()+" ") {
			t.Errorf("step %d: line %q", i, anchored.Line)
		}
	}
	var ahead *anchor.AheadError
	if _, err := client.Submit(t.Context(), checkpoint(log, 455), 450, log); !errors.As(err, &ahead) || ahead.Size != 460 {
		t.Errorf("an older checkpoint: %v", err)
	}
}

func TestForksAreToldFromDelays(t *testing.T) {
	log := anchortest.NewLog(t, origin, 500)
	s := newStation(t, log)
	client := newClient(t, s.url, s.vkey)
	if _, err := client.Submit(t.Context(), checkpoint(log, 300), 0, log); err != nil {
		t.Fatal(err)
	}
	fork := log.Fork(200, 300)
	for name, test := range map[string]struct{ old, size int64 }{
		"same size":            {300, 300},
		"same size, forgotten": {0, 300},
		"larger":               {300, 400},
		"larger, forgotten":    {0, 400},
	} {
		_, err := client.Submit(t.Context(), checkpoint(fork, test.size), uint64(test.old), fork)
		if !errors.Is(err, anchor.ErrFork) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := anchortest.NewLog(t, "rehearsal/21015/epoch-0", 5)
	if _, err := client.Submit(t.Context(), checkpoint(stranger, 5), 0, stranger); !errors.Is(err, anchor.ErrUnknownLog) {
		t.Errorf("unknown origin: %v", err)
	}
	impostor := anchortest.NewLog(t, origin, 400)
	if _, err := client.Submit(t.Context(), checkpoint(impostor, 400), 300, impostor); !errors.Is(err, anchor.ErrLogKey) {
		t.Errorf("other log key: %v", err)
	}
}

// line makes a cosignature line as a witness would, with what a test wants wrong in it.
func line(name string, key ed25519.PrivateKey, hash uint32, seconds uint64, text string) string {
	raw := binary.BigEndian.AppendUint32(nil, hash)
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	raw = append(raw, ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text))...)
	return "— " + name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

// withSpareBits sets one of the four bits of the line's base64 that stand for nothing.
func withSpareBits(line string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := len(line) - len("==\n") - 1
	return line[:at] + string(alphabet[strings.IndexByte(alphabet, line[at])+1]) + line[at+1:]
}

// answering is a witness that says the same to everybody.
func answering(status int, kind, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/elsewhere")
		w.Header()["Content-Type"] = nil
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

func TestAnswersAreJudgedByClass(t *testing.T) {
	log := anchortest.NewLog(t, origin, 400)
	cp := checkpoint(log, 400)
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cosigner := ledger.CosignerKey(witness, public)
	hash := cosigner.KeyHash()
	good := line(witness, key, hash, 1_717_916_400, cp.Text())
	spare := withSpareBits(good)
	foreign := line("other.example/w", otherKey, 7, 1_717_916_400, cp.Text())

	for name, test := range map[string]struct {
		status int
		kind   string
		body   string
		want   error // nil: accepted
	}{
		"cosignature":                   {200, "text/plain", good, nil},
		"no content type":               {200, "", good, nil},
		"among others":                  {200, "text/plain", foreign + good + foreign, nil},
		"after a false one of its name": {200, "text/plain", line(witness, otherKey, hash, 1, cp.Text()) + good, nil},
		"spare bits set":                {200, "text/plain", spare, nil},
		"empty":                         {200, "text/plain", "", anchor.ErrAnswer},
		"a page":                        {200, "text/html", "<html>welcome</html>\n", anchor.ErrAnswer},
		"foreign alone":                 {200, "text/plain", foreign, anchor.ErrAnswer},
		"other key of its name":         {200, "text/plain", line(witness, otherKey, hash, 1_717_916_400, cp.Text()), anchor.ErrAnswer},
		"other hash":                    {200, "text/plain", line(witness, key, hash+1, 1_717_916_400, cp.Text()), anchor.ErrAnswer},
		"other text":                    {200, "text/plain", line(witness, key, hash, 1_717_916_400, checkpoint(log, 399).Text()), anchor.ErrAnswer},
		"no newline":                    {200, "text/plain", strings.TrimSuffix(good, "\n"), anchor.ErrAnswer},
		"time zero":                     {200, "text/plain", line(witness, key, hash, 0, cp.Text()), anchor.ErrAnswer},
		"time beyond the calendar":      {200, "text/plain", line(witness, key, hash, 1<<63, cp.Text()), anchor.ErrAnswer},
		"too long":                      {200, "text/plain", strings.Repeat(foreign, 1000) + good, anchor.ErrAnswer},
		"redirection":                   {302, "", "", anchor.ErrRefused},
		"created":                       {201, "text/plain", good, anchor.ErrRefused},
		"malformed":                     {400, "text/plain", "bad", anchor.ErrRefused},
		"too large":                     {413, "text/plain", "", anchor.ErrRefused},
		"forbidden":                     {403, "text/plain", "", anchor.ErrLogKey},
		"not found":                     {404, "text/plain", "", anchor.ErrUnknownLog},
		"inconsistent":                  {422, "text/plain", "two\nlines\x00", anchor.ErrFork},
		"conflict without size":         {409, "text/plain", "400\n", anchor.ErrFork},
		"conflict of another type":      {409, "text/x.tlog.sizes", "400\n", anchor.ErrFork},
		"conflict with a bad size":      {409, "text/x.tlog.size", "-4\n", anchor.ErrAnswer},
		"conflict with an empty size":   {409, "text/x.tlog.size", "", anchor.ErrAnswer},
		"always the same size":          {409, "text/x.tlog.size", "300\n", anchor.ErrUnsettled},
		"its parameters":                {409, "text/x.tlog.size; charset=utf-8", "300\n", anchor.ErrUnsettled},
		"too many":                      {429, "text/plain", "", anchor.ErrUnavailable},
		"time-out there":                {408, "", "", anchor.ErrUnavailable},
		"broken":                        {500, "text/plain", "", anchor.ErrUnavailable},
		"away":                          {503, "text/plain", "", anchor.ErrUnavailable},
	} {
		web := answering(test.status, test.kind, test.body)
		anchored, err := newClient(t, web.URL, cosigner.VKey()).Submit(t.Context(), cp, 0, log)
		web.Close()
		switch {
		case !errors.Is(err, test.want) || (err == nil) != (test.want == nil):
			t.Errorf("%s: %v, want %v", name, err, test.want)
		case err == nil && anchored.Line != good:
			t.Errorf("%s: line %q, want %q", name, anchored.Line, good)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: several lines: %v", name, err)
		}
	}
}

func TestSilenceAndStoppingAreToldApart(t *testing.T) {
	log := anchortest.NewLog(t, origin, 5)
	s := newStation(t, log)
	s.away.Store(true)
	if _, err := newClient(t, s.url, s.vkey).Submit(t.Context(), checkpoint(log, 5), 0, log); !errors.Is(err, anchor.ErrUnavailable) {
		t.Errorf("answer lost: %v", err)
	}
	stall := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stall }))
	defer web.Close()
	defer close(stall)
	client, err := anchor.NewClient(web.URL, s.vkey, anchor.Options{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Submit(t.Context(), checkpoint(log, 5), 0, log); !errors.Is(err, anchor.ErrUnavailable) {
		t.Errorf("stalled: %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Submit(stopped, checkpoint(log, 5), 0, log); !errors.Is(err, context.Canceled) || errors.Is(err, anchor.ErrUnavailable) {
		t.Errorf("our own stopping: %v", err)
	}
}

type proverFunc func() ([]tlog.Hash, error)

func (f proverFunc) Prove(context.Context, uint64, uint64) ([]tlog.Hash, error) { return f() }

func TestNothingDoubtfulIsSent(t *testing.T) {
	log := anchortest.NewLog(t, origin, 400)
	s := newStation(t, log)
	client := newClient(t, s.url, s.vkey)
	cp := checkpoint(log, 400)
	cosigned := cp
	cosigned.Note = append(bytes.Clone(cp.Note), "— bureau-2 AAAAAAAA\n"...)
	other := cp
	other.Size = 399
	bare := cp
	bare.Note = []byte(cp.Text() + "\n")
	foreign := cp
	foreign.Note = []byte(cp.Text() + "\n— bureau-2 AAAAAAAA\n")
	for name, bad := range map[string]anchor.Checkpoint{"cosigned": cosigned, "other size": other, "unsigned": bare, "signed by another": foreign} {
		if _, err := client.Submit(t.Context(), bad, 0, log); err == nil {
			t.Errorf("%s was anchored", name)
		}
	}
	broken := errors.New("disk gone")
	for want, prover := range map[string]proverFunc{
		"disk gone":  func() ([]tlog.Hash, error) { return nil, broken },
		"at most 63": func() ([]tlog.Hash, error) { return make([]tlog.Hash, 64), nil },
	} {
		if _, err := client.Submit(t.Context(), cp, 300, prover); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("prover: %v, want %s", err, want)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("%d submissions were sent", n)
	}
}

func TestBadAddressesAndKeysAreRefused(t *testing.T) {
	log := anchortest.NewLog(t, origin, 5)
	s := newStation(t, log)
	for _, address := range []string{"", "adele.example", "ftp://adele.example", "http://", "http://a/?q", "http://a/#f", "http://[::1"} {
		if _, err := anchor.NewClient(address, s.vkey, anchor.Options{}); err == nil {
			t.Errorf("address %q", address)
		}
	}
	for _, key := range []string{"", log.VKey, s.vkey[:len(s.vkey)-2], strings.Replace(s.vkey, "adele", "adeli", 1)} {
		if _, err := anchor.NewClient(s.url, key, anchor.Options{}); err == nil {
			t.Errorf("key %q", key)
		}
	}
	if client := newClient(t, s.url+"/", s.vkey+"\n"); client.Witness() != witness {
		t.Errorf("witness %q", client.Witness())
	}
}
